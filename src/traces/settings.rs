//! Where traces go, by the variables that the specification of OpenTelemetry names.

use secrecy::SecretString;

use crate::secret_settings;

/// The collector, and what it is told of this process.
pub(super) struct Settings {
    /// The URL that takes traces.
    pub(super) url: String,
    /// Headers of every request; their values may be secrets.
    pub(super) headers: Vec<(String, SecretString)>,
    pub(super) service: String,
}

impl Settings {
    /// Reads the settings; `variable` returns the value of an environment variable. Returns `None`
    /// where no collector is named or `OTEL_SDK_DISABLED` is `true`.
    pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        if given("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let of_all = |name: &str| given(&format!("OTEL_EXPORTER_OTLP_{name}"));
        let of_traces = |name: &str| given(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
        let base = || Some(format!("{}/v1/traces", of_all("ENDPOINT")?.trim_end_matches('/')));
        let url = of_traces("ENDPOINT").or_else(base)?;
        let headers = of_traces("HEADERS").or_else(|| of_all("HEADERS")).unwrap_or_default();
        let service = given("OTEL_SERVICE_NAME").unwrap_or_else(|| "rapport".to_owned());
        Some(Self { url, headers: parse_headers(&headers), service })
    }
}

/// Parses `name=value,name=value`. Values are registered as secrets.
fn parse_headers(text: &str) -> Vec<(String, SecretString)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    let headers = pairs.map(|(name, value)| {
        let value = SecretString::from(value.trim().to_owned());
        secret_settings::register(&value);
        (name.trim().to_owned(), value)
    });
    headers.collect()
}
