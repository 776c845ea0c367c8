//! Partner health: frames in, scores with their reasons out. The only home of polars.
//!
//! Pure: no clock, no files; the same input gives the same bytes.
//!
//! - `policy`: the scoring policy, read from `scoring.toml`
//! - `value_check`: a value of the policy compared with its allowed range
//! - `frames`: the frames that a run is given, and their rows in the order of the partners
//! - `columns`: arithmetic on columns
//! - `robust_statistics`: the median
//! - `sentences`: a sentence for each row
//! - `lifecycle`: the stage of a partner
//! - `partner_columns`: what is known of each partner, whichever signals are computed
//! - `peers`: what is usual among a partner's peers
//! - `signals`: the registry of health signals, and a file for each
//! - `dormancy`: the chance that a partner calls again, by a fitted model or observed rates
//! - `formulas`: formulas that several signals share
//! - `incident`: incidents found in a partner's error rates
//! - `error_details`: the rows that the sentences on errors are made from
//! - `isotonic`: isotonic regression, for calibration and its curve
//! - `weighted_score`: coverage, weighted mean, cap, and the scores with one week left out
//! - `gates`: conditions that a mean cannot see
//! - `risk`: the probability that a partner leaves, by a model that a person adopted
//! - `paying`: how likely a partner becomes paying, by its first 28 days
//! - `evaluation`: all of that for all partners of a day
//! - `tier`: the fold over days, from scores and gates to tiers
//! - `gate_reason`, `top_reason`: the one sentence beside a partner
//! - `score`: a whole run
//! - `score_history`: the scores of earlier days
//! - `output`: the rows of `partner_health` and `partner_signals`
//! - `scored_partners`: the partners of the last day as structs
//! - `explain`: why a partner has its score, and what made it change
//! - `backtest`: what scores of the past were worth

pub mod backtest;
#[cfg(test)]
mod candidate_tests;
mod columns;
mod dormancy;
mod error_details;
mod evaluation;
pub mod explain;
mod formulas;
mod frames;
mod gate_reason;
mod gates;
mod incident;
mod isotonic;
mod lifecycle;
mod output;
mod partner_columns;
mod paying;
mod peers;
mod policy;
pub mod risk;
mod robust_statistics;
mod score;
mod score_history;
mod scored_partners;
mod sentences;
mod signals;
#[cfg(test)]
mod test_input;
#[cfg(test)]
mod test_world;
mod tier;
mod top_reason;
mod value_check;
mod weighted_score;

pub use dormancy::{
    BetaGeometric, DormancyModel, EmpiricalRate, FittedModel, NotFitted, Outcome, RepeatHistory,
    count_histories, fit as fit_beta_geometric, fit_dormancy,
};
pub use evaluation::{
    ACTIVITY, EvaluationInput, PARTNERS, candidate_queries, candidate_queries_of,
    evaluation_queries,
};
pub use frames::ScoreError;
pub use gates::Gate;
pub use lifecycle::{CHURN_DAYS, OnboardingStep, STUCK_DAYS};
pub use output::ScoreOutput;
pub use paying::{PAYING, PayingLikelihood, PayingModel};
pub use policy::{DEFAULT_POLICY, MinimumEvidence, Policy, PolicyError};
pub use risk::{
    FeatureColumns, ProposedWeight, RiskModel, TestOptions, TestResult, TrainingRows,
    WeightsProposal, propose_weights,
};
pub use score::{ScoreInput, score};
pub use score_history::ScoreHistory;
pub use scored_partners::{PartnerScore, ScoredPartners, SignalScore};
pub use signals::signal_names;
pub use tier::{HISTORY_DAYS, TierPolicy};
