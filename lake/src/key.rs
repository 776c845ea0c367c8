//! The lake's key: hashes credentials, seals dead letters, and is told apart by its fingerprint.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{digest, hkdf, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::LakeError;

const SECRET_LEN: usize = 32;
const HEADER: &str = "# The key of a Rapport lake; older ones stay below it. Whoever has it can open its dead letters; without it they are lost.\n# Keep a copy in a safe place, apart from the lake.\n";

/// The keys of a lake's key file: the first is in use, the others were before it and still open
/// what they sealed.
pub struct LakeKey {
    /// Never empty.
    keys: Vec<Derived>,
}

/// What is derived of 256 random bits (HKDF-SHA256, RFC 5869).
struct Derived {
    id: String,
    credentials: hmac::Key,
    sealing: RandomizedNonceKey,
}

impl std::fmt::Debug for LakeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LakeKey({})", self.id())
    }
}

/// What a rejected record held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SealedRecord {
    /// The record's key, base64.
    pub key: Option<String>,
    /// Header names and values, the values base64.
    pub headers: Vec<(String, Option<String>)>,
    /// The record's bytes, base64.
    pub value: String,
}

impl SealedRecord {
    pub fn new(key: Option<&[u8]>, headers: &[(String, Option<Vec<u8>>)], value: &[u8]) -> Self {
        Self {
            key: key.map(|k| STANDARD.encode(k)),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), value.as_ref().map(|v| STANDARD.encode(v))))
                .collect(),
            value: STANDARD.encode(value),
        }
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.value).unwrap_or_default()
    }

    /// The record's key as it came.
    pub fn key_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.key.as_ref()?).ok()
    }

    /// The headers as they came.
    pub fn header_bytes(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let decode = |value: &String| STANDARD.decode(value).ok();
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name.clone(), value.as_ref().and_then(decode))).collect()
    }
}

impl LakeKey {
    /// Makes a new key file, readable by its owner only.
    ///
    /// # Errors
    /// When the file exists already or can't be written.
    pub fn create(path: &Path) -> Result<Self, LakeError> {
        let line = new_line(path)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| bad(path, &format!("can't be made: {e}")))?;
        }
        write_new(path, &format!("{HEADER}{line}\n"))?;
        Self::read(path)
    }

    /// Puts a new key before those of the file: it is in use from now on.
    ///
    /// # Errors
    /// When the file is no key file or can't be replaced.
    pub fn renew(path: &Path) -> Result<Self, LakeError> {
        Self::read(path)?;
        let text = fs::read_to_string(path).map_err(|e| bad(path, &e.to_string()))?;
        let (comments, keys): (Vec<&str>, Vec<&str>) =
            text.lines().filter(|l| !l.trim().is_empty()).partition(|l| l.starts_with('#'));
        let line = new_line(path)?;
        let all: Vec<&str> = comments.into_iter().chain([line.as_str()]).chain(keys).collect();
        // Beside the file first: a crash must not leave half a key file.
        let fresh = path.with_extension("new");
        drop(fs::remove_file(&fresh));
        write_new(&fresh, &format!("{}\n", all.join("\n")))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::rename(&fresh, path)
            .and_then(|()| fs::File::open(folder)?.sync_all())
            .map_err(|e| bad(path, &format!("can't be replaced: {e}")))?;
        Self::read(path)
    }

    /// # Errors
    /// When the file is missing or is no key.
    pub fn read(path: &Path) -> Result<Self, LakeError> {
        let text = fs::read_to_string(path).map_err(|e| {
            bad(path, &format!("can't be read: {e}; restore it from its backup, a new one is of no use to this lake"))
        })?;
        let lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
        let keys: Option<Vec<Derived>> = lines.map(Derived::of_line).collect();
        let keys = keys.filter(|keys| !keys.is_empty());
        let keys =
            keys.ok_or_else(|| bad(path, "holds no key: lines of 32 bytes in base64 are due"))?;
        Ok(Self { keys })
    }

    fn used(&self) -> &Derived {
        &self.keys[0]
    }

    /// The fingerprints of all keys of the file, the one in use first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// The fingerprint: 16 hex digits that say which key, and nothing about it.
    pub fn id(&self) -> &str {
        &self.used().id
    }

    /// HMAC-SHA256 of a credential as hex, with the key's id before it: `k:<id>:<hash>`.
    pub fn hash_credential(&self, credential: &str) -> String {
        let tag = hmac::sign(&self.used().credentials, credential.as_bytes());
        format!("k:{}:{}", self.id(), hex(tag.as_ref()))
    }

    /// AES-256-GCM over the record, the random nonce first.
    pub fn seal(&self, record: &SealedRecord) -> Vec<u8> {
        let mut body = serde_json::to_vec(record).unwrap_or_default();
        let aad = Aad::from(self.id().as_bytes());
        match self.used().sealing.seal_in_place_append_tag(aad, &mut body) {
            Ok(nonce) => [nonce.as_ref().as_slice(), &body].concat(),
            // Only a body beyond 2³⁶ bytes can fail; records end at 1 MiB.
            Err(_) => Vec::new(),
        }
    }

    /// # Errors
    /// When the bytes were sealed with a key that the file has not, or were changed.
    pub fn open(&self, sealed: &[u8], key_id: &str) -> Result<SealedRecord, LakeError> {
        let wrong = || LakeError::Sealed { key_id: key_id.to_owned() };
        let key = self.keys.iter().find(|key| key.id == key_id).ok_or_else(wrong)?;
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut body = body.to_vec();
        let plain = key
            .sealing
            .open_in_place(nonce, Aad::from(key_id.as_bytes()), &mut body)
            .map_err(|_| wrong())?;
        serde_json::from_slice(plain).map_err(|_| wrong())
    }
}

impl Derived {
    fn of_line(line: &str) -> Option<Self> {
        let secret = STANDARD.decode(line.trim()).ok().filter(|s| s.len() == SECRET_LEN)?;
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"rapport lake").extract(&secret);
        let expand = |purpose: &[u8]| -> Option<[u8; 32]> {
            let mut out = [0u8; 32];
            root.expand(&[purpose], hkdf::HKDF_SHA256).ok()?.fill(&mut out).ok()?;
            Some(out)
        };
        let print = digest::digest(&digest::SHA256, &expand(b"fingerprint")?);
        Some(Self {
            id: hex(&print.as_ref()[..8]),
            credentials: hmac::Key::new(hmac::HMAC_SHA256, &expand(b"credentials")?),
            sealing: RandomizedNonceKey::new(&AES_256_GCM, &expand(b"dead letters")?).ok()?,
        })
    }
}

/// 256 random bits as a line of a key file.
fn new_line(path: &Path) -> Result<String, LakeError> {
    let mut secret = [0u8; SECRET_LEN];
    rand::fill(&mut secret).map_err(|_| bad(path, "can't be made: no random numbers"))?;
    Ok(STANDARD.encode(secret))
}

/// Writes a file that must not exist, durably, readable by its owner only.
fn write_new(path: &Path, text: &str) -> Result<(), LakeError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|e| bad(path, &format!("can't be made: {e}")))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| bad(path, &format!("can't be written: {e}")))
}

fn bad(path: &Path, reason: &str) -> LakeError {
    LakeError::Key { path: path.to_owned(), reason: reason.to_owned() }
}

/// SHA-256 of some bytes, as hex.
pub fn digest(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("lake.key");
        let made = LakeKey::create(&path).expect("a key");
        let read = LakeKey::read(&path).expect("the same key");
        assert_eq!(made.id(), read.id());
        assert_eq!(made.hash_credential("ck_1"), read.hash_credential("ck_1"));
        assert_ne!(made.hash_credential("ck_1"), made.hash_credential("ck_2"));
        assert!(LakeKey::create(&path).is_err(), "never over an existing key");

        let record = SealedRecord::new(Some(b"p-1"), &[("h".into(), None)], b"{not json");
        let sealed = made.seal(&record);
        assert!(!sealed.windows(4).any(|w| w == b"json"));
        assert_eq!(read.open(&sealed, read.id()).expect("opens"), record);
        assert_eq!(record.bytes(), b"{not json");

        let other = LakeKey::create(&dir.path().join("other.key")).expect("a key");
        assert!(other.open(&sealed, made.id()).is_err());
        assert!(made.open(&sealed[..5], made.id()).is_err());

        let renewed = LakeKey::renew(&path).expect("another key before it");
        assert_eq!(renewed.ids().skip(1).collect::<Vec<_>>(), [made.id()]);
        assert_ne!(renewed.hash_credential("ck_1"), made.hash_credential("ck_1"));
        assert_eq!(renewed.open(&sealed, made.id()).expect("what the old one sealed"), record);
        let sealed = renewed.seal(&record);
        assert_eq!(renewed.open(&sealed, renewed.id()).expect("opens"), record);
        assert!(made.open(&sealed, renewed.id()).is_err());
        assert_eq!(LakeKey::read(&path).expect("both").ids().count(), 2);
        fs::write(&path, "no key").expect("written");
        assert!(LakeKey::read(&path).is_err());
    }
}
