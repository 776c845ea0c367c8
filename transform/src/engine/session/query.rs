//! Runs the statements of a session, and returns their rows at once or as a stream.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::SendableRecordBatchStream;
use domain::Day;
use futures::StreamExt;

use super::Session;
use super::exchange_rates::MONEY_VIEW;
use crate::catalog::Query;
use crate::catalog::statement::Statement;
use crate::engine::optimizer::common_subplan::compute_repeated_once;
use crate::engine::query_columns::check_columns;
use crate::engine::sort_merge_join;
use crate::engine::utf8_view;
use crate::error::{Result, TransformError};

/// The rows of a query.
#[derive(Debug, Clone)]
pub struct QueryResult {
    /// The schema of every batch; strings are `Utf8`.
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

impl QueryResult {
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// A running query that gives its rows batch by batch. The query stops when this is dropped.
pub struct QueryStream {
    /// The schema of every batch; strings are `Utf8`.
    pub schema: SchemaRef,
    /// Whether the rows are those of an EXPLAIN: (`plan_type`, `plan`).
    pub explains: bool,
    location: String,
    batches: SendableRecordBatchStream,
}

impl QueryStream {
    #[cfg(feature = "postgres")]
    pub(crate) fn new(
        schema: SchemaRef,
        location: &str,
        batches: SendableRecordBatchStream,
    ) -> Self {
        Self { schema, explains: false, location: location.to_owned(), batches }
    }

    /// Returns the next rows, or `None` at the end.
    ///
    /// # Errors
    /// A file that can't be read, an overflow, too little memory.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let fail = || TransformError::sql(&self.location);
        let Some(batch) = self.batches.next().await else { return Ok(None) };
        let batch = batch.map_err(fail())?;
        utf8_view::cast_to(&batch, &self.schema).map(Some).map_err(|e| fail()(e.into()))
    }
}

impl Session {
    /// Returns the rows of a query of the catalog, in the order of its SQL and with the columns of
    /// its header. A kept query has the order of its grain.
    ///
    /// # Errors
    /// An unknown name, a missing exchange rate, columns that differ from the header's, errors of
    /// DataFusion.
    pub async fn metric(&self, name: &str) -> Result<QueryResult> {
        let query = self.catalog.find(name)?;
        if name == MONEY_VIEW {
            // Registration checks the exchange rates, and the query's own SQL does not.
            return self.run(&format!("SELECT * FROM {MONEY_VIEW}"), &query.file).await;
        }
        if query.header.keep {
            // What other queries have read before is there, and its columns are checked.
            return self.ordered_rows(name, &query.header.grain, None).await;
        }
        let result = self.run_query(query).await?;
        check_columns(query, &result.schema)?;
        Ok(result)
    }

    /// Returns the columns of [`Session::metric`] without computing its rows.
    ///
    /// # Errors
    /// Those of [`Session::metric`] that occur before a query runs.
    pub async fn metric_schema(&self, name: &str) -> Result<SchemaRef> {
        let query = self.catalog.find(name)?;
        let frame = self.frame(query.statement()?.clone(), &query.file).await?;
        check_columns(query, frame.schema().as_arrow())?;
        Ok(utf8_view::plain(frame.schema().as_arrow()))
    }

    /// Returns the rows since a day of a query of the catalog with a column `event_date`, in the
    /// order of its grain.
    ///
    /// # Errors
    /// Those of [`Session::metric`].
    pub async fn rows_since(&self, name: &str, first: Day) -> Result<QueryResult> {
        let query = self.catalog.find(name)?;
        let grain = query.header.grain.join(", ");
        let sql =
            format!("SELECT * FROM {name} WHERE event_date >= DATE '{first}' ORDER BY {grain}");
        self.run(&sql, &query.file).await
    }

    /// Returns the rows of a table or a query in the order of some columns, at most `limit` of them.
    ///
    /// # Errors
    /// An unknown name or column; those of [`Session::metric`].
    pub async fn ordered_rows<C: AsRef<str>>(
        &self,
        name: &str,
        order: &[C],
        limit: Option<usize>,
    ) -> Result<QueryResult> {
        let order: Vec<&str> = order.iter().map(AsRef::as_ref).collect();
        let mut sql = format!("SELECT * FROM {name}");
        if !order.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        }
        if let Some(limit) = limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        self.run(&sql, name).await
    }

    /// Returns the rows of any SELECT over tables, rollups, views and metrics.
    ///
    /// # Errors
    /// A statement that is no SELECT; those of [`Session::metric`].
    pub async fn sql(&self, text: &str) -> Result<QueryResult> {
        self.run(text, "your query").await
    }

    /// Starts a SELECT, or an EXPLAIN of one. `location` is where it stands, for error messages.
    ///
    /// # Errors
    /// Those of [`Session::sql`].
    pub async fn stream(&self, text: &str, location: &str) -> Result<QueryStream> {
        self.stream_statement(Statement::parse(text, location)?, location).await
    }

    /// Returns the rows of a query of the catalog, with whatever columns they have.
    pub(crate) async fn run_query(&self, query: &Query) -> Result<QueryResult> {
        self.run_statement(query.statement()?.clone(), &query.file).await
    }

    pub(crate) async fn run(&self, text: &str, location: &str) -> Result<QueryResult> {
        self.run_statement(Statement::parse(text, location)?, location).await
    }

    pub(crate) async fn run_statement(
        &self,
        statement: Statement,
        location: &str,
    ) -> Result<QueryResult> {
        let mut rows = self.stream_statement(statement, location).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await? {
            batches.push(batch);
        }
        Ok(QueryResult { schema: rows.schema, batches })
    }

    pub(crate) async fn stream_statement(
        &self,
        statement: Statement,
        location: &str,
    ) -> Result<QueryStream> {
        let explains = statement.explains();
        self.register_needed(&statement, location).await?;
        let fail = || TransformError::sql(location);
        let mut frame = self.plan(statement, location).await?;
        let schema = utf8_view::plain(frame.schema().as_arrow());
        if !explains {
            let (_, plan) = frame.into_parts();
            let plan = compute_repeated_once(&self.ctx, plan).await.map_err(fail())?;
            frame = self.ctx.execute_logical_plan(plan).await.map_err(fail())?;
        }
        let batches = sort_merge_join::execute(frame).await.map_err(fail())?;
        Ok(QueryStream { schema, explains, location: location.to_owned(), batches })
    }
}
