//! Every record encoding on one topic, with a real broker and a real Schema Registry that restarts.

use std::time::Duration;

use crate::support::kafka_broker::KafkaBroker;
use crate::support::program::{Project, RunningProgram, wait_until};
use crate::support::schema_registry::SchemaRegistry;

const TIMEOUT: Duration = Duration::from_secs(90);
const TIME: &str = "2026-06-01T12:00:00Z";

/// Returns the Avro schema of an API call with more fields.
fn avro_schema(more: &str) -> String {
    format!(
        r#"{{"type":"record","name":"Call","namespace":"com.example","fields":[
        {{"name":"event_id","type":"string"}},{{"name":"partner_id","type":"string"}},
        {{"name":"occurred_at","type":{{"type":"long","logicalType":"timestamp-millis"}}}},
        {{"name":"status","type":"int"}}{more}]}}"#
    )
}

/// Encodes an integer as Avro does.
fn avro_long(value: i64) -> Vec<u8> {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

fn avro_text(text: &str) -> Vec<u8> {
    [avro_long(text.len() as i64), text.as_bytes().to_vec()].concat()
}

/// Encodes a call in the Confluent wire format; `more` are the bytes of more fields.
fn avro_call(schema: u32, id: &str, more: &[u8]) -> Vec<u8> {
    let noon = domain::parse_instant(TIME).expect("an instant") / 1_000;
    let head = [&[0], &schema.to_be_bytes()[..]].concat();
    [head, avro_text(id), avro_text("acme"), avro_long(noon), avro_long(200), more.to_vec()]
        .concat()
}

fn project(broker: &KafkaBroker, registry: &SchemaRegistry) -> Project {
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
fn every_encoding_is_read_from_one_topic() {
    let Some(mut registry) = SchemaRegistry::start() else { return };
    let Some(broker) = KafkaBroker::start() else { return };
    broker.create_topic("api-calls", 2);
    let project = project(&broker, &registry);
    let log_text = project.run(&["doctor"]).stdout_text();
    assert!(log_text.contains("AVRO"), "{log_text}");
    let fields = r#""partner_id":"acme","status":200"#;
    let json_event = |id: &str| format!(r#"{{"event_id":"{id}","occurred_at":"{TIME}",{fields}}}"#);
    let send = |partition: i32, value: &[u8]| {
        broker.produce_record(("api-calls", partition), &[], value);
    };
    let await_event_ids = |count: usize| {
        wait_until(&format!("{count} events"), TIMEOUT, || {
            project.query_number("SELECT count(*) FROM raw.api_calls") == count as i64
        });
        project.query_rows("SELECT event_id FROM raw.api_calls ORDER BY event_id").join(" ")
    };
    let first = registry.register("api-calls-value", &avro_schema(""));
    send(0, json_event("json").as_bytes());
    let (id, time) = ("\"id\":\"structured\"", format!("\"time\":\"{TIME}\""));
    let structured = format!(r#"{{"specversion":"1.0",{id},{time},"data":{{{fields}}}}}"#);
    send(0, structured.as_bytes());
    let headers = ["ce_specversion=1.0", "ce_id=binary", &format!("ce_time={TIME}")];
    broker.produce_record(("api-calls", 0), &headers, format!("{{{fields}}}").as_bytes());
    send(0, &avro_call(first, "avro-1", &[]));
    // No schema has this id.
    send(0, &avro_call(9_999, "lost", &[]));
    project.run_ok(&["ingest", "run", "--until-caught-up", "--quiet"]);
    assert_eq!(await_event_ids(4), "avro-1 binary json structured");

    let log = project.path("worker.log");
    let command = project.command(&["ingest", "run", "--flush-seconds", "1", "-v"]);
    let worker = RunningProgram::start_logging(command, &log);
    // A schema with new optional fields needs no restart.
    let more = r#",{"name":"method","type":["null","string"],"default":null},
        {"name":"shard","type":["null","int"],"default":null}"#;
    let second = registry.register("api-calls-value", &avro_schema(more));
    send(0, &avro_call(second, "avro-2", &[vec![2], avro_text("get"), vec![2, 6]].concat()));
    assert_eq!(await_event_ids(5), "avro-1 avro-2 binary json structured");
    let new_fields = "SELECT method, extra FROM raw.api_calls WHERE event_id = 'avro-2'";
    assert_eq!(project.query_rows(new_fields), [r#"GET,"{""shard"":3}""#]);

    // While the registry does not answer, a partition that needs it waits, and the others go on.
    let third = registry.register("api-calls-value", &avro_schema(&more.replace("shard", "zone")));
    registry.stop();
    send(0, &avro_call(third, "avro-3", &[0, 0]));
    send(0, json_event("behind").as_bytes());
    send(1, json_event("beside").as_bytes());
    let log_text = || std::fs::read_to_string(&log).expect("a log");
    wait_until("the message about it", TIMEOUT, || log_text().contains("waits for a schema"));
    assert_eq!(await_event_ids(6), "avro-1 avro-2 beside binary json structured");
    let mut ingest_without_registry =
        project.command(&["ingest", "run", "--until-caught-up", "--quiet"]);
    ingest_without_registry.env("RAPPORT_SCHEMA_REGISTRY_URL", "");
    registry.restart();
    assert_eq!(await_event_ids(8), "avro-1 avro-2 avro-3 behind beside binary json structured");

    worker.terminate();
    worker.finish().expect_success();
    let dead_letters = "SELECT reason, kafka_offset FROM dead_letters";
    assert_eq!(project.query_rows(dead_letters), ["schema_unknown,4"]);
    // Without a registry Avro is rejected; a replay with one accepts it.
    send(1, &avro_call(first, "late", &[]));
    assert_eq!(
        crate::support::program::run(ingest_without_registry).expect_success().code,
        Some(0)
    );
    assert_eq!(project.query_number("SELECT count(*) FROM dead_letters"), 2);
    let replayed = project.run_ok(&["ingest", "replay", "--quiet"]);
    assert!(replayed.starts_with("1 dead letter accepted, 1 still rejected"), "{replayed}");
    assert!(await_event_ids(9).contains("late"));
    project.run_ok(&["lake", "verify"]);
}
