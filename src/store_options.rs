//! The options of the lake's object store: the `AWS_*` variables win over `[lake.store]`.

use std::collections::BTreeMap;
use std::path::Path;

use domain::{closest_name, has_credentials};
use lake::StoreOptions;
use secrecy::{ExposeSecret, SecretString};

use crate::errors::usage_error;
use crate::secret_settings;

/// Returns the options. `section` is `[lake.store]`, `environment` every variable.
pub(crate) fn read(
    section: &BTreeMap<String, toml::Value>,
    folder: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<StoreOptions> {
    let mut options = BTreeMap::new();
    for (given, value) in section {
        let name = StoreOptions::name(given).ok_or_else(|| {
            usage_error(format!("[lake.store] has no option \"{given}\"{}", suggestion(given)))
        })?;
        if StoreOptions::is_secret(&name) && !value.is_table() {
            return Err(usage_error(format!(
                "[lake.store] {given}: a secret does not stand here; write {{ env = \"VARIABLE\" }} \
                 or {{ file = \"PATH\" }}, or set {} in the environment",
                name.to_uppercase()
            )));
        }
        let value = secret_settings::resolve(&format!("[lake.store] {given}"), value, folder)?;
        options.insert(name, value);
    }
    for (variable, value) in environment.filter(|(name, _)| name.starts_with("AWS_")) {
        // Other programs use AWS_* variables too, and an empty one is none.
        if let Some(name) = StoreOptions::name(&variable).filter(|_| !value.is_empty()) {
            let value = SecretString::from(value);
            if StoreOptions::is_secret(&name) || name == "aws_access_key_id" {
                secret_settings::register(&value);
            }
            options.insert(name, value);
        }
    }
    let endpoint = |name: &str| name.contains("endpoint");
    let mut endpoints = options.iter().filter(|(name, _)| endpoint(name));
    if endpoints.any(|(_, value)| has_credentials(value.expose_secret())) {
        return Err(usage_error(
            "[lake.store] endpoint: a user and a password do not stand in it; set \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        ));
    }
    Ok(StoreOptions(options))
}

/// Returns which option was probably meant, as the end of a message.
fn suggestion(given: &str) -> String {
    const COMMON_OPTIONS: [&str; 13] = [
        "endpoint",
        "region",
        "allow_http",
        "timeout",
        "connect_timeout",
        "virtual_hosted_style_request",
        "access_key_id",
        "secret_access_key",
        "session_token",
        "proxy_url",
        "allow_invalid_certificates",
        "skip_signature",
        "sse_customer_key_base64",
    ];
    let near = closest_name(given, COMMON_OPTIONS);
    near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_and_secrets_are_referenced() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), "from a file\n").expect("written");
        let check = |text: &str, variables: &[(&str, &str)], expected: Result<&[&str], &str>| {
            let section = toml::from_str(text).expect("TOML");
            let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            match (read(&section, folder.path(), variables), expected) {
                (Ok(found), Ok(expected)) => {
                    let found: Vec<String> =
                        found.0.iter().map(|(n, v)| format!("{n}={}", v.expose_secret())).collect();
                    assert_eq!(found, expected, "{text}");
                }
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        };
        check("region = 'a'\nallow_http = true", &[], Ok(&["allow_http=true", "aws_region=a"]));
        check("region = 'a'", &[("AWS_REGION", "b")], Ok(&["aws_region=b"]));
        check("endpoint = 'a'", &[("AWS_ENDPOINT_URL", "b")], Ok(&["aws_endpoint=b"]));
        check("", &[("AWS_PROFILE", "x"), ("HOME", "/"), ("AWS_REGION", "")], Ok(&[]));
        let file = "secret_access_key = { file = 'key' }";
        check(file, &[], Ok(&["aws_secret_access_key=from a file"]));
        check("secret_access_key = 'x'", &[], Err("AWS_SECRET_ACCESS_KEY in the environment"));
        check("token = 'x'", &[], Err("AWS_SESSION_TOKEN in the environment"));
        check("colour = 'red'", &[], Err("no option \"colour\""));
        check("secret_acess_key = 'x'", &[], Err("did you mean \"secret_access_key\"?"));
        check("endpoint = 'https://me:x@y'", &[], Err("do not stand in it"));
        check("bucket = 'x'", &[], Err("no option \"bucket\""));
    }
}
