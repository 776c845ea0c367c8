//! `lake vacuum`: deleting data files that no version within the retention names.

use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::time::Duration;

use chrono::Utc;
use deltalake::operations::vacuum::VacuumMode;
use domain::Day;
use object_store::path::Path;

use crate::delta_runtime::run_to_completion;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::log::cleanup::LogRetention;
use crate::log::snapshot::TableSnapshot;
use crate::object_files::delete_all;

/// The number of files that a vacuum deleted from a table, or would delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VacuumedTable {
    pub table: String,
    pub files: usize,
}

impl Lake {
    /// Deletes the files of a table that no version younger than `retention` names, uncommitted
    /// files included, and old entries of its log. With `dry_run` it only counts the files. Returns
    /// `None` when there is no such table.
    ///
    /// A file is written before the commit that names it, so the retention must be well above the
    /// duration of a commit, and of a query that reads an older version.
    ///
    /// # Errors
    /// When the table can't be read or a file can't be deleted. [`LakeError::Damaged`]
    /// when the log is damaged, when a file in use is gone or has another size, and when a file in
    /// use of the same days as the files to delete is damaged: those files may be the only
    /// remaining copy of its events.
    pub async fn vacuum(
        &self,
        table: &str,
        retention: Duration,
        dry_run: bool,
    ) -> Result<Option<VacuumedTable>, LakeError> {
        let log = self.inspect_log(table).await?;
        if let Some(damage) = log.damage().into_iter().next() {
            return Err(damage.into());
        }
        let Some(snapshot) = self.snapshot(table, None).await? else { return Ok(None) };
        self.check_sizes(&snapshot).await?;
        let Some(delta) = self.delta(table).await? else { return Ok(None) };
        let retention = chrono::Duration::from_std(retention).unwrap_or(chrono::Duration::MAX);
        // The library only lists the files; they are deleted once the files in use are verified.
        let listing = delta
            .vacuum()
            .with_retention_period(retention)
            .with_enforce_retention_duration(false)
            .with_mode(VacuumMode::Full)
            .with_dry_run(true);
        let (_, done) =
            run_to_completion(listing.into_future()).await.map_err(LakeError::delta(table))?;
        let below = done.files_deleted.iter().map(|path| Path::parse(format!("{table}/{path}")));
        let gone: Vec<Path> = below.collect::<Result<_, _>>().map_err(object_store::Error::from)?;
        if !gone.is_empty() {
            self.verify_same_days(&snapshot, &gone).await?;
        }
        if !dry_run {
            delete_all(self.store().as_ref(), gone.clone()).await?;
            self.clean_up(table, LogRetention::default(), Utc::now()).await?;
        }
        Ok(Some(VacuumedTable { table: table.to_owned(), files: gone.len() }))
    }

    /// Verifies the files in use that are of the same days as the files to delete.
    async fn verify_same_days(
        &self,
        snapshot: &TableSnapshot,
        gone: &[Path],
    ) -> Result<(), LakeError> {
        let day = |path: &Path| -> Option<Day> {
            path.parts().find_map(|part| part.as_ref().split_once('=')?.1.parse().ok())
        };
        let days: BTreeSet<Option<Day>> = gone.iter().map(day).collect();
        for file in snapshot.files.iter().filter(|file| days.contains(&file.day)) {
            self.read_verified(file).await?;
        }
        Ok(())
    }
}
