//! The incidents of a partner in the last 90 days, each with its first and last day.

use domain::Day;
use polars::prelude::DataFrame;

pub use crate::error_details::ERROR_DAYS;
use crate::error_details::ErrorDays;
use crate::frames::{InputFrame, ScoreError};
use crate::incident::{describe, incidents};

/// Days before the evaluated one of which alarms are known.
const KNOWN_DAYS: i32 = 90;

/// An incident of errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentIncident {
    /// The first alarm day.
    pub first: Day,
    /// The last alarm day.
    pub last: Day,
    /// Seven days without an alarm have passed since.
    pub is_over: bool,
    pub sentence: String,
}

/// Returns the incidents of a partner in the 90 days before a day, oldest first, from the rows of
/// [`ERROR_DAYS`].
///
/// # Errors
/// Names the column that is missing or of another type.
pub fn recent_incidents(
    error_days: &DataFrame,
    partner_id: &str,
    day: Day,
) -> Result<Vec<RecentIncident>, ScoreError> {
    let frame = InputFrame::new(ERROR_DAYS, error_days.clone());
    let days = ErrorDays::of(&frame)?.of_partner(day, partner_id);
    let found = incidents(&days, day.plus(-KNOWN_DAYS));
    let told = found.iter().map(|incident| RecentIncident {
        first: incident.first,
        last: incident.last,
        is_over: incident.is_over(day),
        sentence: describe(incident, &days, day, day),
    });
    Ok(told.collect())
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    #[test]
    fn incidents_of_one_partner_are_told_with_their_days() {
        let day: Day = "2026-09-15".parse().expect("a date");
        // Alarms on 1 to 3 September and on the 14th; another partner has one too.
        let dates: Vec<i32> = (0..40).map(|n| day.0 - 40 + n).collect();
        let is_alarm = |date: &i32| [14, 13, 12, 1].contains(&(day.0 - date));
        let rate = |date: &i32| if is_alarm(date) { 0.2 } else { 0.01 };
        let of = |id: &str| {
            df!(
                "day" => vec![day.0; 40],
                "partner_id" => vec![id; 40],
                "event_date" => dates.clone(),
                "calls" => vec![1_000_i64; 40],
                "client_error_rate" => dates.iter().map(rate).collect::<Vec<f64>>(),
                "baseline_rate" => vec![0.01; 40],
                "alarm" => dates.iter().map(is_alarm).collect::<Vec<bool>>(),
            )
            .expect("a frame")
        };
        let frame = of("a").vstack(&of("b")).expect("frames of the same columns");
        let found = recent_incidents(&frame, "a", day).expect("incidents");
        let told: Vec<(String, String, bool, &str)> = found
            .iter()
            .map(|i| (i.first.to_string(), i.last.to_string(), i.is_over, i.sentence.as_str()))
            .collect();
        let text = |text: &str| text.to_owned();
        let expected = [
            (
                text("2026-09-01"),
                text("2026-09-03"),
                true,
                "4xx 20 % from 1 to 3 Sep, back to 1.0 %",
            ),
            (
                text("2026-09-14"),
                text("2026-09-14"),
                false,
                "4xx up 20-fold on 14 Sep: 1.0 % → 20 %",
            ),
        ];
        assert_eq!(told, expected);
        assert!(recent_incidents(&frame, "c", day).expect("none").is_empty());
    }
}
