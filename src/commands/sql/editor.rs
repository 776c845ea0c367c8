//! The conversation at a terminal: lines with history and completion, and their answers.

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

use super::complete::{KEYWORDS, Names, candidates};
use super::script::{is_complete, items};
use super::shell::{Next, Shell};
use super::words::{Kind, pieces};
use crate::failure::{broken_pipe, say};
use crate::output::note;

const PROMPT: &str = "rapport> ";

/// Entries of the history that are kept.
const KEPT: usize = 1_000;

/// Reads and answers until the other side leaves.
pub(super) fn converse(shell: &mut Shell<'_>, runtime: &Runtime) -> anyhow::Result<()> {
    let names = runtime.block_on(Names::of(&shell.session))?;
    let mut editor = editor(Typing { names }).context("the terminal")?;
    let mut history = history_file();
    if let Some(path) = &history
        && let Err(error) = load(&mut editor, path)
    {
        not_kept(path, &error);
        history = None;
    }
    note(&format!("{} \\? lists commands, \\q leaves.", shell.standing()));
    loop {
        let text = match editor.readline(PROMPT) {
            Ok(text) => text,
            // Ctrl-C drops what is typed.
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
            not_kept(path, &error);
            history = None;
        }
        if run(shell, &text, runtime)? == Next::Leave {
            return Ok(());
        }
    }
}

/// Runs what was typed; Ctrl-C stops it.
fn run(shell: &mut Shell<'_>, text: &str, runtime: &Runtime) -> anyhow::Result<Next> {
    let done = runtime.block_on(async {
        tokio::select! {
            done = shell.run(items(text), "your query") => Some(done),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    match done {
        None => note("\nStopped."),
        Some(Ok(next)) => return Ok(next),
        Some(Err(error)) if broken_pipe(&error) => return Err(error),
        Some(Err(error)) => say(&error),
    }
    Ok(Next::GoOn)
}

fn editor(typing: Typing) -> rustyline::Result<Editor<Typing, FileHistory>> {
    let config = Config::builder()
        .max_history_size(KEPT)?
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .bell_style(BellStyle::None)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(typing));
    Ok(editor)
}

/// Below $XDG_STATE_HOME, or where that is by default.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("rapport/history"))
}

/// What was typed in conversations before; the file is for its owner alone.
fn load(editor: &mut Editor<Typing, FileHistory>, path: &Path) -> rustyline::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match editor.load_history(path) {
        Err(ReadlineError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn not_kept(path: &Path, error: &ReadlineError) {
    tracing::warn!(path = %path.display(), %error, "the history is not kept");
}

/// What the editor asks while somebody types.
struct Typing {
    names: Names,
}

impl Helper for Typing {}

impl Hinter for Typing {
    type Hint = String;
}

impl Completer for Typing {
    type Candidate = String;

    fn complete(
        &self,
        text: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(text, cursor, &self.names))
    }
}

impl Validator for Typing {
    fn validate(&self, typed: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_complete(typed.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Highlighter for Typing {
    fn highlight<'l>(&self, text: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned(coloured(text))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

/// Keywords bold, strings green, comments dim.
fn coloured(text: &str) -> String {
    let mut all = String::new();
    for piece in pieces(text) {
        let part = &text[piece.at];
        let style = match piece.kind {
            Kind::Text => "\x1b[32m",
            Kind::Comment => "\x1b[2m",
            Kind::Word if KEYWORDS.iter().any(|word| word.eq_ignore_ascii_case(part)) => "\x1b[1m",
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
    use super::coloured;

    #[test]
    fn what_is_typed_has_colours() {
        let check = |text: &str, expected: &str| assert_eq!(coloured(text), expected);
        check("\\d funnel", "\\d funnel");
        check("SELECT 'a', b", "\x1b[1mSELECT\x1b[0m \x1b[32m'a'\x1b[0m, b");
        check("from -- é", "\x1b[1mfrom\x1b[0m \x1b[2m-- é\x1b[0m");
    }
}
