//! What was said and known of each partner on each day of a replay.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use domain::{Day, Tier};
use polars::prelude::{DataFrame, Float64Chunked, Int32Chunked, Int64Chunked, StringChunked};
use scoring::backtest::DailyRow;
use scoring::{EvaluationInput, FeatureColumns, PARTNERS, ScoreOutput};

/// Days since the last call of a partner without a call in the 196 days that the queries look back.
const LONGEST_AGO: i64 = 197;
/// Calls that 14 days usually have at least before their halving says anything.
const MIN_USUAL_CALLS: f64 = 10.0;

/// A partner as it stood at an origin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observation {
    pub(crate) tier: Tier,
    pub(crate) health: Option<f64>,
    pub(crate) risk: Option<f64>,
    pub(crate) is_risk_fitted: bool,
    pub(crate) gross_share: f64,
    pub(crate) days_since_last_call: f64,
    pub(crate) call_frequency: f64,
    pub(crate) last_success: Option<Day>,
    /// What risk models look at, in the order of [`Observations::features`].
    pub(crate) features: Vec<Option<f64>>,
}

/// All that was seen. Partners are numbered in the order in which they were seen first.
#[derive(Default)]
pub(crate) struct Observations {
    numbers: HashMap<String, u32>,
    /// The names of what risk models look at.
    pub(crate) features: Vec<String>,
    pub(crate) daily: Vec<DailyRow>,
    /// By partner, the days on which calls had halved or errors alarmed, ascending.
    trouble: Vec<Vec<Day>>,
    at_origins: BTreeMap<(Day, u32), Observation>,
}

/// The scores of a stretch of days, and what they were made from.
pub(crate) struct ScoredDays<'a> {
    pub(crate) scored: &'a ScoreOutput,
    pub(crate) input: &'a EvaluationInput,
    /// The rows of the query `scoring_recency`.
    pub(crate) recency: &'a DataFrame,
    pub(crate) origins: &'a BTreeSet<Day>,
    pub(crate) is_risk_fitted: bool,
}

impl Observations {
    /// Returns the partners' ids in the order of their numbers.
    pub(crate) fn partner_ids(&self) -> Vec<String> {
        let mut ids: Vec<(&u32, &String)> = self.numbers.iter().map(|(id, n)| (n, id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id.clone()).collect()
    }

    pub(crate) fn number(&self, partner_id: &str) -> Option<u32> {
        self.numbers.get(partner_id).copied()
    }

    pub(crate) fn at_origin(&self, origin: Day, partner: u32) -> Option<&Observation> {
        self.at_origins.get(&(origin, partner))
    }

    /// Returns the first day with a sign of trouble from one day to another.
    pub(crate) fn first_trouble(&self, partner: u32, from: Day, to: Day) -> Option<Day> {
        let days = self.trouble.get(partner as usize)?;
        days.iter().copied().find(|day| (from..=to).contains(day))
    }

    /// Adds a stretch of days; the days of one added before must be earlier.
    pub(crate) fn add(&mut self, days: &ScoredDays<'_>) -> anyhow::Result<()> {
        let recency = recency_of(days.recency)?;
        let columns = ScoreColumns::of(days)?;
        columns.features.names().clone_into(&mut self.features);
        for row in 0..columns.days.len() {
            let (Some(at), Some(id)) = (columns.days.get(row), columns.ids.get(row)) else {
                continue;
            };
            let day = Day::of_micros(at);
            let partner = self.numbered(id);
            let tier = columns.tier(row)?;
            let unknown = (LONGEST_AGO, 0.0);
            let (ago, call_frequency) = recency.get(&(day.0, id)).copied().unwrap_or(unknown);
            self.daily.push(DailyRow {
                day,
                partner,
                tier,
                days_since_last_call: ago as f32,
                call_frequency: call_frequency as f32,
            });
            if days.origins.contains(&day) {
                let observation = Observation {
                    tier,
                    health: columns.scores.get(row),
                    risk: columns.risks.get(row),
                    is_risk_fitted: days.is_risk_fitted,
                    gross_share: columns.shares.get(row).unwrap_or_default(),
                    days_since_last_call: ago as f64,
                    call_frequency,
                    last_success: columns.last_success.get(row).map(Day),
                    features: columns.features_of(row),
                };
                self.at_origins.insert((day, partner), observation);
            }
        }
        self.add_trouble(days.input)
    }

    /// Adds the days on which calls had halved or errors alarmed.
    fn add_trouble(&mut self, input: &EvaluationInput) -> anyhow::Result<()> {
        let mut found = BTreeSet::new();
        if let Some(frame) = input.frames.get("scoring_growth") {
            let number =
                |name: &str| anyhow::Ok(frame.column(name)?.as_materialized_series().f64()?);
            let (calls, usual) = (number("calls_14d")?, number("baseline_week_median")?);
            let former = number("former_week_median")?;
            for (row, (day, id)) in keys(frame)?.enumerate() {
                let weeks = [usual.get(row), former.get(row)].into_iter().flatten();
                let usual = 2.0 * weeks.fold(0.0, f64::max);
                let has_halved = calls.get(row).is_some_and(|calls| calls <= usual / 2.0);
                if has_halved && usual >= MIN_USUAL_CALLS {
                    found.insert((id, day));
                }
            }
        }
        if let Some(frame) = input.frames.get("scoring_error_days") {
            let dates = frame.column("event_date")?.as_materialized_series().i32()?;
            let alarms = frame.column("alarm")?.as_materialized_series().bool()?;
            for (row, (day, id)) in keys(frame)?.enumerate() {
                let is_last_date = dates.get(row) == Some(day.0 - 1);
                if is_last_date && alarms.get(row) == Some(true) {
                    found.insert((id, day));
                }
            }
        }
        for (id, day) in found {
            let partner = self.numbered(id);
            if let Some(days) = self.trouble.get_mut(partner as usize) {
                days.push(day);
            }
        }
        Ok(())
    }

    fn numbered(&mut self, id: &str) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(id.to_owned(), number);
        self.trouble.push(Vec::new());
        number
    }
}

/// The columns that are read of scores.
struct ScoreColumns<'a> {
    /// In µs.
    days: &'a Int64Chunked,
    ids: &'a StringChunked,
    tiers: &'a StringChunked,
    scores: &'a Float64Chunked,
    risks: &'a Float64Chunked,
    shares: &'a Float64Chunked,
    /// Of the partners' frame, which has the same rows.
    last_success: &'a Int32Chunked,
    features: &'a FeatureColumns,
}

impl<'a> ScoreColumns<'a> {
    fn of(days: &ScoredDays<'a>) -> anyhow::Result<Self> {
        let health = &days.scored.health;
        let column = |name| anyhow::Ok(health.column(name)?.as_materialized_series());
        let partners = days.input.frames.get(PARTNERS).context("the frame of partners")?;
        Ok(Self {
            days: column("as_of")?.i64()?,
            ids: column("partner_id")?.str()?,
            tiers: column("computed_tier")?.str()?,
            scores: column("score")?.f64()?,
            risks: column("risk")?.f64()?,
            shares: column("impact_share")?.f64()?,
            last_success: partners.column("last_success_date")?.as_materialized_series().i32()?,
            features: &days.scored.risk_features,
        })
    }

    fn tier(&self, row: usize) -> anyhow::Result<Tier> {
        self.tiers.get(row).unwrap_or_default().parse().map_err(anyhow::Error::msg)
    }

    fn features_of(&self, row: usize) -> Vec<Option<f64>> {
        let columns = self.features.names().iter().map(|name| self.features.column(name));
        columns.map(|column| column?.get(row)).collect()
    }
}

/// Returns the day and the partner of each row of a frame.
fn keys(frame: &DataFrame) -> anyhow::Result<impl Iterator<Item = (Day, &str)>> {
    let days = frame.column("day")?.as_materialized_series().i32()?;
    let ids = frame.column("partner_id")?.as_materialized_series().str()?;
    let rows = days.iter().zip(ids.iter());
    Ok(rows.map(|(day, id)| (Day(day.unwrap_or_default()), id.unwrap_or_default())))
}

/// Days since the last call and calls a day, by day and partner.
type RecencyRows<'a> = HashMap<(i32, &'a str), (i64, f64)>;

fn recency_of(frame: &DataFrame) -> anyhow::Result<RecencyRows<'_>> {
    let ago = frame.column("days_since_last_call")?.as_materialized_series().i64()?;
    let calls = frame.column("calls_a_day")?.as_materialized_series().f64()?;
    let rows = keys(frame)?.zip(ago.iter().zip(calls.iter()));
    let row = |((day, id), (ago, calls)): ((Day, _), (Option<i64>, Option<f64>))| {
        ((day.0, id), (ago.unwrap_or(LONGEST_AGO), calls.unwrap_or_default()))
    };
    Ok(rows.map(row).collect())
}
