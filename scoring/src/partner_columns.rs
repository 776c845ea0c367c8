//! What is known of each partner as of its evaluated day, whichever signals are computed.

use domain::{Day, MICROS_PER_DAY, Stage};
use polars::prelude::{BooleanChunked, Float64Chunked, Int64Chunked, StringChunked};

use crate::columns::Numbers;
use crate::frames::{InputFrame, Keys, ScoreError};
use crate::lifecycle::{Lifecycle, PartnerDates, lifecycle};

/// Columns with a row for each evaluated partner and day.
pub(crate) struct PartnerColumns {
    pub keys: Keys,
    pub segment: StringChunked,
    /// Instants in µs.
    pub registered_at: Int64Chunked,
    pub live_at: Int64Chunked,
    /// Days since go-live, with their fraction; NULL before it.
    pub live_days: Numbers,
    /// Calls a minute; NULL where unknown.
    pub quota_per_minute: Int64Chunked,
    /// The median gap between active days, in days; 1 where it is unknown.
    pub cadence: Numbers,
    /// Whole days without a production success; NULL before go-live.
    pub silent_days: Numbers,
    pub lifecycles: Vec<Lifecycle>,
    pub is_live: BooleanChunked,
    pub is_churned: BooleanChunked,
}

impl PartnerColumns {
    /// Reads the rows of `scoring_partner`, and those of `scoring_activity` aligned with them.
    pub(crate) fn of(partners: &InputFrame, activity: &InputFrame) -> Result<Self, ScoreError> {
        let keys = Keys::of(partners)?;
        let instants = |column| partners.i64(column);
        let (registered, first_call) = (instants("registered_at")?, instants("first_call_at")?);
        let (live, last_call) = (instants("live_at")?, instants("last_call_at")?);
        let last_success = partners.i32("last_success_date")?;
        let cadence = activity.f64("cadence")?;
        let churn_calm_days = activity.i64("churn_calm_days")?;
        let mut lifecycles = Vec::with_capacity(keys.len());
        let mut live_days = Vec::with_capacity(keys.len());
        let mut silent_days = Vec::with_capacity(keys.len());
        for (row, (day, _)) in keys.iter().enumerate() {
            let dates = PartnerDates {
                registered_at: registered.get(row),
                first_call_at: first_call.get(row),
                last_call_at: last_call.get(row),
                live_at: live.get(row),
                last_success: last_success.get(row).map(Day),
                cadence: cadence.get(row).unwrap_or(1.0),
                churn_calm_days: churn_calm_days.get(row).unwrap_or_default() as i32,
            };
            let since_live = dates.live_at.map(|live| day.start_micros() - live);
            live_days.push(since_live.map(|micros| micros as f64 / MICROS_PER_DAY as f64));
            silent_days.push(dates.silent_days(day).map(f64::from));
            lifecycles.push(lifecycle(&dates, day));
        }
        let is_in = |stage| lifecycles.iter().map(|l| Some(l.stage == stage)).collect();
        let (is_live, is_churned) = (is_in(Stage::Live), is_in(Stage::Churned));
        Ok(Self {
            segment: partners.str("segment")?.clone(),
            registered_at: registered.clone(),
            live_at: live.clone(),
            live_days: live_days.into_iter().collect::<Float64Chunked>(),
            quota_per_minute: instants("quota_per_minute")?.clone(),
            cadence: cadence.iter().map(|c| Some(c.unwrap_or(1.0))).collect(),
            silent_days: silent_days.into_iter().collect(),
            lifecycles,
            is_live,
            is_churned,
            keys,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}
