//! The lake's key, which hashes credentials and seals dead letters, and the file that holds it.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{digest, hkdf, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::error::LakeError;

const SECRET_LEN: usize = 32;
const HEADER: &str = "# The key of a Rapport lake; older ones stay below it. Whoever has it can open its dead letters; without it they are lost.\n# Keep a copy in a safe place, apart from the lake.\n";

/// The keys of a lake's key file. The first one is in use; the others were in use before it, and
/// still open what they sealed.
pub struct LakeKey {
    /// Never empty.
    keys: Vec<DerivedKeys>,
}

/// The keys that are derived from one secret of 256 random bits, by HKDF-SHA256 (RFC 5869).
struct DerivedKeys {
    id: String,
    credentials: hmac::Key,
    sealing: RandomizedNonceKey,
}

impl std::fmt::Debug for LakeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LakeKey({})", self.id())
    }
}

/// The content of a rejected record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SealedRecord {
    /// The record's key, in base64.
    pub key: Option<String>,
    /// Header names and values, the values in base64.
    pub headers: Vec<(String, Option<String>)>,
    /// The record's bytes, in base64.
    pub value: String,
    /// The message of the mapping's error, which may quote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `$position` of a line of a file, for mappings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
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
            message: None,
            position: None,
        }
    }

    /// Returns the bytes as they were received.
    pub fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.value).unwrap_or_default()
    }

    /// Returns the record's key as it was received.
    pub fn key_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.key.as_ref()?).ok()
    }

    /// Returns the headers as they were received.
    pub fn header_bytes(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let decode = |value: &String| STANDARD.decode(value).ok();
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name.clone(), value.as_ref().and_then(decode))).collect()
    }
}

impl LakeKey {
    /// Creates a key file with a new key; only its owner can read it.
    ///
    /// # Errors
    /// [`LakeError::Key`] when the file exists or can't be written.
    pub fn create(path: &Path) -> Result<Self, LakeError> {
        let line = new_line(path)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| bad(path, &format!("can't be made: {e}")))?;
        }
        NamedTempFile::new_in(parent_folder(path))
            .and_then(|file| written(file, &format!("{HEADER}{line}\n")))
            .and_then(|file| file.persist_noclobber(path).map_err(|e| e.error))
            .and_then(|_| sync_folder(path))
            .map_err(|e| bad(path, &format!("can't be made: {}", reason(&e))))?;
        Self::read(path)
    }

    /// Puts a new key before those of the file: the new key is in use from now on.
    ///
    /// # Errors
    /// [`LakeError::Key`] when the file is no key file or can't be replaced.
    pub fn rotate(path: &Path) -> Result<Self, LakeError> {
        Self::read(path)?;
        let text = fs::read_to_string(path).map_err(|e| bad(path, &e.to_string()))?;
        let (comments, keys): (Vec<&str>, Vec<&str>) =
            text.lines().filter(|l| !l.trim().is_empty()).partition(|l| l.starts_with('#'));
        let line = new_line(path)?;
        let all: Vec<&str> = comments.into_iter().chain([line.as_str()]).chain(keys).collect();
        // The temporary file holds the keys in use. Its name is fixed, so that a crash leaves at
        // most one, which is ignored by version control and replaced by the next rotation.
        let fresh = path.with_extension("new");
        drop(fs::remove_file(&fresh));
        let name = fresh.file_name().unwrap_or_default();
        tempfile::Builder::new()
            .prefix(name)
            .rand_bytes(0)
            .tempfile_in(parent_folder(path))
            .and_then(|file| written(file, &format!("{}\n", all.join("\n"))))
            .and_then(|file| file.persist(path).map_err(|e| e.error))
            .and_then(|_| sync_folder(path))
            .map_err(|e| bad(path, &format!("can't be replaced: {}", reason(&e))))?;
        Self::read(path)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`LakeError::Key`] when the file is missing or holds no key.
    pub fn read(path: &Path) -> Result<Self, LakeError> {
        let text = fs::read_to_string(path).map_err(|e| {
            bad(path, &format!("can't be read: {e}; restore it from its backup, a new one is of no use to this lake"))
        })?;
        let lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
        let keys: Option<Vec<DerivedKeys>> = lines.map(DerivedKeys::from_line).collect();
        let keys = keys.filter(|keys| !keys.is_empty());
        let keys =
            keys.ok_or_else(|| bad(path, "holds no key: lines of 32 bytes in base64 are due"))?;
        Ok(Self { keys })
    }

    fn in_use(&self) -> &DerivedKeys {
        &self.keys[0]
    }

    /// Returns the fingerprints of all keys of the file, that of the key in use first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// Returns the fingerprint of the key in use: 16 hex digits, which reveal nothing of the key.
    pub fn id(&self) -> &str {
        &self.in_use().id
    }

    /// Returns the HMAC-SHA256 of a credential in hex, after the fingerprint of the key:
    /// `k:<fingerprint>:<hash>`.
    pub fn hash_credential(&self, credential: &str) -> String {
        let tag = hmac::sign(&self.in_use().credentials, credential.as_bytes());
        format!("k:{}:{}", self.id(), hex::encode(tag))
    }

    /// Returns a name for whoever uses a credential: `key-` and the first 16 hex digits of the
    /// credential's HMAC-SHA256. It is made with the oldest key of the file, so that rotating the
    /// key gives nobody another name.
    pub fn pseudonym(&self, credential: &str) -> String {
        let oldest = self.keys.last().unwrap_or(&self.keys[0]);
        let tag = hmac::sign(&oldest.credentials, credential.as_bytes());
        format!("key-{}", hex::encode(&tag.as_ref()[..8]))
    }

    /// Encrypts a record by AES-256-GCM; the result begins with the random nonce.
    pub fn seal(&self, record: &SealedRecord) -> Vec<u8> {
        let mut body = serde_json::to_vec(record).unwrap_or_default();
        let aad = Aad::from(self.id().as_bytes());
        match self.in_use().sealing.seal_in_place_append_tag(aad, &mut body) {
            Ok(nonce) => [nonce.as_ref().as_slice(), &body].concat(),
            // Only bodies of more than 2³⁶ bytes fail; a record has at most 1 MiB.
            Err(_) => Vec::new(),
        }
    }

    /// Decrypts a sealed record; `key_id` is the fingerprint of the key that sealed it.
    ///
    /// # Errors
    /// [`LakeError::SealedWithOtherKey`] when the file does not have that key, or the bytes were
    /// changed.
    pub fn open(&self, sealed: &[u8], key_id: &str) -> Result<SealedRecord, LakeError> {
        let wrong = || LakeError::SealedWithOtherKey { key_id: key_id.to_owned() };
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

impl DerivedKeys {
    fn from_line(line: &str) -> Option<Self> {
        let secret = STANDARD.decode(line.trim()).ok().filter(|s| s.len() == SECRET_LEN)?;
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"rapport lake").extract(&secret);
        let expand = |purpose: &[u8]| -> Option<[u8; 32]> {
            let mut out = [0u8; 32];
            root.expand(&[purpose], hkdf::HKDF_SHA256).ok()?.fill(&mut out).ok()?;
            Some(out)
        };
        let fingerprint = digest::digest(&digest::SHA256, &expand(b"fingerprint")?);
        Some(Self {
            id: hex::encode(&fingerprint.as_ref()[..8]),
            credentials: hmac::Key::new(hmac::HMAC_SHA256, &expand(b"credentials")?),
            sealing: RandomizedNonceKey::new(&AES_256_GCM, &expand(b"dead letters")?).ok()?,
        })
    }
}

/// Returns a line of a key file, with 256 random bits.
fn new_line(path: &Path) -> Result<String, LakeError> {
    let mut secret = [0u8; SECRET_LEN];
    rand::fill(&mut secret).map_err(|_| bad(path, "can't be made: no random numbers"))?;
    Ok(STANDARD.encode(secret))
}

/// Writes a temporary file durably; only its owner can read it.
fn written(mut file: NamedTempFile, text: &str) -> io::Result<NamedTempFile> {
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(parent_folder(path))?.sync_all()
}

fn parent_folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the message of an error without the path of the temporary file, which `tempfile` adds.
fn reason(error: &io::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn bad(path: &Path, reason: &str) -> LakeError {
    LakeError::Key { path: path.to_owned(), reason: reason.to_owned() }
}

/// Returns the SHA-256 of bytes, in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_created_once_and_rotated() {
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

        let renewed = LakeKey::rotate(&path).expect("another key before it");
        assert_eq!(renewed.ids().skip(1).collect::<Vec<_>>(), [made.id()]);
        assert_ne!(renewed.hash_credential("ck_1"), made.hash_credential("ck_1"));
        assert_eq!(renewed.pseudonym("ck_1"), made.pseudonym("ck_1"));
        assert_ne!(made.pseudonym("ck_1"), made.pseudonym("ck_2"));
        let renewed_again = LakeKey::rotate(&path).expect("a third key");
        assert_eq!(renewed_again.pseudonym("ck_1"), made.pseudonym("ck_1"));
        assert_eq!(renewed.open(&sealed, made.id()).expect("what the old one sealed"), record);
        let sealed = renewed.seal(&record);
        assert_eq!(renewed.open(&sealed, renewed.id()).expect("opens"), record);
        assert!(made.open(&sealed, renewed.id()).is_err());
        assert_eq!(LakeKey::read(&path).expect("all").ids().count(), 3);
        fs::write(&path, "no key").expect("written");
        assert!(LakeKey::read(&path).is_err());
    }
}
