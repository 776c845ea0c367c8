//! The commands: one file or folder each. This file dispatches the command line.
//!
//! - Projects and events: `init`, `demo`, `generate`, `ingest`, `fields`, `dead_letters`, `bench`
//! - The lake: `lake`, `status`, `backup`, `compact`, `retain`, `erase`, `doctor`, `cluster`
//! - Metrics: `metrics`, `diff`, `docs`, `sql`
//! - The machine and editors: `setup`, `schema`
//! - Decisions: `score`, `plan`, `actions`, `alerts`, `report`, `serve`, `deliver`, `run`
//! - BI tools: `postgres_connection`, which `serve` starts

mod actions;
mod alerts;
mod backup;
mod bench;
mod cluster;
mod compact;
mod dead_letters;
mod deliver;
mod demo;
mod diff;
mod docs;
mod doctor;
mod erase;
mod fields;
mod generate;
mod ingest;
mod init;
mod lake;
mod metrics;
mod plan;
#[cfg(feature = "postgres")]
mod postgres_connection;
mod report;
mod retain;
mod run;
mod schema;
mod score;
mod score_records;
mod serve;
mod setup;
mod sql;
mod status;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::args::{
    Arguments, BenchCommand, ClusterCommand, Command, IngestCommand, MetricsCommand, ProofCommand,
    ScoreCommand,
};
use crate::config::Config;
use crate::project::Project;
use crate::shutdown::{self, TerminationSignals};

/// Runs the command, and waits for the checkpoints that its commits started, also after an error.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime")?;
    if let Some(signals) = termination_signals(&arguments.command) {
        shutdown::exit_on_signals(signals);
    }
    let result = dispatch(&runtime, arguments);
    runtime.block_on(::lake::wait_for_background_work());
    result
}

fn dispatch(runtime: &Runtime, arguments: Arguments) -> anyhow::Result<()> {
    let config = || Config::find(arguments.config.as_deref());
    let quiet = arguments.quiet;
    let open = |config: Config| runtime.block_on(Project::open_until_exit(config, quiet));
    match arguments.command {
        Command::Demo(demo) => demo::run(&demo, runtime, quiet),
        Command::Init { dir } => init::run(&dir),
        Command::Generate(options) => {
            let project = Config::find_if_any(arguments.config.as_deref())?;
            generate::run(&options, project.as_ref(), quiet)
        }
        Command::Run(options) => run::run(&config, &options, runtime, quiet),
        Command::Serve(options) => {
            runtime.block_on(serve::run(&config()?, arguments.config.as_deref(), &options))
        }
        #[cfg(feature = "postgres")]
        Command::PostgresConnection(options) => {
            let project = open(config()?)?;
            runtime.block_on(postgres_connection::run(project, &options))
        }
        Command::Ingest(IngestCommand::Run(options)) => {
            ingest::run(&config()?, &options, runtime, quiet)
        }
        Command::Ingest(IngestCommand::Load(options)) => {
            runtime.block_on(ingest::load(&config()?, &options, quiet))
        }
        Command::Ingest(IngestCommand::Try(options)) => {
            let project = Config::find_if_any(arguments.config.as_deref())?;
            ingest::try_file(project.as_ref(), &options)
        }
        Command::Ingest(IngestCommand::Mappings(options)) => ingest::list_mappings(&options),
        Command::Ingest(IngestCommand::Fields(options)) => fields::run(&options),
        Command::Ingest(IngestCommand::DeadLetters(options)) => {
            runtime.block_on(dead_letters::list(&config()?, &options))
        }
        Command::Ingest(IngestCommand::Replay(options)) => {
            runtime.block_on(dead_letters::replay(&config()?, &options, quiet))
        }
        Command::Metrics(command) => metrics::run(command, &config, runtime, quiet),
        Command::Sql(options) => sql::run(open(config()?)?, &options, runtime),
        Command::Score(ScoreCommand::Record(record)) => {
            runtime.block_on(score_records::run(open(config()?)?, &record))
        }
        Command::Score(ScoreCommand::Proof(ProofCommand::Backtest(options))) => {
            let project = Config::find_if_any(arguments.config.as_deref())?;
            runtime.block_on(score::backtest(project, &options, quiet))
        }
        Command::Score(ScoreCommand::Proof(ProofCommand::Fit(options))) => {
            let project = Config::find_if_any(arguments.config.as_deref())?;
            runtime.block_on(score::fit(project, &options, quiet))
        }
        Command::Score(ScoreCommand::Proof(ProofCommand::Adopt(options))) => {
            runtime.block_on(score::adopt(open(config()?)?, &options))
        }
        Command::Score(ScoreCommand::Run { as_of, format }) => {
            runtime.block_on(score::run(open(config()?)?, as_of.as_deref(), format))
        }
        Command::Score(ScoreCommand::Show(options)) => {
            let given = arguments.config.as_deref();
            runtime.block_on(score::show(open(config()?)?, &options, given))
        }
        Command::Score(ScoreCommand::Movers(options)) => {
            runtime.block_on(score::movers(open(config()?)?, &options))
        }
        Command::Alerts(command) => runtime.block_on(alerts::run(open(config()?)?, &command)),
        Command::Actions(command) => runtime.block_on(actions::run(open(config()?)?, &command)),
        Command::Deliver(options) => runtime.block_on(deliver::run(open(config()?)?, &options)),
        Command::Report { out, as_of } => {
            runtime.block_on(report::run(open(config()?)?, &out, as_of.as_deref()))
        }
        Command::Bench(BenchCommand::Ingest(options)) => {
            let project = Config::find_if_any(arguments.config.as_deref())?;
            bench::ingest(project.as_ref(), &options, runtime, quiet)
        }
        Command::Bench(BenchCommand::Commits(options)) => {
            let project = Config::find_if_any(arguments.config.as_deref())?;
            runtime.block_on(bench::commits(project.as_ref(), &options, quiet))
        }
        Command::Bench(BenchCommand::All(options)) => {
            bench::all(arguments.config.as_deref(), &options, quiet)
        }
        Command::Bench(BenchCommand::Score(options)) => bench::score(&options, runtime, quiet),
        Command::Bench(BenchCommand::Serve(options)) => {
            runtime.block_on(bench::serve(arguments.config.as_deref(), &options, quiet))
        }
        Command::Doctor { format } => doctor::run(config(), format, runtime, quiet),
        Command::Cluster(command) => runtime.block_on(cluster::run(&command, &config, quiet)),
        Command::Lake(command) => runtime.block_on(lake::run(&command, config()?, quiet)),
        Command::Setup(command) => setup::run(&command),
    }
}

/// Returns which signals end a command at once; `None` for commands that first finish their work.
fn termination_signals(command: &Command) -> Option<TerminationSignals> {
    match command {
        Command::Run(_)
        | Command::Ingest(IngestCommand::Run(_))
        | Command::Serve(_)
        | Command::Cluster(ClusterCommand::Executor(_))
        | Command::Metrics(MetricsCommand::Watch { .. }) => None,
        // In a shell, Ctrl-C only stops the query.
        Command::Sql(options) if sql::is_interactive(options) => {
            Some(TerminationSignals::AllButInterrupt)
        }
        _ => Some(TerminationSignals::All),
    }
}
