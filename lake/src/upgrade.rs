//! `lake upgrade`: a lake of an older format made one of this program's.

use std::collections::HashMap;
use std::future::IntoFuture;

use crate::error::LakeError;
use crate::lake::{CLEAN_UP_PROPERTY, FORMAT_PROPERTY, Lake, LakeOptions, format_of};
use crate::library::to_its_end;
use crate::log::entry_path;
use crate::schema::{self, FORMAT_VERSION};

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
                lake.set_format(&table).await?;
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

    /// From 1 to 2: nobody but this program cleans up a log.
    async fn set_format(&self, table: &str) -> Result<(), LakeError> {
        let Some(delta) = self.delta(table).await? else { return Ok(()) };
        let properties = HashMap::from([
            (FORMAT_PROPERTY.to_owned(), FORMAT_VERSION.to_string()),
            (CLEAN_UP_PROPERTY.to_owned(), "false".to_owned()),
        ]);
        let set =
            delta.set_tbl_properties().with_properties(properties).with_raise_if_not_exists(false);
        let committed = to_its_end(set.into_future()).await.map_err(LakeError::delta(table))?;
        let version = committed.version().unwrap_or_default();
        self.sync_file(&format!("{table}/{}", entry_path(version))).await
    }
}

#[cfg(test)]
mod tests {
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
