//! Brokers with SASL, TLS and client certificates; the credentials are never printed or stored.

use std::fs;
use std::sync::LazyLock;

use crate::support::files::all_files;
use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::OTHER_STREAMS_OFF;
use crate::support::program::{ProgramOutput, Project, run};

/// The broker of the tests in this file and in `secrets_in_events`; it ends with this process.
pub(crate) static BROKER: LazyLock<Option<KafkaBroker>> = LazyLock::new(|| {
    let broker = KafkaBroker::start_secure()?;
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

/// Returns a project that reads a listener with these properties.
fn project(broker: &KafkaBroker, protocol: &str, properties: &str) -> Project {
    let project = Project::new();
    let servers = broker.listener(protocol);
    project.write(
        "rapport.toml",
        format!(
            "[kafka]\nbootstrap_servers = \"{servers}\"\n[kafka.topics]\n{OTHER_STREAMS_OFF}\n\
             [kafka.properties]\n\"security.protocol\" = \"{protocol}\"\n{properties}\n"
        ),
    );
    for name in ["ca.pem", "client.pem", "client.key", "password"] {
        fs::copy(broker.secure_path(name), project.path(name)).expect("a copy");
    }
    project
}

fn ingest(project: &Project, password: &str) -> ProgramOutput {
    let mut command = project.command(&["ingest", "run", "--until-caught-up", "-vvv"]);
    command.env("KAFKA_PASSWORD", password).env("RAPPORT_LOG", "trace");
    run(command)
}

const USER: &str = "\"sasl.username\" = \"rapport\"";
const BY_ENV: &str = "\"sasl.password\" = { env = \"KAFKA_PASSWORD\" }";
const BY_FILE: &str = "\"sasl.password\" = { file = \"password\" }";
const CA: &str = "\"ssl.ca.location\" = \"ca.pem\"";

#[test]
fn workers_read_sasl_and_tls_listeners() {
    let Some(broker) = &*BROKER else { return };
    let password = broker.secure_file("password").trim_end().to_owned();
    let check = |protocol: &str, properties: &[&str]| {
        let project = project(broker, protocol, &properties.join("\n"));
        let result = ingest(&project, &password).expect_success();
        assert_eq!(project.query_number("SELECT count(*) FROM raw.api_calls"), CALLS, "{result}");
        assert!(!result.stderr.contains(&password), "the log tells the password");
        for file in all_files(&project.path(".")) {
            let given = ["password", "client.key"].iter().any(|name| file.ends_with(name));
            let bytes = fs::read(&file).expect("a file");
            let holds = bytes.windows(password.len()).any(|w| w == password.as_bytes());
            assert!(given || !holds, "{} holds the password", file.display());
        }
        let output = project.run_ok(&["lake", "verify"]);
        assert!(!output.contains(&password));
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
fn a_refused_client_gets_the_reason() {
    let Some(broker) = &*BROKER else { return };
    let check = |protocol: &str, properties: &[&str], code: i32, messages: &[&str]| {
        let project = project(broker, protocol, &properties.join("\n"));
        let mut command = project.command(&["ingest", "run", "--until-caught-up"]);
        let result = run({
            command.env("KAFKA_PASSWORD", "wrong-password");
            command
        });
        result.expect_error(code, messages);
        assert!(!result.stderr.contains("wrong-password"), "{result}");
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
