//! The encodings and compressions of the columns of a table's files.

use arrow::datatypes::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};

use crate::error::LakeError;

/// The rows of a row group. It is small, so that a partner's day is read without many rows of other
/// partners.
const ROW_GROUP: usize = 131_072;

/// The rows that are read, or encoded, at a time.
pub(crate) const BATCH_ROWS: usize = 8_192;

/// Columns of the raw tables whose values are close to each other, for which delta encoding is
/// better than a dictionary.
const DELTA_ENCODED: [&str; 8] = [
    "occurred_at",
    "kafka_partition",
    "kafka_offset",
    "arrival",
    "ingested_at",
    "latency_us",
    "request_bytes",
    "response_bytes",
];
/// Columns of the raw tables whose texts are mostly unique, for which a dictionary is useless.
const UNIQUE_TEXTS: [&str; 3] = ["event_id", "trace_id", "extra"];
/// Columns of the raw tables that Zstandard halves, because their texts are random letters and digits. Few
/// queries read them. Of all others together it would save 2 % of a file.
const RANDOM_TEXTS: [&str; 4] = ["event_id", "trace_id", "extra", "credential_id"];
/// The columns that a raw table's files are sorted by; only their page statistics are useful.
const SORTED_BY: [&str; 2] = ["partner_id", "occurred_at"];

/// Returns the writer properties of a table's files, by the table's name. An unknown name gets
/// properties that suit any rows.
///
/// # Errors
/// A type that Parquet does not have.
pub(crate) fn writer_properties(
    table: &str,
    schema: &Schema,
) -> Result<WriterProperties, LakeError> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let builder = WriterProperties::builder()
        .set_compression(zstd)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_created_by(concat!("rapport ", env!("CARGO_PKG_VERSION")).to_owned());
    Ok(match table.split_once('/') {
        Some(("raw", _)) => event_properties(builder, zstd),
        Some(("rollup", _)) => rollup_properties(builder, schema)?,
        _ => builder,
    }
    .build())
}

/// Returns the properties of a raw table's files. A reader of Parquet sets its decompression up for each
/// column of each file. For Zstandard that was an eighth of the time of a short command.
fn event_properties(
    builder: WriterPropertiesBuilder,
    zstd: Compression,
) -> WriterPropertiesBuilder {
    let mut builder = builder
        .set_write_batch_size(BATCH_ROWS)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(Compression::SNAPPY);
    for name in RANDOM_TEXTS {
        builder = builder.set_column_compression(name.into(), zstd);
    }
    for name in DELTA_ENCODED {
        builder = builder
            .set_column_dictionary_enabled(name.into(), false)
            .set_column_encoding(name.into(), Encoding::DELTA_BINARY_PACKED);
    }
    for name in UNIQUE_TEXTS {
        builder = builder
            .set_column_dictionary_enabled(name.into(), false)
            .set_column_encoding(name.into(), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    for name in SORTED_BY {
        builder = builder.set_column_statistics_enabled(name.into(), EnabledStatistics::Page);
    }
    builder
}

/// Returns the properties of a rollup's files. Texts repeat and get dictionaries; counts, instants
/// and sums rarely repeat, and their dictionary would be as long as the column. Snappy replaces
/// Zstandard, because the column chunks of a day are so small that setting Zstandard up takes
/// longer than decompressing them.
fn rollup_properties(
    builder: WriterPropertiesBuilder,
    schema: &Schema,
) -> Result<WriterPropertiesBuilder, LakeError> {
    let mut builder = builder
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for column in ArrowSchemaConverter::new().convert(schema)?.columns() {
        let path = column.path().clone();
        builder = match column.physical_type() {
            Type::INT32 | Type::INT64 => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            // Decimals of more than 18 digits, most of whose bytes are equal.
            Type::FIXED_LEN_BYTE_ARRAY => builder.set_column_dictionary_enabled(path, false),
            _ => builder,
        };
    }
    Ok(builder)
}
