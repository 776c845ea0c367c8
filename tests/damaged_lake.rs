//! Files of a lake are changed, truncated, deleted or swapped at random: the damage is detected, no
//! query answers from it, and what can be computed again is repaired.
//!
//! `RAPPORT_DAMAGE=100` tries that many damages, `RAPPORT_SEED` draws others than usual.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use domain::Stream;

use crate::support::files::relative_files;
use crate::support::program::{ProgramOutput, Project};
use crate::support::seeded_random::SeededRandom;
use crate::support::simulated_world::{SimulatedWorld, WorldSize, ndjson};

const SIZE: WorldSize = WorldSize { seed: 23, partners: 6, events: 600, days: 20 };

/// How many files one stream is loaded from: enough commits for checkpoints.
const COMMITS: usize = 12;

/// How many damages a usual run tries.
const DAMAGE_COUNT: u64 = 16;

/// Queries of the events, and of what is computed from them.
pub(crate) const EVENTS_AND_DERIVED: &str =
    "SELECT * FROM raw.api_calls ORDER BY topic, kafka_partition, kafka_offset;
    SELECT * FROM raw.partner_events ORDER BY topic, kafka_offset;
    SELECT * FROM raw.billing_events ORDER BY topic, kafka_offset;
    SELECT * FROM raw.support_events ORDER BY topic, kafka_offset;
    SELECT stream, topic, kafka_offset, reason FROM dead_letters ORDER BY topic, kafka_offset;
    SELECT * FROM partner_day ORDER BY event_date, partner_id, environment, product, api_version;
    SELECT * FROM funnel ORDER BY cohort_month;
    SELECT * FROM revenue_summary ORDER BY month;
    SELECT count(*) FROM api_calls";

/// Queries of tables that cannot be computed again.
const STORED_ONLY: &str = "SELECT * FROM partner_health ORDER BY as_of, partner_id, scored_at;
    SELECT * FROM partner_signals ORDER BY as_of, revision, partner_id, signal;
    SELECT * FROM runs ORDER BY run_id";

/// Holds a lake with every kind of file: events of several commits, compacted days, dead letters,
/// rollups, scores, runs and checkpoints.
struct IntactLake {
    project: Project,
    end: String,
    derived_answer: String,
    full_answer: String,
    files: Vec<String>,
    live_files: BTreeSet<String>,
}

impl IntactLake {
    fn new() -> Self {
        let world = SimulatedWorld::from_options(SIZE.options());
        let (project, end) = (Project::new(), world.end());
        world.write_csv_files(&project);
        for stream in Stream::ALL {
            let sent = world.records(stream);
            let chunks = if stream == Stream::ApiCalls { COMMITS } else { 1 };
            for chunk in sent.chunks(sent.len().div_ceil(chunks)) {
                project.write("piece.ndjson", ndjson(chunk));
                world.load_file(&project, stream, "piece.ndjson");
                project.run_ok(&["metrics", "run", "funnel", "--as-of", &end]);
            }
        }
        project.run_ok(&["lake", "compact"]);
        for day in ["2026-01-10", "2026-01-15", &end] {
            project.run_ok(&["score", "run", "--as-of", day]);
        }
        let (derived_answer, full_answer) =
            (query(&project, &end, EVENTS_AND_DERIVED), query(&project, &end, &full_query()));
        let (derived_answer, full_answer) = (
            derived_answer.expect_success().stdout_text(),
            full_answer.expect_success().stdout_text(),
        );
        let root = project.path("lake");
        let files = sorted_files(&root);
        let live_files = live_files(&root, &files);
        Self { project, end, derived_answer, full_answer, files, live_files }
    }

    /// Copies the lake and its project.
    fn copy(&self) -> Project {
        let copy = Project::empty();
        for name in sorted_files(&self.project.path(".")) {
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

fn full_query() -> String {
    format!("{EVENTS_AND_DERIVED};\n{STORED_ONLY}")
}

pub(crate) fn query(project: &Project, end: &str, sql: &str) -> ProgramOutput {
    project.run(&["sql", sql, "--as-of", end, "--format", "csv"])
}

/// Returns the files below a folder, in order.
pub(crate) fn sorted_files(root: &Path) -> Vec<String> {
    let name = |path: PathBuf| path.to_str().expect("a name").to_owned();
    relative_files(root).into_iter().map(name).collect()
}

/// Returns the data files of the newest version of each table.
pub(crate) fn live_files(root: &Path, files: &[String]) -> BTreeSet<String> {
    let mut live_files = BTreeSet::new();
    for file in files.iter().filter(|f| is_log_entry(f)) {
        let (table, _) = file.split_once("/_delta_log/").expect("a table");
        for line in std::fs::read_to_string(root.join(file)).expect("an entry").lines() {
            let action: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let path = |of: &str| {
                let path = action.get(of)?.get("path")?.as_str()?;
                Some(format!("{table}/{path}"))
            };
            live_files.extend(path("add"));
            if let Some(gone) = path("remove") {
                live_files.remove(&gone);
            }
        }
    }
    live_files
}

pub(crate) fn is_log_entry(file: &str) -> bool {
    file.contains("/_delta_log/") && file.ends_with(".json")
}

/// One way in which files are damaged.
#[derive(Debug)]
enum Damage {
    BitFlipped { file: String, byte: usize, bit: u8 },
    Truncated { file: String, length: usize },
    Deleted { file: String },
    Swapped { one: String, other: String },
}

impl Damage {
    /// Draws the kind of file first, since some kinds have few files.
    fn draw(of: &IntactLake, random: &mut SeededRandom) -> Self {
        let root = of.project.path("lake");
        let kinds: [&dyn Fn(&String) -> bool; 7] = [
            &|f| of.live_files.contains(f),
            &|f| of.live_files.contains(f) && !f.starts_with("raw/"),
            &|f| {
                f.ends_with(".parquet") && !f.contains("/_delta_log/") && !of.live_files.contains(f)
            },
            &|f| is_log_entry(f),
            &|f| is_log_entry(f) && !of.files.contains(&next_log_entry(f)),
            &|f| f.contains("/_delta_log/") && !is_log_entry(f),
            &|f| f.contains("/_witness/"),
        ];
        loop {
            let kind = random.below(kinds.len() as u64) as usize;
            let candidates: Vec<&String> = of.files.iter().filter(|f| kinds[kind](f)).collect();
            if candidates.is_empty() {
                continue;
            }
            let file = random.one_of(&candidates).clone();
            let length = std::fs::metadata(root.join(&file)).expect("a file").len();
            let is_old_version = kind == 2;
            match random.below(5) {
                0 | 1 if length > 0 => {
                    let (byte, bit) = (random.below(length) as usize, 1 << random.below(8));
                    return Self::BitFlipped { file, byte, bit };
                }
                2 if length > 0 => {
                    let length = random.below(length) * random.below(2);
                    return Self::Truncated { file, length: length as usize };
                }
                // A file that only older versions read may have been deleted by a vacuum.
                3 if !is_old_version => return Self::Deleted { file },
                4 if is_log_entry(&file) => {
                    let other = random.one_of(&candidates).clone();
                    if other != file {
                        return Self::Swapped { one: file, other };
                    }
                }
                _ => {}
            }
        }
    }

    fn apply(&self, root: &Path) {
        let read = |file: &str| std::fs::read(root.join(file)).expect("a file");
        let write = |file: &str, bytes: &[u8]| {
            std::fs::write(root.join(file), bytes).expect("room for a file");
        };
        match self {
            Self::BitFlipped { file, byte, bit } => {
                let mut bytes = read(file);
                bytes[*byte] ^= bit;
                write(file, &bytes);
            }
            Self::Truncated { file, length } => write(file, &read(file)[..*length]),
            Self::Deleted { file } => std::fs::remove_file(root.join(file)).expect("removed"),
            Self::Swapped { one, other } => {
                let (first, second) = (read(one), read(other));
                write(one, &second);
                write(other, &first);
            }
        }
    }

    fn files(&self) -> Vec<&str> {
        match self {
            Self::BitFlipped { file, .. }
            | Self::Truncated { file, .. }
            | Self::Deleted { file } => vec![file],
            Self::Swapped { one, other } => vec![one, other],
        }
    }
}

/// Returns the name of the log entry after one.
fn next_log_entry(entry: &str) -> String {
    let (log, name) = entry.rsplit_once('/').expect("a log");
    let version: u64 = name.trim_end_matches(".json").parse().expect("a version");
    format!("{log}/{:020}.json", version + 1)
}

#[test]
fn a_damaged_lake_is_detected_and_never_answered_from() {
    let intact_lake = IntactLake::new();
    let copy = intact_lake.copy();
    copy.run_ok(&["lake", "verify"]);
    let answer = query(&copy, &intact_lake.end, &full_query()).expect_success();
    assert_same_text(&intact_lake.full_answer, &answer.stdout_text(), "the copy");
    let damages = std::env::var("RAPPORT_DAMAGE").ok();
    let damages =
        damages.map_or(DAMAGE_COUNT, |text| text.parse().expect("RAPPORT_DAMAGE is a number"));
    let mut random = if std::env::var_os("RAPPORT_SEED").is_some() {
        SeededRandom::from_environment()
    } else {
        SeededRandom::from_seed(7)
    };
    let mut report = String::new();
    let (mut refused, mut repaired, mut failed) = (0, 0, 0);
    for number in 0..damages {
        let damage = Damage::draw(&intact_lake, &mut random);
        let project = intact_lake.copy();
        damage.apply(&project.path("lake"));
        // A failure has printed its message; the other damages are tried all the same.
        let outcome =
            catch_unwind(AssertUnwindSafe(|| check_damaged_copy(&intact_lake, &project, &damage)))
                .ok();
        let _ = writeln!(report, "{number} {damage:?}: {outcome:?}");
        failed += u64::from(outcome.is_none());
        refused += u64::from(outcome.is_some_and(|o| o.refused));
        repaired += u64::from(outcome.is_some_and(|o| o.repaired));
    }
    let seed = random.seed;
    assert_eq!(failed, 0, "of {damages} damages, RAPPORT_SEED={seed}\n{report}");
    assert!(refused > 0 && repaired > 0, "RAPPORT_SEED={seed}\n{report}");
}

/// What became of a damaged copy.
#[derive(Debug, Clone, Copy)]
struct DamageOutcome {
    refused: bool,
    repaired: bool,
}

/// Runs `verify`, a query, `vacuum` and `repair` on a damaged copy.
fn check_damaged_copy(
    intact_lake: &IntactLake,
    project: &Project,
    damage: &Damage,
) -> DamageOutcome {
    let verified = project.run(&["lake", "verify"]);
    let names_file = damage.files().iter().any(|file| verified.stdout_text().contains(file));
    // An old witness shows in the log, and a deleted log in its table.
    let names_table = damage.files().iter().any(|file| {
        let table = file.split("/_").next().expect("a table");
        verified.stdout_text().contains(table)
    });
    assert!(verified.code == Some(3) && (names_file || names_table), "{damage:?}: {verified}");
    check_short_message(&verified, damage);

    let answer = query(project, &intact_lake.end, &full_query());
    let answered = answer.code == Some(0) && answer.stdout_text() == intact_lake.full_answer;
    let refused =
        answer.code == Some(1) && intact_lake.full_answer.starts_with(&answer.stdout_text());
    assert!(answered || refused, "{damage:?}: {answer}");
    if refused {
        assert!(answer.stderr.contains(" of the lake is damaged: "), "{damage:?}: {answer}");
    }
    check_short_message(&answer, damage);

    let vacuum = project.run(&["lake", "vacuum", "--dry-run"]);
    check_short_message(&vacuum, damage);
    let repair = project.run(&["lake", "repair"]);
    check_short_message(&repair, damage);
    if repair.code == Some(0) {
        project.run(&["lake", "verify"]).expect_success();
        let is_stored_only =
            damage.files().iter().any(|f| f.starts_with("scores/") || f.starts_with("runs/"));
        let answer = query(project, &intact_lake.end, EVENTS_AND_DERIVED).expect_success();
        assert_same_text(
            &intact_lake.derived_answer,
            &answer.stdout_text(),
            &format!("{damage:?}: {repair}"),
        );
        if !is_stored_only {
            let answer = query(project, &intact_lake.end, &full_query()).expect_success();
            assert_same_text(
                &intact_lake.full_answer,
                &answer.stdout_text(),
                &format!("{damage:?}: {repair}"),
            );
        }
    } else {
        assert_eq!(repair.code, Some(3), "{damage:?}: {repair}");
        let is_event_file = damage.files().iter().any(|f| f.starts_with("raw/"));
        let is_log_file = damage.files().iter().any(|f| f.contains("/_"));
        assert!(
            is_event_file || is_log_file,
            "what is computed can be had again: {damage:?}: {repair}"
        );
    }
    DamageOutcome { refused, repaired: repair.code == Some(0) }
}

#[track_caller]
fn assert_same_text(expected: &str, found: &str, what: &str) {
    let lines = expected.lines().zip(found.lines());
    let differs = lines.clone().find(|(expected, found)| expected != found);
    assert!(differs.is_none() && expected.len() == found.len(), "{what}: {differs:?}");
}

/// Checks that an error has a short message without a backtrace.
fn check_short_message(result: &ProgramOutput, damage: &Damage) {
    let backtrace = result.stderr.contains("panicked") || result.stderr.contains("stack backtrace");
    let lines = result.stderr.lines().filter(|line| !line.is_empty()).count();
    assert!(!backtrace && lines <= 6, "{damage:?}: {result}");
}
