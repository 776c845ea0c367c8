//! What a plan changes, as tables and pages show it.

use super::numbers::thousands;
use crate::action::Setting;

/// Writes what a change goes from or to: `600`, `partner-success P1, 4 h`, `its manager`, `none`.
pub fn plain_setting(setting: Option<&Setting>) -> String {
    match setting {
        None => "none".to_owned(),
        Some(Setting::Support(r)) => format!("{} P{}, {} h", r.queue, r.priority, r.sla_hours),
        Some(Setting::Quota { per_minute }) => thousands(*per_minute),
        Some(Setting::Production { approved: true }) => "production".to_owned(),
        Some(Setting::Production { approved: false }) => "sandbox".to_owned(),
        Some(Setting::Notify { who, .. }) => recipient(who),
    }
}

/// Names the recipient of a notice in a sentence about a partner: `its manager`.
pub fn recipient(who: &str) -> String {
    match who {
        "manager" => "its manager".to_owned(),
        "partner" => "the partner".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::SupportRoute;

    #[test]
    fn settings() {
        let route = SupportRoute { queue: "onboarding".to_owned(), priority: 3, sla_hours: 48 };
        let about = "quota".to_owned();
        let notice = |who: &str| Setting::Notify { who: who.to_owned(), about: about.clone() };
        assert_eq!(plain_setting(Some(&Setting::Production { approved: true })), "production");
        assert_eq!(plain_setting(None), "none");
        assert_eq!(plain_setting(Some(&Setting::Support(route))), "onboarding P3, 48 h");
        assert_eq!(plain_setting(Some(&Setting::Quota { per_minute: 1_200 })), "1,200");
        assert_eq!(plain_setting(Some(&notice("manager"))), "its manager");
        assert_eq!(plain_setting(Some(&notice("partner"))), "the partner");
        assert_eq!(plain_setting(Some(&notice("Ada"))), "Ada");
    }
}
