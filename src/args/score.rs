//! The command line of the explanation of scores (`rapport score show`, `movers`), of what people
//! record beside them (`override`, `sentiment`, `note`, `annotate`), and of their test (`backtest`,
//! `fit`, `adopt`, `bench score`).

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use domain::{Day, Tier};

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum RecordCommand {
    /// Set the tier that is shown of a partner for some days, or end that
    #[command(
        after_help = "The computed tier and the score stay visible beside it. An override ends by itself after 30 days at\nmost: if it is still right then, set it again. Overrides and their ends are never deleted.\n\nExamples:\n  rapport score override p-000039 --tier healthy --reason \"Moves data centres until Friday\"\n  rapport score override p-000039 --tier at-risk --reason \"Told us that they leave\" --days 30\n  rapport score override p-000039 --end --reason \"The move is over\""
    )]
    Override(OverrideArgs),
    /// List the tiers that people set and that are in force
    #[command(
        after_help = "Examples:\n  rapport score overrides\n  rapport score overrides --all --format csv > overrides.csv"
    )]
    Overrides {
        /// The whole history: also those that expired, were replaced or were ended
        #[arg(long)]
        all: bool,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Judge a partner from 1, poor, to 5, good; no score takes it into account
    #[command(
        after_help = "Examples:\n  rapport score sentiment p-000039 2\n  rapport score sentiment p-000039 4 --note \"Their new lead likes the API\""
    )]
    Sentiment(SentimentArgs),
    /// Note something about a partner
    #[command(
        after_help = "Example:\n  rapport score note p-000039 \"Plans a launch in Brazil in spring\""
    )]
    Note(NoteArgs),
    /// List the notes about a partner and how people judged it, newest first
    #[command(
        after_help = "What was noted of partners that were merged into this one is listed too.\n\nExample:\n  rapport score notes p-000039"
    )]
    Notes {
        /// The partner's id
        partner: String,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Explain days, and keep them out of the scores: an incident of the platform, or a planned pause of
    /// a partner
    #[command(
        after_help = "Prints the annotation's id. The days count as calm: no partner is blamed for calling less on them.\nWithout --partner they are the whole platform's. With --mark-only charts mark the days, and scores\ncount them as ever: new prices, a campaign. The same annotation again adds nothing.\n\nThe first line of a CSV file is partner_id,first_day,last_day,text; an empty partner_id is the whole\nplatform. A wrong line is named, and nothing of the file is added then. A file can be given again:\nonly what is new in it is added, and what was withdrawn stays so.\n\nExamples:\n  rapport score annotate --from 2026-11-03 --to 2026-11-04 --text \"Our gateway was down\"\n  rapport score annotate --partner p-000039 --from 2026-12-21 --to 2027-01-03 --text \"Holidays\"\n  rapport score annotate --from 2026-10-01 --text \"New prices\" --mark-only\n  rapport score annotate --csv calendar.csv\n  rapport score annotate --withdraw 4f1c09ab2d7e8810"
    )]
    Annotate(AnnotateArgs),
    /// List the days that have an explanation
    #[command(after_help = "Example:\n  rapport score annotations --format csv")]
    Annotations {
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OverrideArgs {
    /// The partner's id
    pub(crate) partner: String,
    /// The tier to show
    #[arg(long, value_enum, required_unless_present = "end", conflicts_with = "end")]
    pub(crate) tier: Option<GivenTier>,
    /// End the override that is in force
    #[arg(long)]
    pub(crate) end: bool,
    /// Why; whoever looks at the partner reads it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who decides it [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Up to the beginning of this UTC date, or to an instant [default: 14 days from now]
    #[arg(long, value_name = "DATE", conflicts_with_all = ["end", "days"])]
    pub(crate) until: Option<String>,
    /// For so many days, 30 at most
    #[arg(long, value_name = "N", conflicts_with = "end")]
    pub(crate) days: Option<u32>,
}

/// The tiers that a person may set; the others say where a partner is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GivenTier {
    Healthy,
    Watch,
    #[value(alias = "at_risk")]
    AtRisk,
}

impl From<GivenTier> for Tier {
    fn from(given: GivenTier) -> Self {
        match given {
            GivenTier::Healthy => Self::Healthy,
            GivenTier::Watch => Self::Watch,
            GivenTier::AtRisk => Self::AtRisk,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SentimentArgs {
    /// The partner's id
    pub(crate) partner: String,
    /// From 1, poor, to 5, good
    #[arg(value_name = "1..5", value_parser = clap::value_parser!(i64).range(1..=5))]
    pub(crate) sentiment: i64,
    /// What it rests on
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Who judges [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NoteArgs {
    /// The partner's id
    pub(crate) partner: String,
    /// The note, in one line
    pub(crate) text: String,
    /// Who notes it [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AnnotateArgs {
    /// The first day
    #[arg(long, value_name = "DATE", required_unless_present_any = ["csv", "withdraw"])]
    pub(crate) from: Option<Day>,
    /// The last day, inclusive [default: the first]
    #[arg(long, value_name = "DATE")]
    pub(crate) to: Option<Day>,
    /// What the days were
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["csv", "withdraw"])]
    pub(crate) text: Option<String>,
    /// Days of this partner alone [default: of the whole platform]
    #[arg(long, value_name = "ID")]
    pub(crate) partner: Option<String>,
    /// Only mark the days in charts: scores count them
    #[arg(long, conflicts_with = "withdraw")]
    pub(crate) mark_only: bool,
    /// Add the annotations of a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "text", "partner"])]
    pub(crate) csv: Option<PathBuf>,
    /// Let the days of an annotation count again
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "to", "text", "partner", "csv"])]
    pub(crate) withdraw: Option<String>,
    /// Who writes it [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProofCommand {
    /// Test the score: replay history and compare what it said with who left
    #[command(
        after_help = "At origins at least 28 days apart every partner is scored from what was known there; a partner left\nthat then had no success for 28 days, or twice its cadence. Models are fitted at each origin, and the\nlake is not changed. The score stands beside two baselines, days since the last call and calls a\nday, and what does not beat both says so. Intervals are 95 %, from resampled partners.\n\nA folder of --events holds api-calls.ndjson and, where there are any, partner-events.ndjson,\nbilling-events.ndjson and support-events.ndjson; it needs no project.\n\nExamples:\n  rapport score backtest\n  rapport score backtest --out backtest.json\n  rapport generate --difficulty easy --partners 400 --days 365 --out world\n  rapport score backtest --events world --format json"
    )]
    Backtest(BacktestArgs),
    /// Propose weights and a risk model from history, as files for a person to adopt
    #[command(
        after_help = "Weights are fitted on earlier origins and tested on later ones; a weight is never below 0. Writes\nthe present policy with other weights and the next version, and beside it the risk model with its\ntest. Nothing is in force before `rapport score adopt`.\n\nExamples:\n  rapport score fit --out proposed.toml\n  rapport score backtest --policy proposed.toml"
    )]
    Fit(FitArgs),
    /// Take a policy and its risk model into force
    #[command(
        after_help = "The policy replaces the project's. The model is appended to the table models; days from --from on\nuse it.\n\nExamples:\n  rapport score adopt proposed.toml --by Ada\n  rapport score adopt proposed.toml --risk proposed.risk.json --by Ada"
    )]
    Adopt(AdoptArgs),
}

/// What is shown of one partner.
#[derive(Debug, Args)]
#[command(
    after_help = "Shows the tier, what decides it, each signal with its points, the opportunities, the incidents of 90\ndays, and the query that lists the events behind each signal that lost points. The points add up to\nthe score. The effective weight is the share of the spread of all scores that goes with the signal.\n\nExamples:\n  rapport score show p-000039\n  rapport score show p-000039 --since 2026-11-01\n  rapport score show p-000039 --format json | jq .signals"
)]
pub(crate) struct ShowArgs {
    /// The partner's id
    pub(crate) partner: String,
    /// Also what made the score change since this UTC midnight
    #[arg(long, value_name = "T")]
    pub(crate) since: Option<String>,
    /// Up to this UTC midnight [default: the last one the data is complete to]
    #[arg(long, value_name = "T")]
    pub(crate) as_of: Option<String>,
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(crate) format: ReportFormat,
}

/// Which changes of scores are listed.
#[derive(Debug, Args)]
#[command(
    after_help = "First those that fell, then those that rose, the greatest change times share of gross first; a step\nbetween tiers counts as 20 points. A tier that a person set changes nothing here.\n\nExamples:\n  rapport score movers\n  rapport score movers --since 2026-11-01 --limit 5\n  rapport score movers --format csv > movers.csv"
)]
pub(crate) struct MoversArgs {
    /// Compare with this UTC midnight [default: 7 days before]
    #[arg(long, value_name = "T")]
    pub(crate) since: Option<String>,
    /// Up to this UTC midnight [default: the last one the data is complete to]
    #[arg(long, value_name = "T")]
    pub(crate) as_of: Option<String>,
    /// At most so many that fell, and so many that rose; 0 is all [default: 20 in a table, else all]
    #[arg(long, value_name = "N", value_parser = super::parse_limit)]
    pub(crate) limit: Option<usize>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// Which days are replayed, and how the result is tested.
#[derive(Debug, Clone, Args)]
pub(crate) struct HistoryArgs {
    /// Replay the NDJSON files of this folder [default: the project's lake]
    #[arg(long, value_name = "DIR")]
    pub(crate) events: Option<PathBuf>,
    /// Score under this policy [default: that of the project, else the built-in one]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The newest so many origins, 6 or more [default: as many as fit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(6..))]
    pub(crate) origins: Option<u32>,
    /// No origin is earlier
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Option<Day>,
    /// No origin is later
    #[arg(long, value_name = "DATE")]
    pub(crate) to: Option<Day>,
    /// Days from one origin to the next
    #[arg(long, default_value_t = 28, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(28..=366))]
    pub(crate) every: i32,
    /// What draws the resamples
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many resamples of partners the intervals rest on
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub(crate) resamples: u32,
}

#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    /// How many partners the managers can look at in a week
    #[arg(long, default_value_t = 20, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) capacity: u32,
    /// Write the whole report here as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write every partner at every origin here as CSV: the label, what was said, and the features
    /// of the risk model, for tests of your own
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(crate) format: ReportFormat,
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    /// Where the policy goes; the risk model goes beside it, with the ending .risk.json
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// The policy
    #[arg(value_name = "FILE.toml")]
    pub(crate) policy: PathBuf,
    /// The risk model
    #[arg(long, value_name = "FILE.risk.json")]
    pub(crate) risk: Option<PathBuf>,
    /// The first UTC date whose scores use the model [default: today]
    #[arg(long, value_name = "DATE", requires = "risk")]
    pub(crate) from: Option<Day>,
    /// Who adopts it [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchScoreArgs {
    /// How many partners
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub(crate) partners: u32,
    /// Measure the scoring queries instead, on a simulated lake of 20,000 partners and 180 days
    #[arg(long, conflicts_with = "partners")]
    pub(crate) queries: bool,
    /// How many days the queries evaluate at once
    #[arg(long, requires = "queries", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=31))]
    pub(crate) days: u32,
    /// What draws the partners
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub(crate) format: ReportFormat,
}
