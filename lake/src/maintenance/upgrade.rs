//! `lake upgrade`: bringing a lake of an older format to this program's format.

use std::collections::BTreeMap;

use deltalake::DeltaTableError;
use deltalake::kernel::{Action, Metadata, MetadataExt};

use crate::delta_schema::delta_schema;
use crate::error::LakeError;
use crate::files::parquet::for_each_batch;
use crate::integrity::block_checksum::{BlockChecksums, CHECKSUM_TAG};
use crate::integrity::damage::Damage;
use crate::lake::{Lake, LakeOptions};
use crate::log::commit::{CommitOutcome, commit};
use crate::log::snapshot::{DataFile, add_actions};
use crate::log::transactions::Transactions;
use crate::schema::{self, FORMAT_VERSION};
use crate::table_properties::{
    CHECKED_PROPERTY, CLEAN_UP_PROPERTY, FORMAT_PROPERTY, checked_from, format_of,
};

/// The largest number of files that one commit gives checksums.
const FILES_PER_COMMIT: usize = 5_000;

impl Lake {
    /// Brings every table to this program's format, and returns the format that the lake had. An
    /// interrupted upgrade can be run again. No worker of an older program may run meanwhile, or
    /// afterwards.
    ///
    /// # Errors
    /// The same as [`Lake::open`], except [`LakeError::OlderFormat`].
    pub async fn upgrade(options: &LakeOptions) -> Result<u32, LakeError> {
        let lake = Self::open_as(options, true).await?;
        // A lake's format is that of its dead letters, so this table is upgraded last.
        let last = schema::dead_letters().name;
        let found = lake.format(&last).await?;
        if found == FORMAT_VERSION {
            return Ok(found);
        }
        let others = lake.tables().await?.into_iter().filter(|table| *table != last);
        for table in others.chain([last.clone()]) {
            if lake.format(&table).await? < FORMAT_VERSION {
                lake.upgrade_table(&table).await?;
                crate::failpoint::hit("upgraded", &table);
            }
        }
        Ok(found)
    }

    async fn format(&self, table: &str) -> Result<u32, LakeError> {
        let Some(delta) = self.delta(table).await? else { return Ok(FORMAT_VERSION) };
        let state = delta.snapshot().map_err(LakeError::delta(table))?;
        Ok(format_of(state.metadata().configuration()))
    }

    /// Upgrades a table. From format 1 to 2: other programs no longer clean up the log. From 2 to
    /// 3: every file in use gets checksums, and from the entry with the new format on, every
    /// written file has one. From 3 to 4: the dead letters get two columns, which are NULL in the
    /// files that were written before.
    async fn upgrade_table(&self, table: &str) -> Result<(), LakeError> {
        while self.add_checksums(table).await? {}
        let first = self.inspect_log(table).await?.first_contiguous();
        let log = self.log_store(table);
        let version = loop {
            let Some((now, mut follower)) = self.latest(table).await? else { return Ok(()) };
            let Some(delta) = self.delta(table).await? else { return Ok(()) };
            let old = delta.snapshot().map_err(LakeError::delta(table))?.metadata().clone();
            let metadata = upgraded(table, old, follower.version + 1)?;
            let (def, actions) = (now.definition(), vec![Action::Metadata(metadata)]);
            let none = Transactions::new();
            if let CommitOutcome::Committed { version } =
                commit(self, &def, &log, &mut follower, actions, none).await?
            {
                break version;
            }
        };
        if let Some(first) = first.filter(|first| *first > 0) {
            self.record_log_start(table, first).await?;
        }
        self.checkpoint(table, version).await
    }

    /// Adds checksums to some of a table's files that lack them; returns `false` when none lacks
    /// them.
    async fn add_checksums(&self, table: &str) -> Result<bool, LakeError> {
        let Some((now, mut follower)) = self.latest(table).await? else { return Ok(false) };
        let Some(delta) = self.delta(table).await? else { return Ok(false) };
        let lacking =
            now.files.iter().filter(|file| file.checksums.is_none()).take(FILES_PER_COMMIT);
        let lacking: BTreeMap<&str, &DataFile> =
            lacking.map(|file| (file.path.as_str(), file)).collect();
        if lacking.is_empty() || delta.version() != Some(follower.version) {
            return Ok(!lacking.is_empty());
        }
        let mut actions = Vec::with_capacity(lacking.len());
        for mut add in add_actions(table, &delta)? {
            let Some(file) = lacking.get(format!("{table}/{}", add.path).as_str()) else {
                continue;
            };
            let checksums = self.checksums_of(file).await?;
            let tags = add.tags.get_or_insert_default();
            tags.insert(CHECKSUM_TAG.to_owned(), Some(checksums.to_tag()));
            add.data_change = false;
            actions.push(Action::Add(add));
        }
        let (log, none) = (self.log_store(table), Transactions::new());
        commit(self, &now.definition(), &log, &mut follower, actions, none).await?;
        Ok(true)
    }

    /// Returns the checksums of a file, after comparing its size and rows with the table's log.
    async fn checksums_of(&self, file: &DataFile) -> Result<BlockChecksums, LakeError> {
        let bytes = self.read_verified(file).await?;
        let mut rows = 0;
        for_each_batch(bytes.clone(), &file.path, |batch| rows += batch.num_rows() as u64)?;
        if rows != file.rows {
            let what = format!("it has {rows} rows, {} were written", file.rows);
            return Err(Damage::new(file.path.as_str(), what).into());
        }
        Ok(BlockChecksums::of(&bytes))
    }
}

/// Returns the metadata of a table in this program's format. `version` is that of the entry that
/// will hold it.
fn upgraded(table: &str, old: Metadata, version: u64) -> Result<Metadata, LakeError> {
    let failed = |error| LakeError::delta(table)(DeltaTableError::from(error));
    let mut properties = vec![
        (FORMAT_PROPERTY, FORMAT_VERSION.to_string()),
        (CLEAN_UP_PROPERTY, "false".to_owned()),
    ];
    // A table that has had checksums is checked from where it was.
    if checked_from(old.configuration()).is_none() {
        properties.push((CHECKED_PROPERTY, version.to_string()));
    }
    let mut metadata = old;
    for (name, value) in properties {
        metadata = metadata.add_config_key(name.to_owned(), value).map_err(failed)?;
    }
    let dead_letters = schema::dead_letters();
    if table != dead_letters.name {
        return Ok(metadata);
    }
    metadata.with_schema(&delta_schema(&dead_letters)?).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tests::{def, options};
    use crate::{Appender, PartitionId};

    /// Gives a table the properties of an older format.
    async fn downgrade(lake: &Lake, table: &str, format: u32) {
        let delta = lake.delta(table).await.expect("read").expect("a table");
        let properties = HashMap::from([(FORMAT_PROPERTY.to_owned(), format.to_string())]);
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
        let dead_letters = schema::dead_letters().name;
        for format in 1..FORMAT_VERSION {
            downgrade(&lake, &def().name, format).await;
            downgrade(&lake, &dead_letters, format).await;
            for opened in
                [Lake::open(&options(&dir)).await, Lake::open_or_create(&options(&dir)).await]
            {
                let refused = opened.err();
                let older = matches!(&refused, Some(LakeError::OlderFormat { found, .. }) if *found == format);
                assert!(older, "{format}: {refused:?}");
            }
            assert_eq!(Lake::upgrade(&options(&dir)).await.expect("upgraded"), format);
        }
        let lake = Lake::open(&options(&dir)).await.expect("the lake");
        let table = Appender::open(&lake, def()).await.expect("the table");
        assert_eq!(table.position(&id).map(|p| p.next), Some(5));
        assert_eq!(Lake::upgrade(&options(&dir)).await.expect("nothing to do"), FORMAT_VERSION);

        let delta = lake.delta(&dead_letters).await.expect("read").expect("a table");
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
