//! The command line of `rapport ingest` and `rapport bench`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use domain::Stream;
use ingest::decode::RejectReason;

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum IngestCommand {
    /// Read the topics of the cluster in a consumer group
    #[command(
        after_help = "Examples:\n  rapport ingest run\n  rapport ingest run --until-caught-up --from 2026-01-01\n  rapport ingest run --metrics 127.0.0.1:9464"
    )]
    Run(IngestRunArgs),
    /// Load NDJSON files, plain, gzip or zstd, through the same checks; the same bytes again add nothing
    #[command(
        after_help = "A file is known by its bytes, not by its name. One that has grown since it was loaded goes on\nwhere it ended; a last line that was cut off then is read again, whole.\n\nExamples:\n  rapport ingest load --stream api-calls calls-*.ndjson calls-*.ndjson.gz\n  curl -s https://example.com/calls.zst | rapport ingest load --stream api-calls -"
    )]
    Load(IngestLoadArgs),
    /// The contracts: which fields an event has, and what each may be
    #[command(
        after_help = "A record is JSON with these fields, CloudEvents JSON whose data has them (id and time are\nevent_id and occurred_at), or Avro. Fields of other names are kept in the column extra. What\nbreaks a rule is a dead letter: `rapport ingest dead-letters`.\n\nExamples:\n  rapport ingest fields\n  rapport ingest fields billing-events\n  rapport ingest fields --format json"
    )]
    Fields(FieldsArgs),
    /// List the rejected records, or open them
    #[command(
        after_help = "Examples:\n  rapport ingest dead-letters\n  rapport ingest dead-letters --reason wrong_type --open --limit 5"
    )]
    DeadLetters(DeadLettersArgs),
    /// Put the dead letters through the checks again; what passes now moves to its raw table
    Replay {
        /// Only those of one stream
        #[arg(long, value_name = "STREAM")]
        stream: Option<Stream>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct IngestRunArgs {
    /// End at the positions that were the end when the run began
    #[arg(long)]
    pub(crate) until_caught_up: bool,
    /// Where to begin where the lake has no position yet: earliest, latest, or an instant
    #[arg(long, value_name = "earliest|latest|INSTANT", default_value = "earliest")]
    pub(crate) from: String,
    /// Go on over records that the broker no longer has
    #[arg(long)]
    pub(crate) accept_gap: bool,
    /// Go on although most records are rejected
    #[arg(long)]
    pub(crate) accept_rejects: bool,
    /// Commit after so many rows at the latest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) flush_rows: Option<u32>,
    /// Commit after so many seconds at the latest
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) flush_seconds: Option<u64>,
    /// Answer Prometheus at http://ADDR/metrics, and /healthz; a port alone is 127.0.0.1
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestLoadArgs {
    /// Which stream the files hold
    #[arg(long, value_name = "api-calls|partner-events|billing-events|support-events")]
    pub(crate) stream: Stream,
    /// The arrival of the events [default: the instant of the run that first reads the file]
    #[arg(long, value_name = "INSTANT")]
    pub(crate) arrival: Option<String>,
    /// Go on although most records are rejected
    #[arg(long)]
    pub(crate) accept_rejects: bool,
    /// NDJSON files, plain or compressed by gzip or zstd; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FieldsArgs {
    /// Of one stream only
    #[arg(value_name = "STREAM")]
    pub(crate) stream: Option<Stream>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    /// Only those of one stream
    #[arg(long, value_name = "STREAM")]
    pub(crate) stream: Option<Stream>,
    /// Only those with this reason
    #[arg(long, value_parser = reasons())]
    pub(crate) reason: Option<RejectReason>,
    /// Open them with the lake's key: the record's key, headers and value. They may hold secrets
    #[arg(long)]
    pub(crate) open: bool,
    /// The newest so many
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Ingest's CPU time an event, beside that of librdkafka alone on the same topic
    #[command(
        after_help = "Makes a topic rapport-bench-…, fills it with simulated calls, and reads it in turns: drained by\nlibrdkafka with nothing done to the records, and by ingest into a temporary lake. Topic and lakes\nare deleted at the end. What counts is the CPU time of this process; the broker must be another.\n\nExamples:\n  rapport bench ingest\n  rapport bench ingest --events 1000000 --bootstrap 127.0.0.1:9092 --format json"
    )]
    Ingest(BenchIngestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchIngestArgs {
    /// About how many events
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) events: u64,
    /// Partitions of the topic
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) partitions: u32,
    /// How often both read the topic
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// The brokers [default: those of the project]
    #[arg(long, value_name = "SERVERS")]
    pub(crate) bootstrap: Option<String>,
    /// Commit after so many rows at the latest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) flush_rows: Option<u32>,
    /// Where the temporary lakes are [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// table or json
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// One of the reasons; the help and a refusal name them.
fn reasons() -> impl TypedValueParser<Value = RejectReason> {
    PossibleValuesParser::new(RejectReason::ALL.map(RejectReason::as_str))
        .try_map(|name| name.parse::<RejectReason>())
}
