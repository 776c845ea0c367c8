//! Every encoding on one topic, with a real broker and a real Schema Registry that goes and comes.

use std::time::Duration;

use crate::kafka::Broker;
use crate::program::{Project, Running, wait_until};
use crate::registry::Registry;

const PATIENCE: Duration = Duration::from_secs(90);
const TIME: &str = "2026-06-01T12:00:00Z";

/// The fields of an API call in Avro, and more of them.
fn schema(more: &str) -> String {
    format!(
        r#"{{"type":"record","name":"Call","namespace":"com.example","fields":[
        {{"name":"event_id","type":"string"}},{{"name":"partner_id","type":"string"}},
        {{"name":"occurred_at","type":{{"type":"long","logicalType":"timestamp-millis"}}}},
        {{"name":"status","type":"int"}}{more}]}}"#
    )
}

/// An integer as Avro writes it.
fn long(value: i64) -> Vec<u8> {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [long(text.len() as i64), text.as_bytes().to_vec()].concat()
}

/// A call in the wire format; `more` are the bytes of more fields.
fn call(schema: u32, id: &str, more: &[u8]) -> Vec<u8> {
    let noon = lake_types::parse_instant(TIME).expect("an instant") / 1_000;
    let head = [&[0], &schema.to_be_bytes()[..]].concat();
    [head, text(id), text("acme"), long(noon), long(200), more.to_vec()].concat()
}

fn project(broker: &Broker, registry: &Registry) -> Project {
    let project = Project::new();
    project.write(
        "rapport.toml",
        format!(
            "[kafka]\nbootstrap_servers = \"{}\"\n[kafka.topics]\npartner_events = \"\"\n\
             billing_events = \"\"\nsupport_events = \"\"\n[kafka.schema_registry]\nurl = \"{}\"\n",
            broker.bootstrap(),
            registry.url()
        ),
    );
    project
}

#[test]
fn every_encoding_on_one_topic() {
    let Some(mut registry) = Registry::start() else { return };
    let Some(broker) = Broker::start() else { return };
    broker.create_topic("api-calls", 2);
    let project = project(&broker, &registry);
    let said = project.run(&["doctor"]).text();
    assert!(said.contains("AVRO"), "{said}");
    let fields = r#""partner_id":"acme","status":200"#;
    let plain = |id: &str| format!(r#"{{"event_id":"{id}","occurred_at":"{TIME}",{fields}}}"#);
    let send = |partition: i32, value: &[u8]| {
        broker.produce_record(("api-calls", partition), &[], value);
    };
    let ids = |count: usize| {
        wait_until(&format!("{count} events"), PATIENCE, || {
            project.number("SELECT count(*) FROM raw.api_calls") == count as i64
        });
        project.rows("SELECT event_id FROM raw.api_calls ORDER BY event_id").join(" ")
    };
    let first = registry.register("api-calls-value", &schema(""));
    send(0, plain("json").as_bytes());
    let (id, time) = ("\"id\":\"structured\"", format!("\"time\":\"{TIME}\""));
    let structured = format!(r#"{{"specversion":"1.0",{id},{time},"data":{{{fields}}}}}"#);
    send(0, structured.as_bytes());
    let headers = ["ce_specversion=1.0", "ce_id=binary", &format!("ce_time={TIME}")];
    broker.produce_record(("api-calls", 0), &headers, format!("{{{fields}}}").as_bytes());
    send(0, &call(first, "avro-1", &[]));
    // No schema has this id.
    send(0, &call(9_999, "lost", &[]));
    project.ok(&["ingest", "run", "--until-caught-up", "--quiet"]);
    assert_eq!(ids(4), "avro-1 binary json structured");

    let log = project.path("worker.log");
    let command = project.command(&["ingest", "run", "--flush-seconds", "1", "-v"]);
    let worker = Running::start_logging(command, &log);
    // A new optional field, without a restart.
    let more = r#",{"name":"method","type":["null","string"],"default":null},
        {"name":"shard","type":["null","int"],"default":null}"#;
    let second = registry.register("api-calls-value", &schema(more));
    send(0, &call(second, "avro-2", &[vec![2], text("get"), vec![2, 6]].concat()));
    assert_eq!(ids(5), "avro-1 avro-2 binary json structured");
    let grown = "SELECT method, extra FROM raw.api_calls WHERE event_id = 'avro-2'";
    assert_eq!(project.rows(grown), [r#"GET,"{""shard"":3}""#]);

    // The registry is gone: what needs it waits, and what comes after it; the rest goes on.
    let third = registry.register("api-calls-value", &schema(&more.replace("shard", "zone")));
    registry.stop();
    send(0, &call(third, "avro-3", &[0, 0]));
    send(0, plain("behind").as_bytes());
    send(1, plain("beside").as_bytes());
    let said = || std::fs::read_to_string(&log).expect("a log");
    wait_until("word of it", PATIENCE, || said().contains("waits for a schema"));
    assert_eq!(ids(6), "avro-1 avro-2 beside binary json structured");
    let mut ending = project.command(&["ingest", "run", "--until-caught-up", "--quiet"]);
    ending.env("RAPPORT_SCHEMA_REGISTRY_URL", "");
    registry.start_again();
    assert_eq!(ids(8), "avro-1 avro-2 avro-3 behind beside binary json structured");

    worker.terminate();
    worker.finish().succeeded();
    let letters = "SELECT reason, kafka_offset FROM dead_letters";
    assert_eq!(project.rows(letters), ["schema_unknown,4"]);
    // Without a registry Avro is rejected; with one it is taken from there after all.
    send(1, &call(first, "late", &[]));
    assert_eq!(crate::program::run(ending).succeeded().code, Some(0));
    assert_eq!(project.number("SELECT count(*) FROM dead_letters"), 2);
    let replayed = project.ok(&["ingest", "replay", "--quiet"]);
    assert!(replayed.starts_with("1 dead letter accepted, 1 still rejected"), "{replayed}");
    assert!(ids(9).contains("late"));
    project.ok(&["lake", "verify"]);
}
