//! Texts with placeholders: `/consumers/{target.consumer}`, `{summary|cut:130}`.
//!
//! A placeholder is filled in as a JSON value where it is a whole text, and as a part of the text
//! where it is not. What is filled in is never read again, so it can't add a key or a placeholder.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::closest_name;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// What stays as it is in a path or a query; the rest is percent-encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The placeholders that every template may use; `null` is that of JSON, which TOML lacks. Those of secrets, parameters and captures have
/// names of the template's own.
pub(super) const NAMES: [&str; 25] = [
    "action",
    "created_at",
    "created_ms",
    "details",
    "from.per_minute",
    "from.priority",
    "from.queue",
    "from.sla_hours",
    "incident",
    "key",
    "name",
    "null",
    "other_rung",
    "partner_id",
    "rung",
    "summary",
    "target.app",
    "target.consumer",
    "target.email",
    "target.key",
    "target.organisation",
    "to.per_minute",
    "to.priority",
    "to.queue",
    "to.sla_hours",
];

/// A text, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Placeholder { name: String, filters: Vec<Filter> },
}

/// What is done with a value before it is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    /// A number becomes a text.
    Text,
    /// At most this many characters.
    Cut(usize),
    /// `&`, `<` and `>` become entities, so that Slack takes no name for a command.
    Entities,
    Base64,
    /// A UUID that is made of the text, the same each time.
    Uuid,
    /// What the target calls it, from a table of the channel's configuration.
    Lookup(String),
}

/// Where values come from.
pub(super) trait Values {
    /// Returns the value of a placeholder.
    ///
    /// # Errors
    /// A sentence on why there is none.
    fn value(&self, name: &str) -> Result<Value, String>;

    /// Returns what the target calls a name.
    ///
    /// # Errors
    /// A sentence on the table that lacks it.
    fn look_up(&self, table: &str, name: &str) -> Result<Value, String>;
}

impl Pattern {
    /// # Errors
    /// A sentence on a brace that does not close, or a filter that does not exist.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let end = rest[start..].find('}').ok_or_else(|| {
                format!("\"{text}\" has a {{ without its }}; a placeholder is written {{name}}")
            })? + start;
            if start > 0 {
                parts.push(Part::Literal(rest[..start].to_owned()));
            }
            let mut pieces = rest[start + 1..end].split('|').map(str::trim);
            let name = pieces.next().unwrap_or_default().to_owned();
            let filters = pieces.map(Filter::parse).collect::<Result<_, _>>()?;
            parts.push(Part::Placeholder { name, filters });
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Returns the names of the placeholders.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Placeholder { name, .. } => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Returns the names of the tables that are looked up in.
    pub(super) fn lookups(&self) -> impl Iterator<Item = &str> {
        let filters = self.0.iter().flat_map(|part| match part {
            Part::Placeholder { filters, .. } => filters.as_slice(),
            Part::Literal(_) => &[],
        });
        filters.filter_map(|filter| match filter {
            Filter::Lookup(table) => Some(table.as_str()),
            _ => None,
        })
    }

    /// Returns the JSON value: a placeholder's own where it is the whole text, a text otherwise.
    pub(super) fn json(&self, values: &dyn Values) -> Result<Value, String> {
        match self.0.as_slice() {
            [Part::Placeholder { name, filters }] => filled(name, filters, values),
            _ => self.text(values).map(Value::String),
        }
    }

    /// Returns the text.
    pub(super) fn text(&self, values: &dyn Values) -> Result<String, String> {
        self.concat(values, |_, text| Ok(text))
    }

    /// Returns the text for a path or a query, with what is filled in percent-encoded.
    pub(super) fn encoded(&self, values: &dyn Values) -> Result<String, String> {
        self.concat(values, |name, text| {
            // These would lead to another path than the template's.
            if matches!(text.as_str(), "" | "." | "..") {
                return Err(format!("{name} is \"{text}\", which can't stand in a URL"));
            }
            Ok(utf8_percent_encode(&text, ENCODED).to_string())
        })
    }

    fn concat(
        &self,
        values: &dyn Values,
        encode: impl Fn(&str, String) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Placeholder { name, filters } => {
                    let text = match filled(name, filters, values)? {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    out.push_str(&encode(name, text)?);
                }
            }
        }
        Ok(out)
    }
}

impl Filter {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "text" => Ok(Self::Text),
            None if text == "entities" => Ok(Self::Entities),
            None if text == "base64" => Ok(Self::Base64),
            None if text == "uuid" => Ok(Self::Uuid),
            Some(("cut", chars)) => {
                let chars = chars.parse().map_err(|_| format!("|{text} needs a number"))?;
                Ok(Self::Cut(chars))
            }
            Some(("lookup", table)) => Ok(Self::Lookup(table.to_owned())),
            _ => Err(format!(
                "there is no filter \"{text}\"; there are text, cut:N, entities, base64, uuid and \
                 lookup:TABLE"
            )),
        }
    }

    fn apply(&self, value: Value, values: &dyn Values) -> Result<Value, String> {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Value::String(match self {
            Self::Text => text,
            Self::Cut(chars) => text.chars().take(*chars).collect(),
            Self::Entities => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
            Self::Base64 => STANDARD.encode(text),
            Self::Uuid => uuid_of(&text),
            Self::Lookup(table) => return values.look_up(table, &text),
        }))
    }
}

fn filled(name: &str, filters: &[Filter], values: &dyn Values) -> Result<Value, String> {
    let value = values.value(name)?;
    filters.iter().try_fold(value, |value, filter| filter.apply(value, values))
}

/// Returns a UUID (version 8) that is made of a text.
fn uuid_of(text: &str) -> String {
    let hash = digest(&SHA256, format!("rapport\n{text}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A JSON body whose texts are patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Text(Pattern),
    List(Vec<Body>),
    Object(Vec<(String, Body)>),
    /// A number or a truth value.
    Fixed(Value),
}

impl Body {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Pattern::parse(text)?),
            Value::Array(items) => {
                Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let parse =
                    |(key, value): (&String, &Value)| Ok((key.clone(), Self::parse(value)?));
                Self::Object(fields.iter().map(parse).collect::<Result<_, String>>()?)
            }
            other => Self::Fixed(other.clone()),
        })
    }

    pub(super) fn json(&self, values: &dyn Values) -> Result<Value, String> {
        Ok(match self {
            Self::Text(pattern) => pattern.json(values)?,
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.json(values)).collect::<Result<_, _>>()?)
            }
            Self::Object(fields) => {
                let mut object = Map::new();
                for (key, value) in fields {
                    object.insert(key.clone(), value.json(values)?);
                }
                Value::Object(object)
            }
            Self::Fixed(value) => value.clone(),
        })
    }

    /// Returns all patterns in it.
    pub(super) fn patterns(&self) -> Vec<&Pattern> {
        match self {
            Self::Text(pattern) => vec![pattern],
            Self::List(items) => items.iter().flat_map(Self::patterns).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(_, value)| value.patterns()).collect(),
            Self::Fixed(_) => Vec::new(),
        }
    }
}

/// Fails on a placeholder that does not exist, and says which was probably meant.
///
/// # Errors
/// A sentence that names the placeholder.
pub(super) fn check_name(name: &str, of_template: &[String]) -> Result<(), String> {
    let known =
        || NAMES.into_iter().chain(["to.who"]).chain(of_template.iter().map(String::as_str));
    if known().any(|other| other == name) {
        return Ok(());
    }
    let meant = closest_name(name, known())
        .map_or_else(String::new, |other| format!("; did you mean {{{other}}}?"));
    Err(format!("there is no placeholder {{{name}}}{meant}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Sample;

    impl Values for Sample {
        fn value(&self, name: &str) -> Result<Value, String> {
            match name {
                "to.per_minute" => Ok(json!(900)),
                "name" => Ok(json!("A \"B\" <!channel> & {key}/é")),
                "dots" => Ok(json!("..")),
                _ => Err(format!("no {name}")),
            }
        }

        fn look_up(&self, table: &str, name: &str) -> Result<Value, String> {
            Ok(json!(format!("{table}/{name}").len()))
        }
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    #[test]
    fn values_are_filled_in_as_json_and_never_read_again() {
        let check = |text: &str, expected: Value| {
            assert_eq!(pattern(text).json(&Sample), Ok(expected), "{text}");
        };
        check("{to.per_minute}", json!(900));
        check("{to.per_minute|text}", json!("900"));
        check("{to.per_minute} a minute", json!("900 a minute"));
        check("{name}", json!("A \"B\" <!channel> & {key}/é"));
        check("{name|cut:3}", json!("A \"B"[..3].to_owned()));
        check("{name|entities}", json!("A \"B\" &lt;!channel&gt; &amp; {key}/é"));
        check("{to.per_minute|lookup:group}", json!(9));
        check("{to.per_minute|base64}", json!("OTAw"));
        let body = json!({ "a": ["{name}", 1, true], "b": { "{name}": "{to.per_minute}" } });
        let filled = Body::parse(&body).and_then(|body| body.json(&Sample)).expect("a body");
        assert_eq!(filled["a"], json!(["A \"B\" <!channel> & {key}/é", 1, true]));
        // Keys are no patterns.
        assert_eq!(filled["b"], json!({ "{name}": 900 }));
    }

    #[test]
    fn a_path_is_left_only_by_the_template() {
        let encoded = pattern("/consumers/{name}/x").encoded(&Sample);
        assert_eq!(
            encoded.as_deref(),
            Ok("/consumers/A%20%22B%22%20%3C%21channel%3E%20%26%20%7Bkey%7D%2F%C3%A9/x")
        );
        let error = pattern("/consumers/{dots}/x").encoded(&Sample).expect_err("no name");
        assert!(error.contains("can't stand in a URL"), "{error}");
    }

    #[test]
    fn uuids_are_the_same_each_time() {
        let one = uuid_of("acme");
        assert_eq!((one.len(), &one), (36, &uuid_of("acme")));
        assert_eq!((&one[14..15], "89ab".contains(&one[19..20])), ("8", true));
        assert_ne!(one, uuid_of("acme2"));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, words: &str| {
            let error = Pattern::parse(text).expect_err(text);
            assert!(error.contains(words), "{error}");
        };
        check("{name", "without its }");
        check("{name|upper}", "no filter \"upper\"");
        check("{name|cut:x}", "needs a number");
        let error = check_name("target.consumr", &[]).expect_err("no such name");
        assert!(error.contains("did you mean {target.consumer}?"), "{error}");
    }
}
