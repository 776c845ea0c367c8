//! What must hold of the values of `rapport.toml`, each told with its line and column.

use std::path::Path;

use lake_types::{Position, holds_credentials, printable};
use toml::de::{DeTable, DeValue};

use super::Config;
use crate::failure::usage;

/// The longest name of a topic that Kafka has.
const LONGEST_TOPIC: usize = 249;

/// Looks at the values as the file gives them.
///
/// # Errors
/// The first that can't be, with its place and what to do.
pub(super) fn check(config: &Config, path: &Path, text: &str) -> anyhow::Result<()> {
    let topics = &config.kafka.topics;
    let metrics = &config.metrics;
    let problems: [(&[&str], Option<String>); 14] = [
        (&["lake", "root"], root(&config.lake.root)),
        (&["lake", "key_file"], file(Some(&config.lake.key_file))),
        (&["kafka", "bootstrap_servers"], servers(&config.kafka.bootstrap_servers)),
        (&["kafka", "group_id"], name(&config.kafka.group_id)),
        (&["kafka", "topics", "api_calls"], topic(&topics.api_calls)),
        (&["kafka", "topics", "partner_events"], topic(&topics.partner_events)),
        (&["kafka", "topics", "billing_events"], topic(&topics.billing_events)),
        (&["kafka", "topics", "support_events"], topic(&topics.support_events)),
        (&["metrics", "reporting_currency"], currency(&metrics.reporting_currency)),
        (&["metrics", "rates"], file(metrics.rates.as_deref())),
        (&["metrics", "sla"], file(metrics.sla.as_deref())),
        (&["metrics", "sunsets"], file(metrics.sunsets.as_deref())),
        (&["scoring", "policy"], file(config.scoring.policy.as_deref())),
        (&["actions", "policy"], file(config.actions.policy.as_deref())),
    ];
    let found = problems.into_iter().find_map(|(key, problem)| Some((key, problem?)));
    let Some((key, problem)) = found else { return Ok(()) };
    let at = place(text, key);
    let (table, name) = (key[..key.len() - 1].join("."), key[key.len() - 1]);
    Err(usage(format!("{}:{at}: [{table}] {name} {problem}", path.display())))
}

/// Brokers that are named on the command line, by an option.
///
/// # Errors
/// As [`check`], with the option in place of the file.
pub(crate) fn check_servers(option: &str, given: &str) -> anyhow::Result<()> {
    servers(given).map_or(Ok(()), |problem| Err(usage(format!("{option} {problem}"))))
}

/// The lake's root and the brokers as the environment gives them.
///
/// # Errors
/// As [`check`], with the variable in place of the file.
pub(super) fn variable(name: &str, value: &str) -> anyhow::Result<()> {
    let problem = match name {
        "RAPPORT_LAKE_ROOT" => root(value),
        "RAPPORT_KAFKA_BOOTSTRAP_SERVERS" => servers(value),
        _ => None,
    };
    problem.map_or(Ok(()), |problem| Err(usage(format!("{name} in the environment {problem}"))))
}

fn root(root: &str) -> Option<String> {
    if root.trim().is_empty() {
        return Some("is empty; name a folder or s3://bucket/prefix".to_owned());
    }
    let (scheme, rest) = root.split_once("://")?;
    if holds_credentials(root) {
        return Some(
            "holds a user or a password, which don't stand there; set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY in the environment, or see [lake.store]"
                .to_owned(),
        );
    }
    if rest.contains(['?', '#']) {
        return Some("is a place without ? and #; options stand in [lake.store]".to_owned());
    }
    (!matches!(scheme, "s3" | "file")).then(|| {
        format!(
            "= \"{}\": a lake lies in a folder or, as s3://bucket/prefix, in a store that speaks \
             S3; name one of these",
            printable(root)
        )
    })
}

fn servers(servers: &str) -> Option<String> {
    if servers.split(',').any(|server| server.trim().is_empty()) {
        return Some("needs a broker, or several separated by commas: 127.0.0.1:9092".to_owned());
    }
    holds_credentials(servers).then(|| {
        "holds a user or a password, which don't stand there; set \"sasl.username\" and \
         \"sasl.password\" in [kafka.properties]"
            .to_owned()
    })
}

fn topic(topic: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_one =
        topic.len() <= LONGEST_TOPIC && topic.chars().all(fits) && !matches!(topic, "." | "..");
    (!is_one).then(|| {
        format!(
            "= \"{}\" can be no topic: at most {LONGEST_TOPIC} letters, digits, dots, _ and -; \
             an empty name turns the stream off",
            printable(topic)
        )
    })
}

fn name(name: &str) -> Option<String> {
    name.trim().is_empty().then(|| "is empty; give it a name".to_owned())
}

fn file(path: Option<&Path>) -> Option<String> {
    path?.as_os_str().is_empty().then(|| "is empty; name a file, or remove the line".to_owned())
}

fn currency(code: &str) -> Option<String> {
    let error = lake_types::minor_units(code).err()?;
    let upper = code.to_uppercase();
    let meant = match lake_types::minor_units(&upper) {
        Ok(_) => format!("; did you mean \"{upper}\"?"),
        Err(_) => String::new(),
    };
    Some(format!("= {error}{meant}"))
}

/// Where a value stands, or the nearest table that is there.
fn place(text: &str, key: &[&str]) -> Position {
    let find = || {
        let root = DeTable::parse(text).ok()?;
        let mut table = root.get_ref();
        let mut start = None;
        for part in key {
            let Some((name, value)) = table.get_key_value(*part) else { break };
            start = Some(name.span().start);
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => {
                    start = Some(value.span().start);
                    break;
                }
            }
        }
        start
    };
    Position::of(text, find().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_their_places() {
        #[track_caller]
        fn wrong(text: &str, expected: &str) {
            let config: Config = toml::from_str(text).expect("TOML");
            let error = check(&config, Path::new("r.toml"), text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("r.toml:{expected}")), "{error}");
            assert!(!error.contains("hunter"), "{error}");
        }
        let fine: Config = toml::from_str("").expect("TOML");
        assert!(check(&fine, Path::new("r.toml"), "").is_ok());
        wrong("[lake]\nroot = \"\"", "2:8: [lake] root is empty");
        wrong("[lake]\nroot = \"gs://x\"", "2:8: [lake] root = \"gs://x\": a lake lies in");
        wrong("lake.root = \"s3://me:hunter2@x\"", "1:13: [lake] root holds a user");
        wrong("[lake]\nroot = \"s3://x/?a=hunter2\"", "2:8: [lake] root is a place without");
        wrong("[kafka]\nbootstrap_servers = \"a,,b\"", "2:21: [kafka] bootstrap_servers needs");
        let servers = "[kafka]\nbootstrap_servers = \"x://me:hunter2@a:1\"";
        wrong(servers, "2:21: [kafka] bootstrap_servers holds a user");
        wrong("[kafka]\ngroup_id = \" \"", "2:12: [kafka] group_id is empty");
        wrong(
            "[kafka.topics]\napi_calls = \"a b\"",
            "2:13: [kafka.topics] api_calls = \"a b\" can",
        );
        wrong(
            "[metrics]\nreporting_currency = \"usd\"",
            "2:22: [metrics] reporting_currency = \"usd\" is no active ISO 4217 currency code; did you mean \"USD\"?",
        );
        wrong("[metrics]\nsla = \"\"", "2:7: [metrics] sla is empty");
        assert!(variable("RAPPORT_LAKE_ROOT", "s3://me:hunter2@x").is_err());
        assert!(variable("RAPPORT_LAKE_ROOT", "lake").is_ok());
    }
}
