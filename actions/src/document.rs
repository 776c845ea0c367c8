//! The plan as it stands in its file: what changes for whom, why, and what held it back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A plan. Instants are RFC 3339 in the file and µs UTC here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The date of `as_of` and eight digits of the digest of all the rest.
    pub plan_id: String,
    pub policy_version: String,
    #[serde(with = "instant")]
    pub as_of: i64,
    #[serde(with = "instant")]
    pub created_at: i64,
    /// The version of every table it was made from.
    pub versions: BTreeMap<String, u64>,
    /// SHA-256 of the present state of the partners it changes: the base that must not have moved
    /// when it is applied.
    pub state_digest: String,
    /// How many partners were looked at.
    pub partners: usize,
    /// Why nothing may be changed at all; then there are no changes.
    pub blocked: Vec<String>,
    /// By partner, then action.
    pub changes: Vec<Change>,
    /// What a rule asked for and a guardrail stopped.
    pub stopped: Vec<Stopped>,
}

/// One change of one partner's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub partner_id: String,
    pub name: Option<String>,
    pub action: ActionKind,
    pub from: Option<Setting>,
    pub to: Option<Setting>,
    pub why: Why,
    pub guardrails: Vec<Guardrail>,
    pub needs_approval: bool,
    /// When the change ends by itself and `from` holds again.
    #[serde(with = "optional_instant")]
    pub expires_at: Option<i64>,
    /// SHA-256 of partner, action, from, to, policy version and window end: a change is applied
    /// once for each key.
    pub key: String,
}

/// A change that was asked for and is not made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    pub partner_id: String,
    pub name: Option<String>,
    pub action: ActionKind,
    pub from: Option<Setting>,
    pub asked: Option<Setting>,
    pub why: Why,
    pub guardrails: Vec<Guardrail>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    RouteSupport,
    SetQuota,
    Notify,
}

/// What a change goes from or to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    Support(SupportRoute),
    Quota {
        /// Calls a minute.
        per_minute: i64,
    },
    Notify {
        who: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportRoute {
    pub queue: String,
    /// 1 is the most urgent.
    pub priority: u32,
    /// Hours to a first answer.
    pub sla_hours: u32,
}

/// The rule that asked, and what is known of the partner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    pub rule: String,
    pub condition: String,
    pub tier: String,
    pub reason: String,
    /// The three largest, by size.
    pub contributions: Vec<Contribution>,
}

/// What a signal adds to the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    pub signal: String,
    /// Points of the score against what is usual in the segment.
    pub points: f64,
    pub reason: Option<String>,
}

/// A guardrail that was asked, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guardrail {
    /// step, floor, ceiling, cooldown, health, usage, thirty_days, decrease, reach, capacity, quota.
    pub name: String,
    pub outcome: Outcome,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Changed,
    NeedsApproval,
    Stopped,
}

/// Instants as RFC 3339.
mod instant {
    use lake_types::{format_instant, parse_instant};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` hands in a reference")]
    pub(super) fn serialize<S: Serializer>(micros: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format_instant(*micros))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        let text = String::deserialize(from)?;
        parse_instant(&text).ok_or_else(|| D::Error::custom(format!("\"{text}\" is no instant")))
    }
}

mod optional_instant {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Instant(#[serde(with = "super::instant")] i64);

    #[expect(clippy::ref_option, reason = "serde's `with` hands in a reference")]
    pub(super) fn serialize<S: Serializer>(micros: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
        micros.map(Instant).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
        Ok(Option::<Instant>::deserialize(from)?.map(|instant| instant.0))
    }
}
