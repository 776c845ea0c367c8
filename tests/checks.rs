//! What a check of severity error finds is not published; the last good rows stay and say so.

use crate::program::Project;
use crate::simulated::{Simulated, Size};

/// Wrong from February on.
const CHECK: &str = "/*---
description = \"growth ends with January\"
---*/
SELECT month, active FROM growth WHERE month >= '2026-02-01' ORDER BY month
";

const SAID: &str = "a row fails the check growth ends with January: month = 2026-02-01, active = ";

#[test]
fn a_failing_check_keeps_the_last_good_rows() {
    let world = Simulated::new(Size { seed: 31, partners: 30, events: 3_000, days: 70 });
    let project = Project::new();
    world.load(&project);
    std::fs::create_dir_all(project.path("queries/checks")).expect("a folder");
    project.write("queries/checks/january.sql", CHECK);

    let january = ["report", "--out", "site", "--as-of", "2026-02-01"];
    let march = ["report", "--out", "site", "--as-of", "2026-03-01"];
    let page = |name: &str| std::fs::read_to_string(project.path(&format!("site/{name}")));
    let held = || page("growth.html").expect("a page").contains("Held back.");
    project.ok(&january);
    assert!(!held());
    let good = page("data/growth.csv").expect("rows");

    let ran = project.run(&march).succeeded();
    let said = ran.stderr.clone();
    assert!(said.contains(SAID) && said.contains("shows growth as it was last"), "{said}");
    assert_eq!(page("data/growth.csv").expect("rows"), good);
    let growth = page("growth.html").expect("a page");
    assert!(
        growth.replace('\u{a0}', " ").contains("What is shown is as of 1 Feb 2026."),
        "{growth}"
    );
    // Each of its sections says so; why stands where the metric does.
    let why = "href=\"sql/growth.html\">Why growth is held back</a>";
    assert!(growth.contains(why) && !growth.contains(SAID));
    assert!(page("index.html").expect("a page").contains(why));
    for whole in ["metrics.html", "sql/growth.html"] {
        assert!(page(whole).expect("a page").contains(SAID), "{whole}");
    }
    let funnel = page("funnel.html").expect("a page");
    assert!(!funnel.contains("Held back."), "the funnel does not read growth");
    // A second time: the rows shown are still those of January.
    project.ok(&march);
    assert_eq!(page("data/growth.csv").expect("rows"), good);

    let run = |as_of: &str| {
        project.run(&["metrics", "run", "growth", "funnel", "--as-of", as_of, "--out", "files"])
    };
    run("2026-02-01").succeeded();
    let file = || std::fs::read(project.path("files/growth.csv")).expect("a file");
    let good = file();
    let ran = run("2026-03-01");
    assert_eq!(ran.code, Some(3));
    let said = ran.stderr.clone();
    let aside = "held back by a check: growth; what an earlier run wrote of them ends in .held now";
    assert!(said.contains(aside), "{said}");
    assert!(
        !project.path("files/growth.csv").exists() && project.path("files/funnel.csv").exists()
    );
    assert_eq!(std::fs::read(project.path("files/growth.csv.held")).expect("a file"), good);

    // Repaired, it is published.
    project.write(
        "queries/checks/january.sql",
        CHECK.replace("---\ndesc", "---\nseverity = \"warn\"\ndesc"),
    );
    let ran = project.run(&march).succeeded();
    assert!(ran.stderr.contains("rapport: warning: january: "));
    assert!(!held());
}
