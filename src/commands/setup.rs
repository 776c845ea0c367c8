//! `rapport completions` and `rapport man`: the command line as shells and manuals have it.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Arguments, SetupCommand};
use crate::commands::schema;
use crate::output::{print_line, print_verbatim};

pub(super) fn run(command: &SetupCommand) -> anyhow::Result<()> {
    match command {
        SetupCommand::Completions { shell } => print_completions(*shell),
        SetupCommand::Man { dir } => write_man_pages(dir),
        SetupCommand::Schema(options) => {
            print_verbatim(&serde_json::to_string_pretty(&schema::of(options.file)?)?)
        }
    }
}

fn print_completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "rapport", &mut script);
    let script = String::from_utf8(script).context("completions")?;
    print_verbatim(script.trim_end())
}

/// Writes `rapport.1`, `rapport-ingest.1`, `rapport-ingest-run.1` and so on.
fn write_man_pages(dir: &Path) -> anyhow::Result<()> {
    let folder = || format!("the folder {} of the man pages", dir.display());
    std::fs::create_dir_all(dir).with_context(folder)?;
    clap_mangen::generate_to(Arguments::command(), dir).with_context(folder)?;
    print_line(&format!("The man pages are in {}; `man -l` shows one", dir.display()))
}
