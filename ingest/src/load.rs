//! Loading NDJSON files, plain or compressed, through the same checks; a file is a partition of its
//! own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use flate2::bufread::MultiGzDecoder;
use lake::{Lake, PartitionId};
use lake_types::Stream;
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::dead::Envelope;
use crate::decode::MOST_BYTES;
use crate::error::IngestError;
use crate::settings::Limits;
use crate::sink::{Counts, Record, Sink};

/// How much of a file is read at once, bytes.
const BUFFER: usize = 1 << 20;

/// How files are loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    pub stream: Stream,
    /// The arrival of every record, µs; the instant of the run that first reads a file otherwise.
    pub arrival: Option<i64>,
    pub accept_rejects: bool,
    pub limits: Limits,
}

/// One file to load.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is called in the lake: a base name.
    pub name: String,
    pub path: PathBuf,
}

/// Loads files line by line, offsets being line numbers from 0; those of gzip and zstd files are
/// numbers of decompressed lines. What was committed of the same bytes (as they lie on the disk)
/// before, under any name, is passed over; a load that was killed goes on.
///
/// `progress` is given what has been done and the decompressed bytes of all files.
///
/// # Errors
/// When a file can't be read or decompressed, the lake can't be written, or most records are rejected.
pub async fn load(
    lake: &Lake,
    sources: &[Source],
    options: &LoadOptions,
    progress: &mut dyn FnMut(&Counts, u64),
) -> Result<Counts, IngestError> {
    let streams = [options.stream];
    let mut sink = Sink::open(lake, streams, options.limits, options.accept_rejects).await?;
    let mut read = 0;
    for source in sources {
        let failed = |error| IngestError::File { path: source.path.clone(), source: error };
        let hash = sha256(&source.path).map_err(failed)?;
        let id = PartitionId::file(options.stream, &hash);
        let topic = format!("file:{}#{}", source.name, &hash[..12]);
        let mut part = sink.part(options.stream, &topic, 0, id).await?;
        let now = chrono::Utc::now().timestamp_micros();
        let arrival = part.arrival.unwrap_or_else(|| options.arrival.unwrap_or(now));
        part.arrival = Some(arrival);
        sink.parts = vec![part];
        let mut lines = open(&source.path).map_err(failed)?;
        let mut line = Vec::new();
        let mut offset = 0;
        while let Some(bytes) = next_line(&mut lines, &mut line).map_err(failed)? {
            read += bytes;
            let record = Record { offset, arrival, value: Some(&line), attributes: None };
            // Nothing waits here: files have no Schema Registry.
            let _ = sink.accept(0, &record, || Envelope { key: None, headers: Vec::new() });
            offset += 1;
            if offset % 4096 == 0 {
                progress(&sink.counts, read);
                if sink.due() {
                    commit(&mut sink).await?;
                }
            }
        }
        commit(&mut sink).await?;
        progress(&sink.counts, read);
    }
    Ok(sink.counts)
}

/// Two loads of the same bytes at once: the one that lost the race has nothing to add.
async fn commit(sink: &mut Sink) -> Result<(), IngestError> {
    if let Some(index) = sink.flush().await?.first() {
        let part = &sink.parts[*index];
        let (stream, topic, id) = (part.stream, part.topic.clone(), part.id.clone());
        let fresh = sink.part(stream, &topic, 0, id).await?;
        let behind = fresh.next < sink.parts[0].next;
        sink.parts = vec![fresh];
        if behind {
            return Err(
                lake::LakeError::Conflict { table: format!("raw/{}", stream.table()) }.into()
            );
        }
    }
    Ok(())
}

/// A file's text: decompressed where its first bytes say gzip or zstd, whatever its name.
fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::with_capacity(4);
    Read::by_ref(&mut file).take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    let file = BufReader::with_capacity(BUFFER, file);
    Ok(match magic.as_slice() {
        // Both may hold several members or frames one after the other.
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            Box::new(BufReader::with_capacity(BUFFER, ZstdDecoder::with_buffer(file)?))
        }
        _ => Box::new(file),
    })
}

/// Reads one line without its end; the bytes it took, or `None` at the end of the file. Of a line
/// that is too large to be accepted only so much is kept as shows it.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    line.clear();
    let mut taken = 0;
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok((taken > 0).then_some(taken));
        }
        let end = available.iter().position(|b| *b == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        let room = (MOST_BYTES + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        taken += used as u64;
        if end.is_some() {
            line.pop_if(|b| *b == b'\r');
            return Ok(Some(taken));
        }
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let taken = file.read(&mut buffer)?;
        if taken == 0 {
            break;
        }
        context.update(&buffer[..taken]);
    }
    Ok(context.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect())
}
