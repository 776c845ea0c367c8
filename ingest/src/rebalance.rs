//! What librdkafka tells a member of a consumer group: decisions of the group, and problems of the
//! connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use crate::error::IngestError;
use crate::problem::Problem;

/// Notes what the group decided; the worker acts on it between two polls, when nothing is borrowed.
#[derive(Default)]
pub(crate) struct Rebalances {
    events: Mutex<Vec<Rebalance>>,
    closing: AtomicBool,
    /// When a problem of the connection was last told: the client repeats itself by the second.
    told: Mutex<Option<Instant>>,
    problem: Problem,
}

/// A problem of the connection that lasts is told again after so long.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// How long the client's queue is looked at for the reason of a failure.
const REASONS: Duration = Duration::from_millis(50);

impl Rebalances {
    /// The broker has answered: from now on problems of the connection are told.
    pub(crate) fn connected(&self) {
        let long_ago = Instant::now().checked_sub(TELL_AGAIN);
        *lock(&self.told) = long_ago;
    }

    /// A call to the brokers has failed: the error that says why.
    pub(crate) fn explain(
        consumer: &BaseConsumer<Self>,
        servers: &str,
        error: &KafkaError,
    ) -> IngestError {
        // Reasons wait in the client's queue, between lines of its log, and nobody has read it yet.
        while consumer.poll(REASONS).is_some() {}
        consumer.context().problem.explain(servers, error)
    }

    /// What the group decided since the last call.
    pub(crate) fn take(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *lock(&self.events))
    }

    /// From now on partitions are let go at once: nobody takes events any longer.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

/// A thread that panicked left nothing half-done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A decision of the group.
pub(crate) enum Rebalance {
    Assigned(Vec<(String, i32)>),
    Revoked,
}

impl ClientContext for Rebalances {
    fn error(&self, error: KafkaError, reason: &str) {
        self.problem.note(&error, reason);
        let mut told = lock(&self.told);
        // Before the first answer `told` is unset and the caller says what is wrong, once.
        if told.is_some_and(|at| at.elapsed() >= TELL_AGAIN) {
            *told = Some(Instant::now());
            tracing::warn!(%error, reason, "the Kafka client reports a problem; it goes on trying");
        } else {
            tracing::debug!(%error, reason, "the Kafka client reports a problem");
        }
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Relaxed) {
            // Or closing would wait for ever.
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "leaving the group");
            }
            return;
        }
        let event = if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let elements = partitions.elements();
            Rebalance::Assigned(
                elements.iter().map(|e| (e.topic().to_owned(), e.partition())).collect(),
            )
        } else {
            Rebalance::Revoked
        };
        lock(&self.events).push(event);
    }
}
