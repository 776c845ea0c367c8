//! The conditions of gates that hold for one partner on one day, as the column `gates_met` has them.

use std::fmt;
use std::str::FromStr;

use domain::UnknownName;

/// What the inputs of one day say of a partner. A gate may need a condition on several days in a
/// row; this says that it holds on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Calls of the last 14 days have collapsed against the baseline.
    Collapse,
    /// Calls of the last 14 days are below half of their former level, or not known to be above it.
    BelowHalf,
    /// Every call of three days failed.
    Dead,
    /// No success for longer than is usual for this partner.
    Silence,
    LowErrors,
    LowGrowth,
    LowRevenue,
    /// The gross of the last complete month is gone, and calls are not.
    RevenueGone,
    /// The risk is at least that of `forecast_watch_risk`.
    ForecastWatch,
    /// The risk is at least that of `forecast_at_risk_risk`.
    ForecastAtRisk,
    /// Calls of the last 14 days are below what the baseline ever was, by more than chance.
    Decline,
}

impl Condition {
    /// All conditions, in the order of their names in `gates_met`.
    pub(crate) const ALL: [Self; 11] = [
        Self::Collapse,
        Self::BelowHalf,
        Self::Dead,
        Self::Silence,
        Self::LowErrors,
        Self::LowGrowth,
        Self::LowRevenue,
        Self::RevenueGone,
        Self::ForecastWatch,
        Self::ForecastAtRisk,
        Self::Decline,
    ];

    /// The conditions that a signal is low.
    pub(crate) const LOW_SIGNALS: [Self; 3] = [Self::LowErrors, Self::LowGrowth, Self::LowRevenue];

    /// The name in the column `gates_met`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Collapse => "collapse",
            Self::BelowHalf => "below_half",
            Self::Dead => "dead",
            Self::Silence => "silence",
            Self::LowErrors => "low_errors",
            Self::LowGrowth => "low_growth",
            Self::LowRevenue => "low_revenue",
            Self::RevenueGone => "revenue_gone",
            Self::ForecastWatch => "forecast_watch",
            Self::ForecastAtRisk => "forecast_at_risk",
            Self::Decline => "decline",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of conditions. Its text is their names, separated by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct GateConditions(u16);

impl GateConditions {
    pub(crate) const NONE: Self = Self(0);

    /// Returns the set of these conditions.
    #[cfg(test)]
    pub(crate) fn of(conditions: &[Condition]) -> Self {
        Self(conditions.iter().fold(0, |bits, condition| bits | condition.bit()))
    }

    pub(crate) fn contains(self, condition: Condition) -> bool {
        self.0 & condition.bit() != 0
    }

    pub(crate) fn insert(&mut self, condition: Condition) {
        self.0 |= condition.bit();
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the value of the column `gates_met`; `None` where no condition holds.
    pub(crate) fn to_column(self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }

    /// Reads a value of the column `gates_met`.
    ///
    /// # Errors
    /// Names a condition that is unknown.
    pub(crate) fn from_column(value: Option<&str>) -> Result<Self, UnknownName> {
        value.map_or(Ok(Self::NONE), str::parse)
    }
}

impl fmt::Display for GateConditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Condition::ALL.into_iter().filter(|condition| self.contains(*condition));
        let names: Vec<&str> = held.map(Condition::name).collect();
        f.pad(&names.join(","))
    }
}

impl FromStr for GateConditions {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut conditions = Self::NONE;
        for name in text.split(',').filter(|name| !name.is_empty()) {
            let found = Condition::ALL.into_iter().find(|condition| condition.name() == name);
            conditions.insert(found.ok_or_else(|| UnknownName {
                what: "condition of a gate",
                given: name.to_owned(),
                known: Condition::ALL.map(Condition::name).join(", "),
            })?);
        }
        Ok(conditions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_read_back_from_its_text() {
        for bits in 0..1 << Condition::ALL.len() {
            let conditions = GateConditions(bits);
            let text = conditions.to_column();
            assert_eq!(text.is_none(), bits == 0);
            assert_eq!(GateConditions::from_column(text.as_deref()), Ok(conditions));
        }
    }

    #[test]
    fn the_text_has_one_order() {
        #[track_caller]
        fn check(conditions: &[Condition], text: &str) {
            assert_eq!(GateConditions::of(conditions).to_string(), text);
        }
        use Condition::{Collapse, LowErrors, LowGrowth};
        check(&[], "");
        check(&[LowGrowth, LowErrors, Collapse], "collapse,low_errors,low_growth");
        check(&[LowErrors, LowErrors], "low_errors");
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = "collapse,late".parse::<GateConditions>().expect_err("an unknown name");
        assert!(
            error.to_string().starts_with("unknown condition of a gate \"late\"; it is one of")
        );
    }
}
