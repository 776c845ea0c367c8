//! Tests of the channels against servers that play their receivers.
//!
//! - `http_server`: a small HTTP server that also breaks off and falls silent
//! - `vendors`: the APIs of the templates, with state
//! - `templates`: each template against its vendor
//! - `refusals`: each refusal of each vendor
//! - `exchanges`: each template against the recorded exchange beside it
//! - `configuration`, `mail`, `webhook`: the rest

mod configuration;
mod exchanges;
mod http_server;
mod mail;
mod refusals;
mod templates;
mod vendors;
mod webhook;

use std::path::Path;

use domain::{ActionKind, Setting, SupportRoute};

use super::{Channel, ChannelDefinition, ChannelError, Delivery, DeliveryError, TargetIds, build};

/// A piece of every secret of the tests, which no text may show.
pub(crate) const SECRET: &str = "s3cr3t-0123456789";

/// A raise of one partner's quota.
pub(crate) fn delivery() -> Delivery {
    let quota = |per_minute| Some(Setting::Quota { per_minute });
    Delivery {
        key: "key-1".to_owned(),
        action: ActionKind::SetQuota,
        partner_id: "P-001".to_owned(),
        name: Some("Acme & <Sons>".to_owned()),
        target: TargetIds {
            consumer: Some("acme".to_owned()),
            key: Some("5f4dcc3b5aa765d61d83".to_owned()),
            app: Some("acme app".to_owned()),
            organisation: Some("Acme-1".to_owned()),
            email: Some("dev@acme.example".to_owned()),
            recipient: None,
        },
        from: quota(600),
        to: quota(900),
        summary: "Quota: 600 → 900 a minute".to_owned(),
        details: "Calls are at 82 % of the quota.".to_owned(),
        episode: Some("quota-at-80@2026-06-29".to_owned()),
        resolves: false,
        // 2026-07-01T06:00:00Z
        created_at: 1_782_885_600_000_000,
    }
}

/// The same partner's delivery of another kind.
pub(crate) fn delivery_of(action: ActionKind) -> Delivery {
    let to = match action {
        ActionKind::SetQuota => return delivery(),
        ActionKind::Notify => {
            Setting::Notify { who: "manager".to_owned(), about: "quota".to_owned() }
        }
        ActionKind::ApproveProduction => Setting::Production { approved: true },
        ActionKind::RouteSupport => Setting::Support(SupportRoute {
            queue: "priority".to_owned(),
            priority: 1,
            sla_hours: 4,
        }),
    };
    Delivery { action, from: None, to: Some(to), ..delivery() }
}

/// Reads one channel's definition.
fn definition(toml: &str) -> Result<ChannelDefinition, String> {
    toml::from_str(toml).map_err(|e| e.message().to_owned())
}

/// Makes one channel. Every environment variable holds [`SECRET`] after its own name.
fn channel(toml: &str) -> Result<Box<dyn Channel>, String> {
    let definition = definition(toml)?;
    let variable = |name: &str| (name != "UNSET").then(|| format!("{name}-{SECRET}"));
    let built = build(&[definition], Path::new("/nowhere"), &variable);
    let mut channels = built.map_err(|e: ChannelError| e.to_string())?;
    Ok(channels.remove(0))
}

/// Fails where a text shows a secret.
#[track_caller]
fn assert_shows_no_secret(text: &str) {
    assert!(!text.contains("s3cr3t") && !text.contains("456789"), "{text}");
    // The partner's own API key is none of the log's business.
    assert!(!text.contains("5f4dcc3b5aa7"), "{text}");
}

/// Returns the kind of an error.
fn kind(error: &DeliveryError) -> &'static str {
    match error {
        DeliveryError::Retryable { .. } => "retryable",
        DeliveryError::Permanent(_) => "permanent",
        DeliveryError::Ambiguous(_) => "ambiguous",
        DeliveryError::Disabled(_) => "disabled",
    }
}
