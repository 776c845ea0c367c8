//! Who may see and do what.
//!
//! - `role`: the roles and what each may do
//! - `people`: who there is, and by which token or name a proxy knows them
//! - `client_address`: where a request comes from
//! - `rate_limits`: how often somebody may try to sign in, and ask in SQL
//! - `scram`, `database_access`: passwords of BI tools, and who has one
//! - `embed`: URLs of one partner's usage page that expire
//! - `openid`: signing in at an OpenID provider
//! - `signing_key`: keys that are derived from the secret of the server
//! - `session`: the signed cookie of somebody who has signed in
//! - `local_host`: the names of this machine
//! - `cross_site`: requests that another site makes a browser send

pub(crate) mod client_address;
pub(crate) mod cross_site;
pub(crate) mod database_access;
pub(crate) mod embed;
pub(crate) mod local_host;
pub(crate) mod openid;
pub(crate) mod people;
pub(crate) mod rate_limits;
pub(crate) mod role;
pub(crate) mod scram;
pub(crate) mod session;
pub(crate) mod signing_key;
