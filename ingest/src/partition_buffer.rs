//! The position and the uncommitted events of one partition or file.

use std::collections::BTreeSet;

use domain::Stream;
use lake::{ALLOWED_LATENESS, FileProgress, PartitionId, PositionAdvance};

use crate::dead_letters::rejected_record::RejectedRecord;
use crate::decode::{Event, RecordOrigin, Rows};
use crate::lateness::is_late;
use crate::mapping::Mapping;

/// The state of one partition or file: its position, and what was read since the last flush.
pub(crate) struct PartitionBuffer {
    pub(crate) stream: Stream,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) id: PartitionId,
    /// The next offset to read.
    pub(crate) next_offset: i64,
    /// For a file: the arrival of its events, which is committed with its position.
    pub(crate) arrival: Option<i64>,
    /// For a file: its length, and how much of its text lies before the position.
    pub(crate) file_progress: Option<FileProgress>,
    /// The raw table's position from which the buffer was read, once the flush in flight is
    /// committed. `None` where the raw table has no position.
    pub(crate) raw_from: Option<i64>,
    pub(crate) dead_letters_from: Option<i64>,
    /// How many commits of records had not moved the position of the dead letters.
    pub(crate) dead_letter_rereads: i64,
    /// The raw table's position as far as it is known.
    pub(crate) committed_offset: Option<i64>,
    /// The rows of the flush in flight, and their approximate memory in bytes.
    pub(crate) in_flight_rows: usize,
    pub(crate) in_flight_bytes: usize,
    /// Offsets from `raw_from` on that are in the dead letters already.
    pub(crate) known_dead_letters: BTreeSet<i64>,
    /// The newest event time that decides which events are late, see [`is_late`].
    pub(crate) newest: Option<i64>,
    pub(crate) reached: Option<i64>,
    /// Tombstones, and records that the mapping left out.
    pub(crate) skipped: i64,
    /// What turns the records into events, where they are none themselves.
    pub(crate) mapping: Option<Mapping>,
    /// Whether a position or `reached` moved so that a commit without records is needed.
    pub(crate) dirty: bool,
    pub(crate) rows: Rows,
    /// Empty rows whose memory is reused.
    pub(crate) spare_rows: Option<Rows>,
    pub(crate) rejected: Vec<RejectedRecord>,
}

/// One partition's share of a flush.
pub(crate) struct FlushSlice {
    /// The index of its buffer in the sink.
    pub(crate) index: usize,
    pub(crate) stream: Stream,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) raw: PositionAdvance,
    pub(crate) dead_letters: PositionAdvance,
    pub(crate) rows: Rows,
    pub(crate) rejected: Vec<RejectedRecord>,
}

impl PartitionBuffer {
    /// Whether there is anything to commit.
    pub(crate) fn has_changes(&self) -> bool {
        self.dirty || self.raw_from.unwrap_or(0) != self.next_offset
    }

    /// Adds an accepted event. Returns whether it is late.
    pub(crate) fn push_event(&mut self, event: &Event<'_>, offset: i64, arrival: i64) -> bool {
        let late = is_late(&mut self.newest, event.occurred_at, arrival, ALLOWED_LATENESS);
        let origin =
            RecordOrigin { topic: &self.topic, partition: self.partition, offset, arrival };
        self.rows.push(event, &origin, late);
        self.reached = self.reached.max(Some(event.occurred_at.min(arrival)));
        late
    }

    /// Moves `reached` of an idle partition to an instant, so that it does not hold the watermark
    /// back.
    pub(crate) fn advance_reached(&mut self, micros: i64) {
        if self.reached.is_none_or(|r| r < micros) {
            self.reached = Some(micros);
            self.dirty = true;
        }
    }

    /// Takes what was buffered, to be committed. Reading goes on after it.
    pub(crate) fn take_slice(&mut self, index: usize) -> FlushSlice {
        (self.in_flight_rows, self.in_flight_bytes) = (self.rows.len(), self.rows.bytes());
        let (raw, dead_letters) = (self.advance_raw(), self.advance_dead_letters());
        let empty = self.spare_rows.take().unwrap_or_else(|| Rows::new(self.stream));
        let rows = std::mem::replace(&mut self.rows, empty);
        self.raw_from = Some(raw.to);
        if dead_letters.rereads.is_some() && dead_letters.from == Some(dead_letters.to) {
            self.dead_letter_rereads += 1;
        }
        self.dead_letters_from = Some(dead_letters.to);
        self.known_dead_letters.retain(|offset| *offset >= raw.to);
        self.dirty = false;
        let (topic, rejected) = (self.topic.clone(), std::mem::take(&mut self.rejected));
        let (stream, partition) = (self.stream, self.partition);
        FlushSlice { index, stream, topic, partition, raw, dead_letters, rows, rejected }
    }

    /// Drops what was buffered, because another worker has committed from the same position.
    pub(crate) fn discard(&mut self) {
        self.rows = Rows::new(self.stream);
        self.rejected.clear();
        self.dirty = false;
        self.raw_from = Some(self.next_offset);
    }

    /// Returns the progress that is committed to the raw table.
    fn advance_raw(&self) -> PositionAdvance {
        PositionAdvance {
            id: self.id.clone(),
            from: self.raw_from,
            to: self.next_offset,
            newest: self.newest,
            reached: self.reached,
            skipped: Some(self.skipped),
            arrival: self.arrival,
            file_progress: self.file_progress,
            rereads: None,
        }
    }

    /// Returns the progress that is committed to the dead letters: the position, and how often records
    /// before it were read again. An idle partition reads none.
    fn advance_dead_letters(&self) -> PositionAdvance {
        let to = self.next_offset.max(self.dead_letters_from.unwrap_or(0));
        let reads_records = self.raw_from != Some(self.next_offset);
        PositionAdvance {
            rereads: reads_records.then_some(self.dead_letter_rereads),
            ..PositionAdvance::of_position(self.id.clone(), self.dead_letters_from, to)
        }
    }
}
