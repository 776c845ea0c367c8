//! Partner health: frames in, scores with their reasons out. The only home of polars.
//!
//! Pure: no clock, no files, no randomness; the same input gives the same bytes.
//!
//! - `policy`: the scoring policy, read from `scoring.toml`
//! - `windows`: the 28 days that signals look at, and the baseline before them
//! - `value_check`: a value of the policy compared with its allowed range
//! - `input`: the frames, and the partners read from them
//! - `lifecycle`: the stage of a partner
//! - `signals`: the registry of health signals, and a file for each
//! - `incident`: incidents found in a partner's error rates
//! - `weighted_score`: coverage, score, tier, and the median scores of a segment
//! - `impact`: what a partner is worth
//! - `top_reason`: the one sentence beside a partner
//! - `score`: a whole run
//! - `output`: the rows of `partner_health` and `partner_signals`
//! - `robust_statistics`: medians, deviations and slopes that outliers do not move

mod impact;
mod incident;
mod input;
mod lifecycle;
mod output;
mod policy;
mod robust_statistics;
mod score;
#[cfg(test)]
mod score_tests;
mod signals;
#[cfg(test)]
mod test_input;
mod top_reason;
mod value_check;
mod weighted_score;
mod windows;

pub use input::{ScoreError, ScoreInput};
pub use lifecycle::{CHURN_DAYS, OnboardingStep, STUCK_DAYS};
pub use output::{PartnerScore, ScoreOutput, SignalScore};
pub use policy::{DEFAULT_POLICY, MinimumEvidence, Policy, PolicyError, TierThresholds};
pub use score::score;
pub use signals::{signal_metrics, signal_names};
pub use windows::Windows;
