//! The removal of duplicates: of the copies of an event, the one with the lowest (topic, partition,
//! offset) counts.
//!
//! Kafka delivers at least once, so an event can be stored several times. Its copies share
//! `partner_id`, `event_id` and `event_date`, and may differ in everything else, the instant
//! included. The files of a day are each sorted by partner. A merge of them by partner therefore
//! holds the rows of one partner at a time, and compares only these.
//!
//! - `identity`: the columns that identify an event and order its copies
//! - `duplicate_free_days`: which days have no duplicates
//! - `sorted_merge`: the merge of the files of one day
//! - `exec`: the physical plan over many days

pub(crate) mod duplicate_free_days;
pub(crate) mod exec;
pub(crate) mod identity;
mod sorted_merge;
