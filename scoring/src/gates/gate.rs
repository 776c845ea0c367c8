//! The gates: what limits the tier of a partner whatever its score.

use std::fmt;
use std::str::FromStr;

use domain::{Tier, UnknownName};

/// A gate, as the column `gate` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Dead,
    Silence,
    Collapse,
    TwoLowSignals,
    ForecastAtRisk,
    LowErrors,
    Decline,
    LowGrowth,
    LowRevenue,
    RevenueGone,
    ForecastWatch,
}

impl Gate {
    /// All gates. Of several in force the first one is the reason: those of `at_risk` come before
    /// those of `watch`, and the one that says most of what happened comes first.
    pub const ALL: [Self; 11] = [
        Self::Dead,
        Self::Silence,
        Self::Collapse,
        Self::TwoLowSignals,
        Self::ForecastAtRisk,
        Self::LowErrors,
        Self::Decline,
        Self::LowGrowth,
        Self::LowRevenue,
        Self::RevenueGone,
        Self::ForecastWatch,
    ];

    /// The name in the column `gate`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Silence => "silence",
            Self::Collapse => "collapse",
            Self::TwoLowSignals => "two_low_signals",
            Self::ForecastAtRisk => "forecast_at_risk",
            Self::LowErrors => "low_errors",
            Self::Decline => "decline",
            Self::LowGrowth => "low_growth",
            Self::LowRevenue => "low_revenue",
            Self::RevenueGone => "revenue_gone",
            Self::ForecastWatch => "forecast_watch",
        }
    }

    /// The best tier that the gate allows.
    pub const fn tier(self) -> Tier {
        match self {
            Self::Dead
            | Self::Silence
            | Self::Collapse
            | Self::TwoLowSignals
            | Self::ForecastAtRisk => Tier::AtRisk,
            Self::LowErrors
            | Self::Decline
            | Self::LowGrowth
            | Self::LowRevenue
            | Self::RevenueGone
            | Self::ForecastWatch => Tier::Watch,
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Gate {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|gate| gate.name() == text).ok_or_else(|| UnknownName {
            what: "gate",
            given: text.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for gate in Gate::ALL {
            assert_eq!(gate.to_string().parse(), Ok(gate));
        }
        let error = "late".parse::<Gate>().expect_err("no gate").to_string();
        assert!(error.starts_with("unknown gate \"late\"; it is one of dead, silence"), "{error}");
    }

    #[test]
    fn gates_of_at_risk_come_first() {
        let tiers = Gate::ALL.map(Gate::tier);
        let first_watch = tiers.iter().position(|tier| *tier == Tier::Watch);
        assert_eq!(first_watch, Some(5));
        assert!(tiers[5..].iter().all(|tier| *tier == Tier::Watch));
    }
}
