//! Identifies a file by the digest of its bytes, and finds the shorter files it has grown from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use domain::Stream;
use lake::{PartitionId, Transactions, partitions};

use crate::load::lines::READ_BUFFER_BYTES;
use crate::mapping::Mapping;

/// The identity of a file.
#[derive(Debug)]
pub(crate) struct FileIdentity {
    /// The SHA-256 digest in hexadecimal of its bytes, or of the mapping's name, a zero byte and
    /// its bytes: one file may be loaded through several mappings.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// The longest file that was loaded before and that is a prefix of this one.
    pub(crate) begins_with: Option<PartitionId>,
}

/// Reads the file once, and compares its prefixes with the files of the stream that were loaded
/// before.
pub(crate) fn identify(
    path: &Path,
    mapping: Option<&Mapping>,
    stream: Stream,
    known: &Transactions,
) -> io::Result<FileIdentity> {
    let mut shorter_files = loaded_files(stream, known).into_iter().peekable();
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    if let Some(mapping) = mapping {
        context.update(mapping.name().as_bytes());
        context.update(&[0]);
    }
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let (mut bytes, mut begins_with) = (0, None);
    loop {
        let max_bytes = match shorter_files.peek() {
            Some((length, _)) => {
                usize::try_from(length - bytes).unwrap_or(READ_BUFFER_BYTES).min(READ_BUFFER_BYTES)
            }
            None => READ_BUFFER_BYTES,
        };
        let taken = file.read(&mut buffer[..max_bytes])?;
        if taken == 0 {
            break;
        }
        context.update(&buffer[..taken]);
        bytes += taken as u64;
        if let Some((_, ids)) = shorter_files.next_if(|(length, _)| *length == bytes) {
            let sha256 = hex::encode(context.clone().finish());
            let prefix = ids.into_iter().find(|id| id.sha256() == Some(&sha256));
            begins_with = prefix.or(begins_with);
        }
    }
    Ok(FileIdentity { sha256: hex::encode(context.finish()), bytes, begins_with })
}

impl FileIdentity {
    /// Returns the topic of the file by this name.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("file:{name}#{}", &self.sha256[..12])
    }
}

/// Returns the digest in the topic of a loaded file, which stays the same when the file is renamed.
pub(crate) fn digest_of_topic(topic: &str) -> Option<&str> {
    topic.rsplit_once('#').filter(|(name, _)| name.starts_with("file:")).map(|(_, hash)| hash)
}

/// Returns the loaded files of a stream by their length.
fn loaded_files(stream: Stream, known: &Transactions) -> BTreeMap<u64, Vec<PartitionId>> {
    let mut files: BTreeMap<u64, Vec<PartitionId>> = BTreeMap::new();
    let of_stream = PartitionId::file(stream, "");
    for (id, position) in partitions(known).filter(|(id, _)| id.is_file()) {
        let bytes = position
            .file_progress
            .and_then(|file_progress| u64::try_from(file_progress.bytes).ok());
        if let Some(bytes) = bytes.filter(|_| id.as_str().starts_with(of_stream.as_str())) {
            files.entry(bytes).or_default().push(id);
        }
    }
    files.remove(&0);
    files
}
