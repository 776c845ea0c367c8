//! `rapport sql`: read-only SQL over the lake, typed into a shell, given as text, or from a file.
//!
//! Reading order: `words` and `script` (what is to be run), `shell` (what runs it), `command` (lines
//! with a backslash), `outlet` (where rows go), `describe` (tables and functions), `editor` and
//! `complete` (typing).

mod command;
mod complete;
mod describe;
mod editor;
mod outlet;
mod script;
mod shell;
mod words;

use std::io::{IsTerminal, Read, stdin, stdout};
use std::path::Path;

use anyhow::Context;
use tokio::runtime::Runtime;
use transform::check_statement;

use crate::args::Sql;
use crate::failure::usage;
use crate::project::Project;
use script::{Item, items};
use shell::Shell;

pub(crate) fn run(project: &Project, options: &Sql, runtime: &Runtime) -> anyhow::Result<()> {
    let (text, place) = match (&options.query, &options.file) {
        (Some(query), _) => (query.clone(), "your query".to_owned()),
        (None, Some(path)) => (read(path)?, path.display().to_string()),
        (None, None) if is_conversation(options) => {
            let mut shell = runtime.block_on(Shell::open(project, options, true))?;
            return editor::converse(&mut shell, runtime);
        }
        (None, None) => (read(Path::new("-"))?, "standard input".to_owned()),
    };
    let script = items(&text);
    check(&script, &place)?;
    runtime.block_on(async {
        let mut shell = Shell::open(project, options, false).await?;
        shell.run(script, &place).await.map(drop)
    })
}

/// Whether somebody types, and reads the answers.
pub(crate) fn is_conversation(options: &Sql) -> bool {
    let given = options.query.is_some() || options.file.is_some();
    !given && stdin().is_terminal() && stdout().is_terminal()
}

/// The whole text of a file; `-` is standard input.
fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        stdin().read_to_string(&mut text).context("standard input")?;
    } else {
        text = std::fs::read_to_string(path)
            .map_err(|e| usage(format!("{} can't be read: {e}", path.display())))?;
    }
    // A byte-order mark is no part of the text.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Refuses what writes before anything runs.
fn check(script: &[Item], place: &str) -> anyhow::Result<()> {
    let statements = script.iter().filter_map(|item| match item {
        Item::Statement(text) => Some(text.as_str()),
        Item::Command(_) => None,
    });
    let nothing = script.is_empty().then_some("");
    for text in statements.chain(nothing) {
        check_statement(text, place).map_err(|e| usage(e.to_string()))?;
    }
    Ok(())
}
