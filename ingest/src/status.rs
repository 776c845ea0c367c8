//! What a run reports while it goes: counts, what was rejected and why, the position of each
//! partition, commit times.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Day, Stream};

use crate::decode::{RejectReason, Rejection};

/// The number of positions that are kept of the records that broke one rule.
const POSITIONS_PER_RULE: usize = 5;
/// The number of rules that are kept apart for one reason and field.
const RULES_PER_FIELD: usize = 5;
/// The number of rules that are kept apart in a run.
const RULES_PER_RUN: usize = 48;

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
    /// Records that the stream's mapping left out.
    pub skipped: u64,
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
    /// The rules that rejected records broke, each with the first records that broke it.
    pub rejections: Rejections,
    /// Rejected records of days that retention has sealed.
    pub sealed_days: u64,
    /// The first day that retention has not sealed.
    pub sealed_before: Option<Day>,
}

impl IngestCounts {
    /// Counts a rejected record, and keeps which rule it broke and where it is.
    pub(crate) fn record_rejection(
        &mut self,
        stream: Stream,
        (topic, partition, offset): (&str, i32, i64),
        rejection: &Rejection,
    ) {
        self.rejected += 1;
        *self.by_reason.entry(rejection.reason.as_str()).or_default() += 1;
        self.sealed_days += u64::from(rejection.sealed_before.is_some());
        self.sealed_before = self.sealed_before.max(rejection.sealed_before);
        self.rejections.add(stream, (topic, partition, offset), rejection);
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.tombstones += other.tombstones;
        self.skipped += other.skipped;
        self.late += other.late;
        self.already_stored += other.already_stored;
        self.commits += other.commits;
        self.bytes += other.bytes;
        for (reason, n) in &other.by_reason {
            *self.by_reason.entry(reason).or_default() += n;
        }
        self.rejections.merge(&other.rejections);
        self.sealed_days += other.sealed_days;
        self.sealed_before = self.sealed_before.max(other.sealed_before);
    }
}

/// The rules that rejected records broke. It keeps a bounded number of them and of their records,
/// and quotes nothing of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections {
    rules: Vec<BrokenRule>,
}

/// A rule, and the records that broke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRule {
    pub stream: Stream,
    pub reason: RejectReason,
    /// The field that broke the rule, by its name in the record.
    pub field: Option<&'static str>,
    /// The rule in a sentence, in the words of the first record that broke it. It is empty where
    /// this stands for all further rules of the reason and the field.
    pub detail: String,
    pub count: u64,
    /// The first records that broke it, in the order in which they were read.
    pub first: Vec<RecordPosition>,
}

/// The position of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPosition {
    /// The topic, or for a file `file:<name>#<start of its SHA-256>`.
    pub topic: String,
    pub partition: i32,
    /// The offset, or for a file the line number from 0.
    pub offset: i64,
}

impl RecordPosition {
    /// Returns the name of the file that the record comes from, or `None` where it comes from
    /// Kafka.
    pub fn file(&self) -> Option<&str> {
        let name = self.topic.strip_prefix("file:")?;
        Some(name.rsplit_once('#').map_or(name, |(name, _)| name))
    }
}

impl Rejections {
    /// Returns the broken rules, in the order in which they were first broken.
    pub fn rules(&self) -> &[BrokenRule] {
        &self.rules
    }

    /// Names the file that all records come from, in place of its name in the lake.
    pub fn set_file(&mut self, path: &str) {
        for position in self.rules.iter_mut().flat_map(|rule| &mut rule.first) {
            position.topic = format!("file:{path}#");
        }
    }

    /// Adds a rejected record.
    pub(crate) fn add(
        &mut self,
        stream: Stream,
        (topic, partition, offset): (&str, i32, i64),
        rejection: &Rejection,
    ) {
        let (reason, field) = (rejection.reason, rejection.field);
        let rule = self.rule(stream, reason, field, &rejection.detail);
        rule.count += 1;
        if rule.first.len() < POSITIONS_PER_RULE {
            let position = RecordPosition { topic: topic.to_owned(), partition, offset };
            // A record that is read again after a lost commit is listed once.
            if !rule.first.contains(&position) {
                rule.first.push(position);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for theirs in &other.rules {
            let rule = self.rule(theirs.stream, theirs.reason, theirs.field, &theirs.detail);
            rule.count += theirs.count;
            let room = POSITIONS_PER_RULE.saturating_sub(rule.first.len());
            rule.first.extend(theirs.first.iter().take(room).cloned());
        }
    }

    /// Returns the entry of a rule. Details that differ only in their numbers, such as a column of
    /// a line, are one rule.
    fn rule(
        &mut self,
        stream: Stream,
        reason: RejectReason,
        field: Option<&'static str>,
        detail: &str,
    ) -> &mut BrokenRule {
        let is_of_field =
            |rule: &BrokenRule| (rule.stream, rule.reason, rule.field) == (stream, reason, field);
        let found = self
            .rules
            .iter()
            .position(|r| is_of_field(r) && is_same_but_numbers(&r.detail, detail));
        if let Some(index) = found {
            return &mut self.rules[index];
        }
        let of_field = self.rules.iter().filter(|rule| is_of_field(rule)).count();
        let has_room = of_field < RULES_PER_FIELD && self.rules.len() < RULES_PER_RUN;
        let rest = self.rules.iter().position(|r| is_of_field(r) && r.detail.is_empty());
        if let Some(index) = rest.filter(|_| !has_room) {
            return &mut self.rules[index];
        }
        // At most one entry for each reason and field is added beyond the limits.
        let detail = if has_room { detail.to_owned() } else { String::new() };
        self.rules.push(BrokenRule { stream, reason, field, detail, count: 0, first: Vec::new() });
        let last = self.rules.len() - 1;
        &mut self.rules[last]
    }
}

/// Returns whether two texts differ at most in their numbers.
fn is_same_but_numbers(one: &str, other: &str) -> bool {
    one == other || words(one).eq(words(other))
}

/// Returns what stands between the numbers of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty())
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

    fn rejection(reason: RejectReason, field: Option<&'static str>, detail: &str) -> Rejection {
        Rejection { reason, field, detail: detail.to_owned(), sealed_before: None }
    }

    #[test]
    fn rejections_are_grouped_by_rule() {
        let mut counts = IngestCounts::default();
        let not_json = |n: i64| rejection(RejectReason::NotJson, None, &format!("column {n}"));
        for offset in 0..1_000 {
            counts.record_rejection(Stream::ApiCalls, ("t", 0, offset), &not_json(offset));
        }
        // It is read again.
        counts.record_rejection(Stream::ApiCalls, ("t", 0, 999), &not_json(7));
        let status = rejection(RejectReason::MissingField, Some("status"), "absent");
        counts.record_rejection(Stream::ApiCalls, ("t", 1, 4), &status);
        counts.record_rejection(Stream::BillingEvents, ("u", 0, 4), &status);
        let rules = counts.rejections.rules();
        assert_eq!(rules.iter().map(|r| r.count).collect::<Vec<_>>(), [1_001, 1, 1]);
        assert_eq!((rules[0].detail.as_str(), rules[0].first.len()), ("column 0", 5));
        let position = RecordPosition { topic: "t".to_owned(), partition: 1, offset: 4 };
        assert_eq!(rules[1].first, [position]);
        assert_eq!((counts.rejected, counts.by_reason["not_json"]), (1_003, 1_001));
        let mut sum = counts.clone();
        sum.add(&counts);
        assert_eq!((sum.rejected, sum.rejections.rules()[0].count), (2_006, 2_002));
        assert_eq!(sum.rejections.rules().len(), 3);
    }

    #[test]
    fn a_bounded_number_of_rules_is_kept() {
        let mut counts = IngestCounts::default();
        for n in 0..10_000u32 {
            let letters = format!("{n}").replace(|c: char| c.is_ascii_digit(), "x");
            let word: String = (0..n % 97).map(|_| 'y').collect();
            let detail = format!("{letters} {word}");
            let fields = [None, Some("a"), Some("b"), Some("c")];
            let reason = RejectReason::ALL[n as usize % RejectReason::ALL.len()];
            let field = fields[n as usize / 7 % fields.len()];
            let stream = Stream::ALL[n as usize / 3 % Stream::ALL.len()];
            let position = ("t", 0, i64::from(n));
            counts.record_rejection(stream, position, &rejection(reason, field, &detail));
        }
        let rules = counts.rejections.rules();
        let most = RULES_PER_RUN + RejectReason::ALL.len() * 4 * Stream::ALL.len();
        assert!(rules.len() <= most, "{}", rules.len());
        assert_eq!(rules.iter().map(|r| r.count).sum::<u64>(), 10_000);
    }

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
