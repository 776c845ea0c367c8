//! `rapport score annotate` and `annotations`: days with an explanation, which scores leave out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{BooleanArray, Date32Array};
use arrow::compute::concat_batches;
use chrono::Datelike;
use domain::{Day, agree, counted};
use lake::schema;
use serde::Deserialize;

use super::record::{
    KnownPartners, append, author, check_partner, checked_text, instants, option_text, print_list,
    session, texts,
};
use crate::args::{AnnotateArgs, Format};
use crate::csv_file;
use crate::errors::usage_error;
use crate::output::{print_line, print_note};
use crate::polars_frames::typed_rows;
use crate::project::Project;

/// The most days of one annotation; more are a typing error.
const MAX_DAYS: i32 = 366;
/// The years that an annotation may name.
const FIRST_YEAR: i32 = 2000;
const LAST_YEAR: i32 = 2199;

/// The columns of a file of annotations.
const CSV_COLUMNS: [&str; 4] = ["partner_id", "first_day", "last_day", "text"];

/// How many characters of a digest an id has.
const ID_LENGTH: usize = 16;

/// Days with an explanation, of one partner or of the whole platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    pub(crate) partner: Option<String>,
    pub(crate) first: Day,
    /// Inclusive.
    pub(crate) last: Day,
    pub(crate) text: String,
    /// Scores leave the days out; otherwise charts only mark them.
    pub(crate) is_calm: bool,
}

impl Annotation {
    /// Returns the id, a digest of the content: the same annotation has the same id.
    fn id(&self) -> anyhow::Result<String> {
        let Self { partner, first, last, text, is_calm } = self;
        let days = (first.to_string(), last.to_string());
        let content = match is_calm {
            true => serde_json::to_string(&(partner, days.0, days.1, text))?,
            false => serde_json::to_string(&(partner, days.0, days.1, text, "mark only"))?,
        };
        let digest = lake::sha256_hex(content.as_bytes());
        Ok(digest.chars().take(ID_LENGTH).collect())
    }
}

/// Adds an annotation or those of a file, or withdraws one.
pub(super) async fn run(project: &Project, options: &AnnotateArgs) -> anyhow::Result<()> {
    let by = author(options.by.as_deref())?;
    if let Some(id) = &options.withdraw {
        return withdraw(project, id, by).await;
    }
    if let Some(path) = &options.csv {
        return add_file(project, path, !options.mark_only, by).await;
    }
    let (Some(first), Some(text)) = (options.from, &options.text) else {
        return Err(usage_error("--from and --text are missing"));
    };
    let text = option_text("--text", text)?;
    let last = options.to.unwrap_or(first);
    check_days(first, last).map_err(|what| usage_error(format!("--to {last}: {what}")))?;
    let (partner, is_calm) = (options.partner.clone(), !options.mark_only);
    let annotation = Annotation { partner, first, last, text, is_calm };
    let (id, is_new) = write(project, annotation, by).await?;
    if !is_new {
        print_note("It is there already; nothing was added");
    }
    print_line(&id)
}

/// Adds an annotation. One that was withdrawn counts again. Returns its id, and whether it was not
/// there yet.
pub(crate) async fn write(
    project: &Project,
    annotation: Annotation,
    by: String,
) -> anyhow::Result<(String, bool)> {
    if let Some(partner) = &annotation.partner {
        check_partner(project, partner).await?;
    }
    let id = annotation.id()?;
    let stored = stored_annotations(project).await?;
    let is_new = stored.get(&id).is_none_or(|stored| stored.withdrawn);
    if is_new {
        append_all(project, &[(id.clone(), annotation)], by, false).await?;
    }
    Ok((id, is_new))
}

/// Adds the annotations of a file that the lake does not have yet. One that was withdrawn stays so.
async fn add_file(project: &Project, path: &Path, is_calm: bool, by: String) -> anyhow::Result<()> {
    let given = read_file(path, is_calm, &KnownPartners::read(project).await?)?;
    let stored = stored_annotations(project).await?;
    let mut new = BTreeMap::new();
    let (mut present, mut withdrawn) = (0_usize, 0_usize);
    for annotation in given {
        let id = annotation.id()?;
        match stored.get(&id) {
            Some(stored) if stored.withdrawn => withdrawn += 1,
            Some(_) => present += 1,
            None => present += usize::from(new.insert(id, annotation).is_some()),
        }
    }
    let new: Vec<(String, Annotation)> = new.into_iter().collect();
    if !new.is_empty() {
        append_all(project, &new, by, false).await?;
    }
    let mut line = format!("{} added", counted(new.len(), "annotation"));
    if present > 0 {
        line.push_str(&format!(", {present} {} there already", agree(present, "was", "were")));
    }
    if withdrawn > 0 {
        line.push_str(&format!(
            ", {withdrawn} withdrawn before {} so",
            agree(withdrawn, "stays", "stay")
        ));
    }
    print_line(&line)
}

/// Reads a file of annotations.
fn read_file(
    path: &Path,
    is_calm: bool,
    partners: &KnownPartners,
) -> anyhow::Result<Vec<Annotation>> {
    let bytes = std::fs::read(path)
        .map_err(|e| usage_error(format!("--csv {} can't be read: {e}", path.display())))?;
    let mut annotations = Vec::new();
    csv_file::parse(path, &bytes, CSV_COLUMNS, |row| {
        let partner = Some(row.text(0)).filter(|id| !id.is_empty());
        if let Some(id) = partner {
            partners.check(id).map_err(|what| row.cell_error(0, what))?;
        }
        let (first, last) = (row.day(1)?, row.day(2)?);
        check_days(first, last).map_err(|what| row.cell_error(2, what))?;
        let text = checked_text(row.text(3)).map_err(|what| row.cell_error(3, what))?;
        let partner = partner.map(str::to_owned);
        annotations.push(Annotation { partner, first, last, text, is_calm });
        Ok(())
    })?;
    Ok(annotations)
}

/// Refuses days that are probably a typing error.
pub(crate) fn check_days(first: Day, last: Day) -> Result<(), String> {
    if last < first {
        return Err(format!("the last day lies before the first one, {first}"));
    }
    if [first, last].iter().any(|day| !(FIRST_YEAR..=LAST_YEAR).contains(&day.date().year())) {
        return Err(format!("the years must lie in {FIRST_YEAR} to {LAST_YEAR}"));
    }
    if last.0 - first.0 >= MAX_DAYS {
        return Err(format!(
            "an annotation has {MAX_DAYS} days at most, and begins on {first} here"
        ));
    }
    Ok(())
}

/// Lets the days of an annotation count again.
async fn withdraw(project: &Project, id: &str, by: String) -> anyhow::Result<()> {
    let stored = stored_annotations(project).await?.remove(id);
    let lists = "`rapport score annotations` lists them";
    let Some(stored) = stored else {
        return Err(usage_error(format!("no annotation has the id \"{id}\"; {lists}")));
    };
    if stored.withdrawn {
        return Err(usage_error(format!("the annotation {id} was withdrawn before; {lists}")));
    }
    append_all(project, &[(id.to_owned(), stored.annotation()?)], by, true).await?;
    print_line(&format!("{id} is withdrawn: its days count again"))
}

/// Appends rows of annotations in one commit.
async fn append_all(
    project: &Project,
    annotations: &[(String, Annotation)],
    by: String,
    withdrawn: bool,
) -> anyhow::Result<()> {
    let count = annotations.len();
    let of = || annotations.iter().map(|(_, annotation)| annotation);
    let columns = vec![
        instants(vec![project.now; count]),
        texts(vec![by; count]),
        texts(annotations.iter().map(|(id, _)| id.clone())),
        texts(of().map(|annotation| annotation.partner.clone())),
        Arc::new(Date32Array::from_iter_values(of().map(|annotation| annotation.first.0))),
        Arc::new(Date32Array::from_iter_values(of().map(|annotation| annotation.last.0))),
        texts(of().map(|annotation| annotation.text.clone())),
        Arc::new(BooleanArray::from(vec![withdrawn; count])),
        Arc::new(of().map(|annotation| Some(annotation.is_calm)).collect::<BooleanArray>()),
    ];
    let what = if withdrawn { "the withdrawal" } else { "the annotation" };
    append(project, &schema::annotations(), columns, what).await
}

/// The newest row of an annotation.
#[derive(Deserialize)]
struct StoredAnnotation {
    annotation_id: String,
    partner_id: Option<String>,
    first_day: String,
    last_day: String,
    text: String,
    withdrawn: bool,
    calm: Option<bool>,
}

impl StoredAnnotation {
    fn annotation(self) -> anyhow::Result<Annotation> {
        Ok(Annotation {
            partner: self.partner_id,
            first: self.first_day.parse()?,
            last: self.last_day.parse()?,
            text: self.text,
            is_calm: self.calm.unwrap_or(true),
        })
    }
}

/// Returns the newest row of each annotation by its id, the withdrawn ones too.
async fn stored_annotations(
    project: &Project,
) -> anyhow::Result<BTreeMap<String, StoredAnnotation>> {
    let rows = session(project).await?;
    let rows = rows.ordered_rows("annotations", &["at", "withdrawn"], None).await?;
    let rows = typed_rows::<StoredAnnotation>(&rows)?.into_iter();
    // Of rows with the same id the last one stays.
    Ok(rows.map(|row| (row.annotation_id.clone(), row)).collect())
}

/// Lists the annotations, those withdrawn left out.
pub(super) async fn list(project: &Project, format: Format) -> anyhow::Result<()> {
    let found = session(project).await?.metric("annotation").await?;
    let rows = concat_batches(&found.schema, &found.batches)?;
    print_list(&rows, format, "No day has an explanation")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a date")
    }

    #[test]
    fn days_of_an_annotation_are_plausible() {
        #[track_caller]
        fn check(first: &str, last: &str, expected: &str) {
            match check_days(day(first), day(last)) {
                Ok(()) => assert_eq!(expected, ""),
                Err(what) => assert!(!expected.is_empty() && what.contains(expected), "{what}"),
            }
        }
        check("2026-11-03", "2026-11-03", "");
        check("2026-11-03", "2026-11-02", "before the first one, 2026-11-03");
        check("2026-01-01", "2026-12-31", "");
        check("2024-01-01", "2024-12-31", "");
        check("2026-01-01", "2027-01-02", "366 days at most");
        check("1926-11-03", "1926-11-03", "2000 to 2199");
        check("2199-12-31", "2200-01-01", "2000 to 2199");
    }

    #[test]
    fn an_id_is_that_of_the_content() {
        let annotation = |partner: Option<&str>, text: &str| Annotation {
            is_calm: true,
            partner: partner.map(str::to_owned),
            first: day("2026-11-03"),
            last: day("2026-11-04"),
            text: text.to_owned(),
        };
        let id = |partner, text| annotation(partner, text).id().expect("an id");
        assert_eq!(id(None, "down").len(), ID_LENGTH);
        assert_eq!(id(Some("a"), "down"), id(Some("a"), "down"));
        let marked = Annotation { is_calm: false, ..annotation(None, "down") }.id().expect("an id");
        let ids = [
            id(None, "down"),
            id(Some("a"), "down"),
            id(Some("b"), "down"),
            id(None, "up"),
            marked,
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
