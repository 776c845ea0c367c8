//! What workers stand on gives way: the broker goes and comes back, the clock jumps.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use crate::faults::deck::Kind;
use crate::faults::season::Season;
use crate::kafka::{Broker, succeed};

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        Kind::new("the broker restarts", 1, |season| {
            without_broker(season, Broker::stop);
        }),
        Kind::new("the broker is killed and comes back", 1, |season| {
            without_broker(season, Broker::kill);
        }),
    ];
    for (name, sign) in [("the clock jumps ahead", 1), ("the clock jumps back", -1)] {
        kinds.push(Kind::new(name, 1, move |season| jump(season, sign)));
    }
    kinds
}

/// The broker goes while a worker reads, and comes back; the worker goes on by itself.
fn without_broker(season: &mut Season<'_>, goes: fn(&mut Broker)) {
    let mut worker = season.working("a");
    season.luck.pause(Duration::from_millis(500));
    goes(season.broker);
    season.broker.start_again();
    season.await_commits(&mut worker, 3);
    season.end(worker);
}

/// A worker's clock jumps while it reads, by days where it may, and jumps back; the times of its
/// records do not.
fn jump(season: &mut Season<'_>, sign: i64) {
    let library = season.project.path("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/clock.c");
    succeed(Command::new("cc").args(["-shared", "-fPIC", "-O1", source, "-o"]).arg(&library));
    let name = season.file("clock");
    let clock = File::create_new(&name).expect("room for a file");
    let set = |seconds: i64| {
        clock.write_all_at(&seconds.to_ne_bytes(), 0).expect("room for a number");
    };
    set(0);
    let mut command = season.worker("a");
    command.env("LD_PRELOAD", &library).env("RAPPORT_TEST_CLOCK", &name);
    let mut worker = season.start(command);
    // S3 answers nobody whose clock is off by a quarter of an hour.
    let most = if season.bucket.is_some() { 14 * 60 } else { 20 * 86_400 };
    let away = sign * (1 + season.luck.below(most).cast_signed());
    for seconds in [away, 0] {
        season.await_commits(&mut worker, 1);
        set(seconds);
        season.await_commits(&mut worker, 2);
    }
    season.end(worker);
}
