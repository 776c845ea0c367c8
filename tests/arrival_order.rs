//! The order, the grouping and the repetition of events change no metric.

use domain::Stream;

use crate::support::metric_files::{assert_same_metrics, without_data_quality};
use crate::support::program::Project;
use crate::support::simulated_world::{SentRecord, SimulatedWorld, WorldSize, ndjson};

const CHUNKS: usize = 5;
/// An order in which late events arrive for days that the rollups hold.
const ARRIVAL_ORDER: [usize; CHUNKS] = [1, 0, 2, 4, 3];

#[test]
fn events_in_any_order_and_repeated_give_the_same_metrics() {
    let world = SimulatedWorld::new(WorldSize { seed: 5, partners: 50, events: 6_000, days: 60 });
    let end = world.end();
    let whole = Project::new();
    world.load(&whole);
    let expected = without_data_quality(whole.run_all_metrics(&end));

    let in_chunks = Project::new();
    world.write_csv_files(&in_chunks);
    for chunk in ARRIVAL_ORDER {
        for stream in Stream::ALL {
            let records = world.time_independent_records(stream);
            in_chunks.write("piece.ndjson", ndjson(chunk_of(&records, chunk)));
            world.load_file(&in_chunks, stream, "piece.ndjson");
        }
        in_chunks.run_all_metrics(&end);
    }
    assert_same_metrics(
        &expected,
        &without_data_quality(in_chunks.run_all_metrics(&end)),
        "pieces",
    );
    assert_eq!(in_chunks.row_counts(), whole.row_counts());

    // The same bytes again, under another name and through a pipe.
    for stream in Stream::ALL {
        let records = world.time_independent_records(stream);
        in_chunks.write("again.ndjson", ndjson(chunk_of(&records, 3)));
        let name = stream.to_string();
        let output = in_chunks.run_ok(&["ingest", "load", "--stream", &name, "again.ndjson"]);
        assert!(output.starts_with("Nothing new"), "{output}");
        let mut piped = in_chunks.command(&["ingest", "load", "--stream", &name, "-"]);
        piped.stdin(std::fs::File::open(in_chunks.path("again.ndjson")).expect("the piece"));
        assert!(piped.output().expect("the program can be run").status.success());
    }
    assert_eq!(in_chunks.row_counts(), whole.row_counts());
    assert_same_metrics(
        &expected,
        &without_data_quality(in_chunks.run_all_metrics(&end)),
        "pieces loaded twice",
    );
}

fn chunk_of(records: &[SentRecord], chunk: usize) -> &[SentRecord] {
    let bound = |n: usize| records.len() * n / CHUNKS;
    &records[bound(chunk)..bound(chunk + 1)]
}
