//! `rapport ingest run`: reads events from Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::{counted, parse_instant, thousands};
use ingest::{FlushLimits, IngestCounts, IngestError, RunOptions, StartPosition, Status};
use lake::Lake;

use super::{RateMeter, rejections, summary};
use crate::args::{IngestRunArgs, TextFormat};
use crate::config::Config;
use crate::errors::usage_error;
use crate::metrics_endpoint::{self, MetricsEndpoint, StatusBoard};
use crate::output::{print_line, print_verbatim};
use crate::progress::Spinner;
use crate::{scratch_folder, shutdown};

/// Reads the topics and prints what was done.
pub(crate) fn run(
    config: &Config,
    options: &IngestRunArgs,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let counts = from_kafka(config, options, runtime, quiet, &stop_flag(runtime))?;
    if options.format == TextFormat::Json {
        let json = summary::CountsJson::new(&counts, began.elapsed());
        return print_verbatim(&serde_json::to_string_pretty(&json)?);
    }
    print_line(&summary::line(&counts, began.elapsed()))?;
    rejections::print(&counts.rejections)?;
    summary::print_sealed_note(&counts);
    Ok(())
}

/// Reads the topics until it is caught up or `stop` is set, and returns the counts.
pub(crate) fn from_kafka(
    config: &Config,
    options: &IngestRunArgs,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<IngestCounts> {
    let mut settings = config.kafka()?;
    settings.mappings = config.mappings()?;
    let limits = FlushLimits::default();
    let run_options = RunOptions {
        start: parse_start_position(&options.from)?,
        until_caught_up: options.until_caught_up,
        accept_gap: options.accept_gap,
        accept_rejects: options.accept_rejects,
        clock_at_end: None,
        limits: FlushLimits {
            rows: options.flush_rows.map_or(limits.rows, |n| n as usize),
            age: options.flush_seconds.map_or(limits.age, Duration::from_secs),
            ..limits
        },
    };
    let metrics = options.metrics.as_deref().map(metrics_endpoint::parse_address).transpose()?;
    let lake = runtime.block_on(Lake::open_or_create(&config.lake()))?;
    let status_board = StatusBoard::default();
    let endpoint =
        metrics.map(|address| MetricsEndpoint::start(address, &status_board)).transpose()?;
    if let Some(address) = endpoint.as_ref().and_then(MetricsEndpoint::address) {
        tracing::info!(%address, "answering /metrics and /healthz");
    }
    let spinner = Spinner::start("ingest", quiet);
    let mut rate_meter = RateMeter::new();
    let mut show = |status: &Status| {
        if let Some(rate) = rate_meter.rate(status.counts.records) {
            if endpoint.is_some() {
                status_board.update(status);
            }
            spinner.set_message(format!(
                "{}, {rate}/s, lag {}, {}, {}",
                counted(status.counts.records, "record"),
                thousands(u64::try_from(status.lag).unwrap_or(0)),
                counted(status.partitions.len(), "partition"),
                counted(status.counts.commits, "commit"),
            ));
        }
    };
    let result = ingest::run(&lake, &settings, &run_options, runtime.handle(), stop, &mut show);
    drop(spinner);
    result.map_err(explained)
}

/// Parses `--from`.
fn parse_start_position(text: &str) -> anyhow::Result<StartPosition> {
    match text {
        "earliest" => Ok(StartPosition::Earliest),
        "latest" => Ok(StartPosition::Latest),
        other => parse_instant(other).map(StartPosition::Instant).ok_or_else(|| {
            usage_error(format!(
                "--from \"{other}\": give earliest, latest, a date or an RFC 3339 instant"
            ))
        }),
    }
}

/// Returns a flag that SIGTERM and Ctrl-C set: the run commits its buffers and ends. A second
/// Ctrl-C ends the process at once.
fn stop_flag(runtime: &tokio::runtime::Runtime) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    runtime.spawn(async move {
        shutdown::wait_for_signal().await;
        flag.store(true, Ordering::Relaxed);
        if tokio::signal::ctrl_c().await.is_ok() {
            scratch_folder::remove();
            std::process::exit(130);
        }
    });
    stop
}

/// Explains on standard error why most records were rejected, where that ends a run.
fn explained(error: IngestError) -> anyhow::Error {
    if let IngestError::MostlyRejected { counts, .. } | IngestError::MostlySealed { counts, .. } =
        &error
    {
        rejections::print_note(&counts.rejections);
    }
    error.into()
}
