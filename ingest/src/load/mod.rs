//! Loads files line by line, plain or compressed. A file is a partition of its own, and a file that has
//! grown is read from where it ended before.
//!
//! - `file_identity`: the digest of a file, and the shorter files that it has grown from
//! - `file_trial`: what a load would make of a file
//! - `lines`: the lines of a file
//! - `line_position`: the name of a line in events
//! - `compression`: gzip, zstd, xz and bzip2
//! - `format_detection`: what a file looks like that holds no events

pub(crate) mod compression;
pub(crate) mod file_identity;
pub(crate) mod file_trial;
pub(crate) mod format_detection;
pub(crate) mod line_position;
pub(crate) mod lines;

use std::io;
use std::path::PathBuf;

use domain::Stream;
use lake::{FileProgress, Lake, PartitionId};

use crate::dead_letters::rejected_record::RecordMetadata;
use crate::error::IngestError;
use crate::load::file_identity::{FileIdentity, identify};
use crate::load::line_position::LinePositions;
use crate::load::lines::Lines;
use crate::mapping::{Mapping, poll_with_room};
use crate::settings::FlushLimits;
use crate::sink::{Sink, SourceRecord};
use crate::status::IngestCounts;

/// The options of a load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The stream of all files.
    pub stream: Stream,
    /// What turns the lines into events, where they are none themselves.
    pub mapping: Option<Mapping>,
    /// The arrival of every record in µs. Without it the arrival is the start of the run that first
    /// reads the file.
    pub arrival: Option<i64>,
    /// Go on although most records are rejected.
    pub accept_rejects: bool,
    /// When to flush.
    pub limits: FlushLimits,
}

/// A file to load.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The file's name in the lake, without a folder.
    pub name: String,
    /// Where the file is.
    pub path: PathBuf,
}

impl SourceFile {
    fn failed(&self, error: io::Error) -> IngestError {
        IngestError::File { path: self.path.clone(), source: error }
    }
}

/// Loads files line by line, each through the mapping if there is one. Offsets are line numbers from 0, of the decompressed text. Lines that
/// were committed before from a file with the same bytes on disk, under any name, are skipped, and
/// so are the lines of a shorter file that this one begins with. A load that was killed is resumed.
/// Several processes may load the same file at once.
///
/// `progress` is called with the counts and the decompressed bytes of all files.
///
/// # Errors
/// Fails when a file can't be read or decompressed, the lake can't be written, or most records are
/// rejected.
pub async fn load(
    lake: &Lake,
    sources: &[SourceFile],
    options: &LoadOptions,
    progress: &mut dyn FnMut(&IngestCounts, u64),
) -> Result<IngestCounts, IngestError> {
    let loaded = load_sources(lake, sources, options, progress);
    if options.mapping.is_none() { loaded.await } else { poll_with_room(loaded).await }
}

async fn load_sources(
    lake: &Lake,
    sources: &[SourceFile],
    options: &LoadOptions,
    progress: &mut dyn FnMut(&IngestCounts, u64),
) -> Result<IngestCounts, IngestError> {
    let streams = [options.stream];
    let mut sink = Sink::open(lake, streams, options.limits, options.accept_rejects).await?;
    sink.mappings.extend(options.mapping.clone().map(|mapping| (options.stream, mapping)));
    let mut read = 0;
    for source in sources {
        let known = sink.transactions(options.stream).await?;
        let file = identify(&source.path, options.mapping.as_ref(), options.stream, known)
            .map_err(|e| source.failed(e))?;
        let before = sink.counts.records;
        let mut progress = |counts: &IngestCounts, bytes| progress(counts, read + bytes);
        let (lines, bytes) = loop {
            sink.buffers.clear();
            open_file(&mut sink, source, &file, options).await?;
            if let Some(done) = load_file(&mut sink, source, &file, &mut progress).await? {
                break done;
            }
            // Another process loads the same file. The lines that it has committed are skipped.
        };
        read += bytes;
        sink.counts.already_stored += lines - (sink.counts.records - before);
    }
    Ok(sink.counts)
}

/// Opens the file's buffer at the lake's position of it, or of a shorter file that it begins with.
async fn open_file(
    sink: &mut Sink,
    source: &SourceFile,
    file: &FileIdentity,
    options: &LoadOptions,
) -> Result<(), IngestError> {
    let id = PartitionId::file(options.stream, &file.sha256);
    let topic = file.topic(&source.name);
    let dead_letters = sink.dead_letters().await?;
    let mut buffer = sink.open_partition(&dead_letters, options.stream, &topic, 0, id).await?;
    let known = sink.transactions(options.stream).await?;
    let shorter = file.begins_with.as_ref().and_then(|id| id.position(known));
    if let Some(shorter) = shorter.filter(|_| buffer.raw_from.is_none()) {
        buffer.next_offset = shorter.next;
        buffer.file_progress = shorter.file_progress;
        // These are the values as if the file had been read in one go.
        buffer.newest = shorter.newest;
        buffer.reached = shorter.reached;
    }
    let now = chrono::Utc::now().timestamp_micros();
    buffer.arrival = buffer.arrival.or(options.arrival).or(Some(now));
    sink.buffers.push(buffer);
    Ok(())
}

/// Reads the file of the sink's only buffer and commits it. Returns the number of lines and the
/// bytes of the text. Returns `None` when another process has moved the file on: then nothing that
/// was read since the last commit counts, and the buffer must be opened again.
async fn load_file(
    sink: &mut Sink,
    source: &SourceFile,
    file: &FileIdentity,
    progress: &mut dyn FnMut(&IngestCounts, u64),
) -> Result<Option<(u64, u64)>, IngestError> {
    let mut lines = Lines::open(&source.path, file.bytes).map_err(|e| source.failed(e))?;
    let arrival = sink.buffers[0].arrival.unwrap_or_default();
    let bytes = i64::try_from(file.bytes).unwrap_or(i64::MAX);
    let mut counted = sink.counts.clone();
    let mut positions = LinePositions::default();
    let mut offset = 0i64;
    while lines.next().map_err(|e| source.failed(e))? {
        if offset == 0 {
            positions.begin(lines.line());
        }
        let mut line_at_first = lines.line();
        let buffer = &mut sink.buffers[0];
        if offset + 1 == buffer.next_offset
            && buffer.raw_from.is_none()
            && let Some(cut) = cut_before(&lines, buffer.file_progress)
        {
            buffer.next_offset = offset;
            // It keeps the position that it had then, so that it is the same event.
            line_at_first = cut;
        }
        if offset >= buffer.next_offset {
            buffer.file_progress = Some(FileProgress { bytes, text: lines.line_end() });
            let record =
                SourceRecord { offset, arrival, value: Some(lines.line()), attributes: None };
            // Lines never wait for a schema, because files have no Schema Registry.
            let _ = sink.accept(0, &record, || RecordMetadata {
                key: None,
                headers: Vec::new(),
                position: Some(positions.position(line_at_first, offset)),
            });
        }
        offset += 1;
        if offset % 4096 == 0 {
            progress(&sink.counts, lines.end().unsigned_abs());
            if sink.is_flush_due() && !commit(sink, &mut counted).await? {
                return Ok(None);
            }
        }
    }
    if let Some(file_progress) = &mut sink.buffers[0].file_progress {
        // A shorter file may have grown only by the end of its last line.
        file_progress.bytes = bytes;
    }
    if !commit(sink, &mut counted).await? {
        return Ok(None);
    }
    let text = lines.end().unsigned_abs();
    progress(&sink.counts, text);
    Ok(Some((offset.unsigned_abs(), text)))
}

/// Returns the part of the current line, the last one that was read of a shorter file, that was there
/// then, where the line is longer now. A program may have been in the middle of appending it.
fn cut_before(lines: &Lines, shorter: Option<FileProgress>) -> Option<&[u8]> {
    let missing = lines.line_end() - shorter?.text;
    let missing = usize::try_from(missing).ok().filter(|missing| *missing > 0)?;
    let line = lines.line();
    Some(&line[..line.len().saturating_sub(missing)])
}

/// Commits what is buffered. Returns `false` when another process has moved the file on: then
/// nothing since the last commit counts.
async fn commit(sink: &mut Sink, counted: &mut IngestCounts) -> Result<bool, IngestError> {
    let lost = sink.flush().await?;
    if lost.is_empty() {
        *counted = sink.counts.clone();
    } else {
        sink.counts = counted.clone();
    }
    Ok(lost.is_empty())
}
