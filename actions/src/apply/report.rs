//! What came of one change, for people.

use domain::ActionKind;
use domain::Setting;
use domain::format::plain_setting;

use crate::document::Change;

/// What came of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeReport {
    pub partner_id: String,
    pub action: ActionKind,
    pub key: String,
    pub outcome: DeliveryOutcome,
    /// `600 → 900`, or why not.
    pub text: String,
}

impl ChangeReport {
    pub(super) fn new(change: &Change, outcome: DeliveryOutcome, text: String) -> Self {
        Self {
            partner_id: change.partner_id.clone(),
            action: change.action,
            key: change.key.clone(),
            outcome,
            text,
        }
    }
}

/// What came of one change, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Delivered,
    /// The receiver took it, and made a lower quota of it than may be.
    TooLow,
    /// The log says that nothing is left to do.
    Before,
    /// The log says that it ended without being taken: refused, stopped, or waited too long.
    EndedBefore,
    /// A person has to agree first.
    NeedsApproval,
    Rejected,
    /// A later call goes on with it.
    Waits,
    /// It failed before, and the next attempt is not due yet.
    FailedBefore,
    /// A guard stopped it at the last moment.
    Stopped,
    Failed,
    Refused,
    /// Nobody knows whether it arrived; a person settles it.
    Ambiguous,
    /// The kill switch was thrown.
    Halted,
}

impl DeliveryOutcome {
    /// Returns whether the plan should not go on after two of these.
    pub(super) fn is_failure(self) -> bool {
        matches!(
            self,
            Self::TooLow | Self::FailedBefore | Self::Failed | Self::Refused | Self::Ambiguous
        )
    }

    /// Returns the word for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::TooLow => "lower than asked",
            Self::Before => "done before",
            Self::EndedBefore => "ended before",
            Self::NeedsApproval => "needs approval",
            Self::Rejected => "rejected",
            Self::Waits => "waits",
            Self::FailedBefore => "failed before",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Ambiguous => "unconfirmed",
            Self::Halted => "halted",
        }
    }
}

/// Returns `600 → 900`.
pub(super) fn change_words(change: &Change) -> String {
    let (from, to) = (change.from.as_ref(), change.to.as_ref());
    match to {
        Some(Setting::Notify { about, .. }) => format!("tell {}: {about}", plain_setting(to)),
        None if change.resolves() => format!("tell {}: resolved", plain_setting(from)),
        _ => format!("{} → {}", plain_setting(from), plain_setting(to)),
    }
}

/// Returns the first digits of a key, as a person types them.
pub(super) fn short_key(key: &str) -> String {
    key.chars().take(12).collect()
}

/// Says in a line what a receiver is told: `At risk: Calls −62 % in two weeks`. A partner is told what
/// the notice is about and nothing else: not our rule, and not what we think of it.
pub(super) fn summary(change: &Change) -> String {
    let (rule, reason) = (&change.rationale.rule, &change.rationale.reason);
    match change.to.as_ref().or(change.from.as_ref()) {
        Some(Setting::Notify { about, .. }) if change.tells_the_partner() => about.clone(),
        Some(Setting::Notify { about, .. }) => format!("{rule}: {about}"),
        _ if change.ends_route() => format!("{rule}: {}", change_words(change)),
        _ => format!("{rule}: {reason}"),
    }
}

/// Says in a few sentences why a change is made, and whom a notice is for. To a partner it says
/// nothing.
pub(super) fn details(change: &Change, recipient: Option<&str>) -> String {
    if change.tells_the_partner() {
        return String::new();
    }
    let rationale = &change.rationale;
    let tier = rationale.tier.map_or_else(String::new, |tier| format!(" ({})", tier.words()));
    let mut lines = vec![format!("{}{tier}.", rationale.reason)];
    for contribution in &rationale.contributions {
        let reason = contribution.reason.as_deref().unwrap_or("no evidence");
        lines.push(format!("{} {:+.1}: {reason}.", contribution.signal, contribution.points));
    }
    lines.extend(recipient.map(|name| format!("For {name}.")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use domain::Tier;

    use super::*;
    use crate::plan_tests::{input, made, partner, policy};

    #[test]
    fn a_partner_is_told_nothing_of_what_we_think_of_it() {
        let plan = made(&input(vec![partner("u", Tier::Healthy, None)]), &policy());
        let mut notice = plan.changes[0].clone();
        assert_eq!(summary(&notice), "Peaks at 80 % of its quota: quota at 80 %");
        assert!(details(&notice, Some("Ada")).contains("healthy"), "{notice:?}");
        let about = "Your quota is nearly used".to_owned();
        notice.to = Some(Setting::Notify { who: "partner".to_owned(), about: about.clone() });
        assert_eq!((summary(&notice), details(&notice, None)), (about.clone(), String::new()));
        // That it is over would say no more.
        (notice.from, notice.to) = (notice.to, None);
        assert_eq!((summary(&notice), details(&notice, None)), (about, String::new()));
    }
}
