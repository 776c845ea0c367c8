//! The events of a folder of NDJSON files, in a temporary lake.

use std::path::{Path, PathBuf};

use domain::{Stream, counted};
use ingest::{FlushLimits, IngestCounts, LoadOptions, SourceFile};
use lake::{Lake, LakeOptions, StoreOptions};
use tempfile::TempDir;

use crate::config::Config;
use crate::errors::usage_error;
use crate::output::print_note;
use crate::progress::Spinner;
use crate::project::Project;
use crate::scratch_folder;

/// What may follow `api-calls.ndjson`.
const COMPRESSIONS: [&str; 5] = ["", ".gz", ".zst", ".xz", ".bz2"];

/// Loads the files of a folder, which are named as those of `rapport generate --out`:
/// `api-calls.ndjson` and so on, plain or compressed. The CSV files of a project may lie beside
/// them. Events of files count by when they occurred. The lake is deleted with the folder that is
/// returned beside it.
///
/// # Errors
/// The folder holds no API calls, or a file is rejected.
pub(crate) async fn load(dir: &Path, quiet: bool) -> anyhow::Result<(Project, TempDir)> {
    if !dir.is_dir() {
        return Err(usage_error(format!("--events: there is no folder {}", dir.display())));
    }
    if file_of(dir, Stream::ApiCalls).is_none() {
        return Err(usage_error(format!(
            "--events: {} holds no {}.ndjson; `rapport generate --out` writes such a folder",
            dir.display(),
            Stream::ApiCalls
        )));
    }
    let folder = tempfile::Builder::new().prefix("events-").tempdir_in(scratch_folder::folder()?)?;
    let lake = temporary_lake(folder.path()).await?;
    let spinner = Spinner::start("load", quiet);
    for stream in Stream::ALL {
        let Some(path) = file_of(dir, stream) else { continue };
        load_file(&lake, stream, path, &spinner).await?;
    }
    drop(spinner);
    let mut config = Config::without_project()?;
    config.folder = dir.canonicalize()?;
    Ok((Project::with_lake(config, lake, quiet)?, folder))
}

/// Creates a lake in a folder that is deleted later.
async fn temporary_lake(folder: &Path) -> anyhow::Result<Lake> {
    let options = LakeOptions {
        root: folder.join("lake").display().to_string(),
        key_file: folder.join("lake.key"),
        store: StoreOptions::default(),
    };
    Ok(Lake::open_or_create(&options).await?)
}

fn file_of(dir: &Path, stream: Stream) -> Option<PathBuf> {
    let paths = COMPRESSIONS.iter().map(|end| dir.join(format!("{stream}.ndjson{end}")));
    paths.into_iter().find(|path| path.is_file())
}

async fn load_file(
    lake: &Lake,
    stream: Stream,
    path: PathBuf,
    spinner: &Spinner,
) -> anyhow::Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let options = LoadOptions {
        stream,
        mapping: None,
        arrival: None,
        accept_rejects: false,
        limits: FlushLimits::default(),
    };
    let mut show = |counts: &IngestCounts, _: u64| {
        spinner.set_message(format!("{name}: {}", counted(counts.records, "record")));
    };
    let files = [SourceFile { name: name.clone(), path }];
    let counts = ingest::load(lake, &files, &options, &mut show).await?;
    if counts.rejected > 0 {
        let reasons = counts.by_reason.iter().map(|(reason, n)| format!("{reason} {n}"));
        print_note(&format!(
            "{name}: {} of {} rejected ({})",
            counts.rejected,
            counted(counts.records, "record"),
            reasons.collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(())
}
