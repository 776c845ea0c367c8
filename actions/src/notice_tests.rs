//! Notices of rules and alerts: once an episode, snoozed, resolved.

use std::collections::BTreeSet;

use domain::{ActionKind, Setting, Tier};

use crate::alerts::{FoundAlert, Snooze, Snoozes};
use crate::document::{Change, Plan};
use crate::episodes::Holding;
use crate::input::PlanInput;
use crate::log::{EntryKind, LogEntry};
use crate::plan_tests::{HOUR, input, partner, policy};
use crate::{Policy, log_entry, make_notices};

const DAY: i64 = 24 * HOUR;

/// Alerts of some partners; the input has their episodes afterwards.
fn found<'a>(
    policy: &'a Policy,
    input: &mut PlanInput,
    alert: &str,
    of: &[(&str, &str)],
    text: &str,
) -> Vec<FoundAlert<'a>> {
    let rule = policy.alerts.iter().find(|rule| rule.id == alert).expect("an alert");
    let alerts: Vec<FoundAlert<'a>> = of
        .iter()
        .map(|(partner_id, detail)| FoundAlert {
            rule,
            partner_id: (*partner_id).to_owned(),
            detail: (*detail).to_owned(),
            text: text.to_owned(),
        })
        .collect();
    let ids: Vec<String> = alerts.iter().map(FoundAlert::id).collect();
    let mut holding = Holding::new();
    for (id, alert) in ids.iter().zip(&alerts) {
        holding.entry(id).or_default().insert(alert.partner_id.clone());
    }
    let as_of = input.as_of.micros() + (input.created_at - crate::plan_tests::DAY.start_micros());
    input.episodes.evaluate(as_of, input.created_at, &holding);
    alerts
}

fn notices(input: &PlanInput, policy: &Policy, alerts: &[FoundAlert<'_>]) -> Plan {
    make_notices(input, policy, &Vec::new(), alerts).expect("a plan")
}

/// Writes that the receiver took a change.
fn acknowledge(input: &mut PlanInput, plan: &Plan, change: &Change) {
    for kind in [EntryKind::Attempted, EntryKind::Acknowledged] {
        let entry = LogEntry {
            attempt: 1,
            channel: Some("pager".to_owned()),
            ..log_entry(plan, change, kind, input.created_at, "Ada")
        };
        input.history.add(&entry);
    }
}

fn who(change: &Change) -> &str {
    match change.to.as_ref().or(change.from.as_ref()) {
        Some(Setting::Notify { who, .. }) => who,
        _ => panic!("{change:?} is no notice"),
    }
}

#[test]
fn an_alert_is_told_once_an_episode_and_then_resolved() {
    let policy = policy();
    let mut input = input(vec![partner("p", Tier::Healthy, None)]);
    let alerts = found(&policy, &mut input, "payment-failed", &[("p", "")], "1 failed");
    let plan = notices(&input, &policy, &alerts);
    assert_eq!(plan.changes.len(), 1);
    assert_eq!((who(&plan.changes[0]), plan.changes[0].needs_approval), ("manager", false));
    acknowledge(&mut input, &plan, &plan.changes[0]);

    // It goes on with another figure.
    input.created_at += DAY;
    let alerts = found(&policy, &mut input, "payment-failed", &[("p", "")], "2 failed");
    assert!(notices(&input, &policy, &alerts).changes.is_empty());

    // It is not found any more.
    for _ in 0..7 {
        assert!(notices(&input, &policy, &[]).changes.is_empty());
        input.created_at += DAY;
        found(&policy, &mut input, "payment-failed", &[], "");
    }
    let over = notices(&input, &policy, &[]);
    assert_eq!(over.changes.len(), 1);
    let change = &over.changes[0];
    assert!(change.resolves() && change.channel.as_deref() == Some("pager"), "{change:?}");
    acknowledge(&mut input, &over, change);
    assert!(notices(&input, &policy, &[]).changes.is_empty());

    // The next episode is told again, under another key.
    input.created_at += DAY;
    let alerts = found(&policy, &mut input, "payment-failed", &[("p", "")], "1 failed");
    let again = notices(&input, &policy, &alerts);
    assert_eq!(again.changes.len(), 1);
    assert_ne!(again.changes[0].key, plan.changes[0].key);
}

#[test]
fn a_text_that_changes_is_the_same_notice() {
    let policy = policy();
    let mut input = input(vec![partner("p", Tier::Healthy, None)]);
    let first = found(&policy, &mut input, "payment-failed", &[("p", "")], "1 failed");
    let first = notices(&input, &policy, &first);
    let second = found(&policy, &mut input, "payment-failed", &[("p", "")], "2 failed");
    let second = notices(&input, &policy, &second);
    assert_eq!(first.changes[0].key, second.changes[0].key);
    assert_ne!(first.changes[0].to, second.changes[0].to);
}

#[test]
fn alerts_of_one_rule_are_told_apart() {
    let policy = policy();
    let mut input = input(vec![partner("p", Tier::Healthy, None)]);
    let of = [("p", "T-1"), ("p", "T-2"), ("q", "T-1")];
    let alerts = found(&policy, &mut input, "ticket-unanswered", &of, "waits");
    let plan = notices(&input, &policy, &alerts);
    let keys: BTreeSet<&str> = plan.changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!((plan.changes.len(), keys.len()), (3, 3));
    let ids: Vec<&str> = plan.changes.iter().map(|c| c.rationale.rule_id.as_str()).collect();
    assert_eq!(ids, ["ticket-unanswered:T-1", "ticket-unanswered:T-2", "ticket-unanswered:T-1"]);
}

#[test]
fn a_snoozed_alert_is_told_when_the_snooze_ends() {
    let policy = policy();
    let mut input = input(vec![partner("p", Tier::Healthy, None)]);
    let snooze = |until| Snooze {
        alert_id: "payment-failed".to_owned(),
        partner_id: Some("p".to_owned()),
        until,
    };
    input.snoozes = Snoozes::of([snooze(input.created_at + DAY)]);
    let alerts = found(&policy, &mut input, "payment-failed", &[("p", ""), ("q", "")], "1 failed");
    let plan = notices(&input, &policy, &alerts);
    let told: Vec<&str> = plan.changes.iter().map(|change| change.partner_id.as_str()).collect();
    assert_eq!(told, ["q"]);
    input.created_at += DAY;
    let alerts = found(&policy, &mut input, "payment-failed", &[("p", ""), ("q", "")], "1 failed");
    assert_eq!(notices(&input, &policy, &alerts).changes.len(), 2);
}

#[test]
fn late_data_does_not_silence_an_alert_and_the_switch_does() {
    let policy = policy();
    let mut input = input(Vec::new());
    input.watermark = Some(input.created_at - 100 * HOUR);
    let alerts = found(&policy, &mut input, "data-late", &[("", "")], "late");
    let plan = notices(&input, &policy, &alerts);
    assert_eq!((plan.changes.len(), plan.changes[0].partner_id.as_str()), (1, ""));
    assert_eq!(plan.changes[0].action, ActionKind::Notify);
    input.stopped = Some("mended".to_owned());
    let plan = notices(&input, &policy, &alerts);
    assert!(plan.changes.is_empty() && plan.blocked[0].contains("mended"), "{plan:?}");
}

#[test]
fn only_notices_to_partners_count_for_the_reach() {
    let text = crate::DEFAULT_POLICY.replacen(
        "about = \"{failed} failed in 90 days, the last on {last_failed_at}\"\nnotify = [\"manager\"]",
        "about = \"failed\"\nnotify = [\"partner\", \"manager\"]",
        1,
    );
    let policy = Policy::parse(&text).expect("a policy");
    let ids = ["a", "b", "c"];
    let mut input = input(ids.map(|id| partner(id, Tier::Healthy, None)).to_vec());
    let of = ids.map(|id| (id, ""));
    let alerts = found(&policy, &mut input, "payment-failed", &of, "failed");
    let plan = notices(&input, &policy, &alerts);
    let waiting: Vec<(&str, &str)> = plan
        .changes
        .iter()
        .filter(|change| change.needs_approval)
        .map(|change| (change.partner_id.as_str(), who(change)))
        .collect();
    assert_eq!(plan.changes.len(), 6);
    assert_eq!(waiting, [("b", "partner"), ("c", "partner")]);
}

#[test]
fn many_alerts_of_one_rule_wait_for_a_person() {
    let policy = policy();
    let mut input = input(Vec::new());
    let ids: Vec<String> = (0..60).map(|number| format!("p{number:02}")).collect();
    let of: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
    let alerts = found(&policy, &mut input, "credential-old", &of, "old");
    let plan = notices(&input, &policy, &alerts);
    let waiting = plan.changes.iter().filter(|change| change.needs_approval).count();
    assert_eq!((plan.changes.len(), waiting), (60, 10));
}

#[test]
fn a_recipient_has_a_channel_of_its_own() {
    let policy = policy();
    let mut input = input(vec![partner("p", Tier::Healthy, None)]);
    input.channels.by_action.insert(ActionKind::Notify, ("file".to_owned(), false));
    input.channels.by_recipient.insert("data".to_owned(), ("pager".to_owned(), false));
    let mut alerts = found(&policy, &mut input, "data-late", &[("", "")], "late");
    alerts.extend(found(&policy, &mut input, "payment-failed", &[("p", "")], "failed"));
    let plan = notices(&input, &policy, &alerts);
    let channels: Vec<Option<&str>> = plan.changes.iter().map(|c| c.channel.as_deref()).collect();
    assert_eq!(channels, [Some("pager"), Some("file")]);
}
