//! Signing in at an OpenID provider (<https://openid.net/specs/openid-connect-core-1_0.html>): the
//! authorization code flow with PKCE.
//!
//! - `settings`: the table `[openid]` of `access.toml`
//! - `attempt`: what ties the answer of the provider to the browser that asked
//! - `provider`: what is asked of the provider
//! - `id_token`: whether an id token counts
//! - `key_set`: the keys that providers sign with

pub(crate) mod attempt;
pub(crate) mod id_token;
pub(crate) mod key_set;
pub(crate) mod provider;
pub(crate) mod settings;

/// Why somebody could not sign in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenIdError {
    /// The provider could not be asked, or its answer can't be read. This is for operators.
    #[error("{0}")]
    Unavailable(String),
    /// The provider has answered, and the answer lets nobody in: the text says why, as the end of a
    /// sentence.
    #[error("{0}")]
    Refused(String),
}
