//! Receives the callbacks of librdkafka for a member of a consumer group: decisions of the group,
//! and connection errors.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use crate::error::IngestError;
use crate::kafka::broker_error::BrokerError;

/// Queues the group's decisions. The worker handles them between two polls, when nothing is
/// borrowed.
#[derive(Default)]
pub(crate) struct RebalanceListener {
    events: Mutex<Vec<RebalanceEvent>>,
    closing: AtomicBool,
    /// When a connection error was last logged as a warning, because the client repeats errors
    /// every second. `None` before the broker has answered.
    last_logged: Mutex<Option<Instant>>,
    broker_error: BrokerError,
}

/// The interval at which a connection error that lasts is logged again.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// How long the client's queue is polled for the reason of a failure.
const ERROR_POLL_TIMEOUT: Duration = Duration::from_millis(50);

impl RebalanceListener {
    /// Notes that the broker has answered: from now on connection errors are logged as warnings.
    pub(crate) fn connected(&self) {
        let long_ago = Instant::now().checked_sub(LOG_INTERVAL);
        *lock(&self.last_logged) = long_ago;
    }

    /// Returns the error of a failed call to the brokers, with the reason that the client reported.
    pub(crate) fn explain(
        consumer: &BaseConsumer<Self>,
        servers: &str,
        error: &KafkaError,
    ) -> IngestError {
        // The reasons are in the client's queue, which has not been polled yet.
        while consumer.poll(ERROR_POLL_TIMEOUT).is_some() {}
        consumer.context().broker_error.explain(servers, error)
    }

    /// Returns the group's decisions since the last call.
    pub(crate) fn take_events(&self) -> Vec<RebalanceEvent> {
        std::mem::take(&mut *lock(&self.events))
    }

    /// Makes later rebalances give up partitions at once, because nobody handles events any longer.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

/// Locks a mutex. A thread that panicked leaves no inconsistent state under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A decision of the group.
pub(crate) enum RebalanceEvent {
    Assigned(Vec<(String, i32)>),
    Revoked,
}

impl ClientContext for RebalanceListener {
    fn error(&self, error: KafkaError, reason: &str) {
        self.broker_error.record(&error, reason);
        let mut last_logged = lock(&self.last_logged);
        // Before the first answer `last_logged` is `None`, and the caller reports the error once.
        if last_logged.is_some_and(|at| at.elapsed() >= LOG_INTERVAL) {
            *last_logged = Some(Instant::now());
            tracing::warn!(%error, reason, "the Kafka client reports a problem; it goes on trying");
        } else {
            tracing::debug!(%error, reason, "the Kafka client reports a problem");
        }
    }
}

impl ConsumerContext for RebalanceListener {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Relaxed) {
            // Without this, closing would wait for ever.
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "leaving the group");
            }
            return;
        }
        let event = if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let elements = partitions.elements();
            RebalanceEvent::Assigned(
                elements.iter().map(|e| (e.topic().to_owned(), e.partition())).collect(),
            )
        } else {
            RebalanceEvent::Revoked
        };
        lock(&self.events).push(event);
    }
}
