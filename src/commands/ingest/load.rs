//! `rapport ingest load`: loads files. Each is judged by itself: one that can't be read or is
//! rejected whole bars none of the others.

use std::io;
use std::time::{Duration, Instant};

use domain::{counted, parse_instant, printable, thousands};
use ingest::mapping::Mapping;
use ingest::{
    FileHead, FlushLimits, IngestCounts, IngestError, LoadOptions, SourceFile, detect_format,
};
use lake::Lake;

use super::file_advice::RejectedFile;
use super::file_sources::{self, FileSource, OpenSource};
use super::load_report::{self, FileOutcome, FileState};
use super::{RateMeter, stream_and_mapping};
use crate::args::{IngestLoadArgs, TextFormat};
use crate::config::Config;
use crate::errors::usage_error;
use crate::progress::Spinner;

/// Loads files and prints what was done.
pub(crate) async fn load(
    config: &Config,
    options: &IngestLoadArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let arrival = options.arrival.as_deref().map(parse_arrival).transpose()?;
    let (stream, mapping) =
        stream_and_mapping(Some(config), options.stream, options.mapping.as_deref())?;
    let lake_options = config.lake();
    let own = [config.folder.clone(), lake_options.root.clone().into()];
    let sources = file_sources::find(&options.files, &own)?;
    let lake = Lake::open_or_create(&lake_options).await?;
    let began = Instant::now();
    let loader = Loader {
        lake: &lake,
        options: LoadOptions {
            stream,
            mapping,
            arrival,
            accept_rejects: options.accept_rejects,
            limits: FlushLimits::default(),
        },
        spinner: Spinner::start("load", quiet),
    };
    let mut outcomes = Vec::new();
    for source in &sources {
        outcomes.push(loader.load(source).await?);
    }
    let Loader { options: load_options, spinner, .. } = loader;
    drop(spinner);
    match options.format {
        TextFormat::Text => load_report::print(&outcomes, began.elapsed())?,
        TextFormat::Json => load_report::print_json(&outcomes, &load_options, began.elapsed())?,
    }
    load_report::verdict(&outcomes, options.accept_rejects)
}

fn parse_arrival(text: &str) -> anyhow::Result<i64> {
    parse_instant(text).ok_or_else(|| {
        usage_error(format!("--arrival \"{text}\": give a date or an RFC 3339 instant"))
    })
}

struct Loader<'a> {
    lake: &'a Lake,
    options: LoadOptions,
    spinner: Spinner,
}

impl Loader<'_> {
    /// Loads a file. Fails where the others can't be loaded either.
    async fn load(&self, source: &FileSource) -> anyhow::Result<FileOutcome> {
        let began = Instant::now();
        let mut outcome = FileOutcome {
            shown: source.shown.clone(),
            counts: IngestCounts::default(),
            took: Duration::ZERO,
            state: FileState::Loaded,
            format: None,
            advice: String::new(),
        };
        let opened = source.open().and_then(|opened| {
            let head = FileHead::read(&opened.path).map_err(|error| unreadable(source, &error))?;
            Ok((opened, head))
        });
        let (opened, head) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                outcome.state = FileState::Unreadable;
                outcome.advice = format!("{error:#}");
                return Ok(outcome);
            }
        };
        if head.is_empty() {
            outcome.state = FileState::Empty;
        } else if head.container().is_some() && !self.options.accept_rejects {
            outcome.state = FileState::Refused;
        } else {
            self.load_opened(source, &opened, &mut outcome).await?;
        }
        let counts = &outcome.counts;
        let is_mostly_rejected = counts.rejected * 2 > counts.records && counts.already_stored == 0;
        if is_mostly_rejected || outcome.state == FileState::Refused {
            self.explain(source, &head, &mut outcome);
        }
        outcome.counts.rejections.set_file(&source.shown);
        outcome.took = began.elapsed();
        Ok(outcome)
    }

    async fn load_opened(
        &self,
        source: &FileSource,
        opened: &OpenSource,
        outcome: &mut FileOutcome,
    ) -> anyhow::Result<()> {
        let files = [SourceFile { name: source.name.clone(), path: opened.path.clone() }];
        let mut rate_meter = RateMeter::new();
        let mut show = |counts: &IngestCounts, bytes: u64| {
            if let Some(rate) = rate_meter.rate(counts.records) {
                self.spinner.set_message(format!(
                    "{}: {}, {rate}/s, {} MB",
                    printable(&source.name),
                    counted(counts.records, "record"),
                    thousands(bytes >> 20)
                ));
            }
        };
        match ingest::load(self.lake, &files, &self.options, &mut show).await {
            Ok(counts) => {
                // Events of sealed days are no sign of a wrong file.
                let is_whole = counts.accepted == 0
                    && counts.rejected > 0
                    && counts.already_stored == 0
                    && counts.sealed_days * 2 <= counts.rejected;
                outcome.state = match counts.records {
                    0 => FileState::NothingNew,
                    _ if is_whole => FileState::RejectedWhole,
                    _ => FileState::Loaded,
                };
                outcome.counts = counts;
            }
            Err(
                IngestError::MostlyRejected { counts, .. }
                | IngestError::MostlySealed { counts, .. },
            ) => {
                outcome.state = FileState::Stopped;
                outcome.counts = *counts;
            }
            Err(IngestError::File { source: error, .. }) => {
                outcome.state = FileState::Unreadable;
                outcome.advice = format!("{:#}", unreadable(source, &error));
            }
            Err(other) => return Err(other.into()),
        }
        Ok(())
    }

    /// Finds out what a rejected file looks like.
    fn explain(&self, source: &FileSource, head: &FileHead, outcome: &mut FileOutcome) {
        // Records of sealed days are events, only too late.
        if outcome.counts.sealed_days * 2 > outcome.counts.rejected.max(1) {
            return;
        }
        let now = chrono::Utc::now().timestamp_micros();
        let format = detect_format(head, self.options.stream, now);
        let rejected = RejectedFile {
            path: source.is_file().then_some(source.shown.as_str()),
            decompress: head.decompress_command(),
            stream: self.options.stream,
            mapping: self.options.mapping.as_ref().map(Mapping::name),
            was_tried: false,
        };
        outcome.advice = rejected.advice(&format);
        // Of an array with one element a line, the last line is a record.
        if outcome.state == FileState::Loaded && format.shape.spans_lines() {
            outcome.state = FileState::RejectedWhole;
        }
        // Where some records are events, it is no wonder that nothing else fits.
        if outcome.state == FileState::Loaded && format.fit.is_none() {
            outcome.advice.clear();
        }
        outcome.format = Some(format);
    }
}

fn unreadable(source: &FileSource, error: &io::Error) -> anyhow::Error {
    anyhow::anyhow!("the file {}: {error}", source.shown)
}
