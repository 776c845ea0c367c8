//! `rapport ingest run`, `load`, `try` and `mappings`: events from Kafka and from files, and the
//! mappings they go through.
//!
//! - `run`: reads the topics
//! - `load`: loads files
//! - `load_report`: what a load did
//! - `file_sources`: the files, folders and pipes that a command line names
//! - `trial`: `rapport ingest try`
//! - `mappings`: `rapport ingest mappings`
//! - `summary`: the counts of a run, for people and as JSON
//! - `rejections`: which rules were broken, and where first
//! - `file_advice`: what a rejected file looks like, and what to do with it

mod file_advice;
mod file_sources;
mod load;
mod load_report;
mod mappings;
mod rejections;
mod run;
mod summary;
mod trial;

use std::time::Instant;

use domain::{Stream, thousands};
use ingest::mapping::Mapping;

use crate::config::{Config, NO_MAPPING, given_mapping};
use crate::errors::usage_error;

pub(crate) use load::load;
pub(crate) use mappings::list as list_mappings;
pub(super) use rejections::print as print_rejections;
pub(crate) use run::{from_kafka, run};
pub(super) use summary::print_sealed_note;
pub(crate) use trial::run as try_file;

/// Returns the stream and the mapping of files, from `--stream`, `--mapping` and `rapport.toml`.
fn stream_and_mapping(
    config: Option<&Config>,
    stream: Option<Stream>,
    mapping: Option<&str>,
) -> anyhow::Result<(Stream, Option<Mapping>)> {
    let mapping = match mapping {
        Some(NO_MAPPING) => None,
        Some(given) => Some(given_mapping(config, given)?),
        None => match config.zip(stream) {
            Some((config, stream)) => config.mapping(stream)?,
            None => None,
        },
    };
    let named = mapping.as_ref().and_then(Mapping::stream);
    match (stream, named) {
        (Some(given), Some(other)) if given != other => Err(usage_error(format!(
            "--stream {given}: the mapping {} gives {other}; leave --stream out, or choose another \
             mapping",
            mapping.as_ref().map_or("", Mapping::name)
        ))),
        (Some(stream), _) | (None, Some(stream)) => Ok((stream, mapping)),
        (None, None) if mapping.is_some() => Err(usage_error(
            "which stream? The mapping names none: give --stream, or name it in the mapping's header",
        )),
        (None, None) => Err(usage_error(format!(
            "which stream? Give --stream {} for events of the contract, or --mapping RECIPE for the \
             log or export of another program (`rapport ingest mappings` lists the recipes)",
            Stream::ALL.map(Stream::name).join(" | ")
        ))),
    }
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
        if elapsed.as_millis() < 250 {
            return None;
        }
        // A load that starts a file again takes records back.
        let rate = records.saturating_sub(self.records) as f64 / elapsed.as_secs_f64();
        *self = Self { at: Instant::now(), records };
        Some(thousands(rate as u64))
    }
}
