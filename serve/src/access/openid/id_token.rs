//! Whether an id token counts: its signature, issuer, audience, time and nonce
//! (<https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::access::openid::attempt::is_equal;
use crate::access::openid::key_set::{KeySet, SignatureError};

/// By how many seconds the clocks of the provider and of this machine may differ.
const LEEWAY_SECONDS: f64 = 60.0;

/// What a token must hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
}

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It names a key that is not among those that are known; the provider may have a new one.
    UnknownKey,
    /// The text is the end of a sentence about the token.
    Invalid(&'static str),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that whoever does not know them must refuse (RFC 7515).
    crit: Option<serde_json::Value>,
}

/// What a provider says of somebody.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    pub(crate) sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    #[serde(flatten)]
    pub(crate) mail: MailClaims,
}

/// The mail address of somebody, in an id token or as the provider answers later.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct MailClaims {
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// A boolean; some providers write it as text.
    #[serde(default)]
    email_verified: Option<serde_json::Value>,
}

impl MailClaims {
    /// Returns whether both the address and whether it is verified are told.
    pub(crate) fn is_complete(&self) -> bool {
        self.email.is_some() && self.email_verified.is_some()
    }

    pub(crate) fn is_verified(&self) -> bool {
        match &self.email_verified {
            Some(serde_json::Value::Bool(is_verified)) => *is_verified,
            Some(serde_json::Value::String(text)) => text == "true",
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Returns what a token says, if it counts.
pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected,
    now: DateTime<Utc>,
) -> Result<Claims, TokenError> {
    const MALFORMED: TokenError = TokenError::Invalid("it can't be read");
    let (message, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
    let (header, claims) = message.split_once('.').ok_or(MALFORMED)?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| MALFORMED);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
    if header.crit.is_some() {
        return Err(TokenError::Invalid("it has extensions that are unknown here"));
    }
    let kid = header.kid.as_deref();
    let signed = keys.verify(&header.alg, kid, message.as_bytes(), &decode(signature)?);
    signed.map_err(|error| match error {
        SignatureError::Algorithm => {
            TokenError::Invalid("it is signed in a way that does not count")
        }
        SignatureError::UnknownKey => TokenError::UnknownKey,
        SignatureError::Wrong => TokenError::Invalid("its signature is wrong"),
    })?;
    let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| MALFORMED)?;
    check(&claims, expected, now).map_err(TokenError::Invalid)?;
    Ok(claims)
}

fn check(claims: &Claims, expected: &Expected, now: DateTime<Utc>) -> Result<(), &'static str> {
    if claims.iss != expected.issuer {
        return Err("it is of another issuer");
    }
    let (is_for_us, is_for_others) = match &claims.aud {
        Audience::One(one) => (one == expected.client_id, false),
        Audience::Several(all) => (all.iter().any(|one| one == expected.client_id), all.len() > 1),
    };
    let is_ours = claims.azp.as_deref().map_or(!is_for_others, |azp| azp == expected.client_id);
    if !is_for_us || !is_ours {
        return Err("it is for another program");
    }
    let now = now.timestamp() as f64;
    if now >= claims.exp + LEEWAY_SECONDS {
        return Err("it has expired");
    }
    let begins = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
    if begins > now + LEEWAY_SECONDS {
        return Err("it is of the future: compare the clocks of the two machines");
    }
    if !claims.nonce.as_deref().is_some_and(|nonce| is_equal(nonce, expected.nonce)) {
        return Err("it belongs to another attempt (nonce)");
    }
    if claims.sub.is_empty() {
        return Err("it is about nobody");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaEncoding,
    };
    use serde_json::{Value, json};

    use super::*;

    const EXPECTED: Expected<'static> =
        Expected { issuer: "https://login.example", client_id: "rapport", nonce: "n-1" };

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn now() -> DateTime<Utc> {
        "2026-06-01T12:00:00Z".parse().expect("an instant")
    }

    fn claims() -> Value {
        json!({
            "iss": EXPECTED.issuer, "sub": "u-1", "aud": EXPECTED.client_id, "nonce": "n-1",
            "iat": now().timestamp(), "exp": now().timestamp() + 300,
        })
    }

    /// A provider with a key on a curve, with which it signs what it is told to.
    struct Signer {
        key: EcdsaKeyPair,
        keys: KeySet,
    }

    impl Signer {
        fn new() -> Self {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            let point = key.public_key().as_ref().to_vec();
            let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
            let keys = json!({ "keys": [
                { "kty": "EC", "kid": "enc", "use": "enc", "crv": "P-256", "x": x, "y": y },
                { "kty": "EC", "kid": "k-1", "use": "sig", "crv": "P-256", "x": x, "y": y },
            ] });
            Self { key, keys: serde_json::from_value(keys).expect("keys") }
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
            let signature = self.key.sign(&SystemRandom::new(), message.as_bytes());
            format!("{message}.{}", encode(signature.expect("a signature")))
        }

        fn verify(&self, token: &str) -> Result<Claims, TokenError> {
            verify(token, &self.keys, &EXPECTED, now())
        }
    }

    fn header() -> Value {
        json!({ "alg": "ES256", "kid": "k-1" })
    }

    #[test]
    fn a_token_counts_for_one_program_attempt_and_time() {
        #[track_caller]
        fn check(signer: &Signer, change: impl FnOnce(&mut Value), expected: Option<&str>) {
            let mut claims = claims();
            change(&mut claims);
            let found = signer.verify(&signer.sign(&header(), &claims));
            match expected {
                None => assert!(found.is_ok(), "{claims}: {found:?}"),
                Some(part) => {
                    let Err(TokenError::Invalid(why)) = found else {
                        panic!("{claims}: {found:?}")
                    };
                    assert!(why.contains(part), "{claims}: {why}");
                }
            }
        }
        let (signer, now) = (Signer::new(), now().timestamp());
        check(&signer, |_| {}, None);
        check(&signer, |c| c["aud"] = json!(["rapport"]), None);
        check(&signer, |c| c["exp"] = json!(now - 59), None);
        check(&signer, |c| c["exp"] = json!(now - 60), Some("expired"));
        check(&signer, |c| c["exp"] = json!("soon"), Some("can't be read"));
        check(&signer, |c| c["iat"] = json!(now + 61), Some("future"));
        check(&signer, |c| c["nbf"] = json!(now + 61), Some("future"));
        check(&signer, |c| c["iss"] = json!("https://login.example/"), Some("another issuer"));
        check(&signer, |c| c["aud"] = json!("other"), Some("another program"));
        check(&signer, |c| c["aud"] = json!([]), Some("another program"));
        check(&signer, |c| c["aud"] = json!(["rapport", "other"]), Some("another program"));
        check(&signer, |c| c["azp"] = json!("other"), Some("another program"));
        let with_azp = |c: &mut Value| {
            c["aud"] = json!(["rapport", "other"]);
            c["azp"] = json!("rapport");
        };
        check(&signer, with_azp, None);
        check(&signer, |c| c["nonce"] = json!("n-2"), Some("another attempt"));
        check(&signer, |c| drop(c.as_object_mut().map(|c| c.remove("nonce"))), Some("attempt"));
        check(&signer, |c| c["sub"] = json!(""), Some("nobody"));
    }

    #[test]
    fn only_signatures_of_the_provider_count() {
        #[track_caller]
        fn check(found: Result<Claims, TokenError>, expected: TokenError) {
            assert_eq!(found.expect_err("an error"), expected);
        }
        let (signer, invalid) = (Signer::new(), TokenError::Invalid);
        let way = invalid("it is signed in a way that does not count");
        for alg in ["none", "HS256", "ES512", "es256", ""] {
            let token = signer.sign(&json!({ "alg": alg, "kid": "k-1" }), &claims());
            check(signer.verify(&token), way);
            let unsigned = token.rsplit_once('.').map(|(message, _)| format!("{message}."));
            check(signer.verify(&unsigned.expect("a message")), way);
        }
        let token = signer.sign(&header(), &claims());
        let wrong = invalid("its signature is wrong");
        check(signer.verify(&Signer::new().sign(&header(), &claims())), wrong);
        let (message, signature) = token.rsplit_once('.').expect("a signature");
        let changed = encode(claims().to_string().replace("u-1", "u-2"));
        let head = message.split('.').next().expect("a header");
        check(signer.verify(&format!("{head}.{changed}.{signature}")), wrong);
        check(signer.verify(&format!("{message}.")), wrong);
        for kid in ["k-2", "enc"] {
            let token = signer.sign(&json!({ "alg": "ES256", "kid": kid }), &claims());
            check(signer.verify(&token), TokenError::UnknownKey);
        }
        // The key is on a curve, whatever the header says.
        let token = signer.sign(&json!({ "alg": "RS256", "kid": "k-1" }), &claims());
        check(signer.verify(&token), TokenError::UnknownKey);
        assert!(signer.verify(&signer.sign(&json!({ "alg": "ES256" }), &claims())).is_ok());
        let critical = json!({ "alg": "ES256", "kid": "k-1", "crit": ["b64"] });
        check(
            signer.verify(&signer.sign(&critical, &claims())),
            invalid("it has extensions that are unknown here"),
        );
        for garbage in ["", ".", "..", "a.b", "a.b.c", "…"] {
            check(signer.verify(garbage), invalid("it can't be read"));
        }
    }

    #[test]
    fn other_kinds_of_keys_count() {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let n = rsa.public_key().modulus().big_endian_without_leading_zero().to_vec();
        let e = rsa.public_key().exponent().big_endian_without_leading_zero().to_vec();
        let edwards = Ed25519KeyPair::generate().expect("a key");
        let keys = json!({ "keys": [
            // Some providers write the sign of a number.
            { "kty": "RSA", "n": encode([&[0], n.as_slice()].concat()), "e": encode(e) },
            { "kty": "OKP", "crv": "Ed25519", "x": encode(edwards.public_key()) },
            { "kty": "oct", "k": "c2VjcmV0" },
        ] });
        let keys: KeySet = serde_json::from_value(keys).expect("keys");
        let message = |alg: &str| {
            format!(
                "{}.{}",
                encode(json!({ "alg": alg }).to_string()),
                encode(claims().to_string())
            )
        };
        let by_rsa = |alg: &str, encoding: &'static dyn RsaEncoding| {
            let message = message(alg);
            let mut signature = vec![0; rsa.public_modulus_len()];
            let signed =
                rsa.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature);
            signed.expect("a signature");
            format!("{message}.{}", encode(signature))
        };
        let by_edwards =
            format!("{}.{}", message("EdDSA"), encode(edwards.sign(message("EdDSA").as_bytes())));
        let verify = |token: &str| verify(token, &keys, &EXPECTED, now());
        for token in
            [by_rsa("RS256", &RSA_PKCS1_SHA256), by_rsa("PS256", &RSA_PSS_SHA256), by_edwards]
        {
            assert_eq!(verify(&token).expect("claims").sub, "u-1");
        }
        let wrong = verify(&by_rsa("RS256", &RSA_PSS_SHA256)).expect_err("an error");
        assert_eq!(wrong, TokenError::Invalid("its signature is wrong"));
    }

    #[test]
    fn an_address_counts_when_it_is_verified() {
        let of = |value: Value| {
            let claims: MailClaims = serde_json::from_value(value).expect("claims");
            claims.is_verified()
        };
        assert!(of(json!({ "email": "a@x", "email_verified": true })));
        assert!(of(json!({ "email": "a@x", "email_verified": "true" })));
        for unverified in [json!(false), json!("false"), json!(1), json!(null), json!([true])] {
            assert!(!of(json!({ "email": "a@x", "email_verified": unverified })));
        }
        assert!(!of(json!({ "email": "a@x" })));
    }
}
