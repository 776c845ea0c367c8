//! `rapport score note` and `notes`: what people note about a partner.

use arrow::array::BooleanArray;
use arrow::compute::{concat_batches, filter_record_batch};
use domain::printable;
use lake::schema;

use super::record::{
    append, author, check_partner, instants, option_text, print_list, session, text_column, texts,
};
use crate::args::{Format, NoteArgs};
use crate::output::print_line;
use crate::project::Project;

/// Records a note and says so.
pub(super) async fn run(project: &Project, options: &NoteArgs) -> anyhow::Result<()> {
    print_line(&write(project, options).await?)
}

/// Records a note. Returns a line on it.
pub(crate) async fn write(project: &Project, options: &NoteArgs) -> anyhow::Result<String> {
    let by = author(options.by.as_deref())?;
    let note = option_text("the note", &options.text)?;
    let partner = &options.partner;
    check_partner(project, partner).await?;
    let columns =
        vec![instants([project.now]), texts([by.clone()]), texts([partner.clone()]), texts([note])];
    append(project, &schema::notes(), columns, "the note").await?;
    Ok(printable(&format!("{partner}: noted by {by}")).into_owned())
}

/// Lists the notes and judgements of a partner, and of those that were merged into it.
pub(super) async fn list(project: &Project, partner: &str, format: Format) -> anyhow::Result<()> {
    let found = session(project).await?.metric("partner_notes").await?;
    let notes = concat_batches(&found.schema, &found.batches)?;
    let (partners, given) = (text_column(&notes, "partner_id")?, text_column(&notes, "noted_of")?);
    let is_of_partner: BooleanArray = partners
        .iter()
        .zip(given)
        .map(|(stands_for_it, given)| Some([stands_for_it, given].contains(&Some(partner))))
        .collect();
    let rows = filter_record_batch(&notes, &is_of_partner)?;
    if rows.num_rows() == 0 {
        check_partner(project, partner).await?;
    }
    print_list(&rows, format, &format!("Nothing was noted about {}", printable(partner)))
}
