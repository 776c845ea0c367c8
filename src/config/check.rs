//! Checks the values of `rapport.toml`; errors give their line and column.

use std::path::Path;

use domain::{Position, closest_name, has_credentials, printable};
use toml::de::{DeTable, DeValue};

use super::file::{PostgresSection, RapportToml};
use super::mappings::is_file_name;
use crate::errors::usage_error;

/// The greatest goal of net revenue retention, which may go beyond 1; more is a goal in percent.
const MOST_RETENTION: f64 = 10.0;
/// The longest topic name that Kafka allows.
const LONGEST_TOPIC: usize = 249;

/// Checks the values; `text` is the project's file.
///
/// # Errors
/// The first value that is wrong, with its position and what to do.
pub(super) fn check(values: &RapportToml, path: &Path, text: &str) -> anyhow::Result<()> {
    let (metrics, targets) = (&values.metrics, &values.targets);
    let mut problems = vec![
        (vec!["lake", "root"], root(&values.lake.root)),
        (vec!["lake", "key_file"], file(&values.lake.key_file)),
        (vec!["kafka", "bootstrap_servers"], servers(&values.kafka.bootstrap_servers)),
        (vec!["kafka", "group_id"], name(&values.kafka.group_id)),
    ];
    let topics = values.kafka.topics.iter();
    problems.extend(topics.map(|(s, t)| (vec!["kafka", "topics", s.table()], topic(t))));
    let mappings = values.ingest.mappings();
    problems.extend(mappings.map(|(s, m)| (vec!["ingest", "mapping", s.table()], mapping(m))));
    problems.extend([
        (vec!["metrics", "reporting_currency"], currency(&metrics.reporting_currency)),
        (vec!["metrics", "rates"], file(&metrics.rates.path)),
        (vec!["metrics", "sla"], file(&metrics.sla.path)),
        (vec!["metrics", "sunsets"], file(&metrics.sunsets.path)),
        (vec!["metrics", "programme"], file(&metrics.programme.path)),
        (vec!["scoring", "policy"], file(&values.scoring.policy.path)),
        (vec!["actions", "policy"], file(&values.actions.policy.path)),
        (vec!["actions", "mapping"], file(&values.actions.mapping.path)),
        (vec!["targets", "active_partners"], target(targets.active_partners, None)),
        (vec!["targets", "paying_partners"], target(targets.paying_partners, None)),
        (vec!["targets", "gross_revenue"], target(targets.gross_revenue, None)),
        (vec!["targets", "churn_rate"], target(targets.churn_rate, Some(1.0))),
        (vec!["targets", "activation_rate"], target(targets.activation_rate, Some(1.0))),
        (vec!["targets", "nrr"], target(targets.nrr, Some(MOST_RETENTION))),
        (vec!["serve", "public_url"], public_url(&values.serve.public_url)),
        (vec!["serve", "postgres", "key"], key_pair(&values.serve.postgres)),
    ]);
    let found = problems.into_iter().find_map(|(key, problem)| Some((key, problem?)));
    let Some((key, problem)) = found else { return Ok(()) };
    let at = position_of(text, &key);
    let (table, name) = (key[..key.len() - 1].join("."), key[key.len() - 1]);
    Err(usage_error(format!("{}:{at}: [{table}] {name} {problem}", path.display())))
}

/// A certificate without a key, or the other way round, encrypts nothing.
fn key_pair(postgres: &PostgresSection) -> Option<String> {
    (postgres.certificate.is_empty() != postgres.key.is_empty())
        .then(|| "and certificate need each other: name both PEM files, or neither".to_owned())
}

/// Checks brokers that an option of the command line names.
///
/// # Errors
/// What is wrong with them, with the option in place of the file.
pub(crate) fn check_servers(option: &str, given: &str) -> anyhow::Result<()> {
    servers(given).map_or(Ok(()), |problem| Err(usage_error(format!("{option} {problem}"))))
}

/// Checks the lake's root and the brokers where the environment gives them.
///
/// # Errors
/// What is wrong with the value, with the variable in place of the file.
pub(super) fn check_variable(name: &str, value: &str) -> anyhow::Result<()> {
    let problem = match name {
        "RAPPORT_LAKE_ROOT" => root(value),
        "RAPPORT_KAFKA_BOOTSTRAP_SERVERS" => servers(value),
        _ => None,
    };
    problem
        .map_or(Ok(()), |problem| Err(usage_error(format!("{name} in the environment {problem}"))))
}

fn root(root: &str) -> Option<String> {
    if root.trim().is_empty() {
        return Some("is empty; name a folder or s3://bucket/prefix".to_owned());
    }
    let (scheme, rest) = root.split_once("://")?;
    if has_credentials(root) {
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
    has_credentials(servers).then(|| {
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

fn mapping(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("is empty; name a recipe or a file, or remove the line".to_owned());
    }
    let recipes = ingest::mapping::recipes();
    if is_file_name(name) || recipes.iter().any(|recipe| recipe.name == name) {
        return None;
    }
    let closest = closest_name(name, recipes.iter().map(|recipe| recipe.name));
    let meant = closest.map_or_else(String::new, |other| format!("; did you mean \"{other}\"?"));
    Some(format!(
        "= \"{}\": there is no such recipe{meant}. `rapport ingest mappings` lists them; the name of \
         a file of your own ends in .jq",
        printable(name)
    ))
}

fn name(name: &str) -> Option<String> {
    name.trim().is_empty().then(|| "is empty; give it a name".to_owned())
}

fn file(path: &Path) -> Option<String> {
    path.as_os_str().is_empty().then(|| "is empty; name a file, or remove the line".to_owned())
}

fn public_url(url: &str) -> Option<String> {
    if has_credentials(url) {
        return Some("holds a user or a password, which nobody may read in a mail".to_owned());
    }
    let is_address = ["https://", "http://"].iter().any(|scheme| {
        let host = url.strip_prefix(scheme).unwrap_or_default();
        !host.is_empty() && !host.starts_with('/') && !host.contains(['?', '#', ' '])
    });
    (!url.is_empty() && !is_address).then(|| {
        format!(
            "= \"{}\" is no address of pages; write https://rapport.example.com, without ? and #",
            printable(url)
        )
    })
}

/// Checks a goal: a count or an amount, or a ratio where there is a greatest one.
fn target(given: Option<f64>, most: Option<f64>) -> Option<String> {
    let given = given?;
    if given.is_finite() && given >= 0.0 && most.is_none_or(|most| given <= most) {
        return None;
    }
    Some(match most {
        Some(most) => {
            format!("= {given} is no ratio from 0 to {most}; 2 % is 0.02, and 105 % is 1.05")
        }
        None => format!("= {given} is no goal; write a number of 0 or more"),
    })
}

fn currency(code: &str) -> Option<String> {
    let error = domain::minor_units(code).err()?;
    let upper = code.to_uppercase();
    let suggestion = match domain::minor_units(&upper) {
        Ok(_) => format!("; did you mean \"{upper}\"?"),
        Err(_) => String::new(),
    };
    Some(format!("= {error}{suggestion}"))
}

/// Returns the position of a value, or of the nearest table above it that the text has.
pub(super) fn position_of(text: &str, key: &[&str]) -> Position {
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
    Position::at_offset(text, find().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_positions() {
        #[track_caller]
        fn refuses(text: &str, expected: &str) {
            let values = RapportToml::parse(text).expect("TOML");
            let error = check(&values, Path::new("r.toml"), text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("r.toml:{expected}")), "{error}");
            assert!(!error.contains("hunter"), "{error}");
        }
        let defaults = RapportToml::parse("").expect("TOML");
        assert!(check(&defaults, Path::new("r.toml"), "").is_ok());
        refuses("[lake]\nroot = \"\"", "2:8: [lake] root is empty");
        refuses("[lake]\nroot = \"gs://x\"", "2:8: [lake] root = \"gs://x\": a lake lies in");
        refuses("lake.root = \"s3://me:hunter2@x\"", "1:13: [lake] root holds a user");
        refuses("[lake]\nroot = \"s3://x/?a=hunter2\"", "2:8: [lake] root is a place without");
        refuses("[kafka]\nbootstrap_servers = \"a,,b\"", "2:21: [kafka] bootstrap_servers needs");
        let servers = "[kafka]\nbootstrap_servers = \"x://me:hunter2@a:1\"";
        refuses(servers, "2:21: [kafka] bootstrap_servers holds a user");
        refuses("[kafka]\ngroup_id = \" \"", "2:12: [kafka] group_id is empty");
        refuses(
            "[kafka.topics]\napi_calls = \"a b\"",
            "2:13: [kafka.topics] api_calls = \"a b\" can",
        );
        refuses(
            "[metrics]\nreporting_currency = \"usd\"",
            "2:22: [metrics] reporting_currency = \"usd\" is no active ISO 4217 currency code; did you mean \"USD\"?",
        );
        refuses(
            "[ingest.mapping]\napi_calls = \"kong-http-logs\"",
            "2:13: [ingest.mapping] api_calls = \"kong-http-logs\": there is no such recipe; did you mean \"kong-http-log\"?",
        );
        refuses("ingest.mapping.api_calls = \"\"", "1:28: [ingest.mapping] api_calls is empty");
        refuses("[metrics]\nsla = \"\"", "2:7: [metrics] sla is empty");
        refuses("[serve]\npublic_url = \"pages\"", "2:14: [serve] public_url = \"pages\" is no");
        refuses("serve.public_url = \"https://me:hunter2@x\"", "1:20: [serve] public_url holds");
        refuses(
            "[targets]\nchurn_rate = 2",
            "2:14: [targets] churn_rate = 2 is no ratio from 0 to 1;",
        );
        refuses(
            "[targets]\nactivation_rate = 60.5",
            "2:19: [targets] activation_rate = 60.5 is no",
        );
        refuses("[targets]\nchurn_rate = -0.1", "2:14: [targets] churn_rate = -0.1 is no ratio");
        refuses("[targets]\nchurn_rate = nan", "2:14: [targets] churn_rate = NaN is no ratio");
        refuses("[targets]\nnrr = 105", "2:7: [targets] nrr = 105 is no ratio from 0 to 10;");
        refuses(
            "[targets]\nactive_partners = -1",
            "2:19: [targets] active_partners = -1 is no goal",
        );
        refuses("[targets]\ngross_revenue = inf", "2:17: [targets] gross_revenue = inf is no goal");
        let reached =
            "[targets]\nchurn_rate = 0\nactivation_rate = 1.0\nnrr = 1.05\ngross_revenue = 1e6";
        let values = RapportToml::parse(reached).expect("TOML");
        assert!(check(&values, Path::new("r.toml"), reached).is_ok());
        assert!(check_variable("RAPPORT_LAKE_ROOT", "s3://me:hunter2@x").is_err());
        assert!(check_variable("RAPPORT_LAKE_ROOT", "lake").is_ok());
    }
}
