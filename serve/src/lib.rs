//! The served pages: the report of the newest data, with filters, forms and a JSON API. The only home
//! of axum.
//!
//! What the pages show comes from a [`DataSource`], which the program implements on the lake. A
//! report is computed once for each state of the lake, day and set of filters, and so is each page.
//!
//! - `data_source`: what is asked of the lake, and what people decide
//! - `view`: the day and the partners that a URL names
//! - `live_reports`: the reports in memory, the newest one made again when the lake has changed
//! - `query_history`: what people have asked in SQL
//! - `access`: who may see and do what
//! - `routes`: what is at which URL
//! - `answer`: the kinds of answers, errors included
//! - `headers`: what pages may load, and who may show them
//! - `http_metrics`: the figures for Prometheus
//! - `server`: listening, and the limits of requests

mod access;
mod answer;
mod data_source;
mod headers;
mod http_metrics;
mod live_reports;
mod query_history;
mod routes;
mod server;
mod view;

#[cfg(test)]
mod tests;

pub use access::database_access::DatabaseAccess;
pub use access::embed::{Ancestors, EmbedSettings, new_embed};
pub use access::openid::provider::{ProviderOffer, check_provider};
pub use access::openid::settings::{LoginClaim, OpenIdSettings};
pub use access::people::{AccessError, NewToken, People, Person, Proxy, new_token};
pub use access::rate_limits::LimitSettings;
pub use access::role::{Permission, Role};
pub use access::scram::{
    NewPassword, SCRAM_SHA_256, ScramError, ScramExchange, ScramVerifier, new_password,
};
pub use data_source::{
    DataSource, Decision, LakeState, PlanDecision, SourceError, SqlAnswer, SqlValues, Verdict,
};
pub use server::{Access, ServeError, ServeOptions, Server};
pub use view::{FILTERS, View};
