//! The command line of deliveries: `rapport deliver`.

use clap::{Args, Subcommand};

use super::Format;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DeliverReportsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DeliveriesCommand>,
    /// Only this delivery
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// Send this delivery once more in its period, also where it was refused or may have arrived
    #[arg(long, value_name = "NAME", conflicts_with = "only")]
    pub(crate) again: Option<String>,
    /// Show what would be sent; send and log nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Who is named in the log [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// List what was sent, skipped, held back or failed, newest first
    #[command(
        after_help = "Examples:\n  rapport deliver log\n  rapport deliver log --only weekly --format csv"
    )]
    Log(DeliveryLogArgs),
    /// Send nothing of a delivery until it is resumed
    #[command(after_help = "Example:\n  rapport deliver pause weekly --reason \"Summer break\"")]
    Pause(PauseArgs),
    /// Let a delivery go on that was paused
    #[command(
        after_help = "Example:\n  rapport deliver resume weekly --reason \"Everybody is back\""
    )]
    Resume(PauseArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DeliveryLogArgs {
    /// Only rows of this delivery
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// How many rows at most; 0 is all
    #[arg(long, value_name = "N", default_value = "50", value_parser = super::parse_limit)]
    pub(crate) limit: usize,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The delivery, by its name in rapport.toml
    pub(crate) name: String,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}
