//! Brokers that ask who is there: SASL, TLS and client certificates, against a real one; and that
//! the secrets for it are shown to nobody.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::crash::ONLY_CALLS;
use crate::kafka::Broker;
use crate::program::{Project, Ran, run};

/// One broker for the tests here and of `secrets`; it ends with this process.
pub(crate) static BROKER: LazyLock<Option<Broker>> = LazyLock::new(|| {
    let broker = Broker::start_secure()?;
    broker.create_topic("api-calls", 2);
    let lines: String = (0..CALLS).map(call).collect();
    broker.produce("api-calls", None, &lines);
    Some(broker)
});

const CALLS: i64 = 40;

fn call(n: i64) -> String {
    format!(
        "{{\"event_id\":\"e{n}\",\"partner_id\":\"p\",\"occurred_at\":\"2026-01-01T00:00:00Z\",\"status\":200}}\n"
    )
}

/// A project whose settings name the listener and hold these properties.
fn project(broker: &Broker, protocol: &str, properties: &str) -> Project {
    let project = Project::new();
    let servers = broker.listener(protocol);
    project.write(
        "rapport.toml",
        format!(
            "[kafka]\nbootstrap_servers = \"{servers}\"\n[kafka.topics]\n{ONLY_CALLS}\n\
             [kafka.properties]\n\"security.protocol\" = \"{protocol}\"\n{properties}\n"
        ),
    );
    for name in ["ca.pem", "client.pem", "client.key", "password"] {
        fs::copy(broker.secure_path(name), project.path(name)).expect("a copy");
    }
    project
}

fn ingest(project: &Project, password: &str) -> Ran {
    let mut command = project.command(&["ingest", "run", "--until-caught-up", "-vvv"]);
    command.env("KAFKA_PASSWORD", password).env("RAPPORT_LOG", "trace");
    run(command)
}

const USER: &str = "\"sasl.username\" = \"rapport\"";
const BY_ENV: &str = "\"sasl.password\" = { env = \"KAFKA_PASSWORD\" }";
const BY_FILE: &str = "\"sasl.password\" = { file = \"password\" }";
const CA: &str = "\"ssl.ca.location\" = \"ca.pem\"";

#[test]
fn every_kind_of_listener_is_read() {
    let Some(broker) = &*BROKER else { return };
    let password = broker.secure_file("password").trim_end().to_owned();
    let check = |protocol: &str, properties: &[&str]| {
        let project = project(broker, protocol, &properties.join("\n"));
        let ran = ingest(&project, &password).succeeded();
        assert_eq!(project.number("SELECT count(*) FROM raw.api_calls"), CALLS, "{ran}");
        assert!(!ran.stderr.contains(&password), "the log tells the password");
        for file in files(&project.path(".")) {
            let given = ["password", "client.key"].iter().any(|name| file.ends_with(name));
            let bytes = fs::read(&file).expect("a file");
            let holds = bytes.windows(password.len()).any(|w| w == password.as_bytes());
            assert!(given || !holds, "{} holds the password", file.display());
        }
        let said = project.ok(&["lake", "verify"]);
        assert!(!said.contains(&password));
    };
    let plain = "\"sasl.mechanism\" = \"PLAIN\"";
    let scram = "\"sasl.mechanism\" = \"SCRAM-SHA-512\"";
    let certificate = "\"ssl.certificate.location\" = \"client.pem\"\n\
                       \"ssl.key.location\" = \"client.key\"";
    check("SASL_PLAINTEXT", &[plain, USER, BY_ENV]);
    check("SASL_PLAINTEXT", &[scram, USER, BY_FILE]);
    check("SASL_SSL", &[scram, USER, BY_ENV, CA]);
    check("SSL", &[CA, certificate]);
}

#[test]
fn who_is_refused_is_told_why() {
    let Some(broker) = &*BROKER else { return };
    let check = |protocol: &str, properties: &[&str], code: i32, words: &[&str]| {
        let project = project(broker, protocol, &properties.join("\n"));
        let mut command = project.command(&["ingest", "run", "--until-caught-up"]);
        let ran = run({
            command.env("KAFKA_PASSWORD", "wrong-password");
            command
        });
        ran.refused(code, words);
        assert!(!ran.stderr.contains("wrong-password"), "{ran}");
    };
    let scram = "\"sasl.mechanism\" = \"SCRAM-SHA-512\"";
    check("SASL_PLAINTEXT", &[scram, USER, BY_ENV], 1, &["refuses this client", "credentials"]);
    check("SASL_SSL", &[scram, USER, BY_FILE], 1, &["refuses this client", "certificate"]);
    check("SSL", &[CA], 1, &["refuses this client"]);
    let unset = "\"sasl.password\" = { env = \"RAPPORT_TEST_UNSET\" }";
    check("SASL_PLAINTEXT", &[scram, USER, unset], 2, &["RAPPORT_TEST_UNSET is not set"]);
    let absent = "\"sasl.password\" = { file = \"no-such-file\" }";
    check("SASL_PLAINTEXT", &[scram, USER, absent], 2, &["no-such-file can't be read"]);
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push(path);
            }
        }
    }
    all
}
