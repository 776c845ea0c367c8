//! The memory pool of a query: whoever asks first gets it, but operators that can go on from disk leave
//! each other enough to do so.
//!
//! Such an operator takes memory until there is none; then it writes to disk and merges, which takes
//! memory too. Of two that share a pool, the first one would leave the second nothing to begin or to merge
//! with, and the query would fail although both could have gone on.
//!
//! - Sorts get equal shares of half the pool, or room for one batch. The other half is for merges: merging
//!   what a sort holds takes up to as much again.
//! - The hash tables of aggregates that hold memory get equal shares of three quarters. Most plans have
//!   more aggregates than hold memory at a time, so the others are not counted.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::{Result, resources_err};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
    UnboundedMemoryPool, human_readable_size,
};

/// How DataFusion names what a sort holds, before the number of its partition.
const SORT: &str = "ExternalSorter[";
/// How the hash tables of aggregates are named.
const HASH_TABLES: [&str; 4] = [
    "FinalHashAggregateStream[",
    "SingleHashAggregateStream[",
    "GroupedHashAggregateStream[",
    grouping::MEMORY_CONSUMER,
];

/// Returns a memory pool with a limit in bytes, or without a limit.
pub(crate) fn new_memory_pool(limit: Option<usize>) -> Arc<dyn MemoryPool> {
    match limit {
        Some(limit) => Arc::new(QueryMemoryPool {
            all: GreedyMemoryPool::new(limit),
            sorts: FairSpillPool::new(limit / 2),
            hash_tables: HashTables { limit: limit / 4 * 3, held: Mutex::default() },
        }),
        None => Arc::new(UnboundedMemoryPool::default()),
    }
}

/// Whether a pool had too little memory. The limit of what is on disk has the same kind of error.
pub(crate) fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(text) if !text.contains("disk space"))
}

#[derive(Debug)]
struct QueryMemoryPool {
    all: GreedyMemoryPool,
    sorts: FairSpillPool,
    hash_tables: HashTables,
}

/// What the hash tables of aggregates hold that can go on from disk.
#[derive(Debug)]
struct HashTables {
    /// In bytes.
    limit: usize,
    /// Bytes by the id of the consumer; none holds zero.
    held: Mutex<HashMap<usize, usize>>,
}

impl HashTables {
    fn held(&self) -> MutexGuard<'_, HashMap<usize, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow(&self, consumer: &MemoryConsumer, additional: usize) {
        if additional > 0 {
            *self.held().entry(consumer.id()).or_default() += additional;
        }
    }

    fn shrink(&self, consumer: &MemoryConsumer, shrink: usize) {
        let mut held = self.held();
        let left = held.remove(&consumer.id()).unwrap_or_default().saturating_sub(shrink);
        if left > 0 {
            held.insert(consumer.id(), left);
        }
    }

    /// # Errors
    /// More than the consumer's share.
    fn check(&self, consumer: &MemoryConsumer, additional: usize) -> Result<()> {
        let held = self.held();
        let own = held.get(&consumer.id()).copied();
        let share = self.limit / (held.len() + usize::from(own.is_none()));
        if own.unwrap_or_default() + additional <= share {
            return Ok(());
        }
        resources_err!(
            "{} holds {} of its share of {}, and needs {} more",
            consumer.name(),
            human_readable_size(own.unwrap_or_default()),
            human_readable_size(share),
            human_readable_size(additional)
        )
    }
}

fn is_sort(consumer: &MemoryConsumer) -> bool {
    consumer.can_spill() && consumer.name().starts_with(SORT)
}

fn is_hash_table(consumer: &MemoryConsumer) -> bool {
    consumer.can_spill() && HASH_TABLES.iter().any(|name| consumer.name().starts_with(name))
}

impl MemoryPool for QueryMemoryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if is_sort(consumer) {
            self.sorts.register(consumer);
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if is_sort(consumer) {
            self.sorts.unregister(consumer);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let consumer = reservation.consumer();
        if is_sort(consumer) {
            self.sorts.grow(reservation, additional);
        } else if is_hash_table(consumer) {
            self.hash_tables.grow(consumer, additional);
        }
        self.all.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let consumer = reservation.consumer();
        if is_sort(consumer) {
            self.sorts.shrink(reservation, shrink);
        } else if is_hash_table(consumer) {
            self.hash_tables.shrink(consumer, shrink);
        }
        self.all.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let consumer = reservation.consumer();
        if is_sort(consumer) {
            if reservation.size() == 0 {
                // A sort that can't hold one batch can't go on from disk either.
                self.all.try_grow(reservation, additional)?;
                self.sorts.grow(reservation, additional);
                return Ok(());
            }
            self.sorts.try_grow(reservation, additional)?;
            let grown = self.all.try_grow(reservation, additional);
            if grown.is_err() {
                self.sorts.shrink(reservation, additional);
            }
            return grown;
        }
        if is_hash_table(consumer) {
            self.hash_tables.check(consumer, additional)?;
            self.all.try_grow(reservation, additional)?;
            self.hash_tables.grow(consumer, additional);
            return Ok(());
        }
        self.all.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.all.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.all.memory_limit()
    }
}

impl Display for QueryMemoryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.all, f)
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::SessionConfig;

    use super::*;
    use crate::engine::context::new_context;

    /// What another query holds, and a query: a million rows whose key is about as long as the row, sorted
    /// in two partitions, and as many groups.
    const QUERIES: [(&str, &str); 2] = [
        (
            "ExternalSorter[9]",
            "SELECT count(*) AS n FROM (\
             SELECT k, lag(v) OVER (PARTITION BY k ORDER BY v) AS before FROM (\
             SELECT 'a key that is about as long as all that a row of these holds, ' || (value % 90000) AS k, \
             value AS v FROM generate_series(1, 1000000))) WHERE before IS NULL",
        ),
        (
            "FinalHashAggregateStream[9]",
            "SELECT count(*) AS n FROM (\
             SELECT 'a key that is about as long as all that a row of these holds, ' || value AS k, \
             count(*) AS n FROM generate_series(1, 1000000) GROUP BY 1)",
        ),
    ];

    /// Answers a query in a pool of which another one has taken what it gets.
    async fn answer(query: &str, other: &str, pool: Arc<dyn MemoryPool>) -> Result<String> {
        let other = MemoryConsumer::new(other).with_can_spill(true).register(&pool);
        while other.size() < 1 << 30 && other.try_grow(1 << 20).is_ok() {}
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
        let context = new_context(SessionConfig::new().with_target_partitions(2), runtime);
        let rows = context.sql(query).await?.collect().await?;
        Ok(pretty_format_batches(&rows)?.to_string())
    }

    #[tokio::test]
    async fn others_find_enough_to_go_on_from_disk() {
        let limit = 256 << 20;
        for (other, query) in QUERIES {
            let answered = answer(query, other, new_memory_pool(Some(limit))).await;
            let unlimited = answer(query, other, new_memory_pool(None)).await;
            assert_eq!(answered.expect("an answer"), unlimited.expect("an answer"), "{query}");
            let greedy = answer(query, other, Arc::new(GreedyMemoryPool::new(limit))).await;
            assert!(greedy.is_err(), "{query}: it takes no memory");
        }
    }

    #[test]
    fn a_pool_counts_what_it_gives_and_takes_back() {
        let pool = new_memory_pool(Some(1000));
        let consumer = |name: &str, can_spill| {
            MemoryConsumer::new(name).with_can_spill(can_spill).register(&pool)
        };
        let (one, two) = (consumer("ExternalSorter[0]", true), consumer("ExternalSorter[1]", true));
        let merge = consumer("ExternalSorterMerge[0]", false);
        one.try_grow(300).expect("one batch");
        assert!(one.try_grow(1).is_err());
        one.free();
        one.try_grow(100).expect("one batch");
        one.try_grow(150).expect("half of a half");
        merge.try_grow(700).expect("what nobody holds");
        assert!(two.try_grow(51).is_err());
        two.try_grow(50).expect("the rest");
        assert_eq!(pool.reserved(), 1000);
        drop(merge);
        two.try_grow(200).expect("its share");
        drop(one);
        two.try_grow(250).expect("the share of the only sort");
        drop(two);
        let groups = |n| consumer(&format!("FinalHashAggregateStream[{n}]"), true);
        let (one, two, idle) = (groups(0), groups(1), groups(2));
        assert!(one.try_grow(751).is_err());
        one.try_grow(750).expect("three quarters");
        two.try_grow(200).expect("a part of its share");
        assert!(one.try_grow(1).is_err() && two.try_grow(176).is_err());
        one.free();
        two.try_grow(550).expect("the share of the only one");
        consumer("FinalHashAggregateStream[3]", false).try_grow(250).expect("it can't spill");
        drop((one, two, idle));
        assert_eq!(pool.reserved(), 0);
    }
}
