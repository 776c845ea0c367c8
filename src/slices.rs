//! `--where` and `--by`: the partners that count, and the parts they are cut into.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use transform::{Findings, Part, QueryResult, Session, TransformError, Verdict};

use crate::args::Slice;
use crate::failure::usage;

/// The partners that a command looks at.
pub(crate) struct Slices {
    whole: Arc<Session>,
    /// No partner is left out and nothing is cut.
    of_all: bool,
    by: Vec<String>,
    parts: Vec<Part>,
}

impl Slices {
    /// Every partner, in one part.
    pub(crate) fn of_all(session: &Arc<Session>) -> Self {
        Self { whole: Arc::clone(session), of_all: true, by: Vec::new(), parts: Vec::new() }
    }

    /// # Errors
    /// A condition or an attribute that is none.
    pub(crate) async fn of(session: Session, options: &Slice) -> anyhow::Result<Self> {
        let wrong = |option: &str, error: TransformError| match &error {
            // It says where in the option.
            TransformError::Condition(_) => usage(error.to_string()),
            _ if error.is_wrong_query() => usage(format!("{option}: {error}")),
            _ => error.into(),
        };
        let mut whole = Arc::new(session);
        if let Some(condition) = &options.condition {
            whole = Arc::new(whole.only(condition).await.map_err(|e| wrong("--where", e))?);
        }
        let mut seen = BTreeSet::new();
        let by: Vec<String> = options.by.iter().filter(|by| seen.insert(*by)).cloned().collect();
        let parts = match by.is_empty() {
            true => Vec::new(),
            false => whole.parts(&by).await.map_err(|e| wrong("--by", e))?,
        };
        let of_all = by.is_empty() && options.condition.is_none();
        Ok(Self { whole, of_all, by, parts })
    }

    /// The session that all parts are of.
    pub(crate) fn session(&self) -> &Session {
        &self.whole
    }

    /// What the files in `checks/` find. They are about the lake, not about some of its partners.
    pub(crate) async fn verdict(&self) -> Verdict {
        match self.of_all {
            true => self.whole.verdict().await,
            false => Verdict::default(),
        }
    }

    /// Rows of a metric and what its checks find; those of each part under one another, its
    /// attributes in the first columns.
    pub(crate) async fn metric(
        &self,
        name: &str,
        verdict: &Verdict,
    ) -> anyhow::Result<(QueryResult, Findings)> {
        if self.by.is_empty() {
            let rows = self.whole.metric(name).await?;
            let findings = self.whole.check(name, &rows, verdict).await?;
            return Ok((rows, findings));
        }
        let columns = self.whole.metric_schema(name).await?;
        if let Some(by) = self.by.iter().find(|by| columns.field_with_name(by).is_ok()) {
            return Err(usage(format!(
                "--by {by}: {name} has a column {by} already; run it without --by {by}, or give the column another name in its query"
            )));
        }
        let mut fields: Vec<Arc<Field>> =
            self.by.iter().map(|b| Arc::new(Field::new(b, DataType::Utf8, true))).collect();
        fields.extend(
            columns.fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true))),
        );
        let schema = Arc::new(Schema::new(fields));
        let mut batches = Vec::new();
        let mut findings = Findings::default();
        for part in &self.parts {
            let rows = part.session.metric(name).await?;
            findings.0.extend(part.session.check(name, &rows, verdict).await?.0);
            for batch in rows.batches {
                let value = |v: &Option<String>| -> ArrayRef {
                    Arc::new(StringArray::from(vec![v.as_deref(); batch.num_rows()]))
                };
                let mut columns: Vec<ArrayRef> = part.values.iter().map(value).collect();
                columns.extend(batch.columns().iter().cloned());
                batches.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
            }
        }
        Ok((QueryResult { schema, batches }, findings))
    }
}
