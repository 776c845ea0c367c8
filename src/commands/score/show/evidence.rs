//! What stands behind a score: opportunities, incidents, and the queries that show the events.

use domain::Day;
use polars::prelude::DataFrame;
use scoring::explain::{EventSource, Opportunity, RecentIncident, gate_query, signal_query};
use scoring::{PartnerScore, PayingLikelihood, SignalScore};
use serde::{Deserialize, Serialize};
use transform::Session;

use super::explanation::Asked;
use crate::commands::score::partner_rows::partner_rows;
use crate::commands::score::shell_command::shell_command;

/// Points below which a signal is not said to have lost any.
const SHOWN_POINTS: f64 = 0.05;
/// Days of W, in which an incident counts for the score.
const WINDOW_DAYS: i32 = 28;

/// Something the partner may be ready for.
#[derive(Serialize)]
pub(super) struct ShownOpportunity {
    pub(super) opportunity: &'static str,
    pub(super) evidence: String,
}

/// An incident of errors of the last 90 days.
#[derive(Serialize)]
pub(super) struct Incident {
    pub(super) first_day: String,
    pub(super) last_day: String,
    pub(super) is_over: bool,
    pub(super) sentence: String,
}

impl Incident {
    pub(super) fn of(incident: &RecentIncident) -> Self {
        Self {
            first_day: incident.first.to_string(),
            last_day: incident.last.to_string(),
            is_over: incident.is_over,
            sentence: incident.sentence.clone(),
        }
    }
}

/// A query that shows the events behind a signal or a gate.
#[derive(Serialize)]
pub(super) struct Query {
    /// The signal, or the gate.
    pub(super) of: String,
    pub(super) sql: String,
    /// A command line that runs it.
    pub(super) command: String,
}

/// The change of weekly calls of a partner.
#[derive(Deserialize)]
struct GrowthRow {
    growth: f64,
    upper_quartile: f64,
}

/// What the evidence of one partner is made from.
pub(super) struct Evidence<'a> {
    pub(super) partner: &'a PartnerScore,
    pub(super) asked: &'a Asked<'a>,
    pub(super) merged: &'a [String],
    pub(super) incidents: &'a [RecentIncident],
}

impl Evidence<'_> {
    /// Returns what the partner may be ready for. `frame` has the rows of `scoring_opportunities`,
    /// the session has the scores, and `paying` is how likely partners like it became paying.
    pub(super) async fn opportunities(
        &self,
        session: &Session,
        frame: Option<&DataFrame>,
        paying: Option<PayingLikelihood>,
    ) -> anyhow::Result<Vec<ShownOpportunity>> {
        let id = self.partner.partner_id.as_str();
        let growth: Vec<GrowthRow> = partner_rows(session, "growth_quartile", id).await?;
        let growth = growth.first().map(|row| (row.growth, row.upper_quartile));
        let (mut utilisation, mut product) = (None, None);
        if let Some(frame) = frame {
            let column =
                |name| frame.column(name).map(polars::prelude::Column::as_materialized_series);
            let ids = column("partner_id")?.str()?;
            if let Some(row) = ids.iter().position(|of| of == Some(id)) {
                utilisation = column("utilisation")?.f64()?.get(row);
                product = column("new_product")?.str()?.get(row).map(str::to_owned);
            }
        }
        let found = Opportunity::of(utilisation, growth, product.as_deref(), paying);
        let shown = found.iter().map(|opportunity| ShownOpportunity {
            opportunity: opportunity.name(),
            evidence: opportunity.sentence(),
        });
        Ok(shown.collect())
    }

    /// Returns the queries behind the gate that decides and behind each signal that lost points.
    pub(super) fn queries(&self) -> Vec<Query> {
        let day = self.asked.as_of.day();
        let source = EventSource {
            partner_id: &self.partner.partner_id,
            merged: self.merged,
            day,
            incident_since: self.incident_in_window(day),
        };
        let total: f64 = self.partner.signals.iter().filter_map(counted_weight).sum();
        let lost = |signal: &&SignalScore| {
            let points = signal.score.map(|score| signal.weight * (100.0 - score) / total);
            signal.applicable && points.is_some_and(|points| points >= SHOWN_POINTS)
        };
        let of_gate = self
            .partner
            .gate
            .and_then(|gate| Some((format!("gate {}", gate.name()), gate_query(gate, &source)?)));
        let signals = self.partner.signals.iter().filter(lost).filter_map(|signal| {
            Some((signal.signal.to_string(), signal_query(&signal.signal, &source)?))
        });
        let mut found: Vec<Query> = Vec::new();
        for (of, sql) in of_gate.into_iter().chain(signals) {
            match found.iter_mut().find(|query| query.sql == sql) {
                Some(same) => same.of = format!("{} and {of}", same.of),
                None => found.push(Query { of, command: self.command(&sql, day), sql }),
            }
        }
        found
    }

    /// Returns the first day of the oldest incident with an alarm in W.
    fn incident_in_window(&self, day: Day) -> Option<Day> {
        let window = day.plus(-WINDOW_DAYS);
        self.incidents.iter().find(|incident| incident.last >= window).map(|i| i.first)
    }

    /// Returns the command that runs a query as of the same day. It names the configuration only if
    /// one was given.
    fn command(&self, sql: &str, day: Day) -> String {
        let config = self.asked.config.map(|path| path.display().to_string());
        let day = day.to_string();
        let given = config.iter().flat_map(|path| ["--config", path.as_str()]);
        shell_command(["rapport"].into_iter().chain(given).chain(["sql", "--as-of", &day, sql]))
    }
}

fn counted_weight(signal: &SignalScore) -> Option<f64> {
    signal.score.map(|_| signal.weight)
}
