//! The event contracts for people: what the decoder goes by, in words.

use lake_types::Stream;

use super::fields::{self, COMMON_FIELDS, Field, Rule};

/// A field of a stream's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractField {
    pub name: &'static str,
    /// What JSON it is: `string`, `integer`, `number`.
    pub kind: &'static str,
    pub required: bool,
    /// What it may be, and what of it is stored.
    pub rule: String,
    /// What an absent one means.
    pub default: Option<&'static str>,
    /// What it is.
    pub about: &'static str,
    /// The column of the raw table that it becomes.
    pub column: &'static str,
}

/// The fields of a stream's events, in the order they are looked at.
pub fn contract(stream: Stream) -> Vec<ContractField> {
    COMMON_FIELDS.iter().chain(fields::of(stream)).map(told).collect()
}

/// What stands in a column of a stream's raw table; `None` when it has no such column.
pub fn column_description(stream: Stream, column: &str) -> Option<String> {
    if let Some((_, about)) = ORIGIN.iter().find(|(name, _)| *name == column) {
        return Some((*about).to_owned());
    }
    let field = contract(stream).into_iter().find(|field| field.column == column)?;
    if field.name != column {
        return Some(format!("{}, in µs", field.about));
    }
    let is_one = field.rule.starts_with("one of ");
    Some(if is_one { format!("{}: {}", field.about, field.rule) } else { field.about.to_owned() })
}

/// The columns that say where an event came from.
const ORIGIN: [(&str, &str); 8] = [
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

fn told(field: &Field) -> ContractField {
    let kind = match field.rule {
        Rule::Integer(..) => "integer",
        Rule::Millis => "number",
        Rule::Instant => "string or integer",
        _ => "string",
    };
    let default = match field.rule {
        Rule::OneOf(_, default) => default,
        _ => None,
    };
    ContractField {
        name: field.name,
        kind,
        required: field.required,
        rule: rule(field),
        default,
        about: field.about,
        column: field.column(),
    }
}

fn rule(field: &Field) -> String {
    let text = match field.rule {
        Rule::Text => "any; an empty one is absent",
        Rule::Id => "1 to 128 characters",
        Rule::Credential => "any; stored as a keyed hash",
        Rule::Route => "any; stored up to its query or fragment",
        Rule::Method => "any; stored in upper case",
        Rule::Currency => "an active ISO 4217 code with a minor unit, in upper case",
        Rule::OneOf(values, _) => return format!("one of {}", values.join(", ")),
        Rule::Integer(least, i64::MAX) => return format!("{least} or more"),
        Rule::Integer(least, most) => return format!("{least} to {most}"),
        Rule::Millis => "milliseconds, 0 or more; stored as integer microseconds",
        Rule::Instant => {
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

    /// What is told of each field is what the decoder does, value by value.
    #[test]
    fn what_is_told_is_what_is_done() {
        for stream in Stream::ALL {
            for field in contract(stream) {
                absent(stream, &field);
                kinds(stream, &field);
                rules(stream, &field);
            }
        }
    }

    fn with(field: &ContractField, value: &str) -> String {
        format!("\"{}\":{value}", field.name)
    }

    fn absent(stream: Stream, field: &ContractField) {
        match (field.required, field.default) {
            (true, None) => rejected(stream, &with(field, "null"), "missing_field", field.name),
            (false, default) => stored(stream, &with(field, "null"), field.column, default),
            (true, Some(_)) => panic!("{} is required and has a default", field.name),
        }
    }

    fn kinds(stream: Stream, field: &ContractField) {
        let wrong: &[&str] = match field.kind {
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

    fn rules(stream: Stream, field: &ContractField) {
        let taken = |value: &str, cell: Option<&str>| {
            stored(stream, &with(field, value), field.column, cell);
        };
        let refused = |value: &str, reason: &str| {
            rejected(stream, &with(field, value), reason, field.name);
        };
        if let Some(values) = field.rule.strip_prefix("one of ") {
            for value in values.split(", ") {
                taken(&format!("\"{value}\""), Some(value));
                refused(&format!("\"{value}x\""), "unknown_value");
            }
            return refused("\"\"", "unknown_value");
        }
        let bounds = field.rule.split_once(" to ").filter(|_| field.kind == "integer");
        if let Some((least, most)) = bounds {
            let number = |text: &str| text.parse::<i64>().expect("a bound");
            taken(least, Some(least));
            taken(most, Some(most));
            refused(&(number(least) - 1).to_string(), "out_of_range");
            return refused(&(number(most) + 1).to_string(), "out_of_range");
        }
        match field.rule.as_str() {
            "0 or more" => {
                taken("0", Some("0"));
                taken("9223372036854775807", Some("9223372036854775807"));
                refused("-1", "out_of_range");
            }
            "milliseconds, 0 or more; stored as integer microseconds" => {
                taken("0", Some("0"));
                taken("1.5", Some("1500"));
                refused("-0.001", "out_of_range");
            }
            "1 to 128 characters" => {
                let most = "é".repeat(128);
                taken(&format!("\"{most}\""), Some(&most));
                refused(&format!("\"{most}é\""), "out_of_range");
                refused("\"\"", "out_of_range");
            }
            "any; an empty one is absent" => {
                taken("\"Any text\"", Some("Any text"));
                taken("\"\"", None);
            }
            "any; stored as a keyed hash" => taken("\"key\"", Some("hash of 3")),
            "any; stored up to its query or fragment" => taken("\"/a?b#c\"", Some("/a")),
            "any; stored in upper case" => taken("\"get\"", Some("GET")),
            "an active ISO 4217 code with a minor unit, in upper case" => {
                taken("\"JPY\"", Some("JPY"));
                refused("\"jpy\"", "unknown_value");
                refused("\"XAU\"", "unknown_value");
            }
            text if text.starts_with("RFC 3339 with offset, or epoch milliseconds") => {
                taken("\"2026-05-31T14:00:00+02:00\"", Some("2026-05-31T12:00:00Z"));
                taken("946684800000", Some("2000-01-01T00:00:00Z"));
                refused("946684799999", "out_of_range");
                taken("\"2026-06-02T00:00:00Z\"", Some("2026-06-02T00:00:00Z"));
                refused("\"2026-06-02T00:00:01Z\"", "out_of_range");
            }
            other => panic!("{}: no test of \"{other}\"", field.name),
        }
    }
}
