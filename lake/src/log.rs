//! A table's transaction ids: the positions and rewrite marks that its commits carry.

use std::collections::BTreeMap;
use std::fmt;

use lake_types::Day;

/// Application id → version, of every `txn` action up to a version of the table.
pub type Transactions = BTreeMap<String, i64>;

/// A partition as the log names it: `<cluster>/<topic>/<topic id>/<partition>`, or
/// `file/<stream>/<sha256>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(String);

impl PartitionId {
    pub fn kafka(cluster: &str, topic: &str, topic_id: &str, partition: i32) -> Self {
        Self(format!("{cluster}/{topic}/{topic_id}/{partition}"))
    }

    pub fn file(stream: lake_types::Stream, sha256: &str) -> Self {
        Self(format!("file/{stream}/{sha256}"))
    }

    /// The mark that replays of a stream's dead letters move, in its raw table first.
    pub fn replay(stream: lake_types::Stream) -> Self {
        Self(format!("replay/{stream}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_file(&self) -> bool {
        self.0.starts_with("file/")
    }

    pub(crate) fn newest(&self) -> String {
        format!("{}#newest", self.0)
    }

    pub(crate) fn reached(&self) -> String {
        format!("{}#reached", self.0)
    }

    pub(crate) fn skipped(&self) -> String {
        format!("{}#skipped", self.0)
    }

    pub(crate) fn arrival(&self) -> String {
        format!("{}#arrival", self.0)
    }

    pub(crate) fn bytes(&self) -> String {
        format!("{}#bytes", self.0)
    }

    pub(crate) fn text(&self) -> String {
        format!("{}#text", self.0)
    }

    /// Of a loaded file the digest of its bytes, in hex.
    pub fn sha256(&self) -> Option<&str> {
        self.0.rsplit('/').next().filter(|_| self.is_file())
    }

    /// What the table knows of the partition; `None` when it has no position yet.
    pub fn position(&self, txns: &Transactions) -> Option<Position> {
        let bytes = txns.get(&self.bytes()).copied();
        let text = txns.get(&self.text()).copied();
        Some(Position {
            next: *txns.get(&self.0)?,
            newest: txns.get(&self.newest()).copied(),
            reached: txns.get(&self.reached()).copied(),
            skipped: txns.get(&self.skipped()).copied().unwrap_or_default(),
            arrival: txns.get(&self.arrival()).copied(),
            extent: bytes.zip(text).map(|(bytes, text)| Extent { bytes, text }),
        })
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The partitions a table has positions of, by id; loaded files are told by [`PartitionId::is_file`].
pub fn partitions(txns: &Transactions) -> impl Iterator<Item = (PartitionId, Position)> + '_ {
    txns.keys().map(|id| PartitionId(id.clone())).filter_map(|id| {
        let parts = id.0.split('/').count();
        let of_records = !id.0.contains('#') && (parts == 4 || id.is_file());
        let position = id.position(txns).filter(|_| of_records)?;
        Some((id, position))
    })
}

/// How far a partition has come in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The offset to read from next.
    pub next: i64,
    /// The mark that `late` is told by, µs.
    pub newest: Option<i64>,
    /// The greatest min(`occurred_at`, arrival), µs.
    pub reached: Option<i64>,
    /// Tombstones counted.
    pub skipped: i64,
    /// For a loaded file: the arrival of its events, µs.
    pub arrival: Option<i64>,
    /// For a loaded file.
    pub extent: Option<Extent>,
}

/// How long a loaded file is, and how much of it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its bytes as they lie on the disk, all of them.
    pub bytes: i64,
    /// The bytes of its text, decompressed, before the position.
    pub text: i64,
}

/// The mark that every rewrite of a day moves; a table without days has one for all.
pub(crate) fn rewrite_mark(day: Option<Day>) -> String {
    day.map_or_else(|| "rewrite/all".to_owned(), |day| format!("rewrite/{day}"))
}

/// The log entry's path below the table.
pub(crate) fn entry_path(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}
