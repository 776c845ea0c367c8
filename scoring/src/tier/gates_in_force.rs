//! The gates that limit a partner's tier on a day, counted from the conditions of its days.

use domain::{Day, Tier};

use crate::gates::{Condition, Gate, GateConditions, GatePolicy};

/// Counts over the evaluations of one partner, in the order of days.
#[derive(Debug, Clone)]
pub(crate) struct GatesInForce {
    /// For each condition, the number of evaluations in a row on which it has held.
    runs: [u32; Condition::ALL.len()],
    /// For each gate, the number of evaluations since the last one that set it, 0 on that one.
    since_set: [Option<u32>; Gate::ALL.len()],
    /// The day on which the present collapse began.
    collapsed_on: Option<Day>,
}

impl GatesInForce {
    pub(crate) fn new() -> Self {
        Self {
            runs: [0; Condition::ALL.len()],
            since_set: [None; Gate::ALL.len()],
            collapsed_on: None,
        }
    }

    /// Counts one evaluation.
    pub(crate) fn count(&mut self, day: Day, conditions: GateConditions, policy: &GatePolicy) {
        for condition in Condition::ALL {
            let run = &mut self.runs[condition as usize];
            *run = if conditions.contains(condition) { run.saturating_add(1) } else { 0 };
        }
        let begins =
            conditions.contains(Condition::Collapse) && self.is_over(Gate::Collapse, policy);
        for gate in Gate::ALL {
            let is_set = self.is_set(gate, policy);
            let since = &mut self.since_set[gate as usize];
            *since = if is_set { Some(0) } else { since.map(|n| n.saturating_add(1)) };
        }
        if begins {
            self.collapsed_on = Some(day);
        }
        let is_old = |start: &Day| day.0 - start.0 >= policy.collapse_max_days;
        let has_recovered =
            self.is_over(Gate::Collapse, policy) && !conditions.contains(Condition::BelowHalf);
        if has_recovered || self.collapsed_on.as_ref().is_some_and(is_old) {
            self.collapsed_on = None;
        }
    }

    /// Takes over what the first stored row tells of a collapse that began before it. A collapse is
    /// in force if its gate, or one that is named before it, is the reason stored; else it was over
    /// after its longest time, even if its condition still holds.
    pub(crate) fn resume_collapse(&mut self, day: Day, gate: Option<Gate>) {
        match gate {
            Some(Gate::Collapse) => self.collapsed_on = Some(day),
            Some(Gate::Dead | Gate::Silence) => {}
            _ => self.collapsed_on = None,
        }
    }

    /// Returns the gates in force, the one that is named as the reason first.
    pub(crate) fn gates(&self, policy: &GatePolicy) -> impl Iterator<Item = Gate> {
        Gate::ALL.into_iter().filter(|gate| match gate {
            Gate::Collapse => self.collapsed_on.is_some(),
            _ => !self.is_over(*gate, policy),
        })
    }

    /// Returns whether a gate was never set, or not for as many evaluations as it holds.
    fn is_over(&self, gate: Gate, policy: &GatePolicy) -> bool {
        let holds = match gate.tier() {
            Tier::Watch => policy.watch_hold_evaluations,
            _ => policy.hold_evaluations,
        };
        self.since_set[gate as usize].is_none_or(|since| since >= holds)
    }

    /// Returns whether the evaluation counted last sets a gate.
    fn is_set(&self, gate: Gate, policy: &GatePolicy) -> bool {
        let holds =
            |condition: Condition, evaluations: u32| self.runs[condition as usize] >= evaluations;
        let is_low = |signal: Condition| holds(signal, policy.low_signal_evaluations);
        match gate {
            Gate::Dead => holds(Condition::Dead, 1),
            Gate::Silence => holds(Condition::Silence, 1),
            Gate::Collapse => holds(Condition::Collapse, 1),
            Gate::TwoLowSignals => {
                Condition::LOW_SIGNALS.into_iter().filter(|signal| is_low(*signal)).count() >= 2
            }
            Gate::ForecastAtRisk => holds(Condition::ForecastAtRisk, policy.forecast_evaluations),
            Gate::LowErrors => is_low(Condition::LowErrors),
            Gate::Decline => holds(Condition::Decline, policy.decline_evaluations),
            Gate::LowGrowth => is_low(Condition::LowGrowth),
            Gate::LowRevenue => is_low(Condition::LowRevenue),
            Gate::RevenueGone => holds(Condition::RevenueGone, 1),
            Gate::ForecastWatch => holds(Condition::ForecastWatch, policy.forecast_evaluations),
        }
    }
}
