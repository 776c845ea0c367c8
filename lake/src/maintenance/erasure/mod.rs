//! Erasing partners. Their rows leave the events, the dead letters and the rollups. In rows that
//! are history, such as scores, a random token replaces the id.
//!
//! - `partners`: the partners to erase
//! - `table_rows`: erasing them from the rows of a table
//! - `cells`: replacing ids in cells by tokens
//! - `id_matcher`: finding ids in texts and bytes
//! - `decodings`: undoing the escapes in which an id may be spelled
//! - `json_members`: the JSON members that hold ids
//! - `dead_letters`: finding ids in sealed records
//! - `scan`: the files of the lake that still contain an id
//! - `ambiguous_values`: the values that may name a partner and stay
//! - `purge`: deleting unreferenced files, and the ids in logs
//! - `report_folders`: the reports that were written from the lake

mod ambiguous_values;
mod cells;
mod dead_letters;
mod decodings;
mod id_matcher;
mod json_members;
mod partners;
mod purge;
mod report_folders;
mod scan;
mod table_rows;
#[cfg(test)]
mod tests;

pub use ambiguous_values::AmbiguousValue;
pub use partners::Erasure;
pub(crate) use report_folders::FOLDER as REPORTS_FOLDER;
pub use report_folders::RecordedReport;
pub use scan::{ErasureScan, FileMatch, FileRole, UnreadReason};
pub use table_rows::{TableErasure, dropped_copies, erased_count_id};
