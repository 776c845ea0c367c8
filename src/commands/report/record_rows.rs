//! The rows of what people recorded beside the scores. They are read as they are now, whatever a
//! report's run has read.

use dashboards::{AnnotationRow, NoteRow, OverrideRow, ReportInput};

use super::text_table::{TextTable, optional};
use super::{ReportPartners, table};
use crate::polars_frames::typed_rows;
use crate::project::Project;

const ANNOTATIONS: TextTable<'static, 6> = TextTable {
    name: "annotations",
    description: "Days with an explanation, which charts mark, and which scores leave out where they are calm; those without a partner are about all of them",
    columns: [
        ("first_day", "Date32"),
        ("last_day", "Date32"),
        ("partner_id", "Utf8"),
        ("text", "Utf8"),
        ("by", "Utf8"),
        ("calm", "Boolean"),
    ],
};

/// Adds notes, judgements, overrides and annotations to the report.
pub(super) async fn fill(
    project: &Project,
    partners: &ReportPartners,
    input: &mut ReportInput,
) -> anyhow::Result<()> {
    let session = project.session_up_to_now().await?;
    let notes = partners.rows(&session.metric("partner_notes").await?)?;
    input.notes = typed_rows::<NoteRow>(&notes)?;
    table(
        input,
        "partner_notes",
        "Notes on partners and judgements of them, newest first",
        &notes,
    )?;
    let overrides = partners.rows(&session.metric("override_history").await?)?;
    input.overrides = typed_rows::<OverrideRow>(&overrides)?;
    let what = "Tiers that people set, newest first, with what ended them";
    table(input, "override_history", what, &overrides)?;
    let annotations = session.metric("annotation").await?;
    let mut rows = typed_rows::<AnnotationRow>(&annotations)?;
    rows.retain(|row| row.partner_id.as_ref().is_none_or(|id| partners.include(id)));
    rows.sort_by(|a, b| (a.first_day, &a.text).cmp(&(b.first_day, &b.text)));
    let cells = rows.iter().map(|row| {
        let days = [row.first_day, row.last_day].map(|day| day.to_string());
        let [first, last] = days;
        let (partner, calm) = (optional(row.partner_id.as_ref()), row.calm.to_string());
        [first, last, partner, row.text.clone(), row.by.clone(), calm]
    });
    ANNOTATIONS.add(input, cells)?;
    input.annotations = rows;
    Ok(())
}
