//! What a served page has and a file has not: filters, forms, a list that is searched.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::Tier;

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
    /// Which partners the list of partners shows.
    pub list: PartnerListQuery,
    /// Whether the reader may ask in SQL.
    pub can_ask: bool,
    /// What was asked, on the page of SQL.
    pub sql: Option<SqlPage>,
    /// Whether a partner itself reads, who sees the page and no way to others.
    pub is_for_partner: bool,
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

/// Which partners the list of partners shows, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PartnerListQuery {
    /// A part of a name or an id, in any case.
    pub text: String,
    pub tier: Option<Tier>,
    pub sort: PartnerSort,
    /// The number of the page, from 0.
    pub page: usize,
}

/// The order of the list of partners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PartnerSort {
    /// The largest share of gross revenue first.
    #[default]
    Impact,
    /// The lowest score first; partners without a score last.
    Score,
    /// The largest fall of the score in a week first.
    Change,
    /// By name, and by id where there is no name.
    Name,
    /// The newest change of the tier first.
    Since,
}

impl PartnerSort {
    /// Every order, in the order of the menu.
    pub const ALL: [Self; 5] = [Self::Impact, Self::Score, Self::Change, Self::Name, Self::Since];

    /// Returns the name in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Impact => "impact",
            Self::Score => "score",
            Self::Change => "change",
            Self::Name => "name",
            Self::Since => "since",
        }
    }

    /// Returns the order of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.name() == name)
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Impact => "Largest revenue first",
            Self::Score => "Lowest score first",
            Self::Change => "Largest fall in a week first",
            Self::Name => "By name",
            Self::Since => "Newest change of tier first",
        }
    }
}
