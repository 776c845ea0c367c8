//! The files that a command line names: files, folders of files, pipes and standard input.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use domain::counted;

use crate::errors::usage_error;
use crate::output::print_note;
use crate::scratch_folder;

/// Something to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSource {
    /// Its name in the lake, without a folder.
    pub(super) name: String,
    /// How the command line names it.
    pub(super) shown: String,
    path: PathBuf,
    kind: SourceKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceKind {
    File,
    StandardInput,
    Pipe,
}

/// A source that can be read from its beginning any number of times.
pub(super) struct OpenSource {
    pub(super) path: PathBuf,
    /// The copy of what came through a pipe, which is removed when this is dropped.
    _spooled: Option<tempfile::NamedTempFile>,
}

/// Returns the sources that the paths name, those of a folder in the order of their names.
///
/// # Errors
/// One of them does not exist, or is nothing to load. `own` are folders of the project that no
/// source may hold.
pub(super) fn find(paths: &[PathBuf], own: &[PathBuf]) -> anyhow::Result<Vec<FileSource>> {
    let mut sources: Vec<FileSource> = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            sources.push(FileSource {
                name: "stdin".to_owned(),
                shown: "-".to_owned(),
                path: path.clone(),
                kind: SourceKind::StandardInput,
            });
            continue;
        }
        let metadata = fs::metadata(path).map_err(|error| refusal(path, &error))?;
        if metadata.is_dir() {
            sources.extend(folder(path, own)?);
        } else {
            let kind = kind(&metadata).ok_or_else(|| {
                usage_error(format!("{} is neither a file nor a folder nor a pipe", path.display()))
            })?;
            sources.push(FileSource::new(path, kind));
        }
    }
    let from_stdin = sources.iter().filter(|s| s.kind == SourceKind::StandardInput).count();
    if from_stdin > 1 {
        return Err(usage_error("- is given twice; standard input can be read once"));
    }
    Ok(sources)
}

fn refusal(path: &Path, error: &io::Error) -> anyhow::Error {
    let shown = path.display();
    usage_error(if error.kind() == io::ErrorKind::NotFound {
        format!("there is no file {shown}; give files, folders of files, or - for standard input")
    } else {
        format!("{shown} can't be read: {error}")
    })
}

/// Returns every file below a folder, hidden ones left out.
fn folder(path: &Path, own: &[PathBuf]) -> anyhow::Result<Vec<FileSource>> {
    let whole = path.canonicalize().with_context(|| path.display().to_string())?;
    if own.iter().any(|own| own.starts_with(&whole)) {
        return Err(usage_error(format!(
            "the folder {} holds the project or its lake; name the folder that holds the events only",
            path.display()
        )));
    }
    let mut files = Vec::new();
    let mut folders = 0;
    walk(path, &mut files, &mut folders).with_context(|| path.display().to_string())?;
    if files.is_empty() {
        return Err(usage_error(format!(
            "the folder {} holds no files (hidden ones don't count)",
            path.display()
        )));
    }
    let inner = if folders > 0 { " in it and its folders" } else { "" };
    print_note(&format!("{}: {}{inner}", path.display(), counted(files.len() as u64, "file")));
    Ok(files.iter().map(|path| FileSource::new(path, SourceKind::File)).collect())
}

/// Adds the files below a folder in the order of their names. Links to folders are not followed,
/// because they may lead back.
fn walk(path: &Path, files: &mut Vec<PathBuf>, folders: &mut usize) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if is_hidden {
            continue;
        }
        if entry.file_type()?.is_dir() {
            *folders += 1;
            walk(&entry.path(), files, folders)?;
        } else if entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> Option<SourceKind> {
    use std::os::unix::fs::FileTypeExt;
    let file_type = metadata.file_type();
    if file_type.is_file() {
        return Some(SourceKind::File);
    }
    (file_type.is_fifo() || file_type.is_char_device()).then_some(SourceKind::Pipe)
}

#[cfg(not(unix))]
fn kind(metadata: &Metadata) -> Option<SourceKind> {
    metadata.is_file().then_some(SourceKind::File)
}

impl FileSource {
    fn new(path: &Path, kind: SourceKind) -> Self {
        let base = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // `<(…)` in a shell is /dev/fd/63, another number each time.
        let is_number = !base.is_empty() && base.bytes().all(|b| b.is_ascii_digit());
        let name = match kind {
            SourceKind::Pipe if is_number => "pipe".to_owned(),
            _ => base,
        };
        Self { name, shown: path.display().to_string(), path: path.to_owned(), kind }
    }

    /// Whether it can be named again in another command.
    pub(super) fn is_file(&self) -> bool {
        self.kind == SourceKind::File
    }

    /// Makes the source readable from its beginning. What comes through a pipe is copied to a
    /// temporary file, because its digest is needed before its first record.
    pub(super) fn open(&self) -> anyhow::Result<OpenSource> {
        let spooled = match self.kind {
            SourceKind::File => None,
            SourceKind::StandardInput => Some(spool(&mut io::stdin(), "standard input")?),
            SourceKind::Pipe => {
                let mut pipe = File::open(&self.path).with_context(|| self.shown.clone())?;
                Some(spool(&mut pipe, &self.shown)?)
            }
        };
        let path = spooled.as_ref().map_or(self.path.as_path(), tempfile::NamedTempFile::path);
        Ok(OpenSource { path: path.to_owned(), _spooled: spooled })
    }
}

fn spool(input: &mut impl Read, name: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let copy = || format!("the temporary copy of {name}");
    let mut file = tempfile::NamedTempFile::new_in(scratch_folder::folder()?).with_context(copy)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let taken = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.with_context(|| name.to_owned())?,
        };
        if taken == 0 {
            file.flush().with_context(copy)?;
            return Ok(file);
        }
        file.write_all(&buffer[..taken]).with_context(copy)?;
    }
}
