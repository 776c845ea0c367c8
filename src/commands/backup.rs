//! `rapport lake backup` and `restore`: a copy of the lake, and the lake made again from it.

use domain::{counted, thousands};
use lake::{CopiedLake, Lake};

use crate::config::Config;
use crate::output::{print_line, print_note};
use crate::progress::Spinner;

pub(super) async fn backup(config: &Config, destination: &str, quiet: bool) -> anyhow::Result<()> {
    let options = config.lake_beside(destination)?;
    let lake = Lake::open(&options).await?;
    let spinner = Spinner::start("backup", quiet);
    let mut show = |table: &str| spinner.set_message(table.to_owned());
    let done = lake.backup(destination, &options, &mut show).await?;
    drop(spinner);
    print_line(&summary(&done))?;
    print_note(&format!(
        "The key is not in it: keep a copy of {} elsewhere",
        options.key_file.display()
    ));
    Ok(())
}

pub(super) async fn restore(config: &Config, backup: &str, quiet: bool) -> anyhow::Result<()> {
    let spinner = Spinner::start("restore", quiet);
    let mut show = |table: &str| spinner.set_message(table.to_owned());
    let done = Lake::restore(backup, &config.lake_beside(backup)?, &mut show).await?;
    drop(spinner);
    print_line(&summary(&done))?;
    print_note(
        "Now `rapport lake verify` reads it all; then start the workers, which go on from its positions",
    );
    Ok(())
}

fn summary(done: &CopiedLake) -> String {
    format!(
        "{}: {} copied ({} KiB), {} there already, {} no longer used and deleted",
        counted(done.tables, "table"),
        counted(done.files, "file"),
        thousands(done.bytes.div_ceil(1_024)),
        thousands(done.kept),
        thousands(done.deleted)
    )
}
