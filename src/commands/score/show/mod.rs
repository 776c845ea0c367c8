//! `rapport score show`: why a partner has its score, and what made it change.
//!
//! - `explanation`: what is shown, as data
//! - `records`: what people recorded of the partner, and the days left out
//! - `evidence`: opportunities, incidents, and the queries that show the events
//! - `since`: the change since a day in its parts
//! - `text`: the explanation for people

mod evidence;
mod explanation;
mod records;
mod since;
mod text;

use std::path::Path;

use super::since_day;
use crate::args::{ReportFormat, ShowArgs};
use crate::output::print_verbatim;
use crate::project::Project;

/// Scores the partners and explains one. `config` is the `--config` that was given: printed
/// commands repeat it.
pub(crate) async fn show(
    project: &Project,
    options: &ShowArgs,
    config: Option<&Path>,
) -> anyhow::Result<()> {
    let as_of = project.as_of(options.as_of.as_deref()).await?;
    let since = options.since.as_deref().map(|since| since_day(Some(since), 0, as_of));
    let asked = explanation::Asked {
        partner_id: &options.partner,
        as_of,
        since: since.transpose()?,
        config,
    };
    let explanation = explanation::explain(project, &asked).await?;
    match options.format {
        ReportFormat::Table => text::print(&explanation),
        ReportFormat::Json => print_verbatim(&serde_json::to_string_pretty(&explanation)?),
    }
}
