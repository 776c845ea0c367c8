//! Days that hold no copies, found once for all who read them.
//!
//! To see copies, ids are read; and mostly there are none. Where several queries read the same
//! days, one look is enough, and it is a short one: only partners of whom two files have rows, or
//! one that was not compacted, can have copies. A late event is one row of one partner.

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

use super::merge::{DayMerge, Layout};
use super::{IDENTITY, columns_with, text};
use crate::provider::{FileList, is_compacted};

/// Partners that are looked for by name; of more of them whole files are read.
const NAMED: usize = 256;

/// What is known of the days that were looked through, by the paths of their files.
#[derive(Debug, Default)]
pub(crate) struct Apart(Mutex<HashMap<Vec<String>, Arc<OnceCell<bool>>>>);

impl Apart {
    /// Whether no event stands twice in these files, which are all of a day.
    ///
    /// # Errors
    /// A file that can't be read, or is not sorted by partner.
    pub(crate) async fn holds(
        &self,
        state: &dyn Session,
        list: &FileList,
        files: &[DataFile],
    ) -> Result<bool> {
        let paths = files.iter().map(|file| file.path.clone()).collect();
        let known = {
            let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(days.entry(paths).or_default())
        };
        known.get_or_try_init(|| are_apart(state, list, files)).await.copied()
    }
}

async fn are_apart(state: &dyn Session, list: &FileList, files: &[DataFile]) -> Result<bool> {
    let suspects = suspects(state, list, files).await?;
    let among: Vec<Expr> = if suspects.len() > NAMED {
        Vec::new()
    } else {
        vec![col(IDENTITY[0]).in_list(suspects.iter().map(lit).collect(), false)]
    };
    let columns = columns_with(&list.schema, &[], &IDENTITY)?;
    let mut inputs = Vec::with_capacity(files.len());
    for file in files {
        let group = vec![vec![file.clone()]];
        let plan = list.scan(state, group, Some(columns.clone()), &among)?;
        inputs.push(plan.execute(0, state.task_ctx())?);
    }
    let nothing: SchemaRef = Arc::new(Schema::empty());
    let mut merge = DayMerge::new(inputs, Layout::new(&list.schema, &[], &IDENTITY)?, nothing);
    let mut once = 0;
    while let Some(batch) = merge.next().await? {
        once += batch.num_rows() as u64;
    }
    Ok(once == merge.read)
}

/// The partners who may have copies.
async fn suspects(state: &dyn Session, list: &FileList, files: &[DataFile]) -> Result<Vec<String>> {
    // Of each partner the last file that has rows, and whether there may be copies.
    let mut seen: HashMap<String, (usize, bool)> = HashMap::new();
    for (at, file) in files.iter().enumerate() {
        let partner = list.schema.index_of(IDENTITY[0])?;
        let plan = list.scan(state, vec![vec![file.clone()]], Some(vec![partner]), &[])?;
        let mut rows = plan.execute(0, state.task_ctx())?;
        while let Some(batch) = rows.next().await {
            let column = Arc::clone(batch?.column(0));
            let names = text(&column)?;
            for run in partition(&[column])?.ranges() {
                let name = names.value(run.start);
                match seen.get_mut(name) {
                    Some((last, suspect)) => {
                        *suspect |= *last != at;
                        *last = at;
                    }
                    None => {
                        seen.insert(name.to_owned(), (at, !is_compacted(file)));
                    }
                }
            }
        }
    }
    Ok(seen.into_iter().filter(|(_, (_, suspect))| *suspect).map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use lake_types::{Day, Stream};
    use toml::{Table, Value};

    use super::*;
    use crate::engine::files_of;
    use crate::world::World;

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

    async fn add(world: &World, day: u32, ids: &[(&str, &'static str)]) {
        let ids = ids.iter().map(|(partner, event)| ((*partner).to_owned(), *event));
        world.add(Stream::ApiCalls, &calls(day, ids)).await;
    }

    /// Whether the calls of that day of March are found apart.
    async fn is_apart(world: &World, day: u32) -> bool {
        let raw = lake::schema::raw(Stream::ApiCalls).name;
        let snapshot = world.lake.snapshot(&raw, None).await.expect("read").expect("a table");
        let day = format!("2026-03-{day:02}").parse::<Day>().expect("a day");
        let files: Vec<DataFile> = snapshot.of_day(day).cloned().collect();
        let state = world.engine.context().state();
        let list = files_of(&snapshot);
        Apart::default().holds(&state, &list, &files).await.expect("files that can be read")
    }

    #[tokio::test]
    async fn a_copy_is_found_in_any_file() {
        let world = World::with_queries(&[]).await;
        add(&world, 1, &[("a", "e1"), ("b", "e2")]).await;
        assert!(is_apart(&world, 1).await);
        add(&world, 1, &[("a", "e3"), ("c", "e1")]).await;
        assert!(is_apart(&world, 1).await, "an id says nothing without its partner");
        add(&world, 1, &[("b", "e2")]).await;
        assert!(!is_apart(&world, 1).await);
        add(&world, 2, &[("a", "e1"), ("b", "e2"), ("a", "e1")]).await;
        assert!(!is_apart(&world, 2).await, "both in one file");
    }

    #[tokio::test]
    async fn what_comes_after_compaction_is_looked_at() {
        let world = World::with_queries(&[]).await;
        add(&world, 3, &[("a", "e1"), ("a", "e1"), ("b", "e2")]).await;
        world.compact(Stream::ApiCalls, "2026-03-03".parse::<Day>().expect("a day")).await;
        assert!(is_apart(&world, 3).await, "the copy is gone");
        add(&world, 3, &[("b", "e3")]).await;
        assert!(is_apart(&world, 3).await);
        add(&world, 3, &[("a", "e1")]).await;
        assert!(!is_apart(&world, 3).await);
    }

    #[tokio::test]
    async fn of_many_partners_all_are_looked_at() {
        let world = World::with_queries(&[]).await;
        let all = |event| (0..=NAMED).map(move |n| (format!("partner-{n}"), event));
        world.add(Stream::ApiCalls, &calls(4, all("e1"))).await;
        world.add(Stream::ApiCalls, &calls(4, all("e2"))).await;
        assert!(is_apart(&world, 4).await);
        world.add(Stream::ApiCalls, &calls(4, all("e3").chain(all("e1").take(1)))).await;
        assert!(!is_apart(&world, 4).await);
    }
}
