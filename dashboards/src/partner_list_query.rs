//! What the list of partners shows: which partners, in which order, with which columns. All of it
//! stands in the query of the URL.

use std::fmt::Write as _;

use domain::Tier;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The most characters of a search.
const MAX_TEXT: usize = 200;

/// Which partners the list of partners shows, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PartnerListQuery {
    /// A part of a name or an id, in any case.
    pub text: String,
    pub tier: Option<Tier>,
    pub sort: PartnerSort,
    /// The columns beside the name, in the order of [`PartnerColumn::ALL`]; empty for the usual ones.
    pub columns: Vec<PartnerColumn>,
    /// The number of the page, from 0.
    pub page: usize,
}

impl PartnerListQuery {
    /// The names of the parameters.
    pub const PARAMETERS: [&'static str; 5] = ["q", "tier", "sort", "page", "columns"];

    /// Reads the parameters of a URL. Empty ones count as absent, as a form sends them; parameters of
    /// other names are left to whoever knows them.
    ///
    /// # Errors
    /// Returns a sentence on a value that a parameter can't have.
    pub fn of_parameters<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, String> {
        let mut query = Self::default();
        let mut wanted = Vec::new();
        for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
            match name {
                "q" => query.text = searched_text(value)?,
                "tier" => query.tier = Some(tier(value)?),
                "sort" => query.sort = sort(value)?,
                "page" => query.page = page_index(value)?,
                "columns" => wanted.extend(columns(value)?),
                _ => {}
            }
        }
        query.columns = PartnerColumn::ALL.into_iter().filter(|of| wanted.contains(of)).collect();
        Ok(query)
    }

    /// Returns the query of the URL that shows a page of the list, always the same for the same list.
    pub fn url_query(&self, page: usize) -> String {
        let mut text = format!("sort={}", self.sort.name());
        // Writing to a String cannot fail.
        if page > 0 {
            let _ = write!(text, "&page={}", page + 1);
        }
        if !self.text.is_empty() {
            let _ = write!(text, "&q={}", utf8_percent_encode(&self.text, NON_ALPHANUMERIC));
        }
        if let Some(tier) = self.tier {
            let _ = write!(text, "&tier={}", tier.name());
        }
        if !self.columns.is_empty() {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
            let _ = write!(text, "&columns={}", names.join(","));
        }
        text
    }

    /// Returns the columns beside the name.
    pub(crate) fn shown_columns(&self) -> &[PartnerColumn] {
        if self.columns.is_empty() { &PartnerColumn::USUAL } else { &self.columns }
    }
}

fn searched_text(value: &str) -> Result<String, String> {
    match value.chars().count() {
        ..=MAX_TEXT => Ok(value.to_owned()),
        length => Err(format!("q has {length} characters, and {MAX_TEXT} are the most")),
    }
}

/// Returns the tier of a name. The command line writes `at-risk`, which counts too.
fn tier(value: &str) -> Result<Tier, String> {
    let tier = value.replace('-', "_").parse::<Tier>();
    tier.map_err(|_| unknown("tier", value, &Tier::ALL.map(Tier::name)))
}

fn sort(value: &str) -> Result<PartnerSort, String> {
    let all = || unknown("sort", value, &PartnerSort::ALL.map(PartnerSort::name));
    PartnerSort::parse(value).ok_or_else(all)
}

/// Returns the number of a page from 0; in URLs it is from 1.
fn page_index(value: &str) -> Result<usize, String> {
    let number = value.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    number.ok_or_else(|| format!("page \"{value}\" is no number of a page; they are from 1"))
}

/// Returns the columns of a list of names with commas.
fn columns(value: &str) -> Result<Vec<PartnerColumn>, String> {
    let all = |name: &str| unknown("columns", name, &PartnerColumn::ALL.map(PartnerColumn::name));
    let names = value.split(',').filter(|name| !name.is_empty());
    names.map(|name| PartnerColumn::parse(name).ok_or_else(|| all(name))).collect()
}

/// Returns a sentence on a value that there is not, with those that there are.
fn unknown(parameter: &str, value: &str, known: &[&str]) -> String {
    format!("{parameter} \"{value}\" is unknown; there are {}", known.join(", "))
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
    /// The greatest risk of leaving first.
    Risk,
    /// By name, and by id where there is no name.
    Name,
    /// The newest change of the tier first.
    Since,
}

impl PartnerSort {
    /// Every order, in the order of the menu.
    pub const ALL: [Self; 6] =
        [Self::Impact, Self::Score, Self::Change, Self::Risk, Self::Name, Self::Since];

    /// Returns the name in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Impact => "impact",
            Self::Score => "score",
            Self::Change => "change",
            Self::Risk => "risk",
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
            Self::Risk => "Greatest risk first",
            Self::Name => "By name",
            Self::Since => "Newest change of tier first",
        }
    }
}

/// A column of the list of partners, beside the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartnerColumn {
    Tier,
    Score,
    /// The change of the score in a week.
    Change,
    Trend,
    Risk,
    /// The share of gross revenue.
    Revenue,
    Segment,
    Plan,
    Region,
    /// The integration level.
    Level,
    Manager,
    Stage,
    Reason,
    /// Since when the partner has its tier.
    Since,
}

impl PartnerColumn {
    /// Every column, from left to right.
    pub const ALL: [Self; 14] = [
        Self::Tier,
        Self::Score,
        Self::Change,
        Self::Trend,
        Self::Risk,
        Self::Revenue,
        Self::Segment,
        Self::Plan,
        Self::Region,
        Self::Level,
        Self::Manager,
        Self::Stage,
        Self::Reason,
        Self::Since,
    ];

    /// The columns where nobody has chosen any.
    pub(crate) const USUAL: [Self; 7] = [
        Self::Tier,
        Self::Score,
        Self::Trend,
        Self::Revenue,
        Self::Manager,
        Self::Reason,
        Self::Since,
    ];

    /// Returns the name in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tier => "tier",
            Self::Score => "score",
            Self::Change => "change",
            Self::Trend => "trend",
            Self::Risk => "risk",
            Self::Revenue => "revenue",
            Self::Segment => "segment",
            Self::Plan => "plan",
            Self::Region => "region",
            Self::Level => "level",
            Self::Manager => "manager",
            Self::Stage => "stage",
            Self::Reason => "reason",
            Self::Since => "since",
        }
    }

    /// Returns the column of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Tier => "Tier",
            Self::Score => "Score",
            Self::Change => "In a week",
            Self::Trend => "Trend",
            Self::Risk => "Risk",
            Self::Revenue => "Share of gross",
            Self::Segment => "Segment",
            Self::Plan => "Plan",
            Self::Region => "Region",
            Self::Level => "Integration level",
            Self::Manager => "Manager",
            Self::Stage => "Stage",
            Self::Reason => "Top reason",
            Self::Since => "Since",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_back_from_its_url() {
        #[track_caller]
        fn check(parameters: &[(&str, &str)], page: usize, url: &str) {
            let query = PartnerListQuery::of_parameters(parameters.iter().copied());
            assert_eq!(query.expect("a query").url_query(page), url);
        }
        check(&[], 0, "sort=impact");
        check(
            &[("sort", ""), ("tier", ""), ("columns", ""), ("q", ""), ("page", "")],
            0,
            "sort=impact",
        );
        check(&[("tier", "at-risk"), ("colour", "red")], 0, "sort=impact&tier=at_risk");
        let chosen = [("columns", "plan"), ("columns", "tier,score"), ("q", "a&b"), ("page", "3")];
        check(&chosen, 2, "sort=impact&page=3&q=a%26b&columns=tier,score,plan");
        check(&[("tier", "at_risk"), ("sort", "risk")], 0, "sort=risk&tier=at_risk");
        let query = PartnerListQuery::of_parameters(chosen).expect("a query");
        assert_eq!((query.page, query.shown_columns().len()), (2, 3));
        assert_eq!(PartnerListQuery::default().shown_columns(), PartnerColumn::USUAL);
    }

    #[test]
    fn a_value_that_there_is_not_is_told() {
        #[track_caller]
        fn check(name: &str, value: &str, parts: [&str; 2]) {
            let error = PartnerListQuery::of_parameters([(name, value)]).expect_err("an error");
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        check("tier", "bogus", ["tier \"bogus\"", "healthy, watch, at_risk"]);
        check("tier", "AT_RISK", ["tier \"AT_RISK\"", "churned"]);
        check("sort", "bogus", ["sort \"bogus\"", "impact, score, change, risk, name, since"]);
        check("page", "abc", ["page \"abc\"", "from 1"]);
        check("page", "0", ["page \"0\"", "from 1"]);
        check("columns", "tier,colour", ["columns \"colour\"", "tier, score, change"]);
        check("q", &"x".repeat(201), ["q has 201 characters", "200"]);
    }
}
