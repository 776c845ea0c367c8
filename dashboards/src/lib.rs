//! Charts and the static report: rows of the lake in, HTML pages out. The only home of plotters.
//!
//! All functions are pure except those that write to a folder. Event content is untrusted: text
//! reaches a page only through `maud` or `charts::canvas`, which both escape it.
//!
//! - `input`: what a report is made of
//! - `live_page`: what a served page has and a file has not
//! - `partner_list_query`: what the list of partners shows
//! - `partner_index`: the rows of each partner
//! - `message`: the report as mail and chat
//! - `message_page`: a page with one message
//! - `metric_rows`, `health_rows`: the rows of metrics and of single partners
//! - `health_history`: the tier and the score of each partner on each day
//! - `action_rows`: the pending plan, the log of actions, the alerts
//! - `record_rows`: what people record beside the scores
//! - `lake_rows`: rows on the streams and tables of the lake
//! - `revenue_rows`: the rows of the metrics on where revenue comes from
//! - `service_rows`: the rows of the metrics on the service
//! - `targets`: the goals of a project
//! - `policy_in_force`: the thresholds and limits that the pages show
//! - `site`: what a list of pages is, and what a page is rendered from
//! - `pages`: the lists of pages, and a file for each page
//! - `components`: the parts of pages
//! - `grain`: the grain of charts over time
//! - `comparison`: what the tiles compare their figures with
//! - `charts`: drawings as SVG
//! - `chart_file`: the charts of a section as a drawing of their own
//! - `tiers`: the labels and colours of the tiers
//! - `months`: calendar months
//! - `timestamps`: instants in data files
//! - `theme`: the colours, and the style rules made from them
//! - `paths`: the paths of the files of a report
//! - `csvw`: the metadata files of CSVs
//! - `json_rows`: the rows of CSVs as JSON
//! - `report`: renders and writes the report and the documentation of queries
//! - `atomic_folder`: replaces a folder of pages in one step
//! - `error`: the errors of writing

mod action_rows;
mod atomic_folder;
mod chart_file;
mod charts;
mod comparison;
mod components;
mod csvw;
mod error;
mod grain;
mod health_history;
mod health_rows;
mod input;
mod json_rows;
mod lake_rows;
mod live_page;
mod message;
mod message_page;
mod metric_rows;
mod months;
mod pages;
mod partner_index;
mod partner_list_query;
mod paths;
mod policy_in_force;
mod record_rows;
mod report;
mod revenue_rows;
mod service_rows;
mod site;
mod targets;
mod theme;
mod tiers;
mod timestamps;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use action_rows::{
    ActionLogRow, AlertRow, ChangeDecision, ChangeDelivery, ChangeStatus, GuardrailEffect,
    GuardrailHit, PlanFacts, PlanRow, StoppedRow, UnlikeRow,
};
pub use chart_file::{ChartFile, chart_file};
pub use comparison::Comparison;
pub use error::ReportError;
pub use grain::Grain;
pub use health_history::{DayHealth, HealthHistory};
pub use health_rows::{HealthRow, MoverRow, PartnerRow, SignalRow, TrafficRow};
pub use input::{ColumnDoc, HeldBackMetric, Provenance, QueryDoc, ReportInput};
pub use lake_rows::{DeliveryRow, LakeRows, RejectedRow, SlowestPartition, StreamRow, TableRow};
pub use live_page::{LiveOutage, LivePage, Notice, SavedView, SqlPage, SqlResult};
pub use message::{
    Message, MessageChart, MessageScope, headline_charts, manager_digest, overview_message,
};
pub use message_page::MessagePage;
pub use metric_rows::{
    ActivationRow, ChurnCauseRow, CohortRetentionRow, DataQualityRow, FunnelRow, GrowthRow,
    OnboardingStepRow, PartnerReliabilityRow, RevenuePerPartnerRow, RevenueSummaryRow,
    SelfServiceRow, StuckPartnerRow, ThrottlingRow, TimeToFirstCallRow, TimeToProductionRow,
};
pub use pages::HEADLINE_METRICS;
pub use partner_list_query::{PartnerColumn, PartnerListQuery, PartnerSort};
pub use paths::parquet as parquet_path;
pub use policy_in_force::PolicyInForce;
pub use record_rows::{AnnotationRow, NoteRow, OverrideRow};
pub use report::{
    Report, ReportSummary, check_report, docs, pages, script, stylesheet, write_docs, write_report,
};
pub use revenue_rows::{
    FreeToPaidRow, RevenueBridgeRow, RevenueByKindRow, RevenueByProductRow, RevenuePeriodRow,
    mark_unbilled_months,
};
pub use service_rows::{
    EndpointUsageRow, ErrorAlarmRow, ProductUsageRow, SlaBreachRow, VersionAdoptionRow,
};
pub use targets::Targets;
pub use tiers::parse as parse_tier;
