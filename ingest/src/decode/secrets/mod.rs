//! Finds secrets in fields that no contract names, so that they are not stored.
//!
//! - `names`: the names of fields whose values are secrets
//! - `redaction`: secrets inside of texts

mod names;
mod redaction;

pub(super) use self::names::{is_certainly_secret_name, is_secret_name};
pub(super) use self::redaction::redact;
