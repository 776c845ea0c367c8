//! Rows of text as a CSV beside the pages, with the description of its columns.

use dashboards::{ColumnDoc, QueryDoc, ReportInput};

/// A table that no query gives.
pub(super) struct TextTable<'a, const N: usize> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    /// The columns, each with its type in the spelling of a query's header.
    pub(super) columns: [(&'a str, &'a str); N],
}

impl<const N: usize> TextTable<'_, N> {
    /// Adds the rows to the files of the report.
    pub(super) fn add(
        &self,
        input: &mut ReportInput,
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> anyhow::Result<()> {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.map(|(name, _)| name))?;
        for row in rows {
            writer.write_record(row)?;
        }
        let bytes = writer.into_inner().map_err(|e| anyhow::anyhow!("CSV: {}", e.error()))?;
        let column = |(name, kind): (&str, &str)| ColumnDoc {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..ColumnDoc::default()
        };
        let doc = QueryDoc {
            kind: "table".to_owned(),
            description: self.description.to_owned(),
            columns: self.columns.map(column).to_vec(),
            ..QueryDoc::default()
        };
        input.csv.insert(self.name.to_owned(), String::from_utf8(bytes)?);
        input.tables.insert(self.name.to_owned(), doc);
        Ok(())
    }
}

/// Returns the text of a value that may be missing: an empty cell.
pub(super) fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
