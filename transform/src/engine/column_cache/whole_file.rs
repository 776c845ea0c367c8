//! A small file that is fetched in one request and decoded column by column.
//!
//! A day of a rollup has some ten thousand bytes in a dozen columns. One request for the whole file
//! takes less time than one for its footer and then one for each column that a metric reads.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, RecordBatch, RecordBatchOptions, RecordBatchReader, new_null_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{FieldRef, SchemaRef};
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use lake::DataFile;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use crate::engine::utf8_view;

/// The largest file that is fetched whole.
pub(super) const MAX_WHOLE_FILE_BYTES: u64 = 1 << 20;

/// The bytes of a file and its parsed footer.
#[derive(Debug, Clone)]
pub(super) struct WholeFile {
    bytes: Bytes,
    footer: ArrowReaderMetadata,
}

impl WholeFile {
    /// # Errors
    /// A file that can't be read, or that is no Parquet.
    pub(super) async fn fetch(store: &dyn ObjectStore, file: &DataFile) -> Result<Self> {
        let bytes = store.get(&Path::from(file.path.as_str())).await?.bytes().await?;
        let footer = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new());
        let footer = footer.map_err(|e| unreadable(file, &e))?;
        let views = ArrowReaderOptions::new().with_schema(utf8_view::in_views(footer.schema()));
        let footer = ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), views);
        Ok(Self { bytes, footer: footer.map_err(|e| unreadable(file, &e))? })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Decodes the rows with the columns of `schema`. `day` names the partition column, whose value
    /// is the file's day. A column that the file lacks is NULL.
    ///
    /// # Errors
    /// A page that can't be decoded.
    pub(super) fn rows(
        &self,
        schema: &SchemaRef,
        file: &DataFile,
        day: Option<&str>,
    ) -> Result<RecordBatch> {
        let inside = self.footer.schema();
        let wanted = schema.fields().iter().filter_map(|field| inside.index_of(field.name()).ok());
        let mask = ProjectionMask::roots(self.footer.parquet_schema(), wanted);
        let decoded = self.decode(mask).map_err(|e| unreadable(file, &e))?;
        let column = |field: &FieldRef| -> Result<ArrayRef> {
            if Some(field.name().as_str()) == day {
                let value = Date32Array::from(vec![file.day.map(|day| day.0); decoded.num_rows()]);
                return Ok(Arc::new(value));
            }
            Ok(match decoded.column_by_name(field.name()) {
                Some(column) => cast(column, field.data_type())?,
                None => new_null_array(field.data_type(), decoded.num_rows()),
            })
        };
        let columns = schema.fields().iter().map(column).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
    }

    fn decode(&self, mask: ProjectionMask) -> parquet::errors::Result<RecordBatch> {
        let rows = usize::try_from(self.footer.metadata().file_metadata().num_rows());
        let (bytes, footer) = (self.bytes.clone(), self.footer.clone());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, footer)
            .with_projection(mask)
            .with_batch_size(rows.unwrap_or(1).max(1))
            .build()?;
        let schema = reader.schema();
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    }
}

fn unreadable(file: &DataFile, error: &ParquetError) -> DataFusionError {
    let named = ParquetError::General(format!("{}: {error}", file.path));
    DataFusionError::ParquetError(Box::new(named))
}
