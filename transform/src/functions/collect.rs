//! Aggregates that collect all values of a group and then call one plain function on them.
//!
//! The values come in no particular order, because threads and files decide it. Each function
//! therefore sorts its values before it adds up floats, so that the same rows give the same bits.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, Signature, SimpleAggregateUDF, Volatility,
};

/// Computes the aggregate's value from all rows of a group, given as one array per argument.
pub(super) type Finish = fn(&[ArrayRef]) -> Result<ScalarValue>;

/// Builds an aggregate whose arguments have exactly the given types.
pub(super) fn collecting_aggregate(
    name: &str,
    arguments: Vec<DataType>,
    result: DataType,
    finish: Finish,
) -> AggregateUDF {
    let item = |of: &DataType| Field::new_list_field(of.clone(), true);
    let state = arguments
        .iter()
        .enumerate()
        .map(|(i, of)| Arc::new(Field::new_list(format!("{name}{i}"), item(of), true)))
        .collect();
    let types = arguments.clone();
    AggregateUDF::from(SimpleAggregateUDF::new_with_signature(
        name,
        Signature::exact(arguments, Volatility::Immutable),
        result,
        Arc::new(move |_| {
            Ok(Box::new(CollectingAccumulator {
                types: types.clone(),
                batches: Vec::new(),
                finish,
            }))
        }),
        state,
    ))
}

/// Keeps the batches of one group until the value is asked for.
struct CollectingAccumulator {
    types: Vec<DataType>,
    batches: Vec<Vec<ArrayRef>>,
    finish: Finish,
}

impl fmt::Debug for CollectingAccumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectingAccumulator").field("types", &self.types).finish_non_exhaustive()
    }
}

impl CollectingAccumulator {
    fn columns(&self) -> Result<Vec<ArrayRef>> {
        let column = |(i, of): (usize, &DataType)| {
            let parts: Vec<_> = self.batches.iter().map(|batch| batch[i].as_ref()).collect();
            if parts.is_empty() { Ok(new_empty_array(of)) } else { Ok(concat(&parts)?) }
        };
        self.types.iter().enumerate().map(column).collect()
    }
}

impl Accumulator for CollectingAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if !values[0].is_empty() {
            self.batches.push(values.to_vec());
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let columns: Vec<_> =
                states.iter().map(|state| state.as_list::<i32>().value(row)).collect();
            self.update_batch(&columns)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        (self.finish)(&self.columns()?)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self
            .columns()?
            .into_iter()
            .map(|column| SingleRowListArrayBuilder::new(column).build_list_scalar())
            .collect())
    }

    fn size(&self) -> usize {
        let bytes = |a: &ArrayRef| a.to_data().get_slice_memory_size().unwrap_or(0);
        size_of::<Self>() + self.batches.iter().flatten().map(bytes).sum::<usize>()
    }
}
