//! The plan of a job: a list of units in memory, one in each partition, and over it the node that runs
//! them.
//!
//! Ballista divides a stage into tasks by giving each task some partitions of the leaves that it knows,
//! and runs any other leaf whole in every task. So the leaf is its own memory source, and the scans of
//! a unit come into being on the executor.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use transform::UnitExecutor;

use crate::message::{Reply, Request, UnitResult};

/// Runs units inside an executor.
pub(crate) struct UnitHost {
    /// The version of the program.
    pub program: String,
    /// The address of the executor.
    pub name: String,
    pub executor: UnitExecutor,
}

/// Runs the unit of each row of its input, and returns the replies.
pub(crate) struct UnitsExec {
    input: Arc<dyn ExecutionPlan>,
    /// `None` in the scheduler and in the program that commits.
    host: Option<Arc<UnitHost>>,
    properties: Arc<PlanProperties>,
}

impl UnitsExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, host: Option<Arc<UnitHost>>) -> Self {
        let partitions = input.properties().output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(text_schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, host, properties: Arc::new(properties) }
    }
}

/// Returns the plan that runs these requests, each in a partition of its own.
pub(crate) fn plan_of(requests: &[Request]) -> Result<Arc<dyn ExecutionPlan>> {
    let batch = |request: &Request| -> Result<Vec<RecordBatch>> {
        Ok(vec![text_batch(vec![to_json(request)?])?])
    };
    let partitions = requests.iter().map(batch).collect::<Result<Vec<_>>>()?;
    let input = MemorySourceConfig::try_new_exec(&partitions, text_schema(), None)?;
    Ok(Arc::new(UnitsExec::new(input, None)))
}

/// Returns the texts of a batch.
pub(crate) fn texts(batch: &RecordBatch) -> impl Iterator<Item = &str> {
    batch.column(0).as_string::<i32>().iter().flatten()
}

fn text_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("message", DataType::Utf8, false)]))
}

fn text_batch(texts: Vec<String>) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(text_schema(), vec![Arc::new(StringArray::from(texts))])?)
}

fn to_json(message: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(message).map_err(|e| DataFusionError::External(e.into()))
}

impl UnitHost {
    /// Runs the units of a batch, and returns the replies as a batch.
    async fn run_batch(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let mut replies = Vec::new();
        for text in texts(&batch) {
            let request: Request =
                serde_json::from_str(text).map_err(|e| DataFusionError::External(e.into()))?;
            replies.push(to_json(&self.reply(request).await?)?);
        }
        text_batch(replies)
    }

    /// Runs a unit.
    ///
    /// # Errors
    /// [`DataFusionError::IoError`] where the unit is worth another attempt: of all errors Ballista
    /// repeats only that one.
    async fn reply(&self, Request { index, program, unit }: Request) -> Result<Reply> {
        let executor = self.name.clone();
        if program != self.program {
            let text = format!(
                "the executor {executor} is Rapport {}, and the work comes from Rapport {program}; install the same version on every machine",
                self.program
            );
            return Ok(Reply { index, executor, result: UnitResult::Failed(text) });
        }
        let table = unit.table().to_owned();
        let result = match self.executor.run(unit).await {
            Ok(output) => {
                tracing::info!(table, index, "a unit is written");
                UnitResult::Written(output)
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(table, index, %error, "a unit failed and is tried again");
                return Err(DataFusionError::IoError(std::io::Error::other(error.to_string())));
            }
            Err(error) => {
                tracing::warn!(table, index, %error, "a unit failed");
                UnitResult::Failed(error.to_string())
            }
        };
        Ok(Reply { index, executor, result })
    }
}

impl fmt::Debug for UnitsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnitsExec").field("input", &self.input).finish_non_exhaustive()
    }
}

impl DisplayAs for UnitsExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnitsExec")
    }
}

impl ExecutionPlan for UnitsExec {
    fn name(&self) -> &'static str {
        "UnitsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children).map_err(|children| {
            DataFusionError::Internal(format!("UnitsExec has one input, not {}", children.len()))
        })?;
        Ok(Arc::new(Self::new(input, self.host.clone())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(host) = self.host.clone() else {
            let text = "units run in executors only";
            return Err(DataFusionError::Internal(text.to_owned()));
        };
        let replies = self.input.execute(partition, context)?.then(move |batch| {
            let host = Arc::clone(&host);
            async move { host.run_batch(batch?).await }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(text_schema(), replies)))
    }
}
