//! Charts and the static report: rows of the lake in, HTML pages out. The only home of plotters.
//!
//! Reading order: `input` (what a report is made of), `policy` (the lines it was made under), `rows` and `standing` (its rows), `report`
//! (all pages, writing them), then a file a page (`overview`, `funnel`, `growth`, `revenue`,
//! `health`, `partner`, `evidence`) and what they are built from: `page` (the shell), `fresh`
//! (how far it can be relied on), `lead`, `figure` (figures in sentences, each with its query),
//! `tile`, `table`, `glyph`, `standings`, `retention`, `signals`, `traffic`, `plan`, `words`,
//! `roles`, `paths`, `canvas`, `charts`; `csvw` says what a CSV is, `folder` puts a report in the
//! place of the one before.
//!
//! Everything is pure but `folder` and what writes through it. Event content is untrusted: text reaches a page through
//! maud or through `canvas`, which both escape it.

mod canvas;
mod charts;
mod csvw;
mod evidence;
mod figure;
mod folder;
mod fresh;
mod funnel;
mod glyph;
mod growth;
mod health;
mod input;
mod lead;
mod overview;
mod page;
mod partner;
mod paths;
mod plan;
mod policy;
mod report;
mod retention;
mod revenue;
mod roles;
mod rows;
mod signals;
mod standing;
mod standings;
mod table;
mod tile;
mod traffic;
mod words;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use folder::{About, about};
pub use input::{ColumnDoc, Held, Provenance, QueryDoc, ReportInput};
pub use paths::parquet as parquet_path;
pub use policy::PolicyInForce;
pub use report::{
    ReportError, ReportSummary, check_report, docs, pages, stylesheet, write_docs, write_report,
};
pub use rows::{
    ActivationRow, CohortRetentionRow, FunnelRow, GrowthRow, PartnerReliabilityRow,
    RevenuePerPartnerRow, RevenueSummaryRow, StuckPartnerRow, ThrottlingRow, TimeToFirstCallRow,
};
pub use standing::{HealthRow, HistoryRow, PartnerDayRow, PartnerRow, PlanRow, Signal, Standing};
