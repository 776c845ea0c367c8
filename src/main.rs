//! Rapport turns a platform's API traffic into partner decisions. This crate is the program: it
//! alone reads the environment, prints, and returns exit codes.
//!
//! Start:
//! - `args`: the command line
//! - `commands`: one file or folder a command
//! - `errors`, `exit_code`: errors with an exit code of their own, and how they are reported
//!
//! A project:
//! - `config`: `rapport.toml`, the environment, and the CSV files beside it
//! - `csv_file`, `text_file`: small CSV files with the position of each error; byte-order marks
//! - `store_options`, `secrets`: options of the object store; secrets, and how messages hide them
//! - `project`: an open lake with its query engine
//! - `event_days`: the days that have events, and why an instant shows none
//!
//! Metrics and scores:
//! - `breakdown`: the partners that `--where` and `--by` choose
//! - `metric_pipeline`: computes metrics, checks them, holds back what is wrong
//! - `ordered_tasks`: parallel work with results in order
//! - `polars_frames`: polars frames from results, rows of the lake from scores
//! - `scores`, `runs`: the tables of scores and of runs
//! - `action_plans`: plans, the log of actions, the kill switch and the channels
//! - `partner_standing`: which partners are suspended or offboarded
//! - `deliveries`: reports by mail and chat
//! - `chromium_program`: the Chromium that draws their charts
//! - `backtest`: replays of history that test the scores
//! - `report_registry`: which reports were written from the lake
//!
//! Output:
//! - `rows`, `table`: rows as text, and tables that fit the terminal
//! - `row_encoder`: rows as CSV, JSON and Parquet, batch by batch
//! - `output`, `atomic_file`: stdout and stderr; files that are replaced atomically
//! - `progress`: a spinner for long work
//! - `metrics_endpoint`: `--metrics` for Prometheus
//! - `traces`: traces for an OpenTelemetry collector
//!
//! The process:
//! - `resource_usage`, `memory_limit`: the CPU time and memory it uses, and may use
//! - `scratch_folder`, `shutdown`: its temporary folder, and how signals end it
//! - `failpoint`: where tests stop it

mod action_plans;
mod alerts;
mod args;
mod atomic_file;
mod backtest;
mod breakdown;
mod chromium_program;
mod cluster;
mod commands;
mod config;
mod csv_file;
mod deliveries;
mod errors;
mod event_days;
mod exit_code;
#[cfg(debug_assertions)]
mod failpoint;
mod memory_limit;
mod metric_pipeline;
mod metrics_endpoint;
mod ordered_tasks;
mod output;
mod partner_standing;
mod polars_frames;
mod progress;
mod project;
mod report_registry;
mod resource_usage;
mod row_encoder;
mod rows;
mod runs;
mod scores;
mod scratch_folder;
mod secret_settings;
mod shutdown;
mod store_options;
mod table;
mod text_file;
mod traces;

use std::io::IsTerminal;
use std::process::ExitCode;

use allocator as _;
use clap::Parser;
use domain::printable;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format;
use tracing_subscriber::prelude::*;

use crate::args::{Arguments, Command};
use crate::secret_settings::redact_secrets;
use crate::traces::Traces;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let traces = Traces::from_environment();
    log_to_stderr(arguments.verbose, traces.as_ref());
    #[cfg(debug_assertions)]
    failpoint::arm();
    let result = check_configuration(&arguments).and_then(|()| commands::run(arguments));
    drop(traces);
    scratch_folder::remove();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_code::report_error(&error),
    }
}

/// Refuses a configuration that is named and does not exist. `init` may be about to make it.
fn check_configuration(arguments: &Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Init { .. } => Ok(()),
        _ => config::check_given(arguments.config.as_deref()),
    }
}

/// The crates of the program, by whose names their logs and spans are selected.
const CRATES: [&str; 9] = [
    "rapport",
    "ingest",
    "lake",
    "transform",
    "cluster",
    "scoring",
    "actions",
    "dashboards",
    "serve",
];

/// Sends logs to stderr: warnings by default, more with `-v`, and what `RAPPORT_LOG` selects. Spans go
/// to `traces`.
fn log_to_stderr(verbose: u8, traces: Option<&Traces>) {
    let level = ["warn", "info", "debug"].get(usize::from(verbose)).copied().unwrap_or("trace");
    // Libraries log errors that the program handles and reports itself.
    let default: Vec<String> = CRATES.iter().map(|name| format!("{name}={level}")).collect();
    let filter = EnvFilter::try_from_env("RAPPORT_LOG")
        .unwrap_or_else(|_| EnvFilter::new(default.join(",")));
    // A field may quote data, or a secret that a server repeats.
    let fields = format::debug_fn(|line, field, value| {
        let text = redact_secrets(&format!("{value:?}"));
        match field.name() {
            // The `log` crate adds the position in the library's source.
            name if name.starts_with("log.") => Ok(()),
            "message" => write!(line, "{}", printable(&text)),
            name => write!(line, "{name}={}", printable(&text)),
        }
    });
    let log = tracing_subscriber::fmt::layer()
        .fmt_fields(fields.delimited(" "))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(filter);
    let is_ours = filter_fn(|metadata: &Metadata<'_>| {
        let root = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= Level::INFO && CRATES.contains(&root)
    });
    let spans = traces.map(|traces| traces.layer().with_filter(is_ours));
    tracing_subscriber::registry().with(spans).with(log).init();
}
