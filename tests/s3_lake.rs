//! A lake in a bucket: the same metrics as in a folder, several workers, and lost answers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::Duration;

use domain::Stream;

use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::{OTHER_STREAMS_OFF, produce_records};
use crate::support::lossy_proxy::LossyProxy;
use crate::support::metric_files::assert_same_metrics;
use crate::support::program::{Project, RunningProgram, count_entries, wait_until};
use crate::support::s3_server::{S3Server, lake_config};
use crate::support::simulated_world::{
    SentRecord, SimulatedWorld, WorldSize, check_row_counts, expected_counts,
};

const TIMEOUT: Duration = Duration::from_secs(90);
const INGEST: [&str; 4] = ["ingest", "run", "--until-caught-up", "--quiet"];

/// The servers of the tests in this file; they end with this process.
static S3_SERVER: LazyLock<Option<S3Server>> = LazyLock::new(S3Server::start);
static BROKER: LazyLock<Option<KafkaBroker>> = LazyLock::new(KafkaBroker::start);

static CALLS: LazyLock<Vec<SentRecord>> = LazyLock::new(|| {
    SimulatedWorld::new(WorldSize { seed: 41, partners: 30, events: 3_000, days: 3 })
        .time_independent_records(Stream::ApiCalls)
});

/// Returns a project with its lake in the bucket that reads API calls from a topic.
fn project(endpoint: &str, lake: &str, broker: &KafkaBroker, topic: &str) -> Project {
    let project = Project::new();
    let lake_section = lake_config(&project, endpoint, lake);
    project.write("rapport.toml", format!("{lake_section}{}", kafka_section(broker, topic)));
    project
}

fn kafka_section(broker: &KafkaBroker, topic: &str) -> String {
    format!(
        "[kafka]\nbootstrap_servers = \"{}\"\n[kafka.topics]\napi_calls = \"{topic}\"\n\
         {OTHER_STREAMS_OFF}\n[kafka.properties]\n\"session.timeout.ms\" = 6000\n",
        broker.bootstrap()
    )
}

#[test]
fn a_lake_in_a_bucket_gives_the_metrics_of_one_in_a_folder() {
    let (Some(bucket), Some(broker)) = (&*S3_SERVER, &*BROKER) else { return };
    let world = SimulatedWorld::new(WorldSize { seed: 42, partners: 15, events: 1_500, days: 20 });
    let end = world.end();
    broker.create_topic("s3-same", 2);
    produce_records(broker, "s3-same", &world.time_independent_records(Stream::ApiCalls));
    let in_folder = Project::new();
    in_folder.write("rapport.toml", kafka_section(broker, "s3-same"));
    let in_bucket = project(bucket.endpoint(), "same", broker, "s3-same");
    // The same key gives the same hashes.
    in_bucket.write("lake.key", std::fs::read(in_folder.path("lake.key")).expect("a key"));
    for project in [&in_folder, &in_bucket] {
        world.write_csv_files(project);
        for stream in [Stream::PartnerEvents, Stream::BillingEvents, Stream::SupportEvents] {
            project.write(
                "events.ndjson",
                crate::support::simulated_world::ndjson(&world.time_independent_records(stream)),
            );
            world.load_file(project, stream, "events.ndjson");
        }
        project.run_ok(&[&INGEST[..], &["--flush-rows", "900"]].concat());
    }
    assert_eq!(in_bucket.row_counts(), in_folder.row_counts());
    let expected = in_folder.run_all_metrics(&end);
    assert_same_metrics(&expected, &in_bucket.run_all_metrics(&end), "the bucket");

    in_bucket.run_ok(&["score", "run", "--as-of", &end]);
    in_bucket.run_ok(&["report", "--as-of", &end, "--out", "report"]);
    let output = in_bucket.run_ok(&["lake", "compact"]);
    assert!(!output.starts_with("0 days"), "{output}");
    in_bucket.run_ok(&["lake", "vacuum", "--retention-hours", "1"]);
    in_bucket.run_ok(&["lake", "verify"]);
    assert_same_metrics(&expected, &in_bucket.run_all_metrics(&end), "the bucket, compacted");
    assert!(in_bucket.run_ok(&["lake", "status"]).contains("raw/api_calls"));
    let answer = in_bucket.run(&["doctor"]);
    assert!(answer.stdout_text().contains("s3://lake/same, format"), "{answer}");
    in_bucket.run_ok(&["run", "--plan", "plan.json", "--out", "report", "--quiet"]);

    let partner = in_bucket.query_rows("SELECT min(partner_id) FROM api_calls").remove(0);
    let erase = ["lake", "erase", "--partner", &partner, "--yes"];
    let erased = in_bucket.run(&erase);
    // The report from before the erasure is listed until it is renewed.
    assert!(erased.code == Some(3) && erased.stdout_text().contains("/report: "), "{erased}");
    assert!(erased.stdout_text().contains("Nothing of it is left"), "{erased}");
    in_bucket.run_ok(&["report", "--as-of", &end, "--out", "report"]);
    in_bucket.run_ok(&erase);
    in_bucket.run_ok(&["lake", "verify"]);
}

#[test]
fn a_lake_goes_from_a_folder_through_a_backup_into_a_bucket() {
    let Some(bucket) = &*S3_SERVER else { return };
    let world = SimulatedWorld::new(WorldSize { seed: 43, partners: 6, events: 600, days: 10 });
    let project = Project::new();
    let in_bucket = lake_config(&project, bucket.endpoint(), "restored");
    let in_folder = in_bucket.replace("s3://lake/restored", "lake");
    project.write("rapport.toml", in_folder);
    world.load(&project);
    let (end, counts) = (world.end(), project.row_counts());
    let expected = project.run_all_metrics(&end);
    let backup = ["lake", "backup", "s3://lake/backup"];
    project.run_ok(&backup);
    let again = project.run_ok(&backup);
    assert!(again.contains(": 0 files copied"), "{again}");
    project.write("rapport.toml", in_bucket);
    project.run_ok(&["lake", "restore", "s3://lake/backup"]);
    project.run_ok(&["lake", "verify"]);
    assert_eq!(project.row_counts(), counts);
    assert_same_metrics(&expected, &project.run_all_metrics(&end), "the restored bucket");
}

#[test]
fn four_workers_on_a_bucket_lose_nothing() {
    let (Some(bucket), Some(broker)) = (&*S3_SERVER, &*BROKER) else { return };
    broker.create_topic("s3-four", 4);
    produce_records(broker, "s3-four", &CALLS);
    let project = project(bucket.endpoint(), "four", broker, "s3-four");
    let command = || project.command(&["ingest", "run", "--flush-rows", "40", "--quiet"]);
    let workers = [(); 4].map(|()| RunningProgram::start(command()));
    let log = bucket.folder("four").join("raw/api_calls/_delta_log");
    wait_until("commits", TIMEOUT, || count_entries(&log) > 12);
    for worker in workers {
        worker.terminate();
        worker.finish().expect_success();
    }
    project.run_ok(&INGEST);
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&CALLS));
    project.run_ok(&["lake", "verify"]);
    let names = std::fs::read_dir(&log).expect("a log").map(|e| e.expect("an entry").path());
    let last = names.filter(|path| path.extension().is_some_and(|e| e == "json")).max();
    std::fs::remove_file(last.expect("an entry")).expect("removed");
    let verified = project.run(&["lake", "verify"]);
    assert!(
        verified.code == Some(3) && verified.stdout_text().contains("it is gone"),
        "{verified}"
    );
    for arguments in [&["sql", "SELECT count(*) FROM api_calls"][..], &INGEST] {
        let result = project.run(arguments);
        let named = result.stderr.contains("raw/api_calls/_delta_log");
        assert!(result.code == Some(1) && named && result.stdout.is_empty(), "{result}");
    }
}

#[test]
fn lost_answers_of_the_store_lose_and_duplicate_nothing() {
    let (Some(bucket), Some(broker)) = (&*S3_SERVER, &*BROKER) else { return };
    broker.create_topic("s3-lost", 2);
    produce_records(broker, "s3-lost", &CALLS);
    let proxy = LossyProxy::before(bucket.endpoint(), 3);
    let project = project(proxy.endpoint(), "lost", broker, "s3-lost");
    let command = || project.command(&[&INGEST[..], &["--flush-rows", "100"]].concat());
    for worker in [RunningProgram::start(command()), RunningProgram::start(command())] {
        worker.finish().expect_success();
    }
    assert!(proxy.lost() > 5, "{} answers were lost", proxy.lost());
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&CALLS));
    project.run_ok(&["lake", "compact"]);
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn an_unreachable_or_unfit_store_is_refused_with_advice() {
    let project = Project::new();
    let load = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    project.write("calls.ndjson", crate::support::simulated_world::ndjson(&CALLS[..10]));
    let check = |toml: &str, code: i32, messages: &[&str]| {
        project.write("rapport.toml", toml);
        project.run(&load).expect_error(code, messages);
    };
    let lake_section = |endpoint: &str| lake_config(&project, endpoint, "x");
    check("[lake]\nroot = \"gs://lake/x\"", 2, &["s3://bucket/prefix"]);
    let literal_secret =
        "[lake]\nroot = \"s3://lake/x\"\n[lake.store]\nsecret_access_key = \"hush\"";
    check(literal_secret, 2, &["AWS_SECRET_ACCESS_KEY"]);
    let without_allow_http = lake_section("http://127.0.0.1:1").replace("allow_http = true", "");
    check(&without_allow_http, 2, &["allow_http = true"]);
    // Nothing listens at port 1.
    check(&lake_section("http://127.0.0.1:1"), 1, &["can't be reached", "[lake.store]"]);
    let unconditional_store = start_store_without_conditional_puts();
    check(
        &lake_section(&unconditional_store),
        1,
        &["If-None-Match", "use a store that honours it"],
    );
    let Some(bucket) = &*S3_SERVER else { return };
    project.write("s3.secret", "another");
    let wrong = lake_section(bucket.endpoint()).replace("s3.secret", "wrong.secret");
    project.write("wrong.secret", "not-the-secret");
    check(&wrong, 1, &["can't be reached", "AWS_*"]);

    // The environment overrides the file.
    project
        .write("rapport.toml", lake_section(bucket.endpoint()).replace("endpoint", "# endpoint"));
    let mut command = project.command(&load);
    command.env("AWS_ENDPOINT_URL", bucket.endpoint());
    crate::support::program::run(command).expect_success();
}

/// Starts a store without conditional puts: it accepts every put and stores nothing.
fn start_store_without_conditional_puts() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut bytes = vec![0; 1 << 16];
            let Ok(n @ 1..) = client.read(&mut bytes) else { continue };
            let body = match &bytes[..n.min(3)] {
                b"GET" => "<ListBucketResult></ListBucketResult>",
                b"POS" => "<DeleteResult></DeleteResult>",
                _ => "",
            };
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\netag: \"x\"\r\nconnection: close\r\ncontent-length:";
            drop(write!(client, "{head} {length}\r\n\r\n{body}"));
        }
    });
    format!("http://{address}")
}
