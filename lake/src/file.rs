//! Writing and reading the Parquet files of the tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake::kernel::{Action, Add};
use lake_types::Day;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde_json::{Map, Value, json};

use crate::checksum::{CHECKSUM, Checksums};
use crate::damage::Damage;
use crate::encoding::{self, BATCH};
use crate::error::LakeError;
use crate::lake::{Lake, canonical};
use crate::schema::TableDef;
use crate::snapshot::DataFile;

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

    /// The file as it is read, before a commit names it.
    pub fn written(&self, def: &TableDef, day: Option<Day>) -> DataFile {
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

    pub(crate) fn action_with(&self, data_change: bool) -> Action {
        Action::Add(Add { data_change, ..self.add.clone() })
    }
}

/// A file of a table that is being written; only its compressed bytes are held.
pub struct FileWriter {
    lake: Lake,
    def: TableDef,
    day: Option<Day>,
    schema: SchemaRef,
    writer: ArrowWriter<Vec<u8>>,
    rows: usize,
    bounds: Bounds,
}

impl FileWriter {
    /// Adds rows, without the partition column, in the order they are to have.
    ///
    /// # Errors
    /// When they are not of the table's types.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let batch = conform(batch, &self.schema)?;
        self.writer.write(&batch)?;
        self.rows += batch.num_rows();
        self.bounds.extend(&batch);
        Ok(())
    }

    /// About how many bytes the file has so far.
    pub fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Puts the file in its place, durably; a commit makes it visible.
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
        let checksums = Checksums::of(&bytes);
        tags.insert(CHECKSUM.to_owned(), checksums.text());
        crate::fault::point("file", &def.name);
        lake.store().put(&Path::from(full.as_str()), bytes.into()).await?;
        crate::fault::point("file put", &def.name);
        lake.sync_file(&full).await?;
        lake.know(full, Arc::new(checksums));
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
    /// Begins a Parquet file of the table.
    ///
    /// # Errors
    /// When the table's columns have no place in Delta.
    pub fn file_writer(&self, def: &TableDef, day: Option<Day>) -> Result<FileWriter, LakeError> {
        let file_def = TableDef { schema: def.file_schema(), ..def.clone() };
        let schema: SchemaRef = Arc::new(canonical(&file_def)?);
        let properties = encoding::of(&def.name, &schema)?;
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
        Ok(FileWriter {
            lake: self.clone(),
            def: def.clone(),
            day,
            schema,
            writer,
            rows: 0,
            bounds: Bounds::default(),
        })
    }

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
        let mut writer = self.file_writer(def, day)?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.finish(tags).await
    }

    /// Reads columns of one file (all of them when `columns` is empty), path relative to the root.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when it is not what was written.
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

    /// A file below the root as it lies there.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Bytes, LakeError> {
        Ok(self.store().get(&Path::from(path)).await?.bytes().await?)
    }
}

pub(crate) fn corrupt(path: &str) -> impl Fn(String) -> LakeError + '_ {
    move |reason| Damage::new(path, reason).into()
}

/// The rows of a Parquet file a batch at a time; `path` is for messages.
pub(crate) fn batches<'a>(
    bytes: Bytes,
    path: &'a str,
) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>> + 'a, LakeError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(|builder| builder.with_batch_size(BATCH).build())
        .map_err(|e| corrupt(path)(e.to_string()))?;
    Ok(reader.map(move |batch| batch.map_err(|e| corrupt(path)(e.to_string()))))
}

/// The rows in exactly the table's types, but that a dictionary of texts may stand for texts: in
/// the file they are the same. Columns are matched by name.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, LakeError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = batch.column_by_name(field.name()).ok_or_else(|| {
            arrow::error::ArrowError::SchemaError(format!("no column {}", field.name()))
        })?;
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

/// Rows as the bytes of one Parquet file, zstd-compressed.
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

/// As [`parquet_bytes`], for rows that come one batch after the other.
pub struct ParquetEncoder(ArrowWriter<Vec<u8>>);

impl ParquetEncoder {
    /// # Errors
    /// A type that Parquet does not have.
    pub fn new(schema: &SchemaRef) -> Result<Self, LakeError> {
        Ok(Self(ArrowWriter::try_new(Vec::new(), schema.clone(), Some(encoding::of("", schema)?))?))
    }

    /// Takes rows; the bytes that are ready, those of whole row groups.
    ///
    /// # Errors
    /// When the rows are not of the schema.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, LakeError> {
        self.0.write(batch)?;
        self.0.sync().map_err(ParquetError::from)?;
        // Offsets are counted by the writer, not read off what it wrote to.
        Ok(std::mem::take(self.0.inner_mut()))
    }

    /// The rest of the bytes.
    ///
    /// # Errors
    /// None for rows that were taken; the library's own checks.
    pub fn finish(self) -> Result<Vec<u8>, LakeError> {
        Ok(self.0.into_inner()?)
    }
}

/// The rows of such a file, with the schema they were written with.
///
/// # Errors
/// When the bytes are no Parquet file.
pub fn parquet_rows(bytes: Vec<u8>) -> Result<(SchemaRef, Vec<RecordBatch>), LakeError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))?;
    let schema = Arc::clone(reader.schema());
    let batches = reader.build()?.collect::<Result<_, _>>()?;
    Ok((schema, batches))
}

/// The least and the greatest of a column of texts, or of a dictionary of them.
fn bounds_of_texts(column: &ArrayRef) -> Option<(&str, &str)> {
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

/// The bounds of the columns the tables are sorted by.
#[derive(Default)]
struct Bounds {
    partners: Option<(String, String)>,
    instants: Option<(i64, i64)>,
}

impl Bounds {
    fn extend(&mut self, batch: &RecordBatch) {
        let ids = batch.column_by_name("partner_id");
        if let Some((least, greatest)) = ids.and_then(bounds_of_texts) {
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

    /// Delta's statistics of a file.
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
