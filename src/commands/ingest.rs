//! `rapport ingest run | load`.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use ingest::{Counts, From, Limits, LoadOptions, RunOptions, Source, Status};
use lake::Lake;
use lake_types::{agree, counted, parse_instant};

use crate::args::{IngestLoad, IngestRun};
use crate::config::Config;
use crate::failure::usage;
use crate::output::{line, note};
use crate::progress::{Stage, count};
use crate::scratch;
use crate::watch::{self, Board, Endpoint};

pub(crate) fn run(
    config: &Config,
    options: &IngestRun,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let counts = from_kafka(config, options, runtime, quiet)?;
    line(&summary(&counts, began.elapsed()))?;
    say_sealed(&counts);
    Ok(())
}

/// Says of records for sealed days what has become of them, and what can be done.
pub(super) fn say_sealed(counts: &Counts) {
    let Some(first) = counts.sealed_before else { return };
    let n = counts.of_sealed_days;
    let (of, are) = (count(n), agree(n, "is", "are"));
    note(&format!(
        "{of} of the rejected records {are} of days before {first}, which retention has sealed: what was computed of these days stays, and nothing more is counted for them, also no copy of an event that was there. They are among the dead letters as out_of_range. To keep days longer, lengthen [lake.retention] in rapport.toml before `rapport lake retain` seals them."
    ));
}

/// Reads the topics until caught up or told to stop; what was done.
pub(crate) fn from_kafka(
    config: &Config,
    options: &IngestRun,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<Counts> {
    let settings = config.kafka()?;
    let limits = Limits::default();
    let run_options = RunOptions {
        from: from(&options.from)?,
        until_caught_up: options.until_caught_up,
        accept_gap: options.accept_gap,
        accept_rejects: options.accept_rejects,
        clock_at_end: None,
        limits: Limits {
            rows: options.flush_rows.map_or(limits.rows, |n| n as usize),
            age: options.flush_seconds.map_or(limits.age, Duration::from_secs),
            ..limits
        },
    };
    let metrics = options.metrics.as_deref().map(watch::address).transpose()?;
    let lake = runtime.block_on(Lake::open_or_create(&config.lake()))?;
    let board = Board::default();
    let endpoint = metrics.map(|address| Endpoint::start(address, &board)).transpose()?;
    if let Some(address) = endpoint.as_ref().and_then(Endpoint::address) {
        tracing::info!(%address, "answering /metrics and /healthz");
    }
    let stop = stop_on_signal(runtime);
    let stage = Stage::begin("ingest", quiet);
    let mut pace = Pace::new();
    let mut show = |status: &Status| {
        if let Some(rate) = pace.rate(status.counts.records) {
            if endpoint.is_some() {
                board.put(status);
            }
            stage.say(format!(
                "{}, {rate}/s, lag {}, {}, {}",
                counted(status.counts.records, "record"),
                count(u64::try_from(status.lag).unwrap_or(0)),
                counted(status.partitions.len(), "partition"),
                counted(status.counts.commits, "commit"),
            ));
        }
    };
    let counts = ingest::run(&lake, &settings, &run_options, runtime.handle(), &stop, &mut show)?;
    Ok(counts)
}

fn from(text: &str) -> anyhow::Result<From> {
    match text {
        "earliest" => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        other => parse_instant(other).map(From::Instant).ok_or_else(|| {
            usage(format!(
                "--from \"{other}\": give earliest, latest, a date or an RFC 3339 instant"
            ))
        }),
    }
}

/// SIGTERM and Ctrl-C commit what is held and end the run; a second Ctrl-C ends it at once.
fn stop_on_signal(runtime: &tokio::runtime::Runtime) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    runtime.spawn(async move {
        wait_for_signal().await;
        flag.store(true, Ordering::Relaxed);
        if tokio::signal::ctrl_c().await.is_ok() {
            scratch::remove();
            std::process::exit(130);
        }
    });
    stop
}

/// SIGTERM or Ctrl-C.
#[cfg(unix)]
pub(super) async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
pub(super) async fn wait_for_signal() {
    drop(tokio::signal::ctrl_c().await);
}

pub(crate) async fn load(config: &Config, options: &IngestLoad, quiet: bool) -> anyhow::Result<()> {
    let arrival = options
        .arrival
        .as_deref()
        .map(|text| {
            parse_instant(text).ok_or_else(|| {
                usage(format!("--arrival \"{text}\": give a date or an RFC 3339 instant"))
            })
        })
        .transpose()?;
    let mut spooled = Vec::new();
    let mut sources = Vec::new();
    for path in &options.files {
        if path == Path::new("-") {
            let file = spool()?;
            sources.push(Source { name: "stdin".to_owned(), path: file.path().to_owned() });
            spooled.push(file);
            continue;
        }
        if !path.is_file() {
            return Err(usage(format!(
                "there is no file {}; give NDJSON files, or - for standard input",
                path.display()
            )));
        }
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        sources.push(Source { name, path: path.clone() });
    }
    let lake = Lake::open_or_create(&config.lake()).await?;
    let load_options = LoadOptions {
        stream: options.stream,
        arrival,
        accept_rejects: options.accept_rejects,
        limits: Limits::default(),
    };
    let stage = Stage::begin("load", quiet);
    let mut pace = Pace::new();
    let began = Instant::now();
    let counts = ingest::load(&lake, &sources, &load_options, &mut |counts, bytes| {
        if let Some(rate) = pace.rate(counts.records) {
            stage.say(format!(
                "{}, {rate}/s, {} MB",
                counted(counts.records, "record"),
                count(bytes >> 20)
            ));
        }
    })
    .await?;
    drop(stage);
    if counts.records == 0 {
        return line("Nothing new: the lake has these bytes already, or there are none");
    }
    let before = match counts.repeated {
        0 => String::new(),
        n => format!("; {} {} loaded before", counted(n, "line"), agree(n, "was", "were")),
    };
    line(&format!("{}{before}", summary(&counts, began.elapsed())))?;
    say_sealed(&counts);
    Ok(())
}

/// Standard input goes to a file first, so that its digest is known before its first record.
fn spool() -> anyhow::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new_in(scratch::folder()?)
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

fn summary(counts: &Counts, took: Duration) -> String {
    let mut text = format!(
        "{} in {:.1} s: {} accepted ({} late), {} rejected",
        counted(counts.records, "record"),
        took.as_secs_f64(),
        count(counts.accepted),
        count(counts.late),
        count(counts.rejected),
    );
    for (index, (reason, n)) in counts.by_reason.iter().enumerate() {
        text.push_str(if index == 0 { " (" } else { ", " });
        text.push_str(&format!("{reason} {}", count(*n)));
    }
    if !counts.by_reason.is_empty() {
        text.push(')');
    }
    if counts.tombstones > 0 {
        text.push_str(&format!(", {}", counted(counts.tombstones, "tombstone")));
    }
    text
}

/// Rates for progress, about four times a second.
struct Pace {
    at: Instant,
    records: u64,
}

impl Pace {
    fn new() -> Self {
        Self { at: Instant::now(), records: 0 }
    }

    fn rate(&mut self, records: u64) -> Option<String> {
        let elapsed = self.at.elapsed();
        if elapsed < Duration::from_millis(250) {
            return None;
        }
        // Of a load that reads a file again records are taken back.
        let rate = records.saturating_sub(self.records) as f64 / elapsed.as_secs_f64();
        *self = Self { at: Instant::now(), records };
        Some(count(rate as u64))
    }
}
