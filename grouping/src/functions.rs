//! Aggregate functions with their arguments.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::aggregates::{AggregateExec, aggregate_expressions};

/// An aggregate function with its arguments.
pub(super) struct Function {
    arguments: Vec<Argument>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    pub(super) accumulator: Box<dyn GroupsAccumulator>,
}

struct Argument {
    expression: Arc<dyn PhysicalExpr>,
    /// The column of a constant, as `count(*)` has one.
    constant: Option<ArrayRef>,
}

/// Returns the functions of an aggregate, with no groups.
pub(super) fn new_functions(aggregate: &AggregateExec) -> Result<Vec<Function>> {
    let keys = aggregate.group_expr().num_group_exprs();
    let arguments = aggregate_expressions(aggregate.aggr_expr(), aggregate.mode(), keys)?;
    let functions = aggregate.aggr_expr().iter().zip(arguments).zip(aggregate.filter_expr());
    functions
        .map(|((function, arguments), filter)| {
            let argument = |expression| Argument { expression, constant: None };
            Ok(Function {
                arguments: arguments.into_iter().map(argument).collect(),
                filter: filter.clone(),
                accumulator: function.create_groups_accumulator()?,
            })
        })
        .collect()
}

impl Function {
    /// Returns the arguments of each row, and which rows the filter passes.
    pub(super) fn evaluate(
        &mut self,
        batch: &RecordBatch,
    ) -> Result<(Vec<ArrayRef>, Option<BooleanArray>)> {
        let arguments = self.arguments.iter_mut().map(|argument| argument.evaluate(batch));
        let arguments = arguments.collect::<Result<_>>()?;
        let filter = match &self.filter {
            Some(filter) => {
                let passes = filter.evaluate(batch)?.into_array(batch.num_rows())?;
                Some(passes.as_boolean().clone())
            }
            None => None,
        };
        Ok((arguments, filter))
    }
}

impl Argument {
    fn evaluate(&mut self, batch: &RecordBatch) -> Result<ArrayRef> {
        let rows = batch.num_rows();
        if let Some(constant) = &self.constant
            && constant.len() >= rows
        {
            return Ok(constant.slice(0, rows));
        }
        match self.expression.evaluate(batch)? {
            ColumnarValue::Array(column) => Ok(column),
            ColumnarValue::Scalar(value) => {
                let column = value.to_array_of_size(rows)?;
                // Only a literal is sure to have the same value in the next batch.
                if self.expression.is::<Literal>() {
                    self.constant = Some(Arc::clone(&column));
                }
                Ok(column)
            }
        }
    }
}
