//! Sentences about proposed actions.

use domain::{ActionKind, Day, Setting, format};
use maud::{Markup, html};

use crate::action_rows::PlanRow;
use crate::components::figure;

/// Returns a headline: `Quota 600 → 900 calls a minute`.
pub(crate) fn headline(row: &PlanRow) -> String {
    change_text(row.kind, [row.from.as_ref(), row.to.as_ref()], row.until)
}

/// Returns the headline of a change from one setting to another.
pub(crate) fn change_text(
    kind: ActionKind,
    settings: [Option<&Setting>; 2],
    until: Option<Day>,
) -> String {
    let [from, to] =
        settings.map(|setting| setting.map(|setting| format::plain_setting(Some(setting))));
    let text = match (kind, from, to) {
        (ActionKind::SetQuota, from, to) => {
            let change = match (from, to) {
                (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
                (from, to) => to.or(from).unwrap_or_default(),
            };
            let until = until.map(format::plain_date_with_year);
            let until = until.map_or_else(String::new, |day| format!(" until {day}"));
            format!("Quota {change} calls a minute{until}")
        }
        (ActionKind::RouteSupport, _, Some(queue)) => format!("Support queue {queue}"),
        (ActionKind::RouteSupport, Some(queue), None) => {
            format!("Leave the support queue {queue}")
        }
        (ActionKind::RouteSupport, None, None) => "To support".to_owned(),
        (ActionKind::ApproveProduction, ..) => "Approve for production".to_owned(),
        (ActionKind::Notify, Some(from), None) => format!("Tell {from} that it is over"),
        (ActionKind::Notify, _, to) => format!("Tell {}", to.unwrap_or_default()),
    };
    format::truncate_to_chars(&format::name_or_id(None, text.trim()), HEADLINE_LENGTH)
}

/// The length of the longest headline in characters. Names of queues and people have no limit.
const HEADLINE_LENGTH: usize = 80;

/// Returns a sentence: `Proposed: quota 600 → 900 calls a minute.`
pub(crate) fn sentence(row: &PlanRow) -> Markup {
    let text = headline(row);
    let mut chars = text.chars();
    let lower: String =
        chars.next().into_iter().flat_map(char::to_lowercase).chain(chars).collect();
    html! { "Proposed: " (figure::prewritten(&lower)) "." }
}

#[cfg(test)]
mod tests {
    use domain::SupportRoute;

    use super::*;
    use crate::action_rows::ChangeStatus;

    #[test]
    fn actions_are_named() {
        #[track_caller]
        fn check(
            kind: ActionKind,
            from: Option<Setting>,
            to: Option<Setting>,
            until: Option<&str>,
            expected: &str,
        ) {
            let row = PlanRow {
                partner_id: "p".to_owned(),
                kind,
                from,
                to,
                until: until.map(|day| day.parse().expect("a date")),
                rule: String::new(),
                rule_id: String::new(),
                why: String::new(),
                guardrails: Vec::new(),
                hits: Vec::new(),
                needs_approval: false,
                status: ChangeStatus::default(),
            };
            assert_eq!(headline(&row), expected);
        }
        use ActionKind::{Notify, RouteSupport, SetQuota};
        let quota = |per_minute| Some(Setting::Quota { per_minute });
        let queue = "integration-help".to_owned();
        let route =
            || Setting::Support(SupportRoute { queue: queue.clone(), priority: 2, sla_hours: 24 });
        let (who, about) = ("manager".to_owned(), "risk".to_owned());
        let manager = Setting::Notify { who, about };
        check(SetQuota, quota(600), quota(900), None, "Quota 600 → 900 calls a minute");
        let raise = "Quota 5 → 7 calls a minute until 21 Dec 2026";
        check(SetQuota, quota(5), quota(7), Some("2026-12-21"), raise);
        let routed = "Support queue integration-help P2, 24 h";
        check(RouteSupport, None, Some(route()), None, routed);
        let left = "Leave the support queue integration-help P2, 24 h";
        check(RouteSupport, Some(route()), None, None, left);
        check(Notify, None, Some(manager.clone()), None, "Tell its manager");
        check(Notify, Some(manager), None, None, "Tell its manager that it is over");
    }
}
