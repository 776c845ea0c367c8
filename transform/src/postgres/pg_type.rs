//! The types that PostgreSQL clients know, by their numbers in `pg_type`, and those of Arrow as they
//! are shown to clients.

use arrow::datatypes::DataType;

/// A type of PostgreSQL (<https://www.postgresql.org/docs/current/datatype.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgType {
    pub oid: u32,
    /// The name in `pg_type`.
    pub name: &'static str,
    /// The name in SQL.
    pub sql_name: &'static str,
    /// The bytes of a value; -1 where they vary.
    pub length: i16,
    pub category: &'static str,
    /// The number of the type of its arrays.
    pub array_oid: u32,
}

/// The type of a column, with its modifier: of a decimal its precision and scale, else -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeOfColumn {
    /// The type, or that of the elements of an array.
    pub element: PgType,
    pub is_array: bool,
    pub modifier: i32,
}

const fn pg_type(
    oid: u32,
    name: &'static str,
    sql_name: &'static str,
    length: i16,
    category: &'static str,
    array_oid: u32,
) -> PgType {
    PgType { oid, name, sql_name, length, category, array_oid }
}

impl PgType {
    pub const BOOL: Self = pg_type(16, "bool", "boolean", 1, "B", 1000);
    pub const BYTEA: Self = pg_type(17, "bytea", "bytea", -1, "U", 1001);
    pub const INT8: Self = pg_type(20, "int8", "bigint", 8, "N", 1016);
    pub const INT2: Self = pg_type(21, "int2", "smallint", 2, "N", 1005);
    pub const INT4: Self = pg_type(23, "int4", "integer", 4, "N", 1007);
    pub const TEXT: Self = pg_type(25, "text", "text", -1, "S", 1009);
    pub const JSON: Self = pg_type(114, "json", "json", -1, "U", 199);
    pub const FLOAT4: Self = pg_type(700, "float4", "real", 4, "N", 1021);
    pub const FLOAT8: Self = pg_type(701, "float8", "double precision", 8, "N", 1022);
    pub const DATE: Self = pg_type(1082, "date", "date", 4, "D", 1182);
    pub const TIME: Self = pg_type(1083, "time", "time without time zone", 8, "D", 1183);
    pub const TIMESTAMP: Self =
        pg_type(1114, "timestamp", "timestamp without time zone", 8, "D", 1115);
    pub const TIMESTAMPTZ: Self =
        pg_type(1184, "timestamptz", "timestamp with time zone", 8, "D", 1185);
    pub const INTERVAL: Self = pg_type(1186, "interval", "interval", 16, "T", 1187);
    pub const NUMERIC: Self = pg_type(1700, "numeric", "numeric", -1, "N", 1231);

    /// Every type, those that no column has and clients may name included.
    pub(super) const ALL: [Self; 22] = [
        Self::BOOL,
        Self::BYTEA,
        pg_type(18, "char", "\"char\"", 1, "Z", 1002),
        pg_type(19, "name", "name", 64, "S", 1003),
        Self::INT8,
        Self::INT2,
        Self::INT4,
        Self::TEXT,
        pg_type(26, "oid", "oid", 4, "N", 1028),
        Self::JSON,
        Self::FLOAT4,
        Self::FLOAT8,
        pg_type(705, "unknown", "unknown", -2, "X", 0),
        pg_type(1042, "bpchar", "character", -1, "S", 1014),
        pg_type(1043, "varchar", "character varying", -1, "S", 1015),
        Self::DATE,
        Self::TIME,
        Self::TIMESTAMP,
        Self::TIMESTAMPTZ,
        Self::INTERVAL,
        Self::NUMERIC,
        pg_type(2950, "uuid", "uuid", 16, "U", 2951),
    ];

    /// Returns a type by a name that clients write, without its schema.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.trim().trim_start_matches("pg_catalog.").trim_matches('"');
        Self::ALL.into_iter().find(|t| t.name == name || t.sql_name == name)
    }
}

impl TypeOfColumn {
    /// Returns the type under which clients see values of an Arrow type. What has none, such as a
    /// list of structs, is JSON.
    pub fn of(data_type: &DataType) -> Self {
        if let DataType::List(field) = data_type {
            let element = Self::of(field.data_type());
            let is_simple = !element.is_array && element.element != PgType::JSON;
            let element = if is_simple { element.element } else { PgType::JSON };
            return Self { element, is_array: is_simple, modifier: -1 };
        }
        let modifier = match data_type {
            DataType::Decimal128(precision, scale) => {
                ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
            }
            _ => -1,
        };
        Self { element: scalar(data_type), is_array: false, modifier }
    }

    /// Returns the number of the type in `pg_type`.
    pub fn oid(&self) -> u32 {
        if self.is_array { self.element.array_oid } else { self.element.oid }
    }

    /// Returns the bytes of a value; -1 where they vary.
    pub fn length(&self) -> i16 {
        if self.is_array { -1 } else { self.element.length }
    }
}

fn scalar(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => PgType::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => PgType::INT2,
        DataType::Int32 | DataType::UInt16 => PgType::INT4,
        DataType::Int64 | DataType::UInt32 => PgType::INT8,
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => PgType::NUMERIC,
        DataType::Float16 | DataType::Float32 => PgType::FLOAT4,
        DataType::Float64 => PgType::FLOAT8,
        DataType::Date32 | DataType::Date64 => PgType::DATE,
        DataType::Time32(_) | DataType::Time64(_) => PgType::TIME,
        DataType::Timestamp(_, None) => PgType::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => PgType::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => PgType::INTERVAL,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => PgType::BYTEA,
        DataType::Struct(_) | DataType::LargeList(_) | DataType::Map(..) => PgType::JSON,
        _ => PgType::TEXT,
    }
}

/// Returns the name of a type in SQL, by its number.
pub(super) fn format_type(oid: i64, modifier: Option<i64>) -> String {
    let is = |number: u32| i64::from(number) == oid;
    for known in PgType::ALL {
        if is(known.array_oid) {
            return format!("{}[]", known.sql_name);
        }
        if is(known.oid) {
            return match modifier {
                Some(modifier) if known == PgType::NUMERIC && modifier >= 4 => {
                    let packed = modifier - 4;
                    format!("numeric({},{})", packed >> 16, packed & 0xffff)
                }
                _ => known.sql_name.to_owned(),
            };
        }
    }
    if oid == 0 { "-".to_owned() } else { "???".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Fields};

    use super::*;

    #[test]
    fn types_of_arrow_have_a_type_that_clients_know() {
        let check = |data_type: &DataType, name: &str| {
            let found = TypeOfColumn::of(data_type);
            let modifier = (found.modifier >= 0).then_some(i64::from(found.modifier));
            assert_eq!(format_type(i64::from(found.oid()), modifier), name, "{data_type}");
        };
        check(&DataType::Int64, "bigint");
        check(&DataType::Utf8View, "text");
        check(&DataType::Decimal128(38, 12), "numeric(38,12)");
        check(&DataType::UInt64, "numeric");
        check(&lake::schema::instant(), "timestamp with time zone");
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        check(&list(DataType::Utf8), "text[]");
        check(&list(DataType::Struct(Fields::empty())), "json");
        check(&DataType::Null, "text");
    }
}
