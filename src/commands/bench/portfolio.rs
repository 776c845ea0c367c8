//! A synthetic portfolio: the frames that the score is made from, drawn in memory from a seed.

use std::collections::BTreeMap;

use anyhow::Context;
use arrow::datatypes::DataType;
use domain::Day;
use polars::prelude::{Column, DataFrame, NamedFrom, Series};
use scoring::evaluation_queries;
use transform::Catalog;

/// One row with the whole window, and one for each of its four weeks left out.
const ROWS_BY_WEEK: usize = 5;
/// Dates with calls of a partner whose errors alarmed.
const ERROR_DATES: usize = 60;
/// One partner in so many had such an alarm.
const ALARMED: usize = 50;
const SEGMENTS: [&str; 5] = ["agency", "bank", "marketplace", "retail", "travel"];
const PLANS: [&str; 4] = ["free", "starter", "growth", "enterprise"];

/// Draws the frames of all scoring queries for live partners on one day.
pub(super) fn frames(
    partners: usize,
    day: Day,
    seed: u64,
) -> anyhow::Result<BTreeMap<String, DataFrame>> {
    let catalog = Catalog::built_in()?;
    let mut frames = BTreeMap::new();
    for name in evaluation_queries() {
        let schema = catalog.find(name)?.declared_schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let rows = FrameRows::of(&names, partners);
        let mut columns = Vec::with_capacity(names.len());
        for field in schema.fields() {
            let drawn = Drawn { column: field.name(), day, seed };
            let column = drawn.column(field.data_type(), rows);
            columns.push(column.with_context(|| format!("{name}.{}", field.name()))?);
        }
        frames.insert(name.to_owned(), DataFrame::new(rows.len(), columns)?);
    }
    Ok(frames)
}

/// Which partners have rows in a frame, and how many.
#[derive(Clone, Copy)]
struct FrameRows {
    partners: usize,
    /// One partner in so many has rows.
    every: usize,
    /// Rows of each.
    each: usize,
}

impl FrameRows {
    fn of(columns: &[&str], partners: usize) -> Self {
        let (every, each) = match () {
            () if columns.contains(&"left_out") => (1, ROWS_BY_WEEK),
            () if columns.contains(&"event_date") => (ALARMED, ERROR_DATES),
            () => (1, 1),
        };
        Self { partners, every, each }
    }

    fn len(self) -> usize {
        self.partners.div_ceil(self.every) * self.each
    }

    /// Returns the partner of each row, and the row's number among those of the partner.
    fn iter(self) -> impl Iterator<Item = (usize, usize)> {
        let partners = (0..self.partners).step_by(self.every);
        partners.flat_map(move |partner| (0..self.each).map(move |n| (partner, n)))
    }
}

/// A column that is drawn.
struct Drawn<'a> {
    column: &'a str,
    day: Day,
    seed: u64,
}

impl Drawn<'_> {
    fn column(&self, kind: &DataType, rows: FrameRows) -> anyhow::Result<Column> {
        let name = self.column.into();
        let series = match kind {
            DataType::Utf8 | DataType::Utf8View => {
                let values = rows.iter().map(|(partner, _)| self.text(partner));
                Series::new(name, values.collect::<Vec<Option<String>>>())
            }
            DataType::Date32 => {
                let values = rows.iter().map(|(partner, n)| self.date(partner, n));
                Series::new(name, values.collect::<Vec<i32>>())
            }
            DataType::Timestamp(..) => {
                let values = rows.iter().map(|(partner, _)| self.instant(partner));
                Series::new(name, values.collect::<Vec<Option<i64>>>())
            }
            DataType::Int64 => {
                let values = rows.iter().map(|(partner, n)| match self.column {
                    "left_out" => n as i64,
                    "rank" => partner as i64 + 1,
                    _ => self.number(partner) as i64,
                });
                Series::new(name, values.collect::<Vec<i64>>())
            }
            DataType::Float64 => {
                let values = rows.iter().map(|(partner, _)| self.number(partner));
                Series::new(name, values.collect::<Vec<f64>>())
            }
            DataType::Boolean => {
                let values = rows.iter().map(|(partner, _)| self.share(partner) < 0.02);
                Series::new(name, values.collect::<Vec<bool>>())
            }
            other => anyhow::bail!("no values are drawn of the type {other}"),
        };
        Ok(series.into())
    }

    /// Draws a number from 0 to 1 for a partner and this column.
    fn share(&self, partner: usize) -> f64 {
        let mut bits = self.seed ^ (partner as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for byte in self.column.bytes() {
            bits = mixed(bits ^ u64::from(byte));
        }
        (mixed(bits) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns the partner's calls a day, from 1 to 1,000.
    fn calls_a_day(&self, partner: usize) -> f64 {
        1_000_f64.powf(Self { column: "size", ..*self }.share(partner))
    }

    fn text(&self, partner: usize) -> Option<String> {
        let chosen = |names: &[&str]| {
            let at = (self.share(partner) * names.len() as f64) as usize;
            names.get(at).map(|name| (*name).to_owned())
        };
        match self.column {
            "partner_id" => Some(format!("p-{partner:08}")),
            "segment" => chosen(&SEGMENTS),
            "plan" => chosen(&PLANS),
            "method" => Some("POST".to_owned()),
            "endpoint" => Some("/v2/charges".to_owned()),
            _ => None,
        }
    }

    fn date(&self, partner: usize, n: usize) -> i32 {
        match self.column {
            "day" => self.day.0,
            "event_date" => self.day.0 - (ERROR_DATES - n) as i32,
            _ => self.day.0 - 1 - (3.0 * self.share(partner)) as i32,
        }
    }

    /// Draws an instant: every partner has been live for 200 days at least.
    fn instant(&self, partner: usize) -> Option<i64> {
        let ago = 700.0 * Self { column: "age", ..*self }.share(partner);
        let days = match self.column {
            "registered_at" => 207.0 + ago,
            "first_call_at" => 203.0 + ago,
            "live_at" => 200.0 + ago,
            "last_call_at" => 0.5,
            _ => return None,
        };
        Some(self.day.start_micros() - (days * 86_400e6) as i64)
    }

    /// Draws a number that is possible for the column.
    fn number(&self, partner: usize) -> f64 {
        let (share, calls) = (self.share(partner), self.calls_a_day(partner));
        match self.column {
            "calls" | "versioned_calls" | "latency_calls" => 28.0 * calls,
            "client_errors" => 28.0 * calls * 0.1 * share.powi(3),
            "server_errors" | "slow_calls" | "throttled" => 28.0 * calls * 0.02 * share.powi(3),
            "exposure" => 28.0 * calls * 0.3 * share,
            "calls_3d" | "successes_3d" | "baseline_week_lowest" => 3.0 * calls,
            "calls_14d" => 14.0 * calls * (0.4 + share),
            "recent_median" | "before_median" | "baseline_week_median" | "former_week_median" => {
                7.0 * calls * (0.6 + 0.8 * share)
            }
            "mean_daily_calls" => calls,
            "last_month_calls" | "median_calls_before" => 30.0 * calls * (0.7 + 0.6 * share),
            "recent_mean" | "before_mean" | "last_month_gross" | "median_before" => {
                calls * (0.7 + 0.6 * share)
            }
            "alarm_days" | "auth_failures_3d" | "client_errors_3d" | "server_errors_3d"
            | "throttled_3d" | "calm_days" | "silent_calm_days" | "churn_calm_days" => {
                3.0 * (share - 0.95).max(0.0) * 20.0
            }
            "measured_days" | "active_days" | "days_with_calls" => 15.0 + 13.0 * share,
            "expected_days" => 28.0 * (0.5 + share / 2.0),
            "baseline_days" | "active_days_baseline" => 40.0 + 44.0 * share,
            "weeks_recent" => 4.0,
            "weeks_before" => 8.0,
            "cadence" | "longest_gap_180" => 1.0 + 5.0 * share.powi(4),
            "silent_days" => 3.0 * share,
            "length" => 7.0,
            "live_weeks" | "n" | "fit_n" => 28.0,
            "t_x" | "fit_t_x" => 27.0,
            "x" | "fit_x" => 5.0 + 22.0 * share,
            "months_since_first_charge" => 12.0,
            "quota_per_minute" => 600.0,
            "latency_target_ms" => 300.0,
            "target" => 0.999,
            "status" | "status_3d" => 422.0,
            "tickets" => 4.0 * share.powi(2),
            "share" => share / 1e6,
            "client_error_rate" | "baseline_rate" => 0.02 * share,
            _ => share,
        }
    }
}

/// Mixes bits, as SplitMix64 does (Steele, Lea & Flood 2014).
fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_frames() {
        let [one, again, other] = [1, 1, 2].map(|seed| frames(60, Day(20_000), seed));
        let (one, again, other) =
            (one.expect("drawn"), again.expect("drawn"), other.expect("drawn"));
        assert_eq!(one, again);
        assert_ne!(one, other);
        assert_eq!(one["scoring_partner"].height(), 60);
        assert_eq!(one["scoring_errors"].height(), 300);
        assert_eq!(one["scoring_error_days"].height(), 120);
    }
}
