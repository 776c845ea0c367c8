//! A setting as text: it stands in the file itself or, as befits a secret, in the environment
//! (`{ env = "NAME" }`) or in a file of its own (`{ file = "PATH" }`).

use std::path::Path;

use crate::failure::usage;

/// Reads the setting; `name` is for messages, which never show what was read.
pub(crate) fn read(name: &str, value: &toml::Value, folder: &Path) -> anyhow::Result<String> {
    let toml::Value::Table(table) = value else {
        return match value {
            toml::Value::String(text) => Ok(text.clone()),
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
                Ok(value.to_string())
            }
            _ => Err(usage(format!("{name}: a text, a number or true and false are due"))),
        };
    };
    let only = table.iter().next().filter(|_| table.len() == 1);
    match only.map(|(key, place)| (key.as_str(), place)) {
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
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
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
        check("[1]", Err("a text, a number"));
    }
}
