//! Instants as they stand in data files and attributes: RFC 3339 with whole seconds.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// Returns an instant as `2026-09-15T00:07:00Z`.
pub(crate) fn rfc_3339(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns the midnight at which a day begins: `2026-09-15T00:00:00Z`.
pub(crate) fn midnight(day: NaiveDate) -> String {
    rfc_3339(day.and_time(NaiveTime::MIN).and_utc())
}
