//! The JSON message of a delivery that Kafka, files and webhooks carry.

use domain::{ActionKind, Setting, format_instant};
use serde::Serialize;

use super::{Delivery, DeliveryError};

/// The version of [`Message`]; a change that breaks its readers gets another.
const SCHEMA: u32 = 1;

/// What a receiver gets of one delivery.
#[derive(Debug, Serialize)]
struct Message<'a> {
    schema: u32,
    key: &'a str,
    action: ActionKind,
    partner_id: &'a str,
    name: Option<&'a str>,
    /// The columns of the mapping that the partner has.
    target: Target<'a>,
    from: Option<&'a Setting>,
    to: Option<&'a Setting>,
    summary: &'a str,
    details: &'a str,
    episode: Option<&'a str>,
    resolves: bool,
    /// RFC 3339, UTC.
    created_at: String,
}

/// How the receiver names the partner. The partner's own API key is left out: who reads a topic,
/// a file or a webhook's log must not be able to call with it.
#[derive(Debug, Serialize)]
struct Target<'a> {
    consumer: Option<&'a str>,
    app: Option<&'a str>,
    organisation: Option<&'a str>,
    email: Option<&'a str>,
    recipient: Option<&'a str>,
}

/// Returns the message as one line of JSON.
///
/// # Errors
/// Permanent, where JSON cannot hold it.
pub(crate) fn message(delivery: &Delivery) -> Result<String, DeliveryError> {
    let target = &delivery.target;
    let message = Message {
        schema: SCHEMA,
        key: &delivery.key,
        action: delivery.action,
        partner_id: &delivery.partner_id,
        name: delivery.name.as_deref(),
        target: Target {
            consumer: target.consumer.as_deref(),
            app: target.app.as_deref(),
            organisation: target.organisation.as_deref(),
            email: target.email.as_deref(),
            recipient: target.recipient.as_deref(),
        },
        from: delivery.from.as_ref(),
        to: delivery.to.as_ref(),
        summary: &delivery.summary,
        details: &delivery.details,
        episode: delivery.episode.as_deref(),
        resolves: delivery.resolves,
        created_at: format_instant(delivery.created_at),
    };
    serde_json::to_string(&message).map_err(|e| {
        DeliveryError::Permanent(format!("the delivery can't be written as JSON: {e}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::tests::delivery;

    #[test]
    fn the_message_is_one_line_with_its_schema() {
        let mut delivery = delivery();
        delivery.summary = "two\nlines".to_owned();
        delivery.target.key = Some("the-partners-own-key".to_owned());
        let line = message(&delivery).expect("JSON");
        assert!(!line.contains('\n') && !line.contains("the-partners-own-key"), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["schema"], 1);
        assert_eq!(value["key"], delivery.key);
        assert_eq!(value["to"]["per_minute"], 900);
        assert_eq!(value["created_at"], "2026-07-01T06:00:00Z");
    }
}
