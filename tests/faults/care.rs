//! Looking after the lake while workers run: two at once, one against another, each one killed.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::faults::deck::Kind;
use crate::faults::registry::Responder;
use crate::faults::season::Season;
use crate::program::Ran;

const COMPACT: [&str; 3] = ["lake", "compact", "--quiet"];

pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::new("two compactions at once", 1, two_compactions),
        Kind::new("compaction against erasure", 1, compaction_against_erasure),
        Kind::new("SIGKILL of a compaction", 2, killed_compaction),
        Kind::new("SIGKILL of a vacuum", 1, killed_vacuum),
        Kind::new("SIGKILL of an erasure", 1, killed_erasure),
        Kind::new("SIGKILL of a replay", 2, killed_replay),
    ]
}

fn two_compactions(season: &mut Season<'_>) {
    let worker = season.working("a");
    season.compacted = true;
    let both = [season.start(season.command(&COMPACT)), season.start(season.command(&COMPACT))];
    for running in both {
        running.finish().succeeded();
    }
    season.end(worker);
}

fn compaction_against_erasure(season: &mut Season<'_>) {
    make_old(&season.lake);
    let worker = season.working("a");
    season.compacted = true;
    let partner = partner(season);
    let erasure = season.start(erase(season, &partner));
    season.luck.pause(Duration::from_millis(800));
    let compaction = season.start(season.command(&COMPACT));
    season.erased.push((partner, season.positions.follow().clone()));
    compaction.finish().succeeded();
    erased(season, &erasure.finish());
    season.end(worker);
}

/// Killed at one of its writes; the next one does what was left.
fn killed_compaction(season: &mut Season<'_>) {
    let mut worker = season.working("a");
    season.compacted = true;
    let point = season.luck.one_of(&["file", "file put", "entry", "entry put"]);
    loop {
        let compaction = season.command(&COMPACT);
        match season.try_hold(compaction, &format!("{point}:raw/api_calls")) {
            Ok(held) => break held.kill(),
            // No day has closed since the last one.
            Err(running) => drop(running.finish().succeeded()),
        }
        season.await_commits(&mut worker, 5);
    }
    let again = season.command(&COMPACT);
    season.start(again).finish().succeeded();
    season.end(worker);
}

/// Files that killed workers left are old enough to be deleted; those in use are as old.
fn killed_vacuum(season: &mut Season<'_>) {
    make_old(&season.lake);
    let worker = season.working("a");
    let vacuum = ["lake", "vacuum", "--retention-hours", "1", "--quiet"];
    let running = season.start(season.command(&vacuum));
    season.luck.pause(Duration::from_millis(400));
    running.kill();
    let again = season.command(&vacuum);
    season.start(again).finish().succeeded();
    season.end(worker);
}

fn make_old(folder: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3 * 3_600);
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            make_old(&path);
        } else if path.extension().is_some_and(|e| e == "parquet") {
            let file = std::fs::File::options().append(true).open(&path).expect("a data file");
            file.set_modified(then).expect("our own file");
        }
    }
}

fn killed_erasure(season: &mut Season<'_>) {
    make_old(&season.lake);
    let worker = season.working("a");
    let partner = partner(season);
    let point = season.luck.one_of(&[
        "file:raw/api_calls",
        "entry:raw/api_calls",
        "entry put:raw/api_calls",
        "entry put:raw/dead_letters",
        "forget",
    ]);
    let first = erase(season, &partner);
    season.erased.push((partner.clone(), season.positions.follow().clone()));
    match season.try_hold(first, point) {
        Ok(held) => held.kill(),
        // Nothing of the partner was in that table.
        Err(running) => erased(season, &running.finish()),
    }
    let again = erase(season, &partner);
    let running = season.start(again);
    erased(season, &running.finish());
    season.end(worker);
}

fn erase(season: &Season<'_>, partner: &str) -> Command {
    season.command(&["lake", "erase", "--partner", partner, "--yes", "--quiet"])
}

/// The erasure went through. Its events still arrive and are being written, of which it may warn.
fn erased(season: &mut Season<'_>, ran: &Ran) {
    let words = ["its events still arrive", "not committed"];
    let warns = ran.code == Some(3) && words.iter().any(|word| ran.text().contains(word));
    assert!(ran.code == Some(0) || warns, "{ran}");
    let positions = season.positions.follow().clone();
    if let Some((_, until)) = season.erased.last_mut() {
        *until = positions;
    }
}

/// One of the partners whose calls the lake holds.
fn partner(season: &mut Season<'_>) -> String {
    let ids = "SELECT DISTINCT partner_id FROM raw.api_calls ORDER BY 1";
    let ids = season.project.rows(ids);
    let choice = season.luck.below(ids.len() as u64) as usize;
    ids[choice].clone()
}

/// A replay that knows the schema of the Avro records, killed between its commits or in one.
fn killed_replay(season: &mut Season<'_>) {
    let registry = Responder::start();
    let replay = |season: &Season<'_>| {
        let mut command = season.command(&["ingest", "replay", "--stream", "api-calls", "--quiet"]);
        command.env("RAPPORT_SCHEMA_REGISTRY_URL", registry.url());
        command
    };
    let mut worker = season.working("a");
    let point = season.luck.one_of(&[
        "file:raw/api_calls",
        "entry:raw/api_calls",
        "entry put:raw/api_calls",
        "replayed",
        "entry:raw/dead_letters",
        "entry put:raw/dead_letters",
    ]);
    loop {
        let command = replay(season);
        match season.try_hold(command, point) {
            Ok(held) => break held.kill(),
            // No Avro record has come since the last one.
            Err(running) => drop(running.finish().succeeded()),
        }
        season.await_commits(&mut worker, 5);
    }
    let again = replay(season);
    season.start(again).finish().succeeded();
    season.end(worker);
}
