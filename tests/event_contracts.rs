//! The event contracts that the program prints agree with the documentation and with ingest.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use domain::Stream;
use serde_json::Value;

use crate::support::program::{Project, rapport_command, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md");

/// Returns the fields of a stream, from `rapport ingest fields --format json`.
fn fields(stream: Stream) -> Vec<Value> {
    let mut command = rapport_command();
    command.args(["ingest", "fields", stream.name(), "--format", "json"]);
    command.current_dir(std::env::temp_dir());
    serde_json::from_str(&run(command).expect_success().stdout_text()).expect("JSON")
}

fn text<'v>(field: &'v Value, name: &str) -> &'v str {
    field[name].as_str().unwrap_or_default()
}

/// `UPDATE_EXPECT=1` rewrites the page.
#[test]
fn the_documentation_lists_the_fields_that_the_program_prints() {
    let page = std::fs::read_to_string(PAGE).expect("the page");
    let mut updated = page.clone();
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
        let (before, rest) = updated.split_once(&begin).expect("the section of the stream");
        let (_, after) = rest.split_once("<!-- end -->").expect("its end");
        updated = format!("{before}{begin}{table}<!-- end -->{after}");
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return std::fs::write(PAGE, &updated).expect("the page can be written");
    }
    assert_eq!(page, updated, "UPDATE_EXPECT=1 rewrites {}", Path::new(PAGE).display());
}

/// Returns values of a field that are accepted, and values that are rejected, with the reason.
fn valid_and_invalid_values(field: &Value) -> (Vec<String>, Vec<(String, &'static str)>) {
    let rule = text(field, "rule");
    let quoted = |text: &str| Value::from(text).to_string();
    let mut invalid = vec![("[]".to_owned(), "wrong_type"), ("true".to_owned(), "wrong_type")];
    let mut valid = Vec::new();
    if let Some(list) = rule.strip_prefix("one of ") {
        valid.extend(list.split(", ").map(quoted));
        invalid.push((quoted("none of them"), "unknown_value"));
    } else if text(field, "type") == "integer" {
        let (least, most) = rule.split_once(" to ").unwrap_or(("0", "9223372036854775807"));
        valid.extend([least.to_owned(), most.to_owned()]);
        let below = least.parse::<i64>().expect("a bound") - 1;
        invalid.extend([(below.to_string(), "out_of_range"), ("100.5".to_owned(), "wrong_type")]);
        invalid.push(((most.parse::<u64>().expect("a bound") + 1).to_string(), "out_of_range"));
    } else if text(field, "type") == "number" {
        valid.push("1.5".to_owned());
        invalid.push(("-1".to_owned(), "out_of_range"));
    } else if rule.starts_with("RFC 3339") {
        valid.extend([quoted("2026-01-01T00:00:00Z"), "1767225600000".to_owned()]);
        invalid.extend([(quoted("2026-01-01"), "wrong_type"), ("1".to_owned(), "out_of_range")]);
    } else if rule.contains("ISO 4217") {
        valid.push(quoted("EUR"));
        invalid.push((quoted("eur"), "unknown_value"));
    } else if rule == "1 to 128 characters" {
        valid.push(quoted("x"));
        invalid.extend([(quoted(""), "out_of_range"), (quoted(&"x".repeat(129)), "out_of_range")]);
    } else {
        assert!(rule.starts_with("any"), "{rule}");
        valid.extend([quoted("Any text"), quoted("")]);
    }
    if field["required"] == true {
        invalid.push(("null".to_owned(), "missing_field"));
    } else {
        valid.push("null".to_owned());
    }
    (valid, invalid)
}

#[test]
fn records_are_accepted_and_rejected_by_the_contracts() {
    let project = Project::new();
    for stream in Stream::ALL {
        let fields = fields(stream);
        let described: Vec<_> =
            fields.iter().map(|f| (text(f, "field"), valid_and_invalid_values(f))).collect();
        let required_fields: BTreeMap<&str, &str> = fields
            .iter()
            .zip(&described)
            .filter(|(field, _)| field["required"] == true)
            .map(|(_, (name, (valid, _)))| (*name, valid[0].as_str()))
            .collect();
        let (mut lines, mut accepted, mut rejected) = (String::new(), 0, Vec::new());
        let mut line = |name: &str, value: &str| {
            let others = required_fields.iter().filter(|(other, _)| **other != name);
            let members = others.map(|(name, value)| format!("\"{name}\":{value},"));
            let members: String = members.collect();
            writeln!(lines, "{{{members}\"{name}\":{value}}}").expect("memory");
        };
        for (name, (valid, invalid)) in &described {
            valid.iter().for_each(|value| line(name, value));
            accepted += valid.len();
            for (value, reason) in invalid {
                line(name, value);
                rejected.push(format!("{reason},{name}"));
            }
        }
        project.write("records.ndjson", &lines);
        let load = ["ingest", "load", "--accept-rejects", "--stream", stream.name()];
        project.run_ok(&[&load[..], &["--arrival", "2026-01-02", "records.ndjson"]].concat());
        let table = stream.table();
        let count = format!("SELECT count(*) FROM raw.{table}");
        assert_eq!(project.query_number(&count), accepted as i64, "{stream}");
        let dead_letters = format!(
            "SELECT reason, field FROM dead_letters WHERE stream = '{stream}' ORDER BY kafka_offset"
        );
        assert_eq!(project.query_rows(&dead_letters), rejected, "{stream}");
        // `\d` describes each column.
        project.write("describe.sql", format!("\\d {table}\n\\d raw.{table}\n"));
        let shown = project.run_ok(&["sql", "-f", "describe.sql"]);
        for field in &fields {
            let column = text(field, "column");
            let start = text(field, "description").split([';', ':']).next().unwrap_or_default();
            let of_column = shown.lines().filter(|l| l.split_whitespace().next() == Some(column));
            let described: Vec<&str> = of_column.collect();
            assert!(
                described.len() == 2 && described.iter().all(|l| l.contains(start)),
                "{column}: {shown}"
            );
        }
    }
}

/// An option with a fixed set of values refuses any other value, and lists the set.
#[test]
fn an_option_with_fixed_values_lists_them_when_refused() {
    let project = Project::new();
    let call =
        r#"{"event_id":"e","partner_id":"p","occurred_at":"2026-01-01T00:00:00Z","status":200}"#;
    project.write("calls.ndjson", call);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let check = |arguments: &[&str], accepted_value: &str| {
        let result = project.run(&[arguments, &["bogus"]].concat());
        result.expect_error(2, &["bogus", accepted_value]);
    };
    check(&["ingest", "dead-letters", "--reason"], "wrong_type");
    check(&["ingest", "dead-letters", "--stream"], "billing-events");
    check(&["ingest", "dead-letters", "--format"], "parquet");
    check(&["ingest", "replay", "--stream"], "billing-events");
    check(&["ingest", "load", "calls.ndjson", "--stream", "api-calls", "--format"], "json");
    check(&["ingest", "try", "calls.ndjson", "--stream"], "billing-events");
    check(&["ingest", "mappings", "--format"], "parquet");
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
    // Every reason is accepted as a filter.
    for reason in ["too_large", "not_json", "missing_field"] {
        project.run_ok(&["ingest", "dead-letters", "--reason", reason]);
    }
}
