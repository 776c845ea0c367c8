//! The CSV files of a run of all metrics, and their comparison.

/// Leaves `data_quality` out, which also depends on how events arrived: in which files, how late
/// and how often.
pub(crate) fn without_data_quality(mut metrics: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    metrics.retain(|(name, _)| name != "data_quality");
    metrics
}

/// Checks that two runs wrote the same metrics, byte by byte.
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
        let text = String::from_utf8_lossy;
        assert!(expected == got, "{name} of {what}:\n{}\nexpected:\n{}", text(got), text(expected));
    }
}
