//! `--where` gives the metrics of a lake with the selected partners only, and the groups of `--by`
//! add up to the whole.

use std::collections::{BTreeMap, BTreeSet};

use domain::Stream;

use crate::support::metric_files::assert_same_metrics;
use crate::support::program::Project;
use crate::support::simulated_world::{SimulatedWorld, WorldSize, ndjson};

/// The metric of the lake as a whole, which has no slices.
const WITHOUT_SLICES: &str = "data_quality";

#[test]
fn a_where_slice_equals_a_lake_of_its_partners() {
    let world = SimulatedWorld::new(WorldSize { seed: 23, partners: 80, events: 8_000, days: 90 });
    let end = world.end();
    let whole = Project::new();
    world.load(&whole);
    whole.run_all_metrics(&end);
    let condition = "segment IN ('marketplaces', 'fintech') AND NOT coalesce(region = 'EU', FALSE)";
    let ids: BTreeSet<String> = whole
        .query_rows(&format!(
            "SELECT p.partner_id FROM partners p WHERE {condition} UNION ALL \
             SELECT m.partner_id FROM merge_map m JOIN partners p ON p.partner_id = m.survivor \
             WHERE {condition}"
        ))
        .into_iter()
        .collect();
    assert!((5..60).contains(&ids.len()), "{} partners are no slice worth a test", ids.len());

    let sliced_lake = Project::new();
    world.write_csv_files(&sliced_lake);
    for stream in Stream::ALL {
        let records: Vec<_> = world
            .time_independent_records(stream)
            .into_iter()
            .filter(|r| ids.contains(&r.key))
            .collect();
        sliced_lake.write("theirs.ndjson", ndjson(&records));
        world.load_file(&sliced_lake, stream, "theirs.ndjson");
    }
    let names = sliceable_metrics(&whole);
    let run = |project: &Project, flags: &[&str]| -> Vec<(String, Vec<u8>)> {
        let mut arguments = vec!["metrics", "run", "--as-of", &end, "--out", "sliced"];
        arguments.extend(names.iter().map(String::as_str));
        arguments.extend(flags);
        project.run_ok(&arguments);
        let file = |name: &String| project.path(&format!("sliced/{name}.csv"));
        let read = |name: &String| std::fs::read(file(name)).expect("a metric's file");
        names.iter().map(|name| (name.clone(), read(name))).collect()
    };
    assert_same_metrics(&run(&sliced_lake, &[]), &run(&whole, &["--where", condition]), "a slice");
    whole
        .run(&["metrics", "run", WITHOUT_SLICES, "--as-of", "2026-03-01", "--where", condition])
        .expect_error(2, &["which holds every partner"]);
}

#[test]
fn the_groups_of_by_add_up_to_the_whole() {
    let world = SimulatedWorld::new(WorldSize { seed: 29, partners: 80, events: 8_000, days: 120 });
    let project = Project::new();
    world.load(&project);
    let end = world.end();
    let sums: [(&str, &[&str], &[&str]); 18] = [
        ("funnel", &["cohort_month"], &["registered", "sandbox", "production", "revenue"]),
        ("activation", &["cohort_month"], &["partners", "observed", "activated", "ever_activated"]),
        ("growth", &["month"], &["active", "new", "retained", "resurrected", "churned"]),
        (
            "cohort_retention",
            &["cohort_month", "months_since"],
            &["cohort_size", "active", "churned", "calls", "gross"],
        ),
        ("revenue_summary", &["month"], &["gross", "net", "paying_partners"]),
        ("partner_reliability", &["partner_id"], &["calls"]),
        ("onboarding_steps", &["cohort_month", "step", "name"], &["reached", "waiting"]),
        ("time_to_production", &["cohort_month"], &["partners", "reached"]),
        ("self_service", &["cohort_month"], &["live", "touchless", "tickets_before_live"]),
        (
            "free_to_paid",
            &["cohort_month"],
            &["partners", "live", "paid", "unpaid_live", "unpaid_calls", "unpaid_tickets"],
        ),
        ("revenue_by_kind", &["month", "kind"], &["amount", "partners"]),
        ("payment_failures", &["partner_id"], &["failed"]),
        (
            "reconciliation",
            &["month", "partner_id", "product"],
            &["metered", "billed", "difference"],
        ),
        ("attention", &["partner_id"], &["tickets", "gross", "calls"]),
        ("credential_hygiene", &["partner_id", "credential_id"], &["calls_28d"]),
        ("retry_hygiene", &["partner_id"], &["throttled", "retried_1s"]),
        ("endpoint_usage", &["month", "product", "method", "endpoint"], &["partners", "calls"]),
        ("programme_value", &["month"], &["gross"]),
    ];
    let run = |flags: &[&str]| -> Vec<Totals> {
        let mut arguments = vec!["metrics", "run", "--as-of", &end, "--out", "parts"];
        arguments.extend(sums.iter().map(|(name, ..)| *name).chain(flags.iter().copied()));
        project.run_ok(&arguments);
        let of = |(name, grain, columns): &(&str, &[&str], &[&str])| {
            let file = project.path(&format!("parts/{name}.csv"));
            totals(&std::fs::read_to_string(file).expect("a file"), grain, columns)
        };
        sums.iter().map(of).collect()
    };
    let whole = run(&[]);
    // Few payments fail in this world; the first metrics have more rows.
    assert!(whole.iter().all(|sums| sums.len() > 1), "{whole:?}");
    assert!(whole[..6].iter().all(|sums| sums.len() > 3), "{whole:?}");
    for by in ["segment", "manager", "integration_level,region"] {
        assert_eq!(run(&["--by", by]), whole, "by {by}");
    }

    let check_refused = |flags: &[&str], messages: &[&str]| {
        let mut arguments = vec!["metrics", "run", "funnel", "--as-of", "2026-03-01"];
        arguments.extend(flags);
        project.run(&arguments).expect_error(2, messages);
    };
    check_refused(&["--where", "segmnt = 'a'"], &["--where", "segmnt"]);
    check_refused(&["--where", "segment = "], &["--where", "xpected"]);
    check_refused(&["--where", "TRUE) OR (TRUE"], &["--where"]);
    check_refused(&["--where", "segment"], &["--where", "oolean"]);
    check_refused(&["--by", "colour"], &["--by", "\"colour\"", "segment, plan, region"]);

    std::fs::create_dir_all(project.path("queries/metrics")).expect("a folder");
    project.write(
        "queries/metrics/calls_by_region.sql",
        "/*---\ndescription = \"calls\"\ngrain = [\"region\"]\n[columns]\nregion = { type = \"Utf8\" }\ncalls = { type = \"Int64\" }\n---*/\n\
         SELECT p.region, sum(u.calls) AS calls FROM usage_day u\n\
         LEFT JOIN partners p ON p.partner_id = u.partner_id GROUP BY p.region ORDER BY p.region\n",
    );
    let by = ["metrics", "run", "calls_by_region", "--as-of", &end, "--format", "csv", "--by"];
    project
        .run(&[&by[..], &["segment,region"]].concat())
        .expect_error(2, &["--by region: calls_by_region has a column region already"]);
    // A repeated attribute counts once.
    let csv = project.run_ok(&[&by[..], &["segment,plan,segment"]].concat());
    assert!(csv.starts_with("segment,plan,region,calls\n"), "{csv}");
}

/// Returns every metric that can be sliced.
fn sliceable_metrics(project: &Project) -> Vec<String> {
    let list = project.run_ok(&["metrics", "list", "--format", "csv"]);
    let metrics = list.lines().filter_map(|line| {
        let (name, rest) = line.split_once(',')?;
        rest.starts_with("metric,").then(|| name.to_owned())
    });
    metrics.filter(|name| name != WITHOUT_SLICES).collect()
}

/// The sums by grain and column.
type Totals = BTreeMap<(Vec<String>, String), i128>;

/// Sums each column over the rows of each grain, decimals in units of their last digit.
fn totals(csv: &str, grain: &[&str], columns: &[&str]) -> Totals {
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let at = |name: &str| header.iter().position(|h| h == name).expect("a column");
    let mut sums = BTreeMap::new();
    for row in reader.records() {
        let row = row.expect("a row");
        let key: Vec<String> = grain.iter().map(|g| row[at(g)].to_owned()).collect();
        for column in columns {
            let value: i128 = row[at(column)].replace('.', "").parse().expect("a number");
            // A group may have no row where the whole has one, or a row of 0.
            if value != 0 {
                *sums.entry((key.clone(), (*column).to_owned())).or_default() += value;
            }
        }
    }
    sums
}
