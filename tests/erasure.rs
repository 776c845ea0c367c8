//! An erasure keeps what it says: no spelling hides an id, and what is left is named.

mod scanner;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use lake::{Lake, LakeOptions, StoreOptions, schema};
use lake_types::Stream;

use crate::program::Project;
use scanner::{Hits, scan};

/// The partners to erase, and three that stay and are called nearly so.
const GONE: [&str; 4] = ["café-0001", "acme/eu-0001", "acme-0007", "😀-team-01"];
const STAY: [&str; 3] = ["café-00012", "acme/eu-00012", "acme-00077"];

/// The ways a producer may write a text in JSON.
#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    /// What is not ASCII is escaped, beyond the first plane as two surrogates.
    Escaped,
    UpperHex,
    Slashes,
    /// Every character is escaped.
    All,
    /// Every other one.
    Mixed,
}

const WAYS: [Way; 6] =
    [Way::Plain, Way::Escaped, Way::UpperHex, Way::Slashes, Way::All, Way::Mixed];

/// The inside of a JSON literal.
fn spelled(text: &str, way: Way) -> String {
    let mut out = String::new();
    for (at, character) in text.chars().enumerate() {
        let escape = match way {
            Way::Escaped | Way::UpperHex => !character.is_ascii(),
            Way::Slashes if character == '/' => {
                out.push('\\');
                false
            }
            Way::Plain | Way::Slashes => false,
            Way::All => true,
            Way::Mixed => at % 2 == 1,
        };
        if !escape {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            match way {
                Way::UpperHex => out.push_str(&format!("\\u{unit:04X}")),
                _ => out.push_str(&format!("\\u{unit:04x}")),
            }
        }
    }
    out
}

/// A text as it stands in the JSON that stands in another.
fn within(json: &str) -> String {
    json.replace('\\', r"\\").replace('"', "\\\"")
}

/// Lines of one stream, every event with an id of its own.
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

    /// An API call of a partner; `partner` and `more` are JSON as it is to stand there.
    fn call(&mut self, partner: &str, more: &str) {
        let (n, day) = (self.count, self.count % 3 + 1);
        self.push(format!(
            r#"{{"event_id":"e-{n}","partner_id":"{partner}","occurred_at":"2026-02-0{day}T10:00:00Z","environment":"production","status":200{more}}}"#
        ));
    }
}

/// API calls in which the ids stand wherever a producer may put them.
fn calls() -> Lines {
    let mut lines = Lines::default();
    for stays in STAY {
        lines.call(stays, "");
        lines.call(stays, &format!(r#","note":"of {stays}""#));
    }
    for id in GONE {
        for way in WAYS {
            let name = spelled(id, way);
            let json = format!(r#"{{"by":"{name}"}}"#);
            lines.call(&name, "");
            // A key given twice: the last counts.
            lines.call(&format!(r#"{}","partner_id":"{name}"#, STAY[0]), "");
            for more in [
                format!(r#","note":"{name}""#),
                format!(r#","a":{{"b":["x",{{"c":"seen by {name}, twice"}}]}}"#),
                format!(r#","a":{{"by":"{name}","by":2}}"#),
                format!(r#","{name}":1"#),
                format!(r#","a":{{"{name}":1}}"#),
                format!(r#","body":"{}""#, within(&json)),
                format!(r#","body":"{}""#, within(&format!(r#"{{"b":"{}"}}"#, within(&json)))),
                format!(r#","endpoint":"/v1/partners/{name}/orders""#),
            ] {
                lines.call(STAY[0], &more);
            }
            let event = format!(
                r#""partner_id":"{name}","status":200,"environment":"production","x":"{name}""#
            );
            let n = lines.count;
            lines.push(format!(
                r#"{{"specversion":"1.0","id":"c-{n}","source":"/{name}","type":"call","time":"2026-02-02T10:00:00Z","data":{{{event}}}}}"#
            ));
            let others = format!(r#""partner_id":"{}","status":200,"x":["{name}"]"#, STAY[1]);
            lines.push(format!(
                r#"{{"specversion":"1.0","id":"d-{n}","source":"/","type":"call","time":"2026-02-02T10:00:00Z","data":{{{others}}}}}"#
            ));
            rejected(&mut lines, &name);
        }
        let percent: String = id.bytes().map(|b| format!("%{b:02X}")).collect();
        lines.call(STAY[0], &format!(r#","uri":"/v1/{percent}/x""#));
        lines.call(STAY[0], &format!(r#","uri":"https://h/{}""#, id.replace('/', "%2f")));
        let wide = id.encode_utf16().flat_map(u16::to_le_bytes);
        lines.push(wide.filter(|b| *b != b'\n').collect::<Vec<_>>());
    }
    lines.push(b"partner=caf\xe9-0001;broken");
    lines
}

/// Dead letters that name a partner.
fn rejected(lines: &mut Lines, name: &str) {
    let stays = STAY[0];
    for line in [
        format!(r#"{{"event_id":"x","partner_id":"{name}","partner_id":"{stays}","status":"no"}}"#),
        format!(r#"{{"event_id":"x","partner_id":"{name}","status":200}}"#),
        format!(r#"{{"event_id":"x","by":{{"a":"{name}","a":1}},"partner_id":"{stays}"}}"#),
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

/// What the other streams say of the partners.
fn other_streams(project: &Project) {
    let mut streams = [Lines::default(), Lines::default(), Lines::default()];
    let [partners, billing, support] = &mut streams;
    let spelled_so = GONE.iter().chain(&STAY).zip(WAYS.iter().cycle());
    for (n, (who, way)) in spelled_so.enumerate() {
        let name = spelled(who, *way);
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
        let stays = format!(
            r#""event_id":"s-{n}","partner_id":"{}","occurred_at":"2026-02-01T09:00:00Z""#,
            STAY[0]
        );
        billing.push(format!(
            r#"{{{stays},"kind":"usage","amount_minor":100,"currency":"USD","invoice_id":"inv {name}"}}"#
        ));
        support.push(format!(r#"{{{stays},"type":"opened","ticket_id":"{name}#2"}}"#));
    }
    let merged = format!(
        r#"{{"event_id":"m","partner_id":"{}","occurred_at":"2026-02-02T08:00:00Z","type":"merged","merged_into":"{}"}}"#,
        STAY[2],
        spelled(GONE[2], Way::All)
    );
    partners.push(merged);
    for (stream, lines) in
        ["partner-events", "billing-events", "support-events"].iter().zip(&streams)
    {
        let file = format!("{stream} of acme-0007.ndjson");
        project.write(&file, &lines.bytes);
        project.ok(&["ingest", "load", "--stream", stream, &file]);
    }
}

/// What an older program stored: unknown fields spelled as they came.
fn store_as_before(project: &Project, texts: &[String]) {
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
                        let stays = id.is_some_and(|id| STAY.contains(&id));
                        if stays { texts.next().map(String::as_str) } else { old }
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

fn what(hits: &Hits) -> Vec<&str> {
    let mut all: Vec<&str> = hits.iter().map(|(_, what)| what.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn erase<'a>(ids: &'a [&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["lake", "erase", "--yes"];
    for id in ids {
        arguments.extend(["--partner", id]);
    }
    arguments.extend(more);
    arguments
}

#[test]
fn no_spelling_hides_an_id() {
    let project = Project::new();
    project.write("calls of acme-0007.ndjson", &calls().bytes);
    let load = ["ingest", "load", "--stream", "api-calls", "--accept-rejects"];
    project.ok(&[&load[..], &["calls of acme-0007.ndjson"]].concat());
    other_streams(&project);
    let old: Vec<String> = GONE
        .iter()
        .flat_map(|id| WAYS.map(|way| spelled(id, way)))
        .map(|name| format!(r#"{{"a":{{"b":"{name}","b":"x","{name}":[1]}},"kept":true}}"#))
        .collect();
    store_as_before(&project, &old);
    project.ok(&["score", "run", "--as-of", "2026-02-03"]);
    project.ok(&["report", "--out", "report", "--as-of", "2026-02-03"]);
    project.ok(&["lake", "compact"]);
    let look =
        |folder: &str, ids: &[&str]| scan(&project.path(folder), &project.path("lake.key"), ids);
    for id in GONE {
        let hits = look("lake", &[id]);
        let found = what(&hits);
        for due in ["extra", "sealed", "partner_id", "ticket_id", "endpoint", "name"] {
            assert!(found.contains(&due), "{id}: no {due} among {found:?}");
        }
    }
    assert!(!look("report", &GONE).is_empty());
    let of_others = "SELECT count(*) FROM raw.api_calls WHERE partner_id IN ('café-00012', 'acme/eu-00012', 'acme-00077')";
    let before = project.number(of_others);

    let ran = project.run(&erase(&GONE, &[]));
    assert_eq!(ran.code, Some(3), "{ran}");
    let text = ran.text();
    assert!(text.contains("Nothing of it is left in the lake's files"), "{ran}");
    let folder = project.path("report").canonicalize().expect("it is there");
    assert!(text.contains(&folder.display().to_string()), "{ran}");
    assert!(
        text.contains("rapport report --out") && ran.stderr.contains("1 report is older"),
        "{ran}"
    );
    assert_eq!(look("lake", &GONE), Hits::new());

    // Nothing of the others went along, and their fields are JSON still.
    assert_eq!(project.number(of_others), before);
    for id in STAY {
        assert!(!look("lake", &[id]).is_empty(), "{id}");
    }
    let extra = project.rows("SELECT extra FROM raw.api_calls WHERE extra IS NOT NULL");
    assert!(!extra.is_empty());
    for row in &extra {
        let text = row.trim_matches('"').replace("\"\"", "\"");
        let json: Result<serde_json::Value, _> = serde_json::from_str(&text);
        assert!(json.is_ok(), "{text}");
    }
    let kept = "SELECT count(*) FROM raw.api_calls WHERE extra LIKE '%\"kept\":true%'";
    assert!(project.number(kept) > 0);
    project.ok(&["lake", "verify"]);

    // The report stays older until it is renewed.
    let again = project.run(&erase(&GONE, &[]));
    assert_eq!(again.code, Some(3), "{again}");
    assert!(again.text().contains("Nothing of it was ever in"), "{again}");
    project.ok(&["report", "--out", "report", "--as-of", "2026-02-03"]);
    assert_eq!(look("report", &GONE), Hits::new());
    let again = project.ok(&erase(&GONE, &[]));
    assert!(again.contains("Nothing of it was ever in"), "{again}");
    assert_eq!(look("lake", &GONE), Hits::new());
}

#[test]
fn what_can_not_be_proven_gone_is_named() {
    let project = Project::new();
    let mut lines = Lines::default();
    lines.call("acme", r#","product":"acme""#);
    lines.call("other-01", r#","product":"acme","by":{"partner_id":"acm\u0065"},"to":"acme""#);
    lines.call("other-01", r#","request_bytes":7"#);
    // Two dead letters: a word that may be meant, and one that nobody can look into.
    lines.push(r#"{"partner_id":"other-01","source":"acme"}"#);
    lines.push([0x1f, 0x8b, 8, 0, 1, 2, 3]);
    project.write("calls.ndjson", &lines.bytes);
    project.ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let ran = project.run(&erase(&["acme"], &[]));
    assert_eq!(ran.code, Some(3), "{ran}");
    let text = ran.text();
    for due in [
        "raw/api_calls: \"acme\" stands in product of 1 row",
        "raw/api_calls: \"acme\" stands in extra of 1 row",
        "raw/dead_letters: \"acme\" stands in 1 row of rejected records",
        "--everywhere",
        "compressed",
    ] {
        assert!(text.contains(due), "no {due} in {ran}");
    }
    assert!(!text.contains("Nothing of it"), "{ran}");
    let extra = project.rows("SELECT extra FROM raw.api_calls WHERE extra IS NOT NULL");
    assert!(extra[0].contains("erased-") && extra[0].contains("acme"), "{extra:?}");

    // Told that it is the partner everywhere, only the compressed record is left to name.
    let ran = project.run(&erase(&["acme"], &["--everywhere"]));
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.text().contains("compressed") && !ran.text().contains("stands in"), "{ran}");
    assert_eq!(project.number("SELECT count(*) FROM raw.api_calls"), 2);
    let left = scan(&project.path("lake"), &project.path("lake.key"), &["acme"]);
    assert_eq!(left, Hits::new());
}

#[test]
fn reports_from_before_an_erasure_are_named_until_they_are_gone() {
    let project = Project::new();
    let mut lines = Lines::default();
    for partner in ["gone-0001", "gone-0002", "gone-0003", "stays-01"] {
        lines.call(partner, "");
    }
    project.write("calls.ndjson", &lines.bytes);
    project.ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    for folder in ["one", "two"] {
        project.ok(&["report", "--out", folder, "--as-of", "2026-02-03"]);
    }
    // One that nobody ever had in the lake makes no report older.
    project.ok(&erase(&["never-0001"], &[]));
    let ran = project.run(&erase(&["gone-0001"], &[]));
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.text().contains("/one: ") && ran.text().contains("/two: "), "{ran}");
    assert!(ran.stderr.contains("2 reports are older"), "{ran}");

    // One is renewed, the other is deleted.
    project.ok(&["report", "--out", "one", "--as-of", "2026-02-03"]);
    project.run(&erase(&["gone-0001"], &["--report-gone", "two"])).refused(2, &["still there"]);
    project
        .run(&erase(&["gone-0001"], &["--report-gone", "six"]))
        .refused(2, &["no report", "two"]);
    std::fs::remove_dir_all(project.path("two")).expect("deleted");
    project.ok(&erase(&["gone-0001"], &[]));

    // One that was written on another machine.
    let note = crate::secure::files(&project.path("lake/reports"));
    let note = note.iter().find(|n| !n.ends_with("erasures.json")).expect("a note");
    let text = std::fs::read_to_string(note).expect("read");
    let mut noted: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    noted["machine"] = "elsewhere".into();
    std::fs::write(note, noted.to_string()).expect("written");
    std::fs::remove_dir_all(project.path("one")).expect("deleted");
    let ran = project.run(&erase(&["gone-0002"], &[]));
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.text().contains("written on elsewhere"), "{ran}");
    assert_eq!(project.run(&erase(&["gone-0002"], &[])).code, Some(3));
    project.ok(&erase(&["gone-0002"], &["--report-gone", "one"]));

    // An erasure that was killed may have taken something away.
    project.ok(&["report", "--out", "three", "--as-of", "2026-02-03"]);
    let mut killed = project.command(&erase(&["gone-0003"], &[]));
    let held = project.path("held");
    killed.env("RAPPORT_FAULT", format!("forget:raw/api_calls@1={}", held.display()));
    let killed = crate::program::Running::start(killed);
    let patience = std::time::Duration::from_secs(60);
    crate::program::wait_until("the erasure", patience, || held.exists());
    killed.kill();
    let ran = project.run(&erase(&["gone-0003"], &[]));
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.text().contains("/three: "), "{ran}");
}

#[test]
fn compaction_changes_no_count_of_an_erasure() {
    let project = Project::new();
    // Every event twice, and days on which the partner is alone.
    let mut lines = Lines::default();
    for _ in 0..6 {
        lines.call("alone-0001", "");
    }
    project.write("calls.ndjson", &lines.bytes);
    project.write("again.ndjson", [b"\n", &lines.bytes[..]].concat());
    for file in ["calls.ndjson", "again.ndjson"] {
        project.ok(&["ingest", "load", "--stream", "api-calls", file]);
    }
    project.ok(&["lake", "compact", "--before", "2026-03-01"]);
    let status = || {
        let text = project.ok(&["lake", "status", "--format", "json"]);
        let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let table = status["tables"]
            .as_array()
            .and_then(|all| all.iter().find(|t| t["table"] == "raw/api_calls").cloned());
        let table = table.expect("the table");
        ["rows", "copies_dropped", "erased"].map(|field| table[field].as_i64().expect("a number"))
    };
    let [rows, copies, _] = status();
    assert_eq!(rows + copies, 12);
    let of_calls = |text: &str| {
        let line = text.lines().find(|line| line.contains("raw/api_calls")).expect("its line");
        line.split_whitespace().nth(1).and_then(|n| n.parse::<i64>().ok()).expect("a count")
    };
    let dry = project.ok(&["lake", "erase", "--partner", "alone-0001", "--dry-run"]);
    assert_eq!(of_calls(&dry), rows, "{dry}");
    let said = project.ok(&erase(&["alone-0001"], &[]));
    assert_eq!(of_calls(&said), rows, "{said}");
    assert_eq!(status(), [0, copies, rows]);
}
