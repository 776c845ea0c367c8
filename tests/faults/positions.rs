//! How far the lake's log says that each partition was read, read from the log entries themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lake_types::Stream;

/// Topic and partition → an offset or a count.
pub(crate) type Offsets = BTreeMap<(String, i32), i64>;

/// The log entries of a lake's raw tables, followed from their first.
pub(crate) struct Positions {
    root: PathBuf,
    read: BTreeMap<Stream, u64>,
    /// The position to read from next.
    pub(crate) next: Offsets,
    /// Tombstones counted.
    pub(crate) skipped: Offsets,
}

impl Positions {
    /// `root` is the lake's folder.
    pub(crate) fn new(root: &Path) -> Self {
        let root = root.to_owned();
        Self { root, read: BTreeMap::new(), next: Offsets::new(), skipped: Offsets::new() }
    }

    /// Reads what was committed since.
    pub(crate) fn follow(&mut self) -> &Offsets {
        for stream in Stream::ALL {
            let log = log_of(&self.root, stream.table());
            loop {
                let version = self.read.get(&stream).copied().unwrap_or(0);
                let Ok(text) = std::fs::read_to_string(log.join(format!("{version:020}.json")))
                else {
                    break;
                };
                text.lines().filter(|line| line.starts_with("{\"txn\"")).for_each(|l| self.note(l));
                self.read.insert(stream, version + 1);
            }
        }
        &self.next
    }

    /// `{"txn":{"appId":"<cluster>/<topic>/<topic id>/<partition>[#skipped]","version":17,…}}`
    fn note(&mut self, line: &str) {
        let action: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let (id, version) = (&action["txn"]["appId"], &action["txn"]["version"]);
        let version = version.as_i64().expect("a version");
        let parts: Vec<&str> = id.as_str().expect("an id").split('/').collect();
        let [_, topic, _, partition] = parts[..] else { return };
        let (partition, map) = match partition.split_once('#') {
            None => (partition, &mut self.next),
            Some((partition, "skipped")) => (partition, &mut self.skipped),
            Some(_) => return,
        };
        let partition = partition.parse().expect("a partition");
        map.insert((topic.to_owned(), partition), version);
    }
}

/// The log's folder of a raw table.
pub(crate) fn log_of(root: &Path, table: &str) -> PathBuf {
    root.join("raw").join(table).join("_delta_log")
}

/// The newest version of a raw table; 0 while there is none.
pub(crate) fn version(root: &Path, table: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(log_of(root, table)) else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let versions = names.filter_map(|name| name.strip_suffix(".json")?.parse().ok());
    versions.max().unwrap_or(0)
}

/// How many records lie between two sets of positions.
pub(crate) fn between(before: &Offsets, after: &Offsets) -> u64 {
    let moved = |(partition, end): (&(String, i32), &i64)| {
        u64::try_from(end - before.get(partition).copied().unwrap_or(0)).unwrap_or(0)
    };
    after.iter().map(moved).sum()
}
