//! The codes of SQLSTATE that clients tell errors by
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::error::TransformError;

/// Returns the code of an error.
pub fn sql_state(error: &TransformError) -> &'static str {
    match error {
        TransformError::ReadOnly(_) => "25006",
        TransformError::UnsupportedShow(_) => "42704",
        TransformError::UnknownTable { .. } | TransformError::UnknownQuery { .. } => "42P01",
        TransformError::QueryUnavailable { .. } | TransformError::MissingExchangeRate { .. } => {
            "55000"
        }
        TransformError::MixedCatalog => "0A000",
        TransformError::UnknownParameter { .. } => "42P02",
        TransformError::Sql { source, message, .. } => of_datafusion(source.find_root(), message),
        TransformError::Lake(_) | TransformError::Read { .. } => "58030",
        _ => "XX000",
    }
}

fn of_datafusion(root: &DataFusionError, message: &str) -> &'static str {
    match root {
        DataFusionError::SQL(..) => "42601",
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::AmbiguousReference { .. } => "42702",
            _ => "42703",
        },
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::NotImplemented(_) => "0A000",
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => "22012",
            ArrowError::ArithmeticOverflow(_) => "22003",
            ArrowError::CastError(_) | ArrowError::ParseError(_) => "22P02",
            _ => "XX000",
        },
        DataFusionError::ObjectStore(_) | DataFusionError::ParquetError(_) => "58030",
        DataFusionError::Plan(_) if message.contains("not supported: ") => "25006",
        _ if message.contains("Invalid function") || message.contains("No function matches") => {
            "42883"
        }
        DataFusionError::Plan(_) if message.contains("table") && message.contains("not found") => {
            "42P01"
        }
        DataFusionError::Plan(_) => "42000",
        _ => "XX000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_a_code() {
        let check = |error: DataFusionError, expected: &str| {
            assert_eq!(sql_state(&TransformError::sql("here")(error)), expected);
        };
        check(DataFusionError::ResourcesExhausted(String::new()), "53200");
        check(DataFusionError::Plan("Invalid function 'f'".to_owned()), "42883");
        check(DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None), "22012");
        check(DataFusionError::NotImplemented(String::new()), "0A000");
        assert_eq!(sql_state(&TransformError::ReadOnly("DROP".to_owned())), "25006");
    }
}
