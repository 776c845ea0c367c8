//! The rows of a query a batch at a time, as they are computed.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use futures::StreamExt;

use super::shared::shared;
use super::{Session, own_memory};
use crate::error::{Result, TransformError};
use crate::statement::Statement;
use crate::texts;

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
        texts::cast_to(&batch, &self.schema).map(Some).map_err(|e| fail()(e.into()))
    }
}

impl Session {
    /// Begins a SELECT, or an EXPLAIN of one; `place` is where it stands, for messages.
    ///
    /// # Errors
    /// As [`Session::sql`].
    pub async fn stream(&self, text: &str, place: &str) -> Result<QueryStream> {
        self.stream_statement(Statement::parse(text, place)?, place).await
    }

    pub(super) async fn stream_statement(
        &self,
        statement: Statement,
        place: &str,
    ) -> Result<QueryStream> {
        let explains = statement.explains();
        self.register_needed(&statement, place).await?;
        let fail = || TransformError::sql(place);
        let mut frame = self.plan(statement, place).await?;
        let schema = texts::plain(frame.schema().as_arrow());
        if !explains {
            let (_, plan) = frame.into_parts();
            let plan = shared(&self.ctx, plan).await.map_err(fail())?;
            frame = self.ctx.execute_logical_plan(plan).await.map_err(fail())?;
        }
        // Queries of one session may run at once, each with all the memory that one may have.
        let memory = own_memory(&self.ctx.runtime_env());
        let task = Arc::new(frame.task_ctx().with_runtime(memory));
        let plan = frame.create_physical_plan().await.map_err(fail())?;
        let batches = execute_stream(plan, task).map_err(fail())?;
        Ok(QueryStream { schema, explains, place: place.to_owned(), batches })
    }
}
