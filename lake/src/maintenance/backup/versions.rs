//! One version of each table, which together are a state that the lake could have been in.
//!
//! The order in which the versions are read makes it so:
//!
//! 1. `runs` names versions of the other tables, so it is read first.
//! 2. Scores, actions and what people recorded may be older than the events.
//! 3. The raw tables.
//! 4. Rollups come after them: retention refreshes them before it seals a day. A rollup that is newer
//!    than its events is computed again, because it names the files that it was computed from.
//! 5. The dead letters come last, because they are committed before the rows that were read with
//!    them. A replay does it the other way round, and is seen by its marks.

use domain::Stream;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::log::snapshot::TableSnapshot;
use crate::log::transactions::PartitionId;
use crate::schema;

/// The number of attempts to read versions while dead letters are replayed.
const ATTEMPTS: usize = 5;

/// Returns every table at one version, the dead letters last.
pub(super) async fn consistent(lake: &Lake) -> Result<Vec<TableSnapshot>, LakeError> {
    for _ in 0..ATTEMPTS {
        let mut tables = lake.tables().await?;
        tables.sort_by_key(|table| rank(table));
        let mut snapshots = Vec::with_capacity(tables.len());
        for table in tables {
            snapshots.extend(lake.latest(&table).await?.map(|(snapshot, _)| snapshot));
        }
        if !was_replayed(&snapshots) {
            return Ok(snapshots);
        }
    }
    Err(LakeError::Conflict { table: schema::dead_letters().name })
}

fn rank(table: &str) -> u8 {
    if table == schema::dead_letters().name {
        return 4;
    }
    match table.split('/').next() {
        Some("runs") => 0,
        Some("raw") => 2,
        Some("rollup") => 3,
        _ => 1,
    }
}

/// Returns whether dead letters were replayed after the raw table of their stream was read.
fn was_replayed(snapshots: &[TableSnapshot]) -> bool {
    let mark = |table: &str, stream| {
        let found = snapshots.iter().find(|snapshot| snapshot.table == table);
        let mark = PartitionId::replay(stream);
        found.and_then(|snapshot| snapshot.txns.get(mark.as_str()).copied())
    };
    let dead_letters = schema::dead_letters().name;
    Stream::ALL
        .into_iter()
        .any(|stream| mark(&dead_letters, stream) > mark(&schema::raw(stream).name, stream))
}
