//! The command line. Doc comments of arguments are the texts of `--help`.
//!
//! - `actions`: `rapport actions`
//! - `alerts`: `rapport alerts`
//! - `cluster`: `rapport cluster`, and `--cluster`
//! - `deliveries`: `rapport deliver`
//! - `ingest`: `rapport ingest` and `rapport bench`
//! - `metrics`: `rapport metrics`
//! - `lake`: `rapport lake`
//! - `setup`: `rapport completions`, `man` and `schema`
//! - `score`: the explanation of scores, what `rapport score` records, and the test of the scores

mod actions;
mod alerts;
mod cluster;
mod deliveries;
mod ingest;
mod lake;
mod metrics;
mod score;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use actions::{
    ActionsCommand, ApplyArgs, DecideArgs, DeliverArgs, LogArgs, PlanArgs, PlanReferenceArgs,
    RollbackArgs, SettleArgs, SimulateArgs, SwitchArgs,
};
pub(crate) use alerts::{
    AlertNoteArgs, AlertsCommand, CheckAlertsArgs, ListAlertsArgs, SnoozeArgs,
};
pub(crate) use cluster::{ClusterArgs, ClusterCommand, ExecutorArgs, SchedulerArgs};
pub(crate) use deliveries::{DeliverReportsArgs, DeliveriesCommand, DeliveryLogArgs, PauseArgs};
pub(crate) use ingest::{
    BenchAllArgs, BenchCommand, BenchCommitsArgs, BenchIngestArgs, BenchServeArgs, DeadLettersArgs,
    FieldsArgs, IngestCommand, IngestLoadArgs, IngestRunArgs, IngestTryArgs, MappingsArgs,
    ReplayArgs,
};
pub(crate) use lake::{CompactArgs, EraseArgs, LakeCommand};
pub(crate) use metrics::{
    BreakdownArgs, DiffArgs, DiffFormat, LineageFormat, MetricsCommand, ScaffoldKind,
};
pub(crate) use score::{
    AdoptArgs, AnnotateArgs, BacktestArgs, BenchScoreArgs, FitArgs, GivenTier, HistoryArgs,
    MoversArgs, NoteArgs, OverrideArgs, ProofCommand, RecordCommand, ReportFormat, SentimentArgs,
    ShowArgs,
};
pub(crate) use setup::{SchemaFile, SetupCommand};

/// The heading in `--help` of the options that every command has.
const EVERYWHERE: &str = "Everywhere";

/// Turns a platform's API traffic into partner decisions.
#[derive(Debug, Parser)]
#[command(
    name = "rapport",
    version,
    arg_required_else_help = true,
    after_help = "Start here:\n  rapport demo                 simulate a partner programme and open its report\n  rapport init my-programme    make an empty project\n\nExit codes: 0 done; 1 it failed; 2 the call or the configuration is wrong; 3 a check found something, or a file was rejected whole."
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
    Demo(DemoArgs),
    /// Make an empty project: rapport.toml, policy.toml, queries/ and the lake's key
    Init {
        /// The folder; made when it does not exist
        dir: PathBuf,
    },
    /// Do everything on a real cluster, once or at an interval: ingest, rollups, scores, plan, report
    Run(RunArgs),
    /// Bring events into the lake, exactly once
    #[command(subcommand)]
    Ingest(IngestCommand),
    /// The metrics: write, check, test and run them
    #[command(subcommand)]
    Metrics(MetricsCommand),
    /// Query the lake with SQL, read-only: a shell, one query, or a file of them
    #[command(
        after_help = "Examples:\n  rapport sql\n  rapport sql -f monthly.sql --format csv | gzip > monthly.csv.gz\n  rapport sql --at 2026-11-01 \"SELECT * FROM growth\"\n  rapport sql \"SELECT * FROM funnel ORDER BY cohort_month\" --format csv\n  rapport sql \"SELECT partner_id, calls FROM partner_reliability ORDER BY 2 DESC LIMIT 5\"\n  rapport sql \"SELECT reason, count(*) FROM dead_letters GROUP BY 1\"\n\nTables: api_calls, partner_events, billing_events, support_events (each event once), raw.api_calls …\n(as they arrived), dead_letters, runs, partner_health, partner_signals, the rollups, views and metrics by name."
    )]
    Sql(SqlArgs),
    /// Score the health of partners
    #[command(subcommand)]
    Score(ScoreCommand),
    /// Plan support routing, quota changes and notices, apply them, and take them back
    #[command(subcommand)]
    Actions(ActionsCommand),
    /// See what somebody should know of, tell them, snooze and note
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// Write the report as static pages
    Report {
        /// The folder of the pages
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Up to this UTC midnight [default: the last one the data is complete to]
        #[arg(long, value_name = "T")]
        as_of: Option<String>,
    },
    /// Serve the pages: with filters, forms to decide by, and the same data as JSON
    Serve(ServeArgs),
    /// Answer one connection of a BI tool; `serve` starts it
    #[cfg(feature = "postgres")]
    #[command(hide = true)]
    PostgresConnection(PostgresConnectionArgs),
    /// Send the reports that are due by mail and chat
    #[command(
        after_help = "Sends each of [[deliveries]] in rapport.toml once in its period, whatever is restarted or run twice.\nMeant for a scheduler, every hour. Ends with 3 when one is held back, failed or may not have arrived.\n\nExamples:\n  rapport deliver --dry-run\n  rapport deliver --by cron\n  rapport deliver --again weekly\n  rapport deliver log --only weekly"
    )]
    Deliver(DeliverReportsArgs),
    /// Write a simulated partner programme as NDJSON files, or produce it to Kafka
    #[command(
        after_help = "Examples:\n  rapport generate --partners 50 --events 10000 --out world\n  rapport generate --seed 7 --days 90 --kafka 127.0.0.1:9092\n  rapport generate --difficulty hard --seed 3 --partners 400 --days 365 --out world"
    )]
    Generate(GenerateArgs),
    /// Look after the lake
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Compute rollups on several machines
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Measure what an event costs
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Check that everything is there, and say what to do where it is not
    #[command(
        after_help = "Looks at the configuration and the files beside it, plans the queries, looks at the key, the\ndisk and the clock, reads the lake and who may sign in to the pages, asks their OpenID provider, and\nasks the broker for its topics and where the lake stands in them; a project that names no broker\nneeds none. Changes nothing; ends with 3 when a check fails.\n\nExamples:\n  rapport doctor\n  rapport doctor --format json | jq '.[] | select(.state != \"ok\")'"
    )]
    Doctor {
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    #[command(flatten)]
    Setup(SetupCommand),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WorldArgs {
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many partners
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) partners: u32,
    /// About how many API calls; with --difficulty they follow from the partners and days
    #[arg(long, default_value_t = 200_000, conflicts_with = "difficulty")]
    pub(crate) events: u64,
    /// How many days
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub(crate) days: u32,
    /// The first day [default: so that the last one is yesterday, at the first call]
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<domain::Day>,
    /// Make a world for backtests of the score, how hard it is to foresee who leaves: a quarter of
    /// the partners leaves in a year (60 % fade over 4 to 10 weeks, 15 % after errors, 10 % by a dead
    /// credential, 15 % abruptly); from 180 days on
    #[arg(long, value_name = "easy|medium|hard")]
    pub(crate) difficulty: Option<fixtures::Difficulty>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rapport demo\n  rapport demo --serve\n  rapport demo --partners 2000 --events 5000000 --dir big\n\nRunning it again continues and doubles nothing; another world needs another --dir."
)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) world: WorldArgs,
    /// The demo's folder, a project of its own
    #[arg(long, default_value = "demo")]
    pub(crate) dir: PathBuf,
    /// Serve the pages afterwards, on this machine
    #[arg(long)]
    pub(crate) serve: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) world: WorldArgs,
    /// Write NDJSON files here, one a stream, and the CSV files of rates, targets, sunsets and
    /// the programme
    #[arg(long, value_name = "DIR", required_unless_present = "kafka")]
    pub(crate) out: Option<PathBuf>,
    /// Produce to this cluster, in a project to its topics and with its properties; the topics
    /// must exist
    #[arg(long, value_name = "SERVERS", conflicts_with = "out")]
    pub(crate) kafka: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "With --every it stays and does so again and again. A round that fails is reported, and the next one\ncomes all the same; a round that takes longer than the interval leaves out those that it misses.\nSIGTERM and Ctrl-C end it with 0, after ingest has committed what it holds. Two runs never write\nthe same report at once: the second ends with 1.\n\nExamples:\n  rapport run --config /srv/rapport/rapport.toml --plan plan.json --out /srv/www/rapport\n  rapport run --every 15m --out /srv/www/rapport"
)]
pub(crate) struct RunArgs {
    /// Where the plan goes
    #[arg(long, value_name = "FILE", default_value = "plan.json")]
    pub(crate) plan: PathBuf,
    /// The folder of the report's pages
    #[arg(long, value_name = "DIR", default_value = "report")]
    pub(crate) out: PathBuf,
    /// Stay, and begin again at this interval, such as 15m, 1h or 1h30m
    #[arg(long, value_name = "INTERVAL", value_parser = parse_interval)]
    pub(crate) every: Option<Duration>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// Parses `--limit`: how many at most, where 0 is all of them.
fn parse_limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Ok(usize::MAX),
        Ok(limit) => Ok(limit),
        Err(_) => Err("give a whole number; 0 is all of them".to_owned()),
    }
}

/// Parses `--every`.
fn parse_interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(interval) if interval >= Duration::from_secs(1) => Ok(interval),
        Ok(_) => Err("the shortest interval is 1s".to_owned()),
        Err(error) => Err(format!("{error}; write 15m, 1h or 1h30m")),
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Shows the newest data without a restart. On this machine alone it asks nobody who they are; beyond\nit, people sign in with a token, or a proxy says who they are: see docs/serve.md.\n\nExamples:\n  rapport serve\n  rapport serve --listen 127.0.0.1:9000\n  rapport serve --new-token manager --name \"Mara Lindqvist\" >> access.toml\n  rapport serve --new-embed acme --days 90\n  rapport serve --listen 0.0.0.0:8080 --behind-tls\n  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/api/v1/partners?tier=at_risk"
)]
pub(crate) struct ServeArgs {
    /// Address and port; a port alone is on this machine [default: listen in rapport.toml]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// A proxy in front ends TLS, so that browsers reach the pages by HTTPS
    #[arg(long)]
    pub(crate) behind_tls: bool,
    /// Address and port for BI tools, by the protocol of PostgreSQL [default: listen of
    /// [serve.postgres] in rapport.toml]
    #[arg(long, value_name = "ADDR")]
    pub(crate) postgres: Option<String>,
    /// Make a token for somebody of this role, print their entry for access.toml, and end
    #[arg(long, value_name = "ROLE", value_enum, requires = "name")]
    pub(crate) new_token: Option<GivenRole>,
    /// Make a password for this user of BI tools, print an entry for access.toml, and end
    #[arg(long, value_name = "USER", requires = "name",
        conflicts_with_all = ["new_token", "new_embed"])]
    pub(crate) new_database_user: Option<String>,
    /// Who gets the token or the password; decisions are recorded under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// For the role partner: the partner's id
    #[arg(long, value_name = "ID", required_if_eq("new_token", "partner"))]
    pub(crate) partner: Option<String>,
    /// The last day on which the token or the password is valid
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<domain::Day>,
    /// Print a URL that shows this partner's usage page to whoever has it, for the partner's own
    /// pages, and end
    #[arg(long, value_name = "PARTNER", conflicts_with = "new_token")]
    pub(crate) new_embed: Option<String>,
    /// How many days that URL is valid
    #[arg(long, value_name = "N", default_value_t = 30, requires = "new_embed",
        value_parser = clap::value_parser!(u32).range(1..=366))]
    pub(crate) days: u32,
}

/// What the process of one connection is told.
#[cfg(feature = "postgres")]
#[derive(Debug, Args)]
pub(crate) struct PostgresConnectionArgs {
    /// Who has signed in
    #[arg(long)]
    pub(crate) user: String,
    /// How long a statement may take
    #[arg(long)]
    pub(crate) milliseconds: u64,
}

/// The roles that people can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GivenRole {
    /// Reads all pages
    Leadership,
    /// Reads the pages of the partners whose manager has this name, and decides on them
    Manager,
    /// Reads all pages and asks in SQL
    Engineer,
    /// Reads the usage of one partner
    Partner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
    Parquet,
}

/// The format of output that is no table of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
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
    /// Refuse anything but one statement, such as a meta-command that writes a file
    #[arg(long, hide = true)]
    pub(crate) one_statement: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScoreCommand {
    /// Score every partner and keep the scores
    Run {
        /// Up to this UTC midnight [default: the last one the data is complete to]
        #[arg(long, value_name = "T")]
        as_of: Option<String>,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Why a partner has its score, and what made it change
    Show(ShowArgs),
    /// The partners whose tier or score changed most, the greatest share of gross first
    Movers(MoversArgs),
    #[command(flatten)]
    Record(RecordCommand),
    #[command(flatten)]
    Proof(ProofCommand),
}

#[cfg(test)]
mod example_tests;
#[cfg(test)]
mod limit_tests;
