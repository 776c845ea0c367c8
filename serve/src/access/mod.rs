//! Who may see and do what.
//!
//! - `role`: the roles and what each may do
//! - `people`: who there is, and by which token or name a proxy knows them
//! - `session`: the signed cookie of somebody who has signed in
//! - `local_host`: the names of this machine
//! - `cross_site`: requests that another site makes a browser send

pub(crate) mod cross_site;
pub(crate) mod local_host;
pub(crate) mod people;
pub(crate) mod role;
pub(crate) mod session;
