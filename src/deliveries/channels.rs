//! The channels that carry reports.

use actions::Channels;
use actions::deliver::{ChannelDefinition, build};

use crate::config::{Config, DeliveryDefinition};
use crate::errors::usage_error;

/// Opens the channels of these deliveries by their names. Secrets of other channels are not needed.
///
/// # Errors
/// A channel that can't be opened, or one that carries no reports.
pub(crate) fn report_channels(
    config: &Config,
    deliveries: &[&DeliveryDefinition],
) -> anyhow::Result<Channels> {
    let is_used = |channel: &&ChannelDefinition| {
        deliveries.iter().any(|delivery| delivery.channel == channel.name)
    };
    let definitions: Vec<ChannelDefinition> =
        config.action_channels().iter().filter(is_used).cloned().collect();
    let variable = |name: &str| std::env::var(name).ok();
    let built = build(&definitions, &config.folder, &variable);
    let built = built.map_err(|error| usage_error(format!("rapport.toml: {error}")))?;
    if let Some(channel) = built.iter().find(|channel| !channel.carries_reports()) {
        return Err(usage_error(format!(
            "rapport.toml: the template of the channel \"{}\" has no [report], so no delivery can go \
             there; add one to the template, or name another channel",
            channel.name()
        )));
    }
    Ok(built.into_iter().map(|channel| (channel.name().to_owned(), channel)).collect())
}

/// Opens the channels of all deliveries, and returns which goes where: `weekly to mail`.
pub(crate) fn check_deliveries(config: &Config) -> anyhow::Result<String> {
    let deliveries: Vec<&DeliveryDefinition> = config.deliveries().iter().collect();
    report_channels(config, &deliveries)?;
    let routes = deliveries.iter().map(|delivery| {
        let paused = if delivery.paused { ", paused" } else { "" };
        format!("{} to {}{paused}", delivery.name, delivery.channel)
    });
    Ok(routes.collect::<Vec<_>>().join(", "))
}
