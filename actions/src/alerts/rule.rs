//! One alert of the policy.

use domain::Position;
use serde::Deserialize;

use crate::policy::PolicyError;

/// An alert: which rows of a metric, a view or a table somebody should look at, and who.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    /// Names the alert in the log and in keys, whatever its name becomes.
    pub id: String,
    pub name: String,
    /// The metric, view or table whose rows are looked at.
    pub over: String,
    /// A SQL boolean expression over one row.
    pub condition: String,
    /// The columns whose values tell one alert of the rule from another.
    pub per: Vec<String>,
    /// Who looks after it.
    pub owner: String,
    /// Who is told when it begins; nobody: it is only listed.
    pub notify: Vec<String>,
    /// What it says.
    pub about: Vec<AboutPart>,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// A part of what an alert says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AboutPart {
    Text(String),
    /// The value of a column, written `{column}`, or `{column|percent}` of a share.
    Column {
        name: String,
        is_percent: bool,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAlert {
    id: String,
    name: String,
    over: String,
    when: String,
    per: Vec<String>,
    owner: String,
    #[serde(default)]
    notify: Vec<String>,
    about: String,
}

/// Checks an alert.
pub(crate) fn alert_rule(raw: RawAlert, at: Position) -> Result<AlertRule, PolicyError> {
    let refused = |problem: String| PolicyError::Alert { at, alert: raw.name.clone(), problem };
    let texts = [
        ("name", &raw.name),
        ("over", &raw.over),
        ("when", &raw.when),
        ("owner", &raw.owner),
        ("about", &raw.about),
    ];
    if let Some((key, _)) = texts.into_iter().find(|(_, text)| text.trim().is_empty()) {
        return Err(refused(format!("has an empty {key}")));
    }
    if !crate::policy::is_rule_id(&raw.id) {
        return Err(refused("needs an id of lower-case letters, digits, - and _".to_owned()));
    }
    let is_name = |name: &String| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
    };
    if let Some(name) = [&raw.over].into_iter().chain(&raw.per).find(|name| !is_name(name)) {
        return Err(refused(format!("names \"{name}\"; a table or a column is expected")));
    }
    if raw.notify.iter().any(|who| who.trim().is_empty()) {
        return Err(refused("notifies nobody; leave notify out to list it only".to_owned()));
    }
    let about = about_parts(&raw.about).map_err(&refused)?;
    Ok(AlertRule {
        id: raw.id,
        name: raw.name,
        over: raw.over,
        condition: raw.when,
        per: raw.per,
        owner: raw.owner,
        notify: raw.notify,
        about,
        line: at.line,
    })
}

/// Splits a text at the columns that it names in braces.
fn about_parts(text: &str) -> Result<Vec<AboutPart>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let inside = rest[open..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let Some((inside, after)) = inside else {
            return Err("has a brace without its other one in about".to_owned());
        };
        let (column, is_percent) = match inside.split_once('|') {
            Some((column, "percent")) => (column, true),
            Some((_, other)) => {
                return Err(format!("has \"{other}\" in about; only |percent is known"));
            }
            None => (inside, false),
        };
        let is_column = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if column.is_empty() || !column.chars().all(is_column) {
            return Err(format!("has {{{column}}} in about, which is no column"));
        }
        if open > 0 {
            parts.push(AboutPart::Text(rest[..open].to_owned()));
        }
        parts.push(AboutPart::Column { name: column.to_owned(), is_percent });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(AboutPart::Text(rest.to_owned()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_braces() {
        let text = |text: &str| AboutPart::Text(text.to_owned());
        let column =
            |name: &str, is_percent| AboutPart::Column { name: name.to_owned(), is_percent };
        let parts = about_parts("p99 of {p99_ms} ms, {rate|percent}").expect("parts");
        let expected =
            [text("p99 of "), column("p99_ms", false), text(" ms, "), column("rate", true)];
        assert_eq!(parts, expected);
        assert_eq!(about_parts("plain"), Ok(vec![text("plain")]));
        for wrong in ["{a|share}", "{|percent}", "{", "}", "{a", "a}", "{}", "{a b}", "{a;b}"] {
            assert!(about_parts(wrong).is_err(), "{wrong}");
        }
    }
}
