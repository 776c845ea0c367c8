//! What a run reports while it goes: counts, the position of each partition, commit times.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Day, Stream};

/// The state of a run.
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub counts: IngestCounts,
    /// The number of records between the positions and the ends of the assigned partitions.
    pub lag: i64,
    /// The sum of the next offsets of the assigned partitions.
    pub offsets_read: i64,
    /// The assigned partitions.
    pub partitions: Vec<PartitionStatus>,
    pub commits: CommitTimes,
}

/// The counts of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngestCounts {
    /// Records read, tombstones included. A record that is read again after a lost commit counts
    /// again.
    pub records: u64,
    /// Valid events.
    pub accepted: u64,
    /// Records that broke a rule.
    pub rejected: u64,
    /// Records without a value.
    pub tombstones: u64,
    /// Accepted events that were late.
    pub late: u64,
    /// Records that were skipped because the lake has them already.
    pub already_stored: u64,
    /// Commits to raw tables.
    pub commits: u64,
    /// Bytes of Parquet that were committed.
    pub bytes: u64,
    /// Rejected records by the reason's name.
    pub by_reason: BTreeMap<&'static str, u64>,
    /// Rejected records of days that retention has sealed.
    pub sealed_days: u64,
    /// The first day that retention has not sealed.
    pub sealed_before: Option<Day>,
}

/// An assigned partition.
#[derive(Debug, Clone)]
pub struct PartitionStatus {
    pub stream: Stream,
    pub topic: String,
    pub partition: i32,
    /// The next offset to read.
    pub next_offset: i64,
    /// The number of records between the position and the end.
    pub lag: i64,
    /// The event time that decides which events are late, in µs: the greatest min(`occurred_at`,
    /// arrival), of which a single record moves it by the allowed lateness at most.
    pub newest: Option<i64>,
    /// The greatest min(`occurred_at`, arrival) in µs, from which the watermark is computed.
    pub reached: Option<i64>,
    /// Accepted events that are not committed yet.
    pub buffered_rows: usize,
    /// Their approximate memory in bytes.
    pub buffered_bytes: usize,
}

/// A histogram of the durations of commits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitTimes {
    /// The number of commits in each bucket. A bucket ends at the bound of the same index in
    /// [`CommitTimes::BOUNDS`], and the last one has no bound.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// The sum of all durations.
    pub sum: Duration,
    /// The duration of the last commit.
    pub last: Option<Duration>,
}

impl CommitTimes {
    /// Upper bounds of the buckets, in seconds.
    pub const BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

    /// Adds the duration of a commit.
    pub(crate) fn add(&mut self, took: Duration) {
        let bucket = Self::BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound);
        self.counts[bucket.unwrap_or(Self::BOUNDS.len())] += 1;
        self.sum += took;
        self.last = Some(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_by_duration() {
        let mut times = CommitTimes::default();
        for millis in [50, 51, 900, 120_000] {
            times.add(Duration::from_millis(millis));
        }
        assert_eq!(times.counts, [1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(times.sum, Duration::from_millis(121_001));
        assert_eq!(times.last, Some(Duration::from_secs(120)));
    }
}
