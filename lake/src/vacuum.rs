//! Deleting files that no version within the retention names.

use std::time::Duration;

use chrono::Utc;
use deltalake::operations::vacuum::VacuumMode;

use crate::cleanup::Keep;
use crate::error::LakeError;
use crate::lake::Lake;

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
    /// When the table can't be read or a file can't be deleted.
    pub async fn vacuum(
        &self,
        table: &str,
        retention: Duration,
        dry: bool,
    ) -> Result<Option<Vacuumed>, LakeError> {
        let Some(delta) = self.delta(table).await? else { return Ok(None) };
        let retention = chrono::Duration::from_std(retention).unwrap_or(chrono::Duration::MAX);
        let (_, done) = delta
            .vacuum()
            .with_retention_period(retention)
            .with_enforce_retention_duration(false)
            .with_mode(VacuumMode::Full)
            .with_dry_run(dry)
            .await
            .map_err(LakeError::delta(table))?;
        if !dry {
            self.clean_up(table, Keep::default(), Utc::now()).await?;
        }
        Ok(Some(Vacuumed { table: table.to_owned(), files: done.files_deleted.len() }))
    }
}
