//! Workers in each other's way: zombies that wake late, two on one partition, rebalance storms.

use std::time::{Duration, Instant};

use crate::faults::deck::Kind;
use crate::faults::kills::{OF_TABLES, TABLES, bound_for};
use crate::faults::season::Season;
use crate::program::Running;

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for point in OF_TABLES {
        let name = format!("a zombie wakes at \"{point}\"");
        kinds.push(Kind::new(name, 1, move |season| {
            let table = season.luck.one_of(&TABLES);
            zombie_at(season, point, Some(table));
        }));
    }
    for point in ["dead letters committed", "committed", "assigned"] {
        let name = format!("a zombie wakes at \"{point}\"");
        kinds.push(Kind::new(name, 1, move |season| zombie_at(season, point, None)));
    }
    kinds.push(Kind::new("a zombie wakes anywhere", 2, zombie_anywhere));
    kinds.push(Kind::new("two groups on one lake", 2, two_groups));
    kinds.push(Kind::new("rebalance storm", 1, storm));
    kinds
}

/// A worker stands still at the point until the group has given its partitions to another, which
/// goes on with them; then it wakes, still holding what it read.
fn zombie_at(season: &mut Season<'_>, point: &str, of: Option<&str>) {
    let (flags, place) = bound_for(season, point, of);
    let held = season.hold(season.worker_with("a", flags), &place);
    held.running.signal("STOP");
    let mut heir = season.working("a");
    let zombie = held.let_go();
    wake(season, zombie, &mut heir);
    season.end(heir);
}

fn zombie_anywhere(season: &mut Season<'_>) {
    let mut zombie = season.start(season.worker("a"));
    let commits = 1 + season.luck.below(3);
    season.await_commits(&mut zombie, commits);
    season.luck.pause(Duration::from_millis(120));
    zombie.signal("STOP");
    let mut heir = season.working("a");
    wake(season, zombie, &mut heir);
    season.end(heir);
}

/// The zombie comes to itself beside its heir; both go on, and it ends well.
fn wake(season: &mut Season<'_>, mut zombie: Running, heir: &mut Running) {
    zombie.signal("CONT");
    let commits = 1 + season.luck.below(6);
    season.await_commits(heir, commits);
    assert!(!zombie.has_ended(), "the zombie ended: {}", zombie.said());
    season.end(zombie);
}

/// Workers of two groups read every partition, both into the same lake.
fn two_groups(season: &mut Season<'_>) {
    let mut one = season.start(season.worker("a"));
    let mut other = season.start(season.worker("b"));
    let commits = 5 + season.luck.below(20);
    season.await_commits(&mut one, commits);
    assert!(!other.has_ended(), "it ended by itself: {}", other.said());
    season.end(one);
    season.await_commits(&mut other, 1);
    season.end(other);
}

/// Workers join and leave a group every few hundred milliseconds, well or not.
fn storm(season: &mut Season<'_>) {
    let mut workers: Vec<Running> = vec![season.working("a")];
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        season.luck.pause(Duration::from_millis(700));
        if workers.len() < 2 || (workers.len() < 4 && season.luck.below(2) == 0) {
            workers.push(season.start(season.worker("a")));
            continue;
        }
        let worker = workers.swap_remove(season.luck.below(workers.len() as u64) as usize);
        if season.luck.below(2) == 0 {
            worker.kill();
            continue;
        }
        worker.terminate();
        let ran = worker.finish();
        // Told to end before it listens to signals, it ends by the signal.
        assert!(matches!(ran.code, Some(0) | None), "{ran}");
    }
    drop(workers);
    let last = season.working("a");
    season.end(last);
}
