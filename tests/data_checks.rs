//! A metric that violates a check of severity error is not published; its last good rows stay.

use crate::support::program::Project;
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

/// A check that fails from February on.
const CHECK: &str = "/*---
description = \"growth ends with January\"
---*/
SELECT month, active FROM growth WHERE month >= '2026-02-01' ORDER BY month
";

const VIOLATION_MESSAGE: &str =
    "a row fails the check growth ends with January: month = 2026-02-01, active = ";

#[test]
fn a_failing_check_holds_the_metric_back_and_keeps_its_last_good_rows() {
    let world = SimulatedWorld::new(WorldSize { seed: 31, partners: 30, events: 3_000, days: 70 });
    let project = Project::new();
    world.load(&project);
    std::fs::create_dir_all(project.path("queries/checks")).expect("a folder");
    project.write("queries/checks/january.sql", CHECK);

    let january = ["report", "--out", "site", "--as-of", "2026-02-01"];
    let march = ["report", "--out", "site", "--as-of", "2026-03-01"];
    let page = |name: &str| std::fs::read_to_string(project.path(&format!("site/{name}")));
    let is_held_back = || page("growth.html").expect("a page").contains("Held back.");
    project.run_ok(&january);
    assert!(!is_held_back());
    let good = page("data/growth.csv").expect("rows");

    let result = project.run(&march).expect_success();
    let stderr = result.stderr.clone();
    assert!(
        stderr.contains(VIOLATION_MESSAGE) && stderr.contains("shows growth as it was last"),
        "{stderr}"
    );
    assert_eq!(page("data/growth.csv").expect("rows"), good);
    let growth = page("growth.html").expect("a page");
    assert!(
        growth.replace('\u{a0}', " ").contains("What is shown is as of 1 Feb 2026."),
        "{growth}"
    );
    // Each section says that it is held back; the reason stands on the page of the metric.
    let reason_link = "href=\"sql/growth.html\">Why growth is held back</a>";
    assert!(growth.contains(reason_link) && !growth.contains(VIOLATION_MESSAGE));
    assert!(page("index.html").expect("a page").contains(reason_link));
    for name in ["metrics.html", "sql/growth.html"] {
        assert!(page(name).expect("a page").contains(VIOLATION_MESSAGE), "{name}");
    }
    let funnel = page("funnel.html").expect("a page");
    assert!(!funnel.contains("Held back."), "the funnel does not read growth");
    // A second report still shows the rows of January.
    project.run_ok(&march);
    assert_eq!(page("data/growth.csv").expect("rows"), good);

    let run = |as_of: &str| {
        project.run(&["metrics", "run", "growth", "funnel", "--as-of", as_of, "--out", "files"])
    };
    run("2026-02-01").expect_success();
    let file = || std::fs::read(project.path("files/growth.csv")).expect("a file");
    let good = file();
    let result = run("2026-03-01");
    assert_eq!(result.code, Some(3));
    let stderr = result.stderr.clone();
    let renamed_message =
        "held back by a check: growth; what an earlier run wrote of them ends in .held now";
    assert!(stderr.contains(renamed_message), "{stderr}");
    assert!(
        !project.path("files/growth.csv").exists() && project.path("files/funnel.csv").exists()
    );
    assert_eq!(std::fs::read(project.path("files/growth.csv.held")).expect("a file"), good);

    // With a check that only warns the metric is published.
    project.write(
        "queries/checks/january.sql",
        CHECK.replace("---\ndesc", "---\nseverity = \"warn\"\ndesc"),
    );
    let result = project.run(&march).expect_success();
    assert!(result.stderr.contains("rapport: warning: january: "));
    assert!(!is_held_back());
}
