//! Deleting files that no version within the retention names.

use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::time::Duration;

use chrono::Utc;
use deltalake::operations::vacuum::VacuumMode;
use futures::{StreamExt, TryStreamExt};
use lake_types::Day;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::cleanup::Keep;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::library::to_its_end;
use crate::snapshot::TableSnapshot;

/// What a vacuum of one table deleted, or would delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacuumed {
    pub table: String,
    pub files: usize,
}

impl Lake {
    /// Deletes the files of a table that no version younger than `retention` names, files of
    /// commits that never came among them, and old entries of its log; `dry` only counts the
    /// former. `None` when there is no such table.
    ///
    /// A file is written before the commit that names it: keep the retention well above the time a
    /// commit, or a reader of an older version, takes.
    ///
    /// # Errors
    /// When the table can't be read or a file can't be deleted; [`LakeError::Damaged`] when the log
    /// is, a file in use is gone or of another size, or one of the same days as those that would go
    /// is damaged: they may be what is left of it.
    pub async fn vacuum(
        &self,
        table: &str,
        retention: Duration,
        dry: bool,
    ) -> Result<Option<Vacuumed>, LakeError> {
        let log = self.examine_log(table).await?;
        if let Some(damage) = log.damage().into_iter().next() {
            return Err(damage.into());
        }
        let Some(snapshot) = self.snapshot(table, None).await? else { return Ok(None) };
        self.check_sizes(&snapshot).await?;
        let Some(delta) = self.delta(table).await? else { return Ok(None) };
        let retention = chrono::Duration::from_std(retention).unwrap_or(chrono::Duration::MAX);
        // The library tells the files; deleted they are once the others are known to be sound.
        let look = delta
            .vacuum()
            .with_retention_period(retention)
            .with_enforce_retention_duration(false)
            .with_mode(VacuumMode::Full)
            .with_dry_run(true);
        let (_, done) = to_its_end(look.into_future()).await.map_err(LakeError::delta(table))?;
        let below = done.files_deleted.iter().map(|path| Path::parse(format!("{table}/{path}")));
        let gone: Vec<Path> = below.collect::<Result<_, _>>().map_err(object_store::Error::from)?;
        if !gone.is_empty() {
            self.check_beside(&snapshot, &gone).await?;
        }
        if !dry {
            let paths = futures::stream::iter(gone.clone().into_iter().map(Ok)).boxed();
            let mut deleted = self.store().delete_stream(paths);
            loop {
                match deleted.try_next().await {
                    Ok(Some(_)) | Err(object_store::Error::NotFound { .. }) => {}
                    Ok(None) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            self.clean_up(table, Keep::default(), Utc::now()).await?;
        }
        Ok(Some(Vacuumed { table: table.to_owned(), files: gone.len() }))
    }

    /// Reads the files in use of the days that some files are of.
    async fn check_beside(&self, snapshot: &TableSnapshot, gone: &[Path]) -> Result<(), LakeError> {
        let day = |path: &Path| -> Option<Day> {
            path.parts().find_map(|part| part.as_ref().split_once('=')?.1.parse().ok())
        };
        let days: BTreeSet<Option<Day>> = gone.iter().map(day).collect();
        for file in snapshot.files.iter().filter(|file| days.contains(&file.day)) {
            self.read_sound(file).await?;
        }
        Ok(())
    }
}
