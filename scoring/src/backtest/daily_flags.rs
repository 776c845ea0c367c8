//! What was flagged on each day: by the tiers, and by each baseline, which flags as many partners.

use domain::{Day, Tier};

use super::bootstrap::Ranker;
use super::input::{DailyRow, is_flag, is_scored};

/// How many days before its last success a leaver is looked at. An older flag is no warning of this
/// end: partners fade over ten weeks at most.
pub(crate) const LOOKBACK_DAYS: i32 = 84;
/// A tier or flag that returns within so many days was changed in vain.
const FLAP_DAYS: i32 = 28;
const DAYS_PER_MONTH: f64 = 30.0;

/// A partner that left, with its last production success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaver {
    pub partner: u32,
    pub last_success: Day,
}

/// What was said of a leaver as of each day from `LOOKBACK_DAYS` before its last success to the day
/// of the success. `None` stands for a day on which it had no tier of the three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaverDays(pub Vec<Option<Flags>>);

/// Whether each ranker flags a partner on a day.
pub(crate) type Flags = [bool; 3];

/// How often the flags of a partner changed in vain, and how long it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Flaps {
    /// Changes undone within 28 days, per ranker; of the score these are changes of tier.
    pub undone: [f64; 3],
    pub months: f64,
}

/// What a pass over all days finds.
pub(crate) struct DailyFlags {
    /// In the order of the leavers.
    pub leavers: Vec<LeaverDays>,
    /// By the number of the partner.
    pub flaps: Vec<Flaps>,
}

/// Goes over all days. On each day a baseline flags as many of the partners with a tier of the
/// three as the tiers do, those that it ranks worst.
pub(crate) fn daily_flags(daily: &[DailyRow], leavers: &[Leaver], partners: usize) -> DailyFlags {
    let mut leavers_of = vec![Vec::new(); partners];
    for (at, leaver) in leavers.iter().enumerate() {
        leavers_of[leaver.partner as usize].push(at);
    }
    let unknown = LeaverDays(vec![None; LOOKBACK_DAYS as usize + 1]);
    let mut found = vec![unknown; leavers.len()];
    let mut flaps = vec![FlapCounter::default(); partners];
    for rows in daily.chunk_by(|a, b| a.day == b.day) {
        let scored: Vec<DailyRow> = rows.iter().copied().filter(|r| is_scored(r.tier)).collect();
        for (row, flags) in scored.iter().zip(flags_of_day(&scored)) {
            flaps[row.partner as usize].add(row.day, row.tier, flags);
            for at in &leavers_of[row.partner as usize] {
                let age = leavers[*at].last_success.0 - row.day.0;
                let place = usize::try_from(LOOKBACK_DAYS - age).ok();
                if let Some(day) = place.and_then(|place| found[*at].0.get_mut(place)) {
                    *day = Some(flags);
                }
            }
        }
    }
    let flaps = flaps.into_iter().map(|counter| counter.flaps).collect();
    DailyFlags { leavers: found, flaps }
}

fn flags_of_day(rows: &[DailyRow]) -> Vec<Flags> {
    let mut flags: Vec<Flags> = rows.iter().map(|row| [is_flag(row.tier), false, false]).collect();
    let flagged = flags.iter().filter(|flags| flags[Ranker::Score.at()]).count();
    let values: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| (f64::from(row.days_since_last_call), f64::from(row.call_frequency)))
        .collect();
    for ranker in [Ranker::Recency, Ranker::Frequency] {
        for place in worst(ranker, &values, |place| rows[place].partner, flagged) {
            flags[place][ranker.at()] = true;
        }
    }
    flags
}

/// Returns the places of the `count` rows that a baseline ranks worst. `values` holds days since
/// the last call and calls a day. The other baseline decides between equal values, and then the
/// number of the partner.
pub(crate) fn worst(
    ranker: Ranker,
    values: &[(f64, f64)],
    partner: impl Fn(usize) -> u32,
    count: usize,
) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|a, b| {
        let (recency_a, frequency_a) = values[*a];
        let (recency_b, frequency_b) = values[*b];
        let by_recency = recency_b.total_cmp(&recency_a);
        let by_frequency = frequency_a.total_cmp(&frequency_b);
        let by_value = match ranker {
            Ranker::Frequency => by_frequency.then(by_recency),
            Ranker::Recency | Ranker::Score => by_recency.then(by_frequency),
        };
        by_value.then_with(|| partner(*a).cmp(&partner(*b)))
    });
    places.truncate(count);
    places
}

/// Counts the changes of one partner that are undone.
#[derive(Debug, Clone, Default)]
struct FlapCounter {
    flaps: Flaps,
    /// The state of each ranker on the last day: a tier, or whether it flags.
    states: Option<[Tier; 3]>,
    /// Changes that may still be undone: the ranker, the day and the state before.
    changes: Vec<(usize, Day, Tier)>,
}

impl FlapCounter {
    fn add(&mut self, day: Day, tier: Tier, flags: Flags) {
        self.flaps.months += 1.0 / DAYS_PER_MONTH;
        let flag = |ranker: Ranker| {
            if flags[ranker.at()] { Tier::AtRisk } else { Tier::Healthy }
        };
        let states = [tier, flag(Ranker::Recency), flag(Ranker::Frequency)];
        let before = self.states.replace(states).unwrap_or(states);
        self.changes.retain(|(_, changed, _)| day.0 - changed.0 <= FLAP_DAYS);
        for (ranker, (from, to)) in before.into_iter().zip(states).enumerate() {
            if from == to {
                continue;
            }
            let undone = |change: &&(usize, Day, Tier)| change.0 == ranker && change.2 == to;
            let count = self.changes.iter().filter(undone).count();
            self.flaps.undone[ranker] += count as f64;
            self.changes.retain(|change| !(change.0 == ranker && change.2 == to));
            // A change that undoes another is a part of the same flap.
            if count == 0 {
                self.changes.push((ranker, day, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(day: i32, partner: u32, tier: Tier, recency: f32, frequency: f32) -> DailyRow {
        let day = Day(day);
        DailyRow { day, partner, tier, days_since_last_call: recency, call_frequency: frequency }
    }

    #[test]
    fn baselines_flag_as_many_as_the_tiers() {
        let rows = [
            row(10, 0, Tier::AtRisk, 0.0, 9.0),
            row(10, 1, Tier::Healthy, 5.0, 8.0),
            row(10, 2, Tier::Healthy, 5.0, 2.0),
            row(10, 3, Tier::Watch, 1.0, 0.5),
            row(10, 4, Tier::Healthy, 7.0, 4.0),
        ];
        let expected = [
            [true, false, false],
            [false, false, false],
            // Ties with partner 1 on recency and calls less.
            [false, true, true],
            [true, false, true],
            [false, true, false],
        ];
        assert_eq!(flags_of_day(&rows), expected);
        assert_eq!(flags_of_day(&[]), Vec::<Flags>::new());
    }

    #[test]
    fn only_partners_with_a_tier_of_the_three_are_flagged() {
        let daily = [
            row(10, 0, Tier::Onboarding, 99.0, 0.0),
            row(10, 1, Tier::Watch, 2.0, 3.0),
            row(10, 2, Tier::InsufficientEvidence, 99.0, 0.0),
        ];
        let leavers = [0, 1, 2].map(|partner| Leaver { partner, last_success: Day(10) });
        let found = daily_flags(&daily, &leavers, 3).leavers;
        let last = found.iter().map(|days| days.0[LOOKBACK_DAYS as usize]).collect::<Vec<_>>();
        assert_eq!(last, [None, Some([true; 3]), None]);
    }

    #[test]
    fn days_are_counted_back_from_the_last_success() {
        let daily: Vec<_> = (0..=110).map(|day| row(day, 0, Tier::Watch, 0.0, 1.0)).collect();
        let leavers = [100, 50, 150].map(|day| Leaver { partner: 0, last_success: Day(day) });
        let found = daily_flags(&daily, &leavers, 1).leavers;
        let known = found.iter().map(|days| days.0.iter().flatten().count()).collect::<Vec<_>>();
        // As of the days 16 to 100; 0 to 50; 66 to 110.
        assert_eq!(known, [85, 51, 45]);
        assert!(found.iter().all(|days| days.0.len() == 85));
    }

    #[test]
    fn flaps_by_hand() {
        #[track_caller]
        fn check(changes: &[(i32, Tier)], expected: f64) {
            let mut counter = FlapCounter::default();
            for pair in changes.windows(2) {
                for day in pair[0].0..pair[1].0 {
                    counter.add(Day(day), pair[0].1, [false; 3]);
                }
            }
            if let Some((day, tier)) = changes.last() {
                counter.add(Day(*day), *tier, [false; 3]);
            }
            assert_eq!(counter.flaps.undone, [expected, 0.0, 0.0]);
        }
        use Tier::{AtRisk, Healthy, Watch};
        check(&[], 0.0);
        check(&[(0, Healthy), (90, Watch)], 0.0);
        check(&[(0, Healthy), (10, Watch), (38, Healthy)], 1.0);
        check(&[(0, Healthy), (10, Watch), (39, Healthy)], 0.0);
        check(&[(0, Healthy), (10, Watch), (20, AtRisk), (38, Healthy)], 1.0);
        check(&[(0, Healthy), (10, Watch), (20, AtRisk), (25, Watch), (90, Watch)], 1.0);
        // Down and up twice are two flaps, not three.
        check(&[(0, Healthy), (5, Watch), (9, Healthy), (14, Watch), (20, Healthy)], 2.0);
    }

    #[test]
    fn months_are_days_with_a_tier() {
        let daily: Vec<_> = (0..60).map(|day| row(day, 1, Tier::Healthy, 0.0, 1.0)).collect();
        let flaps = daily_flags(&daily, &[], 2).flaps;
        assert_eq!(flaps[0], Flaps::default());
        assert!((flaps[1].months - 2.0).abs() < 1e-9);
    }
}
