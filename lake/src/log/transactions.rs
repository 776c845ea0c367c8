//! A table's transaction ids: the positions and the rewrite marks that its commits carry.

use std::collections::BTreeMap;
use std::fmt;

use domain::Day;

/// The newest version of every application id, of the `txn` actions up to a version of the table.
pub type Transactions = BTreeMap<String, i64>;

/// The application id of a source of records: `<cluster>/<topic>/<topic id>/<partition>` for a
/// Kafka partition, `file/<stream>/<sha256>` for a loaded file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(String);

impl PartitionId {
    pub fn kafka(cluster: &str, topic: &str, topic_id: &str, partition: i32) -> Self {
        Self(format!("{cluster}/{topic}/{topic_id}/{partition}"))
    }

    pub fn file(stream: domain::Stream, sha256: &str) -> Self {
        Self(format!("file/{stream}/{sha256}"))
    }

    /// Returns the id that a replay of a stream's dead letters raises, in the stream's raw table
    /// before it does so in the table of dead letters.
    pub fn replay(stream: domain::Stream) -> Self {
        Self(format!("replay/{stream}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_file(&self) -> bool {
        self.0.starts_with("file/")
    }

    pub(crate) fn newest_id(&self) -> String {
        format!("{}#newest", self.0)
    }

    pub(crate) fn reached_id(&self) -> String {
        format!("{}#reached", self.0)
    }

    pub(crate) fn skipped_id(&self) -> String {
        format!("{}#skipped", self.0)
    }

    pub(crate) fn rereads_id(&self) -> String {
        format!("{}#rereads", self.0)
    }

    pub(crate) fn arrival_id(&self) -> String {
        format!("{}#arrival", self.0)
    }

    pub(crate) fn bytes_id(&self) -> String {
        format!("{}#bytes", self.0)
    }

    pub(crate) fn text_id(&self) -> String {
        format!("{}#text", self.0)
    }

    /// Returns the SHA-256 of a loaded file, in hex; `None` for a Kafka partition.
    pub fn sha256(&self) -> Option<&str> {
        self.0.rsplit('/').next().filter(|_| self.is_file())
    }

    /// Returns the partition's position in a table; `None` when it has none yet.
    pub fn position(&self, txns: &Transactions) -> Option<PartitionPosition> {
        let bytes = txns.get(&self.bytes_id()).copied();
        let text = txns.get(&self.text_id()).copied();
        Some(PartitionPosition {
            next: *txns.get(&self.0)?,
            newest: txns.get(&self.newest_id()).copied(),
            reached: txns.get(&self.reached_id()).copied(),
            skipped: txns.get(&self.skipped_id()).copied().unwrap_or_default(),
            rereads: txns.get(&self.rereads_id()).copied().unwrap_or_default(),
            arrival: txns.get(&self.arrival_id()).copied(),
            file_progress: bytes.zip(text).map(|(bytes, text)| FileProgress { bytes, text }),
        })
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the partitions that have positions in a table, by id. [`PartitionId::is_file`]
/// distinguishes loaded files.
pub fn partitions(
    txns: &Transactions,
) -> impl Iterator<Item = (PartitionId, PartitionPosition)> + '_ {
    txns.keys().map(|id| PartitionId(id.clone())).filter_map(|id| {
        let parts = id.0.split('/').count();
        let has_records = !id.0.contains('#') && (parts == 4 || id.is_file());
        let position = id.position(txns).filter(|_| has_records)?;
        Some((id, position))
    })
}

/// How far a table has taken in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionPosition {
    /// The next offset to read.
    pub next: i64,
    /// The newest event time, by which ingest decides whether an event is late, µs.
    pub newest: Option<i64>,
    /// The greatest min(`occurred_at`, arrival) of the events so far, or a later instant to which
    /// an idle partition was advanced, µs. The watermark is computed from it.
    pub reached: Option<i64>,
    /// The number of tombstones so far.
    pub skipped: i64,
    /// The number of commits of records before the position, which were read again.
    pub rereads: i64,
    /// The arrival of the events of a loaded file, µs.
    pub arrival: Option<i64>,
    /// How far a loaded file has been read.
    pub file_progress: Option<FileProgress>,
}

/// The size of a loaded file, and how much of it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileProgress {
    /// The size of the file on disk, in bytes.
    pub bytes: i64,
    /// The number of decompressed bytes before the end of the last line that was read. The line end
    /// itself does not count.
    pub text: i64,
}

/// Returns the application id that every rewrite of a day raises. A table without days has one id
/// for all rewrites.
pub(crate) fn rewrite_mark(day: Option<Day>) -> String {
    day.map_or_else(|| "rewrite/all".to_owned(), |day| format!("rewrite/{day}"))
}
