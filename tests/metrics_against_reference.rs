//! Metrics of loaded files equal their recomputation in plain Rust.

use domain::Stream;

use crate::support::program::Project;
use crate::support::simulated_world::{
    SimulatedWorld, WorldSize, check_row_counts, expected_counts,
};

#[test]
fn metrics_equal_their_recomputation_in_plain_rust() {
    let size = WorldSize { seed: 11, partners: 120, events: 24_000, days: 180 };
    let world = SimulatedWorld::new(size);
    let project = Project::new();
    world.load(&project);
    for stream in Stream::ALL {
        check_row_counts(
            &project,
            stream,
            &expected_counts(&world.time_independent_records(stream)),
        );
    }
    // The end of a month, the middle of one, the end of the world.
    let empty = world.check_metrics(&project, &["2026-02-01", "2026-05-17", "2026-06-30"]);
    assert!(empty.is_empty(), "{empty:?} have no row to compare");
}
