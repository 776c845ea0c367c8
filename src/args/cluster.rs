//! The command line of `rapport cluster`, and the option `--cluster` of commands that refresh rollups or
//! compact.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Hand out work to executors; needs a program built with `--features cluster`
    #[command(
        after_help = "Needs no project. Nobody has to sign in at its port, so it listens on this machine alone unless told\notherwise: open it to the machines of the cluster only.\n\nExample:\n  rapport cluster scheduler --listen 10.0.0.5:50050"
    )]
    Scheduler(SchedulerArgs),
    /// Compute rollups and compact days for others, on the lake of this project; needs such a program too
    #[command(
        after_help = "It opens the lake by its own rapport.toml, key file and credentials, and needs the queries/ of the\nprogram that sends the work. A signal lets it finish what it has begun.\n\nExamples:\n  rapport cluster executor\n  rapport cluster executor --listen 127.0.0.1:50052 --units 2\n  rapport cluster executor --scheduler 10.0.0.5:50050 --listen 0.0.0.0:50051 --advertise 10.0.0.6"
    )]
    Executor(ExecutorArgs),
    /// Compute every day of every rollup again, also where nothing changed
    #[command(after_help = "Example:\n  rapport cluster rebuild --cluster 127.0.0.1:50050")]
    Rebuild(ClusterArgs),
    /// Compute every rollup in this process, and compare it with what is stored
    #[command(
        after_help = "Writes to a temporary folder only. Ends with 3 where a row differs.\n\nExample:\n  rapport cluster compare"
    )]
    Compare,
}

#[derive(Debug, Args)]
pub(crate) struct SchedulerArgs {
    /// The address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50050")]
    pub(crate) listen: String,
    /// After how long without a sign of life an executor counts as lost, and for how long work waits
    /// once the last one is
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..))]
    pub(crate) executor_timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutorArgs {
    /// The scheduler [default: scheduler in rapport.toml, or 127.0.0.1:50050]
    #[arg(long, value_name = "ADDR")]
    pub(crate) scheduler: Option<String>,
    /// The address to listen on; the program that sent the work fetches replies there
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    pub(crate) listen: String,
    /// The host by which others reach it [default: that of --listen]
    #[arg(long, value_name = "HOST")]
    pub(crate) advertise: Option<String>,
    /// How many pieces are computed at once [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) units: Option<std::num::NonZeroUsize>,
}

/// The cluster of a command that refreshes rollups or compacts.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClusterArgs {
    /// Do the work on the executors of this scheduler [default: scheduler in rapport.toml]
    #[arg(long = "cluster", value_name = "ADDR")]
    pub(crate) scheduler: Option<String>,
}
