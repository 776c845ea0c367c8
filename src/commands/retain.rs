//! `rapport lake retain`: seals the days that are past their retention.

use domain::{Day, Stream, counted};
use lake::{LakeError, SealedDays, TableDef, schema};
use transform::{Catalog, Query, QueryKind};

use crate::errors::usage_error;
use crate::output::{print_line, print_note};
use crate::project::Project;

/// How often a table is tried where records arrive for the days meanwhile.
const ATTEMPTS: usize = 5;

/// Seals the days, or prints which would be sealed.
pub(crate) async fn run(project: &Project, dry: bool) -> anyhow::Result<()> {
    let retention = project.config.retention();
    if retention.api_calls.is_none() && retention.dead_letters.is_none() {
        print_note(
            "No retention is set: [lake.retention] in rapport.toml says how long to keep what",
        );
        return Ok(());
    }
    if retention.api_calls.is_some() {
        refuse_unbounded_rollups(project.engine.catalog())?;
    }
    // It is counted back from the watermark: while no events arrive, none are deleted.
    let Some(watermark) = project.lake.watermark().await? else {
        return print_line("Nothing is past its retention: the lake holds no API calls yet");
    };
    let tables = [
        (schema::raw(Stream::ApiCalls), retention.api_calls),
        (schema::dead_letters(), retention.dead_letters),
    ];
    for (def, days) in tables {
        let Some(days) = days else { continue };
        let before = Day::of_micros(watermark).plus(-i32::try_from(days).unwrap_or(i32::MAX / 2));
        let sealed = seal(project, &def, before, dry).await?;
        let verb = if dry { "would be sealed" } else { "sealed" };
        print_line(&format!(
            "{}: {} before {before} {verb}, {} with {}",
            def.name,
            counted(sealed.days, "day"),
            counted(sealed.files, "file"),
            counted(sealed.records, "record")
        ))?;
    }
    Ok(())
}

/// Refuses a rollup that reads the calls of every day: it could never be computed again.
fn refuse_unbounded_rollups(catalog: &Catalog) -> anyhow::Result<()> {
    let table = Stream::ApiCalls.table();
    let is_unbounded =
        |q: &&Query| q.header.reads.get(table).is_some_and(|reach| reach.is_endless());
    let Some(rollup) = catalog.of_kind(QueryKind::Rollup).find(is_unbounded) else { return Ok(()) };
    Err(usage_error(format!(
        "{} reads {table} of every day, which retention takes away; let it read \"lookback N\", or take api_calls out of [lake.retention]",
        rollup.file
    )))
}

async fn seal(
    project: &Project,
    def: &TableDef,
    before: Day,
    dry: bool,
) -> anyhow::Result<SealedDays> {
    for _ in 0..ATTEMPTS {
        let Some(base) = project.lake.snapshot(&def.name, None).await? else {
            return Ok(SealedDays::default());
        };
        // Rollups of these days are computed before their events are deleted.
        if !dry && base.files.iter().any(|f| f.day.is_some_and(|day| day < before)) {
            project.refresh_all().await?;
        }
        match project.lake.seal(def, &base, before, dry).await {
            Err(LakeError::Conflict { .. }) => {}
            other => return Ok(other?),
        }
    }
    anyhow::bail!(
        "{}: records for days before {before} keep coming, or a worker is between two commits; \
         run the command again",
        def.name
    )
}
