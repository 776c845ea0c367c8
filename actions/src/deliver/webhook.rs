//! The webhook channel: signed requests as Standard Webhooks defines them.

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};

use super::http::{Effect, HttpClient, Request, StatusCodes, header_value};
use super::message::message;
use super::{Channel, Delivery, DeliveryError, Idempotency, Receipt};

/// The prefix of a secret.
const PREFIX: &str = "whsec_";
/// The least length of a decoded secret in bytes.
const MIN_SECRET_BYTES: usize = 24;

/// Posts deliveries to a URL.
pub(crate) struct Webhook {
    name: String,
    http: HttpClient,
    url: Url,
    keys: Vec<hmac::Key>,
    codes: StatusCodes,
}

impl Webhook {
    /// Makes a channel. Each secret gives a signature, so that a receiver can change its secret
    /// while deliveries go on.
    ///
    /// # Errors
    /// A sentence on a secret that is not one.
    pub(crate) fn new(
        name: &str,
        http: HttpClient,
        url: Url,
        secrets: &[SecretString],
    ) -> Result<Self, String> {
        let keys: Result<Vec<_>, _> = secrets.iter().map(signing_key).collect();
        let codes = StatusCodes { disabled: vec![410], ..StatusCodes::default() };
        Ok(Self { name: name.to_owned(), http, url, keys: keys?, codes })
    }

    fn permanent(&self, reason: &str) -> DeliveryError {
        DeliveryError::Permanent(format!("channel \"{}\": {reason}", self.name))
    }
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn idempotency(&self) -> Idempotency {
        Idempotency::Keyed
    }

    async fn send(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError> {
        // The receiver splits the signed content at dots, so an id has none.
        if delivery.key.contains('.') {
            return Err(self.permanent("the key of a webhook holds no dot"));
        }
        let body = message(delivery)?;
        let timestamp = (self.http.clock)().timestamp();
        let signature = signatures(&self.keys, &delivery.key, timestamp, &body);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
        for (header, value) in
            [("webhook-id", delivery.key.clone()), ("webhook-signature", signature)]
        {
            let value = header_value(header, &value.into()).map_err(|e| self.permanent(&e))?;
            headers.insert(header, value);
        }
        let label = "POST".to_owned();
        let request = Request {
            label: label.clone(),
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: Some(body.into_bytes()),
            effect: Effect::Change,
        };
        let answer = self.http.send(request).await?;
        self.http.check(&label, &answer, &self.codes, None)?;
        let said = self.http.secrets.shorten(&answer.body, None);
        Ok(Receipt {
            answer: format!("{} {said}", answer.status).trim().to_owned(),
            in_force: None,
        })
    }
}

/// Reads a secret: base64, mostly after `whsec_`.
fn signing_key(secret: &SecretString) -> Result<hmac::Key, String> {
    let text = secret.expose_secret();
    let bytes = STANDARD
        .decode(text.strip_prefix(PREFIX).unwrap_or(text))
        .map_err(|_| format!("a webhook's secret is {PREFIX} and base64; this one is not"))?;
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "a webhook's secret has at least {MIN_SECRET_BYTES} bytes; this one has {}",
            bytes.len()
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Returns the value of `webhook-signature`.
fn signatures(keys: &[hmac::Key], id: &str, timestamp: i64, body: &str) -> String {
    let content = format!("{id}.{timestamp}.{body}");
    let sign = |key: &hmac::Key| {
        format!("v1,{}", STANDARD.encode(hmac::sign(key, content.as_bytes()).as_ref()))
    };
    keys.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key(secret: &str) -> Result<hmac::Key, String> {
        signing_key(&SecretString::from(secret))
    }

    #[test]
    fn the_known_vector_is_signed_as_known() {
        let sign = |keys: &[hmac::Key]| {
            let body = "{\"test\": 2432232314}";
            signatures(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
        };
        let bare = key(SECRET).expect("a secret");
        let prefixed = key(&format!("whsec_{SECRET}")).expect("a secret");
        assert_eq!(sign(std::slice::from_ref(&bare)), SIGNATURE);
        // While a secret is changed, both sign.
        assert_eq!(sign(&[bare, prefixed]), format!("{SIGNATURE} {SIGNATURE}"));
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_being_shown() {
        for (secret, words) in
            [("whsec_hunter2!", "this one is not"), ("whsec_aHVudGVyMg==", "has 7")]
        {
            let error = key(secret).expect_err("no secret");
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
    }
}
