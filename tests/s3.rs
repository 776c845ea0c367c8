//! A lake in a bucket: the same figures as in a folder, workers side by side, answers that are lost.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::Duration;

use lake_types::Stream;

use crate::bucket::{Bucket, Proxy, lake_section};
use crate::crash::{ONLY_CALLS, produce};
use crate::kafka::Broker;
use crate::pieces::assert_same;
use crate::program::{Project, Running, entries, wait_until};
use crate::simulated::{Sent, Simulated, Size, check_tables, truth};

const PATIENCE: Duration = Duration::from_secs(90);
const INGEST: [&str; 4] = ["ingest", "run", "--until-caught-up", "--quiet"];

/// One server and one broker for the tests here; they end with this process.
static BUCKET: LazyLock<Option<Bucket>> = LazyLock::new(Bucket::start);
static BROKER: LazyLock<Option<Broker>> = LazyLock::new(Broker::start);

static CALLS: LazyLock<Vec<Sent>> = LazyLock::new(|| {
    Simulated::new(Size { seed: 41, partners: 30, events: 3_000, days: 3 })
        .timeless(Stream::ApiCalls)
});

/// A project with its lake in the bucket, reading API calls from a topic.
fn project(endpoint: &str, lake: &str, broker: &Broker, topic: &str) -> Project {
    let project = Project::new();
    let section = lake_section(&project, endpoint, lake);
    project.write("rapport.toml", format!("{section}{}", kafka_section(broker, topic)));
    project
}

fn kafka_section(broker: &Broker, topic: &str) -> String {
    format!(
        "[kafka]\nbootstrap_servers = \"{}\"\n[kafka.topics]\napi_calls = \"{topic}\"\n\
         {ONLY_CALLS}\n[kafka.properties]\n\"session.timeout.ms\" = 6000\n",
        broker.bootstrap()
    )
}

#[test]
fn a_bucket_answers_as_a_folder_does() {
    let (Some(bucket), Some(broker)) = (&*BUCKET, &*BROKER) else { return };
    let world = Simulated::new(Size { seed: 42, partners: 15, events: 1_500, days: 20 });
    let end = world.end();
    broker.create_topic("s3-same", 2);
    produce(broker, "s3-same", &world.timeless(Stream::ApiCalls));
    let in_folder = Project::new();
    in_folder.write("rapport.toml", kafka_section(broker, "s3-same"));
    let in_bucket = project(bucket.endpoint(), "same", broker, "s3-same");
    // The same key gives the same hashes.
    in_bucket.write("lake.key", std::fs::read(in_folder.path("lake.key")).expect("a key"));
    for project in [&in_folder, &in_bucket] {
        world.share_tables(project);
        for stream in [Stream::PartnerEvents, Stream::BillingEvents, Stream::SupportEvents] {
            project.write("events.ndjson", crate::simulated::lines(&world.timeless(stream)));
            world.load_file(project, stream, "events.ndjson");
        }
        project.ok(&[&INGEST[..], &["--flush-rows", "900"]].concat());
    }
    assert_eq!(in_bucket.counts(), in_folder.counts());
    let expected = in_folder.metrics(&end);
    assert_same(&expected, &in_bucket.metrics(&end), "the bucket");

    in_bucket.ok(&["score", "run", "--as-of", &end]);
    in_bucket.ok(&["report", "--as-of", &end, "--out", "report"]);
    let said = in_bucket.ok(&["lake", "compact"]);
    assert!(!said.starts_with("0 days"), "{said}");
    in_bucket.ok(&["lake", "vacuum", "--retention-hours", "1"]);
    in_bucket.ok(&["lake", "verify"]);
    assert_same(&expected, &in_bucket.metrics(&end), "the bucket, compacted");
    assert!(in_bucket.ok(&["lake", "status"]).contains("raw/api_calls"));
    let answer = in_bucket.run(&["doctor"]);
    assert!(answer.text().contains("s3://lake/same, format"), "{answer}");
    in_bucket.ok(&["run", "--plan", "plan.json", "--out", "report", "--quiet"]);

    let partner = in_bucket.rows("SELECT min(partner_id) FROM api_calls").remove(0);
    let erase = ["lake", "erase", "--partner", &partner, "--yes"];
    let erased = in_bucket.run(&erase);
    // The report that was written before is named until it is renewed.
    assert!(erased.code == Some(3) && erased.text().contains("/report: "), "{erased}");
    assert!(erased.text().contains("Nothing of it is left"), "{erased}");
    in_bucket.ok(&["report", "--as-of", &end, "--out", "report"]);
    in_bucket.ok(&erase);
    in_bucket.ok(&["lake", "verify"]);
}

#[test]
fn four_workers_lose_nothing() {
    let (Some(bucket), Some(broker)) = (&*BUCKET, &*BROKER) else { return };
    broker.create_topic("s3-four", 4);
    produce(broker, "s3-four", &CALLS);
    let project = project(bucket.endpoint(), "four", broker, "s3-four");
    let command = || project.command(&["ingest", "run", "--flush-rows", "40", "--quiet"]);
    let workers = [(); 4].map(|()| Running::start(command()));
    let log = bucket.folder("four").join("raw/api_calls/_delta_log");
    wait_until("commits", PATIENCE, || entries(&log) > 12);
    for worker in workers {
        worker.terminate();
        worker.finish().succeeded();
    }
    project.ok(&INGEST);
    check_tables(&project, Stream::ApiCalls, &truth(&CALLS));
    project.ok(&["lake", "verify"]);
    let names = std::fs::read_dir(&log).expect("a log").map(|e| e.expect("an entry").path());
    let last = names.filter(|path| path.extension().is_some_and(|e| e == "json")).max();
    std::fs::remove_file(last.expect("an entry")).expect("removed");
    let verified = project.run(&["lake", "verify"]);
    assert!(verified.code == Some(3) && verified.text().contains("it is gone"), "{verified}");
    for stopped in [&["sql", "SELECT count(*) FROM api_calls"][..], &INGEST] {
        let ran = project.run(stopped);
        let named = ran.stderr.contains("raw/api_calls/_delta_log");
        assert!(ran.code == Some(1) && named && ran.stdout.is_empty(), "{ran}");
    }
}

#[test]
fn a_lost_answer_is_neither_a_loss_nor_a_copy() {
    let (Some(bucket), Some(broker)) = (&*BUCKET, &*BROKER) else { return };
    broker.create_topic("s3-lost", 2);
    produce(broker, "s3-lost", &CALLS);
    let proxy = Proxy::before(bucket.endpoint(), 3);
    let project = project(proxy.endpoint(), "lost", broker, "s3-lost");
    let command = || project.command(&[&INGEST[..], &["--flush-rows", "100"]].concat());
    for worker in [Running::start(command()), Running::start(command())] {
        worker.finish().succeeded();
    }
    assert!(proxy.lost() > 5, "{} answers were lost", proxy.lost());
    check_tables(&project, Stream::ApiCalls, &truth(&CALLS));
    project.ok(&["lake", "compact"]);
    project.ok(&["lake", "verify"]);
}

#[test]
fn a_store_that_is_not_there_or_not_fit() {
    let project = Project::new();
    let load = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    project.write("calls.ndjson", crate::simulated::lines(&CALLS[..10]));
    let check = |toml: &str, code: i32, words: &[&str]| {
        project.write("rapport.toml", toml);
        project.run(&load).refused(code, words);
    };
    let section = |endpoint: &str| lake_section(&project, endpoint, "x");
    check("[lake]\nroot = \"gs://lake/x\"", 2, &["s3://bucket/prefix"]);
    let secret = "[lake]\nroot = \"s3://lake/x\"\n[lake.store]\nsecret_access_key = \"hush\"";
    check(secret, 2, &["AWS_SECRET_ACCESS_KEY"]);
    let clear = section("http://127.0.0.1:1").replace("allow_http = true", "");
    check(&clear, 2, &["allow_http = true"]);
    // Nobody listens at port 1.
    check(&section("http://127.0.0.1:1"), 1, &["can't be reached", "[lake.store]"]);
    let overwriting = accepts_every_put();
    check(&section(&overwriting), 1, &["If-None-Match", "use a store that honours it"]);
    let Some(bucket) = &*BUCKET else { return };
    project.write("s3.secret", "another");
    let wrong = section(bucket.endpoint()).replace("s3.secret", "wrong.secret");
    project.write("wrong.secret", "not-the-secret");
    check(&wrong, 1, &["can't be reached", "AWS_*"]);

    // What the environment says wins.
    project.write("rapport.toml", section(bucket.endpoint()).replace("endpoint", "# endpoint"));
    let mut command = project.command(&load);
    command.env("AWS_ENDPOINT_URL", bucket.endpoint());
    crate::program::run(command).succeeded();
}

/// A store without conditional puts: every put is done, and nothing is ever there.
fn accepts_every_put() -> String {
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
