//! What was typed before, kept in the user's folder of state for its owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Entries that are kept.
const KEPT: usize = 1_000;

/// The entries, the oldest first, and where they are kept.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) entries: Vec<String>,
    file: Option<PathBuf>,
}

impl History {
    /// The user's; one that is forgotten where it can't be kept.
    pub(super) fn load() -> Self {
        let Some(path) = place() else { return Self::default() };
        match Self::of(&path) {
            Ok(history) => history,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the history is not kept");
                Self::default()
            }
        }
    }

    fn of(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        private(path, OpenOptions::new().append(true))?;
        let text = std::fs::read_to_string(path)?;
        let mut entries: Vec<String> = text.lines().map(unescaped).collect();
        // It may grow to the double before it is cut.
        if entries.len() > 2 * KEPT {
            entries.drain(..entries.len() - KEPT);
            let mut file = private(path, OpenOptions::new().write(true).truncate(true))?;
            entries.iter().try_for_each(|entry| writeln!(file, "{}", escaped(entry)))?;
        }
        Ok(Self { entries, file: Some(path.to_owned()) })
    }

    /// Adds what was typed, unless it is the same again.
    pub(super) fn add(&mut self, text: &str) {
        if self.entries.last().is_some_and(|last| last == text) {
            return;
        }
        self.entries.push(text.to_owned());
        let Some(path) = &self.file else { return };
        let kept = private(path, OpenOptions::new().append(true))
            .and_then(|mut file| file.write_all(format!("{}\n", escaped(text)).as_bytes()));
        if let Err(error) = kept {
            tracing::warn!(path = %path.display(), %error, "the history is not kept");
            self.file = None;
        }
    }
}

/// Below $XDG_STATE_HOME, or where that is by default.
fn place() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("rapport/history"))
}

/// Opens a file that nobody else may read: queries tell what somebody looks into.
fn private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// On one line.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(if chars.next() == Some('n') { '\n' } else { '\\' }),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rapport/history");
        let mut history = History::of(&path).expect("a history");
        let typed = ["\\d runs", "SELECT 1\n-- two\\n\n;", "SELECT 1\n-- two\\n\n;", "last"];
        typed.iter().for_each(|text| history.add(text));
        let again = History::of(&path).expect("a history").entries;
        assert_eq!(again, [typed[0], typed[1], typed[3]]);
        (0..2 * KEPT).for_each(|n| history.add(&format!("SELECT {n};")));
        let cut = History::of(&path).expect("a history").entries;
        assert_eq!((cut.len(), cut[KEPT - 1].as_str()), (KEPT, "SELECT 1999;"));
        assert_eq!(std::fs::read_to_string(&path).expect("a file").lines().count(), KEPT);
    }
}
