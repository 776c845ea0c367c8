//! How a proposed change stands: who decided on it and when, and how far its delivery has come.

use chrono::Datelike;
use domain::{Tier, format};
use maud::{Markup, html};

use crate::action_rows::{ChangeDecision, ChangeDelivery, PlanRow};
use crate::components::glyph;
use crate::components::shell::Page;

/// The lengths of the longest name and reason in characters.
const NAME_LENGTH: usize = 40;
const REASON_LENGTH: usize = 120;

/// Returns who must agree to a change, or what became of it.
pub(crate) fn status(page: &Page, row: &PlanRow) -> Markup {
    html! {
        @match &row.status.decision {
            Some(decision) => (decided(page, decision)),
            None if row.needs_approval => b { "A person" },
            None => span.quiet { "Needs no approval" },
        }
        @if let Some(delivery) = delivery(row) { p.state { (delivery) } }
    }
}

fn decided(page: &Page, decision: &ChangeDecision) -> Markup {
    let year = page.context.input.as_of.year();
    let (tier, word) = match decision.is_approved {
        true => (Tier::Healthy, "Approved"),
        false => (Tier::Churned, "Rejected"),
    };
    let by = format::truncate_to_chars(&decision.by, NAME_LENGTH);
    html! {
        (glyph::with_text(tier, word))
        p.quiet { "by " bdi { (by) } ", " (format::instant(decision.at, year)) }
        @if let Some(reason) = &decision.reason { p { bdi { (format::truncate_to_chars(reason, REASON_LENGTH)) } } }
    }
}

/// Returns how far the delivery has come, where there is something to say.
fn delivery(row: &PlanRow) -> Option<Markup> {
    let is_approved = row.status.decision.as_ref().is_some_and(|decision| decision.is_approved);
    let said = match &row.status.delivery {
        ChangeDelivery::NotSent if is_approved => html! { span.quiet { "Not sent yet" } },
        ChangeDelivery::NotSent => return None,
        ChangeDelivery::Sending => glyph::with_text(Tier::Onboarding, "Being sent"),
        ChangeDelivery::Failed => glyph::with_text(Tier::Watch, "Failed, is tried again"),
        ChangeDelivery::Unknown => {
            glyph::with_text(Tier::InsufficientEvidence, "Unknown whether taken")
        }
        ChangeDelivery::Taken => glyph::with_text(Tier::Healthy, "Taken by the receiver"),
        ChangeDelivery::Ended(why) => html! {
            (glyph::with_text(Tier::Stuck, "Not sent any more"))
            @if !why.is_empty() { " " span.quiet { bdi { (format::truncate_to_chars(why, REASON_LENGTH)) } } }
        },
    };
    Some(said)
}
