//! `rapport lake retain`: days past their retention are sealed.

use lake::{LakeError, Sealed, TableDef, schema};
use lake_types::{Day, Stream, counted};
use transform::{Catalog, Kind, Query};

use crate::failure::usage;
use crate::output::{line, note};
use crate::project::Project;

/// Starts over when something comes for the days meanwhile.
const ATTEMPTS: usize = 5;

pub(crate) async fn run(project: &Project, dry: bool) -> anyhow::Result<()> {
    let kept = project.config.retention();
    if kept.api_calls.is_none() && kept.dead_letters.is_none() {
        note("No retention is set: [lake.retention] in rapport.toml says how long to keep what");
        return Ok(());
    }
    if kept.api_calls.is_some() {
        refuse_endless(project.engine.catalog())?;
    }
    // Counted from what the lake is complete to: while nothing comes, nothing goes.
    let Some(watermark) = project.lake.watermark().await? else {
        return line("Nothing is past its retention: the lake holds no API calls yet");
    };
    let tables = [
        (schema::raw(Stream::ApiCalls), kept.api_calls),
        (schema::dead_letters(), kept.dead_letters),
    ];
    for (def, days) in tables {
        let Some(days) = days else { continue };
        let before = Day::of_micros(watermark).plus(-i32::try_from(days).unwrap_or(i32::MAX / 2));
        let sealed = seal(project, &def, before, dry).await?;
        let verb = if dry { "would be sealed" } else { "sealed" };
        line(&format!(
            "{}: {} before {before} {verb}, {} with {}",
            def.name,
            counted(sealed.days, "day"),
            counted(sealed.files, "file"),
            counted(sealed.records, "record")
        ))?;
    }
    Ok(())
}

/// A rollup that reads the calls of every day could never be computed again.
fn refuse_endless(catalog: &Catalog) -> anyhow::Result<()> {
    let table = Stream::ApiCalls.table();
    let endless = |q: &&Query| q.header.reads.get(table).is_some_and(|reach| reach.is_endless());
    let Some(rollup) = catalog.of_kind(Kind::Rollup).find(endless) else { return Ok(()) };
    Err(usage(format!(
        "{} reads {table} of every day, which retention takes away; let it read \"lookback N\", or take api_calls out of [lake.retention]",
        rollup.file
    )))
}

async fn seal(project: &Project, def: &TableDef, before: Day, dry: bool) -> anyhow::Result<Sealed> {
    for _ in 0..ATTEMPTS {
        let Some(base) = project.lake.snapshot(&def.name, None).await? else {
            return Ok(Sealed::default());
        };
        // What is computed from these days is computed before they go.
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
