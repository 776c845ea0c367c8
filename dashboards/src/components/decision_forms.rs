//! The forms by which a person decides on a partner or on actions. They work without a script.

use domain::{Tier, format};
use maud::{Markup, html};

use crate::action_rows::{AlertRow, PlanRow};
use crate::components::shell::{Page, Section};
use crate::health_rows::HealthRow;

/// The tiers that a person can set.
const SETTABLE: [Tier; 3] = [Tier::Healthy, Tier::Watch, Tier::AtRisk];

/// Returns the section of the page of a partner by which a person sets its tier and writes notes, or
/// nothing where the reader may not decide.
pub(crate) fn partner_section(page: &Page, row: &HealthRow) -> Option<Markup> {
    page.context.live.filter(|live| live.can_decide)?;
    let subtitle = html! { "Kept with your name; what was there before stays in the history" };
    let section = Section { subtitle, ..Section::new("decide", "Your judgement", 12, "") };
    let is_set = row.override_until.is_some();
    let body = html! {
        div.forms {
            form method="post" action={ (page.root) "decisions/override" } {
                (hidden("partner", &row.partner_id))
                h3 { "Set the tier" }
                label { span { "Tier" } select name="tier" required {
                    @for tier in SETTABLE { option value=(tier.name()) { (format::capitalized(&tier.words())) } }
                    @if is_set { option value="" { "The computed one again" } }
                } }
                label { span { "Days" } input type="number" name="days" min="1" max="30" value="14" required; }
                label { span { "Reason" } input type="text" name="reason" maxlength="1000" required; }
                button type="submit" { "Set the tier" }
            }
            form method="post" action={ (page.root) "decisions/note" } {
                (hidden("partner", &row.partner_id))
                h3 { "Write a note" }
                label { span { "Note" } input type="text" name="text" maxlength="1000" required; }
                button type="submit" { "Keep the note" }
            }
            (annotation_form(page, Some(&row.partner_id)))
        }
    };
    Some(page.section(&section, &body))
}

/// Returns the form that explains days of all partners, for readers who may decide for all of them.
pub(crate) fn for_programme(page: &Page) -> Markup {
    let live = page.context.live;
    html! {
        @if live.is_some_and(|live| live.can_decide && live.decides_for_all) {
            div.forms { (annotation_form(page, None)) }
        }
    }
}

/// Returns the form that explains days, of a partner or of all.
fn annotation_form(page: &Page, partner_id: Option<&str>) -> Markup {
    html! {
        form method="post" action={ (page.root) "decisions/annotate" } {
            @if let Some(id) = partner_id { (hidden("partner", id)) }
            h3 { "Explain days" @if partner_id.is_none() { " of all partners" } }
            p.quiet { "Charts mark them, and missing calls on them count against nobody." }
            label { span { "First day" } input type="date" name="from" required; }
            label { span { "Last day" } input type="date" name="to"; }
            label { span { "What happened" } input type="text" name="text" maxlength="1000" required; }
            label { input type="checkbox" name="mark_only" value="yes"; span { "Only mark them: scores count these days" } }
            button type="submit" { "Keep the explanation" }
        }
    }
}

/// Returns whether the reader may decide on the changes of the plan that the page shows.
fn may_decide_on_plan(page: &Page) -> bool {
    page.context.live.is_some_and(|live| live.can_decide) && !plan_id(page).is_empty()
}

/// Returns the forms that approve and reject a change, as far as the log permits either: what was
/// decided can be undone until the receiver has taken the change.
pub(crate) fn for_change(page: &Page, row: &PlanRow) -> Markup {
    let status = &row.status;
    if !may_decide_on_plan(page) || !(status.can_approve || status.can_reject) {
        return html! {};
    }
    let is_decided = status.decision.is_some();
    let approve = if is_decided { "Approve after all" } else { "Approve" };
    let reject = if is_decided { "Take back" } else { "Reject" };
    // The buttons of a list sound alike without the name.
    let whose =
        html! { span.visually-hidden { " for " (page.context.partners.label(&row.partner_id)) } };
    let fields = html! {
        (hidden("plan", plan_id(page)))
        (hidden("rule", &row.rule_id))
        (hidden("partner", &row.partner_id))
        (hidden("asked", &row.asked()))
    };
    html! {
        div.decide.undo[is_decided] {
            @if status.can_approve {
                form method="post" action={ (page.root) "decisions/approve" } { (fields) button type="submit" { (approve) (whose) } }
            }
            @if status.can_reject { (rejection(page, &fields, &html! { (reject) (whose) }, reject)) }
        }
    }
}

/// Returns the forms that approve and reject all changes of a rule that wait for a person. They ask
/// once more, with the number of changes.
pub(crate) fn for_rule(page: &Page, rule_id: &str, waiting: i64) -> Markup {
    if !may_decide_on_plan(page) || waiting == 0 {
        return html! {};
    }
    let fields = html! { (hidden("plan", plan_id(page))) (hidden("rule", rule_id)) };
    let changes = format::counted(waiting, "change");
    html! {
        div.decide {
            details {
                summary { "Approve all" }
                form method="post" action={ (page.root) "decisions/approve" } {
                    (fields)
                    button type="submit" { "Yes, approve " (changes) }
                }
            }
            (rejection(page, &fields, &html! { "Reject all" }, &format!("Yes, reject {changes}")))
        }
    }
}

/// Returns the forms that snooze an alert and write a note on it.
pub(crate) fn for_alert(page: &Page, alert: &AlertRow) -> Markup {
    if !page.context.live.is_some_and(|live| live.can_decide) {
        return html! {};
    }
    let fields = html! {
        (hidden("alert", &alert.alert_id))
        (hidden("partner", &alert.partner_id))
    };
    html! {
        div.decide {
            details {
                summary { "Note" }
                form method="post" action={ (page.root) "decisions/alert-note" } {
                    (fields)
                    label { span { "Note" } input type="text" name="text" maxlength="1000" required; }
                    button type="submit" { "Keep the note" }
                }
            }
            details {
                summary { "Snooze" }
                form method="post" action={ (page.root) "decisions/snooze" } {
                    (fields)
                    label { span { "Days" } input type="number" name="days" min="1" max="90" value="7" required; }
                    label { span { "Reason" } input type="text" name="reason" maxlength="1000" required; }
                    button type="submit" { "Snooze" }
                }
            }
        }
    }
}

fn rejection(page: &Page, fields: &Markup, summary: &Markup, label: &str) -> Markup {
    html! {
        details {
            summary { (summary) }
            form method="post" action={ (page.root) "decisions/reject" } {
                (fields)
                label { span { "Reason" } input type="text" name="reason" maxlength="1000" required; }
                button type="submit" { (label) }
            }
        }
    }
}

fn plan_id<'a>(page: &'a Page) -> &'a str {
    &page.context.input.plan_facts.plan_id
}

fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}
