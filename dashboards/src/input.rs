//! The input of a report: the rows of one run of the lake.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use domain::Tier;

use crate::action_rows::{ActionLogRow, AlertRow, PlanFacts, PlanRow};
use crate::grain::Grain;
use crate::health_history::HealthHistory;
use crate::health_rows::{HealthRow, PartnerRow, TrafficRow};
use crate::lake_rows::LakeRows;
use crate::metric_rows::{
    ActivationRow, ChurnCauseRow, CohortRetentionRow, DataQualityRow, FunnelRow, GrowthRow,
    OnboardingStepRow, PartnerReliabilityRow, RevenuePerPartnerRow, RevenueSummaryRow,
    SelfServiceRow, StuckPartnerRow, ThrottlingRow, TimeToFirstCallRow, TimeToProductionRow,
};
use crate::months;
use crate::policy_in_force::PolicyInForce;
use crate::record_rows::{AnnotationRow, NoteRow, OverrideRow};
use crate::revenue_rows::{
    FreeToPaidRow, RevenueBridgeRow, RevenueByKindRow, RevenueByProductRow, RevenuePeriodRow,
    unbilled_month,
};
use crate::service_rows::{
    EndpointUsageRow, ErrorAlarmRow, ProductUsageRow, SlaBreachRow, VersionAdoptionRow,
};
use crate::targets::Targets;

/// A metric whose newest rows are not shown, because they failed a check or could not be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBackMetric {
    /// Why the rows are not shown: one sentence without its full stop.
    pub reason: String,
    /// The day of the earlier rows that are shown instead. `None`: there are no such rows.
    pub shown_as_of: Option<NaiveDate>,
}

/// The run that the rows of a CSV come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The rows count everything before this UTC midnight.
    pub as_of: NaiveDate,
    pub made_at: Option<DateTime<Utc>>,
    pub run: Option<String>,
    /// The version of each table that the run read.
    pub versions: BTreeMap<String, u64>,
}

/// Everything that a report shows. A section without rows says what to do to get them.
#[derive(Debug, Clone, Default)]
pub struct ReportInput {
    /// The report counts everything before this UTC midnight.
    pub as_of: NaiveDate,
    /// The ISO 4217 code of the reporting currency.
    pub currency: String,
    /// The version of the program.
    pub rapport_version: String,
    /// The number of the run that the figures belong to.
    pub run: Option<String>,
    /// The version of each table that the run read.
    pub versions: BTreeMap<String, u64>,
    /// The version of the scoring policy.
    pub policy_version: Option<String>,
    pub policy: PolicyInForce,
    pub targets: Targets,
    /// The instant at which the report is made. A watermark much older than it is shown as stale.
    /// `None`: the age of the watermark is not checked.
    pub generated_at: Option<DateTime<Utc>>,
    /// The instant up to which the lake is complete.
    pub watermark: Option<DateTime<Utc>>,
    /// How far the slowest partition is behind the fastest, in seconds.
    pub slowest_seconds: Option<i64>,
    pub scored_at: Option<DateTime<Utc>>,

    pub funnel: Vec<FunnelRow>,
    pub onboarding_steps: Vec<OnboardingStepRow>,
    pub time_to_first_call: Vec<TimeToFirstCallRow>,
    pub time_to_production: Vec<TimeToProductionRow>,
    pub activation: Vec<ActivationRow>,
    pub self_service: Vec<SelfServiceRow>,
    /// `None`: the metric was not computed.
    pub stuck_partners: Option<Vec<StuckPartnerRow>>,
    pub growth: Vec<GrowthRow>,
    pub cohort_retention: Vec<CohortRetentionRow>,
    pub churn_causes: Vec<ChurnCauseRow>,
    /// The revenue of the last 28 days and of the last 13 weeks. They are empty while `revenue_summary`
    /// is held back.
    pub revenue_days: Vec<RevenuePeriodRow>,
    pub revenue_weeks: Vec<RevenuePeriodRow>,
    pub revenue_bridge: Vec<RevenueBridgeRow>,
    pub revenue_by_product: Vec<RevenueByProductRow>,
    pub revenue_by_kind: Vec<RevenueByKindRow>,
    pub free_to_paid: Vec<FreeToPaidRow>,
    pub revenue_summary: Vec<RevenueSummaryRow>,
    pub revenue_per_partner: Vec<RevenuePerPartnerRow>,
    pub partner_reliability: Vec<PartnerReliabilityRow>,
    pub throttling: Vec<ThrottlingRow>,

    pub product_usage: Vec<ProductUsageRow>,
    pub endpoint_usage: Vec<EndpointUsageRow>,
    pub sla_breaches: Vec<SlaBreachRow>,
    pub version_adoption: Vec<VersionAdoptionRow>,
    /// The days of `error_trend` with an alarm.
    pub error_alarms: Vec<ErrorAlarmRow>,
    pub data_quality: Vec<DataQualityRow>,
    /// The streams and tables of the lake.
    pub lake: LakeRows,

    /// The newest scores, one row per partner.
    pub health: Vec<HealthRow>,
    /// The tiers and scores of every day, the newest included.
    pub history: HealthHistory,
    /// The production traffic of the last 60 to 90 days.
    pub daily: Vec<TrafficRow>,
    /// The same of the last 13 weeks and of the last 13 months, the running ones included.
    pub weekly: Vec<TrafficRow>,
    pub monthly: Vec<TrafficRow>,
    /// The changes of the pending plan, and what else it says.
    pub plan: Vec<PlanRow>,
    pub plan_facts: PlanFacts,
    /// The log of actions, newest first.
    pub action_log: Vec<ActionLogRow>,
    /// The open alerts, by rule in the order of the policy.
    pub alerts: Vec<AlertRow>,
    /// Whether a check has ever found an alert. Where none has, there may have been no check at all: one
    /// that finds nothing leaves no trace.
    pub has_found_alerts: bool,
    pub partners: Vec<PartnerRow>,
    /// What people noted about partners, of each partner newest first.
    pub notes: Vec<NoteRow>,
    /// The tiers that people set, newest first.
    pub overrides: Vec<OverrideRow>,
    /// Days with an explanation, by their first day.
    pub annotations: Vec<AnnotationRow>,

    /// The rows of metrics and tables as CSV, by name. They are written to `data/NAME.csv`.
    pub csv: BTreeMap<String, String>,
    /// The runs that CSVs come from, by name, for those of an earlier run.
    pub provenance: BTreeMap<String, Provenance>,
    /// The documentation of CSVs that come from no query, by name.
    pub tables: BTreeMap<String, QueryDoc>,
    /// The first rows of metrics, by name, as text in the order of the columns.
    pub first_rows: BTreeMap<String, Vec<Vec<String>>>,
    /// The rows of metrics as Parquet, by name. They are written to `data/NAME.parquet`.
    pub parquet: BTreeMap<String, Vec<u8>>,
    /// The metrics whose newest rows are not shown, by name.
    pub held_back: BTreeMap<String, HeldBackMetric>,
    /// The metrics that look at the whole lake, and have no rows in a report of some partners.
    pub of_all_partners: BTreeSet<String>,
    /// The documentation of queries, by name. It is shown on `sql/NAME.html`.
    pub queries: BTreeMap<String, QueryDoc>,
}

/// The documentation of a query of the catalog.
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
    /// The data checks, each as it stands in the header of the query.
    pub checks: Vec<String>,
    /// The names of the test cases.
    pub cases: Vec<String>,
    /// The tables and queries that the query reads.
    pub reads: Vec<String>,
    /// The queries that read this one.
    pub read_by: Vec<String>,
    /// The path of the query's file.
    pub file: String,
    /// The text of the file.
    pub sql: String,
}

/// The documentation of a column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnDoc {
    pub name: String,
    /// The type, as the header of a query spells it: `Int64`, `Utf8`.
    pub kind: String,
    pub unit: Option<String>,
    pub description: Option<String>,
}

impl ReportInput {
    /// Returns whether no event has been loaded yet.
    pub fn is_empty(&self) -> bool {
        let registered = self.funnel.iter().any(|row| row.registered > 0);
        !registered
            && self.growth.is_empty()
            && self.revenue_summary.is_empty()
            && self.health.is_empty()
    }

    /// Returns the traffic of partners by day, week or month.
    pub fn traffic(&self, grain: Grain) -> &[TrafficRow] {
        match grain {
            Grain::Day => &self.daily,
            Grain::Week => &self.weekly,
            Grain::Month => &self.monthly,
        }
    }

    /// Returns the last complete month of growth and the complete one before it.
    pub fn last_growth(&self) -> (Option<&GrowthRow>, Option<&GrowthRow>) {
        last_two(&self.growth, |row| row.complete)
    }

    /// Returns the last complete month with revenue, and the calendar month before it. The second
    /// is `None` when nothing was billed in that month: it has no row then.
    pub fn last_revenue(&self) -> (Option<&RevenueSummaryRow>, Option<&RevenueSummaryRow>) {
        let (now, before) = last_two(&self.revenue_summary, |row| row.complete);
        let month = now.map(|row| row.month);
        (now, before.filter(|row| Some(months::next_month(row.month)) == month))
    }

    /// Returns the first month that is over and in which no partner at all has been charged yet.
    pub fn unbilled_month(&self) -> Option<NaiveDate> {
        unbilled_month(&self.revenue_bridge, self.as_of)
    }

    /// Returns the month of the day before `as_of`, if that month is incomplete.
    pub fn incomplete_month(&self) -> Option<NaiveDate> {
        let month = months::month_start(self.as_of.pred_opt()?);
        (months::next_month(month) > self.as_of).then_some(month)
    }

    /// Returns for each tier the number of its partners and their share of gross revenue. The
    /// share is `None` when nothing was billed.
    pub fn tier_counts(&self) -> Vec<(Tier, i64, Option<f64>)> {
        let mut counts: Vec<_> = Tier::ALL.map(|tier| (tier, 0, None)).into();
        for row in &self.health {
            for (_, n, share) in counts.iter_mut().filter(|(tier, ..)| *tier == row.tier) {
                *n += 1;
                if let Some(of_row) = row.impact_share {
                    *share = Some(share.unwrap_or(0.0) + of_row);
                }
            }
        }
        counts
    }
}

/// Returns the last complete row, and the complete one before it.
pub(crate) fn last_two<T>(
    rows: &[T],
    is_complete: impl Fn(&T) -> bool,
) -> (Option<&T>, Option<&T>) {
    let mut back = rows.iter().rev().filter(|row| is_complete(row));
    (back.next(), back.next())
}
