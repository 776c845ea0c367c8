//! What a person reads commands no terminal and forges no row, whatever the events hold; what
//! programs read is exact.

use crate::program::{Project, Ran, run};

/// Ids of partners, as producers may send them.
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
        project.ok(&[&load[..], &["events.ndjson"]].concat());
    }
    project
}

/// Characters that no output for people holds.
fn commands(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn is_harmless(what: &str, text: &str) {
    let found = text.lines().find(|line| line.contains(commands));
    assert_eq!(found, None, "{what}");
    let forged = text.lines().find(|line| line.trim_start().starts_with("forged"));
    assert_eq!(forged, None, "{what}:\n{text}");
}

#[track_caller]
fn harmless(ran: &Ran) {
    is_harmless("standard output", &ran.text());
    is_harmless("standard error", &ran.stderr);
}

#[test]
fn tables_and_messages() {
    let project = loaded();
    let reads: [&[&str]; 9] = [
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
    for arguments in reads {
        let mut command = project.command(arguments);
        command.env("RAPPORT_LOG", "rapport=trace,transform=trace,lake=trace");
        harmless(&run(command).succeeded());
    }
    let table = project.ok(&["sql", "SELECT partner_id, 7 AS n FROM partners ORDER BY partner_id"]);
    assert_eq!(table.lines().count(), 2 + IDS.len(), "{table}");
    for shown in ["x\\u{1b}[2Jy", "a\\r\\nforged      9", "user\\u{202e}txt.exe", "株式会社🎉"]
    {
        assert!(table.contains(shown), "no {shown} in\n{table}");
    }
    let wrong: [&[&str]; 4] = [
        &["sql", "SELECT CAST(partner_id AS INT) FROM partners"],
        &["sql", "SELECT to_timestamp(name) FROM partners"],
        &["score", "show", "nobody\u{1b}[2J\r\nrapport: all is well"],
        &["metrics", "run", "no\u{1b}[2J\nforged"],
    ];
    for arguments in wrong {
        let ran = project.run(arguments);
        assert_ne!(ran.code, Some(0), "{ran}");
        harmless(&ran);
        assert_eq!(ran.stderr.lines().filter(|l| l.starts_with("rapport:")).count(), 1, "{ran}");
    }
}

#[test]
fn data_is_exact() {
    let project = loaded();
    let query = "SELECT partner_id FROM partners ORDER BY partner_id";
    let mut ids: Vec<String> = IDS.iter().map(|id| (*id).to_owned()).collect();
    ids.sort();
    let csv = project.run(&["sql", query, "--format", "csv"]).succeeded().stdout;
    let rows = csv::Reader::from_reader(csv.as_slice()).into_records().map(|r| r.expect("a row"));
    assert_eq!(rows.map(|row| row[0].to_owned()).collect::<Vec<_>>(), ids);
    let json = project.ok(&["sql", query, "--format", "json"]);
    // A row a line, in one array.
    assert_eq!(json.lines().count(), IDS.len(), "{json}");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).expect("an array");
    assert_eq!(
        rows.iter().map(|r| r["partner_id"].as_str().expect("text")).collect::<Vec<_>>(),
        ids
    );
    let parquet = project.run(&["sql", query, "--format", "parquet"]).succeeded().stdout;
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
fn pages() {
    let project = loaded();
    harmless(&project.run(&["report", "--out", "report"]).succeeded());
    let pages = crate::secure::files(&project.path("report"));
    let html = pages.iter().filter(|path| path.extension().is_some_and(|e| e == "html"));
    let mut seen = false;
    for page in html {
        let text = std::fs::read_to_string(page).expect("a page");
        assert_eq!(text.find(|c| commands(c) && c != '\t'), None, "{}", page.display());
        seen |= text.contains("x\\u{1b}[2Jy");
    }
    assert!(seen, "the partner is on no page");
    let exact = std::fs::read_to_string(project.path("report/data/partner_health.csv"));
    assert!(exact.expect("a file").contains(IDS[0]));
}
