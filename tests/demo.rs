//! `rapport demo`: a report at its end, nothing doubled by a second run, nothing lost by a kill.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lake_types::Stream;

use crate::pieces::assert_same;
use crate::program::{Project, Ran, Running, entries, rapport, run, wait_until};
use crate::simulated::{Size, check_metrics, check_tables, raw, truth_of};

/// What the demo may hold in memory, KiB.
const MOST_MEMORY: u64 = 2 << 20;
/// How long the large demo may take.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The world of the test, and days to look at: the end of a month, the middle of one, the end.
fn size() -> (Size, [&'static str; 3]) {
    if std::env::var_os("RAPPORT_LARGE").is_some() {
        let size = Size { seed: 1, partners: 2_000, events: 5_000_000, days: 180 };
        return (size, ["2026-03-01", "2026-05-17", "2026-06-30"]);
    }
    let size = Size { seed: 1, partners: 60, events: 20_000, days: 90 };
    (size, ["2026-02-01", "2026-03-17", "2026-04-01"])
}

fn demo(project: &Project, size: Size) -> Command {
    let mut command = rapport();
    command.arg("demo").args(size.flags()).arg("--dir").arg(project.path("."));
    command
}

#[test]
fn a_demo_ends_with_a_report_and_runs_again() {
    let (size, days) = size();
    let project = Project::empty();
    let (ran, memory) = measured(demo(&project, size));
    let said = ran.succeeded().text();
    for word in ["events in", "accepted", "copies", "rejected", "partners", "tiers", "Open "] {
        assert!(said.contains(word), "no \"{word}\" in {said}");
    }
    assert!(memory < MOST_MEMORY, "the demo held {memory} KiB");
    check_pages(&project.path("report"), size.partners);
    check_world(&project, size);
    let world = fixtures::world(size.options()).expect("a world");
    check_metrics(&world, &project, &days);

    let counts = project.counts();
    let metrics = project.metrics(days[2]);
    let scores = project.number("SELECT count(*) FROM partner_health");
    run(demo(&project, size)).succeeded();
    assert_eq!(project.counts(), counts);
    assert_same(&metrics, &project.metrics(days[2]), "the second run");
    assert_eq!(project.number("SELECT count(*) FROM partner_health"), scores);
    project.ok(&["lake", "verify"]);
}

#[test]
fn a_demo_killed_on_the_way_goes_on() {
    let size = Size { seed: 2, partners: 40, events: 5_000, days: 60 };
    let undisturbed = Project::empty();
    run(demo(&undisturbed, size)).succeeded();
    let killed = Project::empty();
    let calls = raw(&killed.path("."), Stream::ApiCalls);
    // Each moment shows by what is there: files without a commit, one table's commit without its
    // siblings', rollups in part, scores without a plan.
    let moments = [
        ("files, no commit", calls.join("event_date=2026-01-03"), 1),
        ("the first table's commit", calls.join("_delta_log"), 2),
        ("rollups", killed.path("lake/rollup/partner_day/_delta_log"), 2),
        ("scores", killed.path("lake/scores/partner_health/_delta_log"), 2),
    ];
    for (moment, folder, due) in &moments {
        let mut running = Running::start(demo(&killed, size));
        wait_until(moment, PATIENCE, || running.has_ended() || entries(folder) >= *due);
        running.kill();
    }
    run(demo(&killed, size)).succeeded();
    assert_eq!(killed.counts(), undisturbed.counts());
    check_world(&killed, size);
    let end = size.options().end().to_string();
    assert_same(&undisturbed.metrics(&end), &killed.metrics(&end), "the demo that was killed");
    killed.ok(&["lake", "verify"]);
}

/// Runs a command to its end; the most memory it was seen to hold, KiB.
fn measured(command: Command) -> (Ran, u64) {
    let mut running = Running::start(command);
    let mut memory = 0;
    wait_until("the demo", PATIENCE, || {
        memory = running.peak_memory().max(memory);
        running.has_ended()
    });
    (running.finish(), memory)
}

/// The tables hold what was sent, each dead letter with the reason it was made for.
fn check_world(project: &Project, size: Size) {
    let world = fixtures::world(size.options()).expect("a world");
    for stream in Stream::ALL {
        let of_stream = world.records().filter(|record| record.stream == stream);
        check_tables(project, stream, &truth_of(of_stream.map(|record| record.kind)));
    }
    let mut faults: Vec<String> = world
        .records()
        .filter_map(|record| match record.kind {
            fixtures::Kind::Malformed(fault) => {
                Some(format!("{},{},{}", record.stream, fault.reason, fault.field.unwrap_or("")))
            }
            _ => None,
        })
        .collect();
    faults.sort_unstable();
    let mut found = project.rows("SELECT stream, reason, field FROM dead_letters");
    found.sort_unstable();
    assert_eq!(found, faults);
}

/// The pages are there, and so is everything that one which can be reached links to.
fn check_pages(report: &Path, partners: u32) {
    let mut next = vec![report.join("index.html")];
    let mut seen = BTreeSet::new();
    while let Some(page) = next.pop() {
        let text = std::fs::read_to_string(&page).expect("a page");
        assert!(text.trim_end().ends_with("</html>"), "{} is cut off", page.display());
        let folder = page.parent().expect("a folder");
        for link in local_links(&text) {
            let target = folder.join(link);
            let whole = target.canonicalize();
            let whole = whole.unwrap_or_else(|e| panic!("{} → {link}: {e}", page.display()));
            if link.ends_with(".html") && seen.insert(whole.clone()) {
                next.push(whole);
            }
        }
    }
    let pages: Vec<_> = seen.iter().filter_map(|page| page.file_name()?.to_str()).collect();
    for page in ["index.html", "funnel.html", "growth.html", "revenue.html", "health.html"] {
        assert!(pages.contains(&page), "no {page} among {pages:?}");
    }
    let of_partners =
        seen.iter().filter(|page| page.parent().is_some_and(|p| p.ends_with("partners")));
    let of_partners = of_partners.count();
    assert!(of_partners > partners as usize / 2, "{of_partners} pages of partners are linked");
}

/// What a page links to beside it, without the place in the page.
fn local_links(html: &str) -> Vec<&str> {
    let links =
        ["href=\"", "src=\""].into_iter().flat_map(|attribute| html.split(attribute).skip(1));
    links
        .map(|rest| rest.split(['"', '#', '?']).next().unwrap_or(""))
        .filter(|link| !link.is_empty() && !link.contains(':'))
        .collect()
}
