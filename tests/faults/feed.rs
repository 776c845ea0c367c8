//! A producer that never rests: simulated worlds, tombstones and Avro records, second by second.
//!
//! Every record says in a header what it must become, so that whoever reads the topic afterwards
//! knows the truth without having seen the producer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fixtures::{Fault, Kind, Record, WorldOptions};
use lake_types::{Day, Stream};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

/// The header that tells what a record must become.
pub(crate) const TRUTH: &str = "truth";
/// Records a second: more than a worker that commits all the time needs, less than it can take.
const RATE: u32 = 250;
/// One call in so many is Avro, which is rejected until a replay knows the schema.
const AVRO_EVERY: u64 = 60;
const TOMBSTONE_EVERY: u64 = 90;

/// A thread that produces to a season's topics until it is told to end.
pub(crate) struct Feed {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

#[derive(Clone, Default)]
struct Refused(Arc<AtomicU64>);

impl ClientContext for Refused {}

impl ProducerContext for Refused {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Feed {
    /// Begins to produce to the topics `<prefix><stream>`.
    pub(crate) fn start(bootstrap: &str, prefix: &str, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, prefix) = (Arc::clone(&stop), prefix.to_owned());
        let outlet = Outlet::new(bootstrap);
        let thread = std::thread::spawn(move || produce(&outlet, &prefix, seed, &told));
        Self { stop, thread }
    }

    /// Ends it once the broker has every record; how many there were.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the producer's thread")
    }
}

/// The way to the broker; what it did not take is counted.
pub(crate) struct Outlet(ThreadedProducer<Refused>);

impl Outlet {
    pub(crate) fn new(bootstrap: &str) -> Self {
        let mut config = ClientConfig::new();
        // Outlives every restart of the broker, and writes nothing twice while it retries.
        config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true");
        config.set("linger.ms", "10").set("message.timeout.ms", "120000");
        config.set("reconnect.backoff.max.ms", "500");
        Self(config.create_with_context(Refused::default()).expect("a producer"))
    }

    /// Sends a record; `None` is a tombstone.
    pub(crate) fn send(&self, topic: &str, key: &str, value: Option<&[u8]>, truth: &str) {
        let headers = OwnedHeaders::new().insert(Header { key: TRUTH, value: Some(truth) });
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

fn produce(outlet: &Outlet, prefix: &str, seed: u64, stop: &AtomicBool) -> u64 {
    let began = Instant::now();
    let mut sent = 0;
    for options in worlds(seed) {
        let world = fixtures::world(options).expect("a world");
        for record in world.records().filter(timeless) {
            let topic = format!("{prefix}{}", record.stream);
            outlet.send(&topic, record.key, Some(&record.value), truth(record.kind));
            sent += 1;
            let calls = format!("{prefix}{}", Stream::ApiCalls);
            if sent % TOMBSTONE_EVERY == 0 {
                outlet.send(&calls, record.key, None, "tombstone");
                sent += 1;
            }
            if sent % AVRO_EVERY == 0 {
                let id = format!("avro-{sent}");
                let value = avro(&id, record.key, record.arrival / 1_000);
                outlet.send(&calls, record.key, Some(&value), "avro");
                sent += 1;
            }
            let due = began + Duration::from_secs(sent) / RATE;
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
            if stop.load(Ordering::Relaxed) {
                outlet.finish();
                return sent;
            }
        }
    }
    sent
}

/// World after world, each beginning where the last ended. A day passes every second or two, so
/// that there are always days to compact.
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

/// What is malformed only by coming before it occurred would be valid today.
fn timeless(record: &Record<'_>) -> bool {
    let ahead = Fault { reason: "out_of_range", field: Some("occurred_at") };
    record.kind != Kind::Malformed(ahead) || record.value.windows(4).any(|w| w == b"1999")
}

fn truth(kind: Kind) -> &'static str {
    match kind {
        Kind::Event | Kind::Copy => "event",
        Kind::Malformed(_) => "malformed",
    }
}

/// The schema of the Avro records, as a registry would give it for [`SCHEMA_ID`].
pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"Call","fields":[{"name":"event_id","type":"string"},{"name":"partner_id","type":"string"},{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"status","type":"int"}]}"#;

const SCHEMA_ID: u32 = 7;

/// A call in the Confluent wire format: a zero byte, the schema's id, the fields in their order.
fn avro(id: &str, partner: &str, millis: i64) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&SCHEMA_ID.to_be_bytes());
    for text in [id, partner] {
        number(&mut bytes, text.len() as i64);
        bytes.extend_from_slice(text.as_bytes());
    }
    number(&mut bytes, millis);
    number(&mut bytes, 200);
    bytes
}

/// Avro's integers: zigzag, seven bits a byte.
fn number(bytes: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}

/// The id of an Avro record: what stands after its schema's id.
pub(crate) fn avro_id(value: &[u8]) -> String {
    let length = usize::from(value[5] >> 1);
    String::from_utf8(value[6..6 + length].to_vec()).expect("an id")
}
