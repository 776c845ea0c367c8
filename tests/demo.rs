//! `rapport demo` ends with a report; a second run duplicates nothing, and a kill loses nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use domain::Stream;

use crate::support::metric_files::assert_same_metrics;
use crate::support::program::{
    ProgramOutput, Project, RunningProgram, count_entries, rapport_command, run, wait_until,
};
use crate::support::simulated_world::{
    WorldSize, check_metrics, check_row_counts, expected_counts_of, raw_table_folder,
};

/// The memory that the demo may use, in KiB.
const MEMORY_LIMIT: u64 = 2 << 20;
/// How long the large demo may take.
const TIMEOUT: Duration = Duration::from_secs(3_600);

/// Returns the size of the world, and the days to compute metrics for: the end of a month, the
/// middle of one, and the end.
fn size() -> (WorldSize, [&'static str; 3]) {
    if std::env::var_os("RAPPORT_LARGE").is_some() {
        let size = WorldSize { seed: 1, partners: 2_000, events: 5_000_000, days: 180 };
        return (size, ["2026-03-01", "2026-05-17", "2026-06-30"]);
    }
    let size = WorldSize { seed: 1, partners: 60, events: 20_000, days: 90 };
    (size, ["2026-02-01", "2026-03-17", "2026-04-01"])
}

fn demo_command(project: &Project, size: WorldSize) -> Command {
    let mut command = rapport_command();
    command.arg("demo").args(size.flags()).arg("--dir").arg(project.path("."));
    command
}

#[test]
fn a_demo_ends_with_a_report_and_a_second_run_changes_nothing() {
    let (size, days) = size();
    let project = Project::empty();
    let (result, memory) = run_measuring_memory(demo_command(&project, size));
    let output = result.expect_success().stdout_text();
    for word in ["events in", "accepted", "copies", "rejected", "partners", "tiers", "Open "] {
        assert!(output.contains(word), "no \"{word}\" in {output}");
    }
    assert!(memory < MEMORY_LIMIT, "the demo held {memory} KiB");
    check_pages(&project.path("report"), size.partners);
    check_tables_hold_world(&project, size);
    let world = fixtures::world(size.options()).expect("a world");
    check_metrics(&world, &project, &days);

    let counts = project.row_counts();
    let metrics = project.run_all_metrics(days[2]);
    let scores = project.query_number("SELECT count(*) FROM partner_health");
    run(demo_command(&project, size)).expect_success();
    assert_eq!(project.row_counts(), counts);
    assert_same_metrics(&metrics, &project.run_all_metrics(days[2]), "the second run");
    assert_eq!(project.query_number("SELECT count(*) FROM partner_health"), scores);
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn a_demo_that_is_killed_continues_where_it_ended() {
    let size = WorldSize { seed: 2, partners: 40, events: 5_000, days: 60 };
    let undisturbed = Project::empty();
    run(demo_command(&undisturbed, size)).expect_success();
    let killed = Project::empty();
    let calls = raw_table_folder(&killed.path("."), Stream::ApiCalls);
    // Files that are there show the moment to kill at: files without a commit, a commit of one
    // table and not of the others, some of the rollups, scores without a plan.
    let moments = [
        ("files, no commit", calls.join("event_date=2026-01-03"), 1),
        ("the first table's commit", calls.join("_delta_log"), 2),
        ("rollups", killed.path("lake/rollup/partner_day/_delta_log"), 2),
        ("scores", killed.path("lake/scores/partner_health/_delta_log"), 2),
    ];
    for (moment, folder, awaited) in &moments {
        let mut running = RunningProgram::start(demo_command(&killed, size));
        wait_until(moment, TIMEOUT, || running.has_ended() || count_entries(folder) >= *awaited);
        running.kill();
    }
    run(demo_command(&killed, size)).expect_success();
    assert_eq!(killed.row_counts(), undisturbed.row_counts());
    check_tables_hold_world(&killed, size);
    let end = size.options().end().to_string();
    assert_same_metrics(
        &undisturbed.run_all_metrics(&end),
        &killed.run_all_metrics(&end),
        "the demo that was killed",
    );
    killed.run_ok(&["lake", "verify"]);
}

/// Runs a command to its end, and returns the most memory it used, in KiB.
fn run_measuring_memory(command: Command) -> (ProgramOutput, u64) {
    let mut running = RunningProgram::start(command);
    let mut memory = 0;
    wait_until("the demo", TIMEOUT, || {
        memory = running.peak_memory().max(memory);
        running.has_ended()
    });
    (running.finish(), memory)
}

/// Checks that the tables hold what was sent, and each dead letter its reason.
fn check_tables_hold_world(project: &Project, size: WorldSize) {
    let world = fixtures::world(size.options()).expect("a world");
    for stream in Stream::ALL {
        let of_stream = world.records().filter(|record| record.stream == stream);
        check_row_counts(project, stream, &expected_counts_of(of_stream.map(|record| record.kind)));
    }
    let mut expected: Vec<String> = world
        .records()
        .filter_map(|record| match record.kind {
            fixtures::RecordKind::Malformed(fault) => {
                Some(format!("{},{},{}", record.stream, fault.reason, fault.field.unwrap_or("")))
            }
            _ => None,
        })
        .collect();
    expected.sort_unstable();
    let mut found = project.query_rows("SELECT stream, reason, field FROM dead_letters");
    found.sort_unstable();
    assert_eq!(found, expected);
}

/// Checks that the pages exist, and everything that a reachable page links to.
fn check_pages(report: &Path, partners: u32) {
    let mut next = vec![report.join("index.html")];
    let mut seen = BTreeSet::new();
    while let Some(page) = next.pop() {
        let text = std::fs::read_to_string(&page).expect("a page");
        assert!(text.trim_end().ends_with("</html>"), "{} is cut off", page.display());
        let folder = page.parent().expect("a folder");
        for link in local_links(&text) {
            let target = folder.join(link);
            let path = target.canonicalize();
            let path = path.unwrap_or_else(|e| panic!("{} → {link}: {e}", page.display()));
            if link.ends_with(".html") && seen.insert(path.clone()) {
                next.push(path);
            }
        }
    }
    let pages: Vec<_> = seen.iter().filter_map(|page| page.file_name()?.to_str()).collect();
    let named =
        ["index", "funnel", "activation", "growth", "revenue", "service", "health", "actions"];
    for name in named.into_iter().chain(["alerts", "data"]) {
        let page = format!("{name}.html");
        assert!(pages.contains(&page.as_str()), "no {page} among {pages:?}");
    }
    let of_partners =
        seen.iter().filter(|page| page.parent().is_some_and(|p| p.ends_with("partners")));
    let of_partners = of_partners.count();
    assert!(of_partners > partners as usize / 2, "{of_partners} pages of partners are linked");
}

/// Returns the relative links of a page, without their fragments.
fn local_links(html: &str) -> Vec<&str> {
    let links =
        ["href=\"", "src=\""].into_iter().flat_map(|attribute| html.split(attribute).skip(1));
    links
        .map(|rest| rest.split(['"', '#', '?']).next().unwrap_or(""))
        .filter(|link| !link.is_empty() && !link.contains(':'))
        .collect()
}
