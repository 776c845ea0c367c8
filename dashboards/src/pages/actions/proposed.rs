//! What the pending plan proposes: the rules with their totals, and each change with its reason, the
//! guardrails that it met, and who must agree.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Setting, Tier, format};
use maud::{Markup, html};

use super::{PLAN_SOURCE, REASON_LENGTH};
use crate::action_rows::{GuardrailEffect, GuardrailHit, PlanRow};
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, header_cell};
use crate::components::{
    change_status, decision_forms, figure, glyph, health_summary, partner_link, proposed_actions,
};
use crate::input::ReportInput;

/// The number of changes on the page.
const MOST_CHANGES: usize = 30;
/// The number of rules in the table of totals.
const MOST_RULES: usize = 20;
/// The number of guardrails shown beside a change, and the length of each in characters.
const MOST_HITS: usize = 2;
const HIT_LENGTH: usize = 72;
/// The length of the longest name of a rule in characters.
const RULE_LENGTH: usize = 60;

const NONE: &str = "Nothing is proposed. When a rule of policy.toml holds for a partner, its change stands here; rapport actions plan --out plan.json makes the plan anew.";

/// What a rule asks for.
#[derive(Default)]
struct RuleTotals<'a> {
    changes: i64,
    partners: BTreeSet<&'a str>,
    waiting: i64,
    /// The changes that a person has approved or rejected.
    decided: i64,
    stopped: i64,
    /// The calls a minute that its quotas add or take.
    per_minute: i64,
    has_quotas: bool,
    rule_id: &'a str,
}

fn totals(input: &ReportInput) -> BTreeMap<&str, RuleTotals<'_>> {
    let mut rules: BTreeMap<&str, RuleTotals> = BTreeMap::new();
    for row in &input.plan {
        let rule = rules.entry(&row.rule).or_default();
        rule.changes += 1;
        rule.rule_id = &row.rule_id;
        rule.partners.insert(&row.partner_id);
        rule.waiting += i64::from(row.is_waiting());
        rule.decided += i64::from(row.status.decision.is_some());
        if let Some(by) = quota_change(row) {
            rule.per_minute += by;
            rule.has_quotas = true;
        }
    }
    for row in &input.plan_facts.stopped {
        rules.entry(&row.rule).or_default().stopped += 1;
    }
    rules
}

/// Returns by how many calls a minute a change raises a quota.
fn quota_change(row: &PlanRow) -> Option<i64> {
    match (&row.from, &row.to) {
        (Some(Setting::Quota { per_minute: from }), Some(Setting::Quota { per_minute: to })) => {
            Some(to - from)
        }
        (None, Some(Setting::Quota { per_minute: to })) => Some(*to),
        _ => None,
    }
}

pub(super) fn rules_section(page: &Page) -> Markup {
    let rules = totals(page.context.input);
    let mut section = Section {
        subtitle: html! { "What each rule of the policy asks for; one may be approved as a whole" },
        ..Section::new("rules", "By rule", 8, PLAN_SOURCE)
    };
    if rules.is_empty() {
        return page.section(&section, &empty_state(NONE));
    }
    if rules.len() > MOST_RULES {
        section.note = Some(html! { "The first rules are shown; the CSV has all." });
    }
    let line = |name: Markup, rule: &RuleTotals, is_total: bool| {
        html! {
            tr.total[is_total] {
                td.name {
                    (name)
                    @if !is_total { (decision_forms::for_rule(page, rule.rule_id, rule.waiting)) }
                }
                td.num { b { (format::thousands(rule.changes)) } }
                td.num { (format::thousands(rule.partners.len())) }
                td.num { (format::thousands(rule.waiting)) }
                td.num.wide-only { (format::thousands(rule.decided)) }
                td.num { (format::thousands(rule.stopped)) }
                td.num.wide-only { @if rule.has_quotas { (format::signed_integer(rule.per_minute)) " a minute" } @else { "–" } }
            }
        }
    };
    let body = html! {
        table.rules {
            thead { tr {
                (header_cell(Column::Text("Rule"))) (header_cell(Column::Number("Changes"))) (header_cell(Column::Number("Partners")))
                (header_cell(Column::Number("For a person"))) th.num.wide-only scope="col" { "Decided" } (header_cell(Column::Number("Stopped"))) th.num.wide-only scope="col" { "Quota, calls" }
            } }
            tbody {
                @for (name, rule) in rules.iter().take(MOST_RULES) {
                    (line(html! { b { (format::truncate_to_chars(name, RULE_LENGTH)) } }, rule, false))
                }
                @if rules.len() > 1 { (line(html! { b { "All" } }, &sum(rules.values()), true)) }
            }
        }
    };
    page.section(&section, &body)
}

fn sum<'a>(rules: impl Iterator<Item = &'a RuleTotals<'a>>) -> RuleTotals<'a> {
    rules.fold(RuleTotals::default(), |mut all, rule| {
        all.changes += rule.changes;
        all.partners.extend(&rule.partners);
        all.waiting += rule.waiting;
        all.decided += rule.decided;
        all.stopped += rule.stopped;
        all.per_minute += rule.per_minute;
        all.has_quotas |= rule.has_quotas;
        all
    })
}

/// Returns the section on how a proposal becomes an action. The pages themselves send nothing.
pub(super) fn steps_section(page: &Page) -> Markup {
    let section = Section {
        subtitle: html! { "Nothing is sent before somebody applies the plan" },
        ..Section::new("steps", "How it goes on", 4, "")
    };
    let steps = [
        ("rapport actions plan --out plan.json", "Write the plan to a file, from the newest data."),
        ("rapport actions approve plan.json --partner ID", "Agree to a change; reject refuses it."),
        ("rapport actions apply plan.json", "Send what is agreed, in waves."),
        ("rapport actions rollback plan.json --out back.json", "Take it back if it was wrong."),
    ];
    let body = html! {
        ol.steps { @for (command, what) in steps { li { (what) code { (command) } } } }
    };
    page.section(&section, &body)
}

pub(super) fn changes_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section {
        subtitle: html! { "What would change, why, what the guardrails did, and who must agree or has decided; by rule" },
        ..Section::new("changes", "Proposed changes", 12, PLAN_SOURCE)
    };
    if input.plan.is_empty() {
        return page.section(&section, &empty_state(NONE));
    }
    let mut rows: Vec<&PlanRow> = input.plan.iter().collect();
    // What waits for a person comes first under its rule, and what was decided on last.
    rows.sort_by_cached_key(|row| {
        (row.rule.clone(), !row.is_waiting(), row.status.decision.is_some())
    });
    if rows.len() > MOST_CHANGES {
        section.note = Some(html! {
            (figure::of_report(MOST_CHANGES, &format::thousands(MOST_CHANGES))) " of " (figure::plan_changes(rows.len()))
            " are shown; the CSV and the partners’ pages have all."
        });
    }
    let mut rule = None;
    let body = html! {
        table.stacked.changes {
            thead { tr {
                (header_cell(Column::Text("Partner"))) (header_cell(Column::Text("Change and reason")))
                (header_cell(Column::Text("Guardrails"))) (header_cell(Column::Text("Decision")))
            } }
            tbody { @for row in rows.into_iter().take(MOST_CHANGES) {
                @if rule.replace(&row.rule) != Some(&row.rule) {
                    tr.group { th colspan="4" scope="colgroup" { (format::truncate_to_chars(&row.rule, RULE_LENGTH)) } }
                }
                (change_row(page, row))
            } }
        }
    };
    page.section(&section, &body)
}

fn change_row(page: &Page, row: &PlanRow) -> Markup {
    html! {
        tr {
            td.name { (partner(page, &row.partner_id)) }
            td { b { bdi { (proposed_actions::headline(row)) } } br; (reason(&row.why, &row.rule)) }
            td { (hits(&row.hits)) }
            td { (change_status::status(page, row)) (decision_forms::for_change(page, row)) }
        }
    }
}

/// Returns the partner that a change is about, if it is about one.
pub(super) fn partner(page: &Page, id: &str) -> Markup {
    html! {
        @if id.is_empty() { span.quiet { "no single partner" } }
        @else { (partner_link::by_id(page.context.partners, id)) }
    }
}

/// Returns the reason of a change without the name of its rule, which stands above it.
pub(super) fn reason(why: &str, rule: &str) -> String {
    let why = why.strip_prefix(rule).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(why);
    health_summary::sentence(&format::truncate_to_chars(why, REASON_LENGTH))
}

fn hits(hits: &[GuardrailHit]) -> Markup {
    html! {
        @if hits.is_empty() { span.quiet { "All guardrails passed" } }
        @else { ul.hits {
            @for hit in hits.iter().take(MOST_HITS) {
                li { (effect(hit.effect)) " " (format::truncate_to_chars(&hit.reason, HIT_LENGTH)) }
            }
            @if hits.len() > MOST_HITS { li.quiet { "and " (hits.len() - MOST_HITS) " more on the partner’s page" } }
        } }
    }
}

/// Returns what a guardrail did, as a word with its glyph.
fn effect(effect: GuardrailEffect) -> Markup {
    let (tier, word) = match effect {
        GuardrailEffect::Changed => (Tier::Onboarding, "Made smaller:"),
        GuardrailEffect::NeedsApproval => (Tier::Watch, "For a person:"),
        GuardrailEffect::Stopped => (Tier::AtRisk, "Stopped:"),
        GuardrailEffect::Overridden => (Tier::Stuck, "Passed over:"),
    };
    glyph::with_text(tier, word)
}
