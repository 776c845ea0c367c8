//! Writing and reading the Parquet files of the tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake::kernel::{Action, Add};
use domain::Day;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::delta_schema::arrow_schema;
use crate::error::LakeError;
use crate::files::encoding::{BATCH_ROWS, writer_properties};
use crate::integrity::block_checksum::{BlockChecksums, CHECKSUM_TAG};
use crate::integrity::damage::Damage;
use crate::lake::Lake;
use crate::log::snapshot::DataFile;
use crate::schema::TableDef;

/// A complete data file that no commit has made visible yet. As JSON it travels to the process that
/// commits it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingFile {
    pub(crate) add: Add,
    pub rows: u64,
    pub bytes: u64,
}

impl PendingFile {
    /// Returns the log action that adds the file.
    pub(crate) fn action(&self) -> Action {
        Action::Add(self.add.clone())
    }

    /// Returns the file as a data file that can be read before a commit makes it visible.
    pub fn to_data_file(&self, def: &TableDef, day: Option<Day>) -> DataFile {
        DataFile {
            path: format!("{}/{}", def.name, self.add.path),
            size: self.bytes,
            rows: self.rows,
            day,
            tags: BTreeMap::new(),
            checksums: None,
            partners: None,
        }
    }

    /// Returns the log action that adds the file, with or without a change of the table's rows.
    pub(crate) fn action_with(&self, data_change: bool) -> Action {
        Action::Add(Add { data_change, ..self.add.clone() })
    }
}

/// Writes a file of a table; only compressed bytes are kept in memory.
pub struct FileWriter {
    lake: Lake,
    def: TableDef,
    day: Option<Day>,
    schema: SchemaRef,
    writer: ArrowWriter<Vec<u8>>,
    rows: usize,
    bounds: ColumnBounds,
}

impl FileWriter {
    /// Appends rows without the partition column; the file keeps their order.
    ///
    /// # Errors
    /// When the rows are not of the table's types.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let batch = conform(batch, &self.schema)?;
        self.writer.write(&batch)?;
        self.rows += batch.num_rows();
        self.bounds.extend(&batch);
        Ok(())
    }

    /// Returns the approximate size of the file so far, in bytes.
    pub fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes the file durably to the lake; a commit makes it visible.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn finish(
        self,
        mut tags: BTreeMap<String, String>,
    ) -> Result<PendingFile, LakeError> {
        let Self { lake, def, day, writer, rows, bounds, .. } = self;
        let bytes = writer.into_inner()?;
        let folder = match (&def.partition_by, day) {
            (Some(column), Some(day)) => format!("{column}={day}/"),
            _ => String::new(),
        };
        let path = format!("{folder}part-{}.parquet", uuid::Uuid::now_v7());
        let full = format!("{}/{path}", def.name);
        let size = bytes.len();
        let checksums = BlockChecksums::of(&bytes);
        tags.insert(CHECKSUM_TAG.to_owned(), checksums.to_tag());
        crate::failpoint::hit("file", &def.name);
        lake.store().put(&Path::from(full.as_str()), bytes.into()).await?;
        crate::failpoint::hit("file put", &def.name);
        lake.sync_file(&full).await?;
        lake.location().register_checksums(full, Arc::new(checksums));
        let partition_values: HashMap<String, Option<String>> =
            def.partition_by.iter().map(|c| (c.clone(), day.map(|d| d.to_string()))).collect();
        let tags = tags.into_iter().map(|(name, value)| (name, Some(value))).collect();
        let add = Add {
            path,
            partition_values,
            size: size as i64,
            modification_time: Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(bounds.statistics(rows).to_string()),
            tags: Some(tags),
            ..Add::default()
        };
        Ok(PendingFile { add, rows: rows as u64, bytes: size as u64 })
    }
}

impl Lake {
    /// Returns a writer of a Parquet file of the table.
    ///
    /// # Errors
    /// A type that Delta does not have.
    pub fn file_writer(&self, def: &TableDef, day: Option<Day>) -> Result<FileWriter, LakeError> {
        let file_def = TableDef { schema: def.file_schema(), ..def.clone() };
        let schema: SchemaRef = Arc::new(arrow_schema(&file_def)?);
        let properties = writer_properties(&def.name, &schema)?;
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
        Ok(FileWriter {
            lake: self.clone(),
            def: def.clone(),
            day,
            schema,
            writer,
            rows: 0,
            bounds: ColumnBounds::default(),
        })
    }

    /// Writes rows as one Parquet file of the table; a commit makes it visible. The rows lack the
    /// partition column, and keep their order.
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
        let mut writer = self.file_writer(def, day)?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.finish(tags).await
    }

    /// Reads columns of one file, all of them when `columns` is empty; `path` is below the root.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when the file is not what was written.
    pub async fn read_file(
        &self,
        path: &str,
        columns: &[&str],
    ) -> Result<Vec<RecordBatch>, LakeError> {
        let bytes = self.bytes(path).await?;
        let corrupt = corrupt(path);
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

    /// Reads the bytes of a file below the root.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Bytes, LakeError> {
        Ok(self.store().get(&Path::from(path)).await?.bytes().await?)
    }
}

/// Returns the conversion of a message into the error of a damaged file.
pub(crate) fn corrupt(path: &str) -> impl Fn(String) -> LakeError + '_ {
    move |reason| Damage::new(path, reason).into()
}

/// Returns the rows of a Parquet file, a batch at a time; `path` is for messages.
pub(crate) fn batches<'a>(
    bytes: Bytes,
    path: &'a str,
) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>> + 'a, LakeError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
        .map_err(|e| corrupt(path)(e.to_string()))?;
    Ok(reader.map(move |batch| batch.map_err(|e| corrupt(path)(e.to_string()))))
}

/// Passes the rows of a Parquet file to `each`, a batch at a time; `path` is for messages.
pub(crate) fn for_each_batch(
    bytes: Bytes,
    path: &str,
    mut each: impl FnMut(&RecordBatch),
) -> Result<(), LakeError> {
    for batch in batches(bytes, path)? {
        each(&batch?);
    }
    Ok(())
}

/// Casts rows to the table's types, and matches columns by name. A dictionary of texts stays: in
/// the file it is the same as texts. A column that the rows lack, because their file is older than
/// it, is NULL.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let lacking = || new_null_array(field.data_type(), batch.num_rows());
        let column = match batch.column_by_name(field.name()) {
            Some(column) => column,
            None if field.is_nullable() => &lacking(),
            None => {
                let what = format!("no column {}", field.name());
                return Err(arrow::error::ArrowError::SchemaError(what).into());
            }
        };
        let stays = match column.data_type() {
            DataType::Dictionary(_, values) => values.as_ref() == field.data_type(),
            other => other == field.data_type(),
        };
        let column = if stays { column.clone() } else { cast(column, field.data_type())? };
        fields.push(field.as_ref().clone().with_data_type(column.data_type().clone()));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Encodes rows as one Parquet file, compressed with Zstandard.
///
/// # Errors
/// When the rows are not of the schema.
pub fn parquet_bytes(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, LakeError> {
    let mut encoder = ParquetEncoder::new(schema)?;
    let mut bytes = Vec::new();
    for batch in batches {
        bytes.extend(encoder.push(batch)?);
    }
    bytes.extend(encoder.finish()?);
    Ok(bytes)
}

/// Encodes batches of rows as one Parquet file; see [`parquet_bytes`].
pub struct ParquetEncoder(ArrowWriter<Vec<u8>>);

impl ParquetEncoder {
    /// Returns an encoder of rows of a schema.
    ///
    /// # Errors
    /// A type that Parquet does not have.
    pub fn new(schema: &SchemaRef) -> Result<Self, LakeError> {
        Ok(Self(ArrowWriter::try_new(
            Vec::new(),
            schema.clone(),
            Some(writer_properties("", schema)?),
        )?))
    }

    /// Encodes rows, and returns the bytes of the row groups that are complete.
    ///
    /// # Errors
    /// When the rows are not of the schema.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, LakeError> {
        self.0.write(batch)?;
        self.0.sync().map_err(ParquetError::from)?;
        // The writer counts offsets itself, so the buffer may be taken from it.
        Ok(std::mem::take(self.0.inner_mut()))
    }

    /// Ends the file, and returns the remaining bytes.
    ///
    /// # Errors
    /// Checks of the library; none for rows that `push` accepted.
    pub fn finish(self) -> Result<Vec<u8>, LakeError> {
        Ok(self.0.into_inner()?)
    }
}

/// Decodes a Parquet file, and returns its schema and rows.
///
/// # Errors
/// When the bytes are no Parquet file.
pub fn parquet_rows(bytes: Vec<u8>) -> Result<(SchemaRef, Vec<RecordBatch>), LakeError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
    let schema = Arc::clone(reader.schema());
    let batches = reader.build()?.collect::<Result<_, _>>()?;
    Ok((schema, batches))
}

/// Returns the least and the greatest text of a column of texts, or of a dictionary of texts.
fn text_bounds(column: &ArrayRef) -> Option<(&str, &str)> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return min_string(texts).zip(max_string(texts));
    }
    let dictionary = column.as_dictionary_opt::<Int32Type>()?;
    let texts = dictionary.values().as_string_opt::<i32>()?;
    let mut used = vec![false; texts.len()];
    for key in dictionary.keys().iter().flatten() {
        used[key as usize] = true;
    }
    let mut bounds: Option<(&str, &str)> = None;
    for text in (0..texts.len()).filter(|at| used[*at]).map(|at| texts.value(at)) {
        let (low, high) = bounds.get_or_insert((text, text));
        *low = text.min(low);
        *high = text.max(high);
    }
    bounds
}

/// The bounds of the columns that the tables are sorted by.
#[derive(Default)]
struct ColumnBounds {
    partners: Option<(String, String)>,
    instants: Option<(i64, i64)>,
}

impl ColumnBounds {
    fn extend(&mut self, batch: &RecordBatch) {
        let ids = batch.column_by_name("partner_id");
        if let Some((least, greatest)) = ids.and_then(text_bounds) {
            let (low, high) =
                self.partners.get_or_insert_with(|| (least.to_owned(), greatest.to_owned()));
            if least < low.as_str() {
                least.clone_into(low);
            }
            if greatest > high.as_str() {
                greatest.clone_into(high);
            }
        }
        let instants = batch
            .column_by_name("occurred_at")
            .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        if let Some((least, greatest)) = instants.and_then(|c| min(c).zip(max(c))) {
            let (low, high) = self.instants.get_or_insert((least, greatest));
            *low = least.min(*low);
            *high = greatest.max(*high);
        }
    }

    /// Returns the statistics of a file as Delta writes them.
    fn statistics(self, rows: usize) -> Value {
        let (mut lower, mut upper) = (Map::new(), Map::new());
        if let Some((low, high)) = self.partners {
            lower.insert("partner_id".to_owned(), json!(low));
            upper.insert("partner_id".to_owned(), json!(high));
        }
        let text = |micros: i64| {
            DateTime::<Utc>::from_timestamp_micros(micros)
                .map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
        };
        if let Some((low, high)) = self.instants.and_then(|(l, h)| text(l).zip(text(h))) {
            lower.insert("occurred_at".to_owned(), json!(low));
            upper.insert("occurred_at".to_owned(), json!(high));
        }
        json!({ "numRecords": rows, "minValues": lower, "maxValues": upper, "nullCount": {} })
    }
}
