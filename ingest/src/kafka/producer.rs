//! Produces records to a Kafka cluster, for the simulator and the demo.

use domain::{agree, counted};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use crate::error::IngestError;
use crate::kafka::broker_error::BrokerError;
use crate::settings::KafkaSettings;

/// A producer that counts the records that were not delivered.
pub struct RecordProducer {
    producer: ThreadedProducer<DeliveryFailures>,
    servers: String,
}

/// Counts the records that were not delivered.
#[derive(Default)]
struct DeliveryFailures {
    records: AtomicU64,
    broker_error: BrokerError,
}

impl ClientContext for DeliveryFailures {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the Kafka client reports a problem");
        self.broker_error.record(&error, reason);
    }
}

impl ProducerContext for DeliveryFailures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            tracing::debug!(%error, "not delivered");
            self.records.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl RecordProducer {
    /// Connects to the cluster.
    ///
    /// # Errors
    /// Fails when librdkafka has no such property, or when no broker answers.
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
        let producer: ThreadedProducer<DeliveryFailures> = config
            .create_with_context(DeliveryFailures::default())
            .map_err(|e| settings.client_error(e))?;
        let servers = settings.bootstrap_servers.clone();
        producer
            .client()
            .fetch_metadata(None, Duration::from_secs(10))
            .map_err(|e| producer.context().broker_error.explain(&servers, &e))?;
        Ok(Self { producer, servers })
    }

    /// Sends one record, and waits while the client's queue is full. `arrival`, in µs, becomes the
    /// record's timestamp.
    ///
    /// # Errors
    /// Fails when the client refuses the record.
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

    /// Waits until all records are delivered.
    ///
    /// # Errors
    /// Fails when not all were delivered within the timeout.
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
