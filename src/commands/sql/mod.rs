//! `rapport sql`: read-only SQL over the lake, from a shell, an argument, a file or standard input.
//!
//! - `tokens`: splits SQL text into tokens
//! - `script`: statements and meta-commands of a text, checked before anything runs
//! - `shell`: runs them over one set of table versions
//! - `meta_command`: the lines that start with a backslash
//! - `result_writer`: writes rows to stdout or a file
//! - `describe`: lists tables, columns and functions
//! - `repl`, `completion`: the interactive loop, and what the Tab key offers

mod completion;
mod describe;
mod meta_command;
mod repl;
mod result_writer;
mod script;
mod shell;
mod tokens;

use std::io::{IsTerminal, stdin, stdout};
use std::path::Path;

use tokio::runtime::Runtime;

use crate::args::SqlArgs;
use crate::errors::usage_error;
use crate::project::Project;
use script::{ScriptItem, check_script, parse_script, read_script};
use shell::Shell;

/// Runs the statements that the options name, or a shell.
pub(crate) fn run(project: &Project, options: &SqlArgs, runtime: &Runtime) -> anyhow::Result<()> {
    let (text, source) = match (&options.query, &options.file) {
        (Some(query), _) => (query.clone(), "your query".to_owned()),
        (None, Some(path)) => (read_script(path)?, path.display().to_string()),
        (None, None) if is_interactive(options) => {
            let mut shell = runtime.block_on(Shell::open(project, options, true))?;
            return repl::run(&mut shell, runtime);
        }
        (None, None) => (read_script(Path::new("-"))?, "standard input".to_owned()),
    };
    let script = parse_script(&text);
    if options.one_statement && !matches!(script.as_slice(), [ScriptItem::Statement(_)]) {
        return Err(usage_error("one SELECT is answered at a time, and no meta-command"));
    }
    check_script(&script, &source)?;
    runtime.block_on(async {
        let mut shell = Shell::open(project, options, false).await?;
        shell.run(script, &source).await.map(drop)
    })
}

/// Returns the statement of a text that holds one, without what follows it.
pub(crate) fn single_statement(text: &str) -> Option<String> {
    match parse_script(text).as_slice() {
        [ScriptItem::Statement(statement)] => Some(statement.trim().to_owned()),
        _ => None,
    }
}

/// Returns whether somebody types statements and reads the answers.
pub(crate) fn is_interactive(options: &SqlArgs) -> bool {
    let given = options.query.is_some() || options.file.is_some();
    !given && stdin().is_terminal() && stdout().is_terminal()
}
