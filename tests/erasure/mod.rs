//! `rapport lake erase` finds an id in every spelling, and lists what may still hold it.
//!
//! - `scanner`: an independent search for ids in the files of a lake
//! - `metrics`: the metrics after an erasure
//! - `worker`: an erasure beside a worker

mod metrics;
mod scanner;
mod worker;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use domain::Stream;
use lake::{Lake, LakeOptions, StoreOptions, schema};

use crate::support::program::Project;
use scanner::{IdLocations, scan};

/// The partners to erase, and three partners with similar ids that stay.
const ERASED: [&str; 4] = ["café-0001", "acme/eu-0001", "acme-0007", "😀-team-01"];
const KEPT: [&str; 3] = ["café-00012", "acme/eu-00012", "acme-00077"];

/// A way in which a producer may write a text in JSON.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Plain,
    /// Characters beyond ASCII are escaped, those beyond the first plane as two surrogates.
    Escaped,
    UpperHex,
    Slashes,
    /// Every character is escaped.
    All,
    /// Every second character is escaped.
    Mixed,
}

const SPELLINGS: [Spelling; 6] = [
    Spelling::Plain,
    Spelling::Escaped,
    Spelling::UpperHex,
    Spelling::Slashes,
    Spelling::All,
    Spelling::Mixed,
];

/// Returns the inside of a JSON string literal.
fn spell(output: &str, spelling: Spelling) -> String {
    let mut out = String::new();
    for (at, character) in output.chars().enumerate() {
        let escape = match spelling {
            Spelling::Escaped | Spelling::UpperHex => !character.is_ascii(),
            Spelling::Slashes if character == '/' => {
                out.push('\\');
                false
            }
            Spelling::Plain | Spelling::Slashes => false,
            Spelling::All => true,
            Spelling::Mixed => at % 2 == 1,
        };
        if !escape {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            match spelling {
                Spelling::UpperHex => out.push_str(&format!("\\u{unit:04X}")),
                _ => out.push_str(&format!("\\u{unit:04x}")),
            }
        }
    }
    out
}

/// Escapes JSON as the text of another JSON string.
fn nested_in_json(json: &str) -> String {
    json.replace('\\', r"\\").replace('"', "\\\"")
}

/// Holds lines of one stream; every event has an id of its own.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    count: usize,
}

impl Lines {
    fn push(&mut self, line: impl AsRef<[u8]>) {
        self.bytes.extend(line.as_ref());
        self.bytes.push(b'\n');
        self.count += 1;
    }

    /// Adds an API call of a partner; `partner` and `more` are raw JSON.
    fn call(&mut self, partner: &str, more: &str) {
        let (n, day) = (self.count, self.count % 3 + 1);
        self.push(format!(
            r#"{{"event_id":"e-{n}","partner_id":"{partner}","occurred_at":"2026-02-0{day}T10:00:00Z","environment":"production","status":200{more}}}"#
        ));
    }
}

/// Returns API calls with the ids wherever a producer may put them.
fn api_calls() -> Lines {
    let mut lines = Lines::default();
    for kept in KEPT {
        lines.call(kept, "");
        lines.call(kept, &format!(r#","note":"of {kept}""#));
    }
    for id in ERASED {
        for spelling in SPELLINGS {
            let name = spell(id, spelling);
            let json = format!(r#"{{"by":"{name}"}}"#);
            lines.call(&name, "");
            // Of a repeated key the last value counts.
            lines.call(&format!(r#"{}","partner_id":"{name}"#, KEPT[0]), "");
            for more in [
                format!(r#","note":"{name}""#),
                format!(r#","a":{{"b":["x",{{"c":"seen by {name}, twice"}}]}}"#),
                format!(r#","a":{{"by":"{name}","by":2}}"#),
                format!(r#","{name}":1"#),
                format!(r#","a":{{"{name}":1}}"#),
                format!(r#","body":"{}""#, nested_in_json(&json)),
                format!(
                    r#","body":"{}""#,
                    nested_in_json(&format!(r#"{{"b":"{}"}}"#, nested_in_json(&json)))
                ),
                format!(r#","endpoint":"/v1/partners/{name}/orders""#),
            ] {
                lines.call(KEPT[0], &more);
            }
            let event = format!(
                r#""partner_id":"{name}","status":200,"environment":"production","x":"{name}""#
            );
            let n = lines.count;
            lines.push(format!(
                r#"{{"specversion":"1.0","id":"c-{n}","source":"/{name}","type":"call","time":"2026-02-02T10:00:00Z","data":{{{event}}}}}"#
            ));
            let others = format!(r#""partner_id":"{}","status":200,"x":["{name}"]"#, KEPT[1]);
            lines.push(format!(
                r#"{{"specversion":"1.0","id":"d-{n}","source":"/","type":"call","time":"2026-02-02T10:00:00Z","data":{{{others}}}}}"#
            ));
            push_dead_letters(&mut lines, &name);
        }
        let percent: String = id.bytes().map(|b| format!("%{b:02X}")).collect();
        lines.call(KEPT[0], &format!(r#","uri":"/v1/{percent}/x""#));
        lines.call(KEPT[0], &format!(r#","uri":"https://h/{}""#, id.replace('/', "%2f")));
        let wide = id.encode_utf16().flat_map(u16::to_le_bytes);
        lines.push(wide.filter(|b| *b != b'\n').collect::<Vec<_>>());
    }
    lines.push(b"partner=caf\xe9-0001;broken");
    lines
}

/// Adds records that become dead letters and name a partner.
fn push_dead_letters(lines: &mut Lines, name: &str) {
    let kept = KEPT[0];
    for line in [
        format!(r#"{{"event_id":"x","partner_id":"{name}","partner_id":"{kept}","status":"no"}}"#),
        format!(r#"{{"event_id":"x","partner_id":"{name}","status":200}}"#),
        format!(r#"{{"event_id":"x","by":{{"a":"{name}","a":1}},"partner_id":"{kept}"}}"#),
        format!(r#"{{"event_id":"x","partner_id":"{name}"#),
        format!(r#"{{broken "partner_id":"{name}","status":200}}"#),
        format!(r#"{{"partner_id":"{name},"status":200}}"#),
        format!("{{'partner_id':'{name}'}}"),
        format!(r#"["{name}"]"#),
        format!(r#""{name}""#),
    ] {
        lines.push(line);
    }
}

/// Loads events of the other streams that name the partners.
fn load_other_streams(project: &Project) {
    let mut streams = [Lines::default(), Lines::default(), Lines::default()];
    let [partners, billing, support] = &mut streams;
    let partners_and_spellings = ERASED.iter().chain(&KEPT).zip(SPELLINGS.iter().cycle());
    for (n, (who, spelling)) in partners_and_spellings.enumerate() {
        let name = spell(who, *spelling);
        let common = |n: usize| {
            format!(
                r#""event_id":"o-{n}","partner_id":"{name}","occurred_at":"2026-02-01T08:00:00Z""#
            )
        };
        partners.push(format!(
            r#"{{{},"type":"registered","name":"{name} Ltd","plan":"gold"}}"#,
            common(n)
        ));
        billing.push(format!(
            r#"{{{},"kind":"usage","amount_minor":100,"currency":"USD","invoice_id":"inv {name}"}}"#,
            common(n)
        ));
        support.push(format!(r#"{{{},"type":"opened","ticket_id":"{name}#1"}}"#, common(n)));
        let kept = format!(
            r#""event_id":"s-{n}","partner_id":"{}","occurred_at":"2026-02-01T09:00:00Z""#,
            KEPT[0]
        );
        billing.push(format!(
            r#"{{{kept},"kind":"usage","amount_minor":100,"currency":"USD","invoice_id":"inv {name}"}}"#
        ));
        support.push(format!(r#"{{{kept},"type":"opened","ticket_id":"{name}#2"}}"#));
    }
    let merged = format!(
        r#"{{"event_id":"m","partner_id":"{}","occurred_at":"2026-02-02T08:00:00Z","type":"merged","merged_into":"{}"}}"#,
        KEPT[2],
        spell(ERASED[2], Spelling::All)
    );
    partners.push(merged);
    for (stream, lines) in
        ["partner-events", "billing-events", "support-events"].iter().zip(&streams)
    {
        let file = format!("{stream} of acme-0007.ndjson");
        project.write(&file, &lines.bytes);
        project.run_ok(&["ingest", "load", "--stream", stream, &file]);
    }
}

/// Stores unknown fields as an older program did: spelled as they arrived.
fn store_unknown_fields_as_spelled(project: &Project, texts: &[String]) {
    let options = LakeOptions {
        root: project.path("lake").display().to_string(),
        key_file: project.path("lake.key"),
        store: StoreOptions::default(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let lake = Lake::open(&options).await.expect("the lake");
        let def = schema::raw(Stream::ApiCalls);
        let base = lake.snapshot(&def.name, None).await.expect("read").expect("there");
        let day = base.files[0].day.expect("a day");
        let mut batches = Vec::new();
        let mut texts = texts.iter().cycle();
        for file in base.of_day(day) {
            for batch in lake.read_file(&file.path, &[]).await.expect("rows") {
                let ids = batch.column_by_name("partner_id").expect("a column").as_string::<i32>();
                let at = batch.schema().index_of("extra").expect("a column");
                let old = batch.column(at).as_string::<i32>();
                let extra: StringArray = ids
                    .iter()
                    .zip(old)
                    .map(|(id, old)| {
                        let kept = id.is_some_and(|id| KEPT.contains(&id));
                        if kept { texts.next().map(String::as_str) } else { old }
                    })
                    .collect();
                let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
                columns[at] = Arc::new(extra);
                batches.push(RecordBatch::try_new(batch.schema(), columns).expect("rows"));
            }
        }
        let tags = std::collections::BTreeMap::new();
        let file = lake.write_file(&def, Some(day), &batches, tags).await.expect("a file");
        lake.replace_days(&def, &base, vec![(day, vec![file])]).await.expect("a commit");
    });
}

fn parts_with_ids(hits: &IdLocations) -> Vec<&str> {
    let mut all: Vec<&str> =
        hits.iter().map(|(_, parts_with_ids)| parts_with_ids.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn erase_arguments<'a>(ids: &'a [&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["lake", "erase", "--yes"];
    for id in ids {
        arguments.extend(["--partner", id]);
    }
    arguments.extend(more);
    arguments
}

#[test]
fn an_erasure_finds_an_id_in_every_spelling() {
    let project = Project::new();
    project.write("calls of acme-0007.ndjson", &api_calls().bytes);
    let load = ["ingest", "load", "--stream", "api-calls", "--accept-rejects"];
    project.run_ok(&[&load[..], &["calls of acme-0007.ndjson"]].concat());
    load_other_streams(&project);
    let old: Vec<String> = ERASED
        .iter()
        .flat_map(|id| SPELLINGS.map(|spelling| spell(id, spelling)))
        .map(|name| format!(r#"{{"a":{{"b":"{name}","b":"x","{name}":[1]}},"kept":true}}"#))
        .collect();
    store_unknown_fields_as_spelled(&project, &old);
    project.run_ok(&["score", "run", "--as-of", "2026-02-03"]);
    project.run_ok(&["report", "--out", "report", "--as-of", "2026-02-03"]);
    project.run_ok(&["lake", "compact"]);
    let find_ids =
        |folder: &str, ids: &[&str]| scan(&project.path(folder), &project.path("lake.key"), ids);
    for id in ERASED {
        let hits = find_ids("lake", &[id]);
        let found = parts_with_ids(&hits);
        for expected in ["extra", "sealed", "partner_id", "ticket_id", "endpoint", "name"] {
            assert!(found.contains(&expected), "{id}: no {expected} among {found:?}");
        }
    }
    assert!(!find_ids("report", &ERASED).is_empty());
    let of_others = "SELECT count(*) FROM raw.api_calls WHERE partner_id IN ('café-00012', 'acme/eu-00012', 'acme-00077')";
    let before = project.query_number(of_others);

    let result = project.run(&erase_arguments(&ERASED, &[]));
    assert_eq!(result.code, Some(3), "{result}");
    let output = result.stdout_text();
    assert!(output.contains("Nothing of it is left in the lake's files"), "{result}");
    let folder = project.path("report").canonicalize().expect("it is there");
    assert!(output.contains(&folder.display().to_string()), "{result}");
    assert!(
        output.contains("rapport report --out") && result.stderr.contains("1 report is older"),
        "{result}"
    );
    assert_eq!(find_ids("lake", &ERASED), IdLocations::new());

    // Nothing of other partners was erased, and their fields are still JSON.
    assert_eq!(project.query_number(of_others), before);
    for id in KEPT {
        assert!(!find_ids("lake", &[id]).is_empty(), "{id}");
    }
    let extra = project.query_rows("SELECT extra FROM raw.api_calls WHERE extra IS NOT NULL");
    assert!(!extra.is_empty());
    for row in &extra {
        let output = row.trim_matches('"').replace("\"\"", "\"");
        let json: Result<serde_json::Value, _> = serde_json::from_str(&output);
        assert!(json.is_ok(), "{output}");
    }
    let kept = "SELECT count(*) FROM raw.api_calls WHERE extra LIKE '%\"kept\":true%'";
    assert!(project.query_number(kept) > 0);
    project.run_ok(&["lake", "verify"]);

    // The report stays listed until it is renewed.
    let again = project.run(&erase_arguments(&ERASED, &[]));
    assert_eq!(again.code, Some(3), "{again}");
    assert!(again.stdout_text().contains("Nothing of it was ever in"), "{again}");
    project.run_ok(&["report", "--out", "report", "--as-of", "2026-02-03"]);
    assert_eq!(find_ids("report", &ERASED), IdLocations::new());
    let again = project.run_ok(&erase_arguments(&ERASED, &[]));
    assert!(again.contains("Nothing of it was ever in"), "{again}");
    assert_eq!(find_ids("lake", &ERASED), IdLocations::new());
}

#[test]
fn an_erasure_lists_what_may_still_hold_the_id() {
    let project = Project::new();
    let mut lines = Lines::default();
    lines.call("acme", r#","product":"acme""#);
    lines.call("other-01", r#","product":"acme","by":{"partner_id":"acm\u0065"},"to":"acme""#);
    lines.call("other-01", r#","request_bytes":7"#);
    // Two dead letters: one with a word that may be the id, and one that is compressed.
    lines.push(r#"{"partner_id":"other-01","source":"acme"}"#);
    lines.push([0x1f, 0x8b, 8, 0, 1, 2, 3]);
    project.write("calls.ndjson", &lines.bytes);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let result = project.run(&erase_arguments(&["acme"], &[]));
    assert_eq!(result.code, Some(3), "{result}");
    let output = result.stdout_text();
    for expected in [
        "raw/api_calls: \"acme\" stands in product of 1 row",
        "raw/api_calls: \"acme\" stands in extra of 1 row",
        "raw/dead_letters: \"acme\" stands in 1 row of rejected records",
        "--everywhere",
        "compressed",
    ] {
        assert!(output.contains(expected), "no {expected} in {result}");
    }
    assert!(!output.contains("Nothing of it"), "{result}");
    let extra = project.query_rows("SELECT extra FROM raw.api_calls WHERE extra IS NOT NULL");
    assert!(extra[0].contains("erased-") && extra[0].contains("acme"), "{extra:?}");

    // With `--everywhere` only the compressed record is listed.
    let result = project.run(&erase_arguments(&["acme"], &["--everywhere"]));
    assert_eq!(result.code, Some(3), "{result}");
    assert!(
        result.stdout_text().contains("compressed") && !result.stdout_text().contains("stands in"),
        "{result}"
    );
    assert_eq!(project.query_number("SELECT count(*) FROM raw.api_calls"), 2);
    let left = scan(&project.path("lake"), &project.path("lake.key"), &["acme"]);
    assert_eq!(left, IdLocations::new());
}

#[test]
fn an_erasure_lists_older_reports_until_they_are_renewed_or_deleted() {
    let project = Project::new();
    let mut lines = Lines::default();
    for partner in ["gone-0001", "gone-0002", "gone-0003", "stays-01"] {
        lines.call(partner, "");
    }
    project.write("calls.ndjson", &lines.bytes);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    for folder in ["one", "two"] {
        project.run_ok(&["report", "--out", folder, "--as-of", "2026-02-03"]);
    }
    // The erasure of an id that was never in the lake makes no report outdated.
    project.run_ok(&erase_arguments(&["never-0001"], &[]));
    let result = project.run(&erase_arguments(&["gone-0001"], &[]));
    assert_eq!(result.code, Some(3), "{result}");
    assert!(
        result.stdout_text().contains("/one: ") && result.stdout_text().contains("/two: "),
        "{result}"
    );
    assert!(result.stderr.contains("2 reports are older"), "{result}");

    // One report is renewed, the other one is deleted.
    project.run_ok(&["report", "--out", "one", "--as-of", "2026-02-03"]);
    project
        .run(&erase_arguments(&["gone-0001"], &["--report-gone", "two"]))
        .expect_error(2, &["still there"]);
    project
        .run(&erase_arguments(&["gone-0001"], &["--report-gone", "six"]))
        .expect_error(2, &["no report", "two"]);
    std::fs::remove_dir_all(project.path("two")).expect("deleted");
    project.run_ok(&erase_arguments(&["gone-0001"], &[]));

    // A report that was written on another machine.
    let report_entry = crate::support::files::all_files(&project.path("lake/reports"));
    let report_entry = report_entry.iter().find(|n| !n.ends_with("erasures.json")).expect("a note");
    let output = std::fs::read_to_string(report_entry).expect("read");
    let mut entry: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    entry["machine"] = "elsewhere".into();
    std::fs::write(report_entry, entry.to_string()).expect("written");
    std::fs::remove_dir_all(project.path("one")).expect("deleted");
    let result = project.run(&erase_arguments(&["gone-0002"], &[]));
    assert_eq!(result.code, Some(3), "{result}");
    assert!(result.stdout_text().contains("written on elsewhere"), "{result}");
    assert_eq!(project.run(&erase_arguments(&["gone-0002"], &[])).code, Some(3));
    project.run_ok(&erase_arguments(&["gone-0002"], &["--report-gone", "one"]));

    // An erasure that was killed may have erased something.
    project.run_ok(&["report", "--out", "three", "--as-of", "2026-02-03"]);
    let mut killed = project.command(&erase_arguments(&["gone-0003"], &[]));
    let failpoint_file = project.path("failpoint");
    killed.env("RAPPORT_FAULT", format!("forget:raw/api_calls@1={}", failpoint_file.display()));
    let killed = crate::support::program::RunningProgram::start(killed);
    let timeout = std::time::Duration::from_secs(60);
    crate::support::program::wait_until("the erasure", timeout, || failpoint_file.exists());
    killed.kill();
    let result = project.run(&erase_arguments(&["gone-0003"], &[]));
    assert_eq!(result.code, Some(3), "{result}");
    assert!(result.stdout_text().contains("/three: "), "{result}");
}

#[test]
fn compaction_does_not_change_the_counts_of_an_erasure() {
    let project = Project::new();
    // Every event arrives twice, and on some days there is no other partner.
    let mut lines = Lines::default();
    for _ in 0..6 {
        lines.call("alone-0001", "");
    }
    project.write("calls.ndjson", &lines.bytes);
    project.write("again.ndjson", [b"\n", &lines.bytes[..]].concat());
    for file in ["calls.ndjson", "again.ndjson"] {
        project.run_ok(&["ingest", "load", "--stream", "api-calls", file]);
    }
    project.run_ok(&["lake", "compact", "--before", "2026-03-01"]);
    let status = || {
        let output = project.run_ok(&["lake", "status", "--format", "json"]);
        let status: serde_json::Value = serde_json::from_str(&output).expect("JSON");
        let table = status["tables"]
            .as_array()
            .and_then(|all| all.iter().find(|t| t["table"] == "raw/api_calls").cloned());
        let table = table.expect("the table");
        ["rows", "copies_dropped", "erased"].map(|field| table[field].as_i64().expect("a number"))
    };
    let [rows, copies, _] = status();
    assert_eq!(rows + copies, 12);
    let of_calls = |output: &str| {
        let line = output.lines().find(|line| line.contains("raw/api_calls")).expect("its line");
        line.split_whitespace().nth(1).and_then(|n| n.parse::<i64>().ok()).expect("a count")
    };
    let dry = project.run_ok(&["lake", "erase", "--partner", "alone-0001", "--dry-run"]);
    assert_eq!(of_calls(&dry), rows, "{dry}");
    let output = project.run_ok(&erase_arguments(&["alone-0001"], &[]));
    assert_eq!(of_calls(&output), rows, "{output}");
    assert_eq!(status(), [0, copies, rows]);
}
