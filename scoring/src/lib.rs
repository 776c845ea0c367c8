//! Partner health: frames in, scores with their reasons out; the only home of polars.
//!
//! Pure: no clock, no files, no randomness; the same input gives the same bytes. Reading order:
//! `policy` (scoring.toml), `input` (frames → partners), `stage` (where a partner is), `signals`
//! (one file each), `incident` (what their errors tell), `weigh` (coverage, score, tier, contributions), `impact` (what it is worth),
//! `reason` (the sentence), `score` (all of it in order), `output` (the rows of `partner_health` and `partner_signals`),
//! `robust` (medians and slopes), `words` (dates and percentages in sentences).

mod impact;
mod incident;
mod input;
mod output;
mod policy;
mod reason;
mod robust;
mod score;
#[cfg(test)]
mod score_test;
mod signals;
mod stage;
#[cfg(test)]
mod testing;
mod weigh;
mod words;

pub use input::{ScoreError, ScoreInput};
pub use output::{PartnerScore, ScoreOutput, SignalScore};
pub use policy::{DEFAULT_POLICY, Policy, PolicyError};
pub use score::score;
pub use signals::Signal;
pub use stage::{CHURN_DAYS, STUCK_DAYS, Stage};
pub use weigh::Tier;
