//! The scores of earlier days, over which tiers fold, in a few bytes for each partner and day: a programme
//! of twenty thousand partners has over two million of them.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeBounds;
use std::sync::Arc;

use domain::{Day, Stage, Tier};
use polars::prelude::DataFrame;

use crate::frames::{InputFrame, ScoreError};
use crate::gates::{Gate, GateConditions};
use crate::tier::{DailyRow, StoredTier};

/// The newest scores of some days. Copies share the days.
#[derive(Debug, Clone, Default)]
pub struct ScoreHistory {
    partners: PartnerNumbers,
    /// The partners of each day, ordered by number.
    days: BTreeMap<Day, Arc<Vec<StoredDay>>>,
}

/// Numbers for the ids of partners, from 0 on.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartnerNumbers(HashMap<Arc<str>, u32>);

/// What is stored of a partner and a day. A score that there is not is NaN.
#[derive(Debug, Clone, Copy)]
struct StoredDay {
    partner: u32,
    stage: Stage,
    tier: Option<Tier>,
    gate: Option<Gate>,
    gates: GateConditions,
    /// µs.
    tier_since: i64,
    score: f64,
    score_low: f64,
    score_high: f64,
}

impl ScoreHistory {
    /// Adds rows: day, `partner_id`, stage, `computed_tier`, `tier_since`?, gate?, score?, `score_low`?,
    /// `score_high`?, `gates_met`?; "?" marks columns that may be null. A row of a partner, a tier or a
    /// gate whose name is unknown is an error of the lake; it counts as not stored.
    ///
    /// # Errors
    /// Names the column that is missing, of another type or null.
    pub fn add(&mut self, rows: DataFrame) -> Result<(), ScoreError> {
        let frame = InputFrame::new("history", rows);
        let (days, ids) = (frame.i32("day")?, frame.str("partner_id")?);
        let (stages, tiers) = (frame.str("stage")?, frame.str("computed_tier")?);
        let (since, gates) = (frame.i64("tier_since")?, frame.str("gate")?);
        let [score, low, high] =
            [frame.f64("score")?, frame.f64("score_low")?, frame.f64("score_high")?];
        let met = frame.str("gates_met")?;
        let mut added: BTreeMap<Day, Vec<StoredDay>> = BTreeMap::new();
        for row in 0..ids.len() {
            let day = Day(frame.required("day", row, days.get(row))?);
            let id = frame.required("partner_id", row, ids.get(row))?;
            let of_day = added.entry(day).or_default();
            let Some(stage) = stages.get(row).and_then(|name| name.parse().ok()) else { continue };
            of_day.push(StoredDay {
                partner: self.partners.of(id),
                stage,
                tier: tiers.get(row).and_then(|name| name.parse().ok()),
                gate: gates.get(row).and_then(|name| name.parse().ok()),
                gates: GateConditions::from_column(met.get(row)).unwrap_or(GateConditions::NONE),
                tier_since: since.get(row).unwrap_or(day.start_micros()),
                score: score.get(row).unwrap_or(f64::NAN),
                score_low: low.get(row).unwrap_or(f64::NAN),
                score_high: high.get(row).unwrap_or(f64::NAN),
            });
        }
        for (day, rows) in added {
            let of_day = Arc::make_mut(self.days.entry(day).or_default());
            of_day.extend(rows);
            of_day.sort_by_key(|row| row.partner);
            of_day.shrink_to_fit();
        }
        Ok(())
    }

    /// Returns the days that have rows, in order.
    pub fn days(&self) -> impl DoubleEndedIterator<Item = Day> {
        self.days.keys().copied()
    }

    /// Drops all days but these.
    pub fn keep(&mut self, days: impl RangeBounds<Day>) {
        self.days.retain(|day, _| days.contains(day));
    }

    pub(crate) fn partners(&self) -> &PartnerNumbers {
        &self.partners
    }

    /// Returns a cursor over the days of one partner after the other.
    pub(crate) fn by_partner(&self) -> PartnerDays<'_> {
        PartnerDays(self.days.iter().map(|(day, rows)| (*day, rows.as_slice())).collect())
    }
}

impl PartnerNumbers {
    /// Returns the number of a partner; the next one for a partner that has none.
    pub(crate) fn of(&mut self, id: &str) -> u32 {
        if let Some(number) = self.0.get(id) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(id.into(), number);
        number
    }
}

/// The rows of each day that are not read yet.
pub(crate) struct PartnerDays<'h>(Vec<(Day, &'h [StoredDay])>);

impl PartnerDays<'_> {
    /// Appends the days of a partner, in order. Partners are asked for in the order of their numbers.
    pub(crate) fn read(&mut self, partner: u32, daily: &mut Vec<DailyRow>) {
        for (day, rows) in &mut self.0 {
            while let [row, rest @ ..] = rows
                && row.partner <= partner
            {
                if row.partner == partner {
                    daily.push(row.daily(*day));
                }
                *rows = rest;
            }
        }
    }
}

impl StoredDay {
    fn daily(&self, day: Day) -> DailyRow {
        let number = |value: f64| Some(value).filter(|value| !value.is_nan());
        let (gate, tier_since) = (self.gate, self.tier_since);
        DailyRow {
            day,
            stage: self.stage,
            score: number(self.score),
            score_low: number(self.score_low),
            score_high: number(self.score_high),
            gates: self.gates,
            stored: self.tier.map(|tier| StoredTier { tier, gate, tier_since }),
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Column, NamedFrom, Series};

    use super::*;

    fn rows(of: &[(i32, &str, Option<f64>)]) -> DataFrame {
        let n = of.len();
        let texts = |text: &str| vec![text.to_owned(); n];
        let scores: Vec<Option<f64>> = of.iter().map(|row| row.2).collect();
        let column = |series: Series| Column::from(series);
        let columns = vec![
            column(Series::new("day".into(), of.iter().map(|row| row.0).collect::<Vec<_>>())),
            column(Series::new(
                "partner_id".into(),
                of.iter().map(|row| row.1).collect::<Vec<_>>(),
            )),
            column(Series::new("stage".into(), texts("live"))),
            column(Series::new("computed_tier".into(), texts("healthy"))),
            column(Series::new("tier_since".into(), vec![None::<i64>; n])),
            column(Series::new("gate".into(), vec![None::<&str>; n])),
            column(Series::new("score".into(), scores.clone())),
            column(Series::new("score_low".into(), scores.clone())),
            column(Series::new("score_high".into(), scores)),
            column(Series::new("gates_met".into(), vec![Some("silence"); n])),
        ];
        DataFrame::new(n, columns).expect("a frame")
    }

    #[test]
    fn the_days_of_a_partner_come_in_order() {
        let mut history = ScoreHistory::default();
        history.add(rows(&[(2, "b", Some(70.0)), (2, "a", None)])).expect("added");
        history.add(rows(&[(1, "c", Some(1.0)), (1, "b", Some(80.0))])).expect("added");
        history.add(rows(&[(2, "c", Some(2.0))])).expect("added");
        let mut numbers = history.partners().clone();
        let ids = ["b", "a", "c", "new"];
        assert_eq!(ids.map(|id| numbers.of(id)), [0, 1, 2, 3]);
        let mut days = history.by_partner();
        let found = ids.map(|id| {
            let mut daily = Vec::new();
            days.read(numbers.of(id), &mut daily);
            daily.iter().map(|row| (row.day.0, row.score)).collect::<Vec<_>>()
        });
        let expected = [
            vec![(1, Some(80.0)), (2, Some(70.0))],
            vec![(2, None)],
            vec![(1, Some(1.0)), (2, Some(2.0))],
            vec![],
        ];
        assert_eq!(found, expected);
        let mut daily = Vec::new();
        history.by_partner().read(0, &mut daily);
        let since = Some(Day(1).start_micros());
        assert_eq!(daily[0].stored.map(|stored| stored.tier_since), since);
        assert_eq!(daily[0].gates.to_column().as_deref(), Some("silence"));

        history.keep(Day(2)..);
        assert_eq!(history.days().collect::<Vec<_>>(), [Day(2)]);
        let error = history.add(DataFrame::empty()).expect_err("no columns").to_string();
        assert!(error.contains("`history` has no column `day`"), "{error}");
    }
}
