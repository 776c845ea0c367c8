//! The event contracts as the program prints them: against its documentation, and against what it
//! does with records.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use lake_types::Stream;
use serde_json::Value;

use crate::program::{Project, rapport, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md");

/// The fields of a stream as the program prints them for programs.
fn fields(stream: Stream) -> Vec<Value> {
    let mut command = rapport();
    command.args(["ingest", "fields", stream.name(), "--format", "json"]);
    command.current_dir(std::env::temp_dir());
    serde_json::from_str(&run(command).succeeded().text()).expect("JSON")
}

fn text<'v>(field: &'v Value, name: &str) -> &'v str {
    field[name].as_str().unwrap_or_default()
}

/// `UPDATE_EXPECT=1` writes the page anew.
#[test]
fn the_page_says_what_the_program_says() {
    let page = std::fs::read_to_string(PAGE).expect("the page");
    let mut due = page.clone();
    for stream in Stream::ALL {
        let mut table =
            "| field | type | required | may be | what it is |\n|---|---|---|---|---|\n".to_owned();
        for field in fields(stream) {
            let required = match (field["required"].as_bool(), text(&field, "default")) {
                (Some(true), _) => "yes".to_owned(),
                (_, "") => "no".to_owned(),
                (_, default) => format!("no: `{default}`"),
            };
            let cells = ["type", "rule", "description"].map(|name| text(&field, name));
            let [kind, rule, about] = cells;
            let name = text(&field, "field");
            writeln!(table, "| `{name}` | {kind} | {required} | {rule} | {about} |")
                .expect("memory");
        }
        let begin = format!("<!-- {stream} -->\n");
        let (before, rest) = due.split_once(&begin).expect("a place for the stream");
        let (_, after) = rest.split_once("<!-- end -->").expect("its end");
        due = format!("{before}{begin}{table}<!-- end -->{after}");
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return std::fs::write(PAGE, &due).expect("the page can be written");
    }
    assert_eq!(page, due, "UPDATE_EXPECT=1 writes {} anew", Path::new(PAGE).display());
}

/// Values of a field that are taken, and others with the reason they are rejected for.
fn values(field: &Value) -> (Vec<String>, Vec<(String, &'static str)>) {
    let rule = text(field, "rule");
    let quoted = |text: &str| Value::from(text).to_string();
    let mut wrong = vec![("[]".to_owned(), "wrong_type"), ("true".to_owned(), "wrong_type")];
    let mut right = Vec::new();
    if let Some(list) = rule.strip_prefix("one of ") {
        right.extend(list.split(", ").map(quoted));
        wrong.push((quoted("none of them"), "unknown_value"));
    } else if text(field, "type") == "integer" {
        let (least, most) = rule.split_once(" to ").unwrap_or(("0", "9223372036854775807"));
        right.extend([least.to_owned(), most.to_owned()]);
        let below = least.parse::<i64>().expect("a bound") - 1;
        wrong.extend([(below.to_string(), "out_of_range"), ("100.5".to_owned(), "wrong_type")]);
        wrong.push(((most.parse::<u64>().expect("a bound") + 1).to_string(), "out_of_range"));
    } else if text(field, "type") == "number" {
        right.push("1.5".to_owned());
        wrong.push(("-1".to_owned(), "out_of_range"));
    } else if rule.starts_with("RFC 3339") {
        right.extend([quoted("2026-01-01T00:00:00Z"), "1767225600000".to_owned()]);
        wrong.extend([(quoted("2026-01-01"), "wrong_type"), ("1".to_owned(), "out_of_range")]);
    } else if rule.contains("ISO 4217") {
        right.push(quoted("EUR"));
        wrong.push((quoted("eur"), "unknown_value"));
    } else if rule == "1 to 128 characters" {
        right.push(quoted("x"));
        wrong.extend([(quoted(""), "out_of_range"), (quoted(&"x".repeat(129)), "out_of_range")]);
    } else {
        assert!(rule.starts_with("any"), "{rule}");
        right.extend([quoted("Any text"), quoted("")]);
    }
    if field["required"] == true {
        wrong.push(("null".to_owned(), "missing_field"));
    } else {
        right.push("null".to_owned());
    }
    (right, wrong)
}

#[test]
fn records_are_judged_as_the_contracts_say() {
    let project = Project::new();
    for stream in Stream::ALL {
        let fields = fields(stream);
        let told: Vec<_> = fields.iter().map(|f| (text(f, "field"), values(f))).collect();
        let least: BTreeMap<&str, &str> = fields
            .iter()
            .zip(&told)
            .filter(|(field, _)| field["required"] == true)
            .map(|(_, (name, (right, _)))| (*name, right[0].as_str()))
            .collect();
        let (mut lines, mut taken, mut rejected) = (String::new(), 0, Vec::new());
        let mut line = |name: &str, value: &str| {
            let others = least.iter().filter(|(other, _)| **other != name);
            let members = others.map(|(name, value)| format!("\"{name}\":{value},"));
            let members: String = members.collect();
            writeln!(lines, "{{{members}\"{name}\":{value}}}").expect("memory");
        };
        for (name, (right, wrong)) in &told {
            right.iter().for_each(|value| line(name, value));
            taken += right.len();
            for (value, reason) in wrong {
                line(name, value);
                rejected.push(format!("{reason},{name}"));
            }
        }
        project.write("records.ndjson", &lines);
        let load = ["ingest", "load", "--accept-rejects", "--stream", stream.name()];
        project.ok(&[&load[..], &["--arrival", "2026-01-02", "records.ndjson"]].concat());
        let table = stream.table();
        let count = format!("SELECT count(*) FROM raw.{table}");
        assert_eq!(project.number(&count), taken as i64, "{stream}");
        let letters = format!(
            "SELECT reason, field FROM dead_letters WHERE stream = '{stream}' ORDER BY kafka_offset"
        );
        assert_eq!(project.rows(&letters), rejected, "{stream}");
        // The shell tells of each column what it is.
        project.write("describe.sql", format!("\\d {table}\n\\d raw.{table}\n"));
        let shown = project.ok(&["sql", "-f", "describe.sql"]);
        for field in &fields {
            let column = text(field, "column");
            let begins = text(field, "description").split([';', ':']).next().unwrap_or_default();
            let of_column = shown.lines().filter(|l| l.split_whitespace().next() == Some(column));
            let told: Vec<&str> = of_column.collect();
            assert!(
                told.len() == 2 && told.iter().all(|l| l.contains(begins)),
                "{column}: {shown}"
            );
        }
    }
}

/// Whatever takes one of a fixed set refuses anything else, and says what there is.
#[test]
fn an_option_of_a_fixed_set_names_it() {
    let project = Project::new();
    let call =
        r#"{"event_id":"e","partner_id":"p","occurred_at":"2026-01-01T00:00:00Z","status":200}"#;
    project.write("calls.ndjson", call);
    project.ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let check = |arguments: &[&str], there_is: &str| {
        let ran = project.run(&[arguments, &["bogus"]].concat());
        ran.refused(2, &["bogus", there_is]);
    };
    check(&["ingest", "dead-letters", "--reason"], "wrong_type");
    check(&["ingest", "dead-letters", "--stream"], "billing-events");
    check(&["ingest", "dead-letters", "--format"], "parquet");
    check(&["ingest", "replay", "--stream"], "billing-events");
    check(&["ingest", "fields"], "billing-events");
    check(&["ingest", "load", "calls.ndjson", "--stream"], "billing-events");
    check(&["ingest", "run", "--from"], "latest");
    check(&["lake", "status", "--format"], "parquet");
    check(&["metrics", "run", "growth", "--by"], "integration_level");
    check(&["metrics", "list", "--format"], "parquet");
    check(&["metrics", "check", "--format"], "json");
    check(&["metrics", "lineage", "growth", "--format"], "json");
    check(&["metrics", "new", "mine", "--kind"], "rollup");
    check(&["metrics", "diff", "main", "--format"], "markdown");
    check(&["doctor", "--format"], "parquet");
    check(&["sql", "SELECT 1", "--format"], "parquet");
    check(&["score", "run", "--format"], "parquet");
    // Each reason there is, is one that may be asked for.
    for reason in ["too_large", "not_json", "missing_field"] {
        project.ok(&["ingest", "dead-letters", "--reason", reason]);
    }
}
