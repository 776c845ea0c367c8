//! `rapport ingest run` and `rapport ingest load`: reads events from Kafka, or from files.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::{agree, counted, parse_instant, thousands};
use ingest::{
    FlushLimits, IngestCounts, LoadOptions, RunOptions, SourceFile, StartPosition, Status,
};
use lake::Lake;

use crate::args::{IngestLoadArgs, IngestRunArgs};
use crate::config::Config;
use crate::errors::usage_error;
use crate::metrics_endpoint::{self, MetricsEndpoint, StatusBoard};
use crate::output::{print_line, print_note};
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
    let counts = from_kafka(config, options, runtime, quiet)?;
    print_line(&summary(&counts, began.elapsed()))?;
    print_sealed_note(&counts);
    Ok(())
}

/// Prints what became of records for days that retention has sealed, and what can be done.
pub(super) fn print_sealed_note(counts: &IngestCounts) {
    let Some(first) = counts.sealed_before else { return };
    let n = counts.sealed_days;
    let (of, are) = (thousands(n), agree(n, "is", "are"));
    print_note(&format!(
        "{of} of the rejected records {are} of days before {first}, which retention has sealed: what was computed of these days stays, and nothing more is counted for them, also no copy of an event that was there. They are among the dead letters as out_of_range. To keep days longer, lengthen [lake.retention] in rapport.toml before `rapport lake retain` seals them."
    ));
}

/// Reads the topics until it is caught up or a signal comes, and returns the counts.
pub(crate) fn from_kafka(
    config: &Config,
    options: &IngestRunArgs,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<IngestCounts> {
    let settings = config.kafka()?;
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
    let stop = stop_flag(runtime);
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
    let counts = ingest::run(&lake, &settings, &run_options, runtime.handle(), &stop, &mut show)?;
    Ok(counts)
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

/// Loads files and prints what was done.
pub(crate) async fn load(
    config: &Config,
    options: &IngestLoadArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let arrival = options
        .arrival
        .as_deref()
        .map(|text| {
            parse_instant(text).ok_or_else(|| {
                usage_error(format!("--arrival \"{text}\": give a date or an RFC 3339 instant"))
            })
        })
        .transpose()?;
    let mut spooled = Vec::new();
    let mut sources = Vec::new();
    for path in &options.files {
        if path == Path::new("-") {
            let file = spool_stdin()?;
            sources.push(SourceFile { name: "stdin".to_owned(), path: file.path().to_owned() });
            spooled.push(file);
            continue;
        }
        if !path.is_file() {
            return Err(usage_error(format!(
                "there is no file {}; give NDJSON files, or - for standard input",
                path.display()
            )));
        }
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        sources.push(SourceFile { name, path: path.clone() });
    }
    let lake = Lake::open_or_create(&config.lake()).await?;
    let load_options = LoadOptions {
        stream: options.stream,
        arrival,
        accept_rejects: options.accept_rejects,
        limits: FlushLimits::default(),
    };
    let spinner = Spinner::start("load", quiet);
    let mut rate_meter = RateMeter::new();
    let began = Instant::now();
    let counts = ingest::load(&lake, &sources, &load_options, &mut |counts, bytes| {
        if let Some(rate) = rate_meter.rate(counts.records) {
            spinner.set_message(format!(
                "{}, {rate}/s, {} MB",
                counted(counts.records, "record"),
                thousands(bytes >> 20)
            ));
        }
    })
    .await?;
    drop(spinner);
    if counts.records == 0 {
        return print_line("Nothing new: the lake has these bytes already, or there are none");
    }
    let before = match counts.already_stored {
        0 => String::new(),
        n => format!("; {} {} loaded before", counted(n, "line"), agree(n, "was", "were")),
    };
    print_line(&format!("{}{before}", summary(&counts, began.elapsed())))?;
    print_sealed_note(&counts);
    Ok(())
}

/// Copies standard input to a temporary file, because its digest is needed before its first record.
fn spool_stdin() -> anyhow::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new_in(scratch_folder::folder()?)
        .context("a temporary file for standard input")?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let taken = std::io::stdin().read(&mut buffer).context("standard input")?;
        if taken == 0 {
            file.flush().context("the temporary file of standard input")?;
            return Ok(file);
        }
        file.write_all(&buffer[..taken]).context("the temporary file of standard input")?;
    }
}

fn summary(counts: &IngestCounts, took: Duration) -> String {
    let mut text = format!(
        "{} in {:.1} s: {} accepted ({} late), {} rejected",
        counted(counts.records, "record"),
        took.as_secs_f64(),
        thousands(counts.accepted),
        thousands(counts.late),
        thousands(counts.rejected),
    );
    for (index, (reason, n)) in counts.by_reason.iter().enumerate() {
        text.push_str(if index == 0 { " (" } else { ", " });
        text.push_str(&format!("{reason} {}", thousands(*n)));
    }
    if !counts.by_reason.is_empty() {
        text.push(')');
    }
    if counts.tombstones > 0 {
        text.push_str(&format!(", {}", counted(counts.tombstones, "tombstone")));
    }
    text
}

/// Measures the records a second for the progress line, about four times a second.
struct RateMeter {
    at: Instant,
    records: u64,
}

impl RateMeter {
    fn new() -> Self {
        Self { at: Instant::now(), records: 0 }
    }

    fn rate(&mut self, records: u64) -> Option<String> {
        let elapsed = self.at.elapsed();
        if elapsed < Duration::from_millis(250) {
            return None;
        }
        // A load that starts a file again takes records back.
        let rate = records.saturating_sub(self.records) as f64 / elapsed.as_secs_f64();
        *self = Self { at: Instant::now(), records };
        Some(thousands(rate as u64))
    }
}
