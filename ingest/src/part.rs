//! One partition, or one file, and what was read of it since the last commit.

use std::collections::BTreeSet;

use lake::{ALLOWED_LATENESS, Advance, Extent, PartitionId};
use lake_types::Stream;

use crate::dead::DeadLetter;
use crate::decode::{Event, Origin, Rows};
use crate::generation::Slice;
use crate::lateness::is_late;

/// Where a partition stands and what it holds uncommitted.
pub(crate) struct Part {
    pub(crate) stream: Stream,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) id: PartitionId,
    /// The position to read next.
    pub(crate) next: i64,
    /// For a file: the arrival of its events, kept with its position.
    pub(crate) arrival: Option<i64>,
    /// For a file: its length, and how much of its text lies before the position.
    pub(crate) extent: Option<Extent>,
    /// The position that the buffer was read from: the raw table's, once what is in flight is there.
    pub(crate) raw_from: Option<i64>,
    pub(crate) dead_from: Option<i64>,
    /// The raw table's position as far as is known.
    pub(crate) in_lake: Option<i64>,
    /// Rows that are in flight, and about the memory they take.
    pub(crate) in_flight: (usize, usize),
    /// Offsets from `raw_from` on that stand in the dead letters already.
    pub(crate) dead_known: BTreeSet<i64>,
    /// What `late` is told by, see [`is_late`].
    pub(crate) mark: Option<i64>,
    pub(crate) reached: Option<i64>,
    pub(crate) skipped: i64,
    /// A mark moved that is worth a commit without records.
    pub(crate) dirty: bool,
    pub(crate) rows: Rows,
    /// Empty rows with memory to be used again.
    pub(crate) spare: Option<Rows>,
    pub(crate) dead: Vec<DeadLetter>,
}

impl Part {
    pub(crate) fn changed(&self) -> bool {
        self.dirty || self.raw_from.unwrap_or(0) != self.next
    }

    /// Takes an accepted event; whether it was late.
    pub(crate) fn take(&mut self, event: &Event<'_>, offset: i64, arrival: i64) -> bool {
        let late = is_late(&mut self.mark, event.occurred_at, arrival, ALLOWED_LATENESS);
        let origin = Origin { topic: &self.topic, partition: self.partition, offset, arrival };
        self.rows.push(event, &origin, late);
        self.reached = self.reached.max(Some(event.occurred_at.min(arrival)));
        late
    }

    /// Moves the mark of a quiet partition with the clock, so that it holds no watermark up.
    pub(crate) fn reach(&mut self, micros: i64) {
        if self.reached.is_none_or(|r| r < micros) {
            self.reached = Some(micros);
            self.dirty = true;
        }
    }

    /// Cuts off what is held, to be committed; reading goes on from here.
    pub(crate) fn cut(&mut self, index: usize) -> Slice {
        self.in_flight = (self.rows.len(), self.rows.bytes());
        let (raw, dead) = (self.advance_raw(), self.advance_dead());
        let empty = self.spare.take().unwrap_or_else(|| Rows::new(self.stream));
        let rows = std::mem::replace(&mut self.rows, empty);
        self.raw_from = Some(raw.to);
        self.dead_from = Some(dead.to);
        self.dead_known.retain(|offset| *offset >= raw.to);
        self.dirty = false;
        let (topic, letters) = (self.topic.clone(), std::mem::take(&mut self.dead));
        let (stream, partition) = (self.stream, self.partition);
        Slice { index, stream, topic, partition, raw, dead, rows, letters }
    }

    /// Drops what is held: another worker has gone on from where it began.
    pub(crate) fn let_go(&mut self) {
        self.rows = Rows::new(self.stream);
        self.dead.clear();
        self.dirty = false;
        self.raw_from = Some(self.next);
    }

    /// The part's progress as the raw table keeps it.
    fn advance_raw(&self) -> Advance {
        Advance {
            id: self.id.clone(),
            from: self.raw_from,
            to: self.next,
            newest: self.mark,
            reached: self.reached,
            skipped: Some(self.skipped),
            arrival: self.arrival,
            extent: self.extent,
        }
    }

    /// The part's progress as the dead letters keep it: the position alone.
    fn advance_dead(&self) -> Advance {
        Advance {
            id: self.id.clone(),
            from: self.dead_from,
            to: self.next.max(self.dead_from.unwrap_or(0)),
            newest: None,
            reached: None,
            skipped: None,
            arrival: None,
            extent: None,
        }
    }
}
