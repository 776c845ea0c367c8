//! Compares the groups with those of DataFusion's plan.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Int16Array, Int64Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::Date32Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect};
use datafusion::prelude::{SessionConfig, SessionContext, col};
use proptest::prelude::*;

use crate::NormalizedKeyAggregateExec;

/// The columns of a row: a short text, a long one, a day, a number, a truth value, an instant, and a
/// measure. `None` is NULL.
type Row = (Option<u8>, Option<u8>, i32, Option<i16>, Option<bool>, Option<i64>, Option<i64>);

fn short(n: u8) -> &'static str {
    ["", "a", "b", "twelve bytes"][usize::from(n) % 4]
}

fn batch_of(rows: &[Row]) -> RecordBatch {
    let long = |n: u8| format!("a text that no view holds {n}");
    let columns: [(&str, ArrayRef); 7] = [
        ("short", Arc::new(rows.iter().map(|r| r.0.map(short)).collect::<StringViewArray>())),
        ("long", Arc::new(rows.iter().map(|r| r.1.map(long)).collect::<StringViewArray>())),
        ("day", Arc::new(rows.iter().map(|r| Some(r.2)).collect::<Date32Array>())),
        ("number", Arc::new(rows.iter().map(|r| r.3).collect::<Int16Array>())),
        ("flag", Arc::new(rows.iter().map(|r| r.4).collect::<BooleanArray>())),
        ("at", Arc::new(rows.iter().map(|r| r.5).collect::<TimestampMicrosecondArray>())),
        ("n", Arc::new(rows.iter().map(|r| r.6).collect::<Int64Array>())),
    ];
    let columns = columns.map(|(name, values)| (name, values, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

/// How a query is run.
#[derive(Debug, Clone, Copy, Default)]
struct Setting {
    batch_size: usize,
    partitions: usize,
    /// The number of columns that the rows are sorted by: `day`, `short`.
    sorted: usize,
    /// The bytes of memory; without a limit where there are none.
    memory: Option<usize>,
    /// Whether a few rows tell that they are hardly grouped.
    passes_on: bool,
}

/// What a query returns.
struct Answer {
    rows: RecordBatch,
    /// Whether the plan says that they are sorted by day.
    is_by_day: bool,
    /// How many aggregates were replaced.
    replaced: usize,
    /// The counters of their metrics.
    output_rows: usize,
    passed_on: usize,
    started_over: usize,
}

async fn answer(rows: &[Row], sql: &str, setting: Setting, replaces: bool) -> Answer {
    let mut config = SessionConfig::new()
        .with_batch_size(setting.batch_size)
        .with_target_partitions(setting.partitions);
    let execution = &mut config.options_mut().execution;
    if setting.passes_on {
        execution.skip_partial_aggregation_probe_rows_threshold = 4;
        execution.skip_partial_aggregation_probe_ratio_threshold = 0.5;
    }
    let runtime = match setting.memory {
        // Plans that can go on from disk leave each other as much.
        Some(bytes) => RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
            .build_arc()
            .expect("a runtime"),
        None => Arc::<RuntimeEnv>::default(),
    };
    let ctx = SessionContext::new_with_config_rt(config, runtime);
    let mut rows = rows.to_vec();
    let order = ["day", "short"].map(|name| col(name).sort(true, true));
    rows.sort_by(|a, b| match setting.sorted {
        0 => std::cmp::Ordering::Equal,
        1 => a.2.cmp(&b.2),
        _ => (a.2, a.0.map(short)).cmp(&(b.2, b.0.map(short))),
    });
    let batches =
        |rows: &[Row]| rows.chunks(setting.batch_size * 3 / 2 + 1).map(batch_of).collect();
    let parts: Vec<Vec<RecordBatch>> = match setting.partitions {
        1 => vec![batches(&rows)],
        parts => rows.chunks(rows.len().div_ceil(parts).max(1)).map(batches).collect(),
    };
    let schema = batch_of(&[]).schema();
    let mut table = MemTable::try_new(schema, parts).expect("a table");
    if setting.sorted > 0 {
        table = table.with_sort_order(vec![order[..setting.sorted].to_vec()]);
    }
    ctx.register_table("t", Arc::new(table)).expect("a table");
    let plan = ctx.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
    let mut replaced: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    let plan = plan
        .transform_up(|node| {
            let aggregate = node.downcast_ref::<AggregateExec>().filter(|_| replaces);
            let grouped = aggregate.map(NormalizedKeyAggregateExec::of).transpose()?.flatten();
            Ok(match grouped {
                Some(grouped) => Transformed::yes(Arc::new(grouped) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })
        .expect("a plan")
        .data;
    plan.apply(|node| {
        replaced.extend(node.is::<NormalizedKeyAggregateExec>().then(|| Arc::clone(node)));
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("a plan");
    let first = plan.output_ordering().map(|order| order.first().expr.to_string());
    let is_by_day = first.is_some_and(|first| first.starts_with("day@"))
        && plan.output_partitioning().partition_count() == 1;
    let schema = plan.schema();
    let batches = collect(plan, ctx.task_ctx()).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    assert!(batches.iter().all(|batch| batch.num_rows() <= setting.batch_size), "{sql}");
    let counter = |name: &str| {
        let of = |plan: &Arc<dyn ExecutionPlan>| {
            plan.metrics().and_then(|all| all.sum_by_name(name)).map_or(0, |m| m.as_usize())
        };
        replaced.iter().map(of).sum()
    };
    Answer {
        rows: concat_batches(&schema, &batches).expect("rows"),
        is_by_day,
        output_rows: replaced.iter().filter_map(|plan| plan.metrics()?.output_rows()).sum(),
        passed_on: counter("passed_on_rows"),
        started_over: counter("started_over"),
        replaced: replaced.len(),
    }
}

/// Returns the lines of a table, without its borders.
fn lines(rows: &RecordBatch) -> Vec<String> {
    let table = pretty_format_batches(std::slice::from_ref(rows)).expect("a table").to_string();
    table.lines().map(str::to_owned).collect()
}

/// Checks that the groups are those of DataFusion's plan, where one partition is sorted in the same order,
/// and returns the answer.
async fn check(rows: &[Row], sql: &str, setting: Setting) -> Answer {
    let expected = answer(rows, sql, Setting { memory: None, ..setting }, false).await;
    let found = answer(rows, sql, setting, true).await;
    let (mut expected, mut lines_found) = (lines(&expected.rows), lines(&found.rows));
    if setting.partitions > 1 || setting.sorted == 0 || setting.memory.is_some() {
        expected.sort_unstable();
        lines_found.sort_unstable();
    }
    let first = lines_found.iter().zip(&expected).find(|(found, expected)| found != expected);
    assert_eq!(first, None, "{sql}: {setting:?}");
    // What the plan says of its order holds.
    if let (Some(days), true) = (found.rows.column_by_name("day"), found.is_by_day) {
        let days: Vec<_> = days.as_primitive::<Date32Type>().iter().collect();
        assert!(days.is_sorted(), "{sql}: {setting:?}");
    }
    assert_eq!(lines_found.len(), expected.len(), "{sql}: {setting:?}");
    found
}

const FUNCTIONS: &str = "count(*) AS c, sum(n) AS s, max(long) AS m, min(at) FILTER (WHERE flag) AS a, \
    count(*) FILTER (WHERE number > 1 AND n < 50) AS f, first_value(n ORDER BY at, n, number) AS o";

const KEYS: [&str; 8] = [
    "short",
    "flag",
    "day, short",
    "long, number",
    "day, short, long, number, flag, at",
    "flag, at, day",
    "number + 1, day, long || 'x'",
    "short, n IS NULL, day",
];

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let row = (
        proptest::option::of(0_u8..5),
        proptest::option::of(0_u8..9),
        -2_i32..3,
        proptest::option::of(-2_i16..4),
        proptest::option::of(any::<bool>()),
        proptest::option::of(-3_i64..3),
        proptest::option::of(0_i64..100),
    );
    proptest::collection::vec(row, 1..most)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn groups_are_those_of_datafusion(
        rows in rows(300),
        keys in 0..KEYS.len(),
        batch_size in 1_usize..40,
        partitions in 1_usize..3,
        sorted in 0_usize..3,
        passes_on: bool,
        is_distinct: bool,
    ) {
        let setting = Setting { batch_size, partitions, sorted, memory: None, passes_on };
        let keys = KEYS[keys];
        let sql = match is_distinct {
            true => format!("SELECT DISTINCT {keys} FROM t"),
            false => format!("SELECT {keys}, {FUNCTIONS} FROM t GROUP BY {keys}"),
        };
        let answer = block_on(check(&rows, &sql, setting));
        // Those that are sorted by other keys than the first ones stay.
        prop_assert!(answer.replaced == 1 || sorted > 0, "{}", sql);
        prop_assert!(answer.started_over == 0 || passes_on, "{}", sql);
    }
}

/// Returns rows of some days, five for each of as many instants.
fn many(days: std::ops::Range<i32>, instants: i64) -> Vec<Row> {
    let of_day = |day: i32| {
        (0..instants * 5)
            .map(move |n| (Some(n as u8), None, day, None, None, Some(n % instants), Some(n)))
    };
    days.flat_map(of_day).collect()
}

#[test]
fn what_does_not_fit_in_memory_is_grouped_by_datafusion() {
    let sql = "SELECT day, at, count(*) AS c, sum(n) AS s FROM t GROUP BY day, at";
    let setting = Setting {
        batch_size: 512,
        partitions: 1,
        sorted: 0,
        memory: Some(400_000),
        passes_on: false,
    };
    let answer = block_on(check(&many(0..2, 6_000), sql, setting));
    assert_eq!((answer.replaced, answer.started_over), (1, 1));
    assert_eq!(answer.rows.num_rows(), 12_000);

    // The groups of the first days are returned before the last one needs too much memory.
    let rows = [many(0..6, 1_000), many(6..7, 12_000)].concat();
    let setting = Setting { sorted: 1, ..setting };
    let answer = block_on(check(&rows, sql, setting));
    assert_eq!((answer.replaced, answer.started_over), (1, 1));
    assert_eq!(answer.rows.num_rows(), 18_000);

    // None of these days does.
    let answer = block_on(check(&many(0..18, 1_000), sql, setting));
    assert_eq!((answer.replaced, answer.started_over), (1, 0));
    assert_eq!(answer.rows.num_rows(), 18_000);

    // Partial groups are emitted, and come again.
    let setting = Setting { sorted: 0, partitions: 2, memory: Some(800_000), ..setting };
    let answer = block_on(check(&many(0..2, 6_000), sql, setting));
    assert_eq!((answer.replaced, answer.started_over), (1, 0));
    assert!(answer.output_rows > 12_000, "{}", answer.output_rows);
}

#[test]
fn small_groups_are_left_to_datafusion() {
    let setting = Setting { batch_size: 100, partitions: 1, passes_on: true, ..Setting::default() };
    let rows = many(0..5, 100);
    for (keys, sorted, started_over) in [("day, n", 0, 1), ("day, flag", 0, 0), ("day, n", 1, 0)] {
        let sql = format!("SELECT {keys}, count(*) AS c FROM t GROUP BY {keys}");
        let answer = block_on(check(&rows, &sql, Setting { sorted, ..setting }));
        assert_eq!((answer.replaced, answer.started_over), (1, started_over), "{keys}");
    }
    // The inner groups are small, and the outer ones too, which would have the inner ones computed again.
    let sql =
        "SELECT DISTINCT day, n FROM (SELECT day, n, at, count(*) FROM t GROUP BY day, n, at)";
    let answer = block_on(check(&rows, sql, setting));
    assert_eq!((answer.replaced, answer.started_over), (2, 1));
}

#[test]
fn partial_groups_that_are_hardly_fewer_than_the_rows_are_passed_on() {
    let sql = "SELECT short, n, count(*) AS c, sum(number) AS s FROM t GROUP BY short, n";
    let setting = Setting { batch_size: 100, partitions: 2, passes_on: true, ..Setting::default() };
    let answer = block_on(check(&many(0..1, 400), sql, setting));
    assert!(answer.passed_on > 600, "{}", answer.passed_on);
    // Fifty rows are a group.
    let sql = "SELECT day, at, count(*) AS c, sum(number) AS s FROM t GROUP BY day, at";
    let answer = block_on(check(&many(0..1, 10).repeat(10), sql, setting));
    assert_eq!(answer.passed_on, 0);
}

#[test]
fn keys_may_take_more_bits_than_a_word_and_than_two() {
    let setting = Setting { batch_size: 128, partitions: 1, ..Setting::default() };
    for (count, started_over) in [(6, 0), (9, 0), (20, 1)] {
        // The numbers of 400 values take nine bits.
        let keys: Vec<String> = (0..count).map(|key| format!("n * {} + {key}", key + 1)).collect();
        let keys = keys.join(", ");
        let sql = format!("SELECT {keys}, count(*) AS c FROM t GROUP BY {keys}");
        let answer = block_on(check(&many(0..2, 80), &sql, setting));
        assert_eq!((answer.replaced, answer.started_over), (1, started_over), "{count}");
        // Partial groups make room.
        let two = Setting { partitions: 2, ..setting };
        let answer = block_on(check(&many(0..2, 80), &sql, two));
        assert_eq!((answer.replaced, answer.started_over), (1, 0), "{count}");
    }
}

#[test]
fn a_limit_is_reached_before_all_rows_are_read() {
    let last = (Some(0), None, 9, None, None, None, Some(1000));
    let rows = [many(0..9, 10), vec![last]].concat();
    // The last row can't be computed.
    let sql = "SELECT day, sum(1 / (1000 - n)) AS s FROM (SELECT day, short, n FROM t) \
        GROUP BY day, short ORDER BY day NULLS FIRST LIMIT 2";
    let setting = Setting { batch_size: 64, partitions: 1, sorted: 1, ..Setting::default() };
    assert_eq!(block_on(check(&rows, sql, setting)).replaced, 1);
}

#[test]
fn a_key_that_is_constant_changes_no_order() {
    let setting = Setting { batch_size: 512, partitions: 1, sorted: 1, ..Setting::default() };
    let mut rows = [many(0..6, 1_000), many(6..7, 12_000)].concat();
    rows.iter_mut().for_each(|row| row.0 = Some(1));
    let sql =
        "SELECT day, at, short, count(*) AS c FROM t WHERE short = 'a' GROUP BY day, at, short";
    for memory in [None, Some(500_000)] {
        let answer = block_on(check(&rows, sql, Setting { memory, ..setting }));
        assert_eq!((answer.replaced, answer.started_over > 0), (1, memory.is_some()));
    }
}

#[test]
fn other_aggregates_stay() {
    let setting = Setting { batch_size: 100, partitions: 1, ..Setting::default() };
    let days = "SELECT at, day, count(*) AS c FROM t GROUP BY at, day";
    let by_day = Setting { sorted: 1, ..setting };
    assert_eq!(block_on(check(&many(0..2, 10), days, by_day)).replaced, 0);
    assert_eq!(block_on(check(&many(0..2, 10), days, setting)).replaced, 1);
    assert_eq!(block_on(check(&[], days, setting)).replaced, 1);
    for sql in [
        "SELECT number, count(*) AS c FROM t GROUP BY number",
        "SELECT short, n / 3.0 AS x, count(*) AS c FROM t GROUP BY 1, 2",
        "SELECT DISTINCT number FROM t",
        "SELECT count(*) AS c FROM t",
        "SELECT short, n, count(*) AS c FROM t GROUP BY ROLLUP (short, n)",
    ] {
        assert_eq!(block_on(check(&many(0..1, 10), sql, setting)).replaced, 0, "{sql}");
    }
}
