//! `rapport metrics …`: one file a subcommand.

mod check;
mod functions;
mod lineage;
mod list;
mod new;
mod plan;
mod preview;
mod run;
mod test;
mod watch;

use std::sync::Arc;

use transform::Catalog;

use crate::args::Metrics;
use crate::commands::{diff, docs};
use crate::config::Config;
use crate::failure::usage;
use crate::output::note;
use crate::project::Project;

pub(crate) fn run(
    command: Metrics,
    config: &dyn Fn() -> anyhow::Result<Config>,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    match command {
        Metrics::List { format } => list::list(&said(catalog(config)?), format),
        Metrics::Show { name } => list::show(&catalog(config)?, &name),
        Metrics::Functions { format } => functions::list(format),
        Metrics::Check { names, format } => {
            runtime.block_on(check::run(&Arc::new(catalog(config)?), &names, format))
        }
        Metrics::New { name, kind } => {
            let config = config()?;
            new::run(&catalog(&|| Ok(config.clone()))?, &config, &name, kind)
        }
        Metrics::Lineage { name, format, columns, down } => {
            let wanted = lineage::Wanted { name, format, columns, down };
            runtime.block_on(lineage::run(&said(catalog(config)?), &wanted))
        }
        Metrics::Plan { format } => runtime
            .block_on(async { plan::run(&Project::open(config()?, quiet).await?, format).await }),
        Metrics::Preview { name, as_of, limit, format } => runtime.block_on(async {
            let project = Project::open(config()?, quiet).await?;
            preview::run(&project, &name, as_of.as_deref(), limit, format).await
        }),
        Metrics::Test { names, record: true } => {
            runtime.block_on(test::record(&Arc::new(said(catalog(config)?)), &names))
        }
        Metrics::Test { names, record: false } => {
            runtime.block_on(test::run(&Arc::new(catalog(config)?), &names))
        }
        Metrics::Watch { names, format } => {
            runtime.block_on(watch::run(&config()?, &names, format))
        }
        Metrics::Diff(options) => runtime.block_on(async {
            let project = Project::open(config()?, quiet).await?;
            diff::run(&project, &options).await
        }),
        Metrics::Docs { out } => docs::run(&said(catalog(config)?), &out),
        Metrics::Run { names, as_of, format, out, slice } => runtime.block_on(async {
            let project = Project::open(config()?, quiet).await?;
            let wanted = run::Wanted { names: &names, format, out: out.as_deref(), slice: &slice };
            run::run(&project, &wanted, as_of.as_deref()).await
        }),
    }
}

/// The built-in queries, with the project's where there is one.
fn catalog(config: &dyn Fn() -> anyhow::Result<Config>) -> anyhow::Result<Catalog> {
    let built_in = Catalog::built_in()?;
    // Without a project the built-in queries are all there are.
    let Some(folder) = config().ok().and_then(|c| c.queries()) else { return Ok(built_in) };
    built_in.with_project(&folder).map_err(|e| usage(e.to_string()))
}

/// The catalog, after what is left out of it has been said.
fn said(catalog: Catalog) -> Catalog {
    for (name, fault) in catalog.left_out() {
        note(&format!("rapport: {name} is left out: {}", fault.headline()));
    }
    for fault in catalog.misplaced() {
        note(&format!("rapport: not read: {}", fault.told()));
    }
    catalog
}
