//! Whether leavers were flagged before they left, and how long before.

use domain::Day;

use super::bootstrap::Ranker;
use super::daily_flags::{LOOKBACK_DAYS, LeaverDays};

/// Silent churn looks at the tier so many days before the last success.
const SILENT_DAYS: i32 = 28;
/// A flag that pauses for at most so many days, say over a weekend, still holds.
const LONGEST_PAUSE_DAYS: i32 = 7;

/// What was said of one leaver before its last success, per ranker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LeaverOutcome {
    pub partner: u32,
    /// Whether it was not flagged, that is `healthy`, 28 days before; `None` where it had no tier
    /// of the three that day.
    pub is_silent: Option<[bool; 3]>,
    /// Days from the first flag of the 84 days before; 0 if it was never flagged.
    pub lead_days: [f64; 3],
    /// Days from the beginning of the flag that held until the end; 0 if none did.
    pub held_lead_days: [f64; 3],
    /// Days from the first sign of trouble to the first flag after it, or to the last success if
    /// there was none; `None` of abrupt leavers.
    pub delay_days: Option<[f64; 3]>,
}

impl LeaverOutcome {
    pub(crate) fn new(
        partner: u32,
        last_success: Day,
        warned_on: Option<Day>,
        days: &LeaverDays,
    ) -> Self {
        let silent_day = days.at(SILENT_DAYS);
        let warned_before = warned_on.map(|day| (last_success.0 - day.0).clamp(0, LOOKBACK_DAYS));
        Self {
            partner,
            is_silent: silent_day.map(|flags| flags.map(|is_flagged| !is_flagged)),
            lead_days: Ranker::ALL.map(|ranker| days.first_flag(ranker, LOOKBACK_DAYS)),
            held_lead_days: Ranker::ALL.map(|ranker| days.held_flag(ranker)),
            delay_days: warned_before.map(|warned| {
                Ranker::ALL.map(|ranker| f64::from(warned) - days.first_flag(ranker, warned))
            }),
        }
    }
}

impl LeaverDays {
    /// Returns what was said as of so many days before the last success.
    fn at(&self, days_before: i32) -> Option<[bool; 3]> {
        let place = usize::try_from(LOOKBACK_DAYS - days_before).ok()?;
        self.0.get(place).copied().flatten()
    }

    fn is_flagged(&self, ranker: Ranker, days_before: i32) -> bool {
        self.at(days_before).is_some_and(|flags| flags[ranker.at()])
    }

    /// Returns how many days before the last success the first flag stood, of the days from `from`
    /// days before on; 0 if there was none.
    fn first_flag(&self, ranker: Ranker, from: i32) -> f64 {
        let first = (0..=from).rev().find(|before| self.is_flagged(ranker, *before));
        f64::from(first.unwrap_or(0))
    }

    /// Returns how many days before the last success the flag began that held until then, short
    /// pauses allowed.
    fn held_flag(&self, ranker: Ranker) -> f64 {
        let mut began = None;
        for before in 0..=LOOKBACK_DAYS {
            if self.is_flagged(ranker, before) {
                began = Some(before);
            } else if before - began.unwrap_or(-1) > LONGEST_PAUSE_DAYS {
                break;
            }
        }
        f64::from(began.unwrap_or(0))
    }
}

/// Returns the share of leavers that were silent, those of unknown tier left out.
pub(crate) fn silent_churn(
    outcomes: &[LeaverOutcome],
    ranker: Ranker,
    counts: &[u16],
) -> Option<f64> {
    let (mut silent, mut known) = (0.0, 0.0);
    for outcome in outcomes {
        let Some(is_silent) = outcome.is_silent else {
            continue;
        };
        let count = f64::from(counts[outcome.partner as usize]);
        silent += count * f64::from(u8::from(is_silent[ranker.at()]));
        known += count;
    }
    (known > 0.0).then(|| silent / known)
}

/// Returns the median of a number of days over leavers.
pub(crate) fn median_days(
    outcomes: &[LeaverOutcome],
    counts: &[u16],
    days: impl Fn(&LeaverOutcome) -> Option<f64>,
) -> Option<f64> {
    let known = outcomes.iter().filter_map(|outcome| {
        let count = counts[outcome.partner as usize];
        Some((days(outcome)?, u64::from(count))).filter(|_| count > 0)
    });
    let mut known: Vec<(f64, u64)> = known.collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: u64 = known.iter().map(|value| value.1).sum();
    let at = |place: u64| {
        let mut passed = 0;
        known.iter().find_map(|(value, count)| {
            passed += count;
            (place < passed).then_some(*value)
        })
    };
    Some(f64::midpoint(at(total.checked_sub(1)? / 2)?, at(total / 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the days of a leaver that the score flags so many days before its last success;
    /// recency flags it every day and frequency never.
    fn leaver_days(is_flagged: impl Fn(i32) -> bool) -> LeaverDays {
        let days = (0..=LOOKBACK_DAYS).rev();
        LeaverDays(days.map(|before| Some([is_flagged(before), true, false])).collect())
    }

    #[test]
    fn leads_by_hand() {
        #[track_caller]
        fn check(is_flagged: impl Fn(i32) -> bool, silent: bool, lead: f64, held: f64) {
            let found = LeaverOutcome::new(0, Day(500), None, &leaver_days(is_flagged));
            assert_eq!(found.is_silent, Some([silent, false, true]));
            assert_eq!(found.lead_days, [lead, 84.0, 0.0]);
            assert_eq!(found.held_lead_days, [held, 84.0, 0.0]);
            assert_eq!(found.delay_days, None);
        }
        check(|_| false, true, 0.0, 0.0);
        check(|before| before == 0, true, 0.0, 0.0);
        check(|before| before <= 20, true, 20.0, 20.0);
        check(|before| before <= 30, false, 30.0, 30.0);
        check(|before| before == 28, false, 28.0, 0.0);
        // A flag that was taken back eight days before the end did not hold; seven days are a pause.
        check(|before| (8..=40).contains(&before), false, 40.0, 0.0);
        check(|before| (6..=40).contains(&before), false, 40.0, 40.0);
        check(|before| before <= 10 || (18..=50).contains(&before), false, 50.0, 50.0);
        check(|before| before <= 10 || (19..=50).contains(&before), false, 50.0, 10.0);
    }

    #[test]
    fn delays_by_hand() {
        #[track_caller]
        fn check(warned_before: i32, is_flagged: impl Fn(i32) -> bool, delay: f64) {
            let warned_on = Some(Day(500 - warned_before));
            let found = LeaverOutcome::new(0, Day(500), warned_on, &leaver_days(is_flagged));
            assert_eq!(found.delay_days.expect("a value")[0], delay);
        }
        check(30, |before| before <= 25, 5.0);
        check(30, |before| before <= 60, 0.0);
        check(30, |_| false, 30.0);
        // A flag that ended before the trouble does not count.
        check(30, |before| (40..50).contains(&before) || before <= 10, 20.0);
        check(400, |before| before <= 80, 4.0);
    }

    #[test]
    fn a_leaver_without_a_tier_is_neither_silent_nor_not() {
        let unknown = LeaverDays(vec![None; 85]);
        let found = LeaverOutcome::new(0, Day(500), None, &unknown);
        assert_eq!((found.is_silent, found.lead_days), (None, [0.0; 3]));
        assert_eq!(silent_churn(&[found], Ranker::Score, &[1]), None);
    }

    #[test]
    fn shares_and_medians_count_partners() {
        #[track_caller]
        fn check(
            outcomes: &[LeaverOutcome],
            counts: &[u16],
            silent: Option<f64>,
            lead: Option<f64>,
        ) {
            assert_eq!(silent_churn(outcomes, Ranker::Score, counts), silent);
            assert_eq!(median_days(outcomes, counts, |o| Some(o.lead_days[0])), lead);
        }
        let outcome = |partner, is_silent: bool, lead: f64| LeaverOutcome {
            partner,
            is_silent: Some([is_silent, true, false]),
            lead_days: [lead, 0.0, 0.0],
            held_lead_days: [0.0; 3],
            delay_days: None,
        };
        let outcomes = [outcome(0, true, 0.0), outcome(1, false, 10.0), outcome(2, false, 30.0)];
        check(&outcomes, &[1, 1, 1], Some(1.0 / 3.0), Some(10.0));
        check(&outcomes, &[0, 1, 1], Some(0.0), Some(20.0));
        check(&outcomes, &[3, 0, 1], Some(0.75), Some(0.0));
        check(&outcomes, &[0, 0, 0], None, None);
        check(&[], &[], None, None);
        assert_eq!(median_days(&outcomes, &[1, 1, 1], |o| o.delay_days.map(|d| d[0])), None);
    }
}
