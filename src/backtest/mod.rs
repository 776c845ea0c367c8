//! Replays of history: what the score would have said at origins in the past, and what came of it.
//!
//! - `history`: the lake or folder that is replayed, and the policy
//! - `origins`: the days as of which partners are scored
//! - `events_folder`: the events of a folder, in a temporary lake
//! - `labels`: what became of each partner after each origin
//! - `observations`: what was said and known of each partner on each day
//! - `sample`: observations with their labels, as rows of a backtest and of a fit
//! - `replay`: all days scored one after the other
//! - `policy_text`: the text of a policy with other weights
//! - `risk_file`: the proposed risk model as a file

mod events_folder;
pub(crate) mod history;
mod labels;
mod observations;
mod origins;
pub(crate) mod policy_text;
mod replay;
pub(crate) mod risk_file;
mod sample;

pub(crate) use events_folder::load as load_events;
pub(crate) use labels::OlderLateCalls;
pub(crate) use replay::{Replay, no_overrides};
