//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lake_types::Stream;

/// Options of every command stand below its own.
const EVERYWHERE: &str = "Everywhere";

/// Turns a platform's API traffic into partner decisions.
#[derive(Debug, Parser)]
#[command(
    name = "rapport",
    version,
    arg_required_else_help = true,
    after_help = "Start here:\n  rapport demo                 simulate a partner programme and open its report\n  rapport init my-programme    make an empty project\n\nExit codes: 0 done; 1 it failed; 2 the call or the configuration is wrong; 3 a check found something."
)]
pub(crate) struct Arguments {
    /// The project's configuration [default: rapport.toml here or in a folder above]
    #[arg(long, global = true, value_name = "FILE", env = "RAPPORT_CONFIG", hide_env_values = true, help_heading = EVERYWHERE)]
    pub(crate) config: Option<PathBuf>,
    /// Log more to stderr; twice for more still
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = EVERYWHERE)]
    pub(crate) verbose: u8,
    /// Show no progress
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate a partner programme and take it all the way to a report, on embedded defaults
    Demo(Demo),
    /// Make an empty project: rapport.toml, policy.toml, queries/ and the lake's key
    Init {
        /// The folder; made when it does not exist
        dir: PathBuf,
    },
    /// One tick on a real cluster: ingest, rollups, scores, plan, report
    Run(Tick),
    /// Bring events into the lake, exactly once
    #[command(subcommand)]
    Ingest(Ingest),
    /// The metrics: write, check, test and run them
    #[command(subcommand)]
    Metrics(Metrics),
    /// Query the lake with SQL, read-only: a shell, one query, or a file of them
    #[command(
        after_help = "Examples:\n  rapport sql\n  rapport sql -f monthly.sql --format csv | gzip > monthly.csv.gz\n  rapport sql --at 2026-11-01 \"SELECT * FROM growth\"\n  rapport sql \"SELECT * FROM funnel ORDER BY cohort_month\" --format csv\n  rapport sql \"SELECT partner_id, calls FROM partner_reliability ORDER BY 2 DESC LIMIT 5\"\n  rapport sql \"SELECT reason, count(*) FROM dead_letters GROUP BY 1\"\n\nTables: api_calls, partner_events, billing_events, support_events (each event once), raw.api_calls …\n(as they arrived), dead_letters, runs, partner_health, the rollups, views and metrics by name."
    )]
    Sql(Sql),
    /// Score the health of partners
    #[command(subcommand)]
    Score(Score),
    /// Plan support routing and quota changes
    #[command(subcommand)]
    Actions(Actions),
    /// Write the report as static pages
    Report {
        /// The folder of the pages
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Up to this UTC midnight [default: the last one the data is complete to]
        #[arg(long, value_name = "T")]
        as_of: Option<String>,
    },
    /// Write a simulated partner programme as NDJSON files, or produce it to Kafka
    #[command(
        after_help = "Examples:\n  rapport generate --partners 50 --events 10000 --out world\n  rapport generate --seed 7 --days 90 --kafka 127.0.0.1:9092"
    )]
    Generate(Generate),
    /// Look after the lake
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Measure what an event costs
    #[command(subcommand)]
    Bench(Bench),
    /// Check that everything is there, and say what to do where it is not
    #[command(
        after_help = "Looks at the configuration and the files beside it, the key, the disk, the lake, the clock, the\nbroker, its topics and where the lake stands in them. Changes nothing; ends with 3 when a check fails.\n\nExamples:\n  rapport doctor\n  rapport doctor --format json | jq '.[] | select(.state != \"ok\")'"
    )]
    Doctor {
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct World {
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many partners
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) partners: u32,
    /// About how many API calls
    #[arg(long, default_value_t = 200_000)]
    pub(crate) events: u64,
    /// How many days
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) days: u32,
    /// The first day [default: so that the last one is yesterday, at the first call]
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<lake_types::Day>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rapport demo\n  rapport demo --partners 2000 --events 5000000 --dir big\n\nRunning it again continues and doubles nothing; another world needs another --dir."
)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) world: World,
    /// The demo's folder, a project of its own
    #[arg(long, default_value = "demo")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) world: World,
    /// Write NDJSON files here, one a stream, and the CSV files of rates, targets and sunsets
    #[arg(long, value_name = "DIR", required_unless_present = "kafka")]
    pub(crate) out: Option<PathBuf>,
    /// Produce to this cluster, in a project to its topics and with its properties; the topics
    /// must exist
    #[arg(long, value_name = "SERVERS", conflicts_with = "out")]
    pub(crate) kafka: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example, from cron:\n  rapport run --config /srv/rapport/rapport.toml --plan plan.json --out /srv/www/rapport"
)]
pub(crate) struct Tick {
    /// Where the plan goes
    #[arg(long, value_name = "FILE", default_value = "plan.json")]
    pub(crate) plan: PathBuf,
    /// The folder of the report's pages
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ingest {
    /// Read the topics of the cluster in a consumer group
    #[command(
        after_help = "Examples:\n  rapport ingest run\n  rapport ingest run --until-caught-up --from 2026-01-01\n  rapport ingest run --metrics 127.0.0.1:9464"
    )]
    Run(IngestRun),
    /// Load NDJSON files, plain, gzip or zstd, through the same checks; the same bytes again add nothing
    #[command(
        after_help = "Examples:\n  rapport ingest load --stream api-calls calls-*.ndjson calls-*.ndjson.gz\n  curl -s https://example.com/calls.zst | rapport ingest load --stream api-calls -"
    )]
    Load(IngestLoad),
    /// List the rejected records, or open them
    #[command(
        after_help = "Examples:\n  rapport ingest dead-letters\n  rapport ingest dead-letters --reason wrong_type --open --limit 5"
    )]
    DeadLetters(DeadLetters),
    /// Put the dead letters through the checks again; what passes now moves to its raw table
    Replay {
        /// Only those of one stream
        #[arg(long, value_name = "STREAM")]
        stream: Option<Stream>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Ingest's CPU time an event, beside that of librdkafka alone on the same topic
    #[command(
        after_help = "Makes a topic rapport-bench-…, fills it with simulated calls, and reads it in turns: drained by\nlibrdkafka with nothing done to the records, and by ingest into a temporary lake. Topic and lakes\nare deleted at the end. What counts is the CPU time of this process; the broker must be another.\n\nExamples:\n  rapport bench ingest\n  rapport bench ingest --events 1000000 --bootstrap 127.0.0.1:9092 --format json"
    )]
    Ingest(BenchIngest),
}

#[derive(Debug, Args)]
pub(crate) struct BenchIngest {
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

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    /// Only those of one stream
    #[arg(long, value_name = "STREAM")]
    pub(crate) stream: Option<Stream>,
    /// Only those with this reason
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Open them with the lake's key: the record's key, headers and value. They may hold secrets
    #[arg(long)]
    pub(crate) open: bool,
    /// The newest so many
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct IngestRun {
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
pub(crate) struct IngestLoad {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
    Parquet,
}

/// What is no table of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineageFormat {
    Text,
    Dot,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueryKind {
    Metric,
    View,
    Rollup,
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Metrics {
    /// Every metric, rollup and view
    List {
        /// How it is written
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// A metric's description, columns and SQL
    Show {
        /// As `rapport metrics list` gives it
        name: String,
    },
    /// The SQL functions there are besides DataFusion's: signature, meaning, unit, source, example
    Functions {
        /// How it is written
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Write a new query with its cases, which works as it stands
    #[command(
        after_help = "Examples:\n  rapport metrics new calls_by_month\n  rapport metrics new endpoint_day --kind rollup"
    )]
    New {
        /// a-z, 0-9 and _
        name: String,
        #[arg(long, value_enum, default_value_t = QueryKind::Metric)]
        kind: QueryKind,
    },
    /// What a query is made of, down to the streams; or who is made of it
    #[command(
        after_help = "Examples:\n  rapport metrics lineage funnel\n  rapport metrics lineage revenue_summary --columns\n  rapport metrics lineage billing_day --down\n  rapport metrics lineage funnel --format dot | dot -Tsvg > funnel.svg"
    )]
    Lineage {
        /// A metric, view or rollup; with --down a stream or another table too
        name: String,
        #[arg(long, value_enum, default_value_t = LineageFormat::Text)]
        format: LineageFormat,
        /// For each column the columns it is computed from
        #[arg(long, conflicts_with = "down")]
        columns: bool,
        /// Who reads it, instead of what it reads
        #[arg(long)]
        down: bool,
    },
    /// Which days of the rollups are stale, and why; computes nothing
    #[command(
        after_help = "Examples:\n  rapport metrics plan\n  rapport metrics plan --format json | jq '.[].stale[].reason'"
    )]
    Plan {
        #[arg(long, value_enum, default_value_t = TextFormat::Text)]
        format: TextFormat,
    },
    /// The first rows of a query
    #[command(
        after_help = "Brings up to date only the rollups that the query reads.\n\nExamples:\n  rapport metrics preview my_metric\n  rapport metrics preview partners --as-of 2026-07-01 --limit 5"
    )]
    Preview {
        /// A metric, view, rollup or check
        name: String,
        /// Up to this UTC midnight [default: the last one the data is complete to]
        #[arg(long, value_name = "T")]
        as_of: Option<String>,
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Check the queries without a lake: each mistake with its place and the fix
    #[command(
        after_help = "Ends with 3 when there is an error; warnings alone end with 0.\n\nExamples:\n  rapport metrics check\n  rapport metrics check my_metric\n  rapport metrics check --format json | jq -r '.[].help'"
    )]
    Check {
        /// Which ones [default: all]
        names: Vec<String>,
        #[arg(long, value_enum, default_value_t = TextFormat::Text)]
        format: TextFormat,
    },
    /// Check and test again whatever is saved in queries/, with what reads it
    #[command(
        after_help = "Begins with all queries, or those named, then says after every save what is wrong: mistakes as\n`metrics check` has them, cases as `metrics test`. json is a line a pass. Ctrl-C ends it.\n\nExamples:\n  rapport metrics watch\n  rapport metrics watch my_metric\n  rapport metrics watch --format json | jq -c '.findings[]'"
    )]
    Watch {
        /// Which ones [default: all]
        names: Vec<String>,
        #[arg(long, value_enum, default_value_t = TextFormat::Text)]
        format: TextFormat,
    },
    /// Compute metrics
    #[command(
        after_help = "Examples:\n  rapport metrics run funnel growth\n  rapport metrics run --as-of 2026-07-01 --out metrics\n  rapport metrics run funnel --format csv\n  rapport metrics run growth --by segment\n  rapport metrics run funnel --where \"region = 'EU' AND integration_level >= 2\""
    )]
    Run {
        /// Which ones [default: all]
        names: Vec<String>,
        /// Up to this UTC midnight [default: the last one the data is complete to]
        #[arg(long, value_name = "T")]
        as_of: Option<String>,
        /// [default: table, with --out csv]
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// One file a metric in this folder
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        slice: Slice,
    },
    /// Compare metrics with those of another revision of the queries, or of the tables of a run
    #[command(
        after_help = "Rows are joined on the grain. Exit code 3 where something differs.\n\nREV alone: its queries beside those of the working tree, on the newest tables. --run alone: the\ntables as that run read them beside the newest, with the queries of the working tree; a first word\nthat is the name of a metric is no REV then. Both: its queries on the tables of that run, beside now.\n\nExamples:\n  rapport metrics diff main\n  rapport metrics diff HEAD~1 growth --format markdown\n  rapport metrics diff --run 2026-11-01\n  rapport metrics diff --run 0199f3a2 growth funnel\n  rapport metrics diff main --run 0199f3a2"
    )]
    Diff(Diff),
    /// Document every query as pages: columns, units, checks, lineage, SQL
    #[command(after_help = "Example:\n  rapport metrics docs --out docs && open docs/index.html")]
    Docs {
        /// The folder of the pages
        #[arg(long, value_name = "DIR", default_value = "metrics-docs")]
        out: PathBuf,
    },
    /// Run the test cases beside the queries
    #[command(
        after_help = "A case without `expect` is written by --record. Ends with 3 when a case fails.\n\nExamples:\n  rapport metrics test\n  rapport metrics test my_metric --record"
    )]
    Test {
        /// Which ones [default: all]
        names: Vec<String>,
        /// Write what comes into the cases of the project, and say what changed
        #[arg(long)]
        record: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    Table,
    /// For a pull request
    Markdown,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// A revision of the git repository that holds queries/: a branch, a tag, HEAD~1
    #[arg(value_name = "REV")]
    pub(crate) revision: Option<String>,
    /// Which metrics [default: all]
    pub(crate) names: Vec<String>,
    /// Compare with the tables as a run of before read them, by its id or number in the table runs,
    /// or as the newest run did that had begun at an instant
    #[arg(long, value_name = "RUN|TIME")]
    pub(crate) run: Option<String>,
    /// Both up to this UTC midnight [default: the run's, else the last one the data is complete to]
    #[arg(long, value_name = "T")]
    pub(crate) as_of: Option<String>,
    #[arg(long, value_enum, default_value_t = DiffFormat::Table)]
    pub(crate) format: DiffFormat,
}

/// Which partners count.
#[derive(Debug, Args)]
pub(crate) struct Slice {
    /// Only partners for which this holds, in SQL over the columns of the view partners; what they
    /// are as of the instant looked up to
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// A part for each value of segment, plan, region, manager or integration_level; several by
    /// commas
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub(crate) by: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// SELECTs, separated by ; [default: at a terminal a shell, else those of standard input]
    pub(crate) query: Option<String>,
    /// Those of a file; - is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "query")]
    pub(crate) file: Option<PathBuf>,
    /// What $as_of is, and how far metrics look [default: the last UTC midnight the data is complete to]
    #[arg(long, value_name = "T")]
    pub(crate) as_of: Option<String>,
    /// Read the tables as a run of before read them, by its id or number in the table runs, or as
    /// the newest run did that had begun at an instant; $as_of is then the run's
    #[arg(long, value_name = "RUN|TIME")]
    pub(crate) at: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Score {
    /// Score every partner and keep the scores
    Run {
        /// Up to this UTC midnight [default: the last one the data is complete to]
        #[arg(long, value_name = "T")]
        as_of: Option<String>,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Why a partner has its score
    Show {
        /// The partner's id
        partner: String,
        /// Up to this UTC midnight [default: the last one the data is complete to]
        #[arg(long, value_name = "T")]
        as_of: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Actions {
    /// Propose support queues and quotas from policy.toml, for a person to review
    Plan {
        /// Where the plan goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Up to this UTC midnight [default: the last one the data is complete to]
        #[arg(long, value_name = "T")]
        as_of: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Check the log against the files, and that no record stands twice
    Verify,
    /// Tables, how fresh the streams are, small files, and what was rejected
    #[command(
        after_help = "Examples:\n  rapport lake status\n  rapport lake status --format json | jq '.streams[].slowest'\n\njson holds everything, csv and parquet the tables alone. Small files are those under 8 MiB on days\nthat are complete: `rapport lake compact` makes fewer of them."
    )]
    Status {
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Turn the small files of closed days into large sorted ones, dropping copies of events
    #[command(
        after_help = "Safe beside running workers and readers. The old files stay until `rapport lake vacuum`.\n\nExamples:\n  rapport lake compact\n  rapport lake compact --before 2026-11-01"
    )]
    Compact {
        /// Only days before this one [default: every day that is complete]
        #[arg(long, value_name = "DATE")]
        before: Option<lake_types::Day>,
    },
    /// Delete the files that no version of the last days names
    #[command(
        after_help = "Examples:\n  rapport lake vacuum --dry-run\n  rapport lake vacuum --retention-hours 48"
    )]
    Vacuum {
        /// Versions younger than this can still be read afterwards
        #[arg(long, value_name = "HOURS", default_value_t = 168, value_parser = clap::value_parser!(u64).range(1..))]
        retention_hours: u64,
        /// Only say how many files would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Erase partners: no byte of them stays in any file of the lake, which a scan then shows
    #[command(
        after_help = "Their events, dead letters and rollups go; in scores and in merges a random token takes the\nplace of the id. Safe beside running workers; readers of older versions fail. Ends with 3 when\nanything is left, and says where. It can be run again.\n\nExamples:\n  rapport lake erase --partner acme --dry-run\n  rapport lake erase --partner acme --partner acme-test --yes"
    )]
    Erase(Erase),
    /// Seal the days that are past their retention: their events go, what was computed stays
    #[command(
        after_help = "[lake.retention] in rapport.toml says how long api_calls and dead_letters are kept, counted back\nfrom the watermark. Rollups, metrics and scores keep what they know; a later arrival for a sealed\nday is rejected as out_of_range. `rapport lake vacuum` deletes the files. Safe beside workers.\n\nExamples:\n  rapport lake retain --dry-run\n  rapport lake retain && rapport lake vacuum"
    )]
    Retain {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Bring a lake of an older program to this one's format
    #[command(
        after_help = "Stop all workers first, and start them again with this program. It can be run again.\n\nExample:\n  rapport lake upgrade"
    )]
    Upgrade,
    /// Use a new key from now on; the old ones stay in the key file and open what they sealed
    #[command(
        after_help = "Copy the key file to every machine that runs Rapport and into your backup, then restart the\nworkers: until then they use the old key. A credential has another hash from then on.\n\nExample:\n  rapport lake rotate-key"
    )]
    RotateKey,
}

#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// The id, as the events have it; may be given several times
    #[arg(long, value_name = "ID", required = true)]
    pub(crate) partner: Vec<String>,
    /// Only say how many rows would go, and where
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub(crate) yes: bool,
}
