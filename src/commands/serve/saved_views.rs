//! The views of the list of partners that readers have saved, in a table of the lake.

use std::collections::BTreeMap;

use dashboards::SavedView;
use lake::{Lake, schema};
use serde::Deserialize;

use super::lake_source::ServedLake;
use crate::action_plans::read_rows;
use crate::commands::score_records::{append, author, instants, texts};
use crate::errors::usage_error;

#[derive(Deserialize)]
struct StoredView {
    at: String,
    by: String,
    name: String,
    path: Option<String>,
}

/// Returns the views of a person, by name.
pub(super) async fn read(source: &ServedLake, by: &str) -> anyhow::Result<Vec<SavedView>> {
    let by = author(Some(by))?;
    let lake = Lake::open(&source.config()?.lake()).await?;
    let found = read_rows::<StoredView>(&lake, schema::saved_views()).await?;
    Ok(views_of(found.map(|(rows, _)| rows).unwrap_or_default(), &by))
}

/// Returns the views of a person that count.
fn views_of(mut rows: Vec<StoredView>, by: &str) -> Vec<SavedView> {
    rows.retain(|row| row.by == by);
    rows.sort_by(|a, b| a.at.cmp(&b.at));
    // Of rows with the same name the last one stays.
    let newest: BTreeMap<String, Option<String>> =
        rows.into_iter().map(|row| (row.name, row.path)).collect();
    let views = newest.into_iter();
    views.filter_map(|(name, path)| Some(SavedView { name, path: path? })).collect()
}

/// Saves a view of a person. Without a path, the view is deleted.
pub(super) async fn write(
    source: &ServedLake,
    name: &str,
    path: Option<&str>,
    by: &str,
) -> anyhow::Result<()> {
    let by = author(Some(by))?;
    if path.is_none() && !read(source, &by).await?.iter().any(|view| view.name == name) {
        return Err(usage_error("you have no view of this name; it may be deleted already"));
    }
    let project = source.open().await?;
    let columns = vec![
        instants([project.now]),
        texts([by]),
        texts([name.to_owned()]),
        texts([path.map(str::to_owned)]),
    ];
    append(&project, &schema::saved_views(), columns, "the view").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_row_of_a_name_counts() {
        let row = |at: &str, by: &str, name: &str, path: Option<&str>| StoredView {
            at: at.to_owned(),
            by: by.to_owned(),
            name: name.to_owned(),
            path: path.map(str::to_owned),
        };
        let rows = vec![
            row("2026-06-02T00:00:00Z", "ada", "risk", Some("/new")),
            row("2026-06-01T00:00:00Z", "ada", "risk", Some("/old")),
            row("2026-06-01T00:00:00Z", "ada", "gone", Some("/gone")),
            row("2026-06-03T00:00:00Z", "ada", "gone", None),
            row("2026-06-01T00:00:00Z", "tom", "his", Some("/his")),
        ];
        let view = SavedView { name: "risk".to_owned(), path: "/new".to_owned() };
        assert_eq!(views_of(rows, "ada"), [view]);
    }
}
