//! A backup of a lake that is written, and the lake restored from it.

use std::time::Duration;

use domain::Stream;

use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::{OTHER_STREAMS_OFF, produce_records, project_with_topics};
use crate::support::program::{Project, RunningProgram, count_entries, run, wait_until};
use crate::support::simulated_world::{SimulatedWorld, WorldSize, expected_counts};

const TIMEOUT: Duration = Duration::from_secs(240);
const SIZE: WorldSize = WorldSize { seed: 34, partners: 12, events: 6_000, days: 8 };
const INGEST: [&str; 4] = ["ingest", "run", "--until-caught-up", "--quiet"];

/// Verifies the backup, which is a lake of its own.
fn verify_backup(project: &Project) {
    let mut verify = project.command(&["lake", "verify"]);
    verify.env("RAPPORT_LAKE_ROOT", project.path("backup"));
    run(verify).expect_success();
}

#[test]
fn a_lake_is_backed_up_while_it_is_written_and_restored() {
    let Some(broker) = KafkaBroker::start() else { return };
    broker.create_topic("backed-up", 3);
    let topics = format!("api_calls = \"backed-up\"\n{OTHER_STREAMS_OFF}");
    let project = project_with_topics(&broker, &topics);
    let records = SimulatedWorld::new(SIZE).time_independent_records(Stream::ApiCalls);
    let (first, second) = records.split_at(records.len() / 2);
    produce_records(&broker, "backed-up", first);
    let worker = project.command(&["ingest", "run", "--flush-rows", "100", "--quiet"]);
    let log = project.path("messages");
    let mut worker = RunningProgram::start_logging(worker, &log);
    let entries = project.path("lake/raw/api_calls/_delta_log");
    wait_until("commits", TIMEOUT, || {
        assert!(!worker.has_ended(), "{}", worker.messages_so_far());
        count_entries(&entries) > 5
    });
    for round in 0..4 {
        let output = project.run_ok(&["lake", "backup", "backup", "--quiet"]);
        assert!(output.contains(" tables: "), "{output}");
        verify_backup(&project);
        if round == 1 {
            produce_records(&broker, "backed-up", second);
        }
        // Rewritten and vacuumed files are replaced in the backup too.
        project.run_ok(&["lake", "compact"]);
        project.run_ok(&["lake", "vacuum", "--retention-hours", "1"]);
    }
    worker.kill();

    // The lake is lost; what came after the backup is read again from the topic.
    std::fs::rename(project.path("lake"), project.path("lost")).expect("renamed");
    project.run_ok(&["lake", "restore", "backup", "--quiet"]);
    project.run_ok(&["lake", "verify"]);
    project.run_ok(&INGEST);
    // Compaction has dropped copies of events.
    let expected = expected_counts(&records);
    let events = project.query_number("SELECT count(*) FROM api_calls");
    let dead_letters = project.query_number("SELECT count(*) FROM dead_letters");
    assert_eq!((events, dead_letters), (expected.events, expected.malformed));
    project.run_ok(&["lake", "verify"]);
    let refused = ["there is a lake"];
    project.run(&["lake", "restore", "backup"]).expect_error(2, &refused);
    project.run(&["lake", "backup", "lake/copy"]).expect_error(2, &["lie in each other"]);

    // The restored lake takes the place of the lost one, also in its backup.
    project.run_ok(&["lake", "backup", "backup"]);
    verify_backup(&project);
}

#[test]
fn metrics_and_records_of_people_are_the_same_after_a_restore() {
    let world = SimulatedWorld::from_options(SIZE.options());
    let project = Project::new();
    world.load(&project);
    let end = world.end();
    project.run_ok(&["report", "--as-of", &end, "--out", "report"]);
    let partner = project.query_rows("SELECT min(partner_id) FROM api_calls").remove(0);
    project.run_ok(&["score", "note", &partner, "calls on Monday", "--by", "ada"]);
    let expected = project.run_all_metrics(&end);
    let notes = "SELECT partner_id, note FROM notes";
    let noted = project.query_rows(notes);
    project.run_ok(&["lake", "backup", "copies/monday"]);
    std::fs::remove_dir_all(project.path("lake")).expect("removed");
    // Without the key of the lake nothing is restored.
    std::fs::rename(project.path("lake.key"), project.path("key")).expect("renamed");
    let restore = ["lake", "restore", "copies/monday"];
    project.run(&restore).expect_error(1, &["lake.key"]);
    std::fs::rename(project.path("key"), project.path("lake.key")).expect("renamed");
    project.run_ok(&restore);
    project.run_ok(&["lake", "verify"]);
    assert_eq!(project.run_all_metrics(&end), expected);
    assert_eq!(project.query_rows(notes), noted);
    let run = ["sql", "--at", "1", "SELECT count(*) FROM api_calls", "--format", "csv"];
    project.run_ok(&run);
}
