//! Workers that end: killed at each named point, killed at any instant, told to end.

use std::time::Duration;

use crate::faults::deck::Kind;
use crate::faults::positions::between;
use crate::faults::season::Season;
use crate::program::Running;

/// The points of a commit, which each of its two tables passes.
pub(crate) const OF_TABLES: [&str; 6] =
    ["file", "file put", "checked", "entry", "entry put", "checkpoint"];
pub(crate) const TABLES: [&str; 2] = ["raw/dead_letters", "raw/api_calls"];

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for point in OF_TABLES {
        for table in TABLES {
            let name = format!("SIGKILL at \"{point}\" of {table}");
            kinds.push(Kind::new(name, 1, move |s| kill_at(s, point, Some(table))));
        }
    }
    for point in ["dead letters committed", "committed", "assigned"] {
        let name = format!("SIGKILL at \"{point}\"");
        kinds.push(Kind::new(name, 1, move |s| kill_at(s, point, None)));
    }
    kinds.push(Kind::new("SIGKILL at \"revoked\"", 1, kill_revoked));
    kinds.push(Kind::new("SIGKILL at a random instant", 6, kill_any_time));
    kinds.push(Kind::new("SIGKILL of one of two workers", 2, kill_one_of_two));
    kinds.push(Kind::new("SIGTERM", 2, terminate));
    kinds
}

/// A worker that is to come to a point: with its flags, and the point as `RAPPORT_FAULT` has it.
pub(crate) fn bound_for(
    season: &mut Season<'_>,
    point: &str,
    of: Option<&str>,
) -> (&'static [&'static str], String) {
    let place = of.map_or_else(|| point.to_owned(), |of| format!("{point}:{of}"));
    // Checkpoints are rare: of very small commits there are more.
    let flags: &[&str] =
        if point == "checkpoint" { &["--flush-rows", "4"] } else { &["--flush-rows", "50"] };
    let once = ["checkpoint", "assigned", "revoked"].contains(&point);
    let pass = if once { 1 } else { 1 + season.luck.below(4) };
    (flags, format!("{place}@{pass}"))
}

fn kill_at(season: &mut Season<'_>, point: &str, of: Option<&str>) {
    let (flags, place) = bound_for(season, point, of);
    season.hold(season.worker_with("a", flags), &place).kill();
}

/// A second worker joins, so the first has to let partitions go, and dies of it.
fn kill_revoked(season: &mut Season<'_>) {
    let file = season.file("held");
    let mut command = season.worker("a");
    command.env("RAPPORT_FAULT", format!("revoked={}", file.display()));
    let mut first = season.start(command);
    season.await_commits(&mut first, 1);
    let mut second = season.start(season.worker("a"));
    crate::program::wait_until("the rebalance", crate::faults::season::PATIENCE, || file.exists());
    first.kill();
    drop(std::fs::remove_file(file));
    season.await_commits(&mut second, 1);
    season.end(second);
}

fn kill_any_time(season: &mut Season<'_>) {
    let mut worker = season.start(season.worker("a"));
    let commits = season.luck.below(4);
    season.await_commits(&mut worker, commits);
    season.luck.pause(Duration::from_millis(if commits == 0 { 1_500 } else { 120 }));
    worker.kill();
}

fn kill_one_of_two(season: &mut Season<'_>) {
    let mut other = season.working("a");
    let mut worker = season.start(season.worker("a"));
    let commits = season.luck.below(20);
    season.await_commits(&mut worker, commits);
    season.luck.pause(Duration::from_millis(120));
    worker.kill();
    season.await_commits(&mut other, 2);
    season.end(other);
}

/// What a worker has read when it is told to end it commits: what it says it read is how far the
/// lake has moved.
fn terminate(season: &mut Season<'_>) {
    let before = season.positions.follow().clone();
    let mut worker = season.start(season.worker("a"));
    let commits = 1 + season.luck.below(4);
    season.await_commits(&mut worker, commits);
    season.luck.pause(Duration::from_millis(300));
    let read = read_by(worker);
    assert_eq!(between(&before, season.positions.follow()), read, "records that SIGTERM held back");
}

/// Tells a worker to end; the records that its summary begins with.
fn read_by(worker: Running) -> u64 {
    worker.terminate();
    let said = worker.finish().succeeded().text();
    let number = said.split(' ').next().unwrap_or_default().replace(',', "");
    number.parse().unwrap_or_else(|_| panic!("no summary: {said}"))
}
