//! Units of work: the pieces that a refresh of a rollup or a compaction is divided into, each of which
//! can run on any machine that reads the lake.
//!
//! A unit reads given table versions and writes files. It commits nothing, so a unit that runs twice
//! leaves files that no commit names, and `vacuum` removes them.

use std::collections::BTreeMap;

use arrow::datatypes::{Field, Schema};
use datafusion::common::DFSchema;
use datafusion::prelude::{Expr, col, lit};
use domain::Day;
use futures::stream::BoxStream;
use lake::PendingFile;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The column by which the rows of a large day are divided.
pub(crate) const PARTNER_COLUMN: &str = "partner_id";

/// Some days of a rollup, or some partners of one day. It has no secret: whoever runs it opens the
/// lake with a configuration of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupUnit {
    pub rollup: String,
    /// The versions of the tables that are read. A table without a version does not exist yet.
    pub versions: BTreeMap<String, u64>,
    /// The days, each with the tag that its files get.
    pub days: BTreeMap<Day, String>,
    /// Some partners of the only day; without a range all partners of all days.
    pub partners: Option<PartnerRange>,
    /// The columns that the rollup must have, each with its type.
    pub columns: Vec<String>,
}

/// The events of a day of a raw table, or of some of its partners, which are written again without
/// duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactionUnit {
    /// The raw table.
    pub table: String,
    /// The version of the table that is read.
    pub version: u64,
    pub day: Day,
    /// Some partners; without a range all of them.
    pub partners: Option<PartnerRange>,
}

/// A piece of work that can run on any machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkUnit {
    Rollup(RollupUnit),
    Compaction(CompactionUnit),
}

/// Partners whose ids follow each other in byte order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerRange {
    /// The first partner; `None` in the first range of a day.
    pub from: Option<String>,
    /// The first partner of the next range; `None` in the last range of a day.
    pub to: Option<String>,
}

/// What a unit wrote.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitOutput {
    /// The files in the order of their days and rows. A day without rows has an empty file, but a
    /// range without rows has none.
    pub files: Vec<(Day, PendingFile)>,
    /// The copies of events that a compaction left out; 0 for a rollup.
    pub copies: u64,
}

/// Runs units elsewhere.
pub trait UnitRunner: Send + Sync {
    /// Runs the units of one table. The outputs come in the order of the units.
    fn run(&self, units: Vec<WorkUnit>) -> BoxStream<'_, Result<UnitOutput>>;
}

impl WorkUnit {
    /// Returns the name of the rollup, or that of the raw table.
    pub fn table(&self) -> &str {
        match self {
            Self::Rollup(unit) => &unit.rollup,
            Self::Compaction(unit) => &unit.table,
        }
    }
}

impl PartnerRange {
    /// Returns the ranges that begin at these partners, and one before the first of them.
    pub(crate) fn between(starts: &[String]) -> Vec<Self> {
        let from = std::iter::once(None).chain(starts.iter().cloned().map(Some));
        let to = starts.iter().cloned().map(Some).chain([None]);
        from.zip(to).map(|(from, to)| Self { from, to }).collect()
    }

    /// Returns the condition that holds for the rows of the range. A row without a partner is in the
    /// first one.
    pub(crate) fn condition(&self, schema: &DFSchema) -> Expr {
        let partner = || col(PARTNER_COLUMN);
        let before = self.to.as_deref().map(|to| partner().lt(lit(to)));
        let nullable = schema
            .field_with_unqualified_name(PARTNER_COLUMN)
            .is_ok_and(|field| field.is_nullable());
        match (&self.from, before) {
            (None, None) => lit(true),
            (None, Some(before)) if nullable => before.or(partner().is_null()),
            (None, Some(before)) => before,
            (Some(from), None) => partner().gt_eq(lit(from.as_str())),
            (Some(from), Some(before)) => partner().gt_eq(lit(from.as_str())).and(before),
        }
    }
}

/// Returns the columns of a table as a unit names them.
pub(crate) fn column_texts(schema: &Schema) -> Vec<String> {
    let text = |field: &Field| {
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        format!("{} {}{null}", field.name(), field.data_type())
    };
    schema.fields().iter().map(|field| text(field)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_partner_once() {
        let ranges = PartnerRange::between(&["d".to_owned(), "m".to_owned()]);
        let bounds: Vec<_> = ranges.iter().map(|r| (r.from.as_deref(), r.to.as_deref())).collect();
        assert_eq!(bounds, [(None, Some("d")), (Some("d"), Some("m")), (Some("m"), None)]);
    }

    #[test]
    fn a_unit_survives_its_encoding() {
        let day: Day = "2026-03-01".parse().expect("a day");
        let unit = RollupUnit {
            rollup: "partner_day".to_owned(),
            versions: BTreeMap::from([("raw/api_calls".to_owned(), 12)]),
            days: BTreeMap::from([(day, "2.aa.11".to_owned())]),
            partners: Some(PartnerRange { from: None, to: Some("d".to_owned()) }),
            columns: vec!["calls Int64".to_owned()],
        };
        let unit = WorkUnit::Rollup(unit);
        let text = serde_json::to_string(&unit).expect("JSON");
        assert_eq!(serde_json::from_str::<WorkUnit>(&text).expect("a unit"), unit);
        assert!(text.contains("\"2026-03-01\":\"2.aa.11\""), "{text}");
        let unit = WorkUnit::Compaction(CompactionUnit {
            table: "raw/api_calls".to_owned(),
            version: 12,
            day,
            partners: Some(PartnerRange { from: Some("d".to_owned()), to: None }),
        });
        let text = serde_json::to_string(&unit).expect("JSON");
        assert_eq!(serde_json::from_str::<WorkUnit>(&text).expect("a unit"), unit);
    }
}
