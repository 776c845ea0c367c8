//! Snoozes: alerts that nobody is told of for some time. They stay in the list.

use std::collections::BTreeMap;

use super::rule_id_of;

/// A row of the table of snoozes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snooze {
    /// An alert, or the rule of several.
    pub alert_id: String,
    /// `None`: whoever it is about.
    pub partner_id: Option<String>,
    /// µs; in the past: the snooze is over.
    pub until: i64,
}

/// A fold over the table of snoozes: of one alert and partner the newest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snoozes(BTreeMap<(String, Option<String>), i64>);

impl Snoozes {
    /// Folds rows, the oldest first.
    pub fn of(rows: impl IntoIterator<Item = Snooze>) -> Self {
        let rows = rows.into_iter();
        Self(rows.map(|row| ((row.alert_id, row.partner_id), row.until)).collect())
    }

    /// Returns until when an alert is snoozed, by itself or with all of its rule; `None`: it is not,
    /// at `now`, µs.
    pub fn until(&self, alert_id: &str, partner_id: &str, now: i64) -> Option<i64> {
        let ids = [alert_id, rule_id_of(alert_id)];
        let partners = [Some(partner_id), None];
        let keys = ids.into_iter().flat_map(|id| partners.map(|partner| (id, partner)));
        let found = keys.filter_map(|(id, partner)| {
            self.0.get(&(id.to_owned(), partner.map(str::to_owned))).copied()
        });
        found.max().filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snoozes(rows: &[(&str, Option<&str>, i64)]) -> Snoozes {
        Snoozes::of(rows.iter().map(|(alert, partner, until)| Snooze {
            alert_id: (*alert).to_owned(),
            partner_id: partner.map(str::to_owned),
            until: *until,
        }))
    }

    #[test]
    fn a_snooze_covers_its_alert_its_rule_and_its_partner() {
        let one = snoozes(&[("sunset:v1", None, 10)]);
        assert_eq!(one.until("sunset:v1", "", 5), Some(10));
        assert_eq!(one.until("sunset:v2", "", 5), None);
        let rule = snoozes(&[("sunset", None, 10)]);
        assert_eq!(rule.until("sunset:v1", "p", 5), Some(10));
        let partner = snoozes(&[("sla", Some("p"), 10)]);
        assert_eq!(partner.until("sla", "p", 5), Some(10));
        assert_eq!(partner.until("sla", "q", 5), None);
    }

    #[test]
    fn a_snooze_ends_by_time_and_by_a_newer_row() {
        let one = snoozes(&[("sla", Some("p"), 10)]);
        assert_eq!(one.until("sla", "p", 10), None);
        let ended = snoozes(&[("sla", Some("p"), 10), ("sla", Some("p"), 4)]);
        assert_eq!(ended.until("sla", "p", 5), None);
    }
}
