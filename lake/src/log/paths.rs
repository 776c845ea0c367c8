//! The names of the files of a table's log, and the hint at its newest checkpoint.

use object_store::path::Path;
use serde::Deserialize;

/// The folder of a table's log, below the table.
pub(crate) const LOG_FOLDER: &str = "_delta_log";

/// The file that names a recent checkpoint, below the table.
pub(crate) const HINT_PATH: &str = "_delta_log/_last_checkpoint";

/// The content of [`HINT_PATH`]: a checkpoint, mostly the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct CheckpointHint {
    pub(crate) version: u64,
    /// The number of actions in the checkpoint: about as many as the table has files.
    #[serde(default)]
    pub(crate) size: u64,
}

/// Returns the path of a log entry, below the table.
pub(crate) fn entry_path(version: u64) -> String {
    format!("{LOG_FOLDER}/{version:020}.json")
}

/// Returns the path of a checkpoint, below the table.
pub(crate) fn checkpoint_path(version: u64) -> Path {
    Path::from(format!("{LOG_FOLDER}/{version:020}.checkpoint.parquet"))
}

/// Returns the version of a file of a log, and whether it is a checkpoint rather than an entry.
/// Returns `None` for any other file.
pub(crate) fn parse_log_file(path: &Path) -> Option<(u64, bool)> {
    let (version, ending) = path.filename()?.split_at_checked(20)?;
    let is_checkpoint = match ending {
        ".json" => false,
        ".checkpoint.parquet" => true,
        _ => return None,
    };
    Some((version.parse().ok()?, is_checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_log_files_are_parsed() {
        let check = |name: &str, expected: Option<(u64, bool)>| {
            assert_eq!(parse_log_file(&Path::from(name)), expected, "{name}");
        };
        check(&entry_path(7), Some((7, false)));
        check(checkpoint_path(7).as_ref(), Some((7, true)));
        check("_delta_log/_last_checkpoint", None);
        check("_delta_log/00000000000000000007.crc", None);
        check("_delta_log/0000000000000000000x.json", None);
    }
}
