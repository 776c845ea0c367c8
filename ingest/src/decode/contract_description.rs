//! Describes the event contracts for people, from the same tables that the decoder uses.

use domain::Stream;

use super::fields::{self, COMMON_FIELDS, FieldDef, FieldRule};

/// The description of one field of a stream's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractField {
    pub name: &'static str,
    /// Its JSON type: `string`, `integer` or `number`.
    pub json_type: &'static str,
    pub required: bool,
    /// Which values are valid, and what of them is stored.
    pub rule: String,
    /// The value of an absent field.
    pub default: Option<&'static str>,
    /// What the field means.
    pub description: &'static str,
    /// Its column in the raw table.
    pub column: &'static str,
}

/// Returns the fields of a stream's events, in the order in which they are checked.
pub fn contract(stream: Stream) -> Vec<ContractField> {
    COMMON_FIELDS.iter().chain(fields::own_fields(stream)).map(describe).collect()
}

/// Returns the description of a column of a stream's raw table, or `None` when it has no such
/// column.
pub fn column_description(stream: Stream, column: &str) -> Option<String> {
    if let Some((_, description)) = ORIGIN_COLUMNS.iter().find(|(name, _)| *name == column) {
        return Some((*description).to_owned());
    }
    let field = contract(stream).into_iter().find(|field| field.column == column)?;
    if field.name != column {
        return Some(format!("{}, in µs", field.description));
    }
    let is_one = field.rule.starts_with("one of ");
    Some(if is_one {
        format!("{}: {}", field.description, field.rule)
    } else {
        field.description.to_owned()
    })
}

/// The columns that identify the record of an event, with their descriptions.
const ORIGIN_COLUMNS: [(&str, &str); 8] = [
    ("topic", "The topic it was read from, or of a file file:<name>#<first of its SHA-256>"),
    ("kafka_partition", "The partition of the topic; of a file 0"),
    ("kafka_offset", "The offset in the partition; of a file the line, from 0"),
    (
        "arrival",
        "The record's timestamp; of a file that of --arrival, or of the run that first read it",
    ),
    ("ingested_at", "When it was committed"),
    ("late", "Whether it came more than an hour behind those before it in its partition or file"),
    (
        "extra",
        "Fields that the contract does not name, as a JSON object; those of secrets are left out",
    ),
    ("event_date", "The UTC date of occurred_at"),
];

fn describe(field: &FieldDef) -> ContractField {
    let json_type = match field.rule {
        FieldRule::Integer(..) => "integer",
        FieldRule::Millis => "number",
        FieldRule::Instant => "string or integer",
        _ => "string",
    };
    let default = match field.rule {
        FieldRule::OneOf(_, default) => default,
        _ => None,
    };
    ContractField {
        name: field.name,
        json_type,
        required: field.required,
        rule: rule(field),
        default,
        description: field.description,
        column: field.column(),
    }
}

fn rule(field: &FieldDef) -> String {
    let text = match field.rule {
        FieldRule::Text => "any; an empty one is absent",
        FieldRule::Id => "1 to 128 characters",
        FieldRule::Credential => "any; stored as a keyed hash",
        FieldRule::Route => "any; stored up to its query or fragment",
        FieldRule::Method => "any; stored in upper case",
        FieldRule::Currency => "an active ISO 4217 code with a minor unit, in upper case",
        FieldRule::OneOf(values, _) => return format!("one of {}", values.join(", ")),
        FieldRule::Integer(min, i64::MAX) => return format!("{min} or more"),
        FieldRule::Integer(min, max) => return format!("{min} to {max}"),
        FieldRule::Millis => "milliseconds, 0 or more; stored as integer microseconds",
        FieldRule::Instant => {
            "RFC 3339 with offset, or epoch milliseconds; from 2000-01-01 to a day after its arrival"
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{rejected, stored};
    use super::*;

    #[test]
    fn every_column_of_a_raw_table_is_described() {
        for stream in Stream::ALL {
            for column in lake::schema::raw(stream).schema.fields() {
                let text = column_description(stream, column.name());
                assert!(text.is_some_and(|text| !text.is_empty()), "{stream} {}", column.name());
            }
            assert_eq!(column_description(stream, "latency_ms"), None);
        }
        let latency = column_description(Stream::ApiCalls, "latency_us").expect("a column");
        assert_eq!(latency, "How long the answer took, in µs");
    }

    /// The description of each field matches what the decoder does, value by value.
    #[test]
    fn the_contract_is_what_the_decoder_does() {
        for stream in Stream::ALL {
            for field in contract(stream) {
                absent_value(stream, &field);
                wrong_types(stream, &field);
                rule_bounds(stream, &field);
            }
        }
    }

    fn with(field: &ContractField, value: &str) -> String {
        format!("\"{}\":{value}", field.name)
    }

    fn absent_value(stream: Stream, field: &ContractField) {
        match (field.required, field.default) {
            (true, None) => rejected(stream, &with(field, "null"), "missing_field", field.name),
            (false, default) => stored(stream, &with(field, "null"), field.column, default),
            (true, Some(_)) => panic!("{} is required and has a default", field.name),
        }
    }

    fn wrong_types(stream: Stream, field: &ContractField) {
        let wrong: &[&str] = match field.json_type {
            "string" => &["1", "1.5", "true", "[]", "{}"],
            "integer" => &["\"1\"", "100.5", "true", "[]", "{}"],
            "number" => &["\"1\"", "true", "[]", "{}"],
            "string or integer" => &["\"x\"", "100.5", "true", "[]", "{}"],
            other => panic!("{} is {other}", field.name),
        };
        for value in wrong {
            rejected(stream, &with(field, value), "wrong_type", field.name);
        }
    }

    fn rule_bounds(stream: Stream, field: &ContractField) {
        let accepted = |value: &str, cell: Option<&str>| {
            stored(stream, &with(field, value), field.column, cell);
        };
        let refused = |value: &str, reason: &str| {
            rejected(stream, &with(field, value), reason, field.name);
        };
        if let Some(values) = field.rule.strip_prefix("one of ") {
            for value in values.split(", ") {
                accepted(&format!("\"{value}\""), Some(value));
                refused(&format!("\"{value}x\""), "unknown_value");
            }
            return refused("\"\"", "unknown_value");
        }
        let bounds = field.rule.split_once(" to ").filter(|_| field.json_type == "integer");
        if let Some((min, max)) = bounds {
            let number = |text: &str| text.parse::<i64>().expect("a bound");
            accepted(min, Some(min));
            accepted(max, Some(max));
            refused(&(number(min) - 1).to_string(), "out_of_range");
            return refused(&(number(max) + 1).to_string(), "out_of_range");
        }
        match field.rule.as_str() {
            "0 or more" => {
                accepted("0", Some("0"));
                accepted("9223372036854775807", Some("9223372036854775807"));
                refused("-1", "out_of_range");
            }
            "milliseconds, 0 or more; stored as integer microseconds" => {
                accepted("0", Some("0"));
                accepted("1.5", Some("1500"));
                refused("-0.001", "out_of_range");
            }
            "1 to 128 characters" => {
                let max = "é".repeat(128);
                accepted(&format!("\"{max}\""), Some(&max));
                refused(&format!("\"{max}é\""), "out_of_range");
                refused("\"\"", "out_of_range");
            }
            "any; an empty one is absent" => {
                accepted("\"Any text\"", Some("Any text"));
                accepted("\"\"", None);
            }
            "any; stored as a keyed hash" => accepted("\"key\"", Some("hash of 3")),
            "any; stored up to its query or fragment" => accepted("\"/a?b#c\"", Some("/a")),
            "any; stored in upper case" => accepted("\"get\"", Some("GET")),
            "an active ISO 4217 code with a minor unit, in upper case" => {
                accepted("\"JPY\"", Some("JPY"));
                refused("\"jpy\"", "unknown_value");
                refused("\"XAU\"", "unknown_value");
            }
            text if text.starts_with("RFC 3339 with offset, or epoch milliseconds") => {
                accepted("\"2026-05-31T14:00:00+02:00\"", Some("2026-05-31T12:00:00Z"));
                accepted("946684800000", Some("2000-01-01T00:00:00Z"));
                refused("946684799999", "out_of_range");
                accepted("\"2026-06-02T00:00:00Z\"", Some("2026-06-02T00:00:00Z"));
                refused("\"2026-06-02T00:00:01Z\"", "out_of_range");
            }
            other => panic!("{}: no test of \"{other}\"", field.name),
        }
    }
}
