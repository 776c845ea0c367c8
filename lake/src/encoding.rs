//! How the columns of a table's files are encoded.

use arrow::datatypes::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};

use crate::error::LakeError;

/// Rows of a row group: a partner's day is read without much of its neighbours.
const ROW_GROUP: usize = 131_072;

/// Rows of a batch that is read, or encoded at a time.
pub(crate) const BATCH: usize = 8_192;

/// Columns of the raw tables that a dictionary is in vain for: numbers near each other, or all the
/// same,
const NUMBERS: [&str; 8] = [
    "occurred_at",
    "kafka_partition",
    "kafka_offset",
    "arrival",
    "ingested_at",
    "latency_us",
    "request_bytes",
    "response_bytes",
];
/// and texts that seldom come twice.
const DISTINCT: [&str; 3] = ["event_id", "trace_id", "extra"];
/// What a raw table's files are sorted by: the statistics of their pages are worth having.
const SORTED: [&str; 2] = ["partner_id", "occurred_at"];

/// Of a table by its name; any other name has what suits any rows.
///
/// # Errors
/// A type that Parquet does not have.
pub(crate) fn of(table: &str, schema: &Schema) -> Result<WriterProperties, LakeError> {
    let builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_created_by(concat!("rapport ", env!("CARGO_PKG_VERSION")).to_owned());
    Ok(match table.split_once('/') {
        Some(("raw", _)) => of_events(builder),
        Some(("rollup", _)) => of_rollup(builder, schema)?,
        _ => builder,
    }
    .build())
}

fn of_events(builder: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    let mut builder =
        builder.set_write_batch_size(BATCH).set_statistics_enabled(EnabledStatistics::None);
    for name in NUMBERS {
        builder = builder
            .set_column_dictionary_enabled(name.into(), false)
            .set_column_encoding(name.into(), Encoding::DELTA_BINARY_PACKED);
    }
    for name in DISTINCT {
        builder = builder
            .set_column_dictionary_enabled(name.into(), false)
            .set_column_encoding(name.into(), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    for name in SORTED {
        builder = builder.set_column_statistics_enabled(name.into(), EnabledStatistics::Page);
    }
    builder
}

/// Words come again and again; counts, instants and sums seldom do, and a dictionary of them is as
/// long as they are. The chunks of a day are so small that to set Zstandard up takes longer than to
/// unpack them.
fn of_rollup(
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
            // Decimals of more than 18 digits: most bytes of each are the same.
            Type::FIXED_LEN_BYTE_ARRAY => builder.set_column_dictionary_enabled(path, false),
            _ => builder,
        };
    }
    Ok(builder)
}
