//! The APIs of the templates as their vendors document them, as far as the templates use them, with
//! state. Every vendor refuses a request without its credentials.

use serde_json::{Map, Value, json};

use super::http_server::{Received, Reply};
use super::{SECRET, delivery};

/// A vendor's API.
pub(super) struct Vendor {
    /// The name of the template.
    pub(super) name: &'static str,
    /// The keys of the channel besides template and URL.
    pub(super) configuration: &'static str,
    pub(super) state: Value,
}

/// All vendors, each in the state in which the partner's quota is 600 or nothing was sent.
pub(super) fn all() -> Vec<Vendor> {
    let plugin = |id: &str, service: Value, minute: i64| {
        json!({ "id": id, "name": "rate-limiting", "service": service, "route": null,
                "config": { "minute": minute, "hour": null, "policy": "redis" } })
    };
    let limit = json!({ "rate": 10.0, "per": 1.0, "quota_max": -1 });
    let session = json!({ "rate": 10.0, "per": 1.0, "allowance": 10.0, "org_id": "o", "quota_max": 10_000,
        "apply_policies": [], "hmac_string": "", "meta_data": { "plan": "silver" },
        "access_rights": { "a": { "api_id": "a", "limit": limit }, "b": { "api_id": "b", "limit": null } } });
    let vendor = |name, configuration, state| Vendor { name, configuration, state };
    vec![
        vendor(
            "kong",
            "",
            json!([plugin("p-1", json!({ "id": "s" }), 30), plugin("p-2", Value::Null, 600)]),
        ),
        vendor(
            "kong-consumer-groups",
            "secrets = { admin_token = 'env:TOKEN' }\nquota_ladder = [{ name = 'silver', per_minute \
             = 600 }, { name = 'gold', per_minute = 900 }]",
            json!(["beta-testers", "silver"]),
        ),
        vendor("tyk", "secrets = { gateway_secret = 'env:TOKEN' }", session),
        vendor(
            "apigee-x",
            "secrets = { access_token = 'env:TOKEN' }\nparameters = { organization = 'ours' }",
            json!({ "quota_per_minute": "600", "colour": "red" }),
        ),
        vendor(
            "zendesk-organization",
            "secrets = { credentials = 'env:TOKEN' }\nlookups.group = { priority = 77, standard = 78 }",
            json!([]),
        ),
        vendor("zendesk-ticket", "secrets = { credentials = 'env:TOKEN' }", json!([])),
        vendor("pagerduty", "secrets = { routing_key = 'env:TOKEN' }", json!({})),
        vendor("slack", "secrets = { webhook_url = 'env:TOKEN' }", json!([])),
        vendor("jira-service-management", "secrets = { api_key = 'env:TOKEN' }", json!({})),
        vendor("hubspot-task", "secrets = { access_token = 'env:TOKEN' }", json!([])),
        vendor("salesforce-task", "secrets = { access_token = 'env:TOKEN' }", json!({})),
    ]
}

/// Returns one vendor.
pub(super) fn vendor(name: &str) -> Vendor {
    all().into_iter().find(|vendor| vendor.name == name).expect("a vendor")
}

impl Vendor {
    /// Answers a request and changes the state as it says.
    pub(super) fn answer(&mut self, request: &Received) -> Reply {
        let body: Value = serde_json::from_str(&request.body).unwrap_or(Value::Null);
        if request.method != "GET" && request.method != "DELETE" && !body.is_object() {
            return Reply::json(400, &json!({ "message": "a JSON object is due" }));
        }
        let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
        let bearer = format!("Bearer TOKEN-{SECRET}");
        // base64 of TOKEN-s3cr3t-0123456789
        let is_basic = header("authorization") == "Basic VE9LRU4tczNjcjN0LTAxMjM0NTY3ODk=";
        let is_known = match self.name {
            "kong" | "slack" | "pagerduty" => true,
            "kong-consumer-groups" => header("kong-admin-token") == format!("TOKEN-{SECRET}"),
            "tyk" => header("x-tyk-authorization") == format!("TOKEN-{SECRET}"),
            "zendesk-organization" | "zendesk-ticket" => is_basic,
            "jira-service-management" => {
                header("authorization") == format!("GenieKey TOKEN-{SECRET}")
            }
            _ => header("authorization") == bearer,
        };
        if !is_known {
            return Reply::json(401, &json!({ "message": "no credentials" }));
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path: Vec<&str> = path.split('/').skip(1).collect();
        let call = (request.method.as_str(), path.as_slice());
        match self.name {
            "kong" => self.kong(call, &body),
            "kong-consumer-groups" => self.kong_groups(call, &body),
            "tyk" => self.tyk(call, query, body),
            "apigee-x" => self.apigee(call, &body),
            "zendesk-organization" => self.zendesk_organization(call, &body),
            "zendesk-ticket" => self.zendesk_ticket(call, query, header("idempotency-key"), &body),
            "pagerduty" => self.pagerduty(call, &body),
            "slack" => self.slack(&body),
            "jira-service-management" => self.jira(call, query, &body),
            "hubspot-task" => self.hubspot(call, &body),
            "salesforce-task" => self.salesforce(call, body),
            _ => not_found(),
        }
    }

    fn kong(&mut self, call: (&str, &[&str]), body: &Value) -> Reply {
        let plugins = self.state.as_array_mut().expect("plugins");
        match call {
            ("GET", ["consumers", "acme", "plugins"]) => {
                Reply::json(200, &json!({ "data": plugins, "next": null }))
            }
            ("PATCH", ["consumers", "acme", "plugins", id]) => {
                let Some(plugin) = plugins.iter_mut().find(|p| p["id"] == *id) else {
                    return not_found();
                };
                plugin["config"]["minute"] = body["config"]["minute"].clone();
                Reply::json(200, plugin)
            }
            ("PUT", ["consumers", "acme", "plugins", id]) => {
                if id.len() != 36 || body["name"] != "rate-limiting" {
                    return Reply::json(400, &json!({ "message": "schema violation" }));
                }
                plugins.retain(|p| p["id"] != *id);
                let mut plugin = body.clone();
                plugin["id"] = json!(id);
                plugins.push(plugin.clone());
                Reply::json(200, &plugin)
            }
            _ => not_found(),
        }
    }

    fn kong_groups(&mut self, call: (&str, &[&str]), body: &Value) -> Reply {
        let groups = self.state.as_array_mut().expect("groups");
        match call {
            ("GET", ["consumers", "acme", "consumer_groups"]) => {
                let data: Vec<Value> =
                    groups.iter().map(|g| json!({ "id": "x", "name": g })).collect();
                Reply::json(200, &json!({ "data": data, "next": null }))
            }
            ("POST", ["consumers", "acme", "consumer_groups"]) => {
                if groups.contains(&body["group"]) {
                    return Reply::json(409, &json!({ "message": "is in it already" }));
                }
                groups.push(body["group"].clone());
                Reply::json(201, &json!({ "consumer": { "username": "acme" } }))
            }
            ("DELETE", ["consumers", "acme", "consumer_groups", group]) => {
                if !groups.iter().any(|other| other == group) {
                    return not_found();
                }
                groups.retain(|other| other != group);
                Reply::text(204, "")
            }
            _ => not_found(),
        }
    }

    fn tyk(&mut self, call: (&str, &[&str]), query: &str, body: Value) -> Reply {
        let key = delivery().target.key.expect("a key");
        match call {
            ("GET", ["tyk", "keys", id]) if *id == key => Reply::json(200, &self.state),
            ("PUT", ["tyk", "keys", id]) if *id == key => {
                if body["access_rights"].is_null() || !query.contains("suppress_reset=1") {
                    return Reply::json(400, &json!({ "status": "error", "message": "malformed" }));
                }
                self.state = body;
                Reply::json(200, &json!({ "key": key, "status": "ok", "action": "modified" }))
            }
            _ => Reply::json(404, &json!({ "status": "error", "message": "no such key" })),
        }
    }

    fn apigee(&mut self, call: (&str, &[&str]), body: &Value) -> Reply {
        let (method, path) = call;
        let [
            "organizations",
            "ours",
            "developers",
            "dev%40acme.example",
            "apps",
            "acme%20app",
            "attributes",
            name,
        ] = path
        else {
            return not_found();
        };
        match method {
            "GET" if self.state[name].is_null() => not_found(),
            "GET" => Reply::json(200, &json!({ "name": name, "value": self.state[name] })),
            // Apigee keeps texts only.
            _ if !body["value"].is_string() => {
                Reply::json(400, &json!({ "error": { "code": 400 } }))
            }
            _ => {
                self.state[name] = body["value"].clone();
                Reply::json(200, body)
            }
        }
    }

    fn zendesk_organization(&mut self, call: (&str, &[&str]), body: &Value) -> Reply {
        let organizations = self.state.as_array_mut().expect("organisations");
        let is_same = |other: &Value, id: &str| {
            other["external_id"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(id))
        };
        match call {
            ("GET", ["api", "v2", "organizations", "search"]) => {
                let found: Vec<&Value> =
                    organizations.iter().filter(|other| is_same(other, "Acme-1")).collect();
                Reply::json(200, &json!({ "organizations": found, "count": found.len() }))
            }
            ("POST", ["api", "v2", "organizations", "create_or_update"]) => {
                let given = &body["organization"];
                let id = given["external_id"].as_str().unwrap_or_default().to_owned();
                if !given.get("group_id").is_some_and(|id| id.is_i64() || id.is_null()) {
                    return Reply::json(422, &json!({ "error": "RecordInvalid" }));
                }
                if let Some(other) = organizations.iter_mut().find(|other| is_same(other, &id)) {
                    merge(other, given);
                    return Reply::json(200, &json!({ "organization": other }));
                }
                organizations.push(given.clone());
                Reply::json(201, &json!({ "organization": given }))
            }
            _ => not_found(),
        }
    }

    fn zendesk_ticket(
        &mut self,
        call: (&str, &[&str]),
        query: &str,
        key: &str,
        body: &Value,
    ) -> Reply {
        let tickets = self.state.as_array_mut().expect("tickets");
        match call {
            ("GET", ["api", "v2", "tickets"]) => {
                let is_asked = |ticket: &&Value| {
                    let id = ticket["external_id"].as_str().unwrap_or_default();
                    query.ends_with(&id.replace(':', "%3A").replace('@', "%40"))
                };
                let found: Vec<&Value> = tickets.iter().filter(is_asked).collect();
                Reply::json(200, &json!({ "tickets": found }))
            }
            ("POST", ["api", "v2", "tickets"]) => {
                if let Some(ticket) = tickets.iter().find(|ticket| ticket["key"] == key) {
                    return Reply::json(201, &json!({ "ticket": ticket }));
                }
                let mut ticket = body["ticket"].clone();
                ticket["id"] = json!(35 + tickets.len());
                ticket["key"] = json!(key);
                tickets.push(ticket.clone());
                Reply::json(201, &json!({ "ticket": ticket }))
            }
            ("PUT", ["api", "v2", "tickets", id]) => {
                let is_it = |ticket: &&mut Value| ticket["id"].as_i64() == id.parse().ok();
                let Some(ticket) = tickets.iter_mut().find(is_it) else { return not_found() };
                merge(ticket, &body["ticket"]);
                Reply::json(200, &json!({ "ticket": ticket }))
            }
            _ => not_found(),
        }
    }

    fn pagerduty(&mut self, call: (&str, &[&str]), body: &Value) -> Reply {
        let key = body["dedup_key"].as_str().unwrap_or_default();
        let is_known = body["routing_key"] == format!("TOKEN-{SECRET}");
        if call != ("POST", &["v2", "enqueue"]) || !is_known || key.is_empty() || key.len() > 255 {
            return Reply::json(400, &json!({ "status": "invalid event" }));
        }
        if body["event_action"] == "trigger" && !body["payload"]["severity"].is_string() {
            return Reply::json(400, &json!({ "status": "invalid event" }));
        }
        self.state[key] = body["event_action"].clone();
        Reply::json(202, &json!({ "status": "success", "dedup_key": key }))
    }

    fn slack(&mut self, body: &Value) -> Reply {
        let Some(text) = body["text"].as_str() else { return Reply::text(400, "no_text") };
        self.state.as_array_mut().expect("messages").push(json!(text));
        Reply::text(200, "ok")
    }

    fn jira(&mut self, call: (&str, &[&str]), query: &str, body: &Value) -> Reply {
        let accepted =
            json!({ "result": "Request will be processed", "took": 0.1, "requestId": "r-1" });
        match call {
            ("POST", ["jsm", "ops", "integration", "v2", "alerts"]) => {
                if body["message"].as_str().is_none_or(|text| text.chars().count() > 130) {
                    return Reply::json(422, &json!({ "message": "message is too long" }));
                }
                self.state[body["alias"].as_str().unwrap_or_default()] = json!("open");
                Reply::json(202, &accepted)
            }
            ("POST", ["jsm", "ops", "integration", "v2", "alerts", alias, "close"])
                if query == "identifierType=alias" =>
            {
                self.state[alias.replace("%3A", ":").replace("%40", "@")] = json!("closed");
                Reply::json(202, &accepted)
            }
            _ => not_found(),
        }
    }

    fn hubspot(&mut self, call: (&str, &[&str]), body: &Value) -> Reply {
        let tasks = self.state.as_array_mut().expect("tasks");
        match call {
            ("GET", ["crm", "v3", "objects", "tasks", key]) => {
                let key = key.replace("%3A", ":").replace("%40", "@");
                match tasks.iter().find(|task| task["properties"]["rapport_key"] == key) {
                    Some(task) => Reply::json(200, task),
                    None => not_found(),
                }
            }
            ("POST", ["crm", "v3", "objects", "tasks"]) => {
                let properties = &body["properties"];
                let is_same =
                    |task: &Value| task["properties"]["rapport_key"] == properties["rapport_key"];
                if tasks.iter().any(is_same) {
                    return Reply::json(409, &json!({ "category": "CONFLICT" }));
                }
                let task =
                    json!({ "id": (900 + tasks.len()).to_string(), "properties": properties });
                tasks.push(task.clone());
                Reply::json(201, &task)
            }
            ("PATCH", ["crm", "v3", "objects", "tasks", id]) => {
                let Some(task) = tasks.iter_mut().find(|task| task["id"] == *id) else {
                    return not_found();
                };
                merge(&mut task["properties"], &body["properties"]);
                Reply::json(200, task)
            }
            _ => not_found(),
        }
    }

    fn salesforce(&mut self, call: (&str, &[&str]), body: Value) -> Reply {
        let (method, ["services", "data", "v64.0", "sobjects", "Task", "Rapport_Key__c", key]) =
            call
        else {
            return not_found();
        };
        let is_there = !self.state[key].is_null();
        match method {
            "GET" if is_there => Reply::json(200, &json!({ "Id": "00T1" })),
            "PATCH" if is_there => {
                merge(&mut self.state[key], &body);
                Reply::text(204, "")
            }
            "PATCH" => {
                self.state[key] = body;
                Reply::json(201, &json!({ "id": "00T1", "success": true, "created": true }))
            }
            _ => Reply::json(404, &json!([{ "errorCode": "NOT_FOUND" }])),
        }
    }
}

fn not_found() -> Reply {
    Reply::json(404, &json!({ "message": "Not found" }))
}

/// Puts the fields of one object over those of another.
fn merge(into: &mut Value, from: &Value) {
    let fields: Map<String, Value> = from.as_object().cloned().unwrap_or_default();
    for (key, value) in fields {
        into[key] = value;
    }
}
