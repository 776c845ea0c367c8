//! What workers stand on gives way: the broker goes and comes back, the clock jumps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::faults::deck::Kind;
use crate::faults::season::Season;
use crate::kafka::note;

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        Kind::new("the broker restarts", 1, |season| {
            without_broker(season, crate::kafka::Broker::stop);
        }),
        Kind::new("the broker is killed and comes back", 1, |season| {
            without_broker(season, crate::kafka::Broker::kill);
        }),
    ];
    if faketime().is_some() {
        kinds.push(Kind::new("the clock jumps ahead", 1, |season| {
            let days = 1 + season.luck.below(20);
            jump(season, &format!("+{days}d"));
        }));
        kinds.push(Kind::new("the clock jumps back", 1, |season| {
            let days = 1 + season.luck.below(20);
            jump(season, &format!("-{days}d"));
        }));
    } else {
        note("without libfaketime no clock jumps: apt-get install faketime");
    }
    kinds
}

/// The broker goes while a worker reads, and comes back; the worker goes on by itself.
fn without_broker(season: &mut Season<'_>, goes: fn(&mut crate::kafka::Broker)) {
    let mut worker = season.working("a");
    season.luck.pause(Duration::from_millis(500));
    goes(season.broker);
    season.broker.start_again();
    season.await_commits(&mut worker, 3);
    season.end(worker);
}

/// A worker's clock jumps while it reads, and jumps back; its records' own times do not.
fn jump(season: &mut Season<'_>, offset: &str) {
    let library = faketime().expect("libfaketime");
    let clock = season.file("clock");
    std::fs::write(&clock, "+0").expect("room for a file");
    let mut command = season.worker("a");
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut worker = season.start(command);
    for offset in [offset, "+0"] {
        season.await_commits(&mut worker, 1);
        std::fs::write(&clock, offset).expect("room for a file");
        season.await_commits(&mut worker, 2);
    }
    season.end(worker);
}

/// The library that gives a process another clock, where it is installed.
fn faketime() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
    let libraries = folders.iter().map(|f| Path::new(f).join("faketime/libfaketimeMT.so.1"));
    libraries.into_iter().find(|library| library.exists())
}
