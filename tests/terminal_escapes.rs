//! Output for people holds no control characters and no forged rows, whatever events hold; output
//! for programs is exact.

use crate::support::program::{ProgramOutput, Project, run};

/// Partner ids with control characters and wide characters.
const IDS: [&str; 7] = [
    "x\u{1b}[2Jy",
    "c1\u{9b}31m",
    "a\r\nforged      9",
    "tab\tbed",
    "user\u{202e}txt.exe",
    "zero\u{200b}width",
    "株式会社🎉",
];

fn loaded() -> Project {
    let project = Project::new();
    let quoted = |text: &str| serde_json::to_string(text).expect("JSON");
    let mut calls = String::new();
    let mut partners = String::new();
    for (n, id) in IDS.iter().enumerate() {
        let (id, name) = (quoted(id), quoted(&format!("Name {id}")));
        partners.push_str(&format!(
            r#"{{"event_id":"r{n}","partner_id":{id},"occurred_at":"2026-01-01T00:00:00Z","type":"registered","name":{name},"plan":{id}}}"#
        ));
        partners.push('\n');
        for day in 2..6 {
            calls.push_str(&format!(
                r#"{{"event_id":"c{n}-{day}","partner_id":{id},"occurred_at":"2026-01-0{day}T00:00:00Z","status":200,"environment":"production","product":{id},"endpoint":{id}}}"#
            ));
            calls.push('\n');
        }
    }
    calls.push_str("rejected \u{1b}[2J \u{9b}31m\n");
    for (stream, lines) in [("api-calls", calls), ("partner-events", partners)] {
        project.write("events.ndjson", lines);
        let load = ["ingest", "load", "--arrival", "2026-02-09", "--stream", stream];
        project.run_ok(&[&load[..], &["events.ndjson"]].concat());
    }
    project
}

/// Whether output for people must not hold a character.
fn is_unsafe_character(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn assert_safe_text(what: &str, text: &str) {
    let found = text.lines().find(|line| line.contains(is_unsafe_character));
    assert_eq!(found, None, "{what}");
    let forged = text.lines().find(|line| line.trim_start().starts_with("forged"));
    assert_eq!(forged, None, "{what}:\n{text}");
}

#[track_caller]
fn assert_safe_output(result: &ProgramOutput) {
    assert_safe_text("standard output", &result.stdout_text());
    assert_safe_text("standard error", &result.stderr);
}

#[test]
fn tables_and_messages_hold_no_control_characters() {
    let project = loaded();
    let succeeding: [&[&str]; 9] = [
        &["sql", "SELECT * FROM partners ORDER BY partner_id"],
        &["sql", "SELECT partner_id AS \"head\u{1b}[2J\" FROM partners"],
        &["sql", "EXPLAIN SELECT * FROM partners WHERE partner_id = 'x\u{1b}[2Jy'"],
        &["metrics", "run", "partner_reliability"],
        &["metrics", "run"],
        &["metrics", "preview", "partner_day"],
        &["ingest", "dead-letters", "--open"],
        &["score", "show", IDS[0]],
        &["lake", "status"],
    ];
    for arguments in succeeding {
        let mut command = project.command(arguments);
        command.env("RAPPORT_LOG", "rapport=trace,transform=trace,lake=trace");
        assert_safe_output(&run(command).expect_success());
    }
    let table =
        project.run_ok(&["sql", "SELECT partner_id, 7 AS n FROM partners ORDER BY partner_id"]);
    assert_eq!(table.lines().count(), 2 + IDS.len(), "{table}");
    for shown in ["x\\u{1b}[2Jy", "a\\r\\nforged      9", "user\\u{202e}txt.exe", "株式会社🎉"]
    {
        assert!(table.contains(shown), "no {shown} in\n{table}");
    }
    let failing: [&[&str]; 4] = [
        &["sql", "SELECT CAST(partner_id AS INT) FROM partners"],
        &["sql", "SELECT to_timestamp(name) FROM partners"],
        &["score", "show", "nobody\u{1b}[2J\r\nrapport: all is well"],
        &["metrics", "run", "no\u{1b}[2J\nforged"],
    ];
    for arguments in failing {
        let result = project.run(arguments);
        assert_ne!(result.code, Some(0), "{result}");
        assert_safe_output(&result);
        assert_eq!(
            result.stderr.lines().filter(|l| l.starts_with("rapport:")).count(),
            1,
            "{result}"
        );
    }
}

#[test]
fn csv_json_and_parquet_hold_the_exact_text() {
    let project = loaded();
    let query = "SELECT partner_id FROM partners ORDER BY partner_id";
    let mut ids: Vec<String> = IDS.iter().map(|id| (*id).to_owned()).collect();
    ids.sort();
    let csv = project.run(&["sql", query, "--format", "csv"]).expect_success().stdout;
    let rows = csv::Reader::from_reader(csv.as_slice()).into_records().map(|r| r.expect("a row"));
    assert_eq!(rows.map(|row| row[0].to_owned()).collect::<Vec<_>>(), ids);
    let json = project.run_ok(&["sql", query, "--format", "json"]);
    // The array has one row on each line.
    assert_eq!(json.lines().count(), IDS.len(), "{json}");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).expect("an array");
    assert_eq!(
        rows.iter().map(|r| r["partner_id"].as_str().expect("text")).collect::<Vec<_>>(),
        ids
    );
    let parquet = project.run(&["sql", query, "--format", "parquet"]).expect_success().stdout;
    let (schema, batches) = lake::parquet_rows(parquet).expect("Parquet");
    assert_eq!(schema.fields().len(), 1);
    let read: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8);
            let column = column.expect("text");
            let texts = arrow::array::AsArray::as_string::<i32>(column.as_ref());
            texts.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(read, ids);
}

#[test]
fn pages_hold_no_control_characters() {
    let project = loaded();
    assert_safe_output(&project.run(&["report", "--out", "report"]).expect_success());
    let pages = crate::support::files::all_files(&project.path("report"));
    let html = pages.iter().filter(|path| path.extension().is_some_and(|e| e == "html"));
    let mut seen = false;
    for page in html {
        let text = std::fs::read_to_string(page).expect("a page");
        assert_eq!(text.find(|c| is_unsafe_character(c) && c != '\t'), None, "{}", page.display());
        seen |= text.contains("x\\u{1b}[2Jy");
    }
    assert!(seen, "no page shows the partner");
    let exact = std::fs::read_to_string(project.path("report/data/partner_health.csv"));
    assert!(exact.expect("a file").contains(IDS[0]));
}
