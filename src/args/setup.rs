//! The command line of what sets up a machine: completions, man pages and schemas for editors.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

#[derive(Debug, Subcommand)]
pub(crate) enum SetupCommand {
    /// Print the completions of this command line for a shell
    #[command(
        after_help = "Examples:\n  rapport completions bash > ~/.local/share/bash-completion/completions/rapport\n  rapport completions zsh > ~/.zfunc/_rapport\n  rapport completions fish > ~/.config/fish/completions/rapport.fish"
    )]
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the man pages, one for each command
    #[command(
        after_help = "Examples:\n  rapport man ~/.local/share/man/man1 && man rapport-ingest-run"
    )]
    Man {
        /// The folder; made when it does not exist
        dir: PathBuf,
    },
    /// Print the JSON Schema of a file of a project, for editors
    #[command(
        after_help = "Editors with Taplo or Even Better TOML take it from a first line such as\n  #:schema ./rapport.schema.json\n\nExamples:\n  rapport schema rapport > rapport.schema.json\n  rapport schema policy > policy.schema.json"
    )]
    Schema(SchemaArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Which file
    #[arg(value_enum)]
    pub(crate) file: SchemaFile,
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFile {
    /// rapport.toml
    Rapport,
    /// scoring.toml, the scoring policy
    Scoring,
    /// policy.toml, the action policy
    Policy,
    /// The header of a query, the TOML in the first comment of a .sql file
    QueryHeader,
    /// The test cases of a query, NAME.test.toml
    QueryCases,
}
