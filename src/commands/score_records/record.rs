//! What all records of people have in common: an author, a text, a partner that exists, and the
//! session that reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use domain::{closest_name, printable, thousands};
use lake::TableDef;
use serde::Deserialize;
use transform::Session;

use crate::args::Format;
use crate::errors::usage_error;
use crate::output::{self, print_note};
use crate::polars_frames::typed_rows;
use crate::project::Project;

/// The most characters of a reason, a note or the text of an annotation.
const MAX_TEXT: usize = 1_000;
/// The most characters of a name.
const MAX_NAME: usize = 100;

/// The variables of the environment that name the user, the first of them first.
const USER_VARIABLES: [&str; 3] = ["USER", "LOGNAME", "USERNAME"];

/// Returns who writes a record: the given name, or the user of the environment.
pub(crate) fn author(given: Option<&str>) -> anyhow::Result<String> {
    let of_environment = || {
        let values = USER_VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
        values.into_iter().find(|value| !value.trim().is_empty())
    };
    let Some(name) = given.map(str::to_owned).or_else(of_environment) else {
        return Err(usage_error(format!(
            "--by is missing, and the environment names no user in {}: say who writes this",
            USER_VARIABLES.join(", ")
        )));
    };
    checked(&name, MAX_NAME).map_err(|what| usage_error(format!("--by {what}")))
}

/// Returns the text of an option without the space around it.
pub(crate) fn option_text(option: &str, text: &str) -> anyhow::Result<String> {
    checked_text(text).map_err(|what| usage_error(format!("{option} {what}")))
}

/// Returns a text without the space around it, or what is wrong with it.
pub(crate) fn checked_text(text: &str) -> Result<String, String> {
    checked(text, MAX_TEXT)
}

fn checked(text: &str, max: usize) -> Result<String, String> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 {
        return Err("is empty; write something".to_owned());
    }
    if length > max {
        return Err(format!(
            "has {} characters, and {} are the most",
            thousands(length),
            thousands(max)
        ));
    }
    if printable(text) != text {
        return Err(
            "holds a line break or another character that can't be shown; write it in one \
                    line of plain text"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// Returns a session that sees what was recorded and every event up to now, today's too.
pub(crate) async fn session(project: &Project) -> anyhow::Result<Session> {
    project.session_up_to_now().await
}

/// The partners that the lake knows, and for those that were merged away who stands for them.
pub(super) struct KnownPartners(BTreeMap<String, Option<String>>);

#[derive(Deserialize)]
struct KnownPartner {
    partner_id: String,
    survivor: Option<String>,
}

impl KnownPartners {
    const QUERY: &str = "known_partner";

    /// Reads the partners, after refreshing the rollups that they are read from.
    pub(super) async fn read(project: &Project) -> anyhow::Result<Self> {
        let lineage = transform::upstream(project.engine.catalog(), Self::QUERY)?;
        let names: Vec<String> = lineage.nodes.into_iter().map(|node| node.name).collect();
        project.refresh_named(&names).await?;
        let known = session(project).await?.metric(Self::QUERY).await?;
        let rows = typed_rows::<KnownPartner>(&known)?.into_iter();
        Ok(Self(rows.map(|row| (row.partner_id, row.survivor)).collect()))
    }

    /// Refuses an id that is no partner's: says which one was probably meant.
    pub(super) fn check(&self, id: &str) -> Result<(), String> {
        match self.0.get(id) {
            Some(None) => return Ok(()),
            Some(Some(survivor)) => {
                return Err(format!(
                    "partner \"{id}\" was merged into \"{survivor}\": name that one"
                ));
            }
            None => {}
        }
        let known = || self.0.iter().filter(|(_, survivor)| survivor.is_none()).map(|(id, _)| id);
        let same = known().find(|known| known.eq_ignore_ascii_case(id));
        let near = same.or_else(|| known().find(|known| !id.is_empty() && known.starts_with(id)));
        let near = near.map(String::as_str);
        match near.or_else(|| closest_name(id, known().map(String::as_str))) {
            Some(near) => Err(format!("no partner \"{id}\" in the lake; did you mean \"{near}\"?")),
            None => Err(format!(
                "no partner \"{id}\" in the lake; `rapport sql \"SELECT partner_id, name FROM \
                 partners\"` lists them"
            )),
        }
    }
}

/// Refuses an id that is no partner's.
pub(crate) async fn check_partner(project: &Project, id: &str) -> anyhow::Result<()> {
    KnownPartners::read(project).await?.check(id).map_err(usage_error)
}

/// Appends rows to a table, and fails where the lake can't be written. The columns are in the order
/// of the table; `what` is recorded by them.
pub(crate) async fn append(
    project: &Project,
    def: &TableDef,
    columns: Vec<ArrayRef>,
    what: &str,
) -> anyhow::Result<()> {
    let rows = RecordBatch::try_new(def.schema.clone(), columns)?;
    match project.append(def, rows).await? {
        Some(_) => Ok(()),
        None => anyhow::bail!("the lake can't be written from here, so {what} is not recorded"),
    }
}

/// Returns a column of texts.
pub(crate) fn texts<T: Into<Option<String>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<StringArray>())
}

/// Returns a column of instants, µs.
pub(crate) fn instants<T: Into<Option<i64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    let micros: TimestampMicrosecondArray = values.into_iter().map(Into::into).collect();
    Arc::new(micros.with_timezone("UTC"))
}

/// Returns a column of texts of a result, by its name.
pub(super) fn text_column<'a>(
    rows: &'a RecordBatch,
    name: &str,
) -> anyhow::Result<&'a StringArray> {
    let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| anyhow::anyhow!("the column {name} of texts is missing"))
}

/// Prints rows, or on stderr a sentence for people where there are none.
pub(crate) fn print_list(rows: &RecordBatch, format: Format, none: &str) -> anyhow::Result<()> {
    if rows.num_rows() == 0 && format == Format::Table {
        print_note(none);
        return Ok(());
    }
    output::print_batch(rows, format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_printable_line() {
        #[track_caller]
        fn check(text: &str, expected: Result<&str, &str>) {
            let found = checked(text, 8);
            match expected {
                Ok(expected) => assert_eq!(found.as_deref(), Ok(expected)),
                Err(part) => assert!(found.is_err_and(|what| what.contains(part)), "{text:?}"),
            }
        }
        check(" they go ", Ok("they go"));
        check("株式会社の八文字", Ok("株式会社の八文字"));
        check("nine char", Err("has 9 characters, and 8 are the most"));
        check(" \n ", Err("is empty"));
        check("a\nb", Err("line break"));
        check("\u{1b}[2J", Err("can't be shown"));
        check("a\u{202e}b", Err("can't be shown"));
    }

    #[test]
    fn an_unknown_partner_is_refused_with_the_one_that_was_meant() {
        let known = [("acme", None), ("Globex-1", None), ("old", Some("acme")), ("oldest", None)];
        let known = known.map(|(id, survivor)| (id.to_owned(), survivor.map(str::to_owned)));
        let known = KnownPartners(BTreeMap::from(known));
        let check = |id: &str, expected: &str| match known.check(id) {
            Ok(()) => assert_eq!(expected, "", "{id}"),
            Err(what) => assert!(!expected.is_empty() && what.contains(expected), "{id}: {what}"),
        };
        check("acme", "");
        check("old", "\"old\" was merged into \"acme\"");
        check("globex-1", "did you mean \"Globex-1\"?");
        check("Glo", "did you mean \"Globex-1\"?");
        check("acne", "did you mean \"acme\"?");
        check("lodest", "did you mean \"oldest\"?");
        check("initech", "lists them");
        check("", "lists them");
    }
}
