//! `lake upgrade`: a lake of an older format made one of this program's.

use std::collections::BTreeMap;

use deltalake::DeltaTableError;
use deltalake::kernel::{Action, Metadata, MetadataExt};

use crate::checksum::{CHECKSUM, Checksums};
use crate::commit::{Committed, commit};
use crate::damage::Damage;
use crate::erase::definition;
use crate::error::LakeError;
use crate::lake::{
    CHECKED_PROPERTY, CLEAN_UP_PROPERTY, FORMAT_PROPERTY, Lake, LakeOptions, format_of,
};
use crate::log::Transactions;
use crate::schema::{self, FORMAT_VERSION};
use crate::snapshot::{DataFile, added};
use crate::verify::decode;

/// Files that one commit gives their checksums.
const AT_ONCE: usize = 5_000;

impl Lake {
    /// Brings every table to this program's format; the format the lake had. Killed half-way it can
    /// be run again. No worker of an older program may run meanwhile, or afterwards.
    ///
    /// # Errors
    /// As [`Lake::open`], but for [`LakeError::OlderFormat`].
    pub async fn upgrade(options: &LakeOptions) -> Result<u32, LakeError> {
        let lake = Self::open_as(options, true).await?;
        // The dead letters' property is the one that is looked at: it comes last.
        let last = schema::dead_letters().name;
        let found = lake.format(&last).await?;
        if found == FORMAT_VERSION {
            return Ok(found);
        }
        let others = lake.tables().await?.into_iter().filter(|table| *table != last);
        for table in others.chain([last.clone()]) {
            if lake.format(&table).await? < FORMAT_VERSION {
                lake.upgrade_table(&table).await?;
                crate::fault::point("upgraded", &table);
            }
        }
        Ok(found)
    }

    async fn format(&self, table: &str) -> Result<u32, LakeError> {
        let Some(delta) = self.delta(table).await? else { return Ok(FORMAT_VERSION) };
        let state = delta.snapshot().map_err(LakeError::delta(table))?;
        Ok(format_of(state.metadata().configuration()))
    }

    /// From 1 to 2: nobody but this program cleans up a log. To 3: every file in use gets a
    /// checksum, and from the entry that says so on, everything has one.
    async fn upgrade_table(&self, table: &str) -> Result<(), LakeError> {
        while self.add_checksums(table).await? {}
        let first = self.examine_log(table).await?.first_in_a_row();
        let log = self.log_store(table);
        let version = loop {
            let Some((now, mut tail)) = self.followed(table).await? else { return Ok(()) };
            let Some(delta) = self.delta(table).await? else { return Ok(()) };
            let metadata = delta.snapshot().map_err(LakeError::delta(table))?.metadata().clone();
            let set = |metadata: Metadata, name: &str, value: String| {
                metadata.add_config_key(name.to_owned(), value)
            };
            let metadata = set(metadata, FORMAT_PROPERTY, FORMAT_VERSION.to_string())
                .and_then(|m| set(m, CLEAN_UP_PROPERTY, "false".to_owned()))
                .and_then(|m| set(m, CHECKED_PROPERTY, (tail.version + 1).to_string()))
                .map_err(|e| LakeError::delta(table)(DeltaTableError::from(e)))?;
            let (def, actions) = (definition(&now), vec![Action::Metadata(metadata)]);
            let none = Transactions::new();
            if let Committed::Done { version } =
                commit(self, &def, &log, &mut tail, actions, none).await?
            {
                break version;
            }
        };
        if let Some(first) = first.filter(|first| *first > 0) {
            self.log_begins(table, first).await?;
        }
        self.checkpoint(table, version).await
    }

    /// Gives some of a table's files the checksums they lack; `false` where none lacks one.
    async fn add_checksums(&self, table: &str) -> Result<bool, LakeError> {
        let Some((now, mut tail)) = self.followed(table).await? else { return Ok(false) };
        let Some(delta) = self.delta(table).await? else { return Ok(false) };
        let lacking = now.files.iter().filter(|file| file.checksums.is_none()).take(AT_ONCE);
        let lacking: BTreeMap<&str, &DataFile> =
            lacking.map(|file| (file.path.as_str(), file)).collect();
        if lacking.is_empty() || delta.version() != Some(tail.version) {
            return Ok(!lacking.is_empty());
        }
        let mut actions = Vec::with_capacity(lacking.len());
        for mut add in added(table, &delta)? {
            let Some(file) = lacking.get(format!("{table}/{}", add.path).as_str()) else {
                continue;
            };
            let checksums = self.checksums_of(file).await?;
            let tags = add.tags.get_or_insert_default();
            tags.insert(CHECKSUM.to_owned(), Some(checksums.text()));
            add.data_change = false;
            actions.push(Action::Add(add));
        }
        let (log, none) = (self.log_store(table), Transactions::new());
        commit(self, &definition(&now), &log, &mut tail, actions, none).await?;
        Ok(true)
    }

    /// Of a file as it lies there, if it is what its table's log says.
    async fn checksums_of(&self, file: &DataFile) -> Result<Checksums, LakeError> {
        let bytes = self.read_sound(file).await?;
        let mut rows = 0;
        decode(bytes.clone(), file, |batch| rows += batch.num_rows() as u64)?;
        if rows != file.rows {
            let what = format!("it has {rows} rows, {} were written", file.rows);
            return Err(Damage::new(file.path.as_str(), what).into());
        }
        Ok(Checksums::of(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tests::{def, options};
    use crate::{Appender, PartitionId};

    /// Makes a table one of format 1, as the program of that time wrote it.
    async fn age(lake: &Lake, table: &str) {
        let delta = lake.delta(table).await.expect("read").expect("a table");
        let properties = HashMap::from([(FORMAT_PROPERTY.to_owned(), "1".to_owned())]);
        let set = delta.set_tbl_properties().with_properties(properties);
        set.with_raise_if_not_exists(false).await.expect("set");
    }

    #[tokio::test]
    async fn an_older_lake_is_upgraded_and_a_newer_one_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
        let mut table = Appender::open(&lake, def()).await.expect("a table");
        let id = PartitionId::kafka("c", "t", "i", 0);
        table.append(&[crate::tests::advance(&id, None, 5)], &[]).await.expect("a commit");
        let letters = schema::dead_letters().name;
        age(&lake, &def().name).await;
        age(&lake, &letters).await;
        for opened in [Lake::open(&options(&dir)).await, Lake::open_or_create(&options(&dir)).await]
        {
            let refused = opened.err();
            assert!(
                matches!(refused, Some(LakeError::OlderFormat { found: 1, .. })),
                "{refused:?}"
            );
        }
        assert_eq!(Lake::upgrade(&options(&dir)).await.expect("upgraded"), 1);
        let lake = Lake::open(&options(&dir)).await.expect("the lake");
        let table = Appender::open(&lake, def()).await.expect("the table");
        assert_eq!(table.position(&id).map(|p| p.next), Some(5));
        assert_eq!(Lake::upgrade(&options(&dir)).await.expect("nothing to do"), FORMAT_VERSION);

        let delta = lake.delta(&letters).await.expect("read").expect("a table");
        let newer = HashMap::from([(FORMAT_PROPERTY.to_owned(), "99".to_owned())]);
        let set = delta.set_tbl_properties().with_properties(newer);
        set.with_raise_if_not_exists(false).await.expect("set");
        for refused in
            [Lake::open(&options(&dir)).await.err(), Lake::upgrade(&options(&dir)).await.err()]
        {
            let newer = matches!(refused, Some(LakeError::NewerFormat { found: 99, .. }));
            assert!(newer, "{refused:?}");
        }
    }
}
