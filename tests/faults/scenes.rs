//! Faults that need a lake of their own: a full disk, records gone from the log, a topic made anew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::faults::broker::config;
use crate::faults::deck::{Kind, Strike, Tally};
use crate::faults::feed::Outlet;
use crate::faults::positions::log_of;
use crate::faults::season::{CALLS, PATIENCE, Season};
use crate::kafka::{note, succeed};
use crate::program::{Project, Ran, Running, entries, wait_until};

pub(crate) fn kinds() -> Vec<Kind> {
    let scene = |name: &str, copies, strike: Strike| Kind { name: name.to_owned(), copies, strike };
    let mut kinds = vec![
        scene("records gone before a worker came", 1, Box::new(gone_before)),
        scene("records gone under a worker", 1, Box::new(gone_meanwhile)),
        scene("a topic made anew", 1, Box::new(made_anew)),
    ];
    if may_mount() {
        kinds.push(scene("a full disk", 2, Box::new(full_disk)));
    } else {
        note("without the right to mount a file system no disk is full: run as root");
    }
    kinds
}

/// A topic of one partition and a project that reads it.
struct Scene {
    project: Project,
    topic: String,
    outlet: Outlet,
    sent: usize,
}

impl Scene {
    fn new(season: &mut Season<'_>, name: &str) -> Self {
        let topic = season.file(name).file_name().expect("a name").to_string_lossy().into_owned();
        let topic = format!("{}{topic}", season.prefix);
        season.admin.create(&topic, 1);
        let project = Project::new();
        let others = "partner_events = \"\"\nbilling_events = \"\"\nsupport_events = \"\"";
        let topics = format!("{CALLS} = \"{topic}\"\n{others}");
        project.write("rapport.toml", config(season.broker.bootstrap(), &topic, &topics));
        Self { project, topic, outlet: Outlet::new(season.broker.bootstrap()), sent: 0 }
    }

    /// Produces so many valid calls more.
    fn send(&mut self, calls: usize) {
        for number in self.sent..self.sent + calls {
            let event = format!(
                r#"{{"event_id":"e{number}","partner_id":"p{}","occurred_at":"2026-01-0{}T00:00:00Z","status":200}}"#,
                number % 7,
                1 + number % 3,
            );
            self.outlet.send(&self.topic, "p", Some(event.as_bytes()), "event");
        }
        self.outlet.finish();
        self.sent += calls;
    }

    fn run(&self, flags: &[&str]) -> Ran {
        let run = ["ingest", "run", "--until-caught-up", "--flush-rows", "100", "--quiet"];
        self.project.run(&[&run[..], flags].concat())
    }

    /// A worker that goes on until it is told to end.
    fn start(&self) -> Running {
        let command = self.project.command(&["ingest", "run", "--flush-rows", "100", "--quiet"]);
        Running::start(command)
    }

    fn await_commits(&self, commits: usize) {
        let log = log_of(&self.project.path("lake"), CALLS);
        wait_until("commits", PATIENCE, || entries(&log) > commits);
    }

    /// Counts the offsets from 0 to `end` but those lost rightly, and has the lake verified.
    fn count(&self, end: usize, gone: std::ops::Range<usize>) -> Tally {
        self.project.ok(&["lake", "verify"]);
        let mut found: BTreeMap<usize, u64> = BTreeMap::new();
        for row in self.project.rows(&format!("SELECT kafka_offset FROM raw.{CALLS}")) {
            *found.entry(row.parse().expect("an offset")).or_default() += 1;
        }
        let due: Vec<usize> = (0..end).filter(|offset| !gone.contains(offset)).collect();
        assert!(found.keys().all(|offset| due.contains(offset)), "offsets that were never sent");
        let lost = due.iter().filter(|offset| !found.contains_key(offset)).count();
        let doubled = found.values().filter(|n| **n > 1).count();
        let numbers = [due.len(), lost, doubled].map(|n| n as u64);
        Tally { times: 0, records: numbers[0], lost: numbers[1], doubled: numbers[2] }
    }
}

/// Retention was shorter than the time no worker ran.
fn gone_before(season: &mut Season<'_>) -> Tally {
    let mut scene = Scene::new(season, "retention");
    scene.send(250);
    scene.run(&[]).succeeded();
    scene.send(400);
    let first = 251 + season.luck.below(399) as usize;
    season.admin.truncate(&scene.topic, 0, first as i64);
    refused(&scene, &scene.run(&[]), 250..first);
    scene.run(&["--accept-gap"]).succeeded();
    scene.count(scene.sent, 250..first)
}

/// A worker that stood still finds that what it was to read next is gone.
fn gone_meanwhile(season: &mut Season<'_>) -> Tally {
    let mut scene = Scene::new(season, "retention");
    scene.send(300);
    let worker = scene.start();
    scene.await_commits(3);
    worker.signal("STOP");
    // The answer to the fetch that was under way holds some of the first records, not the others.
    scene.send(100);
    scene.send(400);
    let first = 600 + season.luck.below(200) as usize;
    season.admin.truncate(&scene.topic, 0, first as i64);
    worker.signal("CONT");
    let ran = worker.finish();
    // What it had fetched before it stood still it may have committed.
    let rows = scene.project.number(&format!("SELECT count(*) FROM raw.{CALLS}")) as usize;
    refused(&scene, &ran, rows..first);
    scene.run(&["--accept-gap"]).succeeded();
    scene.count(scene.sent, rows..first)
}

/// Nothing was passed over in silence: the message names the range, and what accepts its loss.
fn refused(scene: &Scene, ran: &Ran, gone: std::ops::Range<usize>) {
    let range = format!("records {} to {} are gone", gone.start, gone.end - 1);
    ran.refused(1, &[&format!("{}/0", scene.topic), &range, "--accept-gap"]);
}

/// Offsets would begin again at 0: nothing of the new topic is read.
fn made_anew(season: &mut Season<'_>) -> Tally {
    let mut scene = Scene::new(season, "anew");
    scene.send(300);
    scene.run(&[]).succeeded();
    season.admin.delete(&scene.topic);
    season.admin.create(&scene.topic, 1);
    let before = scene.sent;
    scene.outlet = Outlet::new(season.broker.bootstrap());
    scene.send(500);
    for _ in 0..2 {
        scene.run(&[]).refused(1, &["was deleted and made anew", "another name"]);
    }
    scene.count(before, 0..0)
}

/// The lake's disk is full at some write of a commit; there is room again later.
fn full_disk(season: &mut Season<'_>) -> Tally {
    let mut scene = Scene::new(season, "disk");
    let disk = Disk::mount(scene.project.path("lake"));
    scene.send(300);
    scene.run(&[]).succeeded();
    for _ in 0..3 {
        scene.send(600);
        disk.fill(season.luck.below(60 << 10));
        scene.run(&[]).refused(1, &["No space left on device"]);
        disk.free();
        if season.luck.below(2) == 0 {
            scene.run(&[]).succeeded();
        }
    }
    scene.run(&[]).succeeded();
    scene.count(scene.sent, 0..0)
}

/// A small file system of memory.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder to mount on");
        succeed(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&folder));
        Self(folder)
    }

    /// Leaves so many bytes free.
    fn fill(&self, left: u64) {
        let output = succeed(Command::new("df").args(["-B1", "--output=avail"]).arg(&self.0));
        let text = String::from_utf8(output.stdout).expect("numbers");
        let free: u64 = text.lines().nth(1).and_then(|n| n.trim().parse().ok()).expect("a number");
        let ballast = vec![0; free.saturating_sub(left) as usize];
        std::fs::write(self.0.join("ballast"), ballast).expect("room for the ballast");
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("the ballast");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// Whether this process may mount file systems.
fn may_mount() -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mount = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(folder.path()).output();
    let mounted = mount.is_ok_and(|output| output.status.success());
    if mounted {
        drop(Disk(folder.path().to_owned()));
    }
    mounted
}
