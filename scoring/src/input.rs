//! The input of a run: frames with their columns, and the partners read from them.

use std::collections::BTreeMap;

use domain::{AsOf, Day, Stage, Tier};
use polars::prelude::{
    BooleanChunked, DataFrame, DataType, Float64Chunked, Int32Chunked, Int64Chunked, PolarsError,
    StringChunked,
};

/// The frames that scores are made from. Instants are Int64 µs UTC, days are Int32 days since 1970.
/// Rows may be in any order, other columns are ignored, and "?" marks columns that may be null.
pub struct ScoreInput {
    /// The view `partners`, one row a partner: partner_id, segment?, registered_at?, first_call_at?
    /// (first success in any environment), last_call_at? (any status, any environment), live_at?
    /// (first production success), last_success_at? (last production success).
    pub partners: DataFrame,
    /// Production traffic with merges applied: partner_id, event_date, calls, successes (Int64), of
    /// at least the last 112 days. The score of a partner that churned in the last 62 days is
    /// computed from it if it goes back 112 days from then; an older one is taken from `previous`.
    pub daily: DataFrame,
    /// The rows of the metrics that signals read ([`crate::signal_metrics`]), by name. A metric
    /// that is held back has no entry: its signals are missing then.
    pub metrics: BTreeMap<String, DataFrame>,
    /// Gross by month, in the reporting currency: month (Int32), partner_id, gross (Float64).
    /// `None` where it is held back: no partner's share is known then.
    pub revenue: Option<DataFrame>,
    /// Rows of `partner_health` from before `as_of`: partner_id, as_of (Int64 µs), stage, tier,
    /// tier_since?, score?, coverage. The latest row of a partner counts. Frozen scores and the
    /// dates of tiers are taken from it.
    pub previous: Option<DataFrame>,
}

/// Why nothing could be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("scoring input: the frame `{frame}` has no column `{column}`")]
    MissingColumn { frame: &'static str, column: &'static str },
    #[error("scoring input: `{frame}.{column}` is {found}; it must be {wanted}")]
    ColumnType { frame: &'static str, column: &'static str, found: String, wanted: String },
    #[error("scoring input: `{frame}.{column}` is null in row {row}")]
    Null { frame: &'static str, column: &'static str, row: usize },
    #[error(
        "scoring input: `{frame}` names the partner \"{partner_id}\", which is not in `partners`"
    )]
    UnknownPartner { frame: &'static str, partner_id: String },
    #[error("scoring input: `partners` has two rows for \"{0}\"")]
    DuplicatePartner(String),
    #[error("the frame of scores could not be built: {0}")]
    Output(#[from] PolarsError),
}

/// Calls of one day, in production.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DayCalls {
    pub day: Day,
    pub calls: i64,
    pub successes: i64,
}

/// The latest score of a partner before `as_of`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PreviousScore {
    pub as_of: i64,
    /// `None`: a name that this version does not know.
    pub stage: Option<Stage>,
    /// `None`: a name that this version does not know.
    pub tier: Option<Tier>,
    pub tier_since: Option<i64>,
    pub score: Option<f64>,
    pub coverage: f64,
}

/// What is known of one partner, whichever signals are computed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Partner {
    pub id: String,
    pub segment: Option<String>,
    pub registered_at: Option<i64>,
    pub first_call_at: Option<i64>,
    pub last_call_at: Option<i64>,
    pub live_at: Option<i64>,
    pub last_success_at: Option<i64>,
    /// Days with calls, one entry each, by day.
    pub days: Vec<DayCalls>,
    pub previous: Option<PreviousScore>,
}

/// Every partner by id, and the first day of which traffic is known.
#[derive(Debug, Default)]
pub(crate) struct Portfolio {
    pub partners: BTreeMap<String, Partner>,
    pub first_day: Option<Day>,
}

/// Gross of one partner in one month.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MonthlyGross {
    pub month: Day,
    pub partner_id: String,
    pub gross: f64,
}

/// Reads the frames `partners`, `daily` and `previous`. Nothing at or after `as_of` is seen.
pub(crate) fn read_portfolio(input: &ScoreInput, as_of: AsOf) -> Result<Portfolio, ScoreError> {
    let mut portfolio = read_partners(&input.partners, as_of)?;
    read_daily(&input.daily, as_of, &mut portfolio)?;
    if let Some(previous) = &input.previous {
        read_previous(previous, as_of, &mut portfolio)?;
    }
    Ok(portfolio)
}

fn read_partners(frame: &DataFrame, as_of: AsOf) -> Result<Portfolio, ScoreError> {
    let frame = InputFrame { name: "partners", frame };
    let instants = |column| -> Result<Vec<Option<i64>>, ScoreError> {
        let seen = |instant: &i64| *instant < as_of.micros();
        Ok(frame.i64(column)?.iter().map(|instant| instant.filter(seen)).collect())
    };
    let registered = instants("registered_at")?;
    let (first_call, last_call) = (instants("first_call_at")?, instants("last_call_at")?);
    let (live, last_success) = (instants("live_at")?, instants("last_success_at")?);
    let mut partners = BTreeMap::new();
    let rows = frame.str("partner_id")?.iter().zip(frame.str("segment")?.iter());
    for (row, (id, segment)) in rows.enumerate() {
        let id = frame.required("partner_id", row, id)?.to_owned();
        let partner = Partner {
            id: id.clone(),
            segment: segment.map(str::to_owned),
            registered_at: registered[row],
            first_call_at: first_call[row],
            last_call_at: last_call[row],
            live_at: live[row],
            last_success_at: last_success[row],
            ..Partner::default()
        };
        if partners.insert(id.clone(), partner).is_some() {
            return Err(ScoreError::DuplicatePartner(id));
        }
    }
    Ok(Portfolio { partners, first_day: None })
}

fn read_daily(frame: &DataFrame, as_of: AsOf, portfolio: &mut Portfolio) -> Result<(), ScoreError> {
    let frame = InputFrame { name: "daily", frame };
    let (ids, dates) = (frame.str("partner_id")?, frame.i32("event_date")?);
    let (calls, successes) = (frame.i64("calls")?, frame.i64("successes")?);
    let rows = ids.iter().zip(dates.iter()).zip(calls.iter().zip(successes.iter()));
    for (row, ((id, day), (calls, successes))) in rows.enumerate() {
        let day = Day(frame.required("event_date", row, day)?);
        if day >= as_of.day() {
            continue;
        }
        let calls = frame.required("calls", row, calls)?;
        let successes = frame.required("successes", row, successes)?;
        let partner = frame.partner(portfolio, row, id)?;
        partner.days.push(DayCalls { day, calls, successes });
        portfolio.first_day = Some(portfolio.first_day.map_or(day, |first| first.min(day)));
    }
    for partner in portfolio.partners.values_mut() {
        partner.days.sort_by_key(|d| d.day);
        partner.days.dedup_by(|next, kept| {
            let same = next.day == kept.day;
            if same {
                kept.calls += next.calls;
                kept.successes += next.successes;
            }
            same
        });
    }
    Ok(())
}

fn read_previous(
    frame: &DataFrame,
    as_of: AsOf,
    portfolio: &mut Portfolio,
) -> Result<(), ScoreError> {
    let frame = InputFrame { name: "previous", frame };
    let (ids, instants) = (frame.str("partner_id")?, frame.i64("as_of")?);
    let (stages, tiers) = (frame.str("stage")?, frame.str("tier")?);
    let (since, scores) = (frame.i64("tier_since")?, frame.f64("score")?);
    let rows = ids.iter().zip(instants.iter()).zip(stages.iter().zip(tiers.iter()));
    let rows = rows.zip(since.iter().zip(scores.iter())).zip(frame.f64("coverage")?.iter());
    for (row, ((((id, at), (stage, tier)), (tier_since, score)), coverage)) in rows.enumerate() {
        let previous = PreviousScore {
            as_of: frame.required("as_of", row, at)?,
            stage: frame.required("stage", row, stage)?.parse().ok(),
            tier: frame.required("tier", row, tier)?.parse().ok(),
            tier_since,
            score,
            coverage: frame.required("coverage", row, coverage)?,
        };
        let id = frame.required("partner_id", row, id)?;
        // A partner merged away since has history but no row of its own any more.
        let Some(partner) = portfolio.partners.get_mut(id) else { continue };
        let newer = partner.previous.as_ref().is_none_or(|kept| kept.as_of <= previous.as_of);
        if previous.as_of < as_of.micros() && newer {
            partner.previous = Some(previous);
        }
    }
    Ok(())
}

/// Reads the frame `revenue`. Months that begin at or after `as_of` are not seen.
pub(crate) fn read_revenue(
    frame: &DataFrame,
    as_of: AsOf,
) -> Result<Vec<MonthlyGross>, ScoreError> {
    let frame = InputFrame { name: "revenue", frame };
    let (months, ids) = (frame.i32("month")?, frame.str("partner_id")?);
    let rows = months.iter().zip(ids.iter()).zip(frame.f64("gross")?.iter());
    let mut read = Vec::with_capacity(frame.frame.height());
    for (row, ((month, id), gross)) in rows.enumerate() {
        let month = Day(frame.required("month", row, month)?);
        let partner_id = frame.required("partner_id", row, id)?.to_owned();
        let gross = frame.required("gross", row, gross)?;
        if month < as_of.day() {
            read.push(MonthlyGross { month, partner_id, gross });
        }
    }
    Ok(read)
}

/// A frame with its name, for errors.
pub(crate) struct InputFrame<'a> {
    pub name: &'static str,
    pub frame: &'a DataFrame,
}

/// Defines a method that returns a column of one type.
macro_rules! column {
    ($name:ident, $chunked:ty, $dtype:expr) => {
        pub(crate) fn $name(&self, column: &'static str) -> Result<&'a $chunked, ScoreError> {
            let frame = self.name;
            let missing = |_| ScoreError::MissingColumn { frame, column };
            let found = self.frame.column(column).map_err(missing)?;
            found.as_materialized_series().$name().map_err(|_| ScoreError::ColumnType {
                frame,
                column,
                found: found.dtype().to_string(),
                wanted: $dtype.to_string(),
            })
        }
    };
}

impl<'a> InputFrame<'a> {
    column!(i32, Int32Chunked, DataType::Int32);
    column!(i64, Int64Chunked, DataType::Int64);
    column!(f64, Float64Chunked, DataType::Float64);
    column!(bool, BooleanChunked, DataType::Boolean);
    column!(str, StringChunked, DataType::String);

    /// Returns a value that must not be null.
    pub(crate) fn required<T>(
        &self,
        column: &'static str,
        row: usize,
        value: Option<T>,
    ) -> Result<T, ScoreError> {
        value.ok_or(ScoreError::Null { frame: self.name, column, row })
    }

    /// Returns the id of a row, which must be that of a partner.
    pub(crate) fn known_partner(
        &self,
        partners: &BTreeMap<String, Partner>,
        row: usize,
        id: Option<&'a str>,
    ) -> Result<&'a str, ScoreError> {
        let id = self.required("partner_id", row, id)?;
        if partners.contains_key(id) {
            return Ok(id);
        }
        Err(ScoreError::UnknownPartner { frame: self.name, partner_id: id.to_owned() })
    }

    fn partner<'p>(
        &self,
        portfolio: &'p mut Portfolio,
        row: usize,
        id: Option<&str>,
    ) -> Result<&'p mut Partner, ScoreError> {
        let id = self.required("partner_id", row, id)?;
        portfolio.partners.get_mut(id).ok_or_else(|| ScoreError::UnknownPartner {
            frame: self.name,
            partner_id: id.to_owned(),
        })
    }
}
