//! What a run tells of itself while it goes: counts, where each partition stands, commit times.

use std::time::Duration;

use lake_types::Stream;

use crate::sink::Counts;

/// What a run shows while it goes.
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub counts: Counts,
    /// Records between the positions and the ends of the assigned partitions.
    pub lag: i64,
    /// The sum of the offsets read next in the assigned partitions.
    pub read: i64,
    /// The assigned partitions.
    pub partitions: Vec<PartitionStatus>,
    pub commits: CommitTimes,
}

/// An assigned partition.
#[derive(Debug, Clone)]
pub struct PartitionStatus {
    pub stream: Stream,
    pub topic: String,
    pub partition: i32,
    /// The offset to read next.
    pub next: i64,
    /// Records between it and the end.
    pub lag: i64,
    /// What `late` is told by, µs: the greatest min(`occurred_at`, arrival), one wrong clock aside.
    pub mark: Option<i64>,
    /// The greatest min(`occurred_at`, arrival), µs: what the watermark is made of.
    pub reached: Option<i64>,
    /// Accepted events that are not committed yet.
    pub buffered_rows: usize,
    /// About the memory they take.
    pub buffered_bytes: usize,
}

/// How long commits took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitTimes {
    /// Commits by duration: at most the bound of the same place in [`CommitTimes::BOUNDS`], the
    /// last one beyond them all.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    pub sum: Duration,
    pub last: Option<Duration>,
}

impl CommitTimes {
    /// Upper bounds, in seconds.
    pub const BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

    pub(crate) fn add(&mut self, took: Duration) {
        let place = Self::BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound);
        self.counts[place.unwrap_or(Self::BOUNDS.len())] += 1;
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
