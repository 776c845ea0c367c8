//! The rows of a query a batch at a time, as they are computed.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;

use super::{Session, plain_batch, plain_schema};
use crate::error::{Result, TransformError};
use crate::statement::Statement;

/// A query that runs; dropped, it stops.
pub struct QueryStream {
    /// Of every batch; strings are Utf8.
    pub schema: SchemaRef,
    /// Whether the rows are a plan: (`plan_type`, `plan`).
    pub explains: bool,
    place: String,
    batches: SendableRecordBatchStream,
}

impl QueryStream {
    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// A file that can't be read, an overflow, too little memory.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let fail = || TransformError::sql(&self.place);
        let Some(batch) = self.batches.next().await else { return Ok(None) };
        let batch = batch.map_err(fail())?;
        plain_batch(&batch, &self.schema).map(Some).map_err(|e| fail()(e.into()))
    }
}

impl Session {
    /// Begins a SELECT, or an EXPLAIN of one; `place` is where it stands, for messages.
    ///
    /// # Errors
    /// As [`Session::sql`].
    pub async fn stream(&self, text: &str, place: &str) -> Result<QueryStream> {
        let statement = Statement::parse(text, place)?;
        let explains = statement.explains();
        self.register_needed(&statement, place).await?;
        let frame = self.plan(statement, place).await?;
        let schema = plain_schema(frame.schema().as_arrow());
        let batches = frame.execute_stream().await.map_err(TransformError::sql(place))?;
        Ok(QueryStream { schema, explains, place: place.to_owned(), batches })
    }
}
