//! Invalid input gives one clear message and an exit code, and loses nothing.

use std::path::PathBuf;

use domain::{Stream, thousands};

use crate::support::program::{Project, rapport_command, run};
use crate::support::simulated_world::{
    SimulatedWorld, WorldSize, check_row_counts, expected_counts, ndjson, raw_table_folder,
};

/// Holds a project with loaded events, and what must stay as it is.
struct LoadedProject {
    world: SimulatedWorld,
    project: Project,
    counts: Vec<i64>,
    config: String,
}

impl LoadedProject {
    fn new() -> Self {
        let world =
            SimulatedWorld::new(WorldSize { seed: 4, partners: 30, events: 1_000, days: 40 });
        let project = Project::new();
        world.load(&project);
        let counts = project.row_counts();
        let config = std::fs::read_to_string(project.path("rapport.toml")).expect("a file");
        Self { world, project, counts, config }
    }

    /// Checks that a command fails with this code and these messages, and that the data stays as it
    /// was.
    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, messages: &[&str]) {
        self.project.run(arguments).expect_error(code, messages);
        self.project.write("rapport.toml", &self.config);
        assert_eq!(self.project.row_counts(), self.counts, "after {arguments:?}");
    }

    /// Checks the same with another configuration.
    #[track_caller]
    fn check_config(&self, config: &str, arguments: &[&str], code: i32, messages: &[&str]) {
        self.project.write("rapport.toml", config);
        self.check(arguments, code, messages);
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let loaded = LoadedProject::new();
    let load = ["ingest", "load", "--stream"];
    loaded.check(&["sql", "--frobnicate", "SELECT 1"], 2, &["'--frobnicate'", "--help"]);
    loaded.check(&["frobnicate"], 2, &["'frobnicate'", "--help"]);
    loaded.check(&[&load[..], &["api-calls", "no.ndjson"]].concat(), 2, &["no file no.ndjson"]);
    loaded.check(&[&load[..], &["calls", "x"]].concat(), 2, &["unknown stream", "api-calls"]);
    loaded.check(&["score", "show", "nobody"], 2, &["no partner \"nobody\"", "rapport sql"]);
    loaded.check(&["score", "show", "P-000001"], 2, &["did you mean \"p-000001\"?"]);
    loaded.check(&["metrics", "run", "funel"], 2, &["no query is called \"funel\"", "funnel"]);
    let future = ["metrics", "run", "--as-of", "2999-01-01"];
    loaded.check(&future, 2, &["2999-01-01T00:00:00Z lies in the future", "the clock says"]);
    loaded.check(&["report", "--out", "r", "--as-of", "2999-01-01"], 2, &["in the future"]);
    loaded.check(&["metrics", "run", "--as-of", "soon"], 2, &["\"soon\" is no instant", "2026-"]);
    loaded.check(&["init", "."], 2, &["holds a project already", "nothing was changed"]);
    loaded.check(&["demo", "--dir", "."], 2, &["none of a demo", "--dir"]);
    let several = ["metrics", "run", "funnel", "growth", "--format", "csv"];
    loaded.check(&several, 2, &["name one, or give --out DIR"]);
    // A command outside a project.
    let folder = tempfile::tempdir().expect("a folder");
    let mut outside = rapport_command();
    outside.current_dir(folder.path()).args(["lake", "status"]);
    run(outside).expect_error(2, &["no rapport.toml here", "rapport init"]);
}

#[test]
fn wrong_sql_is_refused_with_its_position() {
    let loaded = LoadedProject::new();
    let check = |query: &str, messages: &[&str]| loaded.check(&["sql", query], 2, messages);
    check("SELEC 1", &["Expected: an SQL statement, found: SELEC at Line: 1, Column: 1"]);
    check("SELECT status FROM calls", &["no table \"calls\"", "api_calls"]);
    check("SELECT\n  stats FROM api_calls", &["line 2", "stats", "api_calls.status"]);
    check("SELECT 'a' + 1 FROM api_calls", &["Utf8"]);
    check("", &["only one SELECT"]);
    // A project's own query that is wrong is left out, with its file and line; a command that asks
    // for it fails.
    let original = loaded.project.path("queries/metrics/mine.sql");
    std::fs::write(&original, "SELECT 1 AS one\n").expect("a query");
    let output = loaded.project.run(&["metrics", "list"]).expect_success();
    assert!(output.stderr.contains("mine is left out: queries/metrics/mine.sql:1:1: "), "{output}");
    let run = loaded.project.run(&["metrics", "show", "mine"]);
    run.expect_error(2, &["queries/metrics/mine.sql:1: ", "rapport metrics new"]);
    std::fs::remove_file(&original).expect("our own file");
}

#[test]
fn wrong_configurations_are_refused() {
    let loaded = LoadedProject::new();
    let status = ["lake", "status"];
    let check = |config: &str, messages: &[&str]| loaded.check_config(config, &status, 2, messages);
    check("[lake\nroot = 1", &["rapport.toml:1:", "unclosed table"]);
    check("[lake]\nrot = \"x\"", &["rapport.toml:2:1: ", "unknown field `rot`", "`root`"]);
    check("[lake]\nroot = 7", &["rapport.toml:2:8: ", "expected a string"]);
    check("[metrics]\nreporting_currency = \"XXX\"", &["reporting_currency", "XXX"]);
    let sql = ["sql", "SELECT 1"];
    loaded.check_config("[metrics]\nrates = \"no.csv\"", &sql, 2, &["no.csv", "can't be read"]);
    let ingest = ["ingest", "run", "--until-caught-up"];
    let check = |config: &str, code: i32, messages: &[&str]| {
        loaded.check_config(config, &ingest, code, messages);
    };
    check("[kafka.properties]\n\"no.such\" = 1", 2, &["[kafka.properties]", "no.such"]);
    let off = Stream::ALL.map(|s| format!("{} = \"\"\n", s.table())).concat();
    check(&format!("[kafka.topics]\n{off}"), 2, &["every stream is turned off", "[kafka.topics]"]);
    let same = "[kafka.topics]\napi_calls = \"t\"\nbilling_events = \"t\"\n";
    check(same, 2, &["two streams have the same topic"]);
    // Nothing listens on port 1.
    let nobody = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"";
    check(nobody, 1, &["no Kafka broker answers at 127.0.0.1:1", "bootstrap_servers"]);
    loaded.check(&["--config", "no.toml", "lake", "status"], 2, &["no.toml", "rapport init"]);
}

/// Commands of every kind, also those that go on without a project or read no configuration.
const COMMANDS: [&str; 39] = [
    "actions log",
    "actions plan --out plan.json",
    "alerts list",
    "bench all",
    "bench commits",
    "bench ingest",
    "bench score",
    "bench serve",
    "cluster executor",
    "cluster scheduler",
    "completions bash",
    "deliver",
    "demo",
    "doctor",
    "generate --out world",
    "ingest dead-letters",
    "ingest fields",
    "ingest load --stream api-calls calls.ndjson",
    "ingest mappings",
    "ingest replay",
    "ingest run",
    "ingest try --stream api-calls calls.ndjson",
    "lake status",
    "metrics check",
    "metrics docs",
    "metrics functions",
    "metrics lineage funnel",
    "metrics list",
    "metrics new mine",
    "metrics show funnel",
    "metrics test",
    "report --out report",
    "run",
    "schema rapport",
    "score backtest",
    "score fit --out proposed.toml",
    "score show acme",
    "serve",
    "sql SELECT",
];

#[test]
fn every_command_refuses_a_configuration_that_is_named_and_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in COMMANDS {
        let words = command.split(' ');
        let mut given = rapport_command();
        given.current_dir(folder.path()).args(words.clone()).args(["--config", "no/rapport.toml"]);
        run(given).expect_error(2, &["there is no configuration no/rapport.toml", "rapport init"]);
        let mut variable = rapport_command();
        variable.current_dir(folder.path()).args(words).env("RAPPORT_CONFIG", folder.path());
        run(variable).expect_error(2, &["is a folder; name the file in it"]);
    }
    let made = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(made, 0, "a refused command writes nothing");
    // `init` may be about to make the file that the environment names.
    let mut init = rapport_command();
    let config = folder.path().join("rapport.toml");
    init.current_dir(folder.path()).args(["init", "."]).env("RAPPORT_CONFIG", config);
    run(init).expect_success();
}

#[test]
fn queries_are_not_checked_without_those_of_a_project_that_cannot_be_read() {
    let project = Project::new();
    project.write("rapport.toml", "[lake]\nrot = \"x\"");
    let commands =
        ["metrics check", "metrics list", "metrics show funnel", "metrics test", "metrics docs"];
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        project.run(&arguments).expect_error(2, &["rapport.toml:2:1: ", "unknown field `rot`"]);
    }
}

#[test]
fn a_wrong_or_missing_lake_key_is_refused() {
    let loaded = LoadedProject::new();
    let key = loaded.project.path("lake.key");
    let original = std::fs::read(&key).expect("a key");
    let query = ["sql", "SELECT 1"];
    std::fs::copy(Project::new().path("lake.key"), &key).expect("another key");
    loaded.project.run(&query).expect_error(1, &["is not the key of this lake", "restore"]);
    std::fs::write(&key, "nonsense").expect("no key");
    loaded.project.run(&query).expect_error(1, &["holds no key"]);
    std::fs::remove_file(&key).expect("a file");
    loaded.project.run(&query).expect_error(1, &["lake.key", "restore it from its backup"]);
    std::fs::write(&key, original).expect("the key");
    assert_eq!(loaded.project.row_counts(), loaded.counts);
}

#[test]
fn output_folders_that_cannot_be_written_are_named() {
    let loaded = LoadedProject::new();
    loaded.project.write("taken", "a file where a folder is due");
    // Root may write anywhere but into /proc, which stands for a folder without permission.
    for out in ["taken", "taken/deeper", "/proc/rapport"] {
        let metrics = ["metrics", "run", "--out", out];
        let messages = ["can't be written", "choose", out];
        let output = loaded.project.run(&metrics);
        output.expect_error(1, &messages);
        let report = ["report", "--out", out];
        if out == "taken" {
            loaded.check(&report, 2, &["taken can't be replaced: it is a file", "--out"]);
        } else {
            loaded.check(&report, 1, &["cannot make the folder", "another with --out", out]);
        }
        let plan = format!("{out}/plan.json");
        loaded.check(&["actions", "plan", "--out", &plan], 1, &["can't be written", &plan]);
    }
    loaded
        .project
        .write("calls.ndjson", ndjson(&loaded.world.time_independent_records(Stream::ApiCalls)));
    let load = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    for root in ["taken", "/proc/rapport"] {
        let config = format!("[lake]\nroot = \"{root}\"\n");
        loaded.check_config(&config, &load, 1, &[root, "check [lake] root"]);
    }
    let mut init = rapport_command();
    init.args(["init", "/proc/rapport"]);
    run(init).expect_error(1, &["/proc/rapport", "can't be made"]);
}

#[test]
fn a_corrupt_data_file_is_reported_and_never_answered_from() {
    let loaded = LoadedProject::new();
    let file = first_parquet_file(raw_table_folder(&loaded.project.path("."), Stream::ApiCalls));
    let whole = std::fs::read(&file).expect("a file");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let query = ["sql", "SELECT sum(status), count(DISTINCT product) FROM raw.api_calls"];
    let truncated = &whole[..whole.len() / 2];
    let noise: Vec<u8> = whole.iter().map(|byte| byte ^ 0x5a).collect();
    for (what, bytes) in [("cut", truncated), ("noise", &noise), ("empty", &[])] {
        std::fs::write(&file, bytes).expect("our own file");
        let verified = loaded.project.run(&["lake", "verify"]);
        loaded.project.run(&query).expect_error(1, &["is damaged"]);
        assert_eq!(verified.code, Some(3), "{what}: {verified}");
        assert!(verified.stdout_text().contains(&name), "{what}: {verified}");
    }
    std::fs::write(&file, whole).expect("our own file");
    loaded.project.run_ok(&["lake", "verify"]);
    assert_eq!(loaded.project.row_counts(), loaded.counts);
}

fn first_parquet_file(folder: PathBuf) -> PathBuf {
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
fn loading_a_file_of_another_stream_stores_nothing() {
    let project = Project::new();
    let world = SimulatedWorld::new(WorldSize { seed: 6, partners: 30, events: 11_000, days: 30 });
    let records = world.time_independent_records(Stream::ApiCalls);
    project.write("calls.ndjson", ndjson(&records));
    let wrong = ["ingest", "load", "--stream", "billing-events", "calls.ndjson"];
    let output = project.run(&wrong);
    assert_eq!(output.code, Some(3), "{output}");
    let command = "rapport ingest load --stream api-calls calls.ndjson";
    let count = thousands(records.len() as u64);
    let all = format!("{count} of its first {count} records");
    for word in [all.as_str(), "--accept-rejects", command] {
        assert!(output.stderr.contains(word), "no \"{word}\" in {output}");
    }
    assert!(output.stdout_text().contains("kind: absent or null"), "{output}");
    let right = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    project.run_ok(&right);
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&records));
    assert_eq!(project.query_number("SELECT count(*) FROM raw.billing_events"), 0);
    let dead_letters = "SELECT count(*) FROM dead_letters WHERE stream = 'billing-events'";
    assert_eq!(project.query_number(dead_letters), 0);
}
