//! The command line of `rapport metrics`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Format, TextFormat};

#[derive(Debug, Subcommand)]
pub(crate) enum MetricsCommand {
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
        after_help = "Examples:\n  rapport metrics new calls_by_month\n  rapport metrics new region_day --kind rollup"
    )]
    New {
        /// a-z, 0-9 and _
        name: String,
        #[arg(long, value_enum, default_value_t = ScaffoldKind::Metric)]
        kind: ScaffoldKind,
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
        /// How many rows at most; 0 is all
        #[arg(long, value_name = "N", default_value = "20", value_parser = super::parse_limit)]
        limit: usize,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Check the queries without a lake: each error with its position and the fix
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
        after_help = "Begins with all queries, or those named, then says after every save what is wrong, first with what\nwas saved, then with what reads it: errors as `metrics check` has them, cases as `metrics test`.\njson is a line a pass. Ctrl-C ends it.\n\nExamples:\n  rapport metrics watch\n  rapport metrics watch my_metric\n  rapport metrics watch --format json | jq -c '.findings[]'"
    )]
    Watch {
        /// Which ones [default: all]
        names: Vec<String>,
        #[arg(long, value_enum, default_value_t = TextFormat::Text)]
        format: TextFormat,
    },
    /// Compute metrics
    #[command(
        after_help = "Ends with 3 when a check holds a metric back, with 1 when one can't be computed; the others are\nwritten all the same. With --out what an earlier run wrote of one held back is renamed to NAME.csv.held.\n\nExamples:\n  rapport metrics run funnel growth\n  rapport metrics run --as-of 2026-07-01 --out metrics\n  rapport metrics run funnel --format csv\n  rapport metrics run growth --by segment\n  rapport metrics run funnel --where \"region = 'EU' AND integration_level >= 2\""
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
        breakdown: BreakdownArgs,
        #[command(flatten)]
        cluster: super::ClusterArgs,
    },
    /// Compare metrics with those of another revision of the queries, or of the tables of a run
    #[command(
        after_help = "Rows are joined on the grain. Exit code 3 where something differs.\n\nREV alone: its queries beside those of the working tree, on the newest tables. --run alone: the\ntables as that run read them beside the newest, with the queries of the working tree; a first word\nthat is the name of a metric is no REV then. Both: its queries on the tables of that run, beside now.\n\nExamples:\n  rapport metrics diff main\n  rapport metrics diff HEAD~1 growth --format markdown\n  rapport metrics diff --run 2026-11-01\n  rapport metrics diff --run 0199f3a2 growth funnel\n  rapport metrics diff main --run 0199f3a2"
    )]
    Diff(DiffArgs),
    /// Document every query as pages: columns, units, checks, lineage, SQL
    #[command(after_help = "Example:\n  rapport metrics docs --out docs && open docs/index.html")]
    Docs {
        /// The folder of the pages
        #[arg(long, value_name = "DIR", default_value = "metrics-docs")]
        out: PathBuf,
    },
    /// Run the test cases beside the queries
    #[command(
        after_help = "A case without `expect` is written by --record. Ends with 3 when a case fails, or a query that is named\nhas none.\n\nExamples:\n  rapport metrics test\n  rapport metrics test my_metric --record"
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
pub(crate) enum LineageFormat {
    Text,
    Dot,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScaffoldKind {
    Metric,
    View,
    Rollup,
    Check,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    Table,
    /// For a pull request
    Markdown,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
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
pub(crate) struct BreakdownArgs {
    /// Only partners for which this holds, in SQL over the columns of the view partners, $as_of and
    /// subqueries; what they are as of the instant looked up to
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// A part for each value of segment, plan, region, manager or integration_level; several by
    /// commas
    #[arg(long, value_name = "ATTRIBUTE", value_delimiter = ',')]
    pub(crate) by: Vec<String>,
}
