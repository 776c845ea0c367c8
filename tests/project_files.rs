//! Files that people write beside a project: each mistake with its file, line and column, and what
//! to do.

use crate::program::{BUSY, Project};

/// Refused, with the place and the words; afterwards the project works.
#[track_caller]
fn check(
    project: &Project,
    file: &str,
    text: impl AsRef<[u8]>,
    arguments: &[&str],
    words: &[&str],
) {
    let before = std::fs::read(project.path(file)).ok();
    project.write(file, text);
    project.run(arguments).refused(2, words);
    match before {
        Some(before) => project.write(file, before),
        None => std::fs::remove_file(project.path(file)).expect("our own file"),
    }
    project.ok(&["sql", "SELECT 1"]);
}

fn loaded() -> Project {
    let project = Project::new();
    let call = |n: i32| {
        format!(
            r#"{{"event_id":"e{n}","partner_id":"p","occurred_at":"2026-01-0{n}T00:00:00Z","status":200}}"#
        )
    };
    project.write("calls.ndjson", (1..6).map(|n| call(n) + "\n").collect::<String>());
    let load = ["ingest", "load", "--stream", "api-calls", "--arrival", "2026-01-09"];
    project.ok(&[&load[..], &["calls.ndjson"]].concat());
    std::fs::remove_file(project.path("calls.ndjson")).expect("our own file");
    // Nobody listens there: `doctor` says so at once.
    project.write("rapport.toml", "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n");
    project.write("queries/metrics/busy.sql", BUSY);
    project
}

const SQL: [&str; 2] = ["sql", "SELECT * FROM sla"];

#[test]
fn service_levels() {
    let project = loaded();
    let wrong = |row: &str, words: &[&str]| {
        check(
            &project,
            "sla.csv",
            format!("plan,target,latency_target_ms\nfree,,\n{row}\n"),
            &SQL,
            words,
        );
    };
    let share = "the share of calls that is answered, above 0 and at most 1, is due";
    wrong("gold,99.9,800", &["sla.csv:3:6: target \"99.9\"", share, "did you mean 0.999?"]);
    wrong("gold,99.95%,800", &["sla.csv:3:6:", "did you mean 0.9995?"]);
    wrong("gold,\"0,999\",800", &["sla.csv:3:6:", "did you mean 0.999?"]);
    for value in
        ["NaN", "nan", "-1", "0", "0.0", "inf", "-inf", "infinity", "1e9", "1e-400", "x", "1.0001"]
    {
        wrong(&format!("gold,{value},800"), &[&format!("sla.csv:3:6: target \"{value}\""), share]);
        let place = format!("sla.csv:3:11: latency_target_ms \"{value}\"");
        if !matches!(value, "1e9" | "1.0001") {
            wrong(&format!("gold,0.99,{value}"), &[&place, "milliseconds above 0"]);
        }
    }
    wrong("gold,0.9,1e12", &["sla.csv:3:10: latency_target_ms", "at most 86400000, a day"]);
    wrong(",0.999,800", &["sla.csv:3:1: plan \"\": a name is due"]);
    wrong("gold,0.999", &["sla.csv:3:1: 2 columns, and 3 are due"]);
    wrong("free,0.999,800", &["sla.csv:3:1: plan \"free\": a second row", "line 2", "keep one"]);
    let head =
        |head: &str, words: &[&str]| check(&project, "sla.csv", format!("{head}\n"), &SQL, words);
    head("plan,targt,latency_target_ms", &["sla.csv:1:6:", "did you mean \"target\"?"]);
    head("plan;target;latency_target_ms", &["sla.csv:1:1:", "separated by commas"]);
    head("plan,target", &["sla.csv:1:1:", "\"latency_target_ms\" is missing"]);
    head("plan,target,target", &["sla.csv:1:1:", "\"target\" stands there twice"]);
    check(&project, "sla.csv", "", &SQL, &["sla.csv:1:1: the file is empty"]);
    check(
        &project,
        "sla.csv",
        b"plan,target,latency_target_ms\ng\xf6ld,,\n",
        &SQL,
        &["sla.csv:2:2: this is no UTF-8"],
    );
    // Columns in another order, with the mark that spreadsheets put in front.
    let text = "\u{feff}target , plan,latency_target_ms\r\n\r\n 0.999,gold,\r\n";
    project.write("sla.csv", text);
    assert_eq!(project.rows("SELECT plan, target, latency_target_ms FROM sla"), ["gold,0.999,"]);
}

#[test]
fn exchange_rates() {
    let project = loaded();
    let wrong = |row: &str, words: &[&str]| {
        check(
            &project,
            "rates.csv",
            format!("date,currency,rate\n2026-01-01,GBP,1.3\n{row}\n"),
            &SQL,
            words,
        );
    };
    wrong("2026-02-30,EUR,1.1", &["rates.csv:3:1: date \"2026-02-30\"", "no such day"]);
    wrong("26-01-31,EUR,1.1", &["rates.csv:3:1:", "write 2026-01-31"]);
    wrong("31.01.2026,EUR,1.1", &["rates.csv:3:1:", "write 2026-01-31"]);
    wrong("0026-01-31,EUR,1.1", &["rates.csv:3:1:", "the year must lie in 1970 to 2199"]);
    wrong("2026-01-31,eur,1.1", &["rates.csv:3:12: currency \"eur\"", "did you mean EUR?"]);
    wrong("2026-01-31,EURO,1.1", &["rates.csv:3:12: currency \"EURO\"", "ISO 4217"]);
    wrong("2026-01-31,USD,1.1", &["rates.csv:3:12: currency \"USD\"", "whose rate is 1"]);
    for value in ["0", "-1", "NaN", "inf", "", "x", "1e30"] {
        wrong(
            &format!("2026-01-31,EUR,{value}"),
            &[&format!("rates.csv:3:16: rate \"{value}\""), "above 0"],
        );
    }
    wrong("2026-01-31,EUR,\"1,1\"", &["rates.csv:3:16:", "did you mean 1.1?"]);
    wrong("2026-01-31,EUR,1,1", &["rates.csv:3:1: 4 columns, and 3 are due"]);
    wrong("2026-01-31,EUR,1.123456789", &["rates.csv:3:16:", "at most 8 decimals"]);
    wrong("2026-01-31,EUR,1e-3", &["rates.csv:3:16:", "a plain number"]);
    wrong("2026-01-01,GBP,1.4", &["rates.csv:3:1:", "a second row", "line 2"]);
}

#[test]
fn sunsets() {
    let project = loaded();
    let wrong = |row: &str, words: &[&str]| {
        check(
            &project,
            "sunsets.csv",
            format!("api_version,sunset_on\nv1,2026-01-01\n{row}\n"),
            &SQL,
            words,
        );
    };
    wrong("v2,2026-13-01", &["sunsets.csv:3:4: sunset_on \"2026-13-01\"", "no such day"]);
    wrong("v2,", &["sunsets.csv:3:4:", "write 2026-01-31"]);
    wrong(",2026-01-01", &["sunsets.csv:3:1: api_version \"\""]);
    wrong("v1,2026-02-01", &["sunsets.csv:3:1:", "a second row", "line 2"]);
    wrong("v\u{1b}[2J,x", &["sunsets.csv:3:7: sunset_on \"x\""]);
}

#[test]
fn the_configuration() {
    let project = loaded();
    let wrong = |text: &str, words: &[&str]| check(&project, "rapport.toml", text, &SQL, words);
    wrong("[lake\nroot = 1", &["rapport.toml:1:", "unclosed table"]);
    wrong("[lake]\nrot = \"x\"", &["rapport.toml:2:1: unknown field `rot`; did you mean `root`?"]);
    wrong(
        "[laek]\nroot = \"x\"",
        &["rapport.toml:1:2: unknown field `laek`; did you mean `lake`?"],
    );
    wrong("[lake]\nroot = 7", &["rapport.toml:2:8: invalid type: integer `7`, expected a string"]);
    wrong("[lake]\nroot = \"\"", &["rapport.toml:2:8: [lake] root is empty"]);
    wrong(
        "[lake]\nroot = \"gs://x\"",
        &["rapport.toml:2:8: [lake] root = \"gs://x\"", "s3://bucket/prefix"],
    );
    wrong("[lake]\n[lake.retention]\napi_calls = \"0d\"", &["rapport.toml:3:13:", "write 400d"]);
    wrong("[kafka]\nbootstrap_servers = \"\"", &["rapport.toml:2:21:", "127.0.0.1:9092"]);
    wrong("[kafka]\ngroup_id = \"\"", &["rapport.toml:2:12:", "give it a name"]);
    wrong("[kafka.topics]\napi_calls = \"api calls\"", &["rapport.toml:2:13:", "can be no topic"]);
    wrong(
        "[metrics]\nreporting_currency = \"usd\"",
        &["rapport.toml:2:22:", "did you mean \"USD\"?"],
    );
    wrong("[metrics]\nrates = \"\"", &["rapport.toml:2:9:", "name a file"]);
    wrong("[metrics]\nratse = \"x\"", &["rapport.toml:2:1:", "did you mean `rates`?"]);
}

#[test]
fn doctor_looks_at_every_file() {
    let project = loaded();
    project.write("sla.csv", "plan,target,latency_target_ms\ngold,99.9,\n");
    project.write("rates.csv", "date,currency,rate\n2026-02-30,EUR,1\n");
    project.write("sunsets.csv", "api_version,sunset\n");
    project.write("scoring.toml", "version = 1\n");
    project.write("policy.toml", "version = \"1\"\nrulse = []\n");
    let doctor = project.run(&["doctor"]);
    assert_eq!(doctor.code, Some(3), "{doctor}");
    for words in [
        "sla.csv:2:6: target",
        "rates.csv:2:1: date",
        "sunsets.csv:1:13: the first line must be api_version,sunset_on",
        "scoring.toml:1:11: invalid type",
        "policy.toml:2:1: unknown field `rulse`; did you mean `rules`?",
    ] {
        assert!(doctor.text().contains(words), "no {words} in {doctor}");
    }
}

#[test]
fn the_key_stays_out_of_version_control() {
    let project = Project::empty();
    let git = |arguments: &[&str]| -> String {
        let mut command = std::process::Command::new("git");
        command.current_dir(project.path(".")).args(arguments);
        crate::program::run(command).succeeded().text()
    };
    git(&["init", "--quiet"]);
    project.write(".gitignore", "target/\n");
    project.ok(&["init", "."]);
    project.write("calls.ndjson", "{}\n");
    project.run(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]).succeeded();
    project.ok(&["lake", "rotate-key"]);
    git(&["add", "."]);
    let staged = git(&["diff", "--cached", "--name-only"]);
    let staged: Vec<&str> = staged.lines().filter(|name| !name.starts_with("queries/")).collect();
    assert_eq!(staged, [".gitignore", "policy.toml", "rapport.toml"]);
    let ignored = std::fs::read_to_string(project.path(".gitignore")).expect("a file");
    assert!(ignored.starts_with("target/\n\n") && ignored.contains("*.key"), "{ignored}");
}

#[test]
fn policies() {
    let project = loaded();
    let scoring = |from: &str, to: &str, words: &[&str]| {
        assert!(scoring::DEFAULT_POLICY.contains(from), "{from}");
        let text = scoring::DEFAULT_POLICY.replacen(from, to, 1);
        check(&project, "scoring.toml", text, &["score", "run"], words);
    };
    for value in ["nan", "-1", "inf", "-inf"] {
        scoring(
            "errors = 20",
            &format!("errors = {value}"),
            &["scoring.toml:", "weights.errors = ", "0 or more"],
        );
    }
    scoring(
        "errors = 20",
        "erors = 20",
        &["scoring.toml:", ":1: unknown signal `erors`; did you mean `errors`?"],
    );
    scoring(
        "errors = 20",
        "errors = \"20\"",
        &["scoring.toml:", "invalid type: text, expected f64"],
    );
    scoring(
        "recent_days = 28",
        "recent_days = 27",
        &["scoring.toml:", "whole weeks in days, 7 to 84"],
    );
    let actions = |from: &str, to: &str, words: &[&str]| {
        assert!(actions::DEFAULT_POLICY.contains(from), "{from}");
        let text = actions::DEFAULT_POLICY.replacen(from, to, 1);
        check(&project, "policy.toml", text, &["actions", "plan", "--out", "plan.json"], words);
    };
    for value in ["nan", "-0.1", "1.1", "inf"] {
        actions(
            "max_cut = 0.1",
            &format!("max_cut = {value}"),
            &["policy.toml:", ":1: max_cut = ", "0 to 1"],
        );
    }
    actions("max_cut = 0.1", "max_cutt = 0.1", &["policy.toml:", "did you mean `max_cut`?"]);
    actions(
        "reach = 0.05",
        "reach = true",
        &["policy.toml:", "invalid type: boolean `true`, expected f64"],
    );
    actions("who = \"manager\"", "who = \"\"", &["policy.toml:", "notifies nobody"]);
}
