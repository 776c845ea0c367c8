//! The command line of `rapport lake`.

use clap::{Args, Subcommand};

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Compare every file of every table with what was written, and check that no record stands twice
    #[command(
        after_help = "Reads the whole lake. Ends with 3 when anything is damaged, and says what to do about each file."
    )]
    Verify,
    /// Make anew what is damaged and can be had from the rest of the lake
    #[command(
        after_help = "Logs get a new checkpoint; rollups are computed again; scores and runs lose the rows that are lost.\nEvents come from nowhere else: where they are damaged it ends with 3 and says so. Stop the workers\nfirst. It can be run again.\n\nExample:\n  rapport lake verify || rapport lake repair"
    )]
    Repair,
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
        after_help = "Safe beside running workers and readers. The old files stay until `rapport lake vacuum`.\n\nExamples:\n  rapport lake compact\n  rapport lake compact --before 2026-11-01\n  rapport lake compact --units 1\n  rapport lake compact --cluster 10.0.0.5:50050"
    )]
    Compact(CompactArgs),
    /// Delete the files that no version of the last days names
    #[command(
        after_help = "Refused while the lake is damaged: the files may be what is left.\n\nExamples:\n  rapport lake vacuum --dry-run\n  rapport lake vacuum --retention-hours 48"
    )]
    Vacuum {
        /// Versions younger than this can still be read afterwards
        #[arg(long, value_name = "HOURS", default_value_t = 168, value_parser = clap::value_parser!(u64).range(1..))]
        retention_hours: u64,
        /// Only say how many files would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Erase partners from every file of the lake, which a scan then shows
    #[command(
        after_help = "Their events, dead letters and rollups go; in scores and in merges a random token takes the\nplace of the id. Ids are found as decoded: escaped as in JSON, URLs and XML, once or several\ntimes, in keys given twice and in records that are no JSON. An id that may be an ordinary word\n(acme) is found wherever an id stands. Not seen are texts encoded further, as by base64.\n\nEnds with 3, and says what and where, when anything is left or may be: an ordinary word in free\ntext, records sealed with another key or compressed, and reports from before the erasure, which\n`rapport report` renews. Topics, exported files, plans and copies are not looked at. Safe beside\nrunning workers; readers of older versions fail. It can be run again.\n\nExamples:\n  rapport lake erase --partner acme --dry-run\n  rapport lake erase --partner acme --partner acme-test --yes"
    )]
    Erase(EraseArgs),
    /// Seal the days that are past their retention: their events go, what was computed stays
    #[command(
        after_help = "[lake.retention] in rapport.toml says how long api_calls and dead_letters are kept, counted back\nfrom the watermark. Rollups, metrics and scores keep what they know; a later arrival for a sealed\nday is rejected as out_of_range, also a copy of an event that was there. `rapport lake vacuum` deletes\nthe files. Safe beside workers.\n\nExamples:\n  rapport lake retain --dry-run\n  rapport lake retain && rapport lake vacuum"
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
    /// Copy the lake to a folder or bucket, or bring the copy there up to date
    #[command(
        after_help = "Safe beside running workers: the copy is one state of all tables, with the positions of the topics.\nFiles that it has are not copied again. What is copied is compared with its checksums. A copy is a\nlake itself; the key is not in it. A bucket is reached as [lake.store] says. Ends with 1 when a file\nwas deleted meanwhile by `rapport lake vacuum` or erase: run it again.\n\nExamples:\n  rapport lake backup /mnt/backup/lake\n  rapport lake backup s3://backup/lake\n  RAPPORT_LAKE_ROOT=/mnt/backup/lake rapport lake verify"
    )]
    Backup {
        /// A folder, or s3://bucket/prefix; empty, or an earlier backup of this lake
        destination: String,
    },
    /// Make the lake anew from a backup
    #[command(
        after_help = "Needs the key that the lake had, and no lake at [lake] root. It can be run again when it was\ninterrupted. Workers then go on from the positions in the backup: what the topics still have after\nthem comes in once.\n\nExample:\n  rapport lake restore /mnt/backup/lake && rapport lake verify"
    )]
    Restore {
        /// The backup: a folder, or s3://bucket/prefix
        backup: String,
    },
    /// Use a new key from now on; the old ones stay in the key file and open what they sealed
    #[command(
        after_help = "Copy the key file to every machine that runs Rapport and into your backup, then restart the\nworkers: until then they use the old key. A credential has another hash from then on.\n\nExample:\n  rapport lake rotate-key"
    )]
    RotateKey,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// Only days before this one [default: every day that is complete]
    #[arg(long, value_name = "DATE")]
    pub(crate) before: Option<domain::Day>,
    /// How many days, or pieces of a large one, are compacted at once on this machine [default: one for
    /// each core, and for each 1.25 GB of memory]
    #[arg(long, value_name = "N", conflicts_with = "scheduler")]
    pub(crate) units: Option<std::num::NonZeroUsize>,
    #[command(flatten)]
    pub(crate) cluster: super::ClusterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// The id, as the events have it; may be given several times
    #[arg(long, value_name = "ID", required = true)]
    pub(crate) partner: Vec<String>,
    /// Take an id that may be an ordinary word for the partner's wherever it stands
    #[arg(long)]
    pub(crate) everywhere: bool,
    /// A folder whose report no longer exists; may be given several times
    #[arg(long, value_name = "DIR")]
    pub(crate) report_gone: Vec<std::path::PathBuf>,
    /// Only say how many rows would go, and where
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub(crate) yes: bool,
}
