//! Actions: from a policy and the health of partners to a plan that people can read and programs
//! can check, and from the plan to deliveries that can be undone.
//!
//! Without SQL and without tables: the caller passes the partners that meet each condition, and
//! where the log is kept.
//!
//! - `policy`: the action policy, read from `policy.toml`
//! - `input`: what a plan is made from
//! - `document`: the plan as a file
//! - `plan`: from rules to changes
//! - `guardrails`: the limits of one quota change
//! - `grants`: raises that end by themselves
//! - `limits`: the limits of a whole plan
//! - `fairness`: like cases with unlike treatment
//! - `finish`: the order, the digests and the id of a plan
//! - `alerts`: rules over rows of metrics, snoozes
//! - `notices`: who is told what once in an episode, and that it is over
//! - `episodes`: stretches of a rule holding for a partner
//! - `log`: what was approved, sent and answered
//! - `rollback`: a plan that takes another one back
//! - `apply`: delivers the changes of a plan
//! - `deliver`: the channels
//! - `digest`: digests and idempotency keys
//! - `plan_table`: the plan as a table of text
//! - `deliver`: how a change reaches the system that it concerns; it alone talks to others

mod alerts;
mod apply;
pub mod deliver;
mod digest;
mod document;
mod episodes;
mod fairness;
mod finish;
mod grants;
#[cfg(test)]
mod guardrail_tests;
mod guardrails;
mod input;
mod limits;
pub mod log;
#[cfg(test)]
mod notice_tests;
mod notices;
mod plan;
#[cfg(test)]
mod plan_grant_tests;
mod plan_table;
#[cfg(test)]
mod plan_tests;
mod policy;
#[cfg(test)]
mod policy_tests;
mod rollback;
#[cfg(test)]
mod test_log;

pub use alerts::{AboutPart, AlertRule, FoundAlert, Snooze, Snoozes, rule_id_of};
pub use apply::{
    ActionStore, ApplyError, ApplyOptions, ApplyRefusal, ApplyReport, ChangeReport, Channels,
    DeliveryOutcome, PLAN_DAYS, StoreError, StoreState, VerifyReport, apply, is_finished,
    log_entry, verify,
};
pub use digest::partner_digest;
pub use document::{
    Change, Contribution, Extension, GuardrailCheck, GuardrailOverride, Outcome, Plan, PlanLimits,
    QuotaDifference, Rationale, StoppedChange, UnlikeTreatment,
};
pub use episodes::{EPISODE_MISSES, Episode, EpisodeEvent, EpisodeRow, Episodes, Holding};
pub use guardrails::lowest_quota;
pub use input::{ChannelsInForce, LiveQuota, PartnerState, PlanInput, QuotaChange};
pub use limits::{blocking_reasons, stale_data};
pub use notices::make_notices;
pub use plan::{EvaluateCondition, Matches, PlanError, make_plan, match_rules};
pub use plan_table::{PlanTableRow, plan_table, rule_and_reason};
pub use policy::{
    DEFAULT_POLICY, GuardrailSettings, PlanQuota, Policy, PolicyError, QuotaTarget, Rule,
    RuleAction, RuleKind,
};
pub use rollback::make_rollback;
