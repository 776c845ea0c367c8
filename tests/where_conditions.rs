//! `--where`: an error in a condition is reported with its position; subqueries and `$as_of` work.

use crate::support::program::Project;
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

const AS_OF: &str = "2026-02-01";

#[test]
fn errors_in_a_where_condition_are_reported_with_their_position() {
    let world = SimulatedWorld::new(WorldSize { seed: 5, partners: 12, events: 400, days: 40 });
    let project = Project::new();
    world.load(&project);
    let run_growth = |condition: &str| {
        project.run(&["metrics", "run", "growth", "--as-of", AS_OF, "--where", condition])
    };
    let count_runs = || project.query_number("SELECT count(*) FROM runs");
    let before = count_runs();
    for (condition, column, messages) in [
        ("count(*) > 1", 1, ["`count` is over many rows", "IN (SELECT"]),
        ("plan = 'x' OR max(quota_per_minute) > 1", 15, ["`max` is over many rows", "^^^"]),
        ("row_number() OVER (ORDER BY plan) = 1", 1, ["`row_number` OVER", "view"]),
        ("sum(1) OVER () > 1", 1, ["`sum` OVER", "view"]),
        ("CAST(partner_id AS INT) = 1 AND plan = 'a'", 6, ["Cannot cast string", "TRY_CAST"]),
        ("1 / 0 = 1", 1, ["ivide by zero", "NULLIF"]),
        ("quota_per_minute / 0 > 1", 1, ["ivide by zero", "NULLIF"]),
        ("live > 'soon' AND partner_id = 'a'", 1, ["soon", "TRY_CAST"]),
        ("partner_id IN (SELECT partner_id FROM nonesuch)", 39, ["no table `nonesuch`", "^^^"]),
        ("partner_id IN (SELECT nothing FROM partners)", 23, ["no column `nothing`", "^^^"]),
        ("live < $now", 8, ["there is no parameter `$now`", "$as_of"]),
        ("live < now()", 8, ["`now` gives something else", "$as_of"]),
        ("segmnt = 'a'", 1, ["there is no column `segmnt`", "did you mean `segment`?"]),
        ("nosuch(plan)", 1, ["there is no function `nosuch`", "help"]),
        ("segment", 1, ["a condition is a Boolean, and this is", "Utf8"]),
        ("segment = ", 1, ["xpected", "^"]),
        ("TRUE) OR (TRUE", 5, ["the end of the condition", ")"]),
        ("TRUE; DROP TABLE x", 5, ["the end of the condition", ";"]),
        ("", 1, ["xpected", "^"]),
    ] {
        let result = run_growth(condition);
        let position = format!("rapport: --where:1:{column}: ");
        result.expect_error(2, &[&position, messages[0], messages[1]]);
        for dump in [" { ", "Some(", "Expr::", "Error(", "backtrace"] {
            assert!(!result.stderr.contains(dump), "{condition}: {result}");
        }
    }
    assert_eq!(count_runs(), before, "a refused command records no run");

    // The condition selects partners as of the given instant.
    let csv = |condition: &str| {
        let flags = ["metrics", "run", "growth", "--as-of", AS_OF, "--format", "csv", "--where"];
        project.run_ok(&[&flags[..], &[condition]].concat())
    };
    assert_eq!(csv("live < $as_of OR live IS NULL"), csv("TRUE"));
    let busy = "partner_id IN (SELECT partner_id FROM partner_reliability WHERE calls > 20)";
    let busiest = "SELECT partner_id FROM partner_reliability WHERE calls > 20";
    let ids = project.run_ok(&["sql", busiest, "--as-of", AS_OF, "--format", "csv"]);
    let ids: Vec<String> = ids.lines().skip(1).map(|id| format!("'{id}'")).collect();
    assert!(!ids.is_empty());
    assert_eq!(csv(busy), csv(&format!("partner_id IN ({})", ids.join(", "))));
    assert_ne!(csv(busy), csv("TRUE"));
    assert_eq!(csv("EXISTS (SELECT 1 FROM partners WHERE FALSE)"), csv("FALSE"));
    assert_eq!(csv("TRY_CAST(partner_id AS INT) = 1"), csv("FALSE"));
}
