//! Retention: days past it are sealed. Their events go, what was computed from them stays, and
//! nothing is taken for them any longer.
//!
//! The first day that is not sealed is an application id of the table. A commit of files of a
//! sealed day is refused like one from a position that has moved on: whoever made them reads the
//! mark, and its records again, which then are `out_of_range`.

use std::collections::BTreeSet;

use lake_types::{Day, Stream};

use crate::commit::{Committed, commit};
use crate::error::LakeError;
use crate::file::PendingFile;
use crate::lake::Lake;
use crate::log::{Transactions, partitions, rewrite_mark};
use crate::rewrite::remove;
use crate::schema::{self, TableDef};
use crate::snapshot::{DataFile, TableSnapshot};

/// The id under which a table keeps its first day that is not sealed, in days since 1970.
const SEALED: &str = "sealed";

/// The id under which a table counts the records that went with their day.
const RETIRED: &str = "retired";

/// The first day of a table of events that is not sealed; `None` where none is.
pub fn sealed_before(txns: &Transactions) -> Option<Day> {
    txns.get(SEALED).and_then(|day| i32::try_from(*day).ok()).map(Day)
}

/// The records that went with their day, copies that compaction had dropped included.
pub fn retired(txns: &Transactions) -> u64 {
    txns.get(RETIRED).and_then(|n| u64::try_from(*n).ok()).unwrap_or_default()
}

/// What was, or would be, sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sealed {
    pub days: usize,
    pub files: usize,
    /// As [`retired`] counts them.
    pub records: u64,
}

impl Lake {
    /// Seals the days of a stream's events before this one, or takes out the dead letters that
    /// arrived before it. With `dry` nothing is written. `base` is what the caller has computed
    /// from these days.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when something came for these days since `base`, or a worker is
    /// between its two commits: start over.
    pub async fn seal(
        &self,
        def: &TableDef,
        base: &TableSnapshot,
        before: Day,
        dry: bool,
    ) -> Result<Sealed, LakeError> {
        let log = self.log_store(&def.name);
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let of_events = is_of_events(def);
        loop {
            let (now, mut tail) = self.followed(&def.name).await?.ok_or_else(conflict)?;
            let old: Vec<&DataFile> =
                now.files.iter().filter(|f| f.day.is_some_and(|day| day < before)).collect();
            if old.iter().any(|f| !base.files.contains(f)) {
                return Err(conflict());
            }
            let sealed = sealed_before(&now.txns).is_some_and(|day| day >= before);
            if dry || (old.is_empty() && (sealed || !of_events)) {
                return Ok(sealing(&old));
            }
            if !of_events && self.between_commits(&now.txns).await? {
                return Err(conflict());
            }
            let actions = old.iter().map(|f| remove(def, f, true)).collect();
            let txns = marks(&now, &old, of_events.then_some(before));
            crate::fault::point("seal", &def.name);
            if let Committed::Done { .. } =
                commit(self, def, &log, &mut tail, actions, txns).await?
            {
                return Ok(sealing(&old));
            }
        }
    }

    /// Whether dead letters stand for records whose other rows are still to be committed: they are
    /// looked up when those are read again.
    async fn between_commits(&self, letters: &Transactions) -> Result<bool, LakeError> {
        let mut raw = Vec::new();
        for stream in Stream::ALL {
            raw.push(self.transactions(&schema::raw(stream).name).await?);
        }
        let ahead = |(id, position): (crate::PartitionId, crate::Position)| {
            let known = raw.iter().filter_map(|txns| id.position(txns)).map(|p| p.next).max();
            known.unwrap_or_default() < position.next
        };
        Ok(partitions(letters).any(ahead))
    }
}

fn is_of_events(def: &TableDef) -> bool {
    def.name != schema::dead_letters().name
}

fn sealing(old: &[&DataFile]) -> Sealed {
    let days: BTreeSet<Day> = old.iter().filter_map(|f| f.day).collect();
    Sealed { days: days.len(), files: old.len(), records: records(old) }
}

fn records(old: &[&DataFile]) -> u64 {
    old.iter().map(|f| f.rows + f.dropped_copies()).sum()
}

fn marks(now: &TableSnapshot, old: &[&DataFile], sealed: Option<Day>) -> Transactions {
    let days: BTreeSet<Day> = old.iter().filter_map(|f| f.day).collect();
    let rewritten = days.into_iter().map(|day| (rewrite_mark(Some(day)), 1));
    let counted = (RETIRED.to_owned(), i64::try_from(records(old)).unwrap_or_default());
    let known = |id: &str| now.txns.get(id).copied().unwrap_or_default();
    let mut txns: Transactions =
        rewritten.chain([counted]).map(|(id, more)| (id.clone(), known(&id) + more)).collect();
    if let Some(day) = sealed.max(sealed_before(&now.txns)) {
        txns.insert(SEALED.to_owned(), i64::from(day.0));
    }
    txns
}

/// Whether one of the files is of a sealed day of the table.
pub(crate) fn comes_too_late(def: &TableDef, txns: &Transactions, files: &[PendingFile]) -> bool {
    let Some(first) = sealed_before(txns).filter(|_| is_of_events(def)) else { return false };
    let Some(column) = &def.partition_by else { return false };
    files
        .iter()
        .filter_map(|f| f.add.partition_values.get(column)?.as_ref()?.parse::<Day>().ok())
        .any(|day| day < first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tests::{advance, def, options, rows};
    use crate::{Appended, Appender, COPIES, PartitionId};

    #[tokio::test]
    async fn a_sealed_day_takes_nothing_more() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
        let mut table = Appender::open(&lake, def()).await.expect("a table");
        let mut other = Appender::open(&lake, def()).await.expect("the same table");
        let ids = [0, 1].map(|p| PartitionId::kafka("c", "t", "i", p));
        let write = async |day: i32, tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            let tags: BTreeMap<String, String> = tags.collect();
            lake.write_file(&def(), Some(Day(day)), &[rows(&[1, 2])], tags).await.expect("a file")
        };
        let files = [write(1, &[]).await, write(2, &[(COPIES, "5")]).await, write(3, &[]).await];
        table.append(&[advance(&ids[0], None, 6)], &files).await.expect("a commit");
        let base = lake.snapshot("raw/things", None).await.expect("read").expect("there");

        let expected = Sealed { days: 2, files: 2, records: 2 + 2 + 5 };
        let dry = lake.seal(&def(), &base, Day(3), true).await.expect("an answer");
        assert_eq!(dry, expected);
        // Something came that nobody has computed with yet.
        let late = write(1, &[]).await;
        table.append(&[advance(&ids[0], Some(6), 8)], &[late]).await.expect("a commit");
        let early = lake.seal(&def(), &base, Day(3), false).await;
        assert!(matches!(early, Err(LakeError::Conflict { .. })), "{early:?}");

        let base = lake.snapshot("raw/things", None).await.expect("read").expect("there");
        let sealed = lake.seal(&def(), &base, Day(3), false).await.expect("sealed");
        assert_eq!(sealed, Sealed { files: 3, records: 11, ..expected });
        let after = lake.snapshot("raw/things", None).await.expect("read").expect("there");
        assert_eq!((after.rows(), retired(&after.txns)), (2, 11));
        assert_eq!(sealed_before(&after.txns), Some(Day(3)));
        let again = lake.seal(&def(), &after, Day(2), false).await.expect("nothing to do");
        assert_eq!(again, Sealed::default());

        // A worker that has not seen the mark commits nothing of such a day.
        let late = [write(2, &[]).await, write(3, &[]).await];
        let answer = other.append(&[advance(&ids[1], None, 4)], &late).await.expect("an answer");
        assert_eq!(answer, Appended::Moved(vec![ids[1].clone()]));
        let answer = other.append(&[advance(&ids[1], None, 4)], &late[1..]).await;
        assert!(matches!(answer.expect("a commit"), Appended::Done { .. }));
    }
}
