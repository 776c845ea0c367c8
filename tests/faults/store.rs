//! The store that a lake lies in gives way: its answers are lost, it goes and comes back.

use std::time::Duration;

use crate::faults::deck::Kind;
use crate::faults::season::Season;

pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        Kind::new("answers are lost after the put", 4, lost_answers),
        Kind::new("the store is killed and comes back", 2, without_store),
    ]
}

/// Two workers commit side by side, and of every few puts nobody learns that they were done.
fn lost_answers(season: &mut Season<'_>) {
    let every = 2 + season.luck.below(3) as usize;
    season.forget_answers(every);
    let mut one = season.start(season.worker("a"));
    let mut other = season.start(season.worker("b"));
    let commits = 5 + season.luck.below(10);
    season.await_commits(&mut one, commits);
    season.end(one);
    season.await_commits(&mut other, 3);
    season.end(other);
    season.forget_answers(20);
}

/// The store goes while a worker commits, and comes back; the worker goes on by itself.
fn without_store(season: &mut Season<'_>) {
    let mut worker = season.working("a");
    season.luck.pause(Duration::from_millis(200));
    let bucket = season.bucket.as_deref_mut().expect("a lake in a bucket");
    bucket.kill();
    bucket.start_again();
    season.await_commits(&mut worker, 3);
    season.end(worker);
}
