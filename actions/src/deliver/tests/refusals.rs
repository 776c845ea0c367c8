//! Each refusal of each vendor, and what it means.

use domain::ActionKind;

use super::http_server::{HttpServer, Reply};
use super::templates::{Setup, delivery_for};
use super::vendors::{all, vendor};
use super::{SECRET, assert_shows_no_secret, channel, delivery, delivery_of, kind};
use crate::deliver::{DeliveryError, Idempotency};

/// Sends one delivery of each template. Its writing requests are answered as `reply` says, after
/// the vendor has done what they ask if `does` is true.
async fn each(
    does: bool,
    reply: impl Fn(&Reply) -> Reply + Clone + Send + 'static,
    check: impl Fn(&str, Idempotency, Result<String, DeliveryError>, bool),
) {
    for vendor in all() {
        let name = vendor.name;
        let before = vendor.state.clone();
        let reply = reply.clone();
        let setup = Setup::start_with(vendor, "timeout_seconds = 2", move |vendor, request| {
            if request.method == "GET" {
                return vendor.answer(request);
            }
            let answer = if does { vendor.answer(request) } else { Reply::text(200, "") };
            reply(&answer)
        })
        .await;
        let sent = setup.channel.send(&delivery_for(name)).await;
        // The channel to Kong has no secret, so it knows none.
        if name != "kong" {
            assert_shows_no_secret(&format!("{sent:?}"));
        }
        let class = setup.channel.idempotency();
        check(name, class, sent.map(|receipt| receipt.answer), setup.state() != before);
    }
}

/// Checks that a status is taken for a kind of error by every template except some.
async fn check_status(status: u16, expected: &str, except: &[(&str, &str)]) {
    let body = format!("{{\"message\":\"you sent TOKEN-{SECRET}\"}}");
    let reply = move |_: &Reply| Reply::text(status, &body);
    each(false, reply, |name, _, sent, _| {
        let expected = except.iter().find(|(other, _)| *other == name).map_or(expected, |e| e.1);
        let found = sent.as_ref().map_or_else(kind, |_| "done");
        assert_eq!(found, expected, "{name}, {status}: {sent:?}");
        if let Err(error) = sent {
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn mistakes_are_permanent() {
    for status in [400, 401, 403, 404, 422] {
        check_status(status, "permanent", &[]).await;
    }
    // Zendesk asks to repeat what met another request.
    let zendesk = [("zendesk-organization", "retryable"), ("zendesk-ticket", "retryable")];
    check_status(409, "permanent", &zendesk).await;
    check_status(410, "permanent", &[("slack", "disabled")]).await;
}

#[tokio::test]
async fn troubles_are_retryable() {
    for status in [408, 425, 429] {
        check_status(status, "retryable", &[]).await;
    }
    // A chat may show the message although it answers so, and shows a repeated one twice.
    for status in [500, 502, 503, 504, 520] {
        check_status(status, "retryable", &[("slack", "ambiguous")]).await;
    }
}

#[tokio::test]
async fn a_template_names_the_troubles_that_take_nothing() {
    let toml = "actions = ['notify']\nidempotency = 'none'\n[codes]\nretryable = [503]\n\
                [write]\nmethod = 'POST'\npath = '/messages'\nbody = { text = '{summary}' }\n";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("own.toml"), toml).expect("a file");
    for (status, expected) in [(503, "retryable"), (500, "ambiguous"), (501, "ambiguous")] {
        let server = HttpServer::start(move |_| Reply::text(status, "trouble")).await;
        let path = folder.path().join("own.toml");
        let definition = format!(
            "name = 'target'\nkind = 'template'\ntemplate = '{}'\nurl = '{}'\n",
            path.display(),
            server.url
        );
        let channel = channel(&definition).expect("a channel");
        let error = channel.send(&delivery_of(ActionKind::Notify)).await.expect_err("trouble");
        assert_eq!(kind(&error), expected, "{status}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_error() {
    let elsewhere = HttpServer::start(|_| Reply::text(200, "ok")).await;
    let headers = vec![("location", elsewhere.url.clone())];
    let reply = move |_: &Reply| Reply::Answer {
        status: 307,
        headers: headers.clone(),
        body: String::new(),
    };
    each(false, reply, |name, _, sent, _| {
        let error = sent.expect_err(name);
        assert_eq!(kind(&error), "permanent", "{name}");
        assert!(error.to_string().contains("a redirect, which is not followed"), "{error}");
    })
    .await;
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn the_time_that_a_vendor_names_is_kept() {
    let later = (chrono::Utc::now() + chrono::Duration::seconds(90)).to_rfc2822();
    let later = later.replace("+0000", "GMT");
    for (text, least, most) in [("7".to_owned(), 7, 7), (later, 80, 90)] {
        let reply = move |_: &Reply| Reply::Answer {
            status: 429,
            headers: vec![("retry-after", text.clone())],
            body: String::new(),
        };
        each(false, reply, |name, _, sent, _| match sent {
            Err(DeliveryError::Retryable { after_seconds: Some(after), .. }) => {
                assert!((least..=most).contains(&after), "{name}: {after}");
            }
            other => panic!("{name}: {other:?}"),
        })
        .await;
    }
}

#[tokio::test]
async fn a_change_without_its_answer_is_ambiguous_and_may_be_there() {
    for silence in [Reply::Silence, Reply::HangUp] {
        let reply = move |_: &Reply| silence.clone();
        each(true, reply, |name, _, sent, is_changed| {
            let error = sent.expect_err(name);
            assert_eq!(kind(&error), "ambiguous", "{name}: {error}");
            assert!(is_changed, "{name}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_says_less_than_was_done_counts_by_its_status() {
    let shorter: [fn(&Reply) -> Reply; 3] = [
        |_| Reply::text(200, ""),
        |_| Reply::text(200, "<html>done</html>"),
        |answer| match answer {
            Reply::Answer { status, body, .. } => {
                Reply::Half { status: *status, body: body.clone() }
            }
            other => other.clone(),
        },
    ];
    for reply in shorter {
        each(true, reply, |name, _, sent, is_changed| {
            assert!(sent.is_ok() && is_changed, "{name}: {sent:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_read_that_fails_changes_nothing_and_is_tried_again() {
    let broken: [fn() -> Reply; 5] = [
        || Reply::text(200, ""),
        || Reply::text(200, "<html>"),
        || Reply::Half { status: 200, body: "{\"data\":[{\"name\":\"x\"}]}".to_owned() },
        || Reply::Silence,
        || Reply::text(503, "busy"),
    ];
    for reply in broken {
        for name in ["kong", "kong-consumer-groups", "tyk", "apigee-x", "zendesk-organization"] {
            let setup =
                Setup::start_with(vendor(name), "timeout_seconds = 2", move |_, _| reply()).await;
            let error = setup.channel.read(&delivery().target).await.expect_err(name);
            assert_eq!(kind(&error), "retryable", "{name}: {error}");
            assert_shows_no_secret(&error.to_string());
        }
    }
}

#[tokio::test]
async fn a_change_that_is_made_but_not_read_back_says_so() {
    for name in [
        "kong",
        "kong-consumer-groups",
        "tyk",
        "apigee-x",
        "zendesk-organization",
        "salesforce-task",
    ] {
        let mut has_written = false;
        let setup = Setup::start_with(vendor(name), "", move |vendor, request| {
            has_written |= request.method != "GET";
            if has_written && request.method == "GET" {
                return Reply::text(503, "busy");
            }
            vendor.answer(request)
        })
        .await;
        let receipt = setup.channel.send(&delivery_for(name)).await.expect(name);
        assert!(receipt.answer.contains("; not read back: "), "{name}: {receipt:?}");
    }
}

#[tokio::test]
async fn without_a_server_it_is_tried_again() {
    for vendor in all() {
        let name = vendor.name;
        let toml = format!(
            "name = 'target'\nkind = 'template'\ntemplate = '{name}'\nurl = 'http://127.0.0.1:1'\n{}",
            vendor.configuration
        );
        let channel = channel(&toml).expect(name);
        let error = channel.send(&delivery_for(name)).await.expect_err(name);
        assert_eq!(kind(&error), "retryable", "{name}: {error}");
        assert!(error.to_string().contains("no connection"), "{error}");
        assert_shows_no_secret(&error.to_string());
    }
}
