//! What SET and SHOW know. A client may set everything; what this server does not do stays as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::refusal::Refusal;

/// What SHOW tells of settings that nobody has set.
const DEFAULTS: [(&str, &str); 16] = [
    ("server_version", "15.0"),
    ("server_version_num", "150000"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("timezone", "UTC"),
    ("datestyle", "ISO, MDY"),
    ("intervalstyle", "postgres"),
    ("standard_conforming_strings", "on"),
    ("integer_datetimes", "on"),
    ("transaction isolation level", "repeatable read"),
    ("transaction_isolation", "repeatable read"),
    ("transaction_read_only", "on"),
    ("default_transaction_read_only", "on"),
    ("search_path", "public"),
    ("is_superuser", "off"),
    ("max_identifier_length", "63"),
];

/// What the settings of DataFusion begin with. None of them reaches it from here, and a client that
/// tries is to know.
const ENGINE: &str = "datafusion.";

/// The settings of a connection.
#[derive(Debug, Default)]
pub(super) struct Settings {
    set: BTreeMap<String, String>,
    /// The time limit that the client has set for itself.
    timeout: Option<Duration>,
}

impl Settings {
    /// Sets one. What decides how answers are written can't be changed, and stays as it is.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            name if name.starts_with(ENGINE) => {
                let why =
                    format!("\"{name}\" is a setting of the engine, which clients can't change");
                return Err(Refusal::new("42501", why));
            }
            "client_encoding" => {
                let plain = value.to_lowercase().replace(['-', '_'], "");
                if !matches!(plain.as_str(), "utf8" | "unicode" | "default" | "sqlascii") {
                    let why = format!("client_encoding \"{value}\": texts are UTF8 here");
                    return Err(Refusal::new("22023", why));
                }
            }
            "statement_timeout" => {
                self.timeout = milliseconds(value)?;
                self.set.insert(name.to_owned(), value.to_owned());
            }
            name if DEFAULTS.iter().any(|(known, _)| *known == name) && name != "search_path" => {}
            name => drop(self.set.insert(name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// Takes back one, or all.
    pub(super) fn reset(&mut self, name: Option<&str>) {
        match name {
            Some(name) => {
                self.set.remove(name);
                if name == "statement_timeout" {
                    self.timeout = None;
                }
            }
            None => *self = Self::default(),
        }
    }

    pub(super) fn show(&self, name: &str) -> Result<String, Refusal> {
        let default = DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let set = self.set.get(name).map(String::as_str);
        set.or(default)
            .map(str::to_owned)
            .ok_or_else(|| Refusal::new("42704", format!("there is no setting \"{name}\"")))
    }

    /// Returns the time limit of a statement: that of the server, or a shorter one of the client.
    pub(super) fn timeout(&self, of_server: Duration) -> Duration {
        self.timeout.map_or(of_server, |own| own.min(of_server))
    }
}

/// Reads a time in milliseconds, or with a unit. 0 is no limit.
fn milliseconds(value: &str) -> Result<Option<Duration>, Refusal> {
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match value[digits.len()..].trim() {
        "" | "ms" => Some(1),
        "s" => Some(1_000),
        "min" => Some(60_000),
        _ => None,
    };
    let wrong = || Refusal::new("22023", format!("statement_timeout \"{value}\" is no time"));
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    let total = number.saturating_mul(factor.ok_or_else(wrong)?);
    Ok((total > 0).then(|| Duration::from_millis(total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_client() {
        let mut settings = Settings::default();
        let second = Duration::from_secs(1);
        assert_eq!(settings.show("server_version").as_deref(), Ok("15.0"));
        assert!(settings.show("nothing").is_err_and(|e| e.code == "42704"));
        settings.set("application_name", "x").expect("a setting");
        assert_eq!(settings.show("application_name").as_deref(), Ok("x"));
        settings.set("timezone", "Europe/Berlin").expect("a setting");
        assert_eq!(settings.show("timezone").as_deref(), Ok("UTC"));
        assert!(settings.set("client_encoding", "LATIN1").is_err_and(|e| e.code == "22023"));
        settings.set("client_encoding", "UTF-8").expect("a setting");
        let refused = settings.set("datafusion.execution.batch_size", "1");
        assert!(refused.is_err_and(|e| e.code == "42501"));
        for (value, expected) in [("250", 250), ("2s", 1_000), ("0", 1_000), ("500ms", 500)] {
            settings.set("statement_timeout", value).expect("a time");
            assert_eq!(settings.timeout(second), Duration::from_millis(expected), "{value}");
        }
        assert!(settings.set("statement_timeout", "soon").is_err());
        settings.reset(None);
        assert_eq!(settings.timeout(second), second);
        assert!(settings.show("application_name").is_err());
    }
}
