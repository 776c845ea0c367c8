//! HTTP requests of channels: what is sent, and what an answer or its absence means.

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::DeliveryError;
use super::secrets::Secrets;

/// How much of an answer is read; no answer that a channel needs is longer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Tells the time, so that tests can choose it.
pub(crate) type Clock = fn() -> DateTime<Utc>;

/// One request.
pub(crate) struct Request {
    /// What messages call it: the method and the path without what was filled in.
    pub(crate) label: String,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) effect: Effect,
}

/// What a request does at its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// The receiver may have changed something when the answer is lost.
    Change,
    /// A repetition is taken for something new. The receiver may have taken the request also where it
    /// answers that something went wrong there.
    Message,
}

/// What the receiver answered, whether it took the request or not.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The body, as far as it came.
    pub(crate) body: Vec<u8>,
    retry_after: Option<u64>,
    /// That of the request.
    effect: Effect,
}

/// The status codes whose meaning is not the usual one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StatusCodes {
    /// The receiver has what was asked for, although the code says otherwise.
    pub(crate) done: Vec<u16>,
    pub(crate) permanent: Vec<u16>,
    pub(crate) retryable: Vec<u16>,
    /// The receiver may have taken it.
    pub(crate) ambiguous: Vec<u16>,
    /// The receiver wants nothing more.
    pub(crate) disabled: Vec<u16>,
}

/// A client with the secrets that its errors must not show.
pub(crate) struct HttpClient {
    client: Client,
    channel: String,
    timeout: Duration,
    pub(crate) secrets: Secrets,
    pub(crate) clock: Clock,
}

impl HttpClient {
    /// Makes a client for a base URL, which [`check_url`] has accepted.
    ///
    /// # Errors
    /// A sentence on why there is none, such as missing certificates.
    pub(crate) fn new(
        channel: &str,
        base: &Url,
        timeout: Duration,
        secrets: Secrets,
    ) -> Result<Self, String> {
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("rapport/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeout / 2)
            .timeout(timeout);
        // HTTP needs none of the system's certificates.
        let builder = if base.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client =
            builder.build().map_err(|e| format!("no HTTP client can be made: {}", chain(&e)))?;
        Ok(Self { client, channel: channel.to_owned(), timeout, secrets, clock: Utc::now })
    }

    /// Sends a request and returns the answer, whatever its status.
    ///
    /// # Errors
    /// Retryable where the receiver has changed nothing, ambiguous where it may have.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, DeliveryError> {
        let Request { label, method, url, headers, body, effect } = request;
        let mut builder = self.client.request(method, url).headers(headers);
        if let Some(body) = body {
            builder = builder.body(body);
        }
        let mut response = match builder.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.unanswered(&label, effect, &error.without_url())),
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| seconds_until(value, (self.clock)()));
        let mut body = Vec::new();
        // The status has come, so the answer counts even where its body is cut short.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                body.truncate(MAX_ANSWER_BYTES);
                break;
            }
        }
        tracing::debug!(channel = self.channel, label, status, "answered");
        Ok(Answer { status, body, retry_after, effect })
    }

    /// Returns an error unless the answer says that the request was taken. `also` is hidden in it.
    pub(crate) fn check(
        &self,
        label: &str,
        answer: &Answer,
        codes: &StatusCodes,
        also: Option<&str>,
    ) -> Result<(), DeliveryError> {
        let status = answer.status;
        if codes.done.contains(&status) {
            return Ok(());
        }
        let said = self.secrets.shorten(&answer.body, also);
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let message = |meaning: &str| {
            let channel = &self.channel;
            format!("channel \"{channel}\": {label} was answered with {status}{meaning}{said}")
        };
        if codes.permanent.contains(&status) {
            return Err(DeliveryError::Permanent(message("")));
        }
        if codes.ambiguous.contains(&status) {
            return Err(DeliveryError::Ambiguous(message(", so it may have been taken")));
        }
        if codes.disabled.contains(&status) {
            return Err(DeliveryError::Disabled(message(", so it wants no more deliveries")));
        }
        if codes.retryable.contains(&status) {
            return Err(self.retryable(message(""), answer));
        }
        match status {
            200..300 => Ok(()),
            500.. if answer.effect == Effect::Message => {
                Err(DeliveryError::Ambiguous(message(", so it may have been taken")))
            }
            408 | 425 | 429 | 500.. => Err(self.retryable(message(""), answer)),
            300..400 => Err(DeliveryError::Permanent(message(
                ", a redirect, which is not followed; set the url to where it leads",
            ))),
            _ => Err(DeliveryError::Permanent(message(""))),
        }
    }

    fn retryable(&self, message: String, answer: &Answer) -> DeliveryError {
        DeliveryError::Retryable { message, after_seconds: answer.retry_after }
    }

    /// Returns what a missing answer means.
    fn unanswered(&self, label: &str, effect: Effect, error: &reqwest::Error) -> DeliveryError {
        let channel = &self.channel;
        if error.is_builder() {
            let reason = self.secrets.redact(&chain(error));
            return DeliveryError::Permanent(format!(
                "channel \"{channel}\": {label} can't be sent: {reason}"
            ));
        }
        if error.is_connect() {
            let reason = self.secrets.redact(&chain(error));
            return DeliveryError::Retryable {
                message: format!("channel \"{channel}\": no connection for {label}: {reason}"),
                after_seconds: None,
            };
        }
        let reason = if error.is_timeout() {
            format!("no answer within {} s", self.timeout.as_secs_f64())
        } else {
            format!(
                "the connection ended before the answer ({})",
                self.secrets.redact(&chain(error))
            )
        };
        let message = format!("channel \"{channel}\": {label} was sent, but: {reason}");
        match effect {
            Effect::Nothing => DeliveryError::Retryable { message, after_seconds: None },
            Effect::Change | Effect::Message => DeliveryError::Ambiguous(message),
        }
    }
}

/// Reads a base URL, and refuses one that would send in the clear what must not be read. The
/// errors do not quote it, because it may be a secret itself.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn check_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("the url is none: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the url holds a user or a password; they belong into secrets".to_owned());
    }
    if url.fragment().is_some() {
        return Err("the url holds a #, which no receiver ever sees".to_owned());
    }
    let is_loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return Err("the url names no host".to_owned()),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        "http" => Err("the url begins with http://, which everybody on the way can read and \
                       change; write https:// (http:// is for this machine only)"
            .to_owned()),
        _ => Err("the url begins with https://".to_owned()),
    }
}

/// Returns a secret as the value of a header, which no log shows.
///
/// # Errors
/// A sentence, without the value.
pub(crate) fn header_value(name: &str, text: &SecretString) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text.expose_secret())
        .map_err(|_| format!("the header {name} holds a character that no header may hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads `Retry-After`: seconds, or a date.
fn seconds_until(value: &HeaderValue, now: DateTime<Utc>) -> Option<u64> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    Some(u64::try_from((at.with_timezone(&Utc) - now).num_seconds()).unwrap_or(0))
}

/// Returns an error with its causes.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_reached_without_encryption() {
        for url in ["https://example.com", "http://127.0.0.1:1", "http://[::1]", "http://localhost"]
        {
            assert!(check_url(url).is_ok(), "{url}");
        }
        let check = |url: &str, words: &str| {
            let error = check_url(url).expect_err(url);
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        };
        check("http://example.com/hunter2", "write https://");
        check("http://127.0.0.1.example.com", "write https://");
        check("http://10.0.0.1", "write https://");
        check("ftp://example.com", "begins with https://");
        check("https://me:hunter2@example.com", "belong into secrets");
        check("https://example.com/#hunter2", "holds a #");
        check("hunter2", "the url is none");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(1_445_412_420, 0).expect("an instant");
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(seconds_until(&HeaderValue::from_str(text).expect("text"), now), expected);
        };
        check("120", Some(120));
        check("Wed, 21 Oct 2015 07:28:00 GMT", Some(60));
        check("Wed, 21 Oct 2015 07:20:00 GMT", Some(0));
        check("soon", None);
        check("-5", None);
    }
}
