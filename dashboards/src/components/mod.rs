//! The parts that pages are built from.
//!
//! - `shell`: the page around its sections, and the frame of a section
//! - `freshness`: whether the data of the report is recent enough
//! - `held_back`: the notice that the rows of a metric are held back
//! - `lead_paragraph`: the sentences at the top of a page
//! - `figure`: numbers in sentences, each with its query
//! - `clipped_text`: texts of any length from events
//! - `tile`: a figure with its change and a sparkline
//! - `table`: tables of numbers
//! - `filters`: the controls of a served page
//! - `decision_forms`: the forms of a served page
//! - `annotation_marks`: what charts mark, and the list that explains it
//! - `change_status`: who decided on a proposed change, and how far it has come
//! - `glyph`: the shapes of the tiers
//! - `partner_link`: the name of a partner as a link
//! - `cohorts`: which registration cohorts can be compared
//! - `funnel_stages`: the section with the stages of the funnel
//! - `onboarding_steps`: the section with the steps of onboarding
//! - `growth_by_month`: the section on growth accounting
//! - `churn_causes`: the section on what preceded each loss
//! - `revenue_bridge`: the sections on why revenue changed
//! - `revenue_sources`: revenue by product and by kind
//! - `free_to_paid`: the section on the first charge
//! - `revenue_change`: the change of gross revenue in a sentence
//! - `retention`: the sections on go-live cohorts
//! - `health_summary`: the number of partners in each tier
//! - `contributions`: the contributions of signals to a score
//! - `traffic`: the traffic of a partner or of all, by day, week or month
//! - `gross_by_period`: gross revenue by day or week
//! - `kept_grain`: why a chart keeps its grain
//! - `reliability`: the figures of a partner's last 28 days
//! - `partner_columns`: the list of partners with its columns
//! - `partner_records`: notes on a partner, and tiers that people set
//! - `proposed_actions`: sentences about proposed actions

pub(crate) mod annotation_marks;
pub(crate) mod change_status;
pub(crate) mod churn_causes;
pub(crate) mod clipped_text;
pub(crate) mod cohorts;
pub(crate) mod contributions;
pub(crate) mod decision_forms;
pub(crate) mod figure;
pub(crate) mod filters;
pub(crate) mod free_to_paid;
pub(crate) mod freshness;
pub(crate) mod funnel_stages;
pub(crate) mod glyph;
pub(crate) mod gross_by_period;
pub(crate) mod growth_by_month;
pub(crate) mod health_summary;
pub(crate) mod held_back;
pub(crate) mod kept_grain;
pub(crate) mod lead_paragraph;
pub(crate) mod onboarding_steps;
pub(crate) mod partner_columns;
pub(crate) mod partner_link;
pub(crate) mod partner_records;
pub(crate) mod proposed_actions;
pub(crate) mod reliability;
pub(crate) mod retention;
pub(crate) mod revenue_bridge;
pub(crate) mod revenue_change;
pub(crate) mod revenue_sources;
pub(crate) mod shell;
pub(crate) mod table;
pub(crate) mod tile;
pub(crate) mod traffic;
