//! The scheduler: it hands out tasks to the executors that ask for them, has failed ones run again, and
//! notices lost executors. It reads no lake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use crate::alive_executors::AliveExecutors;
use crate::codec::UnitsCodec;
use crate::error::ClusterError;

/// How often executors are looked for that no longer answer, in seconds.
const CHECK_SECONDS: u64 = 2;

/// The settings of a scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerSettings {
    /// The address to listen on: HOST:PORT.
    pub listen: String,
    /// The version of the program; work of another one is refused.
    pub program: String,
    /// For how long an executor may be silent before its tasks run elsewhere, and for how long jobs
    /// wait for one after the last was lost.
    pub executor_timeout_seconds: u64,
}

/// Runs the scheduler until it fails. `ready` gets the address once it listens.
///
/// # Errors
/// An address that can't be listened on; errors of the server.
pub async fn run_scheduler(
    settings: SchedulerSettings,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ClusterError> {
    let listen = |source| ClusterError::Listen { address: settings.listen.clone(), source };
    let listener = TcpListener::bind(&settings.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let mut config = SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        external_host: address.ip().to_string(),
        // Executors ask for tasks, so that only they and the programs that commit open connections.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: settings.executor_timeout_seconds,
        no_executors_grace_period_seconds: settings.executor_timeout_seconds,
        expire_dead_executor_interval_seconds: CHECK_SECONDS,
        ..SchedulerConfig::default()
    };
    let cluster =
        BallistaCluster::new_from_config(&config).await.map_err(ClusterError::Scheduler)?;
    let executors = AliveExecutors {
        cluster: cluster.cluster_state(),
        timeout: Duration::from_secs(settings.executor_timeout_seconds),
    };
    let codec = UnitsCodec::of_scheduler(&settings.program, executors);
    config.override_physical_codec = Some(Arc::new(codec));
    let scheduler =
        create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config))
            .await
            .map_err(ClusterError::Scheduler)?;
    ready(address);
    start_grpc_service_with_listener(listener, scheduler).await.map_err(ClusterError::Scheduler)
}
