//! Aggregates that need all their values at once: collected, then handed to one plain function.
//!
//! What the function gets is in no particular order (threads and files decide it), so every
//! function here sorts before it adds up floats: the same rows give the same bits.

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

/// From all rows of a group, one array an argument, to the aggregate's value.
pub(super) type Finish = fn(&[ArrayRef]) -> Result<ScalarValue>;

/// An aggregate over columns of exactly the given types.
pub(super) fn collected(
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
            Ok(Box::new(Collected { types: types.clone(), batches: Vec::new(), finish }))
        }),
        state,
    ))
}

/// Batches of rows as they came.
struct Collected {
    types: Vec<DataType>,
    batches: Vec<Vec<ArrayRef>>,
    finish: Finish,
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").field("types", &self.types).finish_non_exhaustive()
    }
}

impl Collected {
    fn columns(&self) -> Result<Vec<ArrayRef>> {
        let column = |(i, of): (usize, &DataType)| {
            let parts: Vec<_> = self.batches.iter().map(|batch| batch[i].as_ref()).collect();
            if parts.is_empty() { Ok(new_empty_array(of)) } else { Ok(concat(&parts)?) }
        };
        self.types.iter().enumerate().map(column).collect()
    }
}

impl Accumulator for Collected {
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
