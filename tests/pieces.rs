//! However a stream is cut and ordered, and however often it comes: the same metrics.

use lake_types::Stream;

use crate::program::Project;
use crate::simulated::{Sent, Simulated, Size, lines};

const PIECES: usize = 5;
/// An order of arrival in which days come back that the rollups have seen.
const ORDER: [usize; PIECES] = [1, 0, 2, 4, 3];

#[test]
fn pieces_give_the_metrics_of_the_whole() {
    let world = Simulated::new(Size { seed: 5, partners: 50, events: 6_000, days: 60 });
    let end = world.end();
    let whole = Project::new();
    world.load(&whole);
    let expected = of_events(whole.metrics(&end));

    let pieces = Project::new();
    world.share_tables(&pieces);
    for piece in ORDER {
        for stream in Stream::ALL {
            let records = world.timeless(stream);
            pieces.write("piece.ndjson", lines(part(&records, piece)));
            world.load_file(&pieces, stream, "piece.ndjson");
        }
        pieces.metrics(&end);
    }
    assert_same(&expected, &of_events(pieces.metrics(&end)), "pieces");
    assert_eq!(pieces.counts(), whole.counts());

    // The same bytes again, under another name and through a pipe.
    for stream in Stream::ALL {
        let records = world.timeless(stream);
        pieces.write("again.ndjson", lines(part(&records, 3)));
        let name = stream.to_string();
        let said = pieces.ok(&["ingest", "load", "--stream", &name, "again.ndjson"]);
        assert!(said.starts_with("Nothing new"), "{said}");
        let mut piped = pieces.command(&["ingest", "load", "--stream", &name, "-"]);
        piped.stdin(std::fs::File::open(pieces.path("again.ndjson")).expect("the piece"));
        assert!(piped.output().expect("the program can be run").status.success());
    }
    assert_eq!(pieces.counts(), whole.counts());
    assert_same(&expected, &of_events(pieces.metrics(&end)), "pieces loaded twice");
}

fn part(records: &[Sent], piece: usize) -> &[Sent] {
    let bound = |n: usize| records.len() * n / PIECES;
    &records[bound(piece)..bound(piece + 1)]
}

/// The metrics of the events alone: `data_quality` also tells how they came, in which files, how
/// late and how often.
pub(crate) fn of_events(mut metrics: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    metrics.retain(|(name, _)| name != "data_quality");
    metrics
}

/// The same metrics, byte by byte.
#[track_caller]
pub(crate) fn assert_same(expected: &[(String, Vec<u8>)], got: &[(String, Vec<u8>)], of: &str) {
    let names = |metrics: &[(String, Vec<u8>)]| -> Vec<String> {
        metrics.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(expected), names(got), "metrics of {of}");
    for ((name, expected), (_, got)) in expected.iter().zip(got) {
        let text = String::from_utf8_lossy;
        assert!(expected == got, "{name} of {of}:\n{}\nexpected:\n{}", text(got), text(expected));
    }
}
