//! The standing of partners: which are suspended or offboarded, by the events that say so.

use std::collections::BTreeMap;

use domain::{Day, parse_instant};
use serde::Deserialize;
use transform::Session;

use crate::polars_frames::typed_rows;

/// What a partner is that is not active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inactive {
    /// `suspended` or `offboarded`.
    pub(crate) what: String,
    pub(crate) since: Day,
}

/// When a partner was suspended, offboarded or reinstated.
#[derive(Deserialize)]
struct StandingRow {
    partner_id: String,
    occurred_at: String,
    r#type: String,
}

/// Returns the partners that are suspended or offboarded, by the events whose instants, in µs, are seen.
pub(crate) async fn inactive_partners(
    session: &Session,
    is_seen: impl Fn(i64) -> bool,
) -> anyhow::Result<BTreeMap<String, Inactive>> {
    let rows = typed_rows::<StandingRow>(&session.metric("standing_changes").await?)?;
    Ok(inactive(rows, is_seen))
}

/// Folds the events, which are in their order.
fn inactive(rows: Vec<StandingRow>, is_seen: impl Fn(i64) -> bool) -> BTreeMap<String, Inactive> {
    let mut inactive = BTreeMap::new();
    for row in rows {
        let at = parse_instant(&row.occurred_at).unwrap_or_default();
        if !is_seen(at) {
            continue;
        }
        match row.r#type.as_str() {
            "reinstated" => drop(inactive.remove(&row.partner_id)),
            what => {
                let now = Inactive { what: what.to_owned(), since: Day::of_micros(at) };
                inactive.insert(row.partner_id, now);
            }
        }
    }
    inactive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_that_is_seen_says_whether_a_partner_is_active() {
        #[track_caller]
        fn check(events: &[&str], seen: usize, expected: Option<(&str, i32)>) {
            let row = |(day, kind): (usize, &&str)| StandingRow {
                partner_id: "p".to_owned(),
                occurred_at: format!("1970-01-0{}T12:00:00Z", day + 1),
                r#type: (*kind).to_owned(),
            };
            let rows = events.iter().enumerate().map(row).collect();
            let found = inactive(rows, |at| Day::of_micros(at).0 < seen as i32);
            let found = found.get("p").map(|inactive| (inactive.what.as_str(), inactive.since.0));
            assert_eq!(found, expected);
        }
        let events = ["suspended", "reinstated", "suspended", "offboarded"];
        check(&events, 0, None);
        check(&events, 1, Some(("suspended", 0)));
        check(&events, 2, None);
        check(&events, 3, Some(("suspended", 2)));
        check(&events, 4, Some(("offboarded", 3)));
        check(&["reinstated"], 1, None);
    }
}
