//! The maintenance of a lake: what changes or checks tables besides ingest.
//!
//! - `rewrite`: replacing the files of days, and appending to tables without partitions
//! - `vacuum`: deleting files that no version names
//! - `retention`: sealing old days
//! - `erasure`: erasing partners
//! - `verify`: comparing every file with what was written
//! - `repair`: restoring what the rest of the lake determines
//! - `upgrade`: bringing a lake to this program's format
//! - `backup`: copying a lake while it is written
//! - `key_rotation`: a new key for the lake

pub(crate) mod backup;
pub(crate) mod erasure;
pub(crate) mod key_rotation;
pub(crate) mod repair;
pub(crate) mod retention;
pub(crate) mod rewrite;
pub(crate) mod upgrade;
pub(crate) mod vacuum;
pub(crate) mod verify;
