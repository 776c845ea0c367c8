//! Which file it is: the digest of its bytes, and what the lake has had of them before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use lake::{PartitionId, Transactions, partitions};
use lake_types::Stream;

use crate::lines::BUFFER;

/// A file by its bytes.
#[derive(Debug)]
pub(crate) struct Identity {
    /// In hex.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// The longest file that was loaded before and that this one begins with: it has grown since.
    pub(crate) begins_with: Option<PartitionId>,
}

/// Reads the file once, and looks at each length that a file of the stream had whether it is the
/// same up to there.
pub(crate) fn identify(path: &Path, stream: Stream, known: &Transactions) -> io::Result<Identity> {
    let mut shorter = loaded(stream, known).into_iter().peekable();
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; BUFFER];
    let (mut bytes, mut begins_with) = (0, None);
    loop {
        let most = match shorter.peek() {
            Some((length, _)) => usize::try_from(length - bytes).unwrap_or(BUFFER).min(BUFFER),
            None => BUFFER,
        };
        let taken = file.read(&mut buffer[..most])?;
        if taken == 0 {
            break;
        }
        context.update(&buffer[..taken]);
        bytes += taken as u64;
        if let Some((_, ids)) = shorter.next_if(|(length, _)| *length == bytes) {
            let sha256 = hex(context.clone().finish());
            let same = ids.into_iter().find(|id| id.sha256() == Some(&sha256));
            begins_with = same.or(begins_with);
        }
    }
    Ok(Identity { sha256: hex(context.finish()), bytes, begins_with })
}

/// The digest in the topic of a loaded file, which may come again under another name.
pub(crate) fn digest_in(topic: &str) -> Option<&str> {
    topic.rsplit_once('#').filter(|(name, _)| name.starts_with("file:")).map(|(_, hash)| hash)
}

/// The files of a stream that were loaded, by their length.
fn loaded(stream: Stream, known: &Transactions) -> BTreeMap<u64, Vec<PartitionId>> {
    let mut files: BTreeMap<u64, Vec<PartitionId>> = BTreeMap::new();
    let of_stream = PartitionId::file(stream, "");
    for (id, position) in partitions(known).filter(|(id, _)| id.is_file()) {
        let bytes = position.extent.and_then(|extent| u64::try_from(extent.bytes).ok());
        if let Some(bytes) = bytes.filter(|_| id.as_str().starts_with(of_stream.as_str())) {
            files.entry(bytes).or_default().push(id);
        }
    }
    files.remove(&0);
    files
}

fn hex(digest: Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
