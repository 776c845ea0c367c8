//! Looking after a lake: an erased partner is as if it had never been, the doctor's answers, and a
//! lake of the first version upgraded.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lake_types::Stream;

use crate::crash::{ONLY_CALLS, produce, project_on};
use crate::kafka::Broker;
use crate::pieces::{assert_same, of_events};
use crate::program::{Project, Ran, Running, wait_until};
use crate::simulated::{Sent, Simulated, Size, check_tables, lines, raw, truth};

const SIZE: Size = Size { seed: 11, partners: 20, events: 3_000, days: 40 };

#[test]
fn an_erased_partner_is_as_if_it_had_never_been() {
    let world = Simulated::drawn(SIZE.options());
    let partner = with_most_calls(&world);
    let end = world.end();
    let without = Project::new();
    world.share_tables(&without);
    for stream in Stream::ALL {
        let others: Vec<Sent> =
            world.timeless(stream).into_iter().filter(|s| !names(&s.value, &partner)).collect();
        without.write("others.ndjson", lines(&others));
        world.load_file(&without, stream, "others.ndjson");
    }

    let project = Project::new();
    world.load(&project);
    project.ok(&["score", "run", "--as-of", &end]);
    project.ok(&["lake", "compact"]);
    let before = project.counts();
    let erase = ["lake", "erase", "--partner", &partner];
    project.run(&erase).refused(2, &["--yes", "--dry-run"]);
    let dry = project.ok(&[&erase[..], &["--dry-run"]].concat());
    assert!(dry.contains("raw/api_calls") && dry.contains("scores/partner_health"), "{dry}");
    assert_eq!(project.counts(), before, "a dry run changes nothing");

    let said = project.ok(&[&erase[..], &["--yes"]].concat());
    assert!(said.contains("Nothing of it is left"), "{said}");
    let metrics = |project: &Project| of_events(project.metrics(&end));
    assert_same(&metrics(&without), &metrics(&project), "the lake without the partner");
    no_file_holds(&project.path("lake"), partner.as_bytes());
    let scored = "SELECT count(*) FROM partner_health WHERE partner_id LIKE 'erased-%'";
    assert_eq!(project.number(scored), 1);
    let signals = "SELECT count(*) FROM partner_signals s JOIN partner_health h
         ON h.partner_id = s.partner_id WHERE s.partner_id LIKE 'erased-%'";
    assert!(project.number(signals) > 0, "its signals stay under the same token");
    project.ok(&["lake", "verify"]);

    // What the lake took in is still accounted for: rows, copies that compaction dropped, erased.
    let status = project.ok(&["lake", "status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let tables = status["tables"].as_array().expect("tables");
    let sum = |field: &str| -> i64 {
        let raw =
            tables.iter().filter(|t| t["table"].as_str().is_some_and(|n| n.starts_with("raw/")));
        raw.filter_map(|t| t[field].as_i64()).sum()
    };
    let taken: i64 = before.iter().sum();
    let dropped = sum("copies_dropped");
    assert!(sum("erased") > 0 && dropped > 0, "{status}");
    assert_eq!(sum("rows") + sum("erased"), taken, "{status}");

    let again = project.ok(&[&erase[..], &["--yes"]].concat());
    assert!(again.contains("Nothing of it was ever in"), "{again}");
}

/// The partner with the most calls, of those that no merge names.
fn with_most_calls(world: &Simulated) -> String {
    let mut calls = BTreeMap::new();
    for sent in world.sent(Stream::ApiCalls) {
        *calls.entry(sent.key).or_insert(0) += 1;
    }
    let events = world.sent(Stream::PartnerEvents);
    let merges: Vec<&Sent> = events.iter().filter(|s| names(&s.value, "merged")).collect();
    let free = |id: &String| merges.iter().all(|merge| !names(&merge.value, id));
    let most = calls.into_iter().filter(|(id, _)| free(id)).max_by_key(|(_, n)| *n);
    most.expect("a partner with calls").0
}

fn names(bytes: &[u8], word: &str) -> bool {
    holds(bytes, word.as_bytes())
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[track_caller]
fn no_file_holds(folder: &Path, word: &[u8]) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            no_file_holds(&path, word);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            assert!(!holds(&bytes, word), "{} holds the id", path.display());
        }
    }
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let project = Project::new();
    // Nobody listens at port 1.
    let reachable = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n";
    project.write("rapport.toml", reachable);
    let answer = project.run(&["doctor", "--format", "json"]);
    assert_eq!(answer.code, Some(3), "{answer}");
    let checks: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    let state = |name: &str| {
        let of = |c: &&serde_json::Value| c["check"] == name;
        let found = checks.as_array().and_then(|all| all.iter().find(of));
        found.and_then(|c| c["state"].as_str()).unwrap_or("absent").to_owned()
    };
    let expected = [
        ("configuration", "ok"),
        ("queries", "ok"),
        ("key", "ok"),
        ("lake", "warn"),
        ("broker", "fail"),
        ("topic", "absent"),
    ];
    for (name, expected) in expected {
        assert_eq!(state(name), expected, "{name} in {answer}");
    }

    project.write("rapport.toml", "[kafka]\nbootstrap_server = \"127.0.0.1:1\"\n");
    let answer = project.run(&["doctor"]);
    assert_eq!(answer.code, Some(3), "{answer}");
    assert!(answer.text().contains("bootstrap_server"), "{answer}");
}

/// What the doctor says of each check, the first of a name: its state and what it found.
fn diagnosis(answer: &Ran) -> BTreeMap<String, (String, String)> {
    let checks: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    let text =
        |check: &serde_json::Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let of = |c: &serde_json::Value| (text(c, "check"), (text(c, "state"), text(c, "found")));
    checks.as_array().expect("a list").iter().rev().map(of).collect()
}

#[test]
fn the_doctor_reads_what_it_calls_well() {
    let project = Project::new();
    let doctor = ["doctor", "--format", "json"];
    let config = "[kafka]\n[kafka.topics]\n";
    // Nothing is said of Kafka: the project loads files only.
    project.write("rapport.toml", config);
    let look = || project.run(&doctor);
    assert_eq!(look().code, Some(0), "{}", look());

    let bill = |id: &str, day: &str, currency: &str| {
        format!(
            r#"{{"event_id":"{id}","partner_id":"p","occurred_at":"{day}T00:00:00Z","kind":"usage","amount_minor":1,"currency":"{currency}"}}"#
        ) + "\n"
    };
    let load = |text: String| {
        project.write("bills.ndjson", text);
        project.ok(&["ingest", "load", "--stream", "billing-events", "bills.ndjson"]);
    };
    project.write("rates.csv", "date,currency,rate\n2026-01-01,EUR,1.1\n");
    load(bill("b-1", "2026-01-02", "EUR"));
    // The rollups know of the one currency.
    project.ok(&["sql", "SELECT * FROM billing_day"]);
    let answer = look();
    assert_eq!(answer.code, Some(0), "{answer}");
    assert_eq!(diagnosis(&answer)["rates"].1, "the one currency that was billed is covered");
    load(bill("b-2", "2026-01-03", "GBP") + &bill("b-3", "2025-12-31", "EUR"));
    let answer = look();
    assert_eq!(answer.code, Some(3), "{answer}");
    let found = &diagnosis(&answer)["rates"];
    assert_eq!(found.1, "no rate for EUR on 2025-12-31, GBP on 2026-01-03");
    project.write("rates.csv", "date,currency,rate\n2025-01-01,EUR,1.1\n2025-01-01,GBP,1.2\n");
    assert_eq!(look().code, Some(0), "{}", look());

    // A query that can't be planned, though its header is well.
    let query = crate::program::BUSY.replace("sum(calls)", "sum(cals)");
    project.write("queries/metrics/busy.sql", query);
    let answer = look();
    assert_eq!(answer.code, Some(3), "{answer}");
    let found = &diagnosis(&answer)["queries"];
    assert!(found.1.contains("busy.sql:") && found.1.contains("cals"), "{answer}");
    std::fs::remove_file(project.path("queries/metrics/busy.sql")).expect("our own file");

    // A table that can't be read.
    let day = project.path("lake/raw/billing_events/event_date=2026-01-03");
    let file = std::fs::read_dir(&day).expect("a day").next().expect("a file").expect("a file");
    std::fs::write(file.path(), "cut").expect("written");
    let answer = look();
    assert_eq!(answer.code, Some(3), "{answer}");
    let found = &diagnosis(&answer)["tables"];
    assert!(found.0 == "fail" && found.1.contains("event_date=2026-01-03"), "{answer}");

    // Who says anything of Kafka wants it.
    project.write("rapport.toml", "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n");
    assert_eq!(diagnosis(&look())["broker"].0, "fail");
    let off = Stream::ALL.map(|s| format!("{} = \"\"\n", s.table())).concat();
    project.write("rapport.toml", format!("[kafka.topics]\n{off}"));
    assert_eq!(diagnosis(&look())["broker"].0, "ok");
}

#[test]
fn a_worker_that_sleeps_through_an_erasure_commits_nothing_into_the_gap() {
    let Some(broker) = Broker::start() else { return };
    let world = Simulated::drawn(Size { seed: 12, partners: 20, events: 1_500, days: 4 }.options());
    let calls = world.timeless(Stream::ApiCalls);
    broker.create_topic("gap", 1);
    produce(&broker, "gap", &calls);
    let project = project_on(&broker, &format!("api_calls = \"gap\"\n{ONLY_CALLS}"));
    let ingest = ["ingest", "run", "--until-caught-up", "--quiet", "--flush-rows"];
    // It stands still right before its second entry.
    let held = project.path("held");
    let mut sleeper = project.command(&[&ingest[..], &["200"]].concat());
    sleeper.env("RAPPORT_FAULT", format!("entry:raw/api_calls@2={}", held.display()));
    let sleeper = Running::start(sleeper);
    wait_until("the sleeper", Duration::from_secs(60), || held.exists());

    // Meanwhile another group reads it all, and the log is cut off at its newest version.
    let settings = std::fs::read_to_string(project.path("rapport.toml")).expect("settings");
    let other = settings.replace("[kafka]\n", "[kafka]\ngroup_id = \"other\"\n");
    project.write("other.toml", other);
    project.ok(&[&["--config", "other.toml"], &ingest[..], &["100"]].concat());
    project.write(
        "one.ndjson",
        "{\"event_id\":\"one\",\"partner_id\":\"zzzz-0001\",\"status\":200,\
         \"occurred_at\":\"2026-01-02T10:00:00Z\"}\n",
    );
    project.ok(&["ingest", "load", "--stream", "api-calls", "one.ndjson"]);
    project.ok(&["lake", "erase", "--partner", "zzzz-0001", "--yes"]);
    let gap = raw(&project.path("."), Stream::ApiCalls).join("_delta_log");
    let gap = gap.join("00000000000000000002.json");
    assert!(!gap.exists(), "the sleeper's place in the log is free");
    std::fs::remove_file(&held).expect("the sleeper goes on");
    sleeper.finish().succeeded();
    assert!(gap.exists(), "it put its entry there");
    check_tables(&project, Stream::ApiCalls, &truth(&calls));
    project.ok(&["lake", "verify"]);
}

/// `tests/lake-1` was made by the first version: fourteen calls loaded, one of them a copy and one
/// rejected, three partners, and the rollups of a metric.
#[test]
fn a_lake_of_the_first_version_is_upgraded() {
    let project = Project::new();
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lake-1");
    copy(&made, &project.path("."));
    let load = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    let words = ["format 1", "stop all workers", "rapport lake upgrade"];
    project.run(&load).refused(1, &words);
    project.run(&["lake", "status"]).refused(1, &words);

    assert!(project.ok(&["lake", "upgrade"]).contains("had format 1"));
    assert!(project.ok(&["lake", "upgrade"]).contains("already"));
    assert_eq!(project.counts(), [0, 0, 1, 3, 13]);
    assert_eq!(project.number("SELECT count(*) FROM api_calls"), 12);
    assert!(project.ok(&load).starts_with("Nothing new"));
    let calls = "SELECT calls, success_rate FROM partner_reliability WHERE partner_id = 'p-1'";
    let rows = project.ok(&["sql", calls, "--as-of", "2026-03-03", "--format", "csv"]);
    assert_eq!(rows.lines().nth(1), Some("4,0.75"));
    let open = ["ingest", "dead-letters", "--open", "--format", "json"];
    assert!(project.ok(&open).contains("bad"), "what the old key sealed is opened");
    project.write("more.ndjson", "{\"event_id\":\"e-99\",\"partner_id\":\"p-1\",\"status\":200,\"occurred_at\":\"2026-03-02T11:00:00Z\"}\n");
    project.ok(&["ingest", "load", "--stream", "api-calls", "more.ndjson"]);
    project.ok(&["lake", "compact"]);
    let rows = project.ok(&["sql", calls, "--as-of", "2026-03-03", "--format", "csv"]);
    assert_eq!(rows.lines().nth(1), Some("5,0.8"));
    project.ok(&["lake", "verify"]);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("a file").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}
