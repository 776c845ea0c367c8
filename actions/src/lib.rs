//! Actions: a policy over partners' health → a plan that a person can read and a machine can check.
//!
//! Knows no SQL: whoever plans hands in the function that says which partners meet a condition.
//! Reading order: `policy` (policy.toml), `input` (what a plan is made from), `document` (the plan
//! as a file), `plan` (rules → changes), `guardrails` (what one change may be), `limits` (what all
//! of them together may), `digest` (keys and fingerprints), `readable` (the table for a terminal).

mod digest;
mod document;
mod guardrails;
mod input;
mod limits;
mod plan;
#[cfg(test)]
mod plan_test;
mod policy;
mod readable;

pub use digest::state_digest;
pub use document::{
    ActionKind, Change, Contribution, Guardrail, Outcome, Plan, Setting, Stopped, SupportRoute, Why,
};
pub use input::{PartnerState, PlanInput, QuotaChange};
pub use plan::{Evaluate, PlanError, plan};
pub use policy::{
    Action, DEFAULT_POLICY, Guardrails, PlanQuota, Policy, PolicyError, QuotaTarget, Rule, Track,
};
pub use readable::{Row, readable, told};
