//! The memory pool of a query: whoever asks first gets it, but sorts leave half of it to merges.
//!
//! A sort takes memory until there is none, then it writes to disk and merges, which takes memory too. Of
//! two sorts that share a pool, the first one would leave the second nothing to merge with, and the query
//! would fail although both could have gone on from disk. Each sort gets an equal share of half the pool.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
    UnboundedMemoryPool,
};

/// How DataFusion names what a sort holds, before the number of its partition.
const SORT: &str = "ExternalSorter[";

/// Returns a memory pool with a limit in bytes, or without a limit.
pub(crate) fn new_memory_pool(limit: Option<usize>) -> Arc<dyn MemoryPool> {
    match limit {
        Some(bytes) => Arc::new(QueryMemoryPool {
            all: GreedyMemoryPool::new(bytes),
            sorts: FairSpillPool::new(bytes / 2),
        }),
        None => Arc::new(UnboundedMemoryPool::default()),
    }
}

#[derive(Debug)]
struct QueryMemoryPool {
    all: GreedyMemoryPool,
    /// What sorts hold of it.
    sorts: FairSpillPool,
}

fn is_sort(consumer: &MemoryConsumer) -> bool {
    consumer.can_spill() && consumer.name().starts_with(SORT)
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
        if is_sort(reservation.consumer()) {
            self.sorts.grow(reservation, additional);
        }
        self.all.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        if is_sort(reservation.consumer()) {
            self.sorts.shrink(reservation, shrink);
        }
        self.all.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if !is_sort(reservation.consumer()) {
            return self.all.try_grow(reservation, additional);
        }
        self.sorts.try_grow(reservation, additional)?;
        let grown = self.all.try_grow(reservation, additional);
        if grown.is_err() {
            self.sorts.shrink(reservation, additional);
        }
        grown
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

    /// A million rows whose key is about as long as the row, sorted in two partitions.
    const SORTED: &str = "SELECT count(*) AS n FROM (\
        SELECT k, lag(v) OVER (PARTITION BY k ORDER BY v) AS before FROM (\
        SELECT 'a key that is about as long as all that a row of these holds, ' || (value % 90000) AS k, \
        value AS v FROM generate_series(1, 1000000))) WHERE before IS NULL";

    /// Answers the query in a pool of which another sort has taken what it gets.
    async fn answer_beside_a_sort(pool: Arc<dyn MemoryPool>) -> Result<String> {
        let other = MemoryConsumer::new(format!("{SORT}9]")).with_can_spill(true).register(&pool);
        while other.size() < 1 << 30 && other.try_grow(1 << 20).is_ok() {}
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
        let context = new_context(SessionConfig::new().with_target_partitions(2), runtime);
        let rows = context.sql(SORTED).await?.collect().await?;
        Ok(pretty_format_batches(&rows)?.to_string())
    }

    #[tokio::test]
    async fn a_sort_leaves_others_enough_to_go_on_from_disk() {
        let limit = 128 << 20;
        let answered = answer_beside_a_sort(new_memory_pool(Some(limit))).await;
        let unlimited = answer_beside_a_sort(new_memory_pool(None)).await;
        assert_eq!(answered.expect("an answer"), unlimited.expect("an answer"));
        let greedy = answer_beside_a_sort(Arc::new(GreedyMemoryPool::new(limit))).await;
        assert!(greedy.is_err(), "the query takes no memory");
    }

    #[test]
    fn a_pool_counts_what_it_gives_and_takes_back() {
        let pool = new_memory_pool(Some(1000));
        let sorter =
            |n| MemoryConsumer::new(format!("{SORT}{n}]")).with_can_spill(true).register(&pool);
        let (one, two) = (sorter(0), sorter(1));
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        assert!(one.try_grow(251).is_err());
        one.try_grow(250).expect("half of a half");
        merge.try_grow(700).expect("what nobody holds");
        assert!(two.try_grow(51).is_err());
        two.try_grow(50).expect("the rest");
        assert_eq!(pool.reserved(), 1000);
        drop(merge);
        two.try_grow(200).expect("its share");
        drop(one);
        two.try_grow(250).expect("the share of the only sort");
        drop(two);
        assert_eq!(pool.reserved(), 0);
    }
}
