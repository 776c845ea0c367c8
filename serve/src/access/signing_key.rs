//! Keys that are derived from the secret of the server, one for each purpose, so that a signature for
//! one counts for no other.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand;

/// Returns the key for a purpose.
pub(crate) fn derive(secret: &[u8], purpose: &[u8]) -> hmac::Key {
    let derived = hmac::sign(&hmac::Key::new(HMAC_SHA256, secret), purpose);
    hmac::Key::new(HMAC_SHA256, derived.as_ref())
}

/// Returns random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The generator of the system has failed only where nothing else works either.
    rand::fill(&mut bytes).expect("the random generator of the system");
    bytes
}
