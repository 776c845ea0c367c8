//! How far a lake says that each partition was read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lake::{Lake, LakeOptions, StoreOptions, schema};
use lake_types::Stream;
use tokio::runtime::Runtime;

/// Topic and partition → an offset or a count.
pub(crate) type Offsets = BTreeMap<(String, i32), i64>;

/// The positions of a lake, as of the last look at them.
pub(crate) struct Positions {
    options: LakeOptions,
    runtime: Runtime,
    /// Open once there is one.
    lake: Option<Lake>,
    /// The position to read from next.
    pub(crate) next: Offsets,
    /// Tombstones counted.
    pub(crate) skipped: Offsets,
}

impl Positions {
    /// Of the lake with these files and this key.
    pub(crate) fn new(files: &Path, key: PathBuf) -> Self {
        let root = files.display().to_string();
        Self {
            options: LakeOptions { root, key_file: key, store: StoreOptions::default() },
            runtime: Runtime::new().expect("a runtime"),
            lake: None,
            next: Offsets::new(),
            skipped: Offsets::new(),
        }
    }

    /// Looks at the newest versions.
    pub(crate) fn follow(&mut self) -> &Offsets {
        let Self { options, runtime, lake, .. } = self;
        let lake = lake.get_or_insert_with(|| {
            runtime.block_on(Lake::open(options)).expect("the season's lake")
        });
        for stream in Stream::ALL {
            let table = schema::raw(stream).name;
            let snapshot = runtime.block_on(lake.snapshot(&table, None)).expect("its log");
            for (id, position) in lake::partitions(&snapshot.expect("a raw table").txns) {
                let parts: Vec<&str> = id.as_str().split('/').collect();
                let [_, topic, _, partition] = parts[..] else { continue };
                let of = (topic.to_owned(), partition.parse().expect("a partition"));
                self.next.insert(of.clone(), position.next);
                self.skipped.insert(of, position.skipped);
            }
        }
        &self.next
    }
}

/// The log's folder of a raw table.
pub(crate) fn log_of(files: &Path, table: &str) -> PathBuf {
    files.join("raw").join(table).join("_delta_log")
}

/// The newest version of a raw table; 0 while there is none.
pub(crate) fn version(files: &Path, table: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(log_of(files, table)) else { return 0 };
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
