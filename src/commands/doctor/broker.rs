//! The doctor's questions to the broker: the cluster, the topics, and where the lake stands in them.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use ingest::{Inspection, TopicState};
use lake::Transactions;
use lake_types::counted;

use super::lake::Positions;
use super::{Checks, State};
use crate::config::Config;

/// Nobody waits longer than this for a broker that may not be meant.
const LISTENS: Duration = Duration::from_secs(1);

/// Asks the broker, and holds what the lake has read against what it says. A project need not have
/// one: it may load files only.
pub(super) fn look(
    config: &Config,
    positions: &Positions,
    runtime: &tokio::runtime::Runtime,
    checks: &mut Checks,
) {
    let settings = match config.kafka() {
        Ok(settings) => settings,
        Err(error) => return checks.fail("broker", format!("{error:#}"), ""),
    };
    let servers = settings.bootstrap_servers.clone();
    if settings.topics.is_empty() {
        return checks.ok("broker", "every stream is turned off: events come from files");
    }
    let was_read = |txns: &Transactions| lake::partitions(txns).any(|(id, _)| !id.is_file());
    let needed = config.names_kafka || positions.values().any(was_read);
    if !needed && !listens(&servers) {
        let none = "none is named in [kafka] of rapport.toml: events come from files";
        return checks.ok("broker", none);
    }
    let found = match ingest::inspect(&settings, runtime.handle()) {
        Ok(found) => found,
        Err(error) if needed => return checks.fail("broker", error.to_string(), ""),
        Err(error) => return checks.warn("broker", error.to_string(), ""),
    };
    match &found.cluster_id {
        Some(id) => checks.ok("broker", format!("{servers}, cluster {id}")),
        None => checks.fail(
            "broker",
            format!("{servers} does not tell its cluster id, which positions are kept under"),
            "use a broker of version 0.10.1 or later",
        ),
    }
    for topic in &found.topics {
        let none = Transactions::new();
        let known = positions.get(&topic.stream).unwrap_or(&none);
        look_at_topic(&found, topic, known, needed, checks);
    }
}

/// Whether anybody takes connections at one of these addresses.
fn listens(servers: &str) -> bool {
    let addresses = servers.split(',').filter_map(|server| server.trim().to_socket_addrs().ok());
    addresses.flatten().any(|address| TcpStream::connect_timeout(&address, LISTENS).is_ok())
}

fn look_at_topic(
    found: &Inspection,
    topic: &TopicState,
    known: &Transactions,
    needed: bool,
    checks: &mut Checks,
) {
    let name = &topic.name;
    if topic.partitions.is_empty() {
        return checks.add(
            "topic",
            if needed { State::Fail } else { State::Warn },
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
    let cluster = found.cluster_id.as_deref().unwrap_or_default();
    let prefix = format!("{cluster}/{name}/");
    for (id, position) in lake::partitions(known) {
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
    use ingest::PartitionState;
    use lake_types::Stream;

    use super::*;

    #[test]
    fn topics_against_positions() {
        #[track_caller]
        fn check(known: &[(&str, i64)], id: &str, expected: State, words: &str) {
            let topic = TopicState {
                stream: Stream::ApiCalls,
                name: "calls".to_owned(),
                id: id.to_owned(),
                partitions: vec![PartitionState { partition: 0, first: Some(10), end: Some(20) }],
                timestamps: Some("CreateTime".to_owned()),
            };
            let found = Inspection { cluster_id: Some("c".to_owned()), topics: Vec::new() };
            let known = known.iter().map(|(id, v)| ((*id).to_owned(), *v)).collect();
            let mut checks = Checks::default();
            look_at_topic(&found, &topic, &known, true, &mut checks);
            assert_eq!(checks.0.len(), 1, "{:?}", checks.0);
            assert_eq!(checks.0[0].state, expected, "{:?}", checks.0);
            assert!(checks.0[0].found.contains(words), "{:?}", checks.0);
        }
        check(&[], "t", State::Ok, "10 records");
        check(&[("c/calls/t/0", 10), ("c/other/x/0", 1)], "t", State::Ok, "1 partition,");
        check(&[("c/calls/t/0", 9)], "t", State::Fail, "records 9 to 9 are gone");
        check(&[("c/calls/t/0", 21)], "t", State::Fail, "ends at 20");
        check(&[("c/calls/t/1", 3)], "t", State::Fail, "calls/1 does not answer");
        check(&[("c/calls/old/0", 3)], "t", State::Fail, "made anew");
    }
}
