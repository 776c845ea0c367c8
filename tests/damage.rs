//! A lake with a byte changed, a file cut, gone or exchanged, at random: it is never called sound,
//! nothing is answered from it but what was written, and what can be made anew is.
//!
//! `RAPPORT_DAMAGE=100` plays so many damages, `RAPPORT_SEED` draws others than usual.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use lake_types::Stream;

use crate::faults::luck::Luck;
use crate::program::{Project, Ran};
use crate::simulated::{Simulated, Size, lines};

const SIZE: Size = Size { seed: 23, partners: 6, events: 600, days: 20 };

/// Loads of one stream: enough commits for checkpoints.
const PIECES: usize = 12;

/// Damages that are played each time.
const DAMAGES: u64 = 16;

/// What is computed from events, and the events.
const FACTS: &str = "SELECT * FROM raw.api_calls ORDER BY topic, kafka_partition, kafka_offset;
    SELECT * FROM raw.partner_events ORDER BY topic, kafka_offset;
    SELECT * FROM raw.billing_events ORDER BY topic, kafka_offset;
    SELECT * FROM raw.support_events ORDER BY topic, kafka_offset;
    SELECT stream, topic, kafka_offset, reason FROM dead_letters ORDER BY topic, kafka_offset;
    SELECT * FROM partner_day ORDER BY event_date, partner_id, environment, product, api_version;
    SELECT * FROM funnel ORDER BY cohort_month;
    SELECT * FROM revenue_summary ORDER BY month;
    SELECT count(*) FROM api_calls";

/// What was written down at its time, and comes from nowhere else.
const HISTORY: &str = "SELECT * FROM partner_health ORDER BY as_of, partner_id, scored_at;
    SELECT * FROM partner_signals ORDER BY as_of, revision, partner_id, signal;
    SELECT * FROM runs ORDER BY run_id";

/// A lake of all kinds of files: events in several commits, compacted days, dead letters, rollups,
/// scores, runs, checkpoints.
struct Original {
    project: Project,
    end: String,
    facts: String,
    all: String,
    files: Vec<String>,
    live: BTreeSet<String>,
}

impl Original {
    fn new() -> Self {
        let world = Simulated::drawn(SIZE.options());
        let (project, end) = (Project::new(), world.end());
        world.share_tables(&project);
        for stream in Stream::ALL {
            let sent = world.sent(stream);
            let pieces = if stream == Stream::ApiCalls { PIECES } else { 1 };
            for piece in sent.chunks(sent.len().div_ceil(pieces)) {
                project.write("piece.ndjson", lines(piece));
                world.load_file(&project, stream, "piece.ndjson");
                project.ok(&["metrics", "run", "funnel", "--as-of", &end]);
            }
        }
        project.ok(&["lake", "compact"]);
        for day in ["2026-01-10", "2026-01-15", &end] {
            project.ok(&["score", "run", "--as-of", day]);
        }
        let (facts, all) = (ask(&project, &end, FACTS), ask(&project, &end, &everything()));
        let (facts, all) = (facts.succeeded().text(), all.succeeded().text());
        let root = project.path("lake");
        let files = files(&root);
        let live = live(&root, &files);
        Self { project, end, facts, all, files, live }
    }

    /// A copy of it, project and all.
    fn copy(&self) -> Project {
        let copy = Project::empty();
        for name in files(&self.project.path(".")) {
            if name.starts_with("piece") {
                continue;
            }
            let to = copy.path(&name);
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            std::fs::copy(self.project.path(&name), to).expect("copied");
        }
        copy
    }
}

fn everything() -> String {
    format!("{FACTS};\n{HISTORY}")
}

fn ask(project: &Project, end: &str, sql: &str) -> Ran {
    project.run(&["sql", sql, "--as-of", end, "--format", "csv"])
}

/// The files below a folder, in order.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.file_type().expect("its type").is_dir() {
                folders.push(path);
            } else {
                found.push(path.to_str().expect("a name").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The data files that the tables name at their newest.
fn live(root: &Path, files: &[String]) -> BTreeSet<String> {
    let mut live = BTreeSet::new();
    for file in files.iter().filter(|f| is_entry(f)) {
        let (table, _) = file.split_once("/_delta_log/").expect("a table");
        for line in std::fs::read_to_string(root.join(file)).expect("an entry").lines() {
            let action: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let path = |of: &str| {
                let path = action.get(of)?.get("path")?.as_str()?;
                Some(format!("{table}/{path}"))
            };
            live.extend(path("add"));
            if let Some(gone) = path("remove") {
                live.remove(&gone);
            }
        }
    }
    live
}

fn is_entry(file: &str) -> bool {
    file.contains("/_delta_log/") && file.ends_with(".json")
}

/// One thing that goes wrong on a disk.
#[derive(Debug)]
enum Damage {
    Changed { file: String, place: usize, bit: u8 },
    Cut { file: String, length: usize },
    Gone { file: String },
    Exchanged { one: String, other: String },
}

impl Damage {
    /// Draws a kind of file first: there are few of some.
    fn draw(of: &Original, luck: &mut Luck) -> Self {
        let root = of.project.path("lake");
        let kinds: [&dyn Fn(&String) -> bool; 7] = [
            &|f| of.live.contains(f),
            &|f| of.live.contains(f) && !f.starts_with("raw/"),
            &|f| f.ends_with(".parquet") && !f.contains("/_delta_log/") && !of.live.contains(f),
            &|f| is_entry(f),
            &|f| is_entry(f) && !of.files.contains(&next(f)),
            &|f| f.contains("/_delta_log/") && !is_entry(f),
            &|f| f.contains("/_witness/"),
        ];
        loop {
            let kind = luck.below(kinds.len() as u64) as usize;
            let all: Vec<&String> = of.files.iter().filter(|f| kinds[kind](f)).collect();
            if all.is_empty() {
                continue;
            }
            let file = luck.one_of(&all).clone();
            let length = std::fs::metadata(root.join(&file)).expect("a file").len();
            let older = kind == 2;
            match luck.below(5) {
                0 | 1 if length > 0 => {
                    let (place, bit) = (luck.below(length) as usize, 1 << luck.below(8));
                    return Self::Changed { file, place, bit };
                }
                2 if length > 0 => {
                    let length = luck.below(length) * luck.below(2);
                    return Self::Cut { file, length: length as usize };
                }
                // What only older versions read may be gone by right.
                3 if !older => return Self::Gone { file },
                4 if is_entry(&file) => {
                    let other = luck.one_of(&all).clone();
                    if other != file {
                        return Self::Exchanged { one: file, other };
                    }
                }
                _ => {}
            }
        }
    }

    fn inflict(&self, root: &Path) {
        let read = |file: &str| std::fs::read(root.join(file)).expect("a file");
        let write = |file: &str, bytes: &[u8]| {
            std::fs::write(root.join(file), bytes).expect("room for a file");
        };
        match self {
            Self::Changed { file, place, bit } => {
                let mut bytes = read(file);
                bytes[*place] ^= bit;
                write(file, &bytes);
            }
            Self::Cut { file, length } => write(file, &read(file)[..*length]),
            Self::Gone { file } => std::fs::remove_file(root.join(file)).expect("removed"),
            Self::Exchanged { one, other } => {
                let (first, second) = (read(one), read(other));
                write(one, &second);
                write(other, &first);
            }
        }
    }

    fn files(&self) -> Vec<&str> {
        match self {
            Self::Changed { file, .. } | Self::Cut { file, .. } | Self::Gone { file } => vec![file],
            Self::Exchanged { one, other } => vec![one, other],
        }
    }
}

/// The entry after one.
fn next(entry: &str) -> String {
    let (log, name) = entry.rsplit_once('/').expect("a log");
    let version: u64 = name.trim_end_matches(".json").parse().expect("a version");
    format!("{log}/{:020}.json", version + 1)
}

#[test]
fn a_damaged_lake_is_found_out_and_answers_nothing_else() {
    let original = Original::new();
    let whole = original.copy();
    whole.ok(&["lake", "verify"]);
    let answer = ask(&whole, &original.end, &everything()).succeeded();
    assert_same(&original.all, &answer.text(), "the copy");
    let damages = std::env::var("RAPPORT_DAMAGE").ok();
    let damages = damages.map_or(DAMAGES, |text| text.parse().expect("RAPPORT_DAMAGE is a number"));
    let mut luck =
        if std::env::var_os("RAPPORT_SEED").is_some() { Luck::new() } else { Luck::with(7) };
    let mut told = String::new();
    let (mut refused, mut repaired, mut failed) = (0, 0, 0);
    for number in 0..damages {
        let damage = Damage::draw(&original, &mut luck);
        let project = original.copy();
        damage.inflict(&project.path("lake"));
        // What fails has said so; the others are played all the same.
        let outcome = catch_unwind(AssertUnwindSafe(|| play(&original, &project, &damage))).ok();
        let _ = writeln!(told, "{number} {damage:?}: {outcome:?}");
        failed += u64::from(outcome.is_none());
        refused += u64::from(outcome.is_some_and(|o| o.refused));
        repaired += u64::from(outcome.is_some_and(|o| o.repaired));
    }
    let seed = luck.seed;
    assert_eq!(failed, 0, "of {damages} damages, RAPPORT_SEED={seed}\n{told}");
    assert!(refused > 0 && repaired > 0, "RAPPORT_SEED={seed}\n{told}");
}

#[derive(Debug, Clone, Copy)]
struct Outcome {
    refused: bool,
    repaired: bool,
}

fn play(original: &Original, project: &Project, damage: &Damage) -> Outcome {
    let verified = project.run(&["lake", "verify"]);
    let named = damage.files().iter().any(|file| verified.text().contains(file));
    // A witness that is behind shows in the log, and a log that is gone in its table.
    let table = damage.files().iter().any(|file| {
        let table = file.split("/_").next().expect("a table");
        verified.text().contains(table)
    });
    assert!(verified.code == Some(3) && (named || table), "{damage:?}: {verified}");
    one_message(&verified, damage);

    let answer = ask(project, &original.end, &everything());
    let right = answer.code == Some(0) && answer.text() == original.all;
    let stopped = answer.code == Some(1) && original.all.starts_with(&answer.text());
    assert!(right || stopped, "{damage:?}: {answer}");
    if stopped {
        assert!(answer.stderr.contains(" of the lake is damaged: "), "{damage:?}: {answer}");
    }
    one_message(&answer, damage);

    let vacuum = project.run(&["lake", "vacuum", "--dry-run"]);
    one_message(&vacuum, damage);
    let repair = project.run(&["lake", "repair"]);
    one_message(&repair, damage);
    if repair.code == Some(0) {
        project.run(&["lake", "verify"]).succeeded();
        let history =
            damage.files().iter().any(|f| f.starts_with("scores/") || f.starts_with("runs/"));
        let answer = ask(project, &original.end, FACTS).succeeded();
        assert_same(&original.facts, &answer.text(), &format!("{damage:?}: {repair}"));
        if !history {
            let answer = ask(project, &original.end, &everything()).succeeded();
            assert_same(&original.all, &answer.text(), &format!("{damage:?}: {repair}"));
        }
    } else {
        assert_eq!(repair.code, Some(3), "{damage:?}: {repair}");
        let events = damage.files().iter().any(|f| f.starts_with("raw/"));
        let log = damage.files().iter().any(|f| f.contains("/_"));
        assert!(events || log, "what is computed can be had again: {damage:?}: {repair}");
    }
    Outcome { refused: stopped, repaired: repair.code == Some(0) }
}

#[track_caller]
fn assert_same(expected: &str, found: &str, what: &str) {
    let lines = expected.lines().zip(found.lines());
    let differs = lines.clone().find(|(expected, found)| expected != found);
    assert!(differs.is_none() && expected.len() == found.len(), "{what}: {differs:?}");
}

/// Of an error one line is said, and no backtrace.
fn one_message(ran: &Ran, damage: &Damage) {
    let backtrace = ran.stderr.contains("panicked") || ran.stderr.contains("stack backtrace");
    let lines = ran.stderr.lines().filter(|line| !line.is_empty()).count();
    assert!(!backtrace && lines <= 6, "{damage:?}: {ran}");
}

/// Makes a lake what the program of format 2 wrote: without witnesses and checksums.
fn age(root: &Path) {
    for file in files(root) {
        let path = root.join(&file);
        if file.contains("/_witness/") {
            std::fs::remove_file(path).expect("removed");
        } else if is_entry(&file) {
            let text = std::fs::read_to_string(&path).expect("an entry");
            let lines: Vec<String> = text.lines().map(aged).collect();
            std::fs::write(path, lines.join("\n")).expect("written");
        }
    }
}

fn aged(line: &str) -> String {
    let mut action: serde_json::Value = serde_json::from_str(line).expect("JSON");
    for (pointer, field) in [("/commitInfo", "rapportChecksum"), ("/add/tags", "checksum")] {
        if let Some(fields) = action.pointer_mut(pointer).and_then(|v| v.as_object_mut()) {
            fields.remove(field);
        }
    }
    let format = "/metaData/configuration/rapport.formatVersion";
    if let Some(version) = action.pointer_mut(format) {
        *version = "2".into();
    }
    action.to_string()
}

#[test]
fn a_lake_of_format_2_is_used_as_it_is_and_can_be_upgraded() {
    let world = Simulated::drawn(Size { events: 300, ..SIZE }.options());
    let project = Project::new();
    world.load(&project);
    let end = world.end();
    let before = ask(&project, &end, FACTS).succeeded().text();
    let root = project.path("lake");
    age(&root);
    let verified = project.run(&["lake", "verify"]).succeeded();
    assert!(verified.text().contains("without checksums"), "{verified}");
    assert_eq!(ask(&project, &end, FACTS).succeeded().text(), before);
    project.write("more.ndjson", lines(&world.sent(Stream::PartnerEvents)[..2]));
    world.load_file(&project, Stream::PartnerEvents, "more.ndjson");
    let before = ask(&project, &end, FACTS).succeeded().text();

    assert!(project.ok(&["lake", "upgrade"]).contains("had format 2"));
    let verified = project.run(&["lake", "verify"]).succeeded();
    assert!(!verified.text().contains("without checksums"), "{verified}");
    assert_eq!(ask(&project, &end, FACTS).succeeded().text(), before);
    project.ok(&["lake", "vacuum", "--retention-hours", "1"]);
    let mut named = live(&root, &files(&root)).into_iter();
    let calls = root.join(named.find(|f| f.starts_with("raw/api_calls/")).expect("a file"));
    let mut bytes = std::fs::read(&calls).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&calls, bytes).expect("written");
    let stopped = project.run(&["sql", "SELECT * FROM raw.api_calls"]);
    assert!(stopped.code == Some(1) && stopped.stderr.contains("raw/api_calls/"), "{stopped}");
    let verified = project.run(&["lake", "verify"]);
    assert!(verified.code == Some(3) && verified.text().contains("raw/api_calls/"), "{verified}");
}
