//! Digests: SHA-256 over canonical JSON (object keys in a fixed order, no spaces).

use aws_lc_rs::digest::{SHA256, digest};
use domain::{ActionKind, Setting};
use serde::Serialize;

use crate::input::PartnerState;

/// Returns the SHA-256 of a value as 64 hex digits.
///
/// # Errors
/// When JSON cannot hold the value, such as a map with keys other than text.
pub(crate) fn sha256<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let bytes = serde_json::to_vec(value)?;
    Ok(hex::encode(digest(&SHA256, &bytes)))
}

/// Returns the SHA-256 of a text as 64 hex digits.
pub(crate) fn text_digest(text: &str) -> String {
    hex::encode(digest(&SHA256, text.as_bytes()))
}

/// Returns the digest of what actions can change of one partner: its quota with its changes, and its
/// support route.
///
/// # Errors
/// When the state cannot be written as JSON.
pub fn partner_digest(state: &PartnerState) -> Result<String, serde_json::Error> {
    let mut changes: Vec<_> = state.quota_changes.iter().map(|c| (c.at, c.per_minute)).collect();
    changes.sort_unstable();
    sha256(&(&state.partner_id, state.quota_per_minute, changes, &state.support))
}

/// Returns the idempotency key of a change, under which it is applied at most once.
pub(crate) fn change_key(
    partner_id: &str,
    action: ActionKind,
    from: Option<&Setting>,
    to: Option<&Setting>,
    policy_version: &str,
    window_end: i64,
) -> Result<String, serde_json::Error> {
    sha256(&(partner_id, action, from, to, policy_version, window_end))
}

/// Returns the key of a change for which a person passes over guardrails, from its key without that.
/// So nobody's approval of the one holds for the other.
pub(crate) fn overridden_key(key: &str, guardrails: &[&str]) -> Result<String, serde_json::Error> {
    sha256(&("overridden", key, guardrails))
}

/// Returns the idempotency key of a change that is made once in an episode of a rule.
pub(crate) fn episode_key(
    partner_id: &str,
    action: ActionKind,
    rule_id: &str,
    to: Option<&Setting>,
    started_at: i64,
) -> Result<String, serde_json::Error> {
    sha256(&(partner_id, action, rule_id, to, started_at))
}

/// Returns the idempotency key of a notice, which is sent once in an episode. What it says is no part
/// of it: a figure in the text may be another one in the next plan.
pub(crate) fn notice_key(
    partner_id: &str,
    rule_id: &str,
    who: &str,
    started_at: i64,
) -> Result<String, serde_json::Error> {
    sha256(&(partner_id, ActionKind::Notify, rule_id, who, started_at))
}

/// Returns the idempotency key under which a notice is resolved, from the key of the notice.
pub(crate) fn resolution_key(notice_key: &str) -> String {
    text_digest(&format!("{notice_key} resolved"))
}

#[cfg(test)]
mod tests {
    use domain::Tier;

    use super::*;

    #[test]
    fn a_known_hash() {
        // printf '"abc"' | sha256sum
        let hash = sha256(&"abc").expect("JSON");
        assert_eq!(hash, "6cc43f858fbb763301637b5af970e2a46b46f461f27e5a0f41e009c59b827b25");
    }

    #[test]
    fn every_part_of_a_change_is_in_its_key() {
        let quota = |per_minute| Some(Setting::Quota { per_minute });
        let (set, notify) = (ActionKind::SetQuota, ActionKind::Notify);
        let key = |id, action, from: Option<Setting>, to: Option<Setting>, version, end| {
            change_key(id, action, from.as_ref(), to.as_ref(), version, end).expect("JSON")
        };
        let keys = std::collections::BTreeSet::from([
            key("a", set, quota(1), quota(2), "1", 0),
            key("b", set, quota(1), quota(2), "1", 0),
            key("a", notify, quota(1), quota(2), "1", 0),
            key("a", set, quota(3), quota(2), "1", 0),
            key("a", set, None, quota(2), "1", 0),
            key("a", set, quota(1), quota(4), "1", 0),
            key("a", set, quota(1), quota(2), "2", 0),
            key("a", set, quota(1), quota(2), "1", 1),
        ]);
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn the_digest_depends_on_what_actions_change() {
        let state =
            PartnerState { quota_per_minute: Some(1), ..PartnerState::of_tier("a", Tier::Healthy) };
        let of = |state: &PartnerState| partner_digest(state).expect("JSON");
        let renamed = PartnerState { name: Some("A".to_owned()), ..state.clone() };
        assert_eq!(of(&state), of(&renamed));
        let raised = PartnerState { quota_per_minute: Some(2), ..state.clone() };
        assert_ne!(of(&state), of(&raised));
    }
}
