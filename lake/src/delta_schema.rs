//! The columns of tables as Delta has them.

use arrow::datatypes::Schema;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};

use crate::error::LakeError;
use crate::schema::TableDef;

/// Returns the table's columns as Delta stores them.
///
/// # Errors
/// A type that Delta does not have.
pub(crate) fn delta_schema(def: &TableDef) -> Result<StructType, LakeError> {
    let kernel: Result<StructType, _> = def.schema.as_ref().try_into_kernel();
    kernel.map_err(LakeError::Arrow)
}

/// Returns the table's columns as Delta gives them back.
///
/// # Errors
/// A type that Delta does not have.
pub(crate) fn arrow_schema(def: &TableDef) -> Result<Schema, LakeError> {
    let kernel = delta_schema(def)?;
    let arrow: Result<Schema, _> = (&kernel).try_into_arrow();
    arrow.map_err(LakeError::Arrow)
}
