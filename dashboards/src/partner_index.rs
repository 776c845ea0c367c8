//! An index of the rows of a report by partner, so that the pages of all partners take one pass over
//! each table.

use std::collections::HashMap;

use domain::format;

use crate::action_rows::PlanRow;
use crate::grain::Grain;
use crate::health_history::DayHealth;
use crate::health_rows::{HealthRow, PartnerRow, TrafficRow};
use crate::input::ReportInput;
use crate::metric_rows::{PartnerReliabilityRow, RevenuePerPartnerRow, ThrottlingRow};
use crate::paths;
use crate::record_rows::{NoteRow, OverrideRow};

/// The positions of the rows of each partner in the tables of a [`ReportInput`].
#[derive(Debug, Default)]
pub(crate) struct PartnerIndex {
    health: Positions,
    /// The positions of the partners in `health`, by the paths of their pages.
    pages: HashMap<String, u32>,
    milestones: Positions,
    reliability: Positions,
    throttling: Positions,
    plan: Positions,
    notes: Positions,
    overrides: Positions,
    /// By day, week and month.
    traffic: [Positions; 3],
    revenue: Positions,
}

/// The positions of the rows of a table, by partner id.
type Positions = HashMap<String, Vec<u32>>;

impl PartnerIndex {
    pub(crate) fn new(input: &ReportInput) -> Self {
        Self {
            health: positions(&input.health, |row| &row.partner_id),
            pages: positions_by_path(&input.health),
            milestones: positions(&input.partners, |row| &row.partner_id),
            reliability: positions(&input.partner_reliability, |row| &row.partner_id),
            throttling: positions(&input.throttling, |row| &row.partner_id),
            plan: positions(&input.plan, |row| &row.partner_id),
            notes: positions(&input.notes, |row| &row.partner_id),
            overrides: positions(&input.overrides, |row| &row.partner_id),
            traffic: Grain::ALL
                .map(|grain| sorted(input.traffic(grain), |row| &row.partner_id, |row| row.start)),
            revenue: sorted(&input.revenue_per_partner, |row| &row.partner_id, |row| row.month),
        }
    }
}

/// Returns the position of each partner by the path of its page. Of several with one path the first has it.
fn positions_by_path(rows: &[HealthRow]) -> HashMap<String, u32> {
    let mut positions = HashMap::with_capacity(rows.len());
    for (row, position) in rows.iter().zip(0..) {
        positions.entry(paths::partner(&row.partner_id)).or_insert(position);
    }
    positions
}

/// Returns the positions of the rows of each partner, in the order of the rows.
fn positions<T>(rows: &[T], id: impl Fn(&T) -> &str) -> Positions {
    let mut positions = Positions::new();
    for (position, row) in rows.iter().enumerate() {
        let position = u32::try_from(position).expect("a report has fewer than 4 billion rows");
        match positions.get_mut(id(row)) {
            Some(known) => known.push(position),
            None => {
                positions.insert(id(row).to_owned(), vec![position]);
            }
        }
    }
    positions
}

/// Returns the positions of the rows of each partner, sorted by a key.
fn sorted<T, K: Ord>(rows: &[T], id: impl Fn(&T) -> &str, key: impl Fn(&T) -> K) -> Positions {
    let mut positions = positions(rows, id);
    positions.values_mut().for_each(|of_one| of_one.sort_by_key(|at| key(&rows[*at as usize])));
    positions
}

/// The rows of a report with their index.
#[derive(Clone, Copy)]
pub(crate) struct PartnerRows<'a> {
    pub(crate) input: &'a ReportInput,
    pub(crate) index: &'a PartnerIndex,
}

impl<'a> PartnerRows<'a> {
    /// Returns the newest score of a partner.
    pub(crate) fn health(self, id: &str) -> Option<&'a HealthRow> {
        first(&self.input.health, &self.index.health, id)
    }

    /// Returns the newest score of the partner whose page has a path.
    pub(crate) fn health_at(self, path: &str) -> Option<&'a HealthRow> {
        self.index.pages.get(path).map(|at| &self.input.health[*at as usize])
    }

    pub(crate) fn milestones(self, id: &str) -> Option<&'a PartnerRow> {
        first(&self.input.partners, &self.index.milestones, id)
    }

    pub(crate) fn reliability(self, id: &str) -> Option<&'a PartnerReliabilityRow> {
        first(&self.input.partner_reliability, &self.index.reliability, id)
    }

    pub(crate) fn throttling(self, id: &str) -> Option<&'a ThrottlingRow> {
        first(&self.input.throttling, &self.index.throttling, id)
    }

    /// Returns what the pending plan proposes for a partner.
    pub(crate) fn plan(self, id: &str) -> Vec<&'a PlanRow> {
        all(&self.input.plan, &self.index.plan, id)
    }

    /// Returns what people noted about a partner, newest first.
    pub(crate) fn notes(self, id: &str) -> Vec<&'a NoteRow> {
        all(&self.input.notes, &self.index.notes, id)
    }

    /// Returns the tiers that people set for a partner, newest first.
    pub(crate) fn overrides(self, id: &str) -> Vec<&'a OverrideRow> {
        all(&self.input.overrides, &self.index.overrides, id)
    }

    /// Returns the periods with production traffic of a partner, oldest first.
    pub(crate) fn traffic(self, id: &str, grain: Grain) -> Vec<&'a TrafficRow> {
        all(self.input.traffic(grain), &self.index.traffic[grain as usize], id)
    }

    /// Returns the tiers and scores of a partner, oldest first.
    pub(crate) fn history(self, id: &str) -> &'a [DayHealth] {
        self.input.history.of(id)
    }

    /// Returns the months in which a partner was charged, oldest first.
    pub(crate) fn revenue(self, id: &str) -> Vec<&'a RevenuePerPartnerRow> {
        all(&self.input.revenue_per_partner, &self.index.revenue, id)
    }

    /// Returns the name of a partner, or its id if it has no name or no score.
    pub(crate) fn label(self, id: &str) -> String {
        self.health(id).map_or_else(|| format::name_or_id(None, id), HealthRow::label)
    }
}

fn all<'a, T>(rows: &'a [T], positions: &Positions, id: &str) -> Vec<&'a T> {
    let positions = positions.get(id).map_or(&[][..], Vec::as_slice);
    positions.iter().map(|at| &rows[*at as usize]).collect()
}

fn first<'a, T>(rows: &'a [T], positions: &Positions, id: &str) -> Option<&'a T> {
    positions.get(id).and_then(|of_one| of_one.first()).map(|at| &rows[*at as usize])
}
