//! The description of the API (<https://spec.openapis.org/oas/v3.1.0>).

use axum::Json;
use serde_json::{Map, Value, json};

use crate::view::FILTERS;

/// An operation of the API.
struct Operation {
    path: &'static str,
    summary: &'static str,
    /// What the field `data` of the answer holds.
    data: &'static str,
    /// The parameters besides those of a view: name, place, what it is.
    parameters: &'static [(&'static str, &'static str, &'static str)],
}

const LIST: &[(&str, &str, &str)] = &[
    ("q", "query", "A part of a name or an id"),
    (
        "tier",
        "query",
        "healthy, watch, at_risk (or at-risk), insufficient_evidence, onboarding, stuck or churned",
    ),
    ("sort", "query", "impact, score, change, risk, name or since"),
    ("page", "query", "The number of the page, from 1"),
    ("limit", "query", "Partners a page, up to 1,000; 100 by default"),
];

/// Every operation that reads.
const OPERATIONS: [Operation; 7] = [
    Operation {
        path: "/api/v1/freshness",
        summary: "How fresh the figures are, and what is held back",
        data: "When the report was made and scored, the slowest partition, metrics held back, an outage",
        parameters: &[],
    },
    Operation {
        path: "/api/v1/metrics",
        summary: "The metrics with their columns",
        data: "A list of metrics, each with its definition, grain, columns and what it reads",
        parameters: &[],
    },
    Operation {
        path: "/api/v1/metrics/{name}",
        summary: "The rows of a metric",
        data: "A list of objects with the columns of the metric; integers and floats are numbers, decimals texts with all of their digits, instants RFC 3339",
        parameters: &[
            ("name", "path", "The name of the metric"),
            ("format", "query", "json, or csv at full precision"),
            (
                "grain",
                "query",
                "day, week (from Monday) or month, for partner_traffic and revenue_summary",
            ),
        ],
    },
    Operation {
        path: "/api/v1/partners",
        summary: "The newest scores",
        data: "The number of partners found, and the partners of the page. `tier_since` is the day on which the tier was set where a person set it (then `override_until` is its end), and else `computed_tier_since`",
        parameters: LIST,
    },
    Operation {
        path: "/api/v1/partners/{id}",
        summary: "A partner with its signals and the history of its score",
        data: "A partner as in the list, with `signals` and `history`",
        parameters: &[("id", "path", "The id of the partner")],
    },
    Operation {
        path: "/api/v1/plan",
        summary: "The pending plan",
        data: "The id of the plan, why it is blocked, and its changes",
        parameters: &[],
    },
    Operation {
        path: "/api/v1/alerts",
        summary: "The open alerts",
        data: "A list of alerts",
        parameters: &[],
    },
];

pub(super) async fn document() -> Json<Value> {
    Json(openapi())
}

fn openapi() -> Value {
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        paths.insert(operation.path.to_owned(), json!({ "get": of(operation) }));
    }
    paths.insert("/api/v1/sql".to_owned(), json!({ "post": sql() }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Rapport",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the pages show, for programs. Every answer says which tables it was computed from; the same run and filters give the same data.",
        },
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Error": {
                "type": "object",
                "properties": { "error": {
                    "type": "object",
                    "properties": { "status": { "type": "integer" }, "message": { "type": "string" } },
                } },
            } },
        },
        "paths": paths,
    })
}

fn of(operation: &Operation) -> Value {
    let of_view = [
        ("as_of", "query", "Count everything before this UTC midnight; the newest day by default"),
        ("run", "query", "Read the table versions of this run, by its number or id"),
    ];
    let filters = FILTERS.map(|name| (name, "query", "Only partners with this value"));
    let all = operation.parameters.iter().copied().chain(of_view).chain(filters);
    let parameters: Vec<Value> = all
        .map(|(name, place, what)| {
            json!({
                "name": name, "in": place, "required": place == "path", "description": what,
                "schema": { "type": "string" },
            })
        })
        .collect();
    json!({
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            "200": { "description": "The data", "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["as_of", "complete_to", "run", "table_versions", "data"],
                "properties": {
                    "as_of": { "type": "string", "format": "date" },
                    "complete_to": { "type": ["string", "null"], "format": "date-time" },
                    "run": { "type": ["string", "null"] },
                    "table_versions": { "type": "object", "additionalProperties": { "type": "integer" } },
                    "data": { "description": operation.data },
                },
            } } } },
            "default": error(),
        },
    })
}

fn sql() -> Value {
    json!({
        "summary": "Ask in SQL, read-only",
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "object", "required": ["sql"], "properties": { "sql": { "type": "string" } },
        } } } },
        "responses": {
            "200": { "description": "The rows. NULL is null; booleans, finite floats and integers from -2^53 to 2^53 are JSON's own; decimals, larger integers, dates and times are text with all of their digits, and plain numbers within lists and structs; NaN and the infinities, which JSON does not have, are null", "content": { "application/json": { "schema": {
                "type": "object",
                "properties": {
                    "columns": { "type": "array", "items": { "type": "string" } },
                    "rows": { "type": "array", "items": { "type": "array", "items": {} } },
                    "is_cut": { "type": "boolean" },
                },
            } } } },
            "429": too_many(),
            "default": error(),
        },
    })
}

fn too_many() -> Value {
    let mut answer = error();
    answer["description"] = "Too many queries in a short time".into();
    answer["headers"] = json!({ "Retry-After": {
        "description": "The seconds after which the next query is answered",
        "schema": { "type": "integer" },
    } });
    answer
}

fn error() -> Value {
    json!({
        "description": "Why there is no answer",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::routes::ROUTES;

    #[test]
    fn every_route_of_the_api_is_described() {
        let document = openapi();
        let described: BTreeSet<&str> =
            document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
        let routes = ROUTES.iter().map(|route| route.path).filter(|path| path.starts_with("/api/"));
        let routes: BTreeSet<&str> =
            routes.filter(|path| !path.ends_with("openapi.json")).collect();
        assert_eq!(described, routes);
    }
}
