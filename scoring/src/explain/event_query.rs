//! The SQL that shows the events behind a signal or a gate of one partner: the calls, charges or
//! tickets that count, or the days with calls where their number is what counts.
//!
//! It is not a file under `queries/`, because it is printed with the partner's id and dates in it,
//! for a person to run and to change.

use domain::{Day, SignalName, month_of, printable};

use crate::gates::Gate;

/// Days of W, of W and its baseline, and of the look back for tickets and for payments.
const WINDOW_DAYS: i32 = 28;
const BASELINE_DAYS: i32 = 112;
const TICKET_DAYS: i32 = 90;
const PAYMENT_DAYS: i32 = 90;
/// Dates that growth looks at: four weeks and the eight before.
const GROWTH_DAYS: i32 = 84;
/// Dates that the gate `dead` looks at.
const DEAD_DAYS: i32 = 3;
/// Days that an API version still has when calls to it begin to count.
const SUNSET_DAYS: i32 = 365;
/// Complete months that revenue looks at.
const MONTHS: u32 = 6;

/// Whose events are shown, and as of when.
#[derive(Debug, Clone)]
pub struct EventSource<'a> {
    pub partner_id: &'a str,
    /// The ids that were merged into it: events keep the id that they were sent with.
    pub merged: &'a [String],
    /// Events before this day count.
    pub day: Day,
    /// The first day of its incident of errors, where one reaches into the window.
    pub incident_since: Option<Day>,
}

/// Returns the query behind a signal; `None` for a name that is no signal's.
pub fn signal_query(signal: &SignalName, source: &EventSource<'_>) -> Option<String> {
    let window = source.day.plus(-WINDOW_DAYS);
    Some(match signal.as_str() {
        "onboarding" => source.first_steps(),
        "errors" => {
            let first = source.incident_since.unwrap_or(window).min(window);
            source.calls(first, "status BETWEEN 400 AND 499 AND status <> 429")
        }
        "steadiness" => source.days_with_calls(source.day.plus(-BASELINE_DAYS)),
        "growth" => source.days_with_calls(source.day.plus(-GROWTH_DAYS)),
        "revenue" => source.billing_events(),
        "dormancy" => source.active_days(),
        "throttling" => source.calls(window, "status = 429"),
        "service" => source.broken_promises(window),
        "deprecated" => source.calls_to_ending_versions(window),
        "support" => source.tickets(),
        "breadth" => source.things_called(window),
        "credentials" => source.credentials(window),
        "payments" => source.payments(),
        _ => return None,
    })
}

/// Returns the query behind a gate; `None` for one that forecasts.
pub fn gate_query(gate: Gate, source: &EventSource<'_>) -> Option<String> {
    let signal = |name| signal_query(&SignalName::new(name), source);
    match gate {
        Gate::Dead => Some(source.calls(source.day.plus(-DEAD_DAYS), "status >= 400")),
        Gate::Silence => Some(source.active_days()),
        Gate::Collapse | Gate::Decline => {
            Some(source.days_with_calls(source.day.plus(-BASELINE_DAYS)))
        }
        Gate::RevenueGone | Gate::LowRevenue => signal("revenue"),
        Gate::LowErrors => signal("errors"),
        Gate::LowGrowth => signal("growth"),
        Gate::TwoLowSignals | Gate::ForecastAtRisk | Gate::ForecastWatch => None,
    }
}

impl EventSource<'_> {
    /// Returns the condition that an event is the partner's and lies from `first` to the day before.
    fn events_since(&self, first: Day) -> String {
        let day = self.day;
        format!("{} AND event_date >= '{first}' AND event_date < '{day}'", self.is_partner())
    }

    /// Returns the condition that an event was sent with one of the partner's ids.
    fn is_partner(&self) -> String {
        let merged = self.merged.iter().map(|id| literal(id));
        let ids: Vec<String> = [literal(self.partner_id)].into_iter().chain(merged).collect();
        match ids.as_slice() {
            [id] => format!("partner_id = {id}"),
            ids => format!("partner_id IN ({})", ids.join(", ")),
        }
    }

    fn calls(&self, first: Day, condition: &str) -> String {
        format!(
            "SELECT occurred_at, status, method, endpoint, event_id FROM api_calls WHERE {} AND \
             environment = 'production' AND {condition} ORDER BY occurred_at, event_id",
            self.events_since(first)
        )
    }

    /// Returns the days on which the partner called; the ids merged into it are one with it there.
    fn days_with_calls(&self, first: Day) -> String {
        format!(
            "SELECT event_date, sum(calls) AS calls, sum(successes) AS successes FROM usage_day \
             WHERE partner_id = {} AND environment = 'production' AND event_date >= '{first}' AND \
             event_date < '{}' GROUP BY event_date ORDER BY event_date",
            literal(self.partner_id),
            self.day
        )
    }

    fn active_days(&self) -> String {
        format!(
            "SELECT event_date, sum(successes) AS successes FROM usage_day WHERE partner_id = {} \
             AND environment = 'production' AND successes > 0 AND event_date < '{}' GROUP BY \
             event_date ORDER BY event_date",
            literal(self.partner_id),
            self.day
        )
    }

    fn first_steps(&self) -> String {
        let before = format!("{} AND event_date < '{}'", self.is_partner(), self.day);
        format!(
            "SELECT occurred_at, type AS event FROM partner_events WHERE {before} UNION ALL SELECT \
             min(occurred_at), 'first success in ' || environment FROM api_calls WHERE {before} AND \
             status BETWEEN 200 AND 399 GROUP BY environment ORDER BY 1, 2"
        )
    }

    fn billing_events(&self) -> String {
        let first = (0..MONTHS).fold(month_of(self.day), |month, _| month_of(month.plus(-1)));
        format!(
            "SELECT occurred_at, kind, amount_minor, currency, product, invoice_id FROM \
             billing_events WHERE {} ORDER BY occurred_at, event_id",
            self.events_since(first)
        )
    }

    fn broken_promises(&self, first: Day) -> String {
        format!(
            "SELECT occurred_at, status, latency_us / 1000 AS latency_ms, method, endpoint, \
             event_id FROM api_calls CROSS JOIN (SELECT max(s.latency_target_ms) AS target_ms FROM \
             sla s JOIN partners p ON p.plan = s.plan WHERE p.partner_id = {}) WHERE {} AND \
             environment = 'production' AND (status >= 500 OR latency_us > 1000 * target_ms) ORDER \
             BY occurred_at, event_id",
            literal(self.partner_id),
            self.events_since(first)
        )
    }

    fn calls_to_ending_versions(&self, first: Day) -> String {
        let end = self.day.plus(SUNSET_DAYS);
        format!(
            "SELECT occurred_at, s.api_version, sunset_on, method, endpoint, event_id FROM \
             api_calls c JOIN sunsets s ON s.api_version = c.api_version WHERE {} AND environment = \
             'production' AND sunset_on < '{end}' ORDER BY occurred_at, event_id",
            self.events_since(first)
        )
    }

    fn tickets(&self) -> String {
        format!(
            "SELECT occurred_at, ticket_id, severity FROM support_events WHERE {} AND type = \
             'opened' ORDER BY occurred_at, ticket_id",
            self.events_since(self.day.plus(-TICKET_DAYS))
        )
    }

    fn things_called(&self, first: Day) -> String {
        format!(
            "SELECT product, method, endpoint, count(*) AS calls, max(occurred_at) AS last_call_at \
             FROM api_calls WHERE {} AND environment = 'production' GROUP BY product, method, \
             endpoint ORDER BY product, method, endpoint",
            self.events_since(first)
        )
    }

    /// Returns the credentials that the partner calls with, since when, and how much; the ids merged
    /// into it are one with it there.
    fn credentials(&self, first: Day) -> String {
        format!(
            "SELECT credential_id, min(first_call_at) AS first_call_at, sum(calls) FILTER (WHERE \
             event_date >= '{first}' AND environment = 'production') AS calls FROM \
             credential_usage_day WHERE partner_id = {} AND event_date < '{}' GROUP BY \
             credential_id ORDER BY first_call_at, credential_id",
            literal(self.partner_id),
            self.day
        )
    }

    fn payments(&self) -> String {
        format!(
            "SELECT occurred_at, kind, amount_minor, currency, invoice_id FROM billing_events \
             WHERE {} AND kind IN ('payment_failed', 'payment_succeeded') ORDER BY occurred_at, \
             event_id",
            self.events_since(self.day.plus(-PAYMENT_DAYS))
        )
    }
}

/// Writes a text as a SQL expression on one line. Characters that cannot be shown are written by
/// their numbers.
fn literal(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut open = String::new();
    let close = |open: &mut String, parts: &mut Vec<String>| {
        if !open.is_empty() {
            parts.push(format!("'{}'", std::mem::take(open).replace('\'', "''")));
        }
    };
    for c in text.chars() {
        if printable(c.encode_utf8(&mut [0; 4])).chars().eq([c]) {
            open.push(c);
            continue;
        }
        close(&mut open, &mut parts);
        parts.push(format!("chr({})", u32::from(c)));
    }
    close(&mut open, &mut parts);
    match parts.as_slice() {
        [] => "''".to_owned(),
        [part] => part.clone(),
        parts => format!("({})", parts.join(" || ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::signal_names;
    use crate::test_input::day;

    fn source<'a>(partner_id: &'a str, merged: &'a [String]) -> EventSource<'a> {
        EventSource { partner_id, merged, day: day("2026-09-15"), incident_since: None }
    }

    #[test]
    fn every_signal_has_a_query_of_the_partner_up_to_the_day() {
        for signal in signal_names() {
            let query = signal_query(&signal, &source("o'neil", &[])).expect("a query");
            assert!(query.contains("partner_id = 'o''neil'"), "{signal}: {query}");
            assert!(query.contains("event_date < '2026-09-15'"), "{signal}: {query}");
            assert!(query.starts_with("SELECT ") && query.contains(" ORDER BY "), "{query}");
            assert!(!query.contains('\n'), "{query}");
        }
        assert_eq!(signal_query(&SignalName::new("luck"), &source("a", &[])), None);
    }

    #[test]
    fn every_gate_but_those_of_forecasts_has_a_query() {
        let without: Vec<Gate> = Gate::ALL
            .into_iter()
            .filter(|gate| gate_query(*gate, &source("a", &[])).is_none())
            .collect();
        assert_eq!(without, [Gate::TwoLowSignals, Gate::ForecastAtRisk, Gate::ForecastWatch]);
        let dead = gate_query(Gate::Dead, &source("a", &[])).expect("a query");
        assert!(dead.contains("event_date >= '2026-09-12'"), "{dead}");
    }

    #[test]
    fn the_dates_are_those_that_the_signal_looks_at() {
        #[track_caller]
        fn check(signal: &'static str, first: &str) {
            let query = signal_query(&SignalName::new(signal), &source("a", &[])).expect("a query");
            assert!(query.contains(&format!("event_date >= '{first}'")), "{query}");
        }
        check("errors", "2026-08-18");
        check("throttling", "2026-08-18");
        check("steadiness", "2026-05-26");
        check("growth", "2026-06-23");
        check("support", "2026-06-17");
        check("breadth", "2026-08-18");
        check("credentials", "2026-08-18");
        check("payments", "2026-06-17");
        // Six complete months before that of the day.
        check("revenue", "2026-03-01");
        let since = |text| EventSource { incident_since: Some(day(text)), ..source("a", &[]) };
        let errors = |source| signal_query(&SignalName::new("errors"), &source).expect("a query");
        assert!(errors(since("2026-07-30")).contains("event_date >= '2026-07-30'"));
        assert!(errors(since("2026-09-10")).contains("event_date >= '2026-08-18'"));
    }

    #[test]
    fn merged_ids_are_shown_too() {
        let merged = ["b".to_owned(), "c".to_owned()];
        let errors = signal_query(&SignalName::new("errors"), &source("a", &merged));
        assert!(errors.expect("a query").contains("partner_id IN ('a', 'b', 'c')"));
        // The days with calls are those of the survivor already.
        let growth = signal_query(&SignalName::new("growth"), &source("a", &merged));
        assert!(growth.expect("a query").contains("partner_id = 'a'"));
    }

    #[test]
    fn texts_become_literals() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(literal(text), expected);
        }
        check("p-1", "'p-1'");
        check("o'neil", "'o''neil'");
        check("株式会社", "'株式会社'");
        check("a\nb", "('a' || chr(10) || 'b')");
        check("\u{1b}", "chr(27)");
        check("", "''");
    }
}
