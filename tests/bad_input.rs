//! What users get wrong: one clear message, an exit code, and nothing lost.

use std::path::PathBuf;

use lake_types::Stream;

use crate::program::{Project, rapport, run};
use crate::simulated::{Simulated, Size, lines, raw};

/// A project with something to lose.
struct Precious {
    world: Simulated,
    project: Project,
    counts: Vec<i64>,
    config: String,
}

impl Precious {
    fn new() -> Self {
        let world = Simulated::new(Size { seed: 4, partners: 30, events: 1_000, days: 40 });
        let project = Project::new();
        world.load(&project);
        let counts = project.counts();
        let config = std::fs::read_to_string(project.path("rapport.toml")).expect("a file");
        Self { world, project, counts, config }
    }

    /// Refused with this code and these words; afterwards everything is there and works.
    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, words: &[&str]) {
        self.project.run(arguments).refused(code, words);
        self.project.write("rapport.toml", &self.config);
        assert_eq!(self.project.counts(), self.counts, "after {arguments:?}");
    }

    /// The same under another configuration.
    #[track_caller]
    fn check_config(&self, config: &str, arguments: &[&str], code: i32, words: &[&str]) {
        self.project.write("rapport.toml", config);
        self.check(arguments, code, words);
    }
}

#[test]
fn wrong_calls() {
    let precious = Precious::new();
    let load = ["ingest", "load", "--stream"];
    precious.check(&["sql", "--frobnicate", "SELECT 1"], 2, &["'--frobnicate'", "--help"]);
    precious.check(&["frobnicate"], 2, &["'frobnicate'", "--help"]);
    precious.check(&[&load[..], &["api-calls", "no.ndjson"]].concat(), 2, &["no file no.ndjson"]);
    precious.check(&[&load[..], &["calls", "x"]].concat(), 2, &["unknown stream", "api-calls"]);
    precious.check(&["score", "show", "nobody"], 2, &["no partner \"nobody\"", "rapport sql"]);
    precious.check(&["score", "show", "P-000001"], 2, &["did you mean \"p-000001\"?"]);
    precious.check(&["metrics", "run", "funel"], 2, &["no query is called \"funel\"", "funnel"]);
    let future = ["metrics", "run", "--as-of", "2999-01-01"];
    precious.check(&future, 2, &["2999-01-01T00:00:00Z lies in the future", "the clock says"]);
    precious.check(&["report", "--out", "r", "--as-of", "2999-01-01"], 2, &["in the future"]);
    precious.check(&["metrics", "run", "--as-of", "soon"], 2, &["\"soon\" is no instant", "2026-"]);
    precious.check(&["init", "."], 2, &["holds a project already", "nothing was changed"]);
    precious.check(&["demo", "--dir", "."], 2, &["none of a demo", "--dir"]);
    let several = ["metrics", "run", "funnel", "growth", "--format", "csv"];
    precious.check(&several, 2, &["name one, or give --out DIR"]);
    // Outside a project.
    let folder = tempfile::tempdir().expect("a folder");
    let mut outside = rapport();
    outside.current_dir(folder.path()).args(["lake", "status"]);
    run(outside).refused(2, &["no rapport.toml here", "rapport init"]);
}

#[test]
fn wrong_queries() {
    let precious = Precious::new();
    let check = |query: &str, words: &[&str]| precious.check(&["sql", query], 2, words);
    check("SELEC 1", &["Expected: an SQL statement, found: SELEC at Line: 1, Column: 1"]);
    check("SELECT status FROM calls", &["no table \"calls\"", "api_calls"]);
    check("SELECT\n  stats FROM api_calls", &["line 2", "stats", "api_calls.status"]);
    check("SELECT 'a' + 1 FROM api_calls", &["Utf8"]);
    check("", &["only one SELECT"]);
    // A query of the project's own is left out, with the file and the line; who asks for it is
    // refused.
    let own = precious.project.path("queries/metrics/mine.sql");
    std::fs::write(&own, "SELECT 1 AS one\n").expect("a query");
    let said = precious.project.run(&["metrics", "list"]).succeeded();
    assert!(said.stderr.contains("mine is left out: queries/metrics/mine.sql:1:1: "), "{said}");
    let run = precious.project.run(&["metrics", "show", "mine"]);
    run.refused(2, &["queries/metrics/mine.sql:1: ", "rapport metrics new"]);
    std::fs::remove_file(&own).expect("our own file");
}

#[test]
fn wrong_configurations() {
    let precious = Precious::new();
    let status = ["lake", "status"];
    let check = |config: &str, words: &[&str]| precious.check_config(config, &status, 2, words);
    check("[lake\nroot = 1", &["rapport.toml:1:", "unclosed table"]);
    check("[lake]\nrot = \"x\"", &["rapport.toml:2:1: ", "unknown field `rot`", "`root`"]);
    check("[lake]\nroot = 7", &["rapport.toml:2:8: ", "expected a string"]);
    check("[metrics]\nreporting_currency = \"XXX\"", &["reporting_currency", "XXX"]);
    let sql = ["sql", "SELECT 1"];
    precious.check_config("[metrics]\nrates = \"no.csv\"", &sql, 2, &["no.csv", "can't be read"]);
    let ingest = ["ingest", "run", "--until-caught-up"];
    let check = |config: &str, code: i32, words: &[&str]| {
        precious.check_config(config, &ingest, code, words);
    };
    check("[kafka.properties]\n\"no.such\" = 1", 2, &["[kafka.properties]", "no.such"]);
    let off = Stream::ALL.map(|s| format!("{} = \"\"\n", s.table())).concat();
    check(&format!("[kafka.topics]\n{off}"), 2, &["every stream is turned off", "[kafka.topics]"]);
    let same = "[kafka.topics]\napi_calls = \"t\"\nbilling_events = \"t\"\n";
    check(same, 2, &["two streams have the same topic"]);
    // Nobody listens on port 1.
    let nobody = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"";
    check(nobody, 1, &["no Kafka broker answers at 127.0.0.1:1", "bootstrap_servers"]);
    precious.check(&["--config", "no.toml", "lake", "status"], 2, &["no.toml", "rapport init"]);
}

#[test]
fn another_key() {
    let precious = Precious::new();
    let key = precious.project.path("lake.key");
    let own = std::fs::read(&key).expect("a key");
    let query = ["sql", "SELECT 1"];
    std::fs::copy(Project::new().path("lake.key"), &key).expect("another key");
    precious.project.run(&query).refused(1, &["is not the key of this lake", "restore"]);
    std::fs::write(&key, "nonsense").expect("no key");
    precious.project.run(&query).refused(1, &["holds no key"]);
    std::fs::remove_file(&key).expect("a file");
    precious.project.run(&query).refused(1, &["lake.key", "restore it from its backup"]);
    std::fs::write(&key, own).expect("the key");
    assert_eq!(precious.project.counts(), precious.counts);
}

#[test]
fn folders_that_cannot_be_written() {
    let precious = Precious::new();
    precious.project.write("taken", "a file where a folder is due");
    // Root may write anywhere but here, so these stand for a folder without permission.
    for out in ["taken", "taken/deeper", "/proc/rapport"] {
        let metrics = ["metrics", "run", "--out", out];
        let words = ["can't be written", "choose", out];
        let said = precious.project.run(&metrics);
        said.refused(1, &words);
        let report = ["report", "--out", out];
        if out == "taken" {
            precious.check(&report, 2, &["taken can't be replaced: it is a file", "--out"]);
        } else {
            precious.check(&report, 1, &["cannot make the folder", "another with --out", out]);
        }
        let plan = format!("{out}/plan.json");
        precious.check(&["actions", "plan", "--out", &plan], 1, &["can't be written", &plan]);
    }
    precious.project.write("calls.ndjson", lines(&precious.world.timeless(Stream::ApiCalls)));
    let load = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    for root in ["taken", "/proc/rapport"] {
        let config = format!("[lake]\nroot = \"{root}\"\n");
        precious.check_config(&config, &load, 1, &[root, "check [lake] root"]);
    }
    let mut init = rapport();
    init.args(["init", "/proc/rapport"]);
    run(init).refused(1, &["/proc/rapport", "can't be made"]);
}

#[test]
fn a_corrupt_file() {
    let precious = Precious::new();
    let file = a_parquet_file(raw(&precious.project.path("."), Stream::ApiCalls));
    let whole = std::fs::read(&file).expect("a file");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let query = ["sql", "SELECT sum(status), count(DISTINCT product) FROM raw.api_calls"];
    let cut = &whole[..whole.len() / 2];
    let noise: Vec<u8> = whole.iter().map(|byte| byte ^ 0x5a).collect();
    for (what, bytes) in [("cut", cut), ("noise", &noise), ("empty", &[])] {
        std::fs::write(&file, bytes).expect("our own file");
        let verified = precious.project.run(&["lake", "verify"]);
        precious.project.run(&query).refused(1, &["is damaged"]);
        assert_eq!(verified.code, Some(3), "{what}: {verified}");
        assert!(verified.text().contains(&name), "{what}: {verified}");
    }
    std::fs::write(&file, whole).expect("our own file");
    precious.project.ok(&["lake", "verify"]);
    assert_eq!(precious.project.counts(), precious.counts);
}

fn a_parquet_file(folder: PathBuf) -> PathBuf {
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a folder");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                return path;
            }
        }
    }
    panic!("a table without files");
}

#[test]
fn the_wrong_file_for_a_stream() {
    let project = Project::new();
    let world = Simulated::new(Size { seed: 6, partners: 30, events: 11_000, days: 30 });
    project.write("calls.ndjson", lines(&world.timeless(Stream::ApiCalls)));
    let wrong = ["ingest", "load", "--stream", "billing-events", "calls.ndjson"];
    let words = ["is this the right topic for billing-events?", "--accept-rejects"];
    project.run(&wrong).refused(1, &words);
    let right = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    project.ok(&right);
    assert_eq!(project.number("SELECT count(*) FROM api_calls"), 11_000);
    assert_eq!(project.number("SELECT count(*) FROM raw.billing_events"), 0);
    let letters = "SELECT count(*) FROM dead_letters WHERE stream = 'billing-events'";
    assert_eq!(project.number(letters), 0);
}
