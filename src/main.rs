//! Rapport: from a platform's API traffic to partner decisions. Arguments in, exit code out.
//!
//! The only home of environment, printing and exit codes. Reading order: `args` (the command
//! line), `config` (`rapport.toml`), `project` (an open lake with its engine), `published` (metrics, checked), `runs` (those of before), then one file a
//! command; `output` writes results, `encoder` those that come in batches, `table` those for people, `progress` shows long work, `watch` answers --metrics,
//! `failure` is the exit codes. `setting` keeps secrets out of messages, `scratch`, `signals` and
//! `memory` bound what a process leaves and takes.

mod ahead;
mod args;
mod commands;
mod config;
mod csv_file;
mod encoder;
mod failure;
#[cfg(debug_assertions)]
mod fault;
mod frames;
mod memory;
mod output;
mod process;
mod progress;
mod project;
mod published;
mod reports;
mod runs;
mod scores;
mod scratch;
mod setting;
mod signals;
mod slices;
mod store;
mod table;
mod watch;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use lake_types::printable;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format;

use crate::args::Arguments;
use crate::setting::hidden;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr(arguments.verbose);
    #[cfg(debug_assertions)]
    fault::arm();
    let done = commands::run(arguments);
    scratch::remove();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

/// Logs go to stderr: warnings by default, more with `-v`, anything by `RAPPORT_LOG`.
fn log_to_stderr(verbose: u8) {
    let level = ["warn", "info", "debug"].get(usize::from(verbose)).copied().unwrap_or("trace");
    // What the libraries call errors is answered by our own; their noise helps nobody.
    let rooms = ["rapport", "ingest", "lake", "transform", "scoring", "actions", "dashboards"];
    let default: Vec<String> = rooms.iter().map(|room| format!("{room}={level}")).collect();
    let filter = EnvFilter::try_from_env("RAPPORT_LOG")
        .unwrap_or_else(|_| EnvFilter::new(default.join(",")));
    // A field may quote data, or what a server says of a secret.
    let fields = format::debug_fn(|line, field, value| {
        let text = hidden(&format!("{value:?}"));
        match field.name() {
            // Where a library's line of log stands in its source.
            name if name.starts_with("log.") => Ok(()),
            "message" => write!(line, "{}", printable(&text)),
            name => write!(line, "{name}={}", printable(&text)),
        }
    });
    tracing_subscriber::fmt()
        .fmt_fields(fields.delimited(" "))
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
