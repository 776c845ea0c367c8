//! The pending plan of the sample programme, its log of actions, and its open alerts.

use chrono::{Days, NaiveDate, TimeDelta};
use domain::{ActionKind, Setting, SupportRoute, Tier};

use super::{SamplePartner, instant};
use crate::action_rows::{
    ActionLogRow, AlertRow, ChangeDecision, ChangeDelivery, ChangeStatus, GuardrailEffect,
    GuardrailHit, PlanRow, StoppedRow, UnlikeRow,
};
use crate::input::{QueryDoc, ReportInput};

const RAISE: &str = "Raise quotas of good partners";
const HELP: &str = "Help for partners at risk";

fn quota(per_minute: i64) -> Setting {
    Setting::Quota { per_minute }
}

/// The changes, log entries and alerts of one partner.
pub(super) fn partner_actions(input: &mut ReportInput, partner: &SamplePartner, tier: Tier) {
    match tier {
        Tier::AtRisk => {
            change(input, partner);
            alert(input, partner);
        }
        Tier::Watch if partner.seed.is_multiple_of(5) => stopped(input, partner),
        Tier::Healthy if partner.seed.is_multiple_of(4) => logged(input, partner),
        _ => {}
    }
}

fn change(input: &mut ReportInput, partner: &SamplePartner) {
    let is_routed = partner.seed.is_multiple_of(2);
    let queue = "integration-help".to_owned();
    let route = SupportRoute { queue, priority: 2, sla_hours: 24 };
    let rule = if is_routed { HELP } else { RAISE }.to_owned();
    let why = format!("{rule}: throttled 1 % or more of calls, and in the upper half of revenue");
    let hit = |effect, reason: &str| GuardrailHit { effect, reason: reason.to_owned() };
    let hits = vec![
        hit(GuardrailEffect::Changed, "Asked 1,080, cut to +50 %: 900"),
        hit(GuardrailEffect::NeedsApproval, "+125 % in 30 days: a person decides"),
        hit(GuardrailEffect::Overridden, "Cooldown: passed over by Mara Lindqvist"),
    ];
    input.plan.push(PlanRow {
        partner_id: partner.id.clone(),
        kind: if is_routed { ActionKind::RouteSupport } else { ActionKind::SetQuota },
        from: (!is_routed).then(|| quota(600)),
        to: Some(if is_routed { Setting::Support(route) } else { quota(900) }),
        until: None,
        rule_id: if is_routed { "route-help" } else { "raise-quota" }.to_owned(),
        rule,
        why,
        guardrails: vec![
            "Asked 1,080, cut to +50 %: 900".to_owned(),
            "Last change 18 days ago, 7 needed".to_owned(),
        ],
        hits: if is_routed { Vec::new() } else { hits },
        needs_approval: !is_routed,
        status: status(input.as_of, partner.seed, !is_routed),
    });
}

/// Returns how a change stands: two of five that wait for a person are decided on, and one was sent.
fn status(as_of: NaiveDate, seed: u64, needs_approval: bool) -> ChangeStatus {
    let decision = |is_approved, reason: Option<&str>| ChangeDecision {
        is_approved,
        by: "Mara Lindqvist".to_owned(),
        at: instant(as_of),
        reason: reason.map(str::to_owned),
    };
    let open =
        ChangeStatus { can_approve: needs_approval, can_reject: true, ..ChangeStatus::default() };
    match seed % 5 {
        _ if !needs_approval => open,
        1 => ChangeStatus { decision: Some(decision(true, None)), can_approve: false, ..open },
        2 => ChangeStatus {
            decision: Some(decision(false, Some("they leave <soon>"))),
            can_reject: false,
            ..open
        },
        3 => ChangeStatus {
            decision: Some(decision(true, None)),
            delivery: ChangeDelivery::Taken,
            ..ChangeStatus::default()
        },
        _ => open,
    }
}

fn stopped(input: &mut ReportInput, partner: &SamplePartner) {
    input.plan_facts.stopped.push(StoppedRow {
        partner_id: partner.id.clone(),
        kind: ActionKind::SetQuota,
        from: Some(quota(300)),
        asked: Some(quota(450)),
        rule: RAISE.to_owned(),
        why: format!("{RAISE}: peaks at 96 % of its quota"),
        stopped_by: vec!["Last change 3 days ago, 7 needed".to_owned()],
    });
}

fn alert(input: &mut ReportInput, partner: &SamplePartner) {
    let at = instant(input.as_of);
    let days = (partner.seed % 30) as i64;
    let (alert_id, name, about, owner) = match partner.seed % 3 {
        0 => {
            ("payment-failed", "A payment failed and is still open", "2 payments failed", "finance")
        }
        1 => ("ticket-unanswered", "A ticket waits for an answer", "T-48213 for 9 h", "support"),
        _ => ("client-errors", "Client errors above usual", "2.6 % against 0.8 %", "manager"),
    };
    input.has_found_alerts = true;
    input.alerts.push(AlertRow {
        alert_id: alert_id.to_owned(),
        partner_id: partner.id.clone(),
        name: name.to_owned(),
        since: Some(at - TimeDelta::days(days + 1)),
        misses: u32::from(partner.seed.is_multiple_of(9)),
        about: about.to_owned(),
        owner: owner.to_owned(),
        told: if partner.seed.is_multiple_of(4) {
            Vec::new()
        } else {
            vec!["manager".to_owned(), "finance".to_owned()]
        },
        snoozed_until: partner.seed.is_multiple_of(11).then(|| at + TimeDelta::days(6)),
        note: if partner.seed.is_multiple_of(2) {
            String::new()
        } else {
            "Mara Lindqvist: finance called them on Monday".to_owned()
        },
    });
}

fn logged(input: &mut ReportInput, partner: &SamplePartner) {
    let at = instant(input.as_of - Days::new(partner.seed % 9));
    let entries = [("acknowledged", 3), ("attempted", 2), ("approved", 0)];
    for (entry, minutes) in entries {
        input.action_log.push(ActionLogRow {
            at: at + TimeDelta::minutes(minutes),
            entry: entry.to_owned(),
            partner_id: Some(partner.id.clone()),
            action: Some("set_quota".to_owned()),
            from_value: Some(r#"{"per_minute":600}"#.to_owned()),
            to_value: Some(r#"{"per_minute":900}"#.to_owned()),
            expires_at: Some(instant(input.as_of + Days::new(30))),
            answer: (entry == "acknowledged").then(|| "200 <b>".to_owned()),
            by: Some("Mara Lindqvist".to_owned()),
            channel: (entry != "approved").then(|| "gateway".to_owned()),
        });
    }
}

/// Adds what concerns the plan as a whole, and the files of its rows.
pub(super) fn finish(input: &mut ReportInput) {
    input.action_log.sort_by_key(|row| std::cmp::Reverse(row.at));
    let raised: Vec<String> = input.plan.iter().map(|row| row.partner_id.clone()).collect();
    let stopped: Vec<String> =
        input.plan_facts.stopped.iter().map(|row| row.partner_id.clone()).collect();
    if !raised.is_empty() && !stopped.is_empty() {
        let treatments = vec![
            ("limited by step".to_owned(), raised),
            ("stopped by cooldown".to_owned(), stopped),
        ];
        let plan = Some("growth".to_owned());
        input.plan_facts.unlike.push(UnlikeRow {
            rule: RAISE.to_owned(),
            plan,
            tier: Tier::Watch,
            treatments,
        });
    }
    for name in ["actions_plan", "actions_unlike", "open_alerts"] {
        input.csv.insert(name.to_owned(), "column\n1\n".to_owned());
        let doc = QueryDoc { kind: "table".to_owned(), ..QueryDoc::default() };
        input.tables.insert(name.to_owned(), doc);
    }
}
