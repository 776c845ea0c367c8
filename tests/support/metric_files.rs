//! The CSV files of a run of all metrics, and their comparison.

/// Leaves `data_quality` out, which also depends on how events arrived: in which files, how late
/// and how often.
pub(crate) fn without_data_quality(mut metrics: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    metrics.retain(|(name, _)| name != "data_quality");
    metrics
}

/// Checks that two runs wrote the same metrics, byte by byte. Only the hashes of credentials are left
/// out, because each lake makes them with a key of its own.
#[track_caller]
pub(crate) fn assert_same_metrics(
    expected: &[(String, Vec<u8>)],
    got: &[(String, Vec<u8>)],
    what: &str,
) {
    let names = |metrics: &[(String, Vec<u8>)]| -> Vec<String> {
        metrics.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(expected), names(got), "metrics of {what}");
    for ((name, expected), (_, got)) in expected.iter().zip(got) {
        let (expected, got) = (comparable(name, expected), comparable(name, got));
        assert!(expected == got, "{name} of {what}:\n{got}\nexpected:\n{expected}");
    }
}

/// Returns a metric's file without the hashes of credentials, and in an order that does not depend on
/// them.
fn comparable(name: &str, file: &[u8]) -> String {
    let text = String::from_utf8_lossy(file).into_owned();
    if name != "credential_hygiene" {
        return text;
    }
    let mut rows: Vec<String> = text
        .lines()
        .map(|row| {
            let (partner, rest) = row.split_once(',').expect("two columns");
            let (_, rest) = rest.split_once(',').expect("three columns");
            format!("{partner},{rest}")
        })
        .collect();
    rows.sort();
    rows.join("\n")
}
