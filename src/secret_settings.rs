//! Resolves settings that may be secrets, and redacts secrets from messages.
//!
//! A setting is written in `rapport.toml` itself, or refers to the environment (`{ env = "NAME" }`)
//! or to a file (`{ file = "PATH" }`).

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use domain::redact;
use secrecy::{ExposeSecret, SecretString};

use crate::errors::usage_error;

/// The values that [`redact_secrets`] takes out of messages.
static SECRETS: Mutex<Vec<SecretString>> = Mutex::new(Vec::new());

/// The least length of a value that is redacted: shorter ones may be ordinary words of a message.
const MIN_SECRET_CHARS: usize = 8;

/// Registers a value that no message may show.
pub(crate) fn register(value: &SecretString) {
    if value.expose_secret().chars().count() < MIN_SECRET_CHARS {
        return;
    }
    let mut values = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    // A server reads its secrets again and again.
    if !values.iter().any(|known| known.expose_secret() == value.expose_secret()) {
        values.push(value.clone());
    }
}

/// Returns a message without any registered value: a server may quote what it was sent.
pub(crate) fn redact_secrets(text: &str) -> String {
    let values = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    redact(text, values.iter().map(ExposeSecret::expose_secret))
}

/// Returns the value of a setting; `name` is its name in messages.
pub(crate) fn resolve(
    name: &str,
    value: &toml::Value,
    folder: &Path,
) -> anyhow::Result<SecretString> {
    let toml::Value::Table(table) = value else { return literal(name, value).map(Into::into) };
    let secret = SecretString::from(referenced(name, table, folder)?);
    register(&secret);
    Ok(secret)
}

fn literal(name: &str, value: &toml::Value) -> anyhow::Result<String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
            Ok(value.to_string())
        }
        _ => Err(usage_error(format!("{name}: a text, a number or true and false are due"))),
    }
}

fn referenced(name: &str, table: &toml::Table, folder: &Path) -> anyhow::Result<String> {
    let only = table.iter().next().filter(|_| table.len() == 1);
    match only.map(|(key, place)| (key.as_str(), place)) {
        // This may be the secret itself, put here by mistake, so the message does not quote it.
        Some(("env", toml::Value::String(variable))) if !is_variable_name(variable) => {
            Err(usage_error(format!(
                "{name}: env is the name of a variable, of letters, digits and _; the value stands \
                 in the environment"
            )))
        }
        Some(("env", toml::Value::String(variable))) => std::env::var(variable).map_err(|_| {
            usage_error(format!(
                "{name}: the environment variable {variable} is not set, or no text"
            ))
        }),
        Some(("file", toml::Value::String(path))) => {
            let path = folder.join(path);
            let text = std::fs::read_to_string(&path).map_err(|e| {
                usage_error(format!("{name}: {} can't be read: {e}", path.display()))
            })?;
            // Editors end a file with a newline; no secret does.
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        }
        _ => Err(usage_error(format!(
            "{name}: write the setting itself, {{ env = \"VARIABLE\" }} or {{ file = \"PATH\" }}"
        ))),
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_literal_or_refer_to_their_value() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("password"), "from a file\n").expect("written");
        let check = |value: &str, expected: Result<&str, &str>| {
            let table: toml::Table = toml::from_str(&format!("x = {value}")).expect("TOML");
            match (resolve("x", &table["x"], folder.path()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.expose_secret(), expected),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, expected) => panic!("{value}: {found:?}, not {expected:?}"),
            }
        };
        check("'plain'", Ok("plain"));
        check("5", Ok("5"));
        check("false", Ok("false"));
        check("{ file = 'password' }", Ok("from a file"));
        check("{ file = 'absent' }", Err("absent can't be read"));
        check("{ env = 'CARGO_PKG_NAME' }", Ok("rapport"));
        check("{ env = 'RAPPORT_NO_SUCH' }", Err("RAPPORT_NO_SUCH is not set"));
        check("{ env = 'A', file = 'B' }", Err("write the setting itself"));
        check("{ vault = 'A' }", Err("write the setting itself"));
        check("{ env = 'hunter2!' }", Err("env is the name of a variable"));
        check("[1]", Err("a text, a number"));
        assert_eq!(redact_secrets("quoted: from a file!"), "quoted: …!");
    }
}
