//! `rapport schema`: the JSON Schemas of the files of a project, by which editors complete and check
//! them.
//!
//! Those of `rapport.toml` and the policies are made from their commented defaults: keys, types and
//! comments stand there and nowhere else. What a default cannot show, such as the keys of a channel,
//! is in a JSON file beside this one, by the place in the schema.
//!
//! - `defaults`: a schema from a commented file

mod defaults;
#[cfg(test)]
mod tests;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::args::SchemaFile;
use crate::config;
use defaults::{Keys, Numbers, schema_of_defaults};

/// The signals of `scoring.toml` that may be left out, in `[weights]` and as tables.
const CANDIDATES: [&str; 3] = ["breadth", "credentials", "payments"];

/// Returns the schema of a file.
pub(crate) fn of(file: SchemaFile) -> anyhow::Result<Value> {
    match file {
        SchemaFile::Rapport => {
            let made = schema_of_defaults(config::DEFAULTS, Keys::Optional, Numbers::AsWritten)?;
            finish(made, "rapport.toml", include_str!("rapport.json"))
        }
        SchemaFile::Scoring => {
            let mut made =
                schema_of_defaults(scoring::DEFAULT_POLICY, Keys::Required, Numbers::Any)?;
            for place in ["", "/properties/weights"] {
                let required = made.pointer_mut(&format!("{place}/required"));
                if let Some(Value::Array(names)) = required {
                    names.retain(|name| !CANDIDATES.iter().any(|candidate| name == candidate));
                }
            }
            finish(made, "scoring.toml, the scoring policy", "{}")
        }
        SchemaFile::Policy => {
            let made =
                schema_of_defaults(actions::DEFAULT_POLICY, Keys::Required, Numbers::AsWritten)?;
            finish(made, "policy.toml, the action policy", include_str!("policy.json"))
        }
        SchemaFile::QueryHeader => written(include_str!("query-header.json")),
        SchemaFile::QueryCases => written(include_str!("query-cases.json")),
    }
}

fn written(text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).context("a schema of the program")
}

/// Puts the written parts into their places, and the title above all.
fn finish(mut schema: Value, title: &str, parts: &str) -> anyhow::Result<Value> {
    let parts: Map<String, Value> =
        serde_json::from_str(parts).context("a schema of the program")?;
    for (place, part) in parts {
        let (above, key) = place.rsplit_once('/').context("a place in a schema")?;
        let above = schema.pointer_mut(above).and_then(Value::as_object_mut);
        above
            .with_context(|| format!("the schema of {title} has no {place}"))?
            .insert(key.to_owned(), part);
    }
    let mut whole = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
    });
    if let (Some(whole), Value::Object(schema)) = (whole.as_object_mut(), schema) {
        whole.extend(schema);
    }
    Ok(whole)
}
