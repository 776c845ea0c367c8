//! What placeholders stand for.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use domain::{Setting, format_instant};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::super::config::LookupValue;
use super::super::secrets::Secrets;
use super::super::{Delivery, TargetIds};
use super::pattern::Values;

/// The longest name of an incident in bytes; PagerDuty takes 255.
const INCIDENT_BYTES: usize = 255;

/// What is known of a channel: its secrets and parameters.
#[derive(Clone, Copy)]
pub(super) struct ChannelValues<'a> {
    pub(super) secrets: &'a Secrets,
    pub(super) parameters: &'a BTreeMap<String, String>,
}

impl Values for ChannelValues<'_> {
    fn value(&self, name: &str) -> Result<Value, String> {
        if let Some(name) = name.strip_prefix("secret.") {
            let secret = self.secrets.get(name).ok_or_else(|| format!("no secret {name}"))?;
            return Ok(secret.expose_secret().into());
        }
        let parameter = name.strip_prefix("parameter.").and_then(|name| self.parameters.get(name));
        parameter
            .map(|text| text.as_str().into())
            .ok_or_else(|| format!("{{{name}}} is not known here"))
    }

    fn look_up(&self, table: &str, _: &str) -> Result<Value, String> {
        Err(format!("the table {table} is not known here"))
    }
}

/// What is known of one delivery, or of one partner that is read.
#[derive(Clone)]
pub(super) struct DeliveryValues<'a> {
    pub(super) channel: ChannelValues<'a>,
    pub(super) lookups: &'a BTreeMap<String, BTreeMap<String, LookupValue>>,
    pub(super) target: &'a TargetIds,
    pub(super) delivery: Option<&'a Delivery>,
    pub(super) captured: BTreeMap<String, Value>,
    pub(super) rung: Option<&'a str>,
    pub(super) other_rung: Option<&'a str>,
}

impl Values for DeliveryValues<'_> {
    fn value(&self, name: &str) -> Result<Value, String> {
        let (root, rest) = name.split_once('.').unwrap_or((name, ""));
        match root {
            "secret" | "parameter" => return self.channel.value(name),
            "null" => return Ok(Value::Null),
            "target" => return self.column(rest),
            "captured" => {
                return self.captured.get(rest).cloned().ok_or_else(|| {
                    format!("the target did not tell {rest}, which the next request needs")
                });
            }
            _ => {}
        }
        let rung = match root {
            "rung" => self.rung,
            "other_rung" => self.other_rung,
            _ => None,
        };
        if let Some(rung) = rung {
            return Ok(rung.into());
        }
        let Some(delivery) = self.delivery else {
            return Err(format!("{{{name}}} is not known where a value is only read"));
        };
        Ok(match root {
            "key" => delivery.key.as_str().into(),
            // Some alerts are about no partner.
            "partner_id" if delivery.partner_id.is_empty() => "–".into(),
            "name" if delivery.partner_id.is_empty() => "The platform".into(),
            "partner_id" => delivery.partner_id.as_str().into(),
            "name" => delivery.name.as_deref().unwrap_or(&delivery.partner_id).into(),
            "action" => delivery.action.name().into(),
            "summary" => delivery.summary.as_str().into(),
            "details" => delivery.details.as_str().into(),
            "incident" => incident(delivery).into(),
            "created_at" => format_instant(delivery.created_at).into(),
            "created_ms" => delivery.created_at.div_euclid(1_000).into(),
            "from" => part(delivery.from.as_ref(), rest, name)?,
            "to" => part(delivery.to.as_ref(), rest, name)?,
            _ => return Err(format!("the delivery has no {name}")),
        })
    }

    fn look_up(&self, table: &str, name: &str) -> Result<Value, String> {
        let found = self.lookups.get(table).and_then(|table| table.get(name));
        match found {
            Some(LookupValue::Number(number)) => Ok(json!(number)),
            Some(LookupValue::Text(text)) => Ok(json!(text)),
            None => Err(format!("lookups.{table} has no \"{name}\"; add it")),
        }
    }
}

impl DeliveryValues<'_> {
    fn column(&self, column: &str) -> Result<Value, String> {
        let target = self.target;
        let found = match column {
            "consumer" => &target.consumer,
            "key" => &target.key,
            "app" => &target.app,
            "organisation" => &target.organisation,
            "email" => &target.email,
            _ => &None,
        };
        let found = found.as_deref().filter(|text| !text.is_empty());
        found.map(Value::from).ok_or_else(|| {
            let partner = self.delivery.map_or_else(
                || "this partner".to_owned(),
                |delivery| format!("partner {}", delivery.partner_id),
            );
            format!("the mapping of {partner} has no {column}; fill in that column")
        })
    }
}

/// Returns a part of a setting.
fn part(setting: Option<&Setting>, part: &str, name: &str) -> Result<Value, String> {
    Ok(match (setting, part) {
        (Some(Setting::Quota { per_minute }), "per_minute") => json!(per_minute),
        (Some(Setting::Support(route)), "queue") => json!(route.queue),
        (Some(Setting::Support(route)), "priority") => json!(route.priority),
        (Some(Setting::Support(route)), "sla_hours") => json!(route.sla_hours),
        (Some(Setting::Notify { who, .. }), "who") => json!(who),
        _ => return Err(format!("the delivery has no {name}")),
    })
}

/// Returns the name under which a target keeps what belongs to an episode. It is the same for the
/// delivery that opens it and the one that closes it, and another for each partner and action.
fn incident(delivery: &Delivery) -> String {
    let episode = delivery.episode.as_deref().unwrap_or(&delivery.key);
    let name = format!("{}:{}:{episode}", delivery.partner_id, delivery.action.name());
    if name.len() <= INCIDENT_BYTES { name } else { hex::encode(digest(&SHA256, name.as_bytes())) }
}
