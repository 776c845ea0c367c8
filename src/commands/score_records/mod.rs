//! `rapport score override | sentiment | note | annotate`: what people record beside the scores.
//!
//! - `record`: author, text and partner of a record, and the session that reads records
//! - `override_tier`: tiers that a person sets for some days
//! - `sentiment`, `note`: judgements of a partner, and notes
//! - `annotate`: days that scores leave out

pub(crate) mod annotate;
pub(crate) mod note;
pub(crate) mod override_tier;
mod record;
mod sentiment;

pub(crate) use record::{
    append, author, check_partner, checked_text, instants, option_text, print_list, session, texts,
};

use crate::args::RecordCommand;
use crate::project::Project;

/// Runs one of the commands.
pub(crate) async fn run(project: &Project, command: &RecordCommand) -> anyhow::Result<()> {
    match command {
        RecordCommand::Override(options) => override_tier::run(project, options).await,
        RecordCommand::Overrides { all, format } => {
            override_tier::list(project, *all, *format).await
        }
        RecordCommand::Sentiment(options) => sentiment::run(project, options).await,
        RecordCommand::Note(options) => note::run(project, options).await,
        RecordCommand::Notes { partner, format } => note::list(project, partner, *format).await,
        RecordCommand::Annotate(options) => annotate::run(project, options).await,
        RecordCommand::Annotations { format } => annotate::list(project, *format).await,
    }
}
