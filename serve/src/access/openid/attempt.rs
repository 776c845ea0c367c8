//! What ties the answer of a provider to the browser that asked. The browser keeps a random seed in a
//! signed cookie; `state`, `nonce` and the verifier of PKCE are derived from it by a key that only the
//! server has, so that the cookie tells none of them, and the server keeps nothing.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::access::signing_key;

/// An attempt to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) seed: String,
    /// The page that was asked for before.
    pub(crate) return_to: String,
}

impl Attempt {
    pub(crate) fn new(return_to: &str) -> Self {
        let seed = BASE64_URL_SAFE_NO_PAD.encode(signing_key::random::<32>());
        Self { seed, return_to: return_to.to_owned() }
    }

    /// Returns what the provider is sent and what its answer must hold.
    pub(crate) fn secrets(&self, key: &hmac::Key) -> AttemptSecrets {
        let derive = |purpose: &str| {
            let text = format!("{purpose}\n{}", self.seed);
            BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(key, text.as_bytes()))
        };
        let [state, nonce, verifier] = ["state", "nonce", "verifier"].map(derive);
        AttemptSecrets { state, nonce, verifier }
    }
}

/// The values that belong to an attempt.
pub(crate) struct AttemptSecrets {
    /// Comes back with the code.
    pub(crate) state: String,
    /// Stands in the id token.
    pub(crate) nonce: String,
    /// Shows that whoever redeems the code has asked for it (RFC 7636).
    pub(crate) verifier: String,
}

impl AttemptSecrets {
    /// Returns the digest of the verifier, which the provider gets first.
    pub(crate) fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }
}

/// Compares two texts in a time that says nothing of either.
pub(crate) fn is_equal(given: &str, expected: &str) -> bool {
    verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_has_values_of_its_own() {
        let key = signing_key::derive(&[7; 32], b"test");
        let attempt = Attempt::new("/health.html");
        let (first, again) = (attempt.secrets(&key), attempt.secrets(&key));
        assert_eq!(first.state, again.state);
        assert_ne!(first.state, first.nonce);
        assert_ne!(first.nonce, first.verifier);
        assert_eq!(first.verifier.len(), 43);
        assert_ne!(first.state, Attempt::new("/").secrets(&key).state);
        let other = signing_key::derive(&[8; 32], b"test");
        assert_ne!(first.state, attempt.secrets(&other).state);
        // The verifier and the challenge of appendix B of RFC 7636.
        let example = AttemptSecrets {
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
            ..first
        };
        assert_eq!(example.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
