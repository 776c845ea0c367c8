//! The mail channel: one mail by SMTP for each delivery and for each recipient of a report.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use chrono::DateTime;
use domain::Setting;
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MessageBuilder, MultiPart, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::secrets::Secrets;
use super::{Channel, Delivery, DeliveryError, Idempotency, Receipt, ReportMessage};

/// The recipient whose address is in the mapping.
const PARTNER: &str = "partner";
/// The entry of `recipients` for all that have none of their own.
const DEFAULT: &str = "default";
/// The longest subject in characters; mail programs show no more.
const SUBJECT_CHARS: usize = 150;

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurity {
    /// TLS begins by a command after the connection, mostly on port 587.
    #[default]
    StartTls,
    /// TLS from the first byte, mostly on port 465.
    Tls,
    /// No TLS, for a server on this machine only.
    None,
}

/// How mail is sent and to whom.
pub(crate) struct MailSettings {
    pub(crate) server: String,
    pub(crate) port: u16,
    pub(crate) security: MailSecurity,
    pub(crate) login: Option<(String, SecretString)>,
    pub(crate) from: Mailbox,
    pub(crate) recipients: BTreeMap<String, Mailbox>,
    pub(crate) timeout: Duration,
}

/// Sends deliveries as mail.
pub(crate) struct MailChannel {
    name: String,
    settings: MailSettings,
    tls: Option<TlsParameters>,
    secrets: Secrets,
}

/// A step of a conversation with the server that failed.
enum Failure {
    /// The server or the connection said no. `sent` tells whether the whole mail was out by then.
    Smtp { error: SmtpError, sent: bool },
    /// The server said nothing in time.
    Silent { sent: bool },
}

impl MailChannel {
    /// # Errors
    /// A sentence where there is no TLS for the server's name.
    pub(crate) fn new(
        name: &str,
        settings: MailSettings,
        secrets: Secrets,
    ) -> Result<Self, String> {
        let tls = match settings.security {
            MailSecurity::None => None,
            _ => Some(
                TlsParameters::new(settings.server.clone())
                    .map_err(|e| format!("no TLS for {}: {e}", settings.server))?,
            ),
        };
        Ok(Self { name: name.to_owned(), settings, tls, secrets })
    }

    /// Returns the address that a delivery goes to.
    fn recipient(&self, delivery: &Delivery) -> Result<Mailbox, DeliveryError> {
        let who = match delivery.to.as_ref().or(delivery.from.as_ref()) {
            Some(Setting::Notify { who, .. }) => {
                if let Some(address) = &delivery.target.email {
                    return address.parse().map_err(|_| {
                        self.permanent(&format!("the address of {who} is none: {address}"))
                    });
                }
                who.as_str()
            }
            Some(Setting::Support(route)) => route.queue.as_str(),
            Some(Setting::Quota { .. } | Setting::Production { .. }) | None => DEFAULT,
        };
        if who == PARTNER {
            return Err(self.permanent(&format!(
                "the mapping of partner {} has no email; fill in that column",
                delivery.partner_id
            )));
        }
        let recipients = &self.settings.recipients;
        recipients.get(who).or_else(|| recipients.get(DEFAULT)).cloned().ok_or_else(|| {
            self.permanent(&format!("recipients has no entry \"{who}\", and no \"{DEFAULT}\""))
        })
    }

    fn permanent(&self, reason: &str) -> DeliveryError {
        DeliveryError::Permanent(format!("channel \"{}\": {reason}", self.name))
    }

    /// Holds the conversation that sends one mail, and returns what the server says at its end.
    async fn converse(&self, from: &Mailbox, to: &Mailbox, mail: &[u8]) -> Result<String, Failure> {
        let settings = &self.settings;
        let limit = settings.timeout;
        let hello = ClientId::default();
        let tls = self.tls.clone();
        let (first, second) = match settings.security {
            MailSecurity::Tls => (tls, None),
            _ => (None, tls),
        };
        let server = (settings.server.as_str(), settings.port);
        let open = AsyncSmtpConnection::connect_tokio1(server, Some(limit), &hello, first, None);
        let mut connection = step(limit, false, open).await?;
        if let Some(tls) = second {
            step(limit, false, connection.starttls(tls, &hello)).await?;
        }
        if let Some((user, password)) = &settings.login {
            let login = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            step(limit, false, connection.auth(&mechanisms, &login)).await?;
        }
        let mut parameters = Vec::new();
        if connection.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let sender = MailFrom::new(Some(from.email.clone()), parameters);
        step(limit, false, connection.command(sender)).await?;
        step(limit, false, connection.command(Rcpt::new(to.email.clone(), Vec::new()))).await?;
        step(limit, false, connection.command(Data)).await?;
        let taken = step(limit, true, connection.message(mail)).await?;
        // The mail is taken; how the farewell goes does not matter.
        drop(timeout(limit, connection.quit()).await);
        Ok(taken.message().collect::<Vec<_>>().join(" "))
    }

    /// Sends one mail and returns what the server said, or what its refusal means.
    async fn post(
        &self,
        to: &Mailbox,
        mail: Result<Vec<u8>, lettre::error::Error>,
    ) -> Result<Receipt, DeliveryError> {
        let mail = mail.map_err(|e| self.permanent(&format!("no mail can be made of it: {e}")))?;
        match self.converse(&self.settings.from, to, &mail).await {
            Ok(said) => {
                let said = self.secrets.shorten(said.as_bytes(), None);
                Ok(Receipt { answer: format!("250 {said}").trim().to_owned(), in_force: None })
            }
            Err(failure) => Err(self.explain(failure)),
        }
    }

    fn explain(&self, failure: Failure) -> DeliveryError {
        let (name, server) = (&self.name, &self.settings.server);
        let (reason, sent, is_permanent, is_response) = match failure {
            Failure::Smtp { error, sent } => {
                let reason = self.secrets.shorten(error.to_string().as_bytes(), None);
                // A login that is refused concerns the configuration, not this mail.
                let concerns_login = error.status().is_some_and(|code| {
                    ["530", "534", "535", "538"].contains(&code.to_string().as_str())
                });
                let is_permanent = error.is_permanent() && !concerns_login;
                (reason, sent, is_permanent, error.is_permanent() || error.is_transient())
            }
            Failure::Silent { sent } => {
                let seconds = self.settings.timeout.as_secs_f64();
                (format!("it did not answer within {seconds} s"), sent, false, false)
            }
        };
        let message =
            format!("channel \"{name}\": the mail server {server} did not take it: {reason}");
        if is_permanent {
            DeliveryError::Permanent(message)
        } else if sent && !is_response {
            DeliveryError::Ambiguous(format!(
                "channel \"{name}\": the mail was sent to {server}, which may have taken it: {reason}"
            ))
        } else {
            DeliveryError::Retryable { message, after_seconds: None }
        }
    }
}

/// Waits for one step of the conversation.
async fn step<T>(
    limit: Duration,
    sent: bool,
    step: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, Failure> {
    match timeout(limit, step).await {
        Ok(done) => done.map_err(|error| Failure::Smtp { error, sent }),
        Err(_) => Err(Failure::Silent { sent }),
    }
}

#[async_trait]
impl Channel for MailChannel {
    fn name(&self) -> &str {
        &self.name
    }

    fn idempotency(&self) -> Idempotency {
        Idempotency::None
    }

    async fn send(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError> {
        let to = self.recipient(delivery)?;
        self.post(&to, mail(delivery, &self.settings.from, &to)).await
    }

    fn carries_reports(&self) -> bool {
        true
    }

    fn shows_pictures(&self) -> bool {
        true
    }

    async fn send_report(&self, report: &ReportMessage) -> Result<Receipt, DeliveryError> {
        let to = report.to.as_deref().and_then(|address| address.parse::<Mailbox>().ok());
        let to = to.ok_or_else(|| self.permanent("the report names no address of a recipient"))?;
        self.post(&to, report_mail(report, &self.settings.from, &to)).await
    }
}

/// Returns whether a text is an address of mail, with a name or without.
pub fn is_mail_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// Returns the mail as it is sent.
fn mail(
    delivery: &Delivery,
    from: &Mailbox,
    to: &Mailbox,
) -> Result<Vec<u8>, lettre::error::Error> {
    let over = if delivery.resolves { "Over: " } else { "" };
    let summary = format!("{over}{}", delivery.summary);
    let partner = match &delivery.name {
        Some(name) => format!("\r\nPartner: {} ({})\r\n", one_line(name), delivery.partner_id),
        // Some alerts are about no partner.
        None if delivery.partner_id.is_empty() => String::new(),
        None => format!("\r\nPartner: {}\r\n", delivery.partner_id),
    };
    let text = format!("{summary}\r\n\r\n{}\r\n{partner}", delivery.details);
    let headers = headers(from, to, &summary, &delivery.key, delivery.created_at);
    Ok(headers.header(ContentType::TEXT_PLAIN).body(text)?.formatted())
}

/// Returns a report as the mail that is sent: as text, and as HTML with its pictures for programs that
/// show it.
fn report_mail(
    report: &ReportMessage,
    from: &Mailbox,
    to: &Mailbox,
) -> Result<Vec<u8>, lettre::error::Error> {
    let headers = headers(from, to, &report.subject, &report.key, report.created_at);
    let html = SinglePart::html(report.html.clone());
    let both = MultiPart::alternative().singlepart(SinglePart::plain(report.text.clone()));
    let both = if report.pictures.is_empty() {
        both.singlepart(html)
    } else {
        let mut related = MultiPart::related().singlepart(html);
        for picture in &report.pictures {
            let png = ContentType::parse("image/png");
            let png = png.map_err(|e| lettre::error::Error::Io(std::io::Error::other(e)))?;
            let inline = Attachment::new_inline(picture.content_id.clone());
            related = related.singlepart(inline.body(picture.png.clone(), png));
        }
        both.multipart(related)
    };
    Ok(headers.multipart(both)?.formatted())
}

/// Returns the headers of a mail. A line break in a text adds no header.
fn headers(
    from: &Mailbox,
    to: &Mailbox,
    subject: &str,
    key: &str,
    created_at: i64,
) -> MessageBuilder {
    let builder = lettre::Message::builder()
        .from(from.clone())
        .to(to.clone())
        .subject(one_line(subject).chars().take(SUBJECT_CHARS).collect::<String>())
        .message_id(Some(message_id(key, from)));
    match DateTime::from_timestamp_micros(created_at) {
        Some(at) => builder.date(at.into()),
        None => builder,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the `Message-ID`, which is the same in every attempt, so that mail programs show a mail
/// that was sent twice once.
fn message_id(key: &str, from: &Mailbox) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id = if !key.is_empty() && key.len() <= 64 && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        hex::encode(digest(&SHA256, key.as_bytes()))
    };
    format!("<{id}@{}>", from.email.domain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::ReportPicture;
    use crate::deliver::tests::delivery;

    #[test]
    fn a_name_with_a_line_break_adds_no_header() {
        let from: Mailbox = "Rapport <rapport@example.com>".parse().expect("an address");
        let to: Mailbox = "ops@example.com".parse().expect("an address");
        let mut delivery = delivery();
        delivery.summary = "Quota\r\nBcc: everyone@example.com".to_owned();
        delivery.key = "key with spaces\r\n".to_owned();
        let text = String::from_utf8(mail(&delivery, &from, &to).expect("a mail")).expect("text");
        let headers = text.split("\r\n\r\n").next().expect("headers");
        assert!(headers.contains("Subject: Quota Bcc: everyone@example.com"), "{headers}");
        assert!(!headers.contains("\r\nBcc"), "{headers}");
        assert!(headers.contains("Date: Wed, 01 Jul 2026 06:00:00 +0000"), "{headers}");
        assert_eq!(headers.matches("Message-ID: <").count(), 1, "{headers}");
    }

    #[test]
    fn a_report_is_text_and_html() {
        let [from, to] = ["Rapport <rapport@example.com>", "Ada <ada@example.com>"]
            .map(|address| address.parse::<Mailbox>().expect("an address"));
        let report = ReportMessage {
            key: "key-1".to_owned(),
            to: Some("Ada <ada@example.com>".to_owned()),
            subject: "Weekly\r\nBcc: everyone@example.com".to_owned(),
            text: "Active partners: 40".to_owned(),
            html: "<p>Active partners: 40</p>".to_owned(),
            pictures: Vec::new(),
            created_at: 0,
        };
        let mail = report_mail(&report, &from, &to).expect("a mail");
        let text = String::from_utf8(mail).expect("text");
        let headers = text.split("\r\n\r\n").next().expect("headers");
        assert!(headers.contains("multipart/alternative"), "{headers}");
        assert!(headers.contains("Message-ID: <key-1@example.com>"), "{headers}");
        assert!(!headers.contains("\r\nBcc"), "{headers}");
        let [plain, html] =
            ["text/plain", "text/html"].map(|kind| text.find(kind).expect("a part"));
        assert!(plain < html && text.contains("<p>Active partners: 40</p>"), "{text}");
        assert!(!text.contains("multipart/related"), "{text}");
        let picture = ReportPicture { content_id: "a@b".to_owned(), png: b"\x89PNG".to_vec() };
        let report = ReportMessage { pictures: vec![picture], ..report };
        let mail = report_mail(&report, &from, &to).expect("a mail");
        let text = String::from_utf8(mail).expect("text");
        for part in ["multipart/related", "Content-ID: <a@b>", "image/png", "iVBORw=="] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }

    #[test]
    fn the_message_id_is_made_of_the_key() {
        let from: Mailbox = "rapport@example.com".parse().expect("an address");
        assert_eq!(message_id("a-1", &from), "<a-1@example.com>");
        let hashed = message_id("a b", &from);
        assert_eq!((hashed.len(), &hashed), (64 + 14, &message_id("a b", &from)));
    }
}
