//! The interactive loop at a terminal, with history, completion and colours.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustyline::completion::Completer;
use rustyline::config::BellStyle;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::runtime::Runtime;

use super::completion::{CompletionNames, KEYWORDS, complete};
use super::script::{is_complete, parse_script};
use super::shell::{Flow, Shell};
use super::tokens::{TokenKind, tokenize};
use crate::errors::is_broken_pipe;
use crate::exit_code::print_error;
use crate::output::print_note;

const PROMPT: &str = "rapport> ";

/// The entries that the history keeps.
const MAX_HISTORY: usize = 1_000;

/// Reads lines and runs them until the user quits.
pub(super) fn run(shell: &mut Shell<'_>, runtime: &Runtime) -> anyhow::Result<()> {
    let names = runtime.block_on(CompletionNames::read(&shell.session))?;
    let mut editor = editor(LineHelper { names }).context("the terminal")?;
    let mut history = history_file();
    if let Some(path) = &history
        && let Err(error) = load(&mut editor, path)
    {
        warn_no_history(path, &error);
        history = None;
    }
    print_note(&format!("{} \\? lists commands, \\q leaves.", shell.describe_session()));
    loop {
        let text = match editor.readline(PROMPT) {
            Ok(text) => text,
            // Ctrl-C drops the line.
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error).context("the terminal"),
        };
        if text.trim().is_empty() {
            continue;
        }
        editor.add_history_entry(text.trim_end()).context("the history")?;
        if let Some(path) = &history
            && let Err(error) = editor.append_history(path)
        {
            warn_no_history(path, &error);
            history = None;
        }
        if run_line(shell, &text, runtime)? == Flow::Quit {
            return Ok(());
        }
    }
}

/// Runs what was typed. Ctrl-C stops it.
fn run_line(shell: &mut Shell<'_>, text: &str, runtime: &Runtime) -> anyhow::Result<Flow> {
    let result = runtime.block_on(async {
        tokio::select! {
            // The first to be polled, so that Ctrl-C is listened for before anything runs.
            biased;
            _ = tokio::signal::ctrl_c() => None,
            result = shell.run(parse_script(text), "your query") => Some(result),
        }
    });
    match result {
        None => print_note("\nStopped."),
        Some(Ok(flow)) => return Ok(flow),
        Some(Err(error)) if is_broken_pipe(&error) => return Err(error),
        Some(Err(error)) => print_error(&error),
    }
    Ok(Flow::Continue)
}

fn editor(helper: LineHelper) -> rustyline::Result<Editor<LineHelper, FileHistory>> {
    let config = Config::builder()
        .max_history_size(MAX_HISTORY)?
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .bell_style(BellStyle::None)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(helper));
    Ok(editor)
}

/// Returns the path of the history, below $XDG_STATE_HOME or its default.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("rapport/history"))
}

/// Loads the history of earlier shells.
fn load(editor: &mut Editor<LineHelper, FileHistory>, path: &Path) -> rustyline::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match editor.load_history(path) {
        Err(ReadlineError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn warn_no_history(path: &Path, error: &ReadlineError) {
    tracing::warn!(path = %path.display(), %error, "the history is not kept");
}

/// Completes, validates and colours the line for rustyline.
struct LineHelper {
    names: CompletionNames,
}

impl Helper for LineHelper {}

impl Hinter for LineHelper {
    type Hint = String;
}

impl Completer for LineHelper {
    type Candidate = String;

    fn complete(
        &self,
        text: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(text, cursor, &self.names))
    }
}

impl Validator for LineHelper {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_complete(typed.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Highlighter for LineHelper {
    fn highlight<'l>(&self, text: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned(highlight_sql(text))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

/// Returns the text with keywords bold, strings green and comments dim.
fn highlight_sql(text: &str) -> String {
    let mut all = String::new();
    for token in tokenize(text) {
        let part = &text[token.range];
        let style = match token.kind {
            TokenKind::String => "\x1b[32m",
            TokenKind::Comment => "\x1b[2m",
            TokenKind::Word if KEYWORDS.iter().any(|word| word.eq_ignore_ascii_case(part)) => {
                "\x1b[1m"
            }
            _ => {
                all.push_str(part);
                continue;
            }
        };
        all.extend([style, part, "\x1b[0m"]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::highlight_sql;

    #[test]
    fn sql_is_highlighted() {
        let check = |text: &str, expected: &str| assert_eq!(highlight_sql(text), expected);
        check("\\d funnel", "\\d funnel");
        check("SELECT 'a', b", "\x1b[1mSELECT\x1b[0m \x1b[32m'a'\x1b[0m, b");
        check("from -- é", "\x1b[1mfrom\x1b[0m \x1b[2m-- é\x1b[0m");
    }
}
