//! The breakdown of metrics by `--where` and `--by`: which partners count, and in which segments.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use transform::{CheckOutcome, PartnerSegment, QueryResult, Session, TransformError, Violations};

use crate::args::BreakdownArgs;
use crate::errors::usage_error;

/// A session whose partners are filtered by `--where` and grouped by `--by`.
pub(crate) struct Breakdown {
    /// The session of all segments together.
    filtered: Arc<Session>,
    /// Whether there is neither a filter nor a grouping.
    has_all_partners: bool,
    /// The attributes of `--by`, each once.
    dimensions: Vec<String>,
    segments: Vec<PartnerSegment>,
}

impl Breakdown {
    /// Returns every partner, ungrouped.
    pub(crate) fn all_partners(session: &Arc<Session>) -> Self {
        Self {
            filtered: Arc::clone(session),
            has_all_partners: true,
            dimensions: Vec::new(),
            segments: Vec::new(),
        }
    }

    /// Returns the partners of a session that has been filtered, ungrouped.
    pub(crate) fn some_partners(session: &Arc<Session>) -> Self {
        Self { has_all_partners: false, ..Self::all_partners(session) }
    }

    /// Filters and segments the partners of a session.
    ///
    /// # Errors
    /// A condition that is not valid SQL, or an unknown attribute.
    pub(crate) async fn new(session: Session, options: &BreakdownArgs) -> anyhow::Result<Self> {
        let option_error = |option: &str, error: TransformError| match &error {
            // The error says where in the option.
            TransformError::InvalidCondition(_) => usage_error(error.to_string()),
            _ if error.is_invalid_query() => usage_error(format!("{option}: {error}")),
            _ => error.into(),
        };
        let mut filtered = Arc::new(session);
        if let Some(condition) = &options.condition {
            filtered = Arc::new(
                filtered.filtered(condition).await.map_err(|e| option_error("--where", e))?,
            );
        }
        let mut seen = BTreeSet::new();
        let dimensions: Vec<String> =
            options.by.iter().filter(|by| seen.insert(*by)).cloned().collect();
        let segments = match dimensions.is_empty() {
            true => Vec::new(),
            false => filtered.segments(&dimensions).await.map_err(|e| option_error("--by", e))?,
        };
        let has_all_partners = dimensions.is_empty() && options.condition.is_none();
        Ok(Self { filtered, has_all_partners, dimensions, segments })
    }

    /// Returns the session of all segments together.
    pub(crate) fn session(&self) -> &Session {
        &self.filtered
    }

    /// Runs the files in `checks/`. They concern the whole lake, so they are not run for some of
    /// its partners.
    pub(crate) async fn check_tables(&self) -> CheckOutcome {
        match self.has_all_partners {
            true => self.filtered.run_check_files().await,
            false => CheckOutcome::default(),
        }
    }

    /// Computes a metric and returns its rows with what its checks found. The rows of the segments
    /// follow each other, with the attributes of the segment in the first columns.
    pub(crate) async fn metric(
        &self,
        name: &str,
        check_outcome: &CheckOutcome,
    ) -> anyhow::Result<(QueryResult, Violations)> {
        if self.dimensions.is_empty() {
            let rows = self.filtered.metric(name).await?;
            let violations = self.filtered.check(name, &rows, check_outcome).await?;
            return Ok((rows, violations));
        }
        let columns = self.filtered.metric_schema(name).await?;
        if let Some(by) = self.dimensions.iter().find(|by| columns.field_with_name(by).is_ok()) {
            return Err(usage_error(format!(
                "--by {by}: {name} has a column {by} already; run it without --by {by}, or give the column another name in its query"
            )));
        }
        let mut fields: Vec<Arc<Field>> =
            self.dimensions.iter().map(|d| Arc::new(Field::new(d, DataType::Utf8, true))).collect();
        fields.extend(
            columns.fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true))),
        );
        let schema = Arc::new(Schema::new(fields));
        let mut batches = Vec::new();
        let mut violations = Violations::default();
        for segment in &self.segments {
            let rows = segment.session.metric(name).await?;
            violations.0.extend(segment.session.check(name, &rows, check_outcome).await?.0);
            for batch in rows.batches {
                let value = |v: &Option<String>| -> ArrayRef {
                    Arc::new(StringArray::from(vec![v.as_deref(); batch.num_rows()]))
                };
                let mut columns: Vec<ArrayRef> = segment.values.iter().map(value).collect();
                columns.extend(batch.columns().iter().cloned());
                batches.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
            }
        }
        Ok((QueryResult { schema, batches }, violations))
    }
}
