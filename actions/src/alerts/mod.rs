//! Alerts: rules over the rows of a metric, a view or a table, and what people say of them.
//!
//! - `rule`: one alert of the policy
//! - `found`: what an evaluation found, and what it says
//! - `snoozes`: alerts that nobody is told of for some time

mod found;
mod rule;
mod snoozes;

pub use found::FoundAlert;
pub use rule::{AboutPart, AlertRule};
pub(crate) use rule::{RawAlert, alert_rule};
pub use snoozes::{Snooze, Snoozes};

/// Returns the id of the rule from the id of an alert: `version-sunset` of `version-sunset:v1`.
pub fn rule_id_of(alert_id: &str) -> &str {
    alert_id.split_once(':').map_or(alert_id, |(rule_id, _)| rule_id)
}
