//! Secrets of channels: where they are, their values, and texts without them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{into_printable, redact};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

/// How many bytes of an answer a receipt or an error shows.
const SHOWN_BYTES: usize = 400;

/// Says how a secret is written in the configuration.
const HOW_TO_WRITE: &str = "write \"env:NAME\" for a secret in the environment variable NAME, or \
                            \"file:/path\" for one in a file; a secret itself does not stand here";

/// Where a secret is: `env:NAME` or `file:/path`. It never holds the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretReference {
    /// The name of an environment variable.
    Environment(String),
    /// A file that holds nothing else; a relative path is relative to the configuration.
    File(PathBuf),
}

impl TryFrom<String> for SecretReference {
    type Error = &'static str;

    /// Reads a reference. The error does not quote the text, which may be the secret.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match text.split_once(':') {
            Some(("env", name)) if is_name(name) => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(HOW_TO_WRITE),
        }
    }
}

impl From<SecretReference> for String {
    fn from(reference: SecretReference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl SecretReference {
    /// Reads the secret. `variable` returns the value of an environment variable.
    ///
    /// # Errors
    /// A sentence that says which variable or file is missing or empty.
    pub(crate) fn read(
        &self,
        folder: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SecretString, String> {
        let value = match self {
            Self::Environment(name) => variable(name).ok_or_else(|| {
                format!("the environment variable {name} is not set, or it is no text")
            })?,
            Self::File(path) => {
                let path = folder.join(path);
                std::fs::read_to_string(&path)
                    .map_err(|e| format!("the file {} can't be read: {e}", path.display()))?
            }
        };
        // Editors end a file with a newline, and no secret does.
        let value = value.trim_end_matches(['\n', '\r']);
        if value.trim().is_empty() {
            return Err(format!("{self} is empty"));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("{self} holds more than one line, or a control character"));
        }
        Ok(value.to_owned().into())
    }
}

/// The secrets of one channel, which no text may show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    values: BTreeMap<String, SecretString>,
    /// The values, and the forms in which a receiver may quote them.
    forms: Vec<SecretString>,
}

impl Secrets {
    /// Adds a secret under the name that templates use.
    pub(crate) fn insert(&mut self, name: &str, value: SecretString) {
        let text = value.expose_secret();
        let parts = secret_parts(text);
        for text in parts.iter().map(String::as_str).chain(parts.is_empty().then_some(text)) {
            let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let quoted = serde_json::Value::from(text).to_string();
            let forms = [text.to_owned(), encoded, STANDARD.encode(text), quoted.replace('"', "")];
            self.forms.extend(forms.into_iter().map(SecretString::from));
        }
        self.values.insert(name.to_owned(), value);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns a text on one line without secrets, whole or in pieces.
    pub(crate) fn redact(&self, text: &str) -> String {
        into_printable(redact(text, self.forms.iter().map(ExposeSecret::expose_secret)))
    }

    /// Returns an answer as a receipt shows it: without secrets, on one line, and short. `also` is
    /// hidden as well, such as the partner's own key.
    pub(crate) fn shorten(&self, answer: &[u8], also: Option<&str>) -> String {
        let text = String::from_utf8_lossy(answer);
        let text: Vec<&str> = text.split_whitespace().collect();
        let mut text = self.redact(&text.join(" "));
        if let Some(also) = also {
            text = redact(&text, [also]);
        }
        if text.len() <= SHOWN_BYTES {
            return text;
        }
        let end = (0..=SHOWN_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text + "…"
    }
}

/// Returns the parts of a URL that nobody can guess. Its words, such as `services`, are no secrets,
/// and errors need them.
fn secret_parts(text: &str) -> Vec<String> {
    let Ok(url) = Url::parse(text) else { return Vec::new() };
    if !matches!(url.scheme(), "http" | "https") {
        return Vec::new();
    }
    let is_word = |part: &&str| part.chars().all(|c| c.is_ascii_lowercase() || "-_.".contains(c));
    let parts =
        url.path().split('/').chain(url.query().into_iter().flat_map(|q| q.split(['&', '='])));
    parts.filter(|part| !is_word(part)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_only_referred_to() {
        let read = |text: &str| SecretReference::try_from(text.to_owned());
        assert_eq!(read("env:A_1"), Ok(SecretReference::Environment("A_1".to_owned())));
        assert_eq!(read("file:/run/x"), Ok(SecretReference::File("/run/x".into())));
        for literal in ["hunter2hunter2", "env:", "env:hunter-2!", "file:", "whsec_abc", "env:1A"] {
            let error = read(literal).expect_err("no reference");
            assert!(error.contains("\"env:NAME\"") && !error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_read_from_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), "from a file\n").expect("written");
        std::fs::write(folder.path().join("empty"), "\n").expect("written");
        std::fs::write(folder.path().join("two"), "a\nb\n").expect("written");
        let variable = |name: &str| (name == "SET").then(|| "from the environment".to_owned());
        let check = |text: &str, expected: Result<&str, &str>| {
            let reference = SecretReference::try_from(text.to_owned()).expect("a reference");
            match (reference.read(folder.path(), &variable), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.expose_secret(), expected),
                (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        };
        check("env:SET", Ok("from the environment"));
        check("env:UNSET", Err("UNSET is not set"));
        check("file:key", Ok("from a file"));
        check("file:absent", Err("absent can't be read"));
        check("file:empty", Err("is empty"));
        check("file:two", Err("more than one line"));
    }

    #[test]
    fn answers_are_short_and_without_secrets() {
        let mut secrets = Secrets::default();
        secrets.insert("token", SecretString::from("s3cr3t/with \"quotes\""));
        let answer = "you sent s3cr3t/with \"quotes\",\n s3cr3t%2Fwith%20%22quotes%22 and \
                      czNjcjN0L3dpdGggInF1b3RlcyI=, for key-of-partner";
        let shown = secrets.shorten(answer.as_bytes(), Some("key-of-partner"));
        assert_eq!(shown, "you sent …, … and …, for …");
        let long = secrets.shorten("é".repeat(1_000).as_bytes(), None);
        assert_eq!(long.len(), 400 + "…".len());
    }
}
