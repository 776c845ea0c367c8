//! Metrics of loaded files against their recomputation in plain Rust.

use lake_types::Stream;

use crate::program::Project;
use crate::simulated::{Simulated, Size, check_tables, truth};

#[test]
fn metrics_equal_their_recomputation() {
    let size = Size { seed: 11, partners: 90, events: 15_000, days: 120 };
    let world = Simulated::new(size);
    let project = Project::new();
    world.load(&project);
    for stream in Stream::ALL {
        check_tables(&project, stream, &truth(&world.timeless(stream)));
    }
    // The end of a month, the middle of one, the end of the world.
    world.check_metrics(&project, &["2026-02-01", "2026-03-17", "2026-05-01"]);
}
