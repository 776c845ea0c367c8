//! What a report is made of: the rows of one run of the lake, and indexes over them.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};

use crate::policy::PolicyInForce;
use crate::rows::{
    ActivationRow, CohortRetentionRow, FunnelRow, GrowthRow, PartnerReliabilityRow,
    RevenuePerPartnerRow, RevenueSummaryRow, StuckPartnerRow, ThrottlingRow, TimeToFirstCallRow,
};
use crate::standing::{HealthRow, HistoryRow, PartnerDayRow, PartnerRow, PlanRow, Standing};

/// Why the newest rows of a metric are not shown, and what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// One sentence without its full stop.
    pub why: String,
    /// As of when the rows that are shown in their place are; `None`: there are none.
    pub shown: Option<NaiveDate>,
}

/// What the rows of a CSV come from, where that is not what the report comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Exclusive upper bound of what counts.
    pub as_of: NaiveDate,
    pub made_at: Option<DateTime<Utc>>,
    pub run: Option<String>,
    /// Version of each table that was read.
    pub versions: BTreeMap<String, u64>,
}

/// Everything a report shows. Rows that are empty or `None` are drawn as unknown, with what to do.
#[derive(Debug, Clone, Default)]
pub struct ReportInput {
    /// Exclusive upper bound of everything shown: a UTC midnight.
    pub as_of: NaiveDate,
    /// ISO 4217 code of the reporting currency.
    pub currency: String,
    /// Version of the program.
    pub rapport_version: String,
    /// Number of the run that the figures belong to.
    pub run: Option<String>,
    /// Version of each table that the run read.
    pub versions: BTreeMap<String, u64>,
    /// Version of the scoring policy.
    pub policy_version: Option<String>,
    pub policy: PolicyInForce,
    /// When the report is made; an old watermark is shown as stale. `None`: not judged.
    pub generated_at: Option<DateTime<Utc>>,
    /// The lake is complete up to here.
    pub watermark: Option<DateTime<Utc>>,
    /// How far the slowest partition is behind the newest, in seconds.
    pub slowest_seconds: Option<i64>,
    pub scored_at: Option<DateTime<Utc>>,

    pub funnel: Vec<FunnelRow>,
    pub time_to_first_call: Vec<TimeToFirstCallRow>,
    pub activation: Vec<ActivationRow>,
    /// `None`: the metric was not run.
    pub stuck_partners: Option<Vec<StuckPartnerRow>>,
    pub growth: Vec<GrowthRow>,
    pub cohort_retention: Vec<CohortRetentionRow>,
    pub revenue_summary: Vec<RevenueSummaryRow>,
    pub revenue_per_partner: Vec<RevenuePerPartnerRow>,
    pub partner_reliability: Vec<PartnerReliabilityRow>,
    pub throttling: Vec<ThrottlingRow>,

    /// Newest scores, one row a partner.
    pub health: Vec<HealthRow>,
    /// Scores of every run, the newest included.
    pub history: Vec<HistoryRow>,
    /// Production traffic of the last 60 to 90 days.
    pub daily: Vec<PartnerDayRow>,
    pub plan: Vec<PlanRow>,
    pub partners: Vec<PartnerRow>,

    /// Metric or table name → its rows as CSV, written to `data/NAME.csv`.
    pub csv: BTreeMap<String, String>,
    /// What the rows of a CSV come from, by its name, where it is an earlier run.
    pub provenance: BTreeMap<String, Provenance>,
    /// What is known of CSVs that are no query's, by name.
    pub tables: BTreeMap<String, QueryDoc>,
    /// Metric name → its first rows as text, in the order of its columns, shown on its page.
    pub first_rows: BTreeMap<String, Vec<Vec<String>>>,
    /// Metric name → its rows as Parquet, written to `data/NAME.parquet`.
    pub parquet: BTreeMap<String, Vec<u8>>,
    /// Metrics whose newest rows are not shown.
    pub held: BTreeMap<String, Held>,
    /// Query name → what is known of it, shown on `sql/NAME.html`.
    pub queries: BTreeMap<String, QueryDoc>,
}

/// A query of the catalog, as it is documented.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryDoc {
    /// `metric`, `view`, `rollup` or `check`.
    pub kind: String,
    pub description: String,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    /// The columns that identify a row.
    pub grain: Vec<String>,
    pub columns: Vec<ColumnDoc>,
    /// Each as its header has it.
    pub checks: Vec<String>,
    /// The names of its test cases.
    pub cases: Vec<String>,
    /// Tables and queries it reads, and queries that read it.
    pub reads: Vec<String>,
    pub read_by: Vec<String>,
    /// The file it stands in, and its text.
    pub file: String,
    pub sql: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnDoc {
    pub name: String,
    pub kind: String,
    pub unit: Option<String>,
    pub description: Option<String>,
}

impl ReportInput {
    /// No event has been seen.
    pub fn is_empty(&self) -> bool {
        let registered = self.funnel.iter().any(|row| row.registered > 0);
        !registered
            && self.growth.is_empty()
            && self.revenue_summary.is_empty()
            && self.health.is_empty()
    }

    /// The last whole month of growth and the one before it.
    pub fn last_growth(&self) -> (Option<&GrowthRow>, Option<&GrowthRow>) {
        last_two(&self.growth, |row| row.complete)
    }

    /// The last whole month with revenue, and the month before it, where that had any too: months
    /// without billing have no row.
    pub fn last_revenue(&self) -> (Option<&RevenueSummaryRow>, Option<&RevenueSummaryRow>) {
        let (now, before) = last_two(&self.revenue_summary, |row| row.complete);
        let month = now.map(|row| row.month);
        (now, before.filter(|row| Some(crate::words::next_month(row.month)) == month))
    }

    /// The month that holds the day before `as_of`, when it is not whole.
    pub fn running_month(&self) -> Option<NaiveDate> {
        let month = crate::words::month_start(self.as_of.pred_opt()?);
        (crate::words::next_month(month) > self.as_of).then_some(month)
    }

    /// Partners by standing, and the share of gross they hold together (`None`: nothing billed).
    pub fn standings(&self) -> Vec<(Standing, i64, Option<f64>)> {
        let tally = |standing: Standing| {
            let rows = self.health.iter().filter(|row| row.standing() == standing);
            let shares: Vec<f64> = rows.clone().filter_map(|row| row.impact_share).collect();
            let share = (!shares.is_empty()).then(|| shares.iter().sum());
            (standing, rows.count() as i64, share)
        };
        Standing::ALL.into_iter().map(tally).collect()
    }

    /// Days on which scores were made, oldest first.
    pub fn score_days(&self) -> Vec<NaiveDate> {
        let mut days: Vec<NaiveDate> = self.history.iter().map(|row| row.as_of).collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    /// The score day a week before the newest, or the nearest one before or after that is not the
    /// newest; `None` when there has been one run only.
    pub fn week_ago(&self) -> Option<NaiveDate> {
        let days = self.score_days();
        let (newest, earlier) = days.split_last()?;
        let target = *newest - chrono::Days::new(7);
        earlier.iter().rev().find(|day| **day <= target).or_else(|| earlier.first()).copied()
    }
}

/// The last row that is whole and the whole one before it.
pub(crate) fn last_two<T>(rows: &[T], whole: impl Fn(&T) -> bool) -> (Option<&T>, Option<&T>) {
    let mut back = rows.iter().rev().filter(|row| whole(row));
    (back.next(), back.next())
}

/// Rows by partner, so that 2,000 partner pages take one pass over each table.
pub(crate) struct ByPartner<'a> {
    pub reliability: HashMap<&'a str, &'a PartnerReliabilityRow>,
    pub throttling: HashMap<&'a str, &'a ThrottlingRow>,
    pub milestones: HashMap<&'a str, &'a PartnerRow>,
    pub daily: HashMap<&'a str, Vec<&'a PartnerDayRow>>,
    pub history: HashMap<&'a str, Vec<&'a HistoryRow>>,
    pub revenue: HashMap<&'a str, Vec<&'a RevenuePerPartnerRow>>,
    pub plan: HashMap<&'a str, Vec<&'a PlanRow>>,
    pub health: HashMap<&'a str, &'a HealthRow>,
}

impl<'a> ByPartner<'a> {
    pub(crate) fn of(input: &'a ReportInput) -> Self {
        let mut daily = group(&input.daily, |row| &row.partner_id);
        daily.values_mut().for_each(|rows| rows.sort_by_key(|row| row.event_date));
        let mut history = group(&input.history, |row| &row.partner_id);
        history.values_mut().for_each(|rows| rows.sort_by_key(|row| row.as_of));
        let mut revenue = group(&input.revenue_per_partner, |row| &row.partner_id);
        revenue.values_mut().for_each(|rows| rows.sort_by_key(|row| row.month));
        Self {
            reliability: single(&input.partner_reliability, |row| &row.partner_id),
            throttling: single(&input.throttling, |row| &row.partner_id),
            milestones: single(&input.partners, |row| &row.partner_id),
            health: single(&input.health, |row| &row.partner_id),
            plan: group(&input.plan, |row| &row.partner_id),
            daily,
            history,
            revenue,
        }
    }

    /// The name people know a partner by; its id where it has none or is not scored.
    pub(crate) fn label(&self, id: &str) -> String {
        self.health.get(id).map_or_else(|| crate::words::label(None, id), |row| row.label())
    }
}

fn single<T>(rows: &[T], id: impl Fn(&T) -> &str) -> HashMap<&str, &T> {
    rows.iter().map(|row| (id(row), row)).collect()
}

fn group<T>(rows: &[T], id: impl Fn(&T) -> &str) -> HashMap<&str, Vec<&T>> {
    let mut groups: HashMap<&str, Vec<&T>> = HashMap::new();
    for row in rows {
        groups.entry(id(row)).or_default().push(row);
    }
    groups
}
