//! Tests of files that grow, and of files that several processes load at once.

use std::io::Write;

use domain::Stream;
use flate2::write::GzEncoder;
use lake::Lake;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{NOON, call, lake, rows};
use crate::{FlushLimits, IngestCounts, LoadOptions, SourceFile, load};

fn options(rows: usize) -> LoadOptions {
    LoadOptions {
        stream: Stream::ApiCalls,
        mapping: None,
        arrival: Some(NOON),
        accept_rejects: true,
        limits: FlushLimits { rows, ..FlushLimits::default() },
    }
}

async fn load_bytes(
    lake: &Lake,
    dir: &tempfile::TempDir,
    name: &str,
    bytes: &[u8],
) -> IngestCounts {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    let sources = [SourceFile { name: name.into(), path }];
    load(lake, &sources, &options(500_000), &mut |_, _| {}).await.expect("loaded")
}

async fn stored(lake: &Lake) -> (u64, u64) {
    assert_eq!(lake.verify().await.expect("verified").findings, []);
    (rows(lake, "raw/api_calls").await, rows(lake, "raw/dead_letters").await)
}

/// Returns the topic and the offset of each dead letter.
async fn dead_letter_positions(lake: &Lake) -> Vec<(String, i64)> {
    let base = crate::dead_letter_table(lake).await.expect("the table");
    let day = domain::Day::of_micros(NOON);
    let dead_letters = crate::dead_letters_of_day(lake, &base, day).await.expect("letters");
    dead_letters.into_iter().map(|l| (l.topic, l.offset)).collect()
}

#[tokio::test]
async fn a_grown_file_is_resumed_at_its_old_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let first: String = format!("{}\nbad 1\n{}\n", call(1), call(2));
    let counts = load_bytes(&lake, &dir, "access.log", first.as_bytes()).await;
    assert_eq!((counts.accepted, counts.rejected, counts.already_stored), (2, 1, 0));

    // The file has another name, as after log rotation.
    let second = format!("{first}{}\nbad 2\n", call(3));
    let counts = load_bytes(&lake, &dir, "access.log.1", second.as_bytes()).await;
    assert_eq!((counts.records, counts.accepted, counts.rejected), (2, 1, 1));
    assert_eq!(counts.already_stored, 3);
    assert_eq!(stored(&lake).await, (3, 2));
    let of_files: Vec<(bool, i64)> = dead_letter_positions(&lake)
        .await
        .into_iter()
        .map(|(topic, offset)| (topic.starts_with("file:access.log.1#"), offset))
        .collect();
    assert_eq!(of_files, [(false, 1), (true, 4)], "line numbers of the file they were read from");

    // Loading any of the states again adds nothing.
    for state in [&first, &second] {
        let counts = load_bytes(&lake, &dir, "again", state.as_bytes()).await;
        assert_eq!(counts.records, 0);
    }
    let third = format!("{second}{}", call(4));
    let counts = load_bytes(&lake, &dir, "access.log", third.as_bytes()).await;
    assert_eq!((counts.accepted, counts.rejected, counts.already_stored), (1, 0, 5));
    // The end of the last line is not a line, nor is the first half of that end.
    let fourth = format!("{third}\r\n");
    for state in [format!("{third}\r"), fourth.clone()] {
        let counts = load_bytes(&lake, &dir, "access.log", state.as_bytes()).await;
        assert_eq!((counts.records, counts.already_stored), (0, 6));
    }
    // A file with other first bytes is another file, and so is a file of another stream.
    let other = format!(" {fourth}");
    let counts = load_bytes(&lake, &dir, "other.log", other.as_bytes()).await;
    assert_eq!((counts.accepted, counts.rejected), (4, 2));
    let sources = [SourceFile { name: "x".into(), path: dir.path().join("access.log") }];
    let tickets = LoadOptions { stream: Stream::SupportEvents, ..options(10) };
    let counts = load(&lake, &sources, &tickets, &mut |_, _| {}).await.expect("loaded");
    assert_eq!((counts.records, counts.rejected), (6, 6));
}

#[tokio::test]
async fn compressed_files_grow_by_members() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    };
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).expect("memory");
    let packed: [fn(&str) -> Vec<u8>; 2] = [gzip, zstd];
    for (number, pack) in packed.into_iter().enumerate() {
        let call = |n: usize| call(number * 100 + n);
        // The second part ends within a line, which the third completes.
        let half = call(4).split_at(20).0.to_owned();
        let buffers = [
            pack(&format!("{}\nbad\n", call(1))),
            pack(&format!("{}\n{half}", call(2))),
            pack(&format!("{}\n{}\n", &call(4)[20..], call(5))),
        ];
        let mut bytes = Vec::new();
        for (buffer, due) in buffers.iter().zip([(1, 1), (1, 1), (2, 0)]) {
            bytes.extend_from_slice(buffer);
            let counts = load_bytes(&lake, &dir, "calls.packed", &bytes).await;
            assert_eq!((counts.accepted, counts.rejected), due);
        }
    }
    assert_eq!(stored(&lake).await, (8, 4));
}

#[tokio::test]
async fn concurrent_loads_of_a_file_all_succeed() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let path = dir.path().join("calls.ndjson");
    let lines = 40_000;
    let text: String = (0..lines)
        .map(|n| if n % 100 == 99 { "bad\n".to_owned() } else { call(n) + "\n" })
        .collect();
    std::fs::write(&path, &text).expect("written");
    let sources =
        ["0", "1", "2"].map(|name| [SourceFile { name: name.into(), path: path.clone() }]);
    let loads = sources.iter().map(async |sources| {
        // There are many commits, and another process may have made each of them before.
        load(&lake, sources, &options(1_000), &mut |_, _| {}).await
    });
    let mut all = IngestCounts::default();
    for counts in futures::future::join_all(loads).await {
        let counts = counts.expect("it goes on where the other stands");
        assert_eq!(counts.records + counts.already_stored, lines as u64, "{counts:?}");
        all.accepted += counts.accepted;
        all.rejected += counts.rejected;
    }
    // Each line is counted by the process that committed it, and is stored once.
    assert_eq!((all.accepted, all.rejected), (39_600, 400));
    assert_eq!(stored(&lake).await, (39_600, 400));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_file_growing_at_any_byte_is_read_line_by_line(
        bad in proptest::collection::vec(proptest::bool::weighted(0.3), 1..12),
        ends in proptest::collection::vec(proptest::sample::select(vec!["\n", "\r\n"]), 12),
        cuts in proptest::collection::vec(0.0..1.0f64, 1..5),
    ) {
        let lines = bad.iter().enumerate().map(|(n, bad)| match bad {
            true => format!("bad {n}"),
            false => call(n),
        });
        let text: String = lines.zip(&ends).map(|(line, end)| line + end).collect();
        let mut cuts: Vec<usize> =
            cuts.into_iter().map(|cut| (cut * text.len() as f64) as usize).collect();
        cuts.sort_unstable();
        cuts.push(text.len());
        let dir = tempfile::tempdir().expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        let lake = runtime.block_on(lake(&dir));
        let mut before: Vec<&str> = Vec::new();
        let mut due = (0, 0);
        for cut in cuts {
            let counts = runtime.block_on(load_bytes(&lake, &dir, "l", &text.as_bytes()[..cut]));
            let now: Vec<&str> = text[..cut].lines().map(|line| line.trim_end_matches('\r')).collect();
            for (at, line) in now.iter().enumerate().filter(|(at, l)| before.get(*at) != Some(l)) {
                let whole = line.ends_with('}');
                due = (due.0 + u64::from(whole), due.1 + u64::from(!whole));
                prop_assert!(at + 1 >= before.len());
            }
            prop_assert!(counts.records <= (now.len() + 1 - before.len()) as u64);
            before = now;
        }
        prop_assert_eq!(runtime.block_on(stored(&lake)), due);
    }
}
