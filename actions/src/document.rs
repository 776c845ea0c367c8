//! The plan as it is written to its file: what changes for whom, why, and what was held back.

use std::collections::BTreeMap;

use domain::{ActionKind, Setting, SignalName, Tier};
use serde::{Deserialize, Serialize};

use crate::limits::tells_the_partner;
use crate::log::Origin;

/// A plan. Instants are RFC 3339 in the file and µs UTC here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The date of `as_of` and eight digits of the digest of all the rest.
    pub plan_id: String,
    pub policy_version: String,
    /// SHA-256 of the policy's text; empty in plans of an older program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy_digest: String,
    #[serde(with = "instant")]
    pub as_of: i64,
    #[serde(with = "instant")]
    pub created_at: i64,
    /// The version of every table that it was made from.
    pub versions: BTreeMap<String, u64>,
    /// SHA-256 of the present state of each partner that it changes, by partner. A state must still
    /// be the same when the change is applied.
    pub states: BTreeMap<String, String>,
    /// SHA-256 of all of `states`, also where there are none.
    pub state_digest: String,
    /// The plan that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_back: Option<String>,
    /// How many partners it was made for.
    pub partners: usize,
    /// What it and other plans together may do; looked at again when a change is sent.
    pub limits: PlanLimits,
    /// Why nothing may be changed at all. Then there are no changes.
    pub blocked: Vec<String>,
    /// By partner, then by action.
    pub changes: Vec<Change>,
    /// What rules asked for and guardrails stopped.
    pub stopped: Vec<StoppedChange>,
    /// Grants that should end and can't: they end later, and a person is asked.
    pub extensions: Vec<Extension>,
    /// Partners whose quota is another one at the gateway than in our books.
    pub differences: Vec<QuotaDifference>,
    /// Partners of equal standing that get different treatment.
    pub unlike: Vec<UnlikeTreatment>,
    /// Guardrails that a person passed over.
    pub overrides: Vec<GuardrailOverride>,
    /// SHA-256 of all the rest: a plan that was edited by hand is refused.
    pub digest: String,
}

/// What all plans together may do, by the policy and the partners of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLimits {
    /// How many partners may be changed in seven days without a person.
    pub reach: usize,
    /// The most calls a minute that grants may add up to.
    pub capacity_per_minute: i64,
}

/// A grant that should end, and why it does not yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    pub partner_id: String,
    pub name: Option<String>,
    /// The quota before the grant, calls a minute.
    pub base_per_minute: i64,
    /// The quota by the grant.
    pub per_minute: i64,
    #[serde(with = "instant")]
    pub until: i64,
    pub reason: String,
    pub key: String,
}

/// A quota that somebody else set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaDifference {
    pub partner_id: String,
    /// By events and by our log, calls a minute.
    pub expected: Option<i64>,
    /// At the gateway.
    pub live: Option<i64>,
}

/// Partners of one plan and tier, for which one rule holds, and what becomes of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnlikeTreatment {
    pub rule: String,
    pub plan: Option<String>,
    pub tier: Tier,
    /// The partners by what becomes of them: `raised by 50 %`, `stopped by cooldown`.
    pub treatments: BTreeMap<String, Vec<String>>,
}

/// A guardrail that a person passes over for one partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailOverride {
    pub partner_id: String,
    /// As [`GuardrailCheck::name`].
    pub guardrail: String,
    pub by: String,
    pub reason: String,
}

/// One change of one partner's state, or one notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Empty: a notice about no partner.
    pub partner_id: String,
    pub name: Option<String>,
    pub action: ActionKind,
    pub from: Option<Setting>,
    pub to: Option<Setting>,
    #[serde(rename = "why")]
    pub rationale: Rationale,
    pub guardrails: Vec<GuardrailCheck>,
    pub needs_approval: bool,
    /// When the change ends by itself.
    #[serde(with = "optional_instant")]
    pub expires_at: Option<i64>,
    /// The quota that holds again then, calls a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_per_minute: Option<i64>,
    #[serde(default)]
    pub origin: Origin,
    /// When the stretch of the rule holding for the partner began.
    #[serde(default, with = "optional_instant", skip_serializing_if = "Option::is_none")]
    pub episode_start: Option<i64>,
    /// Where it goes; `None`: no channel is configured for it.
    pub channel: Option<String>,
    /// The channel can tell what is in force, so that `from` is compared and `to` is read back.
    pub can_be_verified: bool,
    /// SHA-256 of partner, action, from, to, policy version and window end; of a route or a notice of
    /// its rule and the start of its episode in place of the last two. A change is applied once for
    /// each key.
    pub key: String,
}

impl Change {
    /// Returns a change of a rule without what its maker adds: its key, its channel, and what
    /// guardrails say of it.
    pub(crate) fn new(
        partner_id: &str,
        action: ActionKind,
        from: Option<Setting>,
        to: Option<Setting>,
        rationale: Rationale,
    ) -> Self {
        Self {
            partner_id: partner_id.to_owned(),
            name: None,
            action,
            from,
            to,
            rationale,
            guardrails: Vec::new(),
            needs_approval: false,
            expires_at: None,
            base_per_minute: None,
            origin: Origin::Rule,
            episode_start: None,
            channel: None,
            can_be_verified: false,
            key: String::new(),
        }
    }

    /// Returns whether it is a notice to the partner itself, or says that one is over.
    pub fn tells_the_partner(&self) -> bool {
        tells_the_partner(self.to.as_ref().or(self.from.as_ref()))
    }

    /// Returns whether it says that a notice sent before is over.
    pub fn resolves(&self) -> bool {
        self.action == ActionKind::Notify && self.to.is_none()
    }

    /// Returns whether it ends a support route without another one in its place.
    pub(crate) fn ends_route(&self) -> bool {
        self.action == ActionKind::RouteSupport && self.to.is_none()
    }
}

/// A change that a rule asked for and a guardrail stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoppedChange {
    pub partner_id: String,
    pub name: Option<String>,
    pub action: ActionKind,
    pub from: Option<Setting>,
    pub asked: Option<Setting>,
    #[serde(rename = "why")]
    pub rationale: Rationale,
    pub guardrails: Vec<GuardrailCheck>,
}

/// Why a change is proposed: the rule that asked for it, and what is known of the partner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rationale {
    /// Its id, which stays the same whatever its name becomes.
    pub rule_id: String,
    pub rule: String,
    pub condition: String,
    /// `None`: it is about no partner, or about one without a score.
    pub tier: Option<Tier>,
    pub reason: String,
    /// The three largest by absolute value.
    pub contributions: Vec<Contribution>,
}

/// What a signal adds to the score of a partner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    pub signal: SignalName,
    /// Points of the score against the median of the segment.
    pub points: f64,
    pub reason: Option<String>,
}

/// The result of one guardrail for one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailCheck {
    /// step, floor, ceiling, cooldown, health, usage, thirty_days, decrease, reach, capacity,
    /// quota, live, mapping, unconfirmed, access, partner, later, kind.
    pub name: String,
    pub outcome: Outcome,
    pub reason: String,
}

/// What a guardrail did to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Changed,
    NeedsApproval,
    Stopped,
    /// It would have stopped the change, and a person passed over it.
    Overridden,
}

/// Writes instants as RFC 3339.
mod instant {
    use domain::{format_instant, parse_instant};
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

/// Writes instants that may be missing as RFC 3339 or null.
pub(crate) mod optional_instant {
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
