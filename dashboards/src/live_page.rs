//! What a served page has and a file has not: filters, forms, a list that is searched.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::comparison::Comparison;
use crate::grain::Grain;
use crate::partner_list_query::PartnerListQuery;

/// What a served page shows besides the report. Two readers with equal values see the same page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LivePage {
    /// The attributes that restrict the report, with their values, such as `segment`.
    pub filters: BTreeMap<String, String>,
    /// The values that an attribute can have, by attribute.
    pub choices: Arc<BTreeMap<String, Vec<String>>>,
    /// Whether the day of the report was chosen. Otherwise it is the newest one.
    pub is_day_chosen: bool,
    /// The URL that shows the same figures later, relative to the server.
    pub permalink: String,
    /// The URL of this page without filters, relative to the server.
    pub unfiltered: String,
    /// Whether the reader may decide on partners and actions.
    pub can_decide: bool,
    /// Whether what the reader decides may concern all partners.
    pub decides_for_all: bool,
    /// Whether somebody has signed in, who can sign out.
    pub is_signed_in: bool,
    /// What became of the form that was sent last.
    pub notice: Option<Notice>,
    /// Why the page shows no newer data, if that is so.
    pub outage: Option<LiveOutage>,
    /// What the tiles compare their figures with.
    pub comparison: Comparison,
    /// The grain of the charts over time. `None`: each has its own.
    pub grain: Option<Grain>,
    /// Which partners the list of partners shows.
    pub list: PartnerListQuery,
    /// The views of that list that the reader has saved, by name.
    pub saved_views: Vec<SavedView>,
    /// The view of the URL as one segment of a path, empty for the standard view.
    pub view_segment: String,
    /// Whether the reader may ask in SQL.
    pub can_ask: bool,
    /// What was asked, on the page of SQL.
    pub sql: Option<SqlPage>,
    /// Whether a partner itself reads, who sees the page and no way to others.
    pub is_for_partner: bool,
    /// Whether the server makes PDF and PNG files.
    pub can_print: bool,
    /// For the page that a PDF is printed from: the URL that its links start from. Such a page has its
    /// style within and no script.
    pub printed_from: Option<String>,
}

/// A view of the list of partners that a reader has saved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SavedView {
    pub name: String,
    /// Its URL, relative to the server.
    pub path: String,
}

/// What the page of SQL shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SqlPage {
    pub query: String,
    pub result: Option<SqlResult>,
    /// The queries asked before, newest first.
    pub history: Vec<String>,
}

/// What became of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SqlResult {
    Rows {
        columns: Vec<String>,
        rows: Vec<Vec<String>>,
        /// Whether there are more rows.
        is_cut: bool,
    },
    /// Why there are none.
    Refused(String),
}

/// Why there is no newer data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LiveOutage {
    pub since: DateTime<Utc>,
    pub why: String,
}

/// What became of a form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notice {
    pub text: String,
    /// Whether the form was refused.
    pub is_error: bool,
}
