//! The tier and the score of each partner on each day, in little memory: a programme of 20,000 partners
//! has seven million of them a year.

use std::collections::{BTreeMap, HashMap};

use chrono::{Days, NaiveDate};
use domain::Tier;

/// The tier and the score of a partner on a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayHealth {
    pub as_of: NaiveDate,
    pub tier: Tier,
    /// 0–100. Not a number: there is none. With an `Option` a day would take 24 bytes in place of 16.
    score: f64,
}

/// The tiers and scores of all days.
#[derive(Debug, Clone, Default)]
pub struct HealthHistory {
    /// The days of each partner, oldest first.
    of_partner: HashMap<Box<str>, Vec<DayHealth>>,
    /// The number of partners in each tier on each day.
    counts: BTreeMap<NaiveDate, HashMap<Tier, i64>>,
}

impl DayHealth {
    /// Returns the score of that day. A churned partner has none: its row repeats the last one.
    pub fn current_score(&self) -> Option<f64> {
        let is_known = !self.score.is_nan() && self.tier != Tier::Churned;
        is_known.then_some(self.score)
    }
}

impl HealthHistory {
    /// Adds the score of a partner on a day. Of several on one day the first counts.
    pub fn add(&mut self, partner_id: &str, as_of: NaiveDate, tier: Tier, score: Option<f64>) {
        let day = DayHealth { as_of, tier, score: score.unwrap_or(f64::NAN) };
        match self.of_partner.get_mut(partner_id) {
            Some(days) => {
                let found = days.binary_search_by_key(&as_of, |other| other.as_of);
                let Err(at) = found else { return };
                days.insert(at, day);
            }
            None => drop(self.of_partner.insert(partner_id.into(), vec![day])),
        }
        *self.counts.entry(as_of).or_default().entry(tier).or_insert(0) += 1;
    }

    /// Gives back the memory that was held for more days.
    pub fn shrink_to_fit(&mut self) {
        self.of_partner.values_mut().for_each(Vec::shrink_to_fit);
    }

    /// Returns the number of tiers and scores.
    pub fn row_count(&self) -> usize {
        self.of_partner.values().map(Vec::len).sum()
    }

    /// Returns the day of scores to compare the newest with: the last one that is a week or more
    /// before it, or else the earliest. `None`: there is only one day of scores.
    pub fn week_ago(&self) -> Option<NaiveDate> {
        let newest = *self.counts.keys().next_back()?;
        let week_ago = self.counts.range(..=newest - Days::new(7)).next_back();
        let day = week_ago.or_else(|| self.counts.first_key_value()).map(|(day, _)| *day);
        day.filter(|day| *day < newest)
    }

    /// Returns the days on which scores were made, oldest first.
    pub(crate) fn days(&self) -> Vec<NaiveDate> {
        self.counts.keys().copied().collect()
    }

    /// Returns the days of a partner, oldest first.
    pub(crate) fn of(&self, partner_id: &str) -> &[DayHealth] {
        self.of_partner.get(partner_id).map_or(&[], Vec::as_slice)
    }

    /// Returns a day of a partner.
    pub(crate) fn on(&self, partner_id: &str, day: NaiveDate) -> Option<&DayHealth> {
        let days = self.of(partner_id);
        days.binary_search_by_key(&day, |row| row.as_of).ok().map(|at| &days[at])
    }

    /// Returns the number of partners in a tier on a day.
    pub(crate) fn count(&self, day: NaiveDate, tier: Tier) -> i64 {
        self.counts.get(&day).and_then(|of_day| of_day.get(&tier)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(of_month: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, of_month).expect("a day")
    }

    #[test]
    fn days_are_found_by_partner_and_counted_by_tier() {
        let mut history = HealthHistory::default();
        history.add("b", day(3), Tier::Watch, Some(55.0));
        history.add("a", day(2), Tier::Churned, Some(31.0));
        history.add("a", day(1), Tier::AtRisk, Some(31.0));
        history.add("b", day(2), Tier::Watch, None);
        history.add("b", day(2), Tier::Healthy, Some(80.0));
        let of_a: Vec<_> = history.of("a").iter().map(|d| (d.as_of, d.current_score())).collect();
        assert_eq!(of_a, [(day(1), Some(31.0)), (day(2), None)]);
        assert_eq!(history.on("b", day(3)).and_then(DayHealth::current_score), Some(55.0));
        assert_eq!(history.on("b", day(2)).and_then(DayHealth::current_score), None);
        assert_eq!(history.on("b", day(1)), None);
        assert!(history.of("c").is_empty());
        assert_eq!(history.row_count(), 4);
        assert_eq!(history.days(), [day(1), day(2), day(3)]);
        assert_eq!(history.count(day(2), Tier::Watch), 1);
        assert_eq!(history.count(day(2), Tier::Healthy), 0);
        assert_eq!(history.count(day(9), Tier::Watch), 0);
    }

    #[test]
    fn the_newest_day_is_compared_with_one_of_a_week_ago() {
        #[track_caller]
        fn check(days: &[u32], expected: Option<u32>) {
            let mut history = HealthHistory::default();
            days.iter().for_each(|of| history.add("a", day(*of), Tier::Watch, None));
            assert_eq!(history.week_ago(), expected.map(day));
        }
        check(&[], None);
        check(&[9], None);
        check(&[8, 9], Some(8));
        check(&[1, 2, 3, 9], Some(2));
        check(&[1, 3, 9], Some(1));
        check(&[3, 5, 9], Some(3));
    }

    #[test]
    fn a_day_takes_sixteen_bytes() {
        assert_eq!(size_of::<DayHealth>(), 16);
    }
}
