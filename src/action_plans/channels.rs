//! Where actions go: the channels of the configuration, and which kind of action goes to which.

use std::collections::BTreeMap;
use std::path::PathBuf;

use actions::deliver::{ChannelDefinition, ChannelSettings, FileDefinition, build};
use actions::{Channels, ChannelsInForce, Policy, RuleAction};
use domain::{ActionKind, closest_name, printable};

use super::plan_maker::policy;
use crate::config::{Config, Recipient};
use crate::errors::usage_error;
use crate::output::print_message;
use crate::project::Project;

/// The channel that needs no configuration.
const DEFAULT_CHANNEL: &str = "file";
/// Its file, beside `rapport.toml`.
const DEFAULT_FILE: &str = "partner-actions.ndjson";

/// Returns the definitions of the channels; the default one is there unless it is defined anew.
fn definitions(config: &Config) -> Vec<ChannelDefinition> {
    let mut definitions = config.action_channels().to_vec();
    if definitions.iter().all(|definition| definition.name != DEFAULT_CHANNEL) {
        let path = PathBuf::from(DEFAULT_FILE);
        let settings = ChannelSettings::File(FileDefinition { path });
        definitions.push(ChannelDefinition { name: DEFAULT_CHANNEL.to_owned(), settings });
    }
    definitions
}

/// Opens the channels by their names. Secrets are read now.
pub(crate) fn channels(config: &Config) -> anyhow::Result<Channels> {
    let variable = |name: &str| std::env::var(name).ok();
    let built = build(&definitions(config), &config.folder, &variable);
    let built = built.map_err(|error| usage_error(format!("rapport.toml: {error}")))?;
    Ok(built.into_iter().map(|channel| (channel.name().to_owned(), channel)).collect())
}

/// Returns the channel of each kind of action, and whether it can tell what is in force.
pub(crate) fn channels_in_force(
    config: &Config,
    channels: &Channels,
) -> anyhow::Result<ChannelsInForce> {
    let named = |key: String, name: &String| {
        let Some(channel) = channels.get(name) else {
            let meant = closest_name(name, channels.keys().map(String::as_str))
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            return Err(usage_error(format!(
                "rapport.toml: actions.{key} names the channel \"{name}\", which is not defined{meant}"
            )));
        };
        Ok((name.clone(), channel.can_read()))
    };
    let mut in_force = ChannelsInForce::default();
    for (action, name) in config.action_routes() {
        let action: ActionKind = action
            .parse()
            .map_err(|error| usage_error(format!("rapport.toml: actions.deliver: {error}")))?;
        in_force.by_action.insert(action, named(format!("deliver.{action}"), name)?);
    }
    for (who, recipient) in config.recipients() {
        if let Some(name) = &recipient.channel {
            let channel = named(format!("recipients.{who}"), name)?;
            in_force.by_recipient.insert(who.clone(), channel);
        }
    }
    Ok(in_force)
}

/// Reads the policy and opens the channels, so that a mistake in them is told before anything is
/// computed.
pub(crate) fn check_settings(project: &Project) -> anyhow::Result<Policy> {
    let (_, policy) = policy(project)?;
    check_channels(&project.config)?;
    Ok(policy)
}

/// Does the same where notices are made, and tells of recipients that nobody has defined.
pub(crate) fn check_settings_and_recipients(project: &Project) -> anyhow::Result<()> {
    let policy = check_settings(project)?;
    for sentence in missing_recipients(&project.config, &policy) {
        print_message(&printable(&sentence));
    }
    Ok(())
}

/// Returns the address of a recipient: of a partner's manager that of the person, if it is there.
pub(crate) fn email_of<'a>(
    recipients: &'a BTreeMap<String, Recipient>,
    who: &str,
    manager: Option<&str>,
) -> Option<&'a str> {
    let person = manager.filter(|_| who == "manager").and_then(|name| recipients.get(name));
    let addresses = [person, recipients.get(who)].into_iter().flatten();
    addresses.filter_map(|recipient| recipient.email.as_deref()).next()
}

/// Returns a sentence on each recipient that the policy names and the table of recipients lacks: most
/// likely the name is misspelt in one of them. Without a table nobody is missing.
pub(crate) fn missing_recipients(config: &Config, policy: &Policy) -> Vec<String> {
    let of_all = config.action_routes().get(ActionKind::Notify.name());
    missing(config.recipients(), policy, of_all.map_or("", String::as_str))
}

/// Does the same for these recipients. `of_all` is the channel of all notices.
fn missing(recipients: &BTreeMap<String, Recipient>, policy: &Policy, of_all: &str) -> Vec<String> {
    if recipients.is_empty() {
        return Vec::new();
    }
    let of_rules = policy.rules.iter().filter_map(|rule| match &rule.action {
        RuleAction::Notify { who, .. } => Some((who.as_str(), rule.id.as_str())),
        _ => None,
    });
    let of_alerts = policy.alerts.iter();
    let of_alerts = of_alerts
        .flat_map(|alert| alert.notify.iter().map(|who| (who.as_str(), alert.id.as_str())));
    let mut told_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (who, id) in of_rules.chain(of_alerts) {
        told_by.entry(who).or_default().push(id);
    }
    // The addresses of partners are in the mapping, and managers may be there by their own names.
    let has_people = recipients.keys().any(|who| !told_by.contains_key(who.as_str()));
    let is_missing = |who: &str| match who {
        "partner" => false,
        "manager" => !has_people && !recipients.contains_key(who),
        _ => !recipients.contains_key(who),
    };
    let found = told_by.iter().filter(|(who, _)| is_missing(who));
    found
        .map(|(who, ids)| {
            let meant = closest_name(who, recipients.keys().map(String::as_str))
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            let ids = ids.join(", ");
            format!(
                "[actions.recipients] has no \"{who}\", whom {ids} of the policy would tell: it is \
                 told by the channel of all notices, \"{of_all}\"{meant}"
            )
        })
        .collect()
}

/// Returns the seconds after which an attempt without an outcome was killed: longer than any channel
/// takes for a read, a write and a read.
pub(crate) fn lease_seconds(config: &Config) -> i64 {
    let timeouts = definitions(config).into_iter().filter_map(|d| d.timeout_seconds());
    let longest = timeouts.max().unwrap_or_default();
    30 + 4 * i64::from(longest)
}

/// Opens the channels, and returns which kind of action goes to which: `set_quota to kong`.
pub(crate) fn check_channels(config: &Config) -> anyhow::Result<String> {
    let channels = channels(config)?;
    let in_force = channels_in_force(config, &channels)?;
    let routes = in_force.by_action.iter().map(|(action, (name, _))| format!("{action} to {name}"));
    let recipients =
        in_force.by_recipient.iter().map(|(who, (name, _))| format!("notices to {who} to {name}"));
    Ok(routes.chain(recipients).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_found_by_name_and_then_by_role() {
        let email = |text: &str| Recipient { channel: None, email: Some(text.to_owned()) };
        let recipients = BTreeMap::from([
            ("manager".to_owned(), email("team@example.com")),
            ("Ada".to_owned(), email("ada@example.com")),
        ]);
        assert_eq!(email_of(&recipients, "manager", Some("Ada")), Some("ada@example.com"));
        assert_eq!(email_of(&recipients, "manager", Some("Bo")), Some("team@example.com"));
        assert_eq!(email_of(&recipients, "manager", None), Some("team@example.com"));
        assert_eq!(email_of(&recipients, "oncall", Some("Ada")), None);
    }

    #[test]
    fn recipients_that_nobody_defined_are_told() {
        let policy = Policy::parse(actions::DEFAULT_POLICY).expect("a policy");
        let missing_of = |names: &[&str]| {
            let recipient = Recipient { channel: None, email: None };
            let defined = names.iter().map(|name| ((*name).to_owned(), recipient.clone()));
            missing(&defined.collect(), &policy, "file")
        };
        assert_eq!(missing_of(&[]), Vec::<String>::new(), "all notices go to one channel");
        let most = ["data", "platform", "support-lead", "head-of-support"];
        let all = [&most[..], &["manager"]].concat();
        assert_eq!(missing_of(&all), Vec::<String>::new());
        // Managers are there by their names.
        assert_eq!(missing_of(&[&most[..], &["Ada"]].concat()), Vec::<String>::new());
        let sentences = missing_of(&most);
        assert!(sentences.len() == 1 && sentences[0].contains("no \"manager\""), "{sentences:?}");
        assert_eq!(
            missing_of(&["date", "platform", "support-lead", "head-of-support", "manager"]),
            [
                "[actions.recipients] has no \"data\", whom data-late, metric-held-back of the policy \
                 would tell: it is told by the channel of all notices, \"file\"; did you mean \"date\"?"
            ]
        );
    }
}
