//! Rows on actions and alerts: the pending plan, the log of what was done, the open alerts.

use chrono::{DateTime, Utc};
use domain::{ActionKind, Day, Setting, Tier};
use serde::Deserialize;

/// A proposed action of the pending plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRow {
    pub partner_id: String,
    pub kind: ActionKind,
    pub from: Option<Setting>,
    pub to: Option<Setting>,
    /// The day on which the change ends by itself.
    pub until: Option<Day>,
    /// The name of the rule that asked for the change.
    pub rule: String,
    /// The id of that rule in the policy.
    pub rule_id: String,
    /// The rule, and the reason.
    pub why: String,
    /// What each guardrail said.
    pub guardrails: Vec<String>,
    /// What the guardrails said that did more than let the change pass.
    pub hits: Vec<GuardrailHit>,
    /// Whether a person must agree before it is sent.
    pub needs_approval: bool,
    pub status: ChangeStatus,
}

impl PlanRow {
    /// Returns what the change does, as a form sends it back: a change of another plan with the same
    /// text is the same to whoever decides on it.
    pub fn asked(&self) -> String {
        let text = |setting: &Option<Setting>| serde_json::json!(setting).to_string();
        let what = [self.kind.name().to_owned(), text(&self.from), text(&self.to)];
        let until = self.until.map(|day| day.to_string());
        what.into_iter().chain(until).collect::<Vec<_>>().join(" ")
    }

    /// Returns whether a person must agree and nobody has decided yet.
    pub fn is_waiting(&self) -> bool {
        self.needs_approval && self.status.decision.is_none() && self.status.can_approve
    }
}

/// How a change of the plan stands by the log of actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeStatus {
    /// What a person decided last, where that still counts.
    pub decision: Option<ChangeDecision>,
    pub delivery: ChangeDelivery,
    /// Whether a person may agree to it now, also after somebody has refused it.
    pub can_approve: bool,
    /// Whether a person may refuse it now, also after somebody has agreed to it.
    pub can_reject: bool,
}

/// What a person decided on a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeDecision {
    pub is_approved: bool,
    pub by: String,
    pub at: DateTime<Utc>,
    pub reason: Option<String>,
}

/// How far the delivery of a change has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ChangeDelivery {
    #[default]
    NotSent,
    /// An attempt has begun and has no outcome yet.
    Sending,
    /// An attempt failed, and another one follows.
    Failed,
    /// Nobody knows whether the receiver took it.
    Unknown,
    /// The receiver took it.
    Taken,
    /// It is not sent by this plan any more, for this reason.
    Ended(String),
}

/// A guardrail that did more than let a change pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardrailHit {
    pub effect: GuardrailEffect,
    pub reason: String,
}

/// What a guardrail did to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardrailEffect {
    /// It made the change smaller.
    Changed,
    /// It asks for a person.
    NeedsApproval,
    /// It stopped the change.
    Stopped,
    /// A person passed over it.
    Overridden,
}

/// What is known of the pending plan beside its changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanFacts {
    /// The id of the plan.
    pub plan_id: String,
    /// Why nothing may be changed at all.
    pub blocked: Vec<String>,
    pub stopped: Vec<StoppedRow>,
    pub unlike: Vec<UnlikeRow>,
}

/// A change that a rule asked for and a guardrail stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct StoppedRow {
    pub partner_id: String,
    pub kind: ActionKind,
    pub from: Option<Setting>,
    pub asked: Option<Setting>,
    pub rule: String,
    pub why: String,
    /// What the guardrails said that stopped it.
    pub stopped_by: Vec<String>,
}

/// Partners of one plan and tier for which one rule holds, and which get different treatment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlikeRow {
    pub rule: String,
    /// The commercial plan of the partners.
    pub plan: Option<String>,
    pub tier: Tier,
    /// What becomes of them, such as `stopped by cooldown`, each with the ids of its partners.
    pub treatments: Vec<(String, Vec<String>)>,
}

/// An entry of the log of actions, from the query `action_history`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ActionLogRow {
    pub at: DateTime<Utc>,
    /// `approved`, `attempted`, `acknowledged` and others.
    pub entry: String,
    pub partner_id: Option<String>,
    pub action: Option<String>,
    /// A setting as JSON, as the next.
    pub from_value: Option<String>,
    pub to_value: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub answer: Option<String>,
    pub by: Option<String>,
    pub channel: Option<String>,
}

/// An alert or notice whose rule holds now, or held lately. An empty text is unknown or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertRow {
    /// Names it in commands.
    pub alert_id: String,
    /// Empty: it is about no partner.
    pub partner_id: String,
    pub name: String,
    pub since: Option<DateTime<Utc>>,
    /// How many evaluations in a row did not find it. 0: it holds.
    pub misses: u32,
    pub about: String,
    pub owner: String,
    /// Who was told.
    pub told: Vec<String>,
    pub snoozed_until: Option<DateTime<Utc>>,
    /// The newest note with its author.
    pub note: String,
}
