//! The command line of what people record beside the scores: `rapport score override`, `sentiment`,
//! `note` and `annotate`.

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
    /// Keep days out of the scores: an incident of the platform, or a planned pause of a partner
    #[command(
        after_help = "Prints the annotation's id. The days count as calm: no partner is blamed for calling less on them.\nWithout --partner they are the whole platform's. The same annotation again adds nothing.\n\nThe first line of a CSV file is partner_id,first_day,last_day,text; an empty partner_id is the whole\nplatform. A wrong line is named, and nothing of the file is added then. A file can be given again:\nonly what is new in it is added, and what was withdrawn stays so.\n\nExamples:\n  rapport score annotate --from 2026-11-03 --to 2026-11-04 --text \"Our gateway was down\"\n  rapport score annotate --partner p-000039 --from 2026-12-21 --to 2027-01-03 --text \"Holidays\"\n  rapport score annotate --csv calendar.csv\n  rapport score annotate --withdraw 4f1c09ab2d7e8810"
    )]
    Annotate(AnnotateArgs),
    /// List the days that are kept out of the scores
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
