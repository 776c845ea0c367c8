//! Actions: from a policy and the health of partners to a plan that people can read and programs
//! can check.
//!
//! Pure, and without SQL: the caller passes the function that evaluates conditions.
//!
//! - `policy`: the action policy, read from `policy.toml`
//! - `input`: what a plan is made from
//! - `document`: the plan as a file
//! - `plan`: from rules to changes
//! - `guardrails`: the limits of one quota change
//! - `limits`: the limits of a whole plan
//! - `digest`: digests and idempotency keys
//! - `plan_table`: the plan as a table of text
//! - `deliver`: how a change reaches the system that it concerns; it alone talks to others

mod deliver;
mod digest;
mod document;
mod guardrails;
mod input;
mod limits;
mod plan;
mod plan_table;
#[cfg(test)]
mod plan_tests;
mod policy;

pub use deliver::{
    Channel, ChannelDefinition, ChannelError, ChannelSettings, Delivery, DeliveryError,
    FileDefinition, Idempotency, KafkaDefinition, LookupValue, MailDefinition, MailSecurity,
    Receipt, Rung, SecretReference, TargetIds, TemplateDefinition, WebhookDefinition,
    build as build_channels,
};
pub use digest::state_digest;
pub use document::{Change, Contribution, GuardrailCheck, Outcome, Plan, Rationale, StoppedChange};
pub use input::{PartnerState, PlanInput, QuotaChange};
pub use plan::{EvaluateCondition, PlanError, make_plan};
pub use plan_table::{PlanTableRow, plan_table, rule_and_reason};
pub use policy::{
    DEFAULT_POLICY, GuardrailSettings, PlanQuota, Policy, PolicyError, QuotaTarget, Rule,
    RuleAction, RuleKind,
};
