//! The checks in a header: expectations on the rows of the query.

use domain::Position;
use serde::Deserialize;
use toml::Spanned;

use super::column::Column;
use crate::catalog::diagnostics::parse_error::ParseError;
use crate::catalog::diagnostics::suggestion::suggest;

/// One expectation on the rows of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub rule: CheckRule,
    pub severity: CheckSeverity,
}

/// The position of a check in its file: of its SQL, or of the whole check where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckPosition {
    pub position: Position,
    /// Whether the file contains the SQL without escapes, so that a position in the SQL can be
    /// translated into one in the file.
    pub verbatim: bool,
}

/// What a check demands of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckRule {
    /// No two rows have the same values in these columns.
    Unique(Vec<String>),
    /// These columns are never NULL.
    NotNull(Vec<String>),
    /// A query that gives the wrong rows; the rows of the checked query are its table `this`.
    Sql(String),
}

/// What happens to rows that violate a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckSeverity {
    /// The rows are not published, and the last ones without a violation stay.
    #[default]
    Error,
    /// The rows are published with a warning.
    Warn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckToml {
    unique: Option<Vec<Spanned<String>>>,
    not_null: Option<Vec<Spanned<String>>>,
    sql: Option<Spanned<String>>,
    #[serde(default)]
    severity: CheckSeverity,
}

/// Returns a check with the byte of the header's body where its text begins, and whether the body
/// contains that text without escapes.
///
/// # Errors
/// A check without exactly one rule, a column that is not declared.
pub(super) fn parse_check(
    raw: Spanned<CheckToml>,
    body: &str,
    columns: &[Column],
) -> Result<(Check, usize, bool), ParseError> {
    let at = raw.span().start;
    let raw = raw.into_inner();
    let severity = raw.severity;
    let (rule, named) = match (raw.unique, raw.not_null, raw.sql) {
        (Some(named), None, None) => (CheckRule::Unique as fn(_) -> _, named),
        (None, Some(named), None) => (CheckRule::NotNull as fn(_) -> _, named),
        (None, None, Some(sql)) => {
            let written = body.get(sql.span()).unwrap_or_default();
            let inside = written.find(sql.as_ref().as_str());
            let at = sql.span().start + inside.unwrap_or_default();
            let rule = CheckRule::Sql(sql.into_inner());
            return Ok((Check { rule, severity }, at, inside.is_some()));
        }
        _ => {
            let message = "a check says one of: unique = [columns], not_null = [columns], sql = \"SELECT the wrong rows FROM this\"";
            return Err(ParseError::new(at, message));
        }
    };
    if let Some(unknown) = named.iter().find(|n| !columns.iter().any(|c| c.name == *n.as_ref())) {
        let known: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let message =
            format!("the check names \"{}\", which is none of the columns", unknown.as_ref());
        let help = suggest(unknown.as_ref(), &known);
        return Err(ParseError::new(unknown.span().start, message).with_help(help));
    }
    let rule = rule(named.into_iter().map(Spanned::into_inner).collect());
    Ok((Check { rule, severity }, at, false))
}

impl std::fmt::Display for CheckRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unique(columns) => write!(f, "unique = {columns:?}"),
            Self::NotNull(columns) => write!(f, "not_null = {columns:?}"),
            Self::Sql(sql) => {
                f.write_str(sql.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
            }
        }
    }
}
