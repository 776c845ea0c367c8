//! One file a command; here the command line is taken apart.

mod bench;
mod compact;
mod dead_letters;
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
mod outside;
mod plan;
mod report;
mod retain;
mod score;
mod sql;
mod status;
mod tick;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::args::{Actions, Arguments, Bench, Command, Ingest, Metrics, Score};
use crate::config::Config;
use crate::project::Project;
use crate::signals::{self, Ends};

/// Runs the command. Whatever comes of it, the checkpoints that its commits began are written.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime")?;
    if let Some(ends) = ends(&arguments.command) {
        signals::end_cleanly(ends);
    }
    let done = run_on(&runtime, arguments);
    runtime.block_on(::lake::settle());
    done
}

fn run_on(runtime: &Runtime, arguments: Arguments) -> anyhow::Result<()> {
    let config = || Config::find(arguments.config.as_deref());
    let quiet = arguments.quiet;
    let open = |config: Config| runtime.block_on(Project::open(config, quiet));
    match arguments.command {
        Command::Demo(demo) => demo::run(&demo, runtime, quiet),
        Command::Init { dir } => init::run(&dir),
        Command::Generate(options) => {
            let project = Config::find_if_any(arguments.config.as_deref())?;
            generate::run(&options, project.as_ref(), quiet)
        }
        Command::Run(options) => tick::run(config()?, &options, runtime, quiet),
        Command::Ingest(Ingest::Run(options)) => ingest::run(&config()?, &options, runtime, quiet),
        Command::Ingest(Ingest::Load(options)) => {
            runtime.block_on(ingest::load(&config()?, &options, quiet))
        }
        Command::Ingest(Ingest::Fields(options)) => fields::run(&options),
        Command::Ingest(Ingest::DeadLetters(options)) => {
            runtime.block_on(dead_letters::list(&config()?, &options))
        }
        Command::Ingest(Ingest::Replay { stream }) => {
            runtime.block_on(dead_letters::replay(&config()?, stream, quiet))
        }
        Command::Metrics(command) => metrics::run(command, &config, runtime, quiet),
        Command::Sql(options) => sql::run(&open(config()?)?, &options, runtime),
        Command::Score(Score::Run { as_of, format }) => {
            runtime.block_on(score::run(&open(config()?)?, as_of.as_deref(), format))
        }
        Command::Score(Score::Show { partner, as_of }) => {
            runtime.block_on(score::show_partner(&open(config()?)?, &partner, as_of.as_deref()))
        }
        Command::Actions(Actions::Plan { out, as_of }) => {
            runtime.block_on(plan::run(&open(config()?)?, &out, as_of.as_deref()))
        }
        Command::Report { out, as_of } => {
            runtime.block_on(report::run(&open(config()?)?, &out, as_of.as_deref()))
        }
        Command::Bench(Bench::Ingest(options)) => {
            let project = Config::find_if_any(arguments.config.as_deref())?;
            bench::ingest(project.as_ref(), &options, runtime, quiet)
        }
        Command::Doctor { format } => doctor::run(config(), format, runtime, quiet),
        Command::Lake(command) => runtime.block_on(lake::run(&command, config()?, quiet)),
    }
}

/// How signals end a command; `None` for those that commit first what they hold.
fn ends(command: &Command) -> Option<Ends> {
    match command {
        Command::Run(_)
        | Command::Ingest(Ingest::Run(_))
        | Command::Metrics(Metrics::Watch { .. }) => None,
        // Of a conversation Ctrl-C only stops the query.
        Command::Sql(options) if sql::is_conversation(options) => Some(Ends::NotByInterrupt),
        _ => Some(Ends::ByAll),
    }
}
