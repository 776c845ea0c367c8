//! The stretches of days on which a gate decided the tier of a partner.

use domain::Day;

use crate::gates::Gate;

/// A stretch of evaluated days on which the same gate decided the tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateSpell {
    pub gate: Gate,
    pub first: Day,
    /// The gate already decided the first day that is known, so that it may have come before.
    pub may_be_older: bool,
    /// The first day on which it decided no longer; `None` while it does.
    pub ended: Option<Day>,
}

/// Returns the spells of a partner, oldest first, from the deciding gate of each of its days, which
/// are in order.
pub fn gate_spells(days: &[(Day, Option<Gate>)]) -> Vec<GateSpell> {
    let mut spells: Vec<GateSpell> = Vec::new();
    let mut last_gate = None;
    for (row, (day, gate)) in days.iter().enumerate() {
        if *gate == last_gate {
            continue;
        }
        if let Some(open) = spells.last_mut().filter(|_| last_gate.is_some()) {
            open.ended = Some(*day);
        }
        if let Some(gate) = *gate {
            spells.push(GateSpell { gate, first: *day, may_be_older: row == 0, ended: None });
        }
        last_gate = *gate;
    }
    spells
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds the spells of days from 1 on, a letter each: `s` silence, `c` collapse, `.` none; as
    /// gate, first day and end.
    fn spells(pattern: &str) -> Vec<(Gate, i32, Option<i32>)> {
        let days: Vec<(Day, Option<Gate>)> = (1..)
            .zip(pattern.bytes())
            .map(|(day, letter)| {
                let gate = match letter {
                    b's' => Some(Gate::Silence),
                    b'c' => Some(Gate::Collapse),
                    _ => None,
                };
                (Day(day), gate)
            })
            .collect();
        let found = gate_spells(&days);
        assert!(found.iter().all(|spell| spell.may_be_older == (spell.first == Day(1))));
        found.iter().map(|s| (s.gate, s.first.0, s.ended.map(|day| day.0))).collect()
    }

    #[test]
    fn spells_begin_and_end_where_the_gate_changes() {
        use Gate::{Collapse, Silence};
        assert_eq!(spells(""), []);
        assert_eq!(spells("..."), []);
        assert_eq!(spells("..ss"), [(Silence, 3, None)]);
        assert_eq!(spells("ss."), [(Silence, 1, Some(3))]);
        assert_eq!(
            spells(".sscc.s"),
            [(Silence, 2, Some(4)), (Collapse, 4, Some(6)), (Silence, 7, None)]
        );
    }
}
