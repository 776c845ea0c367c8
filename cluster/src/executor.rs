//! An executor: it asks the scheduler for tasks, and runs their units on the lake that its own
//! configuration names.

use std::path::PathBuf;
use std::sync::Arc;

use ballista_core::RuntimeProducer;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use transform::UnitExecutor;
use url::Url;

use crate::codec::UnitsCodec;
use crate::error::{ClusterError, host_and_port};
use crate::units_exec::UnitHost;

/// How long the executor waits for the scheduler when it starts, in seconds.
const CONNECT_SECONDS: u16 = 30;

/// After how many seconds the replies of a job are deleted, and how often this is done.
const REPLIES_KEPT_SECONDS: u64 = 3_600;
const CLEAN_UP_SECONDS: u64 = 600;

/// The settings of an executor.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
    /// The address of the scheduler: HOST:PORT.
    pub scheduler: String,
    /// The address to listen on, at which replies are fetched: HOST:PORT.
    pub listen: String,
    /// The host under which others reach it, where it is not that of `listen`.
    pub advertise: Option<String>,
    /// The units that run at once.
    pub units: usize,
    /// A folder for the replies, which are small.
    pub folder: PathBuf,
    /// The version of the program; work of another one is refused.
    pub program: String,
}

/// Runs an executor until a signal ends it. It finishes the units that it has begun.
///
/// # Errors
/// A scheduler that does not answer; an address that can't be listened on.
pub async fn run_executor(
    settings: ExecutorSettings,
    executor: UnitExecutor,
) -> Result<(), ClusterError> {
    let (scheduler_host, scheduler_port) = host_and_port(&settings.scheduler)?;
    let (bind_host, port) = host_and_port(&settings.listen)?;
    let advertised = settings.advertise.unwrap_or_else(|| bind_host.clone());
    let host =
        UnitHost { program: settings.program, name: format!("{advertised}:{port}"), executor };
    let config = ExecutorProcessConfig {
        bind_host,
        external_host: Some(advertised),
        port,
        // In the pull mode nothing listens there.
        grpc_port: port,
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: CONNECT_SECONDS,
        vcores: settings.units.max(1),
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(settings.folder.display().to_string()),
        job_data_ttl_seconds: REPLIES_KEPT_SECONDS,
        job_data_clean_up_interval_seconds: CLEAN_UP_SECONDS,
        // The engine of the units has its own limit.
        memory_pool_size: Some(0),
        override_runtime_producer: Some(runtime_without_files()),
        override_physical_codec: Some(Arc::new(UnitsCodec::of_executor(host))),
        ..ExecutorProcessConfig::default()
    };
    start_executor_process(Arc::new(config)).await.map_err(ClusterError::Executor)
}

/// Returns runtimes whose plans can read no file of this machine. The units read the lake by an engine
/// of their own.
fn runtime_without_files() -> RuntimeProducer {
    Arc::new(|_: &SessionConfig| {
        let runtime = RuntimeEnvBuilder::new().build_arc()?;
        if let Ok(files) = Url::parse("file:///") {
            runtime.deregister_object_store(&files)?;
        }
        Ok(runtime)
    })
}
