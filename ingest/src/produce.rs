//! Producing records to a Kafka cluster: the simulator's way in, and the demo's.

use lake_types::{agree, counted};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use crate::error::IngestError;
use crate::problem::Problem;
use crate::settings::KafkaSettings;

/// A producer that counts what the broker did not take.
pub struct RecordProducer {
    producer: ThreadedProducer<Failures>,
    servers: String,
}

#[derive(Default)]
struct Failures {
    records: AtomicU64,
    problem: Problem,
}

impl ClientContext for Failures {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the Kafka client reports a problem");
        self.problem.note(&error, reason);
    }
}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            tracing::debug!(%error, "not delivered");
            self.records.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl RecordProducer {
    /// # Errors
    /// When a property is none that librdkafka has, or no broker answers.
    pub fn connect(settings: &KafkaSettings) -> Result<Self, IngestError> {
        let mut config = settings.client();
        config
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "131072")
            .set("message.timeout.ms", "60000");
        settings.add_properties(&mut config);
        let producer: ThreadedProducer<Failures> =
            config.create_with_context(Failures::default()).map_err(|e| settings.refused(e))?;
        let servers = settings.bootstrap_servers.clone();
        producer
            .client()
            .fetch_metadata(None, Duration::from_secs(10))
            .map_err(|e| producer.context().problem.explain(&servers, &e))?;
        Ok(Self { producer, servers })
    }

    /// Hands one record over; waits while the client's queue is full. `arrival` in µs becomes the
    /// record's timestamp.
    ///
    /// # Errors
    /// When the client refuses the record.
    pub fn send(
        &self,
        topic: &str,
        key: &str,
        value: &[u8],
        arrival: i64,
    ) -> Result<(), IngestError> {
        let mut record = BaseRecord::to(topic).key(key).payload(value).timestamp(arrival / 1_000);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until the broker has everything.
    ///
    /// # Errors
    /// When it did not take all within the time.
    pub fn flush(&self, timeout: Duration) -> Result<(), IngestError> {
        let until = Instant::now() + timeout;
        self.producer.flush(timeout)?;
        let failed = self.producer.context().records.load(Ordering::Relaxed);
        if failed > 0 || Instant::now() > until {
            return Err(IngestError::Unreachable {
                servers: self.servers.clone(),
                reason: format!(
                    "{} {} not taken",
                    counted(failed, "record"),
                    agree(failed, "was", "were")
                ),
            });
        }
        Ok(())
    }
}
