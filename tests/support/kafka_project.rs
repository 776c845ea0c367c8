//! Projects that read a Kafka broker, and the records that they read.

use crate::support::kafka_broker::KafkaBroker;
use crate::support::program::Project;
use crate::support::simulated_world::{SentRecord, kcat_lines};

/// The topic settings that turn off all streams but API calls.
pub(crate) const OTHER_STREAMS_OFF: &str =
    "partner_events = \"\"\nbilling_events = \"\"\nsupport_events = \"\"";

/// Returns a project that reads the broker, which gives up a killed worker after 1.5 seconds.
pub(crate) fn project_with_topics(broker: &KafkaBroker, topics: &str) -> Project {
    let project = Project::new();
    let servers = broker.bootstrap();
    project.write(
        "rapport.toml",
        format!(
            "[kafka]\nbootstrap_servers = \"{servers}\"\n[kafka.topics]\n{topics}\n\
             [kafka.properties]\n\"session.timeout.ms\" = 1500\n\"heartbeat.interval.ms\" = 300\n"
        ),
    );
    project
}

/// Produces a stream's records with kcat.
pub(crate) fn produce_records(broker: &KafkaBroker, topic: &str, records: &[SentRecord]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut file, &kcat_lines(records)).expect("room for the records");
    broker.produce_file(topic, Some('\t'), file.path());
}
