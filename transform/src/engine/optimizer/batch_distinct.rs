//! Drops the keys that repeat in a batch before they are grouped, for a DISTINCT, or a GROUP BY without
//! aggregates, into which DataFusion also turns `count(DISTINCT …)`.
//!
//! A hash table hashes the text of every row, and sorted events repeat a few partners, credentials and
//! products in each batch. What Parquet decodes from one word of its dictionary is one view, so most
//! repeated keys are found by comparing machine words. A key that is not found, because its place in a
//! small table was taken or its text was decoded twice, is only grouped once more.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use grouping::words::{has_words, words};

use crate::engine::map_batches::MapBatchesExec;
use crate::engine::optimizer::Replacement;

/// Places of the table of keys, as a power of two.
const TABLE_BITS: u32 = 12;
/// A batch with fewer rows is passed on.
const MIN_ROWS: usize = 64;
/// After so many rows it is decided whether keys repeat often enough.
const TRIAL_ROWS: usize = 32_768;
/// The multiplier of Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): 2^64 over the
/// golden ratio.
const FIBONACCI: u64 = 0x9E37_79B9_7F4A_7C15;
/// The least rows to a distinct key, on average, from which it pays.
const MIN_ROWS_A_KEY: usize = 2;

/// Returns a grouping of rows over the distinct keys of each batch, where it has no aggregates.
pub(crate) fn over_distinct_keys(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
    let groups_rows = matches!(
        aggregate.mode(),
        AggregateMode::Partial | AggregateMode::Single | AggregateMode::SinglePartitioned
    );
    let keys = aggregate.group_expr();
    let is_plain = groups_rows
        && aggregate.aggr_expr().is_empty()
        && keys.is_single()
        && !keys.expr().is_empty()
        && aggregate.limit_options().is_none();
    if !is_plain {
        return Ok(None);
    }
    let columns = keys.expr().iter();
    let columns = columns.map(|(key, name)| ProjectionExpr::new(Arc::clone(key), name.clone()));
    let columns: Vec<_> = columns.collect();
    let input = Arc::new(ProjectionExec::try_new(columns, Arc::clone(aggregate.input()))?);
    let schema = input.schema();
    if !schema.fields().iter().all(|field| has_words(field.data_type())) {
        return Ok(None);
    }
    let key = |(at, (_, name)): (usize, &(Arc<dyn PhysicalExpr>, String))| {
        (Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>, name.clone())
    };
    let keys = PhysicalGroupBy::new_single(keys.expr().iter().enumerate().map(key).collect());
    let distinct: Arc<dyn ExecutionPlan> = Arc::new(MapBatchesExec {
        name: "BatchDistinctExec",
        input,
        map: || {
            let mut trial = Trial::default();
            Box::new(move |batch| trial.distinct(batch))
        },
    });
    let (mode, nothing) = (*aggregate.mode(), Vec::new());
    let grouped = AggregateExec::try_new(mode, keys, nothing, Vec::new(), distinct, schema)?;
    // Plans above rely on the order that the rows of the aggregate have.
    let is_in_same_order = grouped.input_order_mode() == aggregate.input_order_mode();
    Ok(is_in_same_order.then(|| Arc::new(grouped) as Arc<dyn ExecutionPlan>))
}

/// How many keys the first rows had.
#[derive(Default)]
struct Trial {
    rows: usize,
    kept: usize,
}

impl Trial {
    fn distinct(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let repeats = self.rows < TRIAL_ROWS || self.rows >= MIN_ROWS_A_KEY * self.kept;
        if !repeats || batch.num_rows() < MIN_ROWS {
            return Ok(batch);
        }
        let kept = first_rows(&batch)?;
        self.rows += batch.num_rows();
        self.kept += kept.len();
        if kept.len() == batch.num_rows() {
            return Ok(batch);
        }
        Ok(take_record_batch(&batch, &UInt32Array::from(kept))?)
    }
}

/// Returns the rows of a batch but for those that repeat another one, as far as a small table tells.
fn first_rows(batch: &RecordBatch) -> Result<Vec<u32>> {
    let columns: Vec<_> =
        batch.columns().iter().map(|column| words(column)).collect::<Result<_>>()?;
    let mut hashes = vec![0_u64; batch.num_rows()];
    for column in &columns {
        for (hash, word) in hashes.iter_mut().zip(column.iter()) {
            let folded = *word as u64 ^ ((*word >> 64) as u64).rotate_left(32);
            *hash = (*hash ^ folded).wrapping_mul(FIBONACCI).rotate_left(29);
        }
    }
    let same = |a: usize, b: usize| columns.iter().all(|column| column[a] == column[b]);
    let mut table = vec![u32::MAX; 1 << TABLE_BITS];
    let mut kept = Vec::new();
    for (row, hash) in (0_u32..).zip(hashes) {
        let place = &mut table[(hash.wrapping_mul(FIBONACCI) >> (64 - TABLE_BITS)) as usize];
        if *place == u32::MAX || !same(*place as usize, row as usize) {
            *place = row;
            kept.push(row);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, AsArray, Date32Array, StringViewArray, TimestampMicrosecondArray,
    };
    use arrow::compute::cast;
    use arrow::datatypes::DataType;
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// Twenty thousand rows in two partitions: a short and a long text, a date, an instant, a number
    /// that never repeats, and NULLs in the texts.
    fn rows() -> Arc<MemTable> {
        let batch = |from: usize| {
            let numbers = from..from + 1000;
            let text = |long: bool| -> ArrayRef {
                let text = |n: usize| match n % 7 {
                    0 => None,
                    k if long => {
                        Some(format!("a text that no view holds, of number {}", k + n / 5000))
                    }
                    k => Some(format!("k{k}")),
                };
                Arc::new(numbers.clone().map(text).collect::<StringViewArray>())
            };
            let at = numbers
                .clone()
                .map(|n| Some((n / 3) as i64))
                .collect::<TimestampMicrosecondArray>();
            RecordBatch::try_from_iter_with_nullable([
                ("short", text(false), true),
                ("long", text(true), true),
                (
                    "day",
                    Arc::new(
                        numbers.clone().map(|n| Some((n % 4) as i32 - 2)).collect::<Date32Array>(),
                    ) as _,
                    true,
                ),
                ("at", Arc::new(at.with_timezone("UTC")) as _, true),
                (
                    "n",
                    Arc::new(numbers.map(|n| Some(n as i64)).collect::<arrow::array::Int64Array>())
                        as _,
                    true,
                ),
            ])
            .expect("columns")
        };
        let partition = |half: usize| (0..10).map(|n| batch((half * 10 + n) * 1000)).collect();
        let partitions: Vec<Vec<RecordBatch>> = vec![partition(0), partition(1)];
        Arc::new(MemTable::try_new(partitions[0][0].schema(), partitions).expect("a table"))
    }

    /// Queries, and whether keys are dropped before they are grouped.
    const QUERIES: [(&str, bool); 9] = [
        ("SELECT DISTINCT short, day FROM t ORDER BY 1, 2", true),
        ("SELECT DISTINCT long FROM t ORDER BY 1", true),
        ("SELECT n FROM t GROUP BY n ORDER BY 1", true),
        ("SELECT day, count(DISTINCT long) AS n FROM t GROUP BY day ORDER BY 1", true),
        ("SELECT count(DISTINCT long) AS n FROM t", true),
        (
            "SELECT DISTINCT short = 'k1' AS b, date_trunc('second', at) AS s, day + 1 AS d FROM t ORDER BY 1, 2, 3",
            true,
        ),
        ("SELECT short, long, at FROM t WHERE n % 5 = 1 GROUP BY 1, 2, 3 ORDER BY 3, 1, 2", true),
        ("SELECT day, count(*) AS n FROM t GROUP BY day ORDER BY 1", false),
        ("SELECT DISTINCT CAST(n AS DOUBLE) AS x FROM t ORDER BY 1", false),
    ];

    #[tokio::test]
    async fn keys_are_those_without_the_rule() {
        for threads in [1, 3] {
            let config = SessionConfig::new().with_target_partitions(threads);
            let ours = crate::engine::context::new_context(config.clone(), Arc::default());
            let theirs = SessionContext::new_with_config(config);
            for (query, drops) in QUERIES {
                let mut found = Vec::new();
                for context in [&ours, &theirs] {
                    context.register_table("t", rows()).expect("registered");
                    let frame = context.sql(query).await.expect("a query");
                    let plan = frame.clone().create_physical_plan().await.expect("a plan");
                    let plan = datafusion::physical_plan::displayable(plan.as_ref()).indent(false);
                    let plan = plan.to_string();
                    let is_ours = std::ptr::eq(context, &raw const ours);
                    assert_eq!(
                        plan.contains("BatchDistinctExec"),
                        drops && is_ours,
                        "{query}\n{plan}"
                    );
                    let rows = frame.collect().await.expect("rows");
                    found.push(pretty_format_batches(&rows).expect("a table").to_string());
                    context.deregister_table("t").expect("deregistered");
                }
                assert!(
                    found[0] == found[1] && found[0].lines().count() > 4,
                    "{query}\n{}",
                    found[0]
                );
            }
        }
    }

    #[test]
    fn a_batch_keeps_each_key_and_few_rows_beside() {
        let texts: StringViewArray = (0..4096)
            .map(|n| (n % 5 != 0).then(|| format!("a credential of {}", n % 40)))
            .collect();
        // As Parquet decodes a dictionary: one view for each word.
        let words = arrow::array::StringArray::from_iter_values(
            (0..40).map(|n| format!("a credential of {n}")),
        );
        let words = cast(&words, &DataType::Utf8View).expect("views");
        let keys = UInt32Array::from_iter((0..4096_u32).map(|n| (n % 5 != 0).then_some(n % 40)));
        let decoded = arrow::compute::take(&words, &keys, None).expect("rows");
        let kept = |column: ArrayRef| {
            let batch = RecordBatch::try_from_iter([("k", column)]).expect("a batch");
            let kept = UInt32Array::from(first_rows(&batch).expect("rows"));
            let kept = take_record_batch(&batch, &kept).expect("rows");
            let mut keys: Vec<Option<String>> =
                kept.column(0).as_string_view().iter().map(|k| k.map(str::to_owned)).collect();
            keys.sort();
            let rows = keys.len();
            keys.dedup();
            (keys.len(), rows)
        };
        assert_eq!(kept(decoded), (33, 33));
        // Each text was built by itself, so only NULLs are seen to repeat.
        let (keys, rows) = kept(Arc::new(texts));
        assert!(keys == 33 && rows > 3_000, "{keys}, {rows}");
    }

    #[test]
    fn rows_pass_once_keys_are_seen_not_to_repeat() {
        let mut trial = Trial::default();
        let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..8192));
        let zeros: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![0; 8192]));
        let batch = |column: &ArrayRef| {
            RecordBatch::try_from_iter([("n", Arc::clone(column))]).expect("a batch")
        };
        let mut rows = |column: &ArrayRef| trial.distinct(batch(column)).expect("rows").num_rows();
        assert_eq!(rows(&zeros), 1);
        for _ in 0..7 {
            assert_eq!(rows(&numbers), 8192);
        }
        assert_eq!(rows(&zeros), 8192);
    }
}
