//! SCRAM-SHA-256 (<https://www.rfc-editor.org/rfc/rfc5802>, <https://www.rfc-editor.org/rfc/rfc7677>):
//! how BI tools prove that they know a password, of which the server keeps a verifier only.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::access::signing_key;

/// The name of the mechanism.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// How often a password is hashed. Ours have 192 random bits, so that more would add nothing.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).expect("a number above 0");
/// What every password begins with, so that a scanner of secrets knows one.
const PASSWORD_PREFIX: &str = "rapport_";
const PASSWORD_BYTES: usize = 24;
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// What proves a password and does not tell it, as PostgreSQL writes it:
/// `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ScramVerifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

/// A password that was just made.
pub struct NewPassword {
    /// The password, which nobody can find out later.
    pub password: String,
    /// What stands in `access.toml`.
    pub verifier: ScramVerifier,
}

/// Makes a password of 192 random bits.
pub fn new_password() -> NewPassword {
    let random = signing_key::random::<PASSWORD_BYTES>();
    let password = format!("{PASSWORD_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let salt = signing_key::random::<SALT_BYTES>().to_vec();
    let verifier = ScramVerifier::of_password(&password, salt);
    NewPassword { password, verifier }
}

impl ScramVerifier {
    fn of_password(password: &str, salt: Vec<u8>) -> Self {
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ITERATIONS,
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let stored_key = digest(&SHA256, &sign(&salted, b"Client Key")).as_ref().to_vec();
        let server_key = sign(&salted, b"Server Key");
        Self { iterations: ITERATIONS, salt, stored_key, server_key }
    }

    /// Returns a verifier that no password fits, always the same for a user. Whoever tries names
    /// learns from it as much as from a real one.
    pub(crate) fn of_nobody(key: &hmac::Key, user: &str) -> Self {
        let seed = hmac::sign(key, user.as_bytes());
        let random = signing_key::random::<KEY_BYTES>();
        Self {
            iterations: ITERATIONS,
            salt: seed.as_ref()[..SALT_BYTES].to_vec(),
            stored_key: random.to_vec(),
            server_key: random.to_vec(),
        }
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] = [&self.salt, &self.stored_key, &self.server_key]
            .map(|bytes| BASE64_STANDARD.encode(bytes));
        write!(f, "{SCRAM_SHA_256}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramVerifier")
    }
}

impl FromStr for ScramVerifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let rest = text.strip_prefix(SCRAM_SHA_256)?.strip_prefix('$')?;
            let (password, keys) = rest.split_once('$')?;
            let (iterations, salt) = password.split_once(':')?;
            let (stored, server) = keys.split_once(':')?;
            let decode = |text: &str| BASE64_STANDARD.decode(text).ok();
            let key = |text: &str| decode(text).filter(|key| key.len() == KEY_BYTES);
            Some(Self {
                iterations: iterations.parse().ok()?,
                salt: decode(salt).filter(|salt| !salt.is_empty())?,
                stored_key: key(stored)?,
                server_key: key(server)?,
            })
        };
        parsed().ok_or_else(|| {
            "database_verifier is no SCRAM-SHA-256 verifier; `rapport serve --new-database-user` \
             makes one"
                .to_owned()
        })
    }
}

impl TryFrom<String> for ScramVerifier {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Why an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramError {
    /// The client does not follow the protocol.
    Malformed,
    /// It does not know the password.
    WrongPassword,
}

/// An exchange whose first half is done.
pub struct ScramExchange {
    verifier: ScramVerifier,
    /// What the client says again at the end: how it binds the exchange to its channel, in base64.
    binding: String,
    nonce: String,
    /// The messages before the last.
    transcript: String,
}

impl ScramExchange {
    /// Takes the first message of a client. Returns the exchange and the answer.
    ///
    /// # Errors
    /// A message that is none of SCRAM, or that asks for channel binding.
    pub fn begin(verifier: ScramVerifier, first: &[u8]) -> Result<(Self, String), ScramError> {
        let random = signing_key::random::<18>();
        Self::begin_with(verifier, first, &BASE64_STANDARD.encode(random))
    }

    fn begin_with(
        verifier: ScramVerifier,
        first: &[u8],
        own_nonce: &str,
    ) -> Result<(Self, String), ScramError> {
        let first = std::str::from_utf8(first).map_err(|_| ScramError::Malformed)?;
        // The flag of channel binding, an identity that is not used, and the message itself.
        let mut parts = first.splitn(3, ',');
        let (Some(flag @ ("n" | "y")), Some(""), Some(bare)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(ScramError::Malformed);
        };
        let nonce = bare.split(',').find_map(|part| part.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| !nonce.is_empty()).ok_or(ScramError::Malformed)?;
        let nonce = format!("{nonce}{own_nonce}");
        let salt = BASE64_STANDARD.encode(&verifier.salt);
        let answer = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let binding = BASE64_STANDARD.encode(format!("{flag},,"));
        let transcript = format!("{bare},{answer}");
        Ok((Self { verifier, binding, nonce, transcript }, answer))
    }

    /// Takes the last message of a client. Returns the proof that the server knows the verifier.
    ///
    /// # Errors
    /// A message that does not follow the first, and a wrong password.
    pub fn finish(self, last: &[u8]) -> Result<String, ScramError> {
        let last = std::str::from_utf8(last).map_err(|_| ScramError::Malformed)?;
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut parts = without_proof.split(',');
        let is_bound =
            parts.next().and_then(|part| part.strip_prefix("c=")) == Some(self.binding.as_str());
        let is_ours =
            parts.next().and_then(|part| part.strip_prefix("r=")) == Some(self.nonce.as_str());
        let proof = BASE64_STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        if !is_bound || !is_ours || proof.len() != KEY_BYTES {
            return Err(ScramError::Malformed);
        }
        let transcript = format!("{},{without_proof}", self.transcript);
        let signature = sign(&self.verifier.stored_key, transcript.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let found = digest(&SHA256, &client_key);
        aws_lc_rs::constant_time::verify_slices_are_equal(
            found.as_ref(),
            &self.verifier.stored_key,
        )
        .map_err(|_| ScramError::WrongPassword)?;
        let proof = sign(&self.verifier.server_key, transcript.as_bytes());
        Ok(format!("v={}", BASE64_STANDARD.encode(proof)))
    }
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of section 3 of RFC 7677.
    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OWN_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn verifier() -> ScramVerifier {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("a salt");
        ScramVerifier::of_password("pencil", salt)
    }

    #[test]
    fn the_exchange_of_the_specification_is_answered() {
        let (exchange, answer) =
            ScramExchange::begin_with(verifier(), FIRST, OWN_NONCE).expect("an exchange");
        assert_eq!(
            answer,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        assert_eq!(
            exchange.finish(LAST.as_bytes()).as_deref(),
            Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        );
    }

    #[test]
    fn other_exchanges_are_refused() {
        let check = |verifier: ScramVerifier, first: &[u8], last: &str, expected: ScramError| {
            let found = ScramExchange::begin_with(verifier, first, OWN_NONCE)
                .and_then(|(exchange, _)| exchange.finish(last.as_bytes()));
            assert_eq!(found, Err(expected), "{last}");
        };
        let other = ScramVerifier::of_password("pen", b"0123456789abcdef".to_vec());
        check(other, FIRST, LAST, ScramError::WrongPassword);
        let key = hmac::Key::new(HMAC_SHA256, &[7; 32]);
        let nobody = ScramVerifier::of_nobody(&key, "user");
        assert_eq!(nobody.salt, ScramVerifier::of_nobody(&key, "user").salt);
        assert_ne!(nobody.salt, ScramVerifier::of_nobody(&key, "users").salt);
        check(nobody, FIRST, LAST, ScramError::WrongPassword);
        let malformed = ScramError::Malformed;
        check(verifier(), b"p=tls-server-end-point,,n=,r=abc", LAST, malformed);
        check(verifier(), b"n,,n=user,r=", LAST, malformed);
        check(verifier(), FIRST, &LAST.replace("c=biws", "c=eSws"), malformed);
        check(verifier(), FIRST, &LAST.replace("k0,p", "k1,p"), malformed);
        check(verifier(), FIRST, "", malformed);
    }

    #[test]
    fn verifiers_are_texts() {
        let made = new_password();
        let text = made.verifier.to_string();
        assert_eq!(text.parse().as_ref(), Ok(&made.verifier));
        assert!(!text.contains(&made.password));
        assert_eq!(format!("{:?}", made.verifier), "ScramVerifier");
        for wrong in ["", "md5abc", "SCRAM-SHA-256$4096:c2FsdA==$abc:abc"] {
            assert!(wrong.parse::<ScramVerifier>().is_err_and(|e| e.contains("new-database-user")));
        }
    }
}
