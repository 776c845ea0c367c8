//! Compares a text with a pattern once a batch, however many rows hold it.
//!
//! A column such as `endpoint` repeats some dozens of texts. What Parquet decodes from one word of its
//! dictionary is one view, so the distinct texts of a batch are found by comparing two machine words a
//! row, where LIKE and regular expressions look at every byte.

use std::fmt::{Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringViewArray};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, LikeExpr, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

use crate::engine::optimizer::Replacement;

/// Batches of fewer rows are compared row by row.
const MIN_ROWS: usize = 256;
/// Rows a distinct text, on average, from which it pays.
const MIN_ROWS_A_TEXT: usize = 4;
/// Places of the hash table, as a power of two. A text that loses its place counts as another one.
const TABLE_BITS: u32 = 10;

/// Returns a filter with such comparisons in place of its own.
pub(crate) fn over_distinct_texts(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    let Some(filter) = plan.downcast_ref::<FilterExec>() else { return Ok(None) };
    let schema = filter.input().schema();
    let predicate = Arc::clone(filter.predicate()).transform_up(|expr| {
        Ok(match PatternMatch::of(&expr, &schema) {
            Some(found) => Transformed::yes(Arc::new(found) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(expr),
        })
    })?;
    if !predicate.transformed {
        return Ok(None);
    }
    let filter = FilterExecBuilder::from(filter).with_predicate(predicate.data).build()?;
    Ok(Some(Arc::new(filter)))
}

/// A comparison of a column of texts with a constant pattern.
#[derive(Debug, Eq)]
struct PatternMatch {
    /// The comparison as it was.
    row_by_row: Arc<dyn PhysicalExpr>,
    text: Column,
}

// Derived, the comparison would move a trait object: https://github.com/rust-lang/rust/issues/78808.
impl PartialEq for PatternMatch {
    fn eq(&self, other: &Self) -> bool {
        self.row_by_row.eq(&other.row_by_row)
    }
}

impl Hash for PatternMatch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.row_by_row.hash(state);
    }
}

impl PatternMatch {
    /// Returns the comparison that an expression is, if it is one.
    fn of(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Self> {
        let [text, pattern] = operands(expr)?;
        let text = text.downcast_ref::<Column>()?.clone();
        let is_known = pattern.downcast_ref::<Literal>().is_some_and(|p| !p.value().is_null());
        let is_view = text.data_type(schema).ok()? == DataType::Utf8View;
        (is_known && is_view).then(|| Self { row_by_row: Arc::clone(expr), text })
    }

    /// Returns which of the texts match, or `None` where too few repeat.
    fn matches(&self, texts: &StringViewArray) -> Result<Option<BooleanArray>> {
        let Some((distinct, place_of_row)) = distinct_texts(texts)? else { return Ok(None) };
        let field = Field::new(self.text.name(), DataType::Utf8View, true);
        let batch =
            RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(distinct)])?;
        let first: Arc<dyn PhysicalExpr> = Arc::new(Column::new(self.text.name(), 0));
        let children = self.row_by_row.children();
        let [_, pattern] = children.as_slice() else {
            return internal_err!("a comparison has two sides");
        };
        let on_distinct =
            Arc::clone(&self.row_by_row).with_new_children(vec![first, Arc::clone(pattern)])?;
        let found = on_distinct.evaluate(&batch)?.into_array(batch.num_rows())?;
        let found: Vec<bool> = found.as_boolean().values().iter().collect();
        let of_rows =
            BooleanBuffer::collect_bool(texts.len(), |row| found[place_of_row[row] as usize]);
        Ok(Some(BooleanArray::new(of_rows, texts.nulls().cloned())))
    }
}

/// Returns the text and the pattern of LIKE, ILIKE, a match of a regular expression, or the contrary.
fn operands(expr: &Arc<dyn PhysicalExpr>) -> Option<[&Arc<dyn PhysicalExpr>; 2]> {
    if let Some(like) = expr.downcast_ref::<LikeExpr>() {
        return Some([like.expr(), like.pattern()]);
    }
    let binary = expr.downcast_ref::<BinaryExpr>()?;
    let is_pattern = matches!(
        binary.op(),
        Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
    );
    is_pattern.then(|| [binary.left(), binary.right()])
}

/// Returns the distinct texts and the place of each row's text among them, or `None` where too few
/// repeat. The place of a NULL is that of some text.
fn distinct_texts(texts: &StringViewArray) -> Result<Option<(StringViewArray, Vec<u32>)>> {
    if texts.len() < MIN_ROWS {
        return Ok(None);
    }
    // Views and their places in `distinct`; the first text takes every place that is free.
    let mut table = vec![(texts.views()[0], 0_u32); 1 << TABLE_BITS];
    let mut distinct: Vec<u128> = vec![texts.views()[0]];
    let mut place_of_row = Vec::with_capacity(texts.len());
    for &view in texts.views() {
        let folded = (view as u64) ^ ((view >> 64) as u64);
        let at = folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - TABLE_BITS);
        let known = &mut table[at as usize];
        if known.0 != view {
            if (distinct.len() + 1) * MIN_ROWS_A_TEXT > texts.len() {
                return Ok(None);
            }
            *known = (view, distinct.len() as u32);
            distinct.push(view);
        }
        place_of_row.push(known.1);
    }
    let views = ScalarBuffer::from(distinct);
    let distinct = StringViewArray::try_new(views, texts.data_buffers().to_vec(), None)?;
    Ok(Some((distinct, place_of_row)))
}

impl Display for PatternMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.row_by_row.fmt(f)
    }
}

impl PhysicalExpr for PatternMatch {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.row_by_row.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.row_by_row.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let texts = batch.column(self.text.index());
        if let Some(texts) = texts.as_string_view_opt()
            && let Some(found) = self.matches(texts)?
        {
            return Ok(ColumnarValue::Array(Arc::new(found)));
        }
        self.row_by_row.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.row_by_row.children()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let text = children.first().and_then(|text| text.downcast_ref::<Column>().cloned());
        let row_by_row = Arc::clone(&self.row_by_row).with_new_children(children)?;
        Ok(match text {
            Some(text) => Arc::new(Self { row_by_row, text }),
            None => row_by_row,
        })
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.row_by_row.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::engine::optimizer::NodeRule;

    /// Texts of which some repeat, short ones and ones that lie in a buffer, some of them NULL, and
    /// the numbers of their rows.
    fn rows(distinct: usize, count: usize) -> RecordBatch {
        let words: Vec<String> = (0..distinct)
            .map(|word| match word % 3 {
                0 => format!("/v1/{word}"),
                1 => format!("/v{word}/payments/{{id}}/refunds"),
                _ => format!("/v{word}/REFUNDS/with/a/long/name/of/its/own"),
            })
            .collect();
        // Equal texts are equal views, as from a dictionary.
        let words = StringViewArray::from_iter_values(&words);
        let views = (0..count).map(|row| words.views()[row * 7 % distinct]).collect::<Vec<u128>>();
        let nulls = (0..count).map(|row| row % 11 != 3).collect::<Vec<bool>>();
        let texts = StringViewArray::try_new(
            ScalarBuffer::from(views),
            words.data_buffers().to_vec(),
            Some(nulls.into()),
        );
        let numbers = arrow::array::Int64Array::from_iter_values(0..count as i64);
        let columns: [(&str, arrow::array::ArrayRef); 2] =
            [("row", Arc::new(numbers)), ("text", Arc::new(texts.expect("views")))];
        RecordBatch::try_from_iter(columns).expect("two columns")
    }

    async fn answer(context: &SessionContext, condition: &str) -> String {
        let query = format!("SELECT row, text FROM t WHERE {condition} ORDER BY row");
        let frame = context.sql(&query).await.expect("a plan");
        let batches = frame.collect().await.expect("rows");
        arrow::util::pretty::pretty_format_batches(&batches).expect("a table").to_string()
    }

    const CONDITIONS: [&str; 8] = [
        "text LIKE '%refund%'",
        "text NOT LIKE '/v_/%'",
        "text ILIKE '%refund%'",
        "text NOT ILIKE '%refund%' OR row = 5",
        "text ~ '^/v[0-9]+/p'",
        "text !~ 'nds$'",
        "text ~* 'REFUNDS/w|v1/9'",
        "text LIKE NULL",
    ];

    #[tokio::test]
    async fn answers_are_those_of_the_comparison_row_by_row() {
        let config = SessionConfig::new().with_target_partitions(1);
        let state = SessionStateBuilder::new().with_config(config).with_default_features();
        let ours = state
            .with_physical_optimizer_rule(Arc::new(NodeRule {
                name: "distinct_texts",
                replace: over_distinct_texts,
            }))
            .build();
        let (ours, theirs) = (SessionContext::new_with_state(ours), SessionContext::new());
        for (distinct, count) in [(1, 300), (40, 5_000), (3_000, 20_000), (900, 1_000), (9, 90)] {
            for context in [&ours, &theirs] {
                context.register_batch("t", rows(distinct, count)).expect("registered");
            }
            for condition in CONDITIONS {
                let expected = answer(&theirs, condition).await;
                assert_eq!(answer(&ours, condition).await, expected, "{condition}, {distinct}");
            }
            for context in [&ours, &theirs] {
                context.deregister_table("t").expect("deregistered");
            }
        }
    }

    #[test]
    fn repeated_texts_are_kept_once() {
        #[track_caller]
        fn check(distinct: usize, count: usize, expected: Option<usize>) {
            let batch = rows(distinct, count);
            let texts = batch.column(1).as_string_view();
            let found = distinct_texts(texts).expect("no error");
            assert_eq!(found.as_ref().map(|(kept, _)| kept.len()), expected);
            let Some((kept, place_of_row)) = found else { return };
            for (row, place) in place_of_row.iter().enumerate() {
                assert_eq!(kept.value(*place as usize), texts.value(row));
            }
        }
        check(1, 256, Some(1));
        check(5, 256, Some(5));
        check(5, 255, None);
        // Too few repeat.
        check(300, 1_000, None);
    }
}
