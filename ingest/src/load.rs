//! Loading NDJSON files, plain or compressed, through the same checks; a file is a partition of its
//! own, and one that has grown goes on where it was read to.

use std::io;
use std::path::PathBuf;

use lake::{Extent, Lake, PartitionId};
use lake_types::Stream;

use crate::dead::Envelope;
use crate::error::IngestError;
use crate::lines::Lines;
use crate::same::{Identity, identify};
use crate::settings::Limits;
use crate::sink::{Counts, Record, Sink};

/// How files are loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    pub stream: Stream,
    /// The arrival of every record, µs; the instant of the run that first reads it otherwise.
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

impl Source {
    fn failed(&self, error: io::Error) -> IngestError {
        IngestError::File { path: self.path.clone(), source: error }
    }
}

/// Loads files line by line, offsets being line numbers from 0; those of gzip and zstd files are
/// numbers of decompressed lines. What was committed of the same bytes (as they lie on the disk)
/// before, under any name, is passed over, and so are the lines of a shorter file that this one
/// begins with; a load that was killed goes on. Several processes may load the same file at once.
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
        let known = sink.transactions(options.stream).await?;
        let file = identify(&source.path, options.stream, known).map_err(|e| source.failed(e))?;
        let before = sink.counts.records;
        let mut progress = |counts: &Counts, bytes| progress(counts, read + bytes);
        let (lines, bytes) = loop {
            sink.parts.clear();
            begin(&mut sink, source, &file, options).await?;
            if let Some(done) = load_file(&mut sink, source, &file, &mut progress).await? {
                break done;
            }
            // Another process loads the same bytes: what it has committed is passed over.
        };
        read += bytes;
        sink.counts.repeated += lines - (sink.counts.records - before);
    }
    Ok(sink.counts)
}

/// Takes the file up where the lake has it, or has a shorter one that it begins with.
async fn begin(
    sink: &mut Sink,
    source: &Source,
    file: &Identity,
    options: &LoadOptions,
) -> Result<(), IngestError> {
    let id = PartitionId::file(options.stream, &file.sha256);
    let topic = format!("file:{}#{}", source.name, &file.sha256[..12]);
    let mut part = sink.part(options.stream, &topic, 0, id).await?;
    let known = sink.transactions(options.stream).await?;
    let shorter = file.begins_with.as_ref().and_then(|id| id.position(known));
    if let Some(shorter) = shorter.filter(|_| part.raw_from.is_none()) {
        part.next = shorter.next;
        part.extent = shorter.extent;
        // As if the file had been read in one go.
        part.mark = shorter.newest;
        part.reached = shorter.reached;
    }
    let now = chrono::Utc::now().timestamp_micros();
    part.arrival = part.arrival.or(options.arrival).or(Some(now));
    sink.parts.push(part);
    Ok(())
}

/// Reads the file that the sink's one part stands for and commits it; its lines, and the bytes of its
/// text. `None` when another process went on with it meanwhile: nothing of what was read since the
/// last commit counts, and the part is to be taken up anew.
async fn load_file(
    sink: &mut Sink,
    source: &Source,
    file: &Identity,
    progress: &mut dyn FnMut(&Counts, u64),
) -> Result<Option<(u64, u64)>, IngestError> {
    let mut lines = Lines::open(&source.path, file.bytes).map_err(|e| source.failed(e))?;
    let arrival = sink.parts[0].arrival.unwrap_or_default();
    let bytes = i64::try_from(file.bytes).unwrap_or(i64::MAX);
    let mut counted = sink.counts.clone();
    let mut offset = 0i64;
    while lines.next().map_err(|e| source.failed(e))? {
        let part = &mut sink.parts[0];
        if offset + 1 == part.next && part.raw_from.is_none() && !is_whole(&lines, part.extent) {
            part.next = offset;
        }
        if offset >= part.next {
            part.extent = Some(Extent { bytes, text: lines.end() });
            let record = Record { offset, arrival, value: Some(lines.line()), attributes: None };
            // Nothing waits here: files have no Schema Registry.
            let _ = sink.accept(0, &record, || Envelope { key: None, headers: Vec::new() });
        }
        offset += 1;
        if offset % 4096 == 0 {
            progress(&sink.counts, lines.end().unsigned_abs());
            if sink.due() && !commit(sink, &mut counted).await? {
                return Ok(None);
            }
        }
    }
    if let Some(extent) = &mut sink.parts[0].extent {
        // Nothing may have come to a shorter file but the end of its last line.
        extent.bytes = bytes;
    }
    if !commit(sink, &mut counted).await? {
        return Ok(None);
    }
    let text = lines.end().unsigned_abs();
    progress(&sink.counts, text);
    Ok(Some((offset.unsigned_abs(), text)))
}

/// Whether this line, the last that was read of a shorter file, was as long there. A program that
/// appends to its log may have been half-way through it.
fn is_whole(lines: &Lines, shorter: Option<Extent>) -> bool {
    shorter.is_none_or(|shorter| lines.line_end() <= shorter.text)
}

/// Commits what is held. Whether it could: another process may have gone on with the same bytes, and
/// then nothing since the last commit counts.
async fn commit(sink: &mut Sink, counted: &mut Counts) -> Result<bool, IngestError> {
    let lost = sink.flush().await?;
    if lost.is_empty() {
        *counted = sink.counts.clone();
    } else {
        sink.counts = counted.clone();
    }
    Ok(lost.is_empty())
}
