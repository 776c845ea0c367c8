//! Reads from a lake's log how far each Kafka partition was ingested.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::Stream;
use lake::{Lake, LakeOptions, StoreOptions, schema};
use tokio::runtime::Runtime;

/// Topic and partition → an offset or a count.
pub(crate) type Offsets = BTreeMap<(String, i32), i64>;

/// Holds the positions of a lake as of the last refresh.
pub(crate) struct LakePositions {
    options: LakeOptions,
    runtime: Runtime,
    /// The lake, once it exists and is open.
    lake: Option<Lake>,
    /// The offset to read next.
    pub(crate) next: Offsets,
    /// How many tombstones and skipped records were counted.
    pub(crate) without_row: Offsets,
}

impl LakePositions {
    /// Takes the files of a lake and its key.
    pub(crate) fn new(files: &Path, key: PathBuf) -> Self {
        let root = files.display().to_string();
        Self {
            options: LakeOptions { root, key_file: key, store: StoreOptions::default() },
            runtime: Runtime::new().expect("a runtime"),
            lake: None,
            next: Offsets::new(),
            without_row: Offsets::new(),
        }
    }

    /// Reads the newest versions, and returns the offsets to read next.
    pub(crate) fn refresh(&mut self) -> &Offsets {
        let Self { options, runtime, lake, .. } = self;
        let lake = lake.get_or_insert_with(|| {
            runtime.block_on(Lake::open(options)).expect("the lake under test")
        });
        for stream in Stream::ALL {
            let table = schema::raw(stream).name;
            let snapshot = runtime.block_on(lake.snapshot(&table, None)).expect("its log");
            for (id, position) in lake::partitions(&snapshot.expect("a raw table").txns) {
                let parts: Vec<&str> = id.as_str().split('/').collect();
                let [_, topic, _, partition] = parts[..] else { continue };
                let partition_key = (topic.to_owned(), partition.parse().expect("a partition"));
                self.next.insert(partition_key.clone(), position.next);
                self.without_row.insert(partition_key, position.skipped);
            }
        }
        &self.next
    }
}

/// Returns the folder of a raw table's log.
pub(crate) fn log_folder(files: &Path, table: &str) -> PathBuf {
    files.join("raw").join(table).join("_delta_log")
}

/// Returns the newest version of a raw table, 0 while there is none.
pub(crate) fn newest_version(files: &Path, table: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(log_folder(files, table)) else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let versions = names.filter_map(|name| name.strip_suffix(".json")?.parse().ok());
    versions.max().unwrap_or(0)
}

/// Returns how many records lie between two sets of positions.
pub(crate) fn records_between(before: &Offsets, after: &Offsets) -> u64 {
    let moved = |(partition, end): (&(String, i32), &i64)| {
        u64::try_from(end - before.get(partition).copied().unwrap_or(0)).unwrap_or(0)
    };
    after.iter().map(moved).sum()
}
