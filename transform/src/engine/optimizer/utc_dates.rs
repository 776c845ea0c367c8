//! Computes the date of a UTC instant as a number.
//!
//! Where a column names a time zone, Arrow asks the rules of the zone for the date of each value, which
//! takes ten times as long as a division, and UTC has no rules.

use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use domain::MICROS_PER_DAY;

/// The optimizer rule that finds casts of UTC instants to dates. It comes last, since other rules know
/// what a cast is.
#[derive(Debug)]
pub(crate) struct UtcDatesRule;

impl OptimizerRule for UtcDatesRule {
    fn name(&self) -> &'static str {
        "utc_dates"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let replaced = expr.transform_up(|expr| {
                let Expr::Cast(Cast { expr: instant, field }) = &expr else {
                    return Ok(Transformed::no(expr));
                };
                let is_date = *field.data_type() == DataType::Date32;
                if !is_date || !instant.get_type(&schema).is_ok_and(|of| is_utc(&of)) {
                    return Ok(Transformed::no(expr));
                }
                let arguments = vec![instant.as_ref().clone()];
                let date = ScalarFunction::new_udf(Arc::clone(&UTC_DATE), arguments);
                Ok(Transformed::yes(Expr::ScalarFunction(date)))
            });
            Ok(replaced?.update_data(|expr| name.restore(expr)))
        })
    }
}

fn is_utc(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC")
}

static UTC_DATE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::from(UtcDate { signature: Signature::any(1, Volatility::Immutable) }))
});

/// The date of an instant in microseconds, for which queries have `CAST(… AS DATE)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UtcDate {
    signature: Signature,
}

impl ScalarUDFImpl for UtcDate {
    fn name(&self) -> &'static str {
        "utc_date"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match args.args.as_slice() {
            [ColumnarValue::Array(instants)] => {
                let instants = instants.as_primitive::<TimestampMicrosecondType>();
                ColumnarValue::Array(Arc::new(instants.unary::<_, Date32Type>(date)))
            }
            [ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(instant, _))] => {
                ColumnarValue::Scalar(ScalarValue::Date32(instant.map(date)))
            }
            other => return exec_err!("utc_date takes an instant, not {other:?}"),
        })
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        Ok(input.first().map_or(SortProperties::Unordered, |instant| instant.sort_properties))
    }
}

/// Returns the days since 1970 of any instant: 64 bits of microseconds are fewer days than 32 bits hold.
fn date(micros: i64) -> i32 {
    micros.div_euclid(MICROS_PER_DAY) as i32
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    use crate::engine::context::context_without_lake;

    /// Instants around midnights before and after 1970, and NULL.
    const INSTANTS: &str = "(SELECT arrow_cast(n, 'Timestamp(µs, \"UTC\")') AS at, n FROM (VALUES
        (-2208988800000001), (-2208988800000000), (-86400000001), (-86400000000), (-1), (0), (1),
        (86399999999), (86400000000), (1767225599999999), (1767225600000000), (NULL)) AS v(n)) AS t";

    #[tokio::test]
    async fn dates_are_those_of_a_cast() {
        let (ours, theirs) = (context_without_lake(), SessionContext::new());
        for (query, is_replaced) in [
            (format!("SELECT n, CAST(at AS DATE) FROM {INSTANTS} ORDER BY n"), true),
            (
                format!(
                    "SELECT CAST(at AS DATE) + 1 AS d, count(*) FROM {INSTANTS} GROUP BY 1 ORDER BY 1"
                ),
                true,
            ),
            (
                format!(
                    "SELECT CAST(date_trunc('week', at) AS DATE) AS w, max(n) FROM {INSTANTS} GROUP BY 1 ORDER BY 1"
                ),
                true,
            ),
            (
                format!(
                    "SELECT n FROM {INSTANTS} WHERE extract(day FROM CAST(at AS DATE)) = 1 ORDER BY n"
                ),
                true,
            ),
            (
                format!(
                    "SELECT n, row_number() OVER (PARTITION BY CAST(at AS DATE) ORDER BY n) FROM {INSTANTS} ORDER BY 1"
                ),
                true,
            ),
            (
                format!(
                    "SELECT a.n, b.n FROM {INSTANTS} JOIN {INSTANTS2} ON CAST(a.at AS DATE) = CAST(b.at AS DATE) ORDER BY 1, 2",
                    INSTANTS = INSTANTS.replace("AS t", "AS a"),
                    INSTANTS2 = INSTANTS.replace("AS t", "AS b")
                ),
                true,
            ),
            (
                format!(
                    "SELECT CAST(arrow_cast(at, 'Timestamp(ms, \"UTC\")') AS DATE) FROM {INSTANTS} ORDER BY 1"
                ),
                false,
            ),
            (
                format!(
                    "SELECT CAST(arrow_cast(at, 'Timestamp(µs)') AS DATE) FROM {INSTANTS} ORDER BY 1"
                ),
                false,
            ),
            (
                format!(
                    "SELECT CAST(arrow_cast(at, 'Timestamp(µs, \"+02:00\")') AS DATE) FROM {INSTANTS} ORDER BY 1"
                ),
                false,
            ),
        ] {
            let mut found = Vec::new();
            for context in [&ours, &theirs] {
                let frame = context.sql(&query).await.expect("a query");
                let plan = frame.clone().into_optimized_plan().expect("a plan");
                let is_ours = std::ptr::eq(context, &raw const ours);
                let text = plan.display_indent().to_string();
                assert_eq!(text.contains("utc_date("), is_replaced && is_ours, "{query}\n{text}");
                let rows = frame.collect().await.expect("rows");
                found.push(pretty_format_batches(&rows).expect("a table").to_string());
            }
            assert_eq!(found[0], found[1], "{query}");
        }
    }
}
