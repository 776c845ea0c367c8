//! The command line of alerts: `rapport alerts`.

use clap::{Args, Subcommand};

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Look for what somebody should know of now, and tell them
    #[command(
        after_help = "Evaluates the alerts and the notices of policy.toml and sends what was not sent yet: once an episode,\nand a word when it is over. Meant for a scheduler. Ends with 3 when a notice could not be delivered;\nthe next check tries it again.\n\nExamples:\n  rapport alerts check\n  rapport alerts check --dry-run\n  rapport alerts check --format json | jq '.[] | select(.state == \"holds\")'"
    )]
    Check(CheckAlertsArgs),
    /// List the alerts that are open, who looks after them and who was told
    #[command(
        after_help = "An alert stays open until seven evaluations have not found it.\n\nExamples:\n  rapport alerts list\n  rapport alerts list --partner p-000039\n  rapport alerts list --format csv"
    )]
    List(ListAlertsArgs),
    /// Tell nobody of an alert for some days; it stays in the list
    #[command(
        after_help = "Without --partner it is about everyone; `version-sunset` is about all versions, `version-sunset:v1`\nabout one.\n\nExamples:\n  rapport alerts snooze payment-failed --partner p-000039 --days 7 --reason \"They change banks\"\n  rapport alerts snooze version-sunset:v1 --until 2026-12-24 --reason \"Planned\"\n  rapport alerts snooze payment-failed --partner p-000039 --end --reason \"Done\""
    )]
    Snooze(SnoozeArgs),
    /// Note something about an alert
    #[command(
        after_help = "Example:\n  rapport alerts note payment-failed --partner p-000039 \"Finance called them on Monday\""
    )]
    Note(AlertNoteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckAlertsArgs {
    /// Up to this UTC midnight [default: the last one the data is complete to]
    #[arg(long, value_name = "T")]
    pub(crate) as_of: Option<String>,
    /// Show what holds; write and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Who is named in the log [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ListAlertsArgs {
    /// Only alerts about this partner
    #[arg(long, value_name = "ID")]
    pub(crate) partner: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct SnoozeArgs {
    /// The alert's id, as `rapport alerts list` prints it, or that of its rule
    pub(crate) alert: String,
    /// Only where it is about this partner
    #[arg(long, value_name = "ID")]
    pub(crate) partner: Option<String>,
    /// For so many days
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub(crate) days: u32,
    /// Up to the beginning of this UTC date, or to an instant
    #[arg(long, value_name = "DATE", conflicts_with_all = ["end", "days"])]
    pub(crate) until: Option<String>,
    /// End the snooze that is in force
    #[arg(long, conflicts_with = "days")]
    pub(crate) end: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AlertNoteArgs {
    /// The alert's id, as `rapport alerts list` prints it, or that of its rule
    pub(crate) alert: String,
    /// The note, in one line
    pub(crate) text: String,
    /// Only where it is about this partner
    #[arg(long, value_name = "ID")]
    pub(crate) partner: Option<String>,
    /// Who notes it [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}
