//! Files that people write in a project: each error has its file, line and column, and says what to
//! do.

use crate::support::program::{BUSY_METRIC, Project};

/// Checks that a file is refused with these messages, and that the project works without it.
#[track_caller]
fn check_refused(
    project: &Project,
    file: &str,
    text: impl AsRef<[u8]>,
    arguments: &[&str],
    messages: &[&str],
) {
    let before = std::fs::read(project.path(file)).ok();
    project.write(file, text);
    project.run(arguments).expect_error(2, messages);
    match before {
        Some(before) => project.write(file, before),
        None => std::fs::remove_file(project.path(file)).expect("our own file"),
    }
    project.run_ok(&["sql", "SELECT 1"]);
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
    project.run_ok(&[&load[..], &["calls.ndjson"]].concat());
    std::fs::remove_file(project.path("calls.ndjson")).expect("our own file");
    // Nothing listens there, so that `doctor` fails at once.
    project.write("rapport.toml", "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n");
    project.write("queries/metrics/busy.sql", BUSY_METRIC);
    project
}

const SQL_QUERY: [&str; 2] = ["sql", "SELECT * FROM sla"];

#[test]
fn errors_in_sla_csv_are_reported_with_their_position() {
    let project = loaded();
    let check_row = |row: &str, messages: &[&str]| {
        check_refused(
            &project,
            "sla.csv",
            format!("plan,target,latency_target_ms\nfree,,\n{row}\n"),
            &SQL_QUERY,
            messages,
        );
    };
    let share_message = "the share of calls that is answered, above 0 and at most 1, is due";
    check_row(
        "gold,99.9,800",
        &["sla.csv:3:6: target \"99.9\"", share_message, "did you mean 0.999?"],
    );
    check_row("gold,99.95%,800", &["sla.csv:3:6:", "did you mean 0.9995?"]);
    check_row("gold,\"0,999\",800", &["sla.csv:3:6:", "did you mean 0.999?"]);
    for value in
        ["NaN", "nan", "-1", "0", "0.0", "inf", "-inf", "infinity", "1e9", "1e-400", "x", "1.0001"]
    {
        check_row(
            &format!("gold,{value},800"),
            &[&format!("sla.csv:3:6: target \"{value}\""), share_message],
        );
        let position = format!("sla.csv:3:11: latency_target_ms \"{value}\"");
        if !matches!(value, "1e9" | "1.0001") {
            check_row(&format!("gold,0.99,{value}"), &[&position, "milliseconds above 0"]);
        }
    }
    check_row("gold,0.9,1e12", &["sla.csv:3:10: latency_target_ms", "at most 86400000, a day"]);
    check_row(",0.999,800", &["sla.csv:3:1: plan \"\": a name is due"]);
    check_row("gold,0.999", &["sla.csv:3:1: 2 columns, and 3 are due"]);
    check_row(
        "free,0.999,800",
        &["sla.csv:3:1: plan \"free\": a second row", "line 2", "keep one"],
    );
    let check_header = |check_header: &str, messages: &[&str]| {
        check_refused(&project, "sla.csv", format!("{check_header}\n"), &SQL_QUERY, messages);
    };
    check_header("plan,targt,latency_target_ms", &["sla.csv:1:6:", "did you mean \"target\"?"]);
    check_header("plan;target;latency_target_ms", &["sla.csv:1:1:", "separated by commas"]);
    check_header("plan,target", &["sla.csv:1:1:", "\"latency_target_ms\" is missing"]);
    check_header("plan,target,target", &["sla.csv:1:1:", "\"target\" stands there twice"]);
    check_refused(&project, "sla.csv", "", &SQL_QUERY, &["sla.csv:1:1: the file is empty"]);
    check_refused(
        &project,
        "sla.csv",
        b"plan,target,latency_target_ms\ng\xf6ld,,\n",
        &SQL_QUERY,
        &["sla.csv:2:2: this is no UTF-8"],
    );
    // Columns in another order, and the byte-order mark that spreadsheets write.
    let text = "\u{feff}target , plan,latency_target_ms\r\n\r\n 0.999,gold,\r\n";
    project.write("sla.csv", text);
    assert_eq!(
        project.query_rows("SELECT plan, target, latency_target_ms FROM sla"),
        ["gold,0.999,"]
    );
}

#[test]
fn errors_in_rates_csv_are_reported_with_their_position() {
    let project = loaded();
    let check_row = |row: &str, messages: &[&str]| {
        check_refused(
            &project,
            "rates.csv",
            format!("date,currency,rate\n2026-01-01,GBP,1.3\n{row}\n"),
            &SQL_QUERY,
            messages,
        );
    };
    check_row("2026-02-30,EUR,1.1", &["rates.csv:3:1: date \"2026-02-30\"", "no such day"]);
    check_row("26-01-31,EUR,1.1", &["rates.csv:3:1:", "write 2026-01-31"]);
    check_row("31.01.2026,EUR,1.1", &["rates.csv:3:1:", "write 2026-01-31"]);
    check_row("0026-01-31,EUR,1.1", &["rates.csv:3:1:", "the year must lie in 1970 to 2199"]);
    check_row("2026-01-31,eur,1.1", &["rates.csv:3:12: currency \"eur\"", "did you mean EUR?"]);
    check_row("2026-01-31,EURO,1.1", &["rates.csv:3:12: currency \"EURO\"", "ISO 4217"]);
    check_row("2026-01-31,USD,1.1", &["rates.csv:3:12: currency \"USD\"", "whose rate is 1"]);
    for value in ["0", "-1", "NaN", "inf", "", "x", "1e30"] {
        check_row(
            &format!("2026-01-31,EUR,{value}"),
            &[&format!("rates.csv:3:16: rate \"{value}\""), "above 0"],
        );
    }
    check_row("2026-01-31,EUR,\"1,1\"", &["rates.csv:3:16:", "did you mean 1.1?"]);
    check_row("2026-01-31,EUR,1,1", &["rates.csv:3:1: 4 columns, and 3 are due"]);
    check_row("2026-01-31,EUR,1.123456789", &["rates.csv:3:16:", "at most 8 decimals"]);
    check_row("2026-01-31,EUR,1e-3", &["rates.csv:3:16:", "a plain number"]);
    check_row("2026-01-01,GBP,1.4", &["rates.csv:3:1:", "a second row", "line 2"]);
}

#[test]
fn errors_in_sunsets_csv_are_reported_with_their_position() {
    let project = loaded();
    let check_row = |row: &str, messages: &[&str]| {
        check_refused(
            &project,
            "sunsets.csv",
            format!("api_version,sunset_on\nv1,2026-01-01\n{row}\n"),
            &SQL_QUERY,
            messages,
        );
    };
    check_row("v2,2026-13-01", &["sunsets.csv:3:4: sunset_on \"2026-13-01\"", "no such day"]);
    check_row("v2,", &["sunsets.csv:3:4:", "write 2026-01-31"]);
    check_row(",2026-01-01", &["sunsets.csv:3:1: api_version \"\""]);
    check_row("v1,2026-02-01", &["sunsets.csv:3:1:", "a second row", "line 2"]);
    check_row("v\u{1b}[2J,x", &["sunsets.csv:3:7: sunset_on \"x\""]);
}

#[test]
fn errors_in_programme_csv_are_reported_with_their_position() {
    let project = loaded();
    let check_row = |row: &str, messages: &[&str]| {
        check_refused(
            &project,
            "programme.csv",
            format!("month,company_revenue,cost\n2026-01-01,1000,\n{row}\n"),
            &SQL_QUERY,
            messages,
        );
    };
    check_row("2026-02-30,1,1", &["programme.csv:3:1: month \"2026-02-30\"", "no such day"]);
    check_row("2026-02-28,1,1", &["programme.csv:3:1:", "did you mean 2026-02-01?"]);
    check_row("2026-02,1,1", &["programme.csv:3:1:", "its first day", "did you mean 2026-02-01?"]);
    check_row("2026-13,1,1", &["programme.csv:3:1: month \"2026-13\"", "write 2026-01-31"]);
    check_row("Feb 2026,1,1", &["programme.csv:3:1:", "write 2026-01-31"]);
    check_row(",1,1", &["programme.csv:3:1: month \"\"", "write 2026-01-31"]);
    check_row("1926-02-01,1,1", &["programme.csv:3:1:", "1970 to 2199"]);
    check_row("2026-01-01,2,2", &["programme.csv:3:1:", "a second row of this month", "line 2"]);
    let due = "a plain number from 0 to 1000000000000000000 with a point and at most 12 decimals";
    let values = [
        "-1",
        "NaN",
        "inf",
        "1e6",
        "x",
        "$5",
        "+1",
        ".5",
        "1000000000000000000.1",
        "0.1234567890123",
        "999999999999999999999999999999999999999999",
    ];
    for value in values {
        let revenue = format!("programme.csv:3:12: company_revenue \"{value}");
        // A message quotes the first forty characters.
        let revenue: String = revenue.chars().take(70).collect();
        check_row(
            &format!("2026-02-01,{value},1"),
            &[&revenue, due, "nothing where it is not known"],
        );
        let cost = format!("programme.csv:3:14: cost \"{value}");
        let cost: String = cost.chars().take(58).collect();
        check_row(&format!("2026-02-01,1,{value}"), &[&cost, due]);
    }
    check_row(
        "2026-02-01,\"1,234,567.50\",1",
        &["programme.csv:3:12:", "did you mean 1234567.50?"],
    );
    check_row("2026-02-01,1,\"1.234.567,5\"", &["programme.csv:3:14:", "did you mean 1234567.5?"]);
    check_row("2026-02-01,1 000,1", &["programme.csv:3:12:", "did you mean 1000?"]);
    check_row("2026-02-01,1,234,5", &["programme.csv:3:1: 4 columns, and 3 are due"]);
    check_refused(
        &project,
        "programme.csv",
        "month,revenue,cost\n",
        &SQL_QUERY,
        &["programme.csv:1:7: the first line must be month,company_revenue,cost"],
    );
    // Columns in another order; amounts are exact, and an empty one is NULL.
    project.write(
        "programme.csv",
        "cost,month,company_revenue\n0.000000000001,2026-01-01,\n,2026-02-01,1000000000000000000\n0,2026-03-01,0.0\n",
    );
    assert_eq!(
        project.query_rows("SELECT * FROM programme ORDER BY month"),
        [
            "2026-01-01,,0.000000000001",
            "2026-02-01,1000000000000000000.000000000000,",
            "2026-03-01,0.000000000000,0.000000000000",
        ]
    );
}

#[test]
fn errors_in_rapport_toml_are_reported_with_their_position() {
    let project = loaded();
    let check_row = |text: &str, messages: &[&str]| {
        check_refused(&project, "rapport.toml", text, &SQL_QUERY, messages);
    };
    check_row("[lake\nroot = 1", &["rapport.toml:1:", "unclosed table"]);
    check_row(
        "[lake]\nrot = \"x\"",
        &["rapport.toml:2:1: unknown field `rot`; did you mean `root`?"],
    );
    check_row(
        "[laek]\nroot = \"x\"",
        &["rapport.toml:1:2: unknown field `laek`; did you mean `lake`?"],
    );
    check_row(
        "[lake]\nroot = 7",
        &["rapport.toml:2:8: invalid type: integer `7`, expected a string"],
    );
    check_row("[lake]\nroot = \"\"", &["rapport.toml:2:8: [lake] root is empty"]);
    check_row(
        "[lake]\nroot = \"gs://x\"",
        &["rapport.toml:2:8: [lake] root = \"gs://x\"", "s3://bucket/prefix"],
    );
    check_row(
        "[lake]\n[lake.retention]\napi_calls = \"0d\"",
        &["rapport.toml:3:13:", "write 400d"],
    );
    check_row("[kafka]\nbootstrap_servers = \"\"", &["rapport.toml:2:21:", "127.0.0.1:9092"]);
    check_row("[kafka]\ngroup_id = \"\"", &["rapport.toml:2:12:", "give it a name"]);
    check_row(
        "[kafka.topics]\napi_calls = \"api calls\"",
        &["rapport.toml:2:13:", "can be no topic"],
    );
    check_row(
        "[metrics]\nreporting_currency = \"usd\"",
        &["rapport.toml:2:22:", "did you mean \"USD\"?"],
    );
    check_row("[metrics]\nrates = \"\"", &["rapport.toml:2:9:", "name a file"]);
    check_row("[metrics]\nratse = \"x\"", &["rapport.toml:2:1:", "did you mean `rates`?"]);
}

#[test]
fn doctor_checks_every_project_file() {
    let project = loaded();
    project.write("sla.csv", "plan,target,latency_target_ms\ngold,99.9,\n");
    project.write("rates.csv", "date,currency,rate\n2026-02-30,EUR,1\n");
    project.write("sunsets.csv", "api_version,sunset\n");
    project.write("programme.csv", "month,company_revenue,cost\n2026-01-31,1,1\n");
    project.write("scoring.toml", "version = 1\n");
    project.write("policy.toml", "version = \"1\"\nrulse = []\n");
    let doctor = project.run(&["doctor"]);
    assert_eq!(doctor.code, Some(3), "{doctor}");
    for messages in [
        "sla.csv:2:6: target",
        "rates.csv:2:1: date",
        "sunsets.csv:1:13: the first line must be api_version,sunset_on",
        "programme.csv:2:1: month \"2026-01-31\": is no first day of a month",
        "scoring.toml:1:11: invalid type",
        "policy.toml:2:1: unknown field `rulse`; did you mean `rules`?",
    ] {
        assert!(doctor.stdout_text().contains(messages), "no {messages} in {doctor}");
    }
}

#[test]
fn init_keeps_the_key_and_data_out_of_git() {
    let project = Project::empty();
    let git = |arguments: &[&str]| -> String {
        let mut command = std::process::Command::new("git");
        command.current_dir(project.path(".")).args(arguments);
        crate::support::program::run(command).expect_success().stdout_text()
    };
    git(&["init", "--quiet"]);
    project.write(".gitignore", "target/\n");
    project.run_ok(&["init", "."]);
    project.write("calls.ndjson", "{}\n");
    let load = ["ingest", "load", "--stream", "api-calls", "--accept-rejects", "calls.ndjson"];
    project.run(&load).expect_success();
    project.run_ok(&["lake", "rotate-key"]);
    git(&["add", "."]);
    let staged = git(&["diff", "--cached", "--name-only"]);
    let staged: Vec<&str> = staged.lines().filter(|name| !name.starts_with("queries/")).collect();
    assert_eq!(staged, [".gitignore", "policy.toml", "rapport.toml"]);
    let ignored = std::fs::read_to_string(project.path(".gitignore")).expect("a file");
    assert!(ignored.starts_with("target/\n\n") && ignored.contains("*.key"), "{ignored}");
}

#[test]
fn errors_in_policies_are_reported_with_their_position() {
    let project = loaded();
    let scoring = |from: &str, to: &str, messages: &[&str]| {
        assert!(scoring::DEFAULT_POLICY.contains(from), "{from}");
        let text = scoring::DEFAULT_POLICY.replacen(from, to, 1);
        check_refused(&project, "scoring.toml", text, &["score", "run"], messages);
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
        "min_live_days = 28",
        "min_live_days = -1",
        &["scoring.toml:", "evidence.min_live_days = -1", "0 or more"],
    );
    let actions = |from: &str, to: &str, messages: &[&str]| {
        assert!(actions::DEFAULT_POLICY.contains(from), "{from}");
        let text = actions::DEFAULT_POLICY.replacen(from, to, 1);
        check_refused(
            &project,
            "policy.toml",
            text,
            &["actions", "plan", "--out", "plan.json"],
            messages,
        );
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
