//! What the served pages ask of the lake, and what people decide on them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::NaiveDate;
use dashboards::{ReportInput, SavedView};
use domain::Tier;

use crate::view::View;

/// What decides which report is the newest one: two equal states give equal reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeState {
    /// The day of the newest report.
    pub as_of: NaiveDate,
    /// The versions of the tables that events and people write, and digests of the settings.
    pub versions: BTreeMap<String, String>,
}

/// The lake as the served pages see it.
#[async_trait]
pub trait DataSource: Send + Sync + 'static {
    /// Returns the newest state, without computing anything.
    async fn state(&self) -> Result<LakeState, SourceError>;

    /// Computes the report of a view.
    async fn report(&self, view: &View) -> Result<ReportInput, SourceError>;

    /// Answers a query of a person, read-only and within limits.
    async fn sql(&self, query: &str) -> Result<SqlAnswer, SourceError>;

    /// Answers such a query for a program.
    async fn sql_values(&self, query: &str) -> Result<SqlValues, SourceError>;

    /// Returns the views of the list of partners that a person has saved, by name.
    async fn saved_views(&self, by: &str) -> Result<Vec<SavedView>, SourceError>;

    /// Saves a view of a person, in place of one of the same name. Without a path, the view is
    /// deleted.
    async fn save_view(&self, name: &str, path: Option<&str>, by: &str) -> Result<(), SourceError>;

    /// Records what a person decided. Returns a sentence that says what was recorded.
    async fn decide(&self, decision: &Decision, by: &str) -> Result<String, SourceError>;
}

/// The rows of a query as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlAnswer {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Whether there are more rows than the limit lets through.
    pub is_cut: bool,
    /// All of these rows as CSV.
    pub csv: String,
}

/// The rows of a query as JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SqlValues {
    pub columns: Vec<String>,
    /// NULL is null. Booleans, finite floats and integers up to 2^53 are JSON's own; decimals, larger
    /// integers and times are text.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether there are more rows than the limit lets through.
    pub is_cut: bool,
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Sets the tier of a partner for some days. Without a tier, the one that was set ends.
    Override { partner: String, tier: Option<Tier>, days: u32, reason: String },
    /// Writes a note on a partner.
    Note { partner: String, text: String },
    /// Explains days, both inclusive, of a partner or of all.
    Annotation {
        partner: Option<String>,
        first: NaiveDate,
        last: NaiveDate,
        text: String,
        /// Scores leave the days out; otherwise charts only mark them.
        is_calm: bool,
    },
    /// Approves or rejects changes of a plan.
    Plan(PlanDecision),
    /// Keeps an alert quiet for some days. An alert without a partner is about the programme.
    Snooze { alert: String, partner: Option<String>, days: u32, reason: String },
    /// Writes a note on an alert.
    AlertNote { alert: String, partner: Option<String>, text: String },
}

/// A decision on changes of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDecision {
    pub plan: String,
    pub verdict: Verdict,
    /// The rule whose changes are meant.
    pub rule: String,
    /// The partners whose changes are meant: no others, whatever the rule has.
    pub partners: Vec<String>,
    pub reason: Option<String>,
}

/// Whether a change may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    Reject,
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The question is wrong: the text says how.
    #[error("{0}")]
    Invalid(String),
    /// There are no events yet: the text says what to do.
    #[error("{0}")]
    NoData(String),
    /// What was asked for is gone, such as files that were vacuumed.
    #[error("{0}")]
    Gone(String),
    /// The lake could not answer.
    #[error("{0}")]
    Failed(String),
}
