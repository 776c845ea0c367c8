//! A producer that sends simulated worlds, tombstones, Avro records and records of a gateway without
//! a pause.
//!
//! A header of every record names its expected outcome, so that a reader of the topic knows it
//! without having seen the producer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::{Day, Stream};
use fixtures::{RecordKind, WorldOptions};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

/// The header that names the expected outcome of a record.
pub(crate) const OUTCOME_HEADER: &str = "expected";
/// Records a second: enough that a worker commits all the time, and fewer than it can read.
const RATE: u32 = 250;
/// One call in this many is Avro, which is rejected until a replay knows the schema.
const AVRO_EVERY: u64 = 60;
const TOMBSTONE_EVERY: u64 = 90;
/// In a round with a mapping, one record in about this many is a gateway's.
const GATEWAY_EVERY: u64 = 15;
/// The mapping of the calls. It turns a gateway's calls into events, leaves its health checks out,
/// fails at its errors, and changes nothing else.
pub(crate) const GATEWAY_MAPPING: &str = r#"#---
# description = "Calls of a gateway among events of the contract"
# stream = "api-calls"
#---
if type != "object" or (has("gateway") | not) then .
elif .gateway.health then empty
else .gateway
  | if .failure then error("failed: \(.failure)") else . end
  | { event_id: .id, partner_id: $key, occurred_at: .at, status }
end
"#;

/// A thread that produces to the topics of a round until it is stopped.
pub(crate) struct BackgroundProducer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

/// Counts the records that the broker did not take.
#[derive(Clone, Default)]
struct RefusedRecords(Arc<AtomicU64>);

impl ClientContext for RefusedRecords {}

impl ProducerContext for RefusedRecords {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl BackgroundProducer {
    /// Starts to produce to the topics `<prefix><stream>`, with records of a gateway if they have a
    /// mapping.
    pub(crate) fn start(bootstrap: &str, prefix: &str, seed: u64, with_mapping: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stop_flag, prefix) = (Arc::clone(&stop), prefix.to_owned());
        let topic_producer = TopicProducer::new(bootstrap);
        let thread = std::thread::spawn(move || {
            produce_until_stopped(&topic_producer, &prefix, seed, with_mapping, &stop_flag)
        });
        Self { stop, thread }
    }

    /// Stops the thread once the broker has every record, and returns the number of records.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the producer's thread")
    }
}

/// A producer that counts the records that the broker refuses.
pub(crate) struct TopicProducer(ThreadedProducer<RefusedRecords>);

impl TopicProducer {
    pub(crate) fn new(bootstrap: &str) -> Self {
        let mut config = ClientConfig::new();
        // The producer outlives every restart of the broker, and writes nothing twice when it
        // retries.
        config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true");
        config.set("linger.ms", "10").set("message.timeout.ms", "120000");
        config.set("reconnect.backoff.max.ms", "500");
        Self(config.create_with_context(RefusedRecords::default()).expect("a producer"))
    }

    /// Sends a record; a value of `None` is a tombstone.
    pub(crate) fn send(
        &self,
        topic: &str,
        key: &str,
        value: Option<&[u8]>,
        expected_outcome: &str,
    ) {
        let headers = OwnedHeaders::new()
            .insert(Header { key: OUTCOME_HEADER, value: Some(expected_outcome) });
        let mut record = BaseRecord::to(topic).key(key).headers(headers);
        if let Some(value) = value {
            record = record.payload(value);
        }
        self.0.send(record).map_err(|(error, _)| error).expect("room in the producer's queue");
    }

    /// Waits until the broker has everything.
    pub(crate) fn finish(&self) {
        self.0.flush(Duration::from_secs(120)).expect("the broker takes all records");
        assert_eq!(self.0.context().0.load(Ordering::Relaxed), 0, "records the broker refused");
    }
}

fn produce_until_stopped(
    topic_producer: &TopicProducer,
    prefix: &str,
    seed: u64,
    with_mapping: bool,
    stop: &AtomicBool,
) -> u64 {
    let started = Instant::now();
    let (mut sent, mut of_gateway) = (0, 0);
    for options in worlds(seed) {
        let world = fixtures::world(options).expect("a world");
        // One that is malformed only because it occurs after its arrival would be valid today.
        for record in world.records().filter(|record| !record.is_ahead) {
            let topic = format!("{prefix}{}", record.stream);
            topic_producer.send(
                &topic,
                record.key,
                Some(&record.value),
                expected_outcome(record.kind),
            );
            sent += 1;
            let calls = format!("{prefix}{}", Stream::ApiCalls);
            if sent % TOMBSTONE_EVERY == 0 {
                topic_producer.send(&calls, record.key, None, "tombstone");
                sent += 1;
            }
            if sent % AVRO_EVERY == 0 {
                let id = format!("avro-{sent}");
                let value = encode_avro_call(&id, record.key, record.arrival / 1_000);
                topic_producer.send(&calls, record.key, Some(&value), "avro");
                sent += 1;
            }
            if with_mapping && sent / GATEWAY_EVERY > of_gateway {
                of_gateway += 1;
                let (value, outcome) = gateway_record(of_gateway, record.arrival / 1_000);
                topic_producer.send(&calls, record.key, Some(value.as_bytes()), outcome);
                sent += 1;
            }
            let send_at = started + Duration::from_secs(sent) / RATE;
            while let Some(left) = send_at.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
            if stop.load(Ordering::Relaxed) {
                topic_producer.finish();
                return sent;
            }
        }
    }
    topic_producer.finish();
    sent
}

/// Returns a record of a gateway, and its outcome.
fn gateway_record(number: u64, millis: i64) -> (String, &'static str) {
    let call = format!(r#""id":"gateway-{number}","at":{millis},"status":200"#);
    match number % 4 {
        0 => (r#"{"gateway":{"health":true}}"#.to_owned(), "skipped"),
        1 => (format!(r#"{{"gateway":{{{call},"failure":"timeout"}}}}"#), "malformed"),
        _ => (format!(r#"{{"gateway":{{{call}}}}}"#), "event"),
    }
}

/// Returns world after world, each of which begins where the last one ends. A day passes every
/// second or two, so that there are always days to compact.
fn worlds(seed: u64) -> impl Iterator<Item = WorldOptions> {
    const DAYS: u32 = 90;
    let first: Day = "2021-01-01".parse().expect("a day");
    (0..20).map(move |n| {
        let from = first.plus(n * DAYS.cast_signed());
        let mut options = WorldOptions::new(seed.wrapping_add(n as u64), 60, 30_000, from);
        options.days = DAYS;
        options.rates.malformed = 0.02;
        options.rates.duplicates = 0.02;
        options
    })
}

fn expected_outcome(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Event | RecordKind::Copy => "event",
        RecordKind::Malformed(_) => "malformed",
    }
}

/// The schema of the Avro records, as a registry returns it for [`SCHEMA_ID`].
pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"Call","fields":[{"name":"event_id","type":"string"},{"name":"partner_id","type":"string"},{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"status","type":"int"}]}"#;

const SCHEMA_ID: u32 = 7;

/// Encodes a call in the Confluent wire format: a zero byte, the id of the schema, the fields in
/// order.
fn encode_avro_call(id: &str, partner: &str, millis: i64) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&SCHEMA_ID.to_be_bytes());
    for text in [id, partner] {
        zigzag_varint(&mut bytes, text.len() as i64);
        bytes.extend_from_slice(text.as_bytes());
    }
    zigzag_varint(&mut bytes, millis);
    zigzag_varint(&mut bytes, 200);
    bytes
}

/// Appends an integer as Avro writes it: zigzag, seven bits a byte.
fn zigzag_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}

/// Reads the event id of an Avro record, which stands right after the id of the schema.
pub(crate) fn avro_id(value: &[u8]) -> String {
    let length = usize::from(value[5] >> 1);
    String::from_utf8(value[6..6 + length].to_vec()).expect("an id")
}
