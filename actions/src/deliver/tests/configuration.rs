//! Definitions of channels, good and bad.

use std::path::Path;

use super::{SECRET, assert_shows_no_secret, build, channel, definition};
use crate::deliver::{ChannelSettings, Idempotency};

#[test]
fn every_kind_is_built_of_its_definition() {
    let check = |toml: &str, idempotency: Idempotency, can_read: bool| {
        let channel = channel(toml).expect(toml);
        assert_eq!((channel.name(), channel.idempotency()), ("one", idempotency));
        assert_eq!(channel.can_read(), can_read);
        // What was read is written so that it is read again, without secrets.
        let definition = definition(toml).expect(toml);
        let text = toml::to_string(&definition).expect("TOML");
        assert_shows_no_secret(&text);
        assert_eq!(super::definition(&text), Ok(definition));
    };
    check(
        "name = 'one'\nkind = 'kafka'\nbootstrap_servers = 'k:9092'\n[properties]\n\
         'security.protocol' = 'SASL_PLAINTEXT'\n'sasl.mechanisms' = 'PLAIN'\n\
         'sasl.username' = 'rapport'\n'sasl.password' = 'env:PASSWORD'",
        Idempotency::Keyed,
        false,
    );
    check("name = 'one'\nkind = 'file'\npath = 'actions.jsonl'", Idempotency::SearchFirst, false);
    check(
        "name = 'one'\nkind = 'mail'\nserver = 'smtp.example.com'\nuser = 'rapport'\n\
         password = 'env:PASSWORD'\nfrom = 'Rapport <rapport@example.com>'\n\
         recipients.default = 'ops@example.com'",
        Idempotency::None,
        false,
    );
    check(
        "name = 'one'\nkind = 'template'\ntemplate = 'kong'\nurl = 'https://kong.example.com/admin/'\n\
         parameters.policy = 'local'",
        Idempotency::Upsert,
        true,
    );
    check(
        "name = 'one'\nkind = 'template'\ntemplate = 'pagerduty'\nsecrets.routing_key = 'env:KEY'",
        Idempotency::Keyed,
        false,
    );
}

#[test]
fn defaults_are_filled_in() {
    let definition = definition("name = 'bus'\nkind = 'kafka'\nbootstrap_servers = 'k:9092'");
    let ChannelSettings::Kafka(kafka) = definition.expect("a definition").settings else {
        panic!("no Kafka");
    };
    assert_eq!((kafka.topic.as_str(), kafka.timeout_seconds), ("partner-actions", 10));
}

#[test]
fn mistakes_are_said_with_the_channels_name_and_without_secrets() {
    let check = |toml: &str, words: &str| {
        let error = channel(&format!("name = 'one'\n{toml}")).err().expect(toml);
        assert!(error.contains("channel \"one\"") && error.contains(words), "{error}");
        assert_shows_no_secret(&error);
    };
    check("path = 'x'", "kind is missing; one of kafka, file");
    check("kind = 'kafak'", "did you mean \"kafka\"?");
    check("kind = 'file'\npaht = 'x'\npath = 'y'", "did you mean `path`?");
    check("kind = 'file'", "missing field `path`");
    check("kind = 'file'\npath = ''", "name the file");
    let kafka = "kind = 'kafka'\nbootstrap_servers = 'k:1'\n";
    check(&format!("{kafka}timeout_seconds = 0"), "from 1 to 300");
    check(&format!("{kafka}timeout_seconds = 's3cr3t'"), "timeout_seconds");
    check(&format!("{kafka}properties.'sasl.password' = '{SECRET}'"), "write \"env:NAME\"");
    check(&format!("{kafka}properties.'ssl.key.pem' = '{SECRET}'"), "write \"env:NAME\"");
    check(&format!("{kafka}properties.'colour' = '{SECRET}'"), "colour");
    check(&format!("{kafka}properties.'sasl.pasword' = 'env:PASSWORD'"), "sasl.pasword");
    let mail = "kind = 'mail'\nserver = 'smtp.example.com'\nfrom = 'a@example.com'\n";
    check(&format!("{mail}security = 'none'"), "on this machine only");
    check(&format!("{mail}user = 'x'"), "together");
    check(&format!("{mail}user = 'x'\npassword = '{SECRET}'"), "write \"env:NAME\"");
    check(&format!("{mail}user = 'x'\npassword = 'env:UNSET'"), "UNSET is not set");
    check(&mail.replace("a@example.com", "nobody"), "no mail address");
    let slack = "kind = 'template'\ntemplate = 'slack'\n";
    check(slack, "needs webhook_url");
    check(&format!("{slack}secrets.webhook_url = '{SECRET}'"), "write \"env:NAME\"");
    // The secret is no URL, which is said without it.
    check(&format!("{slack}secrets.webhook_url = 'env:URL'"), "the url is none");
    let kong = "kind = 'template'\ntemplate = 'kong'\n";
    check(&format!("{kong}secrets.token = 'env:X'\nurl = 'https://k'"), "has no \"token\"");
    check(&format!("{kong}parameters.polcy = 'x'\nurl = 'https://k'"), "did you mean \"policy\"?");
    check(&format!("{kong}lookups.x = {{}}\nurl = 'https://k'"), "has no \"x\"");
    check(kong, "url is missing");
    check(&format!("{kong}url = 'http://kong.example.com'"), "write https://");
    check(&format!("{kong}url = 'https://me:{SECRET}@k'"), "belong into secrets");
    check(
        &format!("{kong}url = 'https://k'\nquota_ladder = [{{ name = 'a', per_minute = 1 }}]"),
        "takes every quota",
    );
    let groups = "kind = 'template'\ntemplate = 'kong-consumer-groups'\nurl = 'https://k'\n\
                  secrets.admin_token = 'env:X'\n";
    check(groups, "quota_ladder is missing");
    check(
        "kind = 'template'\ntemplate = 'apigee-x'\nsecrets.access_token = 'env:X'",
        "needs organization",
    );
    check(
        "kind = 'template'\ntemplate = 'zendesk-organization'\nsecrets.credentials = 'env:X'",
        "needs group",
    );
    check("kind = 'template'\ntemplate = 'knog'", "Did you mean \"kong\"?");
    check("kind = 'template'\ntemplate = 'own.toml'", "own.toml can't be read");
    let error = channel("kind = 'file'\npath = 'x'").err().expect("no name");
    assert!(error.contains("every channel needs a name"), "{error}");
}

#[test]
fn two_channels_have_two_names() {
    let one = definition("name = 'one'\nkind = 'file'\npath = 'x'").expect("a definition");
    let error = build(&[one.clone(), one], Path::new("/"), &|_| None).err().expect("one name");
    assert_eq!(
        error.to_string(),
        "channel \"one\": two channels have this name; each needs its own"
    );
}

#[test]
fn a_project_has_templates_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |template: &str, expected: Result<(), &str>| {
        std::fs::write(folder.path().join("own.toml"), template).expect("written");
        let toml = "name = 'one'\nkind = 'template'\ntemplate = 'own.toml'\nurl = 'https://x'";
        let definitions = [definition(toml).expect("a definition")];
        let built = build(&definitions, folder.path(), &|_| None).map(|_| ());
        match (built.map_err(|e| e.to_string()), expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
            (found, expected) => panic!("{template}: {found:?}, not {expected:?}"),
        }
    };
    let base = "actions = ['set_quota']\nidempotency = 'upsert'\n";
    let write = "[write]\nmethod = 'PUT'\npath = '/x/{target.app}'\n";
    check(&format!("{base}{write}"), Ok(()));
    check(base, Err("missing field `write`"));
    check(&format!("{base}{write}bdy = {{}}"), Err("own.toml:6"));
    check(&format!("{base}{}", write.replace(".app", ".ap")), Err("did you mean {target.app}?"));
    check(&format!("{base}{}", write.replace("PUT", "SEND")), Err("no method SEND"));
    check(&format!("{base}{}", write.replace("'/x", "'x")), Err("begins with /"));
    check(&format!("{base}{}", write.replace("/x/", "/x?y=")), Err("has no ?"));
    check(
        &format!("{base}{write}body = {{ a = '{{to.queue|lookup:t}}' }}"),
        Err("\"t\" in lookups"),
    );
    check(&format!("{base}{write}answer = {{ from_read = true }}"), Err("need [read]"));
    let searches = base.replace("upsert", "search_first");
    check(&format!("{searches}{write}"), Err("needs [find]"));
    check(&format!("{base}{write}headers = {{ a = '{{secret.token}}' }}"), Err("no placeholder"));
}
