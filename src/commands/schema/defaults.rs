//! Makes a schema from a commented TOML file: a key has the type of its value, and the comment above
//! it as description. A value that is commented out shows an optional key.

use anyhow::Context;
use serde_json::{Map, Value, json};

/// Whether a file must have the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    Required,
    Optional,
}

/// What a key may hold whose value is a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// A whole number.
    AsWritten,
    /// Any number.
    Any,
}

/// Returns the schema of files like this one.
pub(super) fn schema_of_defaults(
    text: &str,
    keys: Keys,
    numbers: Numbers,
) -> anyhow::Result<Value> {
    let mut maker = SchemaMaker { root: empty_table(), table: Vec::new(), keys, numbers };
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        let commented_out = line.strip_prefix("# ").filter(|rest| !rest.starts_with(' '));
        if let Some(header) = line.strip_prefix('[') {
            maker.open_table(header.trim_matches(['[', ']']), line.starts_with("[["), &comment)?;
            comment.clear();
        } else if let Some((key, value)) = commented_out.and_then(key_and_value) {
            maker.add(&key, &value, None, &comment)?;
        } else if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
        } else if line.is_empty() {
            comment.clear();
        } else {
            let (key, value) =
                key_and_value(line).with_context(|| format!("the default line {line}"))?;
            maker.add(&key, &value, Some(keys), &comment)?;
            comment.clear();
        }
    }
    Ok(maker.root)
}

fn empty_table() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

/// Returns the key and the value of a line that is one entry of a TOML table.
fn key_and_value(line: &str) -> Option<(String, toml::Value)> {
    let table: toml::Table = line.parse().ok()?;
    let mut entries = table.into_iter();
    let entry = entries.next()?;
    entries.next().is_none().then_some(entry)
}

struct SchemaMaker {
    root: Value,
    /// The steps from the root to the schema of the table that is open.
    table: Vec<String>,
    keys: Keys,
    numbers: Numbers,
}

impl SchemaMaker {
    fn open_table(&mut self, name: &str, is_array: bool, comment: &[&str]) -> anyhow::Result<()> {
        self.table.clear();
        for part in name.split('.') {
            let is_new = self.properties()?.get(part).is_none();
            if is_new {
                let schema = match is_array {
                    true => json!({ "type": "array", "items": empty_table() }),
                    false => empty_table(),
                };
                self.properties()?.insert(part.to_owned(), schema);
                if !is_array && self.keys == Keys::Required {
                    self.require(part)?;
                }
            }
            self.table.extend(["properties".to_owned(), part.to_owned()]);
            if is_array {
                self.table.push("items".to_owned());
            }
        }
        if !is_array && !comment.is_empty() {
            self.open()?.insert("description".to_owned(), comment.join("\n").into());
        }
        Ok(())
    }

    /// Adds a key to the open table.
    fn add(
        &mut self,
        key: &str,
        value: &toml::Value,
        keys: Option<Keys>,
        comment: &[&str],
    ) -> anyhow::Result<()> {
        let mut schema = self.of_value(value);
        if let (Some(fields), false) = (schema.as_object_mut(), comment.is_empty()) {
            fields.insert("description".to_owned(), comment.join("\n").into());
        }
        self.properties()?.entry(key).or_insert(schema);
        if keys == Some(Keys::Required) { self.require(key) } else { Ok(()) }
    }

    fn of_value(&self, value: &toml::Value) -> Value {
        match value {
            toml::Value::String(_) | toml::Value::Datetime(_) => json!({ "type": "string" }),
            toml::Value::Integer(_) if self.numbers == Numbers::AsWritten => {
                json!({ "type": "integer" })
            }
            toml::Value::Integer(_) | toml::Value::Float(_) => json!({ "type": "number" }),
            toml::Value::Boolean(_) => json!({ "type": "boolean" }),
            toml::Value::Array(_) => json!({ "type": "array" }),
            toml::Value::Table(_) => json!({ "type": "object" }),
        }
    }

    fn require(&mut self, key: &str) -> anyhow::Result<()> {
        let required = self.open()?.entry("required").or_insert_with(|| json!([]));
        let required = required.as_array_mut().context("a list of required keys")?;
        if !required.iter().any(|known| known == key) {
            required.push(key.into());
        }
        Ok(())
    }

    fn open(&mut self) -> anyhow::Result<&mut Map<String, Value>> {
        let mut schema = &mut self.root;
        for step in &self.table {
            schema = schema.get_mut(step).context("a table of the schema")?;
        }
        schema.as_object_mut().context("a table of the schema")
    }

    fn properties(&mut self) -> anyhow::Result<&mut Map<String, Value>> {
        self.open()?.get_mut("properties").and_then(Value::as_object_mut).context("properties")
    }
}
