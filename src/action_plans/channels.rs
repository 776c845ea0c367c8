//! Where actions go: the channels of the configuration, and which kind of action goes to which.

use std::collections::BTreeMap;
use std::path::PathBuf;

use actions::deliver::{ChannelDefinition, ChannelSettings, FileDefinition, build};
use actions::{Channels, ChannelsInForce};
use domain::{ActionKind, closest_name};

use super::plan_maker::policy;
use crate::config::{Config, Recipient};
use crate::errors::usage_error;
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
pub(crate) fn check_settings(project: &Project) -> anyhow::Result<()> {
    policy(project)?;
    check_channels(&project.config).map(drop)
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
}
