//! Each template against its vendor: read, write, read back, again, close.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{ActionKind, Setting};
use serde_json::{Value, json};

use super::http_server::{HttpServer, Reply};
use super::vendors::{Vendor, all, vendor};
use super::{SECRET, assert_shows_no_secret, channel, delivery, delivery_of};
use crate::deliver::template::Template;
use crate::deliver::{Channel, Delivery, DeliveryError, Idempotency, TargetIds};

/// A vendor's server and the channel to it.
pub(super) struct Setup {
    pub(super) server: HttpServer,
    pub(super) channel: Box<dyn Channel>,
    vendor: Arc<Mutex<Vendor>>,
}

impl Setup {
    pub(super) async fn start(vendor: Vendor) -> Self {
        Self::start_with(vendor, "", Vendor::answer).await
    }

    /// Starts a server that answers as a function says, and makes a channel with more keys.
    pub(super) async fn start_with(
        vendor: Vendor,
        keys: &str,
        mut handler: impl FnMut(&mut Vendor, &super::http_server::Received) -> Reply + Send + 'static,
    ) -> Self {
        let (name, configuration) = (vendor.name, vendor.configuration);
        let vendor = Arc::new(Mutex::new(vendor));
        let shared = Arc::clone(&vendor);
        let server = HttpServer::start(move |request| {
            handler(&mut shared.lock().unwrap_or_else(PoisonError::into_inner), request)
        })
        .await;
        let url = &server.url;
        let toml = format!(
            "name = 'target'\nkind = 'template'\ntemplate = '{name}'\nurl = '{url}'\n{keys}\n{configuration}"
        );
        let channel = channel(&toml).expect(name);
        Self { server, channel, vendor }
    }

    pub(super) fn state(&self) -> Value {
        self.vendor.lock().unwrap_or_else(PoisonError::into_inner).state.clone()
    }

    fn set_state(&self, state: Value) {
        self.vendor.lock().unwrap_or_else(PoisonError::into_inner).state = state;
    }

    fn writes(&self) -> usize {
        self.server.received().iter().filter(|request| request.method != "GET").count()
    }
}

/// Returns a delivery that a vendor's template can carry.
pub(super) fn delivery_for(name: &str) -> Delivery {
    delivery_of(match name {
        "kong" | "kong-consumer-groups" | "tyk" | "apigee-x" => ActionKind::SetQuota,
        "zendesk-organization" => ActionKind::RouteSupport,
        _ => ActionKind::Notify,
    })
}

fn quota(per_minute: i64) -> Option<Setting> {
    Some(Setting::Quota { per_minute })
}

#[test]
fn every_template_has_a_vendor_here() {
    let mut names: Vec<&str> = all().iter().map(|vendor| vendor.name).collect();
    names.sort_unstable();
    assert_eq!(Template::names(), names);
}

#[tokio::test]
async fn every_template_writes_and_repeats_without_harm() {
    for vendor in all() {
        let name = vendor.name;
        let setup = Setup::start(vendor).await;
        let delivery = delivery_for(name);
        let first = setup.channel.send(&delivery).await.expect(name);
        assert_shows_no_secret(&format!("{first:?}"));
        assert_eq!(first.in_force, None, "{name}");
        let (state, writes) = (setup.state(), setup.writes());
        assert!(writes > 0, "{name}");
        let again = setup.channel.send(&delivery).await.expect(name);
        assert_shows_no_secret(&format!("{again:?}"));
        match setup.channel.idempotency() {
            // A second message, which is why nobody repeats it.
            Idempotency::None => assert_eq!(setup.state().as_array().map(Vec::len), Some(2)),
            Idempotency::SearchFirst => {
                assert_eq!((setup.state(), setup.writes()), (state, writes), "{name}");
                assert!(setup.channel.find(&delivery).await.expect(name).is_some(), "{name}");
            }
            Idempotency::Upsert | Idempotency::Keyed => assert_eq!(setup.state(), state, "{name}"),
        }
    }
}

#[tokio::test]
async fn quotas_are_read_before_and_after() {
    for name in ["kong", "kong-consumer-groups", "tyk", "apigee-x"] {
        let setup = Setup::start(vendor(name)).await;
        let delivery = delivery();
        assert!(setup.channel.can_read(), "{name}");
        assert_eq!(setup.channel.read(&delivery.target).await, Ok(quota(600)), "{name}");
        setup.channel.send(&delivery).await.expect(name);
        assert_eq!(setup.channel.read(&delivery.target).await, Ok(quota(900)), "{name}");
    }
}

#[tokio::test]
async fn kong_changes_the_consumers_own_plugin_and_makes_one_where_there_is_none() {
    let setup = Setup::start(vendor("kong")).await;
    setup.channel.send(&delivery()).await.expect("sent");
    let state = setup.state();
    assert_eq!(
        (&state[0]["config"]["minute"], &state[1]["config"]["minute"]),
        (&json!(30), &json!(900))
    );
    setup.set_state(json!([]));
    assert_eq!(setup.channel.read(&delivery().target).await, Ok(None));
    for _ in 0..2 {
        setup.channel.send(&delivery()).await.expect("sent");
        let state = setup.state();
        assert_eq!(state.as_array().map(Vec::len), Some(1), "{state}");
        assert_eq!(state[0]["config"], json!({ "minute": 900, "policy": "redis" }));
    }
}

#[tokio::test]
async fn a_consumer_changes_its_group_and_keeps_the_others() {
    let setup = Setup::start(vendor("kong-consumer-groups")).await;
    let mut delivery = delivery();
    let receipt = setup.channel.send(&delivery).await.expect("sent");
    assert!(receipt.answer.ends_with("taken off silver"), "{receipt:?}");
    assert_eq!(setup.state(), json!(["beta-testers", "gold"]));
    // A change that was cut short leaves the consumer in two groups; the next one ends that.
    setup.set_state(json!(["gold", "silver"]));
    setup.channel.send(&delivery).await.expect("sent");
    assert_eq!(setup.state(), json!(["gold"]));
    // A raise rounds down to a rung.
    delivery.to = quota(1_000);
    let receipt = setup.channel.send(&delivery).await.expect("sent");
    assert_eq!(receipt.in_force, quota(900));
    delivery.to = quota(599);
    delivery.from = None;
    let error = setup.channel.send(&delivery).await.expect_err("no rung");
    assert!(
        matches!(&error, DeliveryError::Permanent(text) if text.contains("lowest rung")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_tyk_session_is_written_whole() {
    let setup = Setup::start(vendor("tyk")).await;
    let before = setup.state();
    setup.channel.send(&delivery()).await.expect("sent");
    let mut expected = before.clone();
    for place in ["", "/access_rights/a/limit"] {
        let limit = expected.pointer_mut(place).expect("a limit");
        limit["rate"] = json!(900);
        limit["per"] = json!(60);
    }
    assert_eq!(setup.state(), expected);
    // The rate of a key with a policy is the policy's.
    let mut with_policy = before;
    with_policy["apply_policies"] = json!(["gold"]);
    setup.set_state(with_policy);
    let writes = setup.writes();
    let error = setup.channel.send(&delivery()).await.expect_err("a policy");
    assert!(error.to_string().contains("has a Tyk policy"), "{error}");
    assert_eq!(setup.writes(), writes);
    let other = TargetIds { key: Some("another-key-of-tyk".to_owned()), ..delivery().target };
    assert_eq!(setup.channel.read(&other).await, Ok(None));
}

#[tokio::test]
async fn apigee_leaves_other_attributes_alone() {
    let setup = Setup::start(vendor("apigee-x")).await;
    setup.channel.send(&delivery()).await.expect("sent");
    assert_eq!(setup.state(), json!({ "quota_per_minute": "900", "colour": "red" }));
}

#[tokio::test]
async fn zendesk_routes_an_organisation_and_keeps_its_name() {
    let setup = Setup::start(vendor("zendesk-organization")).await;
    let delivery = delivery_for("zendesk-organization");
    assert_eq!(setup.channel.read(&delivery.target).await, Ok(None));
    setup.channel.send(&delivery).await.expect("sent");
    assert_eq!(setup.channel.read(&delivery.target).await, Ok(delivery.to.clone()));
    assert_eq!(
        (&setup.state()[0]["group_id"], &setup.state()[0]["name"]),
        (&json!(77), &json!("Acme & <Sons>"))
    );
    let mut renamed = setup.state();
    renamed[0]["name"] = json!("Acme Holding");
    setup.set_state(renamed.clone());
    setup.channel.send(&delivery).await.expect("sent");
    assert_eq!(setup.state(), renamed);
    // Zendesk would overwrite another partner's organisation, whose id differs by letter case.
    renamed[0]["external_id"] = json!("ACME-1");
    setup.set_state(renamed.clone());
    let error = setup.channel.send(&delivery).await.expect_err("another's");
    assert!(
        matches!(&error, DeliveryError::Permanent(text) if text.contains("other letters")),
        "{error:?}"
    );
    assert_eq!(setup.state(), renamed);
}

#[tokio::test]
async fn zendesk_clears_what_a_route_has_set() {
    let setup = Setup::start(vendor("zendesk-organization")).await;
    let opened = delivery_for("zendesk-organization");
    let ends = Delivery {
        key: "key-2".to_owned(),
        from: opened.to.clone(),
        to: None,
        resolves: true,
        ..opened.clone()
    };
    let receipt = setup.channel.send(&ends).await.expect("nothing is there");
    assert_eq!((receipt.answer.starts_with("nothing to clear: "), setup.writes()), (true, 0));
    setup.channel.send(&opened).await.expect("sent");
    // Another partner's organisation is left alone.
    let routed = setup.state();
    let mut of_another = routed.clone();
    of_another[0]["external_id"] = json!("ACME-1");
    setup.set_state(of_another.clone());
    let error = setup.channel.send(&ends).await.expect_err("another's");
    assert!(error.to_string().contains("other letters"), "{error}");
    assert_eq!(setup.state(), of_another);
    // So is what somebody else set since.
    let mut moved = routed.clone();
    moved[0]["organization_fields"]["rapport_queue"] = json!("their own");
    setup.set_state(moved.clone());
    let error = setup.channel.send(&ends).await.expect_err("moved");
    assert!(error.to_string().contains("their own"), "{error}");
    assert_eq!(setup.state(), moved);
    setup.set_state(routed);
    for _ in 0..2 {
        let receipt = setup.channel.send(&ends).await.expect("cleared");
        assert_eq!(receipt.in_force, None);
        assert_eq!(setup.channel.read(&ends.target).await, Ok(None));
        let state = setup.state();
        assert_eq!(
            (&state[0]["group_id"], &state[0]["name"]),
            (&Value::Null, &json!("Acme & <Sons>"))
        );
    }
    assert_eq!(setup.writes(), 2);
}

#[tokio::test]
async fn an_end_that_does_not_last_is_ambiguous() {
    let setup = Setup::start_with(vendor("zendesk-organization"), "", |vendor, request| {
        match request.body.contains("\"rapport_queue\":null") {
            true => Reply::text(200, ""),
            false => vendor.answer(request),
        }
    })
    .await;
    let opened = delivery_for("zendesk-organization");
    setup.channel.send(&opened).await.expect("sent");
    let ends = Delivery { from: opened.to.clone(), to: None, resolves: true, ..opened };
    let error = setup.channel.send(&ends).await.expect_err("still there");
    assert!(matches!(error, DeliveryError::Ambiguous(_)), "{error:?}");
}

/// The templates that open something for an episode.
const OPENING: [&str; 5] =
    ["zendesk-ticket", "pagerduty", "jira-service-management", "hubspot-task", "salesforce-task"];

/// Returns whether one thing was opened at a vendor, and is closed.
fn is_closed(name: &str, state: &Value) -> bool {
    let opened: Vec<&Value> = match state {
        Value::Array(opened) => opened.iter().collect(),
        Value::Object(opened) => opened.values().collect(),
        _ => Vec::new(),
    };
    let [opened] = opened.as_slice() else { return false };
    match name {
        "zendesk-ticket" => opened["status"] == "solved",
        "hubspot-task" => opened["properties"]["hs_task_status"] == "COMPLETED",
        "pagerduty" => *opened == "resolve",
        "jira-service-management" => *opened == "closed",
        "salesforce-task" => opened["Status"] == "Completed",
        _ => false,
    }
}

#[tokio::test]
async fn what_was_opened_for_an_episode_is_closed_at_its_end() {
    for (name, action) in OPENING.into_iter().flat_map(|name| {
        [ActionKind::Notify, ActionKind::RouteSupport].map(|action| (name, action))
    }) {
        let setup = Setup::start(vendor(name)).await;
        let opened = delivery_of(action);
        setup.channel.send(&opened).await.expect(name);
        assert!(!is_closed(name, &setup.state()), "{name}");
        let from = opened.to.clone();
        let closes = Delivery { key: "key-2".to_owned(), from, to: None, resolves: true, ..opened };
        // That it was opened does not say that it was closed.
        assert_eq!(setup.channel.find(&closes).await, Ok(None), "{name}");
        for _ in 0..2 {
            setup.channel.send(&closes).await.expect(name);
            assert!(is_closed(name, &setup.state()), "{name}: {}", setup.state());
        }
    }
}

#[tokio::test]
async fn slack_takes_no_name_for_a_command() {
    let setup = Setup::start(vendor("slack")).await;
    let mut delivery = delivery_for("slack");
    delivery.name = Some("<!channel> \"},{\"text\":\"x".to_owned());
    setup.channel.send(&delivery).await.expect("sent");
    let state = setup.state();
    let text = state[0].as_str().expect("a text");
    assert!(text.contains("&lt;!channel&gt; \"},{\"text\":\"x (P-001)"), "{text}");
}

#[tokio::test]
async fn an_id_that_the_mapping_lacks_is_named() {
    let cases = [
        ("kong", "consumer"),
        ("kong-consumer-groups", "consumer"),
        ("tyk", "key"),
        ("apigee-x", "email"),
        ("zendesk-organization", "organisation"),
    ];
    for (name, column) in cases {
        let setup = Setup::start(vendor(name)).await;
        let delivery = Delivery { target: TargetIds::default(), ..delivery_for(name) };
        let error = setup.channel.send(&delivery).await.expect_err(name);
        let words = format!("the mapping of partner P-001 has no {column}");
        assert!(
            matches!(&error, DeliveryError::Permanent(text) if text.contains(&words)),
            "{error:?}"
        );
        assert!(setup.server.received().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_action_that_a_template_can_not_do_is_refused() {
    let setup = Setup::start(vendor("kong")).await;
    let error = setup.channel.send(&delivery_of(ActionKind::Notify)).await.expect_err("no notice");
    assert!(error.to_string().contains("the template kong can't do notify"), "{error}");
}

#[tokio::test]
async fn what_the_target_made_of_a_value_is_in_force() {
    // A target that rounds down to hundreds.
    let setup = Setup::start_with(vendor("apigee-x"), "", |vendor, request| {
        let reply = vendor.answer(request);
        if request.method == "POST" {
            vendor.state["quota_per_minute"] = json!("800");
        }
        reply
    })
    .await;
    let receipt = setup.channel.send(&delivery()).await.expect("sent");
    assert_eq!(receipt.in_force, quota(800));
    // A target that forgets what it took.
    let setup = Setup::start_with(vendor("apigee-x"), "", |vendor, request| {
        if request.method == "POST" {
            vendor.state = json!({});
            return Reply::text(200, "");
        }
        vendor.answer(request)
    })
    .await;
    let error = setup.channel.send(&delivery()).await.expect_err("forgotten");
    assert!(matches!(error, DeliveryError::Ambiguous(_)), "{error:?}");
}

#[tokio::test]
async fn a_slack_url_that_is_a_secret_is_never_shown() {
    let server = HttpServer::start(|_| Reply::text(404, "no_service")).await;
    let url = format!("{}/services/{SECRET}", server.url);
    let definition = super::definition(
        "name = 'chat'\nkind = 'template'\ntemplate = 'slack'\nsecrets.webhook_url = 'env:URL'",
    );
    let variable = |_: &str| Some(url.clone());
    let definitions = [definition.expect("a definition")];
    let channels = super::build(&definitions, std::path::Path::new("/"), &variable).expect("built");
    let error = channels[0].send(&delivery_for("slack")).await.expect_err("no service");
    assert!(
        matches!(&error, DeliveryError::Permanent(text) if text.contains("no_service")),
        "{error:?}"
    );
    assert_shows_no_secret(&error.to_string());
    assert_eq!(server.received()[0].path, format!("/services/{SECRET}"));
}
