//! The checks of the Kafka cluster: the broker, the topics, and where the lake stands in them.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use domain::counted;
use ingest::{EMBEDDED_CLUSTER_ID, Inspection, TopicState};
use lake::{PartitionId, Transactions};

use super::checks::{CheckList, CheckState};
use super::lake::Positions;
use crate::config::Config;

/// How long to wait for a broker that the project does not name.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Compares the broker's topics with what the lake has read. A project that only loads files needs
/// no broker.
pub(super) fn check_broker(
    config: &Config,
    positions: &Positions,
    runtime: &tokio::runtime::Runtime,
    checks: &mut CheckList,
) {
    let settings = match config.kafka() {
        Ok(settings) => settings,
        Err(error) => return checks.fail("broker", format!("{error:#}"), ""),
    };
    let servers = settings.bootstrap_servers.clone();
    if settings.topics.is_empty() {
        return checks.ok("broker", "every stream is turned off: events come from files");
    }
    // The demo's broker is gone with its process.
    let of_demo = |id: &PartitionId| {
        id.as_str().strip_prefix(EMBEDDED_CLUSTER_ID).is_some_and(|rest| rest.starts_with('/'))
    };
    let was_read =
        |txns: &Transactions| lake::partitions(txns).any(|(id, _)| !id.is_file() && !of_demo(&id));
    let needed = config.names_kafka || positions.values().any(was_read);
    if !needed && !accepts_connections(&servers) {
        let none = "none is named in [kafka] of rapport.toml, and none is needed";
        return checks.ok("broker", none);
    }
    let inspection = match ingest::inspect(&settings, runtime.handle()) {
        Ok(inspection) => inspection,
        Err(error) if needed => return checks.fail("broker", error.to_string(), ""),
        Err(error) => return checks.warn("broker", error.to_string(), ""),
    };
    match &inspection.cluster_id {
        Some(id) => checks.ok("broker", format!("{servers}, cluster {id}")),
        None => checks.fail(
            "broker",
            format!("{servers} does not tell its cluster id, which positions are kept under"),
            "use a broker of version 0.10.1 or later",
        ),
    }
    for topic in &inspection.topics {
        let unread = Transactions::new();
        let read_positions = positions.get(&topic.stream).unwrap_or(&unread);
        check_topic(&inspection, topic, read_positions, needed, checks);
    }
}

/// Returns whether one of these addresses accepts connections.
fn accepts_connections(servers: &str) -> bool {
    let addresses = servers.split(',').filter_map(|server| server.trim().to_socket_addrs().ok());
    addresses.flatten().any(|address| TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok())
}

/// Compares one topic with the positions of its raw table.
fn check_topic(
    inspection: &Inspection,
    topic: &TopicState,
    read_positions: &Transactions,
    needed: bool,
    checks: &mut CheckList,
) {
    let name = &topic.name;
    if topic.partitions.is_empty() {
        return checks.add(
            "topic",
            if needed { CheckState::Fail } else { CheckState::Warn },
            format!("there is no topic {name}"),
            format!(
                "create it, or name another one for {} in [kafka.topics]; an empty name turns the stream off",
                topic.stream
            ),
        );
    }
    let before = checks.0.len();
    if topic.timestamps.as_deref().is_some_and(|t| t != "CreateTime") {
        checks.warn(
            "topic",
            format!("{name} stamps records when they reach the broker"),
            "that is their arrival then; set message.timestamp.type=CreateTime to have the producer's",
        );
    }
    let cluster = inspection.cluster_id.as_deref().unwrap_or_default();
    let prefix = format!("{cluster}/{name}/");
    for (id, position) in lake::partitions(read_positions) {
        let place = id.as_str().strip_prefix(&prefix).and_then(|rest| rest.rsplit_once('/'));
        let Some((topic_id, number)) = place else { continue };
        if topic_id != topic.id {
            checks.fail(
                "topic",
                format!(
                    "{name} was made anew: the lake has read {topic_id}, it is {} now",
                    topic.id
                ),
                "offsets start over, so ingest refuses it; give the new topic another name",
            );
            break;
        }
        let state = topic.partitions.iter().find(|p| p.partition.to_string() == number);
        let Some((first, end)) = state.and_then(|p| p.first.zip(p.end)) else {
            checks.fail(
                "topic",
                format!("{name}/{number} does not answer"),
                "look at the broker: the partition may have no leader",
            );
            continue;
        };
        if position.next < first {
            checks.fail(
                "topic",
                format!("{name}/{number}: records {} to {} are gone before they were read", position.next, first - 1),
                "lengthen the topic's retention; to accept the loss run `rapport ingest run --accept-gap` once",
            );
        } else if position.next > end {
            checks.fail(
                "topic",
                format!("{name}/{number} ends at {end}, the lake has read up to {}", position.next),
                "the broker has lost records: restore it, or give the topic another name",
            );
        }
    }
    if checks.0.len() == before {
        let records: i64 = topic.partitions.iter().filter_map(|p| Some(p.end? - p.first?)).sum();
        let records = counted(records, "record");
        checks.ok(
            "topic",
            format!("{name}: {}, {records}", counted(topic.partitions.len(), "partition")),
        );
    }
}

#[cfg(test)]
mod tests {
    use domain::Stream;
    use ingest::PartitionState;

    use super::*;

    #[test]
    fn topics_are_compared_with_positions() {
        #[track_caller]
        fn check(read_positions: &[(&str, i64)], id: &str, expected: CheckState, words: &str) {
            let topic = TopicState {
                stream: Stream::ApiCalls,
                name: "calls".to_owned(),
                id: id.to_owned(),
                partitions: vec![PartitionState { partition: 0, first: Some(10), end: Some(20) }],
                timestamps: Some("CreateTime".to_owned()),
            };
            let inspection = Inspection { cluster_id: Some("c".to_owned()), topics: Vec::new() };
            let read_positions =
                read_positions.iter().map(|(id, v)| ((*id).to_owned(), *v)).collect();
            let mut checks = CheckList::default();
            check_topic(&inspection, &topic, &read_positions, true, &mut checks);
            assert_eq!(checks.0.len(), 1, "{:?}", checks.0);
            assert_eq!(checks.0[0].state, expected, "{:?}", checks.0);
            assert!(checks.0[0].found.contains(words), "{:?}", checks.0);
        }
        check(&[], "t", CheckState::Ok, "10 records");
        check(&[("c/calls/t/0", 10), ("c/other/x/0", 1)], "t", CheckState::Ok, "1 partition,");
        check(&[("c/calls/t/0", 9)], "t", CheckState::Fail, "records 9 to 9 are gone");
        check(&[("c/calls/t/0", 21)], "t", CheckState::Fail, "ends at 20");
        check(&[("c/calls/t/1", 3)], "t", CheckState::Fail, "calls/1 does not answer");
        check(&[("c/calls/old/0", 3)], "t", CheckState::Fail, "made anew");
    }
}
