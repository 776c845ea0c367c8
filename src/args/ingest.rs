//! The command line of `rapport ingest` and `rapport bench`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use domain::Stream;
use ingest::decode::RejectReason;

use super::{BenchScoreArgs, Format, ReportFormat, TextFormat};

#[derive(Debug, Subcommand)]
pub(crate) enum IngestCommand {
    /// Read the topics of the cluster in a consumer group
    #[command(
        after_help = "A stream whose records come in another format has a mapping, in [ingest.mapping] of rapport.toml.\nRejected records are explained at the end: the rule that was broken, how often, and where first.\n\nExamples:\n  rapport ingest run\n  rapport ingest run --until-caught-up --from 2026-01-01\n  rapport ingest run --metrics 127.0.0.1:9464\n  rapport ingest run --until-caught-up --format json | jq .rejections"
    )]
    Run(IngestRunArgs),
    /// Load files of one record a line, plain or compressed, through the same checks; the same bytes again add nothing
    #[command(
        after_help = "A file is known by its bytes, not by its name. One that has grown since it was loaded goes on\nwhere it ended; a last line that was cut off then is read again, whole. Each file is judged by\nitself: one that is rejected whole ends the load with 3, and what it looks like is said; the\nothers are loaded all the same. Of a folder every file below it is loaded, hidden ones left out.\n\nRecords in another format go through a mapping, which is a recipe or a jq program of your own\n(`rapport ingest mappings`). A file that was loaded without it is loaded anew with it.\n\nExamples:\n  rapport ingest load --stream api-calls calls-*.ndjson calls-*.ndjson.gz\n  rapport ingest load --mapping kong-http-log /var/log/kong/\n  rapport ingest load --mapping gateway.jq --stream api-calls gateway.log.zst\n  curl -s https://example.com/calls.zst | rapport ingest load --stream api-calls -\n  rapport ingest load --stream support-events <(jq -c '.tickets[]' export.json)"
    )]
    Load(IngestLoadArgs),
    /// Show what a mapping would make of a file, and what would be rejected and why; writes nothing
    #[command(
        after_help = "Needs no project. The first records are shown before and after, then every kind of rejected\nrecord with its lines; the counts are those of the whole file. Without --mapping the records are\nchecked as they are. What is shown of records is your own file: mind secrets before you share it.\n\nExamples:\n  rapport ingest try --mapping kong-http-log kong.log\n  rapport ingest try --mapping gateway.jq --stream api-calls gateway.log --limit 20\n  rapport ingest try --stream billing-events bills.ndjson --format json | jq .rejections"
    )]
    Try(IngestTryArgs),
    /// List the recipes, which are the built-in mappings, or print one
    #[command(
        after_help = "A mapping is a jq program: its input is one record, its output one event of the contract, `empty`\nto leave the record out. $position is an event_id where the source has none; $arrival, $topic, $key\nand $headers tell the rest. Its header, the TOML in its first comment, names the stream.\n\nExamples:\n  rapport ingest mappings\n  rapport ingest mappings kong-http-log > gateway.jq\n  rapport ingest mappings --functions\n  rapport ingest try --mapping gateway.jq gateway.log"
    )]
    Mappings(MappingsArgs),
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
    #[command(
        after_help = "A dead letter goes through the mapping that rejected it, as it is now: correct the mapping's file\nand replay. --mapping puts them through another one, `--mapping none` through none; where dead\nletters came through several, --from says which of them are meant.\n\nExamples:\n  rapport ingest replay\n  rapport ingest replay --mapping gateway.jq --from nginx-combined"
    )]
    Replay(ReplayArgs),
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
    /// Print the counts and what was rejected as text or as JSON
    #[arg(long, value_enum, default_value_t = TextFormat::Text)]
    pub(crate) format: TextFormat,
}

#[derive(Debug, Args)]
pub(crate) struct IngestLoadArgs {
    /// Which stream the files hold [default: that of the mapping]
    #[arg(
        long,
        value_name = "api-calls|partner-events|billing-events|support-events",
        required_unless_present = "mapping"
    )]
    pub(crate) stream: Option<Stream>,
    /// Put the records through a recipe or a jq program; none for none [default: that of the stream in rapport.toml]
    #[arg(long, value_name = "RECIPE|FILE.jq|none")]
    pub(crate) mapping: Option<String>,
    /// The arrival of the events [default: the instant of the run that first reads the file]
    #[arg(long, value_name = "INSTANT")]
    pub(crate) arrival: Option<String>,
    /// Go on although most records are rejected, and end with 0 also where a whole file is
    #[arg(long)]
    pub(crate) accept_rejects: bool,
    /// Print the counts and what was rejected as text or as JSON
    #[arg(long, value_enum, default_value_t = TextFormat::Text)]
    pub(crate) format: TextFormat,
    /// Files of one record a line, plain or compressed by gzip, zstd, xz or bzip2; pipes, or folders
    /// of files; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestTryArgs {
    /// A recipe, or a jq program of your own
    #[arg(long, value_name = "RECIPE|FILE.jq|none")]
    pub(crate) mapping: Option<String>,
    /// Which stream the events belong to [default: that of the mapping]
    #[arg(long, value_name = "STREAM", required_unless_present = "mapping")]
    pub(crate) stream: Option<Stream>,
    /// How many records are shown, and how many of those that are rejected; 0 is all
    #[arg(long, value_name = "N", default_value = "5", value_parser = super::parse_limit)]
    pub(crate) limit: usize,
    #[arg(long, value_enum, default_value_t = TextFormat::Text)]
    pub(crate) format: TextFormat,
    /// A file of one record a line, plain or compressed; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct MappingsArgs {
    /// Print the program of this one
    #[arg(value_name = "RECIPE", conflicts_with = "format")]
    pub(crate) name: Option<String>,
    /// Print the functions that every mapping may call beside those of jq
    #[arg(long, conflicts_with_all = ["name", "format"])]
    pub(crate) functions: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Only those of one stream
    #[arg(long, value_name = "STREAM")]
    pub(crate) stream: Option<Stream>,
    /// Put them through this mapping; none for none [default: the one that rejected each]
    #[arg(long, value_name = "RECIPE|FILE.jq|none")]
    pub(crate) mapping: Option<String>,
    /// Only those that came through this mapping, or through none
    #[arg(long, value_name = "RECIPE|FILE.jq|none")]
    pub(crate) from: Option<String>,
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
    /// The newest so many; 0 is all
    #[arg(long, value_name = "N", default_value = "20", value_parser = super::parse_limit)]
    pub(crate) limit: usize,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Ingest's CPU time an event, beside that of librdkafka alone on the same topic
    #[command(
        after_help = "Makes a topic rapport-bench-…, fills it with simulated calls, and reads it in turns: drained by\nlibrdkafka with nothing done to the records, and by ingest into a temporary lake. Topic and lakes\nare deleted at the end. What counts is the CPU time of this process; the broker must be another.\n\nWith --mapping each round also ingests the same events through it, and the cost of a mapped event\nis given as a multiple of a plain one's of that round. For kong-http-log they are produced once\nmore in Kong's shape, about three times as long, to a topic of their own; any other mapping reads\nthe events as they are, so a program of one dot shows what mapping costs by itself.\n\nExamples:\n  rapport bench ingest\n  rapport bench ingest --mapping kong-http-log\n  rapport bench ingest --events 1000000 --bootstrap 127.0.0.1:9092 --format json"
    )]
    Ingest(BenchIngestArgs),
    /// Commits a second of many workers on one table, beside what the store can do
    #[command(
        after_help = "Workers commit positions to one table for some seconds, each with a lake of its own as processes\nhave, and a new lake each round. The floor is one writer that puts objects of the size of a log\nentry one after the other. What was made is deleted at the end.\n\nExamples:\n  rapport bench commits\n  rapport bench commits --workers 4,16 --lake s3://bucket/bench --format json"
    )]
    Commits(BenchCommitsArgs),
    /// Scoring's time and memory: the pure function on a million partners of one day, or the queries
    #[command(
        after_help = "The partners are made in memory from a seed. Times stand beside that of reading the same columns\nonce and that of sorting one of them, measured in the same run. The budget of a million partners is\n30 s and 4 GiB on two cores.\n\nExamples:\n  rapport bench score\n  rapport bench score --queries --format json"
    )]
    Score(BenchScoreArgs),
    /// How long the served pages of a project take with many readers at once
    #[command(
        after_help = "Starts a server on the project's lake and reads its pages from the same process: each once while\nnothing is in memory, then again and again, then an address that reads nothing, which is what the\nreaders and the server take by themselves. The budget is p99 1 s cold and 100 ms cached.\n\nExamples:\n  rapport demo --partners 20000 --events 20000000 --dir big\n  rapport bench serve --config big/rapport.toml"
    )]
    Serve(BenchServeArgs),
    /// Every benchmark as ratios, and what got worse since an earlier run
    #[command(
        after_help = "Each ratio is a cost beside that of a peer or a floor of the same run, so that two machines, or a\nbusy and a quiet hour, can be compared. A ratio got worse if every round now is above every round of\nthe earlier run; then the exit code is 3. Without --bootstrap, a project or --duckdb, what needs them\nis left out, and said so.\n\nExamples:\n  rapport bench all --out before.json\n  rapport bench all --against before.json\n  rapport bench all --config big/rapport.toml --bootstrap 127.0.0.1:9092 \\\n    --duckdb benches/duckdb/bench.py --as-of 2026-07-01 --out before.json"
    )]
    All(BenchAllArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchAllArgs {
    /// How often each ratio is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Compare with the ratios in this file, which an earlier run wrote
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// Write the ratios here as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Measure ingest too, on these brokers
    #[arg(long, value_name = "SERVERS")]
    pub(crate) bootstrap: Option<String>,
    /// Measure queries beside DuckDB too: benches/duckdb/bench.py of the repository
    #[arg(long, value_name = "SCRIPT", requires = "as_of")]
    pub(crate) duckdb: Option<PathBuf>,
    /// The Python that has duckdb
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// The instant of the metrics beside DuckDB's, a UTC midnight such as 2026-07-01
    #[arg(long, value_name = "DATE")]
    pub(crate) as_of: Option<String>,
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
pub(crate) struct BenchCommitsArgs {
    /// How many workers commit at once, a round each
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [1, 4, 16, 64],
        value_parser = clap::value_parser!(u16).range(1..=1_000)
    )]
    pub(crate) workers: Vec<u16>,
    /// How long each round takes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub(crate) seconds: u16,
    /// Where the temporary lakes are: a folder, or s3://bucket/prefix, which the project's
    /// [lake.store] and the AWS_* variables open [default: the system's folder for temporary files]
    #[arg(long, value_name = "ROOT")]
    pub(crate) lake: Option<String>,
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
pub(crate) struct BenchServeArgs {
    /// How many read at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) readers: u16,
    /// How long the cache and the floor are measured
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub(crate) seconds: u16,
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(crate) format: ReportFormat,
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
    /// Measure the cost of this mapping too
    #[arg(long, value_name = "RECIPE|FILE.jq")]
    pub(crate) mapping: Option<String>,
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
