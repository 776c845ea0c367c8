//! The webhook channel against a receiver that checks signatures.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

use super::http_server::{HttpServer, Received, Reply};
use super::{build, definition, delivery, kind};
use crate::deliver::{Channel, DeliveryError};

const OLD: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn channel(url: &str, keys: &str) -> Result<Box<dyn Channel>, String> {
    let toml = format!("name = 'hook'\nkind = 'webhook'\nurl = '{url}'\n{keys}");
    let variable = |name: &str| match name {
        "OLD" => Some(format!("whsec_{OLD}")),
        "NEW" => Some(format!("whsec_{NEW}")),
        "WRONG" => Some("whsec_s3cr3t!s3cr3t".to_owned()),
        _ => None,
    };
    let built = build(&[definition(&toml)?], Path::new("/"), &variable);
    built.map(|mut channels| channels.remove(0)).map_err(|e| e.to_string())
}

/// Whether a request is signed with a secret, as a receiver finds out.
fn is_signed(request: &Received, secret: &str) -> bool {
    let header = |name: &str| request.headers.get(name).expect(name);
    let content =
        format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), request.body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).expect("base64"));
    header("webhook-signature").split(' ').any(|signature| {
        let signature = signature.strip_prefix("v1,").expect("a version");
        let signature = STANDARD.decode(signature).expect("base64");
        hmac::verify(&key, content.as_bytes(), &signature).is_ok()
    })
}

#[tokio::test]
async fn deliveries_are_signed_with_every_secret() {
    let server = HttpServer::start(|_| Reply::text(204, "")).await;
    let channel = channel(&server.url, "secrets = ['env:OLD', 'env:NEW']").expect("a channel");
    let delivery = delivery();
    let receipt = channel.send(&delivery).await.expect("taken");
    assert_eq!(receipt.answer, "204");
    channel.send(&delivery).await.expect("taken");
    let received = server.received();
    for request in &received {
        assert!(is_signed(request, OLD) && is_signed(request, NEW));
        // The receiver drops the second by its id.
        assert_eq!(request.headers["webhook-id"], delivery.key);
        let age = chrono::Utc::now().timestamp()
            - request.headers["webhook-timestamp"].parse::<i64>().expect("seconds");
        assert!((0..60).contains(&age), "{age}");
    }
    let body: serde_json::Value = serde_json::from_str(&received[0].body).expect("JSON");
    assert_eq!((&body["schema"], &body["key"]), (&1.into(), &delivery.key.into()));
}

#[tokio::test]
async fn answers_have_their_meaning() {
    for (status, expected) in [
        (410, "disabled"),
        (400, "permanent"),
        (302, "permanent"),
        (429, "retryable"),
        (500, "retryable"),
    ] {
        let said = format!("whsec_{OLD} is wrong");
        let server = HttpServer::start(move |_| Reply::text(status, &said)).await;
        let channel = channel(&server.url, "secrets = ['env:OLD']").expect("a channel");
        let error = channel.send(&delivery()).await.expect_err("refused");
        assert_eq!(kind(&error), expected, "{error}");
        assert!(!error.to_string().contains(&OLD[..8]), "{error}");
    }
    let server = HttpServer::start(|_| Reply::Silence).await;
    let keys = "secrets = ['env:OLD']\ntimeout_seconds = 1";
    let error = channel(&server.url, keys).expect("a channel").send(&delivery()).await;
    assert!(matches!(error, Err(DeliveryError::Ambiguous(_))), "{error:?}");
}

#[test]
fn a_webhook_without_a_secret_or_encryption_is_refused() {
    let check = |url: &str, keys: &str, words: &str| {
        let error = channel(url, keys).err().expect(words);
        assert!(error.contains("channel \"hook\"") && error.contains(words), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    };
    check("https://example.com", "secrets = []", "at least one");
    check("https://example.com", "secrets = ['env:WRONG']", "this one is not");
    check("https://example.com", "secrets = ['env:UNSET']", "UNSET is not set");
    check("https://example.com", "secrets = ['whsec_s3cr3t']", "\"env:NAME\"");
    check("http://example.com", "secrets = ['env:OLD']", "write https://");
}
