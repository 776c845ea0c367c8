//! Tiers: the fold over the daily evaluations of a partner, from scores and gates to a tier.
//!
//! - `policy`: the thresholds of the bands
//! - `band`: the tier by the score alone
//! - `gates_in_force`: the gates that limit the tier

use domain::{Day, Stage, Tier};

use crate::gates::{Gate, GateConditions, GatePolicy};

mod band;
mod gates_in_force;
mod policy;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use policy::TierPolicy;

use band::{BandRuns, first_tier};
use gates_in_force::GatesInForce;

/// The days of stored rows before the first new one from which [`fold`] finds the same tiers as from
/// all rows: the longest collapse, 90 days, and the evaluations that show where it began, 28 at most.
pub const HISTORY_DAYS: i32 = 120;

/// The days for which it is known behind a gate that the score alone made the partner `at_risk`.
const AT_RISK_MEMORY_DAYS: i32 = 90;

/// One daily evaluation of a partner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DailyRow {
    pub day: Day,
    pub stage: Stage,
    /// 0–100; `None` with insufficient evidence.
    pub score: Option<f64>,
    /// The least score with any one week of W left out.
    pub score_low: Option<f64>,
    /// The greatest score with any one week of W left out.
    pub score_high: Option<f64>,
    pub gates: GateConditions,
    /// The tier that an earlier run stored for the day.
    pub stored: Option<StoredTier>,
}

/// A tier as `partner_health` stores it, before any override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredTier {
    pub tier: Tier,
    /// The gate that decides.
    pub gate: Option<Gate>,
    /// µs.
    pub tier_since: i64,
}

/// The tier of a partner on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TierState {
    pub tier: Tier,
    /// The first instant of the day from which the tier has held, in µs.
    pub tier_since: i64,
    /// The gate that decides: its tier is at least as bad as that by the score.
    pub gate: Option<Gate>,
    /// The first instant of the day from which this gate has decided, or of the first row if it did
    /// so already, in µs.
    pub gate_since: Option<i64>,
}

/// Returns the tier of a partner on each day of its history, which is in the order of days.
///
/// A row with a stored tier keeps it and only counts; a new lake has none. Rows of the
/// [`HISTORY_DAYS`] before the first one without a stored tier are enough. A day without a row is no
/// evaluation: it neither counts nor ends what is counted in a row.
pub(crate) fn fold(history: &[DailyRow], tiers: &TierPolicy, gates: &GatePolicy) -> Vec<TierState> {
    let mut fold = TierFold::new(tiers, gates);
    history.iter().map(|row| fold.next(row)).collect()
}

/// What is known of a partner after the rows folded so far.
struct TierFold<'a> {
    tiers: &'a TierPolicy,
    gates: &'a GatePolicy,
    band: BandRuns,
    in_force: GatesInForce,
    /// The last day on which the score alone made the partner `at_risk`, unless it has left it since.
    at_risk_on: Option<Day>,
    last: Option<TierState>,
}

impl<'a> TierFold<'a> {
    fn new(tiers: &'a TierPolicy, gates: &'a GatePolicy) -> Self {
        let (band, in_force) = (BandRuns::default(), GatesInForce::new());
        Self { tiers, gates, band, in_force, at_risk_on: None, last: None }
    }

    fn next(&mut self, row: &DailyRow) -> TierState {
        self.count(row);
        let (tier, gate) = match row.stored {
            Some(stored) => (stored.tier, stored.gate),
            None => self.tier(row),
        };
        if gate.is_none() {
            self.at_risk_on = (tier == Tier::AtRisk).then_some(row.day);
        }
        let today = row.day.start_micros();
        let tier_since = match (row.stored, self.last) {
            (Some(stored), _) => stored.tier_since,
            (None, Some(last)) if last.tier == tier => last.tier_since,
            _ => today,
        };
        let before = self.last.filter(|last| last.gate == gate).and_then(|last| last.gate_since);
        let gate_since = gate.map(|_| before.unwrap_or(today));
        let state = TierState { tier, tier_since, gate, gate_since };
        self.last = Some(state);
        state
    }

    /// Counts one evaluation. Nothing is counted over a time in which the partner is not live.
    fn count(&mut self, row: &DailyRow) {
        if row.stage != Stage::Live {
            self.band = BandRuns::default();
            self.in_force = GatesInForce::new();
            self.at_risk_on = None;
            return;
        }
        self.in_force.count(row.day, row.gates, self.gates);
        if let (None, Some(stored)) = (self.last, row.stored) {
            self.in_force.resume_collapse(row.day, stored.gate);
        }
        self.band.count(row, self.tiers);
        if self.band.enters_at_risk(self.tiers) {
            self.at_risk_on = Some(row.day);
        } else if self.band.leaves_at_risk(self.tiers) {
            self.at_risk_on = None;
        }
        // After a collapse a partner is on watch, and comes back to healthy from there.
        if self.in_force.gates(self.gates).any(|gate| gate == Gate::Collapse) {
            self.band.restart_healthy();
        }
    }

    /// Returns the tier of a new row, and the gate that decides.
    fn tier(&self, row: &DailyRow) -> (Tier, Option<Gate>) {
        match row.stage {
            Stage::Onboarding => return (Tier::Onboarding, None),
            Stage::Stuck => return (Tier::Stuck, None),
            Stage::Churned => return (Tier::Churned, None),
            Stage::Live => {}
        }
        let gate = self.in_force.gates(self.gates).next();
        let Some(by_score) = self.tier_by_score(row) else {
            // What sets at_risk is evidence enough; what limits a tier to watch needs one to limit.
            let gate = gate.filter(|gate| gate.tier() == Tier::AtRisk);
            return (gate.map_or(Tier::InsufficientEvidence, Gate::tier), gate);
        };
        match gate {
            Some(gate) if gate.tier() >= by_score => (gate.tier(), Some(gate)),
            _ => (by_score, None),
        }
    }

    /// Returns the tier that the score alone leads to; `None` with insufficient evidence.
    ///
    /// While a gate decides, the stored rows do not tell the tier by the score. It is taken as
    /// `watch` then, so a partner comes back to `healthy` only through the upper threshold; as
    /// `at_risk` where the score led there before the gate or behind it and has not led out since.
    fn tier_by_score(&self, row: &DailyRow) -> Option<Tier> {
        let score = row.score?;
        let is_remembered = |day: Day| row.day.0 - day.0 <= AT_RISK_MEMORY_DAYS;
        let before = match self.last {
            Some(last) if last.gate.is_some() => {
                let at_risk = self.at_risk_on.filter(|day| is_remembered(*day));
                Some(at_risk.map_or(Tier::Watch, |_| Tier::AtRisk))
            }
            Some(last) => Some(last.tier)
                .filter(|tier| [Tier::Healthy, Tier::Watch, Tier::AtRisk].contains(tier)),
            None => None,
        };
        Some(match before {
            Some(before) => self.band.next(before, self.tiers),
            None => first_tier(score, self.tiers),
        })
    }
}
