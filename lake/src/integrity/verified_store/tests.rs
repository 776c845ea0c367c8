//! Tests of the verified store over a store in memory.

use object_store::memory::InMemory;

use super::*;

const FILE: &str = "raw/things/part-1.parquet";

async fn store(bytes: &[u8]) -> (Arc<InMemory>, VerifiedStore) {
    let inner = Arc::new(InMemory::new());
    let store = VerifiedStore::new(inner.clone(), Path::from("a/lake"));
    store.register_checksums(FILE.to_owned(), Arc::new(BlockChecksums::of(bytes)));
    store.put(&path(FILE), bytes.to_vec().into()).await.expect("put");
    (inner, store)
}

fn path(relative: &str) -> Path {
    Path::from(format!("a/lake/{relative}"))
}

#[tokio::test]
async fn ranges_of_a_data_file_are_verified() {
    let bytes: Vec<u8> =
        (0..400_000u32).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
    let (inner, store) = store(&bytes).await;
    let ranges = [399_000..400_000, 5..6, 100..140_000, 0..131_072, 131_072..131_073];
    let read = store.get_ranges(&path(FILE), &ranges).await.expect("parts");
    for (range, read) in ranges.iter().zip(read) {
        assert_eq!(read, bytes[range.start as usize..range.end as usize], "{range:?}");
        assert_eq!(store.get_range(&path(FILE), range.clone()).await.expect("a part"), read);
    }
    let suffix = GetOptions { range: Some(GetRange::Suffix(9)), ..GetOptions::default() };
    let read = store.get_opts(&path(FILE), suffix).await.expect("the end");
    assert_eq!((read.range.clone(), read.meta.size), (399_991..400_000, 400_000));
    assert_eq!(read.bytes().await.expect("read"), bytes[399_991..]);

    // Blocks beside a damaged one can still be read.
    let mut damaged = bytes.clone();
    damaged[140_000] ^= 1;
    inner.put(&path(FILE), damaged.into()).await.expect("put");
    let far = store.get_range(&path(FILE), 0..10).await.expect("far from it");
    assert_eq!(far, bytes[..10]);
    for range in [131_072..131_073, 130_000..150_000, 262_143..400_000] {
        let error = store.get_ranges(&path(FILE), &[range]).await.expect_err("damaged");
        assert_eq!(Damage::in_chain(&error), Some(&Damage::changed(FILE)));
    }
    assert!(store.get(&path(FILE)).await.is_err());

    inner.put(&path(FILE), bytes[..200_000].to_vec().into()).await.expect("put");
    let error = store.get_ranges(&path(FILE), &[0..1, 300_000..300_001]).await.expect_err("cut");
    assert_eq!(Damage::in_chain(&error), Some(&Damage::size(FILE, 200_000, 400_000)));
    inner.delete(&path(FILE)).await.expect("deleted");
    let error = store.get(&path(FILE)).await.expect_err("gone");
    assert!(Damage::in_chain(&error).is_some_and(Damage::is_gone));
}

#[tokio::test]
async fn entries_and_checkpoints_are_verified_and_a_bad_hint_is_ignored() {
    let (inner, store) = store(b"").await;
    let log = |name: &str| path(&format!("runs/_delta_log/{name}"));
    let entry = log("00000000000000000010.json");
    store.put(&entry, "{\"commitInfo\":{\"a\":1}}".into()).await.expect("put");
    store.get(&entry).await.expect("what was put");
    inner.copy(&entry, &log("00000000000000000011.json")).await.expect("copied");
    let error = store.get(&log("00000000000000000011.json")).await.expect_err("of another");
    assert!(Damage::in_chain(&error).is_some());

    let (hint, checkpoint) =
        (log("_last_checkpoint"), log("00000000000000000010.checkpoint.parquet"));
    store.put(&hint, "{\"version\":10,\"size\":1}".into()).await.expect("put");
    assert!(matches!(store.get(&hint).await, Err(Error::NotFound { .. })), "leads nowhere");
    store.put(&checkpoint, "ten bytes!".into()).await.expect("put");
    store.get(&hint).await.expect("a hint");
    for second in ["ten bytes?", "ten bytes."] {
        let other = VerifiedStore::new(inner.clone(), Path::from("a/lake"));
        inner.put(&checkpoint, second.into()).await.expect("put");
        let error = other.get_range(&checkpoint, 0..1).await.expect_err("changed");
        assert!(Damage::in_chain(&error).is_some());
        // Another process may have written the checkpoint too.
        other.put(&checkpoint, second.into()).await.expect("put");
        other.get_ranges(&checkpoint, &[0..1, 4..5]).await.expect("as it was put");
    }
    let mut upload = store.put_multipart(&checkpoint).await.expect("begun");
    upload.put_part("in ".into()).await.expect("put");
    upload.put_part("parts".into()).await.expect("put");
    upload.complete().await.expect("put");
    let other = VerifiedStore::new(inner.clone(), Path::from("a/lake"));
    other.get(&checkpoint).await.expect("as it was put");
    inner.put(&hint, "{\"version\":10,\"size\":".into()).await.expect("put");
    assert!(matches!(store.get(&hint).await, Err(Error::NotFound { .. })), "cut");
}
