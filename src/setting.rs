//! A setting as text: it stands in the file itself or, as befits a secret, in the environment
//! (`{ env = "NAME" }`) or in a file of its own (`{ file = "PATH" }`).

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use lake_types::hide;
use secrecy::{ExposeSecret, SecretString};

use crate::failure::usage;

/// What was read from the environment and from files, for [`hidden`].
static ELSEWHERE: Mutex<Vec<SecretString>> = Mutex::new(Vec::new());

/// Shorter values are words that messages are made of.
const SHORTEST: usize = 8;

/// Remembers a value that no message may show, whoever quotes it.
pub(crate) fn remember(value: &SecretString) {
    if value.expose_secret().chars().count() >= SHORTEST {
        ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner).push(value.clone());
    }
}

/// A message without any value that came from elsewhere: a server may quote what it was sent.
pub(crate) fn hidden(text: &str) -> String {
    let values = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
    hide(text, values.iter().map(ExposeSecret::expose_secret))
}

/// Reads the setting; `name` is for messages.
pub(crate) fn read(name: &str, value: &toml::Value, folder: &Path) -> anyhow::Result<SecretString> {
    let toml::Value::Table(table) = value else { return plain(name, value).map(Into::into) };
    let read = SecretString::from(from_elsewhere(name, table, folder)?);
    remember(&read);
    Ok(read)
}

fn plain(name: &str, value: &toml::Value) -> anyhow::Result<String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
            Ok(value.to_string())
        }
        _ => Err(usage(format!("{name}: a text, a number or true and false are due"))),
    }
}

fn from_elsewhere(name: &str, table: &toml::Table, folder: &Path) -> anyhow::Result<String> {
    let only = table.iter().next().filter(|_| table.len() == 1);
    match only.map(|(key, place)| (key.as_str(), place)) {
        // The secret itself, put here by mistake, is not repeated.
        Some(("env", toml::Value::String(variable))) if !is_variable(variable) => {
            Err(usage(format!(
                "{name}: env is the name of a variable, of letters, digits and _; the value stands \
                 in the environment"
            )))
        }
        Some(("env", toml::Value::String(variable))) => std::env::var(variable).map_err(|_| {
            usage(format!("{name}: the environment variable {variable} is not set, or no text"))
        }),
        Some(("file", toml::Value::String(path))) => {
            let path = folder.join(path);
            let text = std::fs::read_to_string(&path)
                .map_err(|e| usage(format!("{name}: {} can't be read: {e}", path.display())))?;
            // Editors end a file with a newline, which no secret does.
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        }
        _ => Err(usage(format!(
            "{name}: write the setting itself, {{ env = \"VARIABLE\" }} or {{ file = \"PATH\" }}"
        ))),
    }
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_says_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("password"), "from a file\n").expect("written");
        let check = |value: &str, expected: Result<&str, &str>| {
            let table: toml::Table = toml::from_str(&format!("x = {value}")).expect("TOML");
            match (read("x", &table["x"], folder.path()), expected) {
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
        assert_eq!(hidden("quoted: from a file!"), "quoted: …!");
    }
}
