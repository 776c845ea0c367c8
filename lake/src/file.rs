//! Writing and reading the Parquet files of the tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use deltalake::kernel::{Action, Add};
use lake_types::Day;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};

use crate::error::LakeError;
use crate::lake::{Lake, canonical};
use crate::schema::TableDef;

/// A whole file that no commit names yet.
#[derive(Debug, Clone)]
pub struct PendingFile {
    pub(crate) add: Add,
    pub rows: u64,
    pub bytes: u64,
}

impl PendingFile {
    pub(crate) fn action(&self) -> Action {
        Action::Add(self.add.clone())
    }
}

impl Lake {
    /// Writes rows (without the partition column, in the order they are to have) as one Parquet
    /// file of the table; a commit makes it visible.
    ///
    /// # Errors
    /// When the rows are not of the table's types, or can't be written.
    pub async fn write_file(
        &self,
        def: &TableDef,
        day: Option<Day>,
        batches: &[RecordBatch],
        tags: BTreeMap<String, String>,
    ) -> Result<PendingFile, LakeError> {
        let file_def = TableDef { schema: def.file_schema(), ..def.clone() };
        let schema: SchemaRef = Arc::new(canonical(&file_def)?);
        let batches: Vec<RecordBatch> =
            batches.iter().map(|b| conform(b, &schema)).collect::<Result<_, _>>()?;
        let bytes = parquet_bytes(&schema, &batches)?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();

        let now = Utc::now();
        let folder = match (&def.partition_by, day) {
            (Some(column), Some(day)) => format!("{column}={day}/"),
            _ => String::new(),
        };
        let path = format!("{folder}part-{}.parquet", uuid::Uuid::now_v7());
        let full = format!("{}/{path}", def.name);
        let size = bytes.len();
        self.store().put(&Path::from(full.as_str()), bytes.into()).await?;
        self.sync_file(&full).await?;

        let partition_values: HashMap<String, Option<String>> =
            def.partition_by.iter().map(|c| (c.clone(), day.map(|d| d.to_string()))).collect();
        let tags = (!tags.is_empty())
            .then(|| tags.into_iter().map(|(name, value)| (name, Some(value))).collect());
        let add = Add {
            path,
            partition_values,
            size: size as i64,
            modification_time: now.timestamp_millis(),
            data_change: true,
            stats: Some(statistics(&batches).to_string()),
            tags,
            ..Add::default()
        };
        Ok(PendingFile { add, rows: rows as u64, bytes: size as u64 })
    }

    /// Reads columns of one file (all of them when `columns` is empty), path relative to the root.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`] when it is no Parquet file.
    pub async fn read_file(
        &self,
        path: &str,
        columns: &[&str],
    ) -> Result<Vec<RecordBatch>, LakeError> {
        let bytes = self.store().get(&Path::from(path)).await?.bytes().await?;
        let corrupt = |reason: String| LakeError::Corrupt { path: path.to_owned(), reason };
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| corrupt(e.to_string()))?;
        let mask = if columns.is_empty() {
            ProjectionMask::all()
        } else {
            ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied())
        };
        let reader = builder.with_projection(mask).build().map_err(|e| corrupt(e.to_string()))?;
        reader.collect::<Result<_, _>>().map_err(|e| corrupt(e.to_string()))
    }
}

/// The rows in exactly the table's types; columns are matched by name.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch.column_by_name(field.name()).ok_or_else(|| {
                arrow::error::ArrowError::SchemaError(format!("no column {}", field.name()))
            })?;
            if column.data_type() == field.data_type() {
                return Ok(column.clone());
            }
            cast(column, field.data_type())
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Rows as the bytes of one Parquet file, zstd-compressed.
///
/// # Errors
/// When the rows are not of the schema.
pub fn parquet_bytes(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, LakeError> {
    let level = ZstdLevel::try_new(1)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("rapport ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?)
}

/// Delta's statistics: the row count, and the bounds of the columns the tables are sorted by.
fn statistics(batches: &[RecordBatch]) -> Value {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut lower = Map::new();
    let mut upper = Map::new();
    let ids = || {
        batches
            .iter()
            .filter_map(|b| b.column_by_name("partner_id"))
            .filter_map(|c| c.as_string_opt::<i32>())
    };
    let least = ids().filter_map(|c| min_string(c)).min();
    let greatest = ids().filter_map(|c| max_string(c)).max();
    if let (Some(least), Some(greatest)) = (least, greatest) {
        lower.insert("partner_id".to_owned(), json!(least));
        upper.insert("partner_id".to_owned(), json!(greatest));
    }
    let instants = || {
        batches
            .iter()
            .filter_map(|b| b.column_by_name("occurred_at"))
            .filter_map(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
    };
    let text = |micros: i64| {
        DateTime::<Utc>::from_timestamp_micros(micros)
            .map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
    };
    let least = instants().filter_map(min).min().and_then(text);
    let greatest = instants().filter_map(max).max().and_then(text);
    if let (Some(least), Some(greatest)) = (least, greatest) {
        lower.insert("occurred_at".to_owned(), json!(least));
        upper.insert("occurred_at".to_owned(), json!(greatest));
    }
    json!({ "numRecords": rows, "minValues": lower, "maxValues": upper, "nullCount": {} })
}
