//! Sends units to the scheduler, and waits for the replies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ballista_core::config::{BALLISTA_CLIENT_PULL, BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK};
use ballista_core::execution_plans::execute_physical_plan;
use ballista_core::extension::SessionConfigExt;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use transform::{TransformError, UnitOutput, UnitRunner, WorkUnit};

use crate::codec::UnitsCodec;
use crate::error::{ClusterError, host_and_port};
use crate::message::{NO_EXECUTOR, Reply, Request, UnitResult};
use crate::units_exec::{plan_of, texts};

/// The most units of one job. What a job wrote is committed before the next one starts, and a message
/// to the scheduler may have 16 MiB.
const MAX_UNITS_PER_JOB: usize = 512;

/// How often a job is sent of which replies are lost with their executor.
const MAX_ATTEMPTS: usize = 4;

/// How long a job waits before it is sent again that found no executor.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The replies of a job that could be fetched, and why others could not.
type Replies = (Vec<Reply>, Option<DataFusionError>);

/// Runs units on a cluster.
pub struct ClusterRunner {
    /// The address of the scheduler: HOST:PORT.
    scheduler: String,
    /// The version of the program.
    program: String,
    /// For how long work waits for the first executor.
    executor_wait: Duration,
    /// The session of all jobs of this process.
    session: String,
}

impl ClusterRunner {
    /// `scheduler` is its address, HOST:PORT; `program` is the version of this program. Work waits for
    /// an executor as long as `executor_wait`.
    ///
    /// # Errors
    /// [`ClusterError::Address`] for what is no address.
    pub fn new(
        scheduler: &str,
        program: &str,
        executor_wait: Duration,
    ) -> Result<Self, ClusterError> {
        host_and_port(scheduler)?;
        let session = uuid::Uuid::now_v7().to_string();
        let (scheduler, program) = (scheduler.to_owned(), program.to_owned());
        Ok(Self { scheduler, program, executor_wait, session })
    }

    /// Runs some units as one job. Returns their outputs in the order of the units. Units whose
    /// executor died with its reply run again.
    async fn run_job(&self, units: Vec<WorkUnit>) -> Result<Vec<UnitOutput>, TransformError> {
        let count = units.len();
        let table = units.first().map(|unit| unit.table().to_owned()).unwrap_or_default();
        let requests = units.into_iter().enumerate().map(|(index, unit)| Request {
            index,
            program: self.program.clone(),
            unit,
        });
        let mut requests: Vec<Request> = requests.collect();
        let mut replies = Vec::new();
        let mut attempts = 0;
        while !requests.is_empty() {
            attempts += 1;
            let (received, lost) = self.execute_once_taken(&table, &requests).await?;
            let answered: BTreeSet<usize> = received.iter().map(|reply| reply.index).collect();
            requests.retain(|request| !answered.contains(&request.index));
            replies.extend(received);
            match lost {
                Some(error) if attempts == MAX_ATTEMPTS => return Err(self.failed(&table, &error)),
                Some(error) => {
                    tracing::warn!(table, units = requests.len(), %error, "replies are lost");
                }
                None => break,
            }
        }
        let executors: BTreeSet<&str> = replies.iter().map(|r| r.executor.as_str()).collect();
        tracing::info!(table, units = count, ?executors, "a job is done");
        in_order(&table, replies, count)
    }

    /// Runs a job, and waits with it until an executor takes work.
    async fn execute_once_taken(
        &self,
        table: &str,
        requests: &[Request],
    ) -> Result<Replies, TransformError> {
        let started = Instant::now();
        loop {
            match self.execute(requests).await {
                Ok(replies) => return Ok(replies),
                Err(error) if !error.to_string().contains(NO_EXECUTOR) => {
                    return Err(self.failed(table, &error));
                }
                Err(_) if started.elapsed() >= self.executor_wait => {
                    return Err(TransformError::Cluster(format!(
                        "no executor took work from the scheduler at {} for {} s, and nothing was committed of {table} since; start one with `rapport cluster executor`, then run this again",
                        self.scheduler,
                        self.executor_wait.as_secs()
                    )));
                }
                Err(_) => {
                    tracing::warn!(table, scheduler = self.scheduler, "waits for an executor");
                    tokio::time::sleep(RETRY_INTERVAL.min(self.executor_wait)).await;
                }
            }
        }
    }

    /// Runs a job.
    ///
    /// # Errors
    /// A job that failed.
    async fn execute(&self, requests: &[Request]) -> DataFusionResult<Replies> {
        // A unit is a task of its own, so that the executors share the units evenly.
        let config = SessionConfig::new_with_ballista()
            .set_str(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, "1")
            .set_str(BALLISTA_CLIENT_PULL, "true");
        let (ballista, codec) = (config.ballista_config(), UnitsCodec::of_sender(&self.program));
        let mut batches = execute_physical_plan::<PhysicalPlanNode>(
            format!("http://{}", self.scheduler),
            &ballista,
            plan_of(requests)?,
            &codec,
            self.session.clone(),
            config,
        )
        .await?;
        let (mut replies, mut lost) = (Vec::new(), None);
        // The replies of each executor come by themselves, so those after an error are there too.
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) => {
                    let parsed = texts(&batch).map(serde_json::from_str::<Reply>);
                    let parsed = parsed.collect::<Result<Vec<_>, _>>();
                    replies.extend(parsed.map_err(|e| DataFusionError::External(e.into()))?);
                }
                Err(error) => lost = Some(error),
            }
        }
        Ok((replies, lost))
    }

    fn failed(&self, table: &str, error: &DataFusionError) -> TransformError {
        TransformError::Cluster(format!(
            "the cluster at {} failed, and nothing was committed of {table} since: {}; check the scheduler and its executors, then run this again",
            self.scheduler,
            error.strip_backtrace()
        ))
    }
}

impl UnitRunner for ClusterRunner {
    fn run(&self, units: Vec<WorkUnit>) -> BoxStream<'_, Result<UnitOutput, TransformError>> {
        let jobs: Vec<Vec<WorkUnit>> =
            units.chunks(MAX_UNITS_PER_JOB).map(<[WorkUnit]>::to_vec).collect();
        stream::iter(jobs)
            .then(|units| self.run_job(units))
            .map_ok(|outputs| stream::iter(outputs.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }
}

/// Returns the outputs in the order of the units. Each unit must have one reply.
fn in_order(
    table: &str,
    replies: Vec<Reply>,
    count: usize,
) -> Result<Vec<UnitOutput>, TransformError> {
    let mut outputs = BTreeMap::new();
    for Reply { index, executor, result } in replies {
        let output = match result {
            UnitResult::Written(output) => output,
            UnitResult::Failed(error) => {
                return Err(TransformError::Cluster(format!("on {executor}: {error}")));
            }
        };
        if index >= count || outputs.insert(index, output).is_some() {
            let what = "a unit of work was answered twice".to_owned();
            return Err(TransformError::UnitOutput { rollup: table.to_owned(), what });
        }
    }
    if outputs.len() < count {
        let what = format!("{} of {count} units of work were answered", outputs.len());
        return Err(TransformError::UnitOutput { rollup: table.to_owned(), what });
    }
    Ok(outputs.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(index: usize) -> Reply {
        let result = UnitResult::Written(UnitOutput::default());
        Reply { index, executor: "127.0.0.1:1".to_owned(), result }
    }

    #[test]
    fn each_unit_has_one_reply() {
        let outputs = |indices: &[usize]| {
            let replies = indices.iter().map(|index| reply(*index)).collect();
            in_order("partner_day", replies, 2).map(|outputs| outputs.len())
        };
        assert_eq!(outputs(&[1, 0]).expect("outputs"), 2);
        for wrong in [&[0][..], &[0, 0], &[0, 1, 1], &[0, 2]] {
            assert!(matches!(outputs(wrong), Err(TransformError::UnitOutput { .. })), "{wrong:?}");
        }
    }
}
