//! The conversation at a terminal: lines with history and completion, and their answers.

use std::io::{Write, stdin, stdout};

use anyhow::Context;
use tokio::runtime::Runtime;

use super::complete::{Names, candidates};
use super::history::History;
use super::keys::{self, Key, RawMode};
use super::line::{Drawing, Line, draw};
use super::script::{is_complete, items};
use super::shell::{Next, Shell};
use crate::failure::{broken_pipe, say};
use crate::output::note;

/// Candidates that are listed.
const LISTED: usize = 100;

/// Reads and answers until the other side leaves.
pub(super) fn converse(shell: &mut Shell<'_>, runtime: &Runtime) -> anyhow::Result<()> {
    let mut editor = Editor {
        names: runtime.block_on(Names::of(&shell.session))?,
        history: History::load(),
        colour: std::env::var_os("NO_COLOR").is_none(),
        row: 0,
    };
    note(&format!("{} \\? lists commands, \\q leaves.", shell.standing()));
    while let Some(text) = editor.read().context("the terminal")? {
        if text.trim().is_empty() {
            continue;
        }
        editor.history.add(text.trim_end());
        if run(shell, &text, runtime)? == Next::Leave {
            break;
        }
    }
    Ok(())
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

struct Editor {
    names: Names,
    history: History,
    colour: bool,
    /// The row of the drawn line that the cursor stands in.
    row: usize,
}

impl Editor {
    /// What is typed, once it is complete; `None` when the other side leaves.
    fn read(&mut self) -> std::io::Result<Option<String>> {
        let _raw = RawMode::begin()?;
        let mut input = stdin().lock();
        let mut line = Line::default();
        // What is typed now stands after the entries.
        let mut entry = self.history.entries.len();
        let mut typed = Line::default();
        self.row = 0;
        loop {
            let drawn = self.show(&line)?;
            match keys::read(&mut input)? {
                Key::Enter if is_complete(&line.text) => {
                    finish(&drawn)?;
                    return Ok(Some(line.text));
                }
                // Ctrl-C drops what is typed.
                Key::Interrupt => {
                    finish(&drawn)?;
                    return Ok(Some(String::new()));
                }
                Key::Eof if line.text.is_empty() => {
                    finish(&drawn)?;
                    return Ok(None);
                }
                Key::Tab => self.complete(&mut line, &drawn)?,
                Key::Up if entry > 0 => {
                    if entry == self.history.entries.len() {
                        typed = line;
                    }
                    entry -= 1;
                    line = Line::of(self.history.entries[entry].clone());
                }
                Key::Down if entry < self.history.entries.len() => {
                    entry += 1;
                    let of_history = self.history.entries.get(entry).cloned().map(Line::of);
                    line = of_history.unwrap_or_else(|| typed.clone());
                }
                key => line.edit(key),
            }
        }
    }

    fn show(&mut self, line: &Line) -> std::io::Result<Drawing> {
        let width = terminal_size::terminal_size().map_or(80, |(width, _)| width.0.max(20));
        let drawing = draw(line, self.row, width.into(), self.colour);
        stdout().write_all(drawing.text.as_bytes())?;
        stdout().flush()?;
        self.row = drawing.row;
        Ok(drawing)
    }

    /// Completes the word at the cursor as far as that is clear, or else lists what it may become.
    fn complete(&mut self, line: &mut Line, drawn: &Drawing) -> std::io::Result<()> {
        let (start, found) = candidates(&line.text, line.cursor, &self.names);
        let common = common_start(&found);
        if common.len() > line.cursor - start || found.len() == 1 {
            line.put(start, common);
            return Ok(());
        }
        if found.is_empty() {
            return Ok(());
        }
        let more = if found.len() > LISTED { " …" } else { "" };
        let listed = found.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join("  ");
        finish(drawn)?;
        write!(stdout(), "{listed}{more}\r\n")?;
        self.row = 0;
        Ok(())
    }
}

/// Goes on below what is drawn.
fn finish(drawn: &Drawing) -> std::io::Result<()> {
    stdout().write_all("\r\n".repeat(drawn.below + 1).as_bytes())?;
    stdout().flush()
}

/// What all of them begin with.
fn common_start(words: &[String]) -> &str {
    let Some((first, others)) = words.split_first() else { return "" };
    let mut end = first.len();
    for word in others {
        let same = first.char_indices().zip(word.chars()).find(|((_, a), b)| a != b);
        end = end.min(same.map_or(word.len(), |((at, _), _)| at));
    }
    first.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::common_start;

    #[test]
    fn words_begin_alike() {
        let check = |words: &[&str], start: &str| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            assert_eq!(common_start(&words), start);
        };
        check(&[], "");
        check(&["funnel"], "funnel");
        check(&["partner_day", "partner_events", "partners"], "partner");
        check(&["a", "b"], "");
        check(&["é1", "é2"], "é");
    }
}
