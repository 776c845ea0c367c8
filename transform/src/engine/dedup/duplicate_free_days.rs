//! The days without duplicates, which are found once and used by several queries.
//!
//! Most days have no duplicates, but to find that out their ids must be read. Where several queries
//! read the same days, one of them does this for all. Only some partners need a look: those with
//! rows in two files, and those with rows in a file that was not compacted. After a late event this
//! is one partner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::compute::partition;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::prelude::{Expr, col, lit};
use futures::StreamExt;
use lake::DataFile;
use tokio::sync::OnceCell;

use super::identity::{IDENTITY, columns_with, to_string_view};
use crate::engine::dedup::sorted_merge::{DayMerge, InputLayout};
use crate::engine::file_list::{FileList, is_compacted};

/// The most partners that a filter lists. Where more must be compared, whole files are read.
const MAX_LISTED_PARTNERS: usize = 256;

/// The most days that are remembered. A process that runs for months forgets them all then.
const MAX_DAYS: usize = 10_000;

/// Remembers, by the paths of a day's files, whether these hold no duplicates.
#[derive(Debug, Default)]
pub(crate) struct DuplicateFreeDays(Mutex<HashMap<Vec<String>, Arc<OnceCell<bool>>>>);

impl DuplicateFreeDays {
    /// Whether no event is twice in these files, which are all files of one day. The first call
    /// for a day reads its files.
    ///
    /// # Errors
    /// A file that can't be read, or that is not sorted by partner.
    pub(crate) async fn has_no_duplicates(
        &self,
        state: &dyn Session,
        list: &FileList,
        files: &[DataFile],
    ) -> Result<bool> {
        let paths = files.iter().map(|file| file.path.clone()).collect();
        let known = {
            let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if days.len() >= MAX_DAYS {
                days.clear();
            }
            Arc::clone(days.entry(paths).or_default())
        };
        known.get_or_try_init(|| compare_ids(state, list, files)).await.copied()
    }
}

async fn compare_ids(state: &dyn Session, list: &FileList, files: &[DataFile]) -> Result<bool> {
    let partners = partners_to_compare(state, list, files).await?;
    let filters: Vec<Expr> = if partners.len() > MAX_LISTED_PARTNERS {
        Vec::new()
    } else {
        vec![col(IDENTITY[0]).in_list(partners.iter().map(lit).collect(), false)]
    };
    let columns = columns_with(&list.schema, &[], &IDENTITY)?;
    let mut inputs = Vec::with_capacity(files.len());
    for file in files {
        let group = vec![vec![file.clone()]];
        let plan = list.scan(state, group, Some(columns.clone()), &filters)?;
        inputs.push(plan.execute(0, state.task_ctx())?);
    }
    let no_columns: SchemaRef = Arc::new(Schema::empty());
    let layout = InputLayout::new(&list.schema, &[], &IDENTITY)?;
    let mut merge = DayMerge::new(inputs, layout, no_columns);
    let mut events = 0;
    while let Some(batch) = merge.next().await? {
        events += batch.num_rows() as u64;
    }
    Ok(events == merge.rows_read)
}

/// Returns the partners that can have duplicates.
async fn partners_to_compare(
    state: &dyn Session,
    list: &FileList,
    files: &[DataFile],
) -> Result<Vec<String>> {
    // For each partner: the last file with rows of it, and whether duplicates are possible.
    let mut seen: HashMap<String, (usize, bool)> = HashMap::new();
    for (at, file) in files.iter().enumerate() {
        let partner = list.schema.index_of(IDENTITY[0])?;
        let plan = list.scan(state, vec![vec![file.clone()]], Some(vec![partner]), &[])?;
        let mut rows = plan.execute(0, state.task_ctx())?;
        while let Some(batch) = rows.next().await {
            let column = Arc::clone(batch?.column(0));
            let names = to_string_view(&column)?;
            for run in partition(&[column])?.ranges() {
                let name = names.value(run.start);
                match seen.get_mut(name) {
                    Some((last, possible)) => {
                        *possible |= *last != at;
                        *last = at;
                    }
                    None => {
                        seen.insert(name.to_owned(), (at, !is_compacted(file)));
                    }
                }
            }
        }
    }
    Ok(seen.into_iter().filter(|(_, (_, possible))| *possible).map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use domain::{Day, Stream};
    use toml::{Table, Value};

    use super::*;
    use crate::tests::engine::TestProject;

    fn calls(day: u32, ids: impl IntoIterator<Item = (String, &'static str)>) -> Vec<Table> {
        let of = |(partner, event): (String, &str)| {
            let mut row = Table::new();
            row.insert("partner_id".to_owned(), Value::String(partner));
            row.insert("event_id".to_owned(), Value::String(event.to_owned()));
            let at = format!("2026-03-{day:02}T10:00:00Z");
            row.insert("occurred_at".to_owned(), Value::String(at));
            row
        };
        ids.into_iter().map(of).collect()
    }

    async fn add(project: &TestProject, day: u32, ids: &[(&str, &'static str)]) {
        let ids = ids.iter().map(|(partner, event)| ((*partner).to_owned(), *event));
        project.add(Stream::ApiCalls, &calls(day, ids)).await;
    }

    /// Whether the calls of that day of March have no duplicates.
    async fn has_no_duplicates(project: &TestProject, day: u32) -> bool {
        let raw = lake::schema::raw(Stream::ApiCalls).name;
        let snapshot = project.lake.snapshot(&raw, None).await.expect("read").expect("a table");
        let day = format!("2026-03-{day:02}").parse::<Day>().expect("a day");
        let files: Vec<DataFile> = snapshot.of_day(day).cloned().collect();
        let state = project.engine.context().state();
        let list = FileList::of_snapshot(&snapshot);
        DuplicateFreeDays::default()
            .has_no_duplicates(&state, &list, &files)
            .await
            .expect("files that can be read")
    }

    #[tokio::test]
    async fn a_duplicate_is_found_in_any_file() {
        let project = TestProject::with_queries(&[]).await;
        add(&project, 1, &[("a", "e1"), ("b", "e2")]).await;
        assert!(has_no_duplicates(&project, 1).await);
        add(&project, 1, &[("a", "e3"), ("c", "e1")]).await;
        assert!(has_no_duplicates(&project, 1).await, "an id says nothing without its partner");
        add(&project, 1, &[("b", "e2")]).await;
        assert!(!has_no_duplicates(&project, 1).await);
        add(&project, 2, &[("a", "e1"), ("b", "e2"), ("a", "e1")]).await;
        assert!(!has_no_duplicates(&project, 2).await, "both in one file");
    }

    #[tokio::test]
    async fn files_added_after_compaction_are_compared() {
        let project = TestProject::with_queries(&[]).await;
        add(&project, 3, &[("a", "e1"), ("a", "e1"), ("b", "e2")]).await;
        project.compact(Stream::ApiCalls, "2026-03-03".parse::<Day>().expect("a day")).await;
        assert!(has_no_duplicates(&project, 3).await, "the duplicate is gone");
        add(&project, 3, &[("b", "e3")]).await;
        assert!(has_no_duplicates(&project, 3).await);
        add(&project, 3, &[("a", "e1")]).await;
        assert!(!has_no_duplicates(&project, 3).await);
    }

    #[tokio::test]
    async fn all_of_many_partners_are_compared() {
        let project = TestProject::with_queries(&[]).await;
        let all = |event| (0..=MAX_LISTED_PARTNERS).map(move |n| (format!("partner-{n}"), event));
        project.add(Stream::ApiCalls, &calls(4, all("e1"))).await;
        project.add(Stream::ApiCalls, &calls(4, all("e2"))).await;
        assert!(has_no_duplicates(&project, 4).await);
        project.add(Stream::ApiCalls, &calls(4, all("e3").chain(all("e1").take(1)))).await;
        assert!(!has_no_duplicates(&project, 4).await);
    }
}
