//! The deliveries of reports as `[[deliveries]]` define them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use actions::deliver::{ChannelDefinition, ChannelSettings, is_mail_address};
use domain::{Position, closest_name, printable};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serve::FILTERS;
use toml::de::{DeTable, DeValue};

use super::file::RapportToml;
use crate::deliveries::{Schedule, TimeZone};
use crate::errors::usage_error;

/// The most characters of a name.
const MAX_NAME: usize = 60;

/// One `[[deliveries]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveryDefinition {
    /// The name in commands, in the log and in subjects.
    pub(crate) name: String,
    pub(crate) schedule: Schedule,
    #[serde(default)]
    pub(crate) time_zone: TimeZone,
    /// The name of a channel of `[[actions.channels]]`.
    pub(crate) channel: String,
    /// The addresses of a channel of mail.
    #[serde(default)]
    pub(crate) recipients: Vec<MailAddress>,
    /// The values that attributes of partners must have.
    #[serde(default)]
    filters: BTreeMap<FilterName, String>,
    #[serde(default)]
    pub(crate) digest: Option<DigestKind>,
    /// Whether a mail with the headline figures shows charts, where Chromium is installed.
    #[serde(default = "shows_charts")]
    pub(crate) charts: bool,
    #[serde(default)]
    pub(crate) paused: bool,
}

fn shows_charts() -> bool {
    true
}

/// What is sent in place of the overview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DigestKind {
    /// To each manager what is new of their own partners.
    Manager,
}

/// An address of mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct MailAddress(pub(crate) String);

impl TryFrom<String> for MailAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match is_mail_address(&text) {
            true => Ok(Self(text)),
            false => Err(format!("\"{}\" is no mail address", printable(&text))),
        }
    }
}

/// The name of an attribute that partners can be restricted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FilterName(&'static str);

impl<'de> Deserialize<'de> for FilterName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = FILTERS.iter().find(|known| **known == name);
        known.map(|known| Self(known)).ok_or_else(|| D::Error::unknown_field(&name, &FILTERS))
    }
}

impl DeliveryDefinition {
    /// Returns the values that attributes of partners must have, by attribute.
    pub(crate) fn filters(&self) -> BTreeMap<&'static str, String> {
        self.filters.iter().map(|(name, value)| (name.0, value.clone())).collect()
    }
}

/// Checks the deliveries; `text` is the project's file.
///
/// # Errors
/// The first value that is wrong, with its position and what to do.
pub(super) fn check(values: &RapportToml, path: &Path, text: &str) -> anyhow::Result<()> {
    let mut names = BTreeSet::new();
    for (number, delivery) in values.deliveries.iter().enumerate() {
        let is_new = names.insert(delivery.name.as_str());
        let problem = name(&delivery.name, is_new)
            .map(|problem| ("name", problem))
            .or_else(|| channel(delivery, &values.actions.channels))
            .or_else(|| empty_filter(delivery));
        if let Some((key, problem)) = problem {
            let at = position(text, number, key);
            return Err(usage_error(format!(
                "{}:{at}: [[deliveries]] {key} {problem}",
                path.display()
            )));
        }
    }
    Ok(())
}

fn name(name: &str, is_new: bool) -> Option<String> {
    let shown = printable(name);
    if name.trim().is_empty() || name.trim() != name || shown != name {
        return Some("is empty, or holds space at an end or what can't be shown".to_owned());
    }
    if name.chars().count() > MAX_NAME {
        return Some(format!("has more than {MAX_NAME} characters"));
    }
    (!is_new).then(|| format!("= \"{shown}\" is that of another delivery; each needs its own"))
}

/// Returns the key that is wrong of a delivery's channel and recipients, and why.
fn channel(
    delivery: &DeliveryDefinition,
    channels: &[ChannelDefinition],
) -> Option<(&'static str, String)> {
    let name = printable(&delivery.channel);
    let found = channels.iter().find(|channel| channel.name == delivery.channel);
    let Some(found) = found else {
        let meant = closest_name(&delivery.channel, channels.iter().map(|c| c.name.as_str()))
            .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        let advice = "define it in [[actions.channels]]";
        return Some(("channel", format!("= \"{name}\" is no channel; {advice}{meant}")));
    };
    let is_digest = delivery.digest.is_some();
    let has_recipients = !delivery.recipients.is_empty();
    match &found.settings {
        ChannelSettings::Mail(_) if is_digest && has_recipients => Some((
            "recipients",
            "stand in [actions.recipients] for digest = \"manager\"; remove them here".to_owned(),
        )),
        ChannelSettings::Mail(_) if !is_digest && !has_recipients => Some((
            "recipients",
            format!("are missing; the channel \"{name}\" sends mail, so name at least one address"),
        )),
        ChannelSettings::Template(_) if is_digest => Some((
            "digest",
            format!("= \"manager\" goes to each manager by mail, which \"{name}\" is not"),
        )),
        ChannelSettings::Template(_) if has_recipients => Some((
            "recipients",
            format!("are for mail; who reads the channel \"{name}\" gets the report; remove them"),
        )),
        ChannelSettings::Mail(_) | ChannelSettings::Template(_) => None,
        _ => Some((
            "channel",
            format!(
                "= \"{name}\" carries no reports; name one of the kind mail, or of the template slack"
            ),
        )),
    }
}

fn empty_filter(delivery: &DeliveryDefinition) -> Option<(&'static str, String)> {
    let (name, _) = delivery.filters.iter().find(|(_, value)| value.trim().is_empty())?;
    Some(("filters", format!("has no value for {}; write one or remove it", name.0)))
}

/// Returns the position of a key of a delivery, or of the delivery where it lacks the key.
fn position(text: &str, number: usize, key: &str) -> Position {
    let find = || {
        let root = DeTable::parse(text).ok()?;
        let DeValue::Array(deliveries) = root.get_ref().get("deliveries")?.get_ref() else {
            return None;
        };
        let delivery = deliveries.get(number)?;
        let value = delivery.get_ref().as_table().and_then(|table| table.get(key));
        Some(value.map_or(delivery.span().start, |value| value.span().start))
    };
    Position::at_offset(text, find().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use domain::toml_error;

    use super::*;

    const CHANNELS: &str = "[[actions.channels]]\nname = \"mail\"\nkind = \"mail\"\nserver = \"mail.example\"\n\
        from = \"rapport@example.com\"\n[[actions.channels]]\nname = \"chat\"\nkind = \"template\"\n\
        template = \"slack\"\nsecrets = { webhook_url = \"env:SLACK\" }\n[[actions.channels]]\n\
        name = \"log\"\nkind = \"file\"\npath = \"x\"\n";
    const DAILY: &str = "schedule = \"daily at 07:00\"\n";

    /// Returns what is wrong with a delivery, with its position below the first line of it.
    fn problem(delivery: &str) -> Option<String> {
        let text = format!("{CHANNELS}[[deliveries]]\n{delivery}");
        let first = CHANNELS.lines().count();
        let relative = |at: Position| format!("{}:{}", at.line - first, at.column);
        let values = match RapportToml::parse(&text) {
            Ok(values) => values,
            Err(error) => {
                let (at, what) = toml_error(&text, error.span(), error.message());
                return Some(format!("{}: {what}", relative(at)));
            }
        };
        let error = check(&values, Path::new("r.toml"), &text).err()?.to_string();
        let (line, rest) = error.strip_prefix("r.toml:")?.split_once(':')?;
        Some(format!("{}:{rest}", line.parse::<usize>().ok()? - first))
    }

    #[test]
    fn good_deliveries_have_no_problem() {
        for delivery in [
            "name = \"a\"\nchannel = \"mail\"\nrecipients = [\"Ada <ada@example.com>\"]\n",
            "name = \"a\"\nchannel = \"mail\"\ndigest = \"manager\"\ntime_zone = \"Asia/Tokyo\"\n",
            "name = \"a\"\nchannel = \"chat\"\nfilters = { segment = \"startup\" }\npaused = true\n",
            "name = \"a\"\nchannel = \"mail\"\nrecipients = [\"a@b.c\"]\ncharts = false\n",
        ] {
            assert_eq!(problem(&format!("{delivery}{DAILY}")), None, "{delivery}");
        }
    }

    #[test]
    fn errors_have_positions() {
        #[track_caller]
        fn refuses(delivery: &str, expected: &str) {
            let found = problem(delivery).expect(delivery);
            assert!(found.starts_with(expected), "{found}");
        }
        let with = |lines: &str| format!("name = \"a\"\n{DAILY}{lines}");
        refuses("name = \"a\"\nschedule = \"hourly\"\n", "3:12: \"hourly\" is no schedule; write");
        refuses(&with("time_zone = \"CEST2\"\n"), "4:13: \"CEST2\" is no time zone");
        refuses(&with("recipients = [\"x\"]\n"), "4:14: \"x\" is no mail address");
        refuses(&with("filters = { country = \"x\" }\n"), "4:13: unknown field `country`");
        refuses(&with("chanel = \"mail\"\n"), "4:1: unknown field `chanel`; did you mean");
        refuses(&with(""), "1:1: missing field `channel`");
        let none = "4:11: [[deliveries]] channel = \"mial\" is no channel; define it in \
                    [[actions.channels]]; did you mean \"mail\"?";
        refuses(&with("channel = \"mial\"\n"), none);
        refuses(&with("channel = \"log\"\n"), "4:11: [[deliveries]] channel = \"log\" carries no");
        refuses(&with("channel = \"mail\"\n"), "1:1: [[deliveries]] recipients are missing");
        let digest = "digest = \"manager\"\n";
        refuses(&with(&format!("channel = \"chat\"\n{digest}")), "5:10: [[deliveries]] digest =");
        let both = "recipients = [\"a@b.c\"]\nchannel = \"mail\"\n";
        refuses(&with(&format!("{both}{digest}")), "4:14: [[deliveries]] recipients stand in");
        refuses(
            &with("recipients = [\"a@b.c\"]\nchannel = \"chat\"\n"),
            "4:14: [[deliveries]] rec",
        );
        refuses(
            &with("filters = { plan = \"\" }\nchannel = \"chat\"\n"),
            "4:11: [[deliveries]] filters",
        );
        let chat = format!("channel = \"chat\"\n{DAILY}");
        refuses(&format!("name = \" \"\n{chat}"), "2:8: [[deliveries]] name is empty");
        refuses(
            &format!("name = \"a\"\n{chat}[[deliveries]]\nname = \"a\"\n{chat}"),
            "6:8: [[deliveries]] name = \"a\" is that of another",
        );
    }
}
