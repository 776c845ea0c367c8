//! `rapport metrics`: one file or folder a subcommand; `diff` and `docs` are beside this folder.
//!
//! - Looking: `list`, `functions`, `lineage`, `plan`, `preview`
//! - Writing: `new`, `check`, `test`, `watch`
//! - Computing: `run`

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

use crate::args::MetricsCommand;
use crate::commands::{diff, docs};
use crate::config::{Config, is_no_project};
use crate::errors::usage_error;
use crate::output::print_note;
use crate::project::Project;

/// Runs a subcommand; `config` reads the configuration where it is needed.
pub(crate) fn run(
    command: MetricsCommand,
    config: &dyn Fn() -> anyhow::Result<Config>,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    match command {
        MetricsCommand::List { format } => list::list(&with_notes(catalog(config)?), format),
        MetricsCommand::Show { name } => list::show(&catalog(config)?, &name),
        MetricsCommand::Functions { format } => functions::list(format),
        MetricsCommand::Check { names, format } => {
            runtime.block_on(check::run(&Arc::new(catalog(config)?), &names, format))
        }
        MetricsCommand::New { name, kind } => {
            let config = config()?;
            new::run(&catalog(&|| Ok(config.clone()))?, &config, &name, kind)
        }
        MetricsCommand::Lineage { name, format, columns, down } => {
            let options = lineage::LineageOptions { name, format, columns, down };
            runtime.block_on(lineage::run(&with_notes(catalog(config)?), &options))
        }
        MetricsCommand::Plan { format } => runtime.block_on(async {
            plan::run(Project::open_until_exit(config()?, quiet).await?, format).await
        }),
        MetricsCommand::Preview { name, as_of, limit, format } => runtime.block_on(async {
            let project = Project::open_until_exit(config()?, quiet).await?;
            preview::run(project, &name, as_of.as_deref(), limit, format).await
        }),
        MetricsCommand::Test { names, record: true } => {
            runtime.block_on(test::record(&Arc::new(with_notes(catalog(config)?)), &names))
        }
        MetricsCommand::Test { names, record: false } => {
            runtime.block_on(test::run(&Arc::new(catalog(config)?), &names))
        }
        MetricsCommand::Watch { names, format } => {
            runtime.block_on(watch::run(&config()?, &names, format))
        }
        MetricsCommand::Diff(options) => runtime.block_on(async {
            let project = Project::open_until_exit(config()?, quiet).await?;
            diff::run(project, &options).await
        }),
        MetricsCommand::Docs { out } => docs::run(&with_notes(catalog(config)?), &out),
        MetricsCommand::Run { names, as_of, format, out, breakdown, cluster } => {
            runtime.block_on(async {
                let mut config = config()?;
                config.set_cluster(cluster.scheduler.as_deref());
                let project = Project::open_until_exit(config, quiet).await?;
                let options = run::MetricsRunOptions {
                    names: &names,
                    format,
                    out: out.as_deref(),
                    breakdown: &breakdown,
                };
                run::run(project, &options, as_of.as_deref()).await
            })
        }
    }
}

/// Returns the built-in queries, with those of the project where there is one. A configuration that
/// can't be read is an error: without the project's queries the answer would be about others.
fn catalog(config: &dyn Fn() -> anyhow::Result<Config>) -> anyhow::Result<Catalog> {
    let built_in = Catalog::built_in()?;
    let queries = match config() {
        Ok(config) => config.queries(),
        Err(error) if is_no_project(&error) => None,
        Err(error) => return Err(error),
    };
    let Some(folder) = queries else { return Ok(built_in) };
    built_in.with_project(&folder).map_err(|e| usage_error(e.to_string()))
}

/// Prints which queries are left out of a catalog, and returns it.
fn with_notes(catalog: Catalog) -> Catalog {
    for (name, diagnostic) in catalog.unreadable() {
        print_note(&format!("rapport: {name} is left out: {}", diagnostic.headline()));
    }
    for diagnostic in catalog.misplaced() {
        print_note(&format!("rapport: not read: {}", diagnostic.one_line()));
    }
    catalog
}
