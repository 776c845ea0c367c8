//! The keys that providers sign with (RFC 7517), and the signatures that count (RFC 7518). Nothing that
//! is symmetric or unsigned counts.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The keys of a provider.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// A key. Which members count depends on its type.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// How something is signed.
enum Algorithm {
    Rsa(&'static RsaParameters),
    /// The curve, the type of its keys, and how they verify.
    Curve(&'static str, &'static str, &'static dyn VerificationAlgorithm),
}

/// Returns the algorithm of a name, if it counts.
fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        "PS256" => Algorithm::Rsa(&RSA_PSS_2048_8192_SHA256),
        "PS384" => Algorithm::Rsa(&RSA_PSS_2048_8192_SHA384),
        "PS512" => Algorithm::Rsa(&RSA_PSS_2048_8192_SHA512),
        "ES256" => Algorithm::Curve("P-256", "EC", &ECDSA_P256_SHA256_FIXED),
        "ES384" => Algorithm::Curve("P-384", "EC", &ECDSA_P384_SHA384_FIXED),
        "EdDSA" | "Ed25519" => Algorithm::Curve("Ed25519", "OKP", &ED25519),
        _ => return None,
    })
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureError {
    /// The algorithm is none of those that count.
    Algorithm,
    /// The provider has no such key, as far as we know.
    UnknownKey,
    /// It was not made by the key.
    Wrong,
}

impl KeySet {
    /// Returns the number of keys, of any kind.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Checks a signature by the key of an id, or without an id by any key that fits.
    pub(crate) fn verify(
        &self,
        name: &str,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let algorithm = algorithm(name).ok_or(SignatureError::Algorithm)?;
        let fits = |key: &&Key| {
            kid.is_none_or(|kid| key.kid.as_deref() == Some(kid)) && key.is_for(name, &algorithm)
        };
        let mut keys = self.keys.iter().filter(fits).peekable();
        if keys.peek().is_none() {
            return Err(SignatureError::UnknownKey);
        }
        let is_signed = keys.any(|key| key.has_signed(&algorithm, message, signature).is_some());
        if is_signed { Ok(()) } else { Err(SignatureError::Wrong) }
    }
}

impl Key {
    fn is_for(&self, name: &str, algorithm: &Algorithm) -> bool {
        let is_of_type = match algorithm {
            Algorithm::Rsa(_) => self.kty == "RSA",
            Algorithm::Curve(curve, kind, _) => {
                self.kty == *kind && self.crv.as_deref() == Some(*curve)
            }
        };
        is_of_type
            && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.alg.as_deref().is_none_or(|alg| alg == name)
    }

    /// Returns something if the key has signed the message.
    fn has_signed(&self, algorithm: &Algorithm, message: &[u8], signature: &[u8]) -> Option<()> {
        let decode = |text: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        match algorithm {
            Algorithm::Rsa(parameters) => {
                let (n, e) = (decode(&self.n)?, decode(&self.e)?);
                let key = RsaPublicKeyComponents { n: without_zeros(&n), e: without_zeros(&e) };
                key.verify(parameters, message, signature).ok()
            }
            Algorithm::Curve(_, kind, curve) => {
                let mut point = decode(&self.x)?;
                if *kind == "EC" {
                    // An uncompressed point (SEC 1).
                    let y = decode(&self.y)?;
                    point = [&[4], point.as_slice(), y.as_slice()].concat();
                }
                UnparsedPublicKey::new(*curve, point).verify(message, signature).ok()
            }
        }
    }
}

/// Returns a number without the zeros before it, which some providers write.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
