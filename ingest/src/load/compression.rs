//! Decompresses files: gzip, zstd, xz and bzip2, known by their first bytes whatever a file's name
//! is.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::load::lines::READ_BUFFER_BYTES;

/// The number of bytes that tell how a file is compressed.
pub(crate) const MAGIC_BYTES: usize = 10;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Compression {
    /// Returns how a file with these first bytes is compressed, or `None` where it is not.
    pub(crate) fn of(magic: &[u8]) -> Option<Self> {
        match magic {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // What pzstd writes begins with a skippable frame.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // The level is followed by the first block, or by the end of an empty stream.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => {
                Some(Self::Bzip2)
            }
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// Returns the command that decompresses a file to standard output.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gzip -dc",
            Self::Zstd => "zstd -dc",
            Self::Xz => "xz -dc",
            Self::Bzip2 => "bzip2 -dc",
        }
    }

    /// Decompresses a file. It may have several members, frames or streams one after the other.
    pub(crate) fn reader(
        self,
        file: impl BufRead + Send + 'static,
    ) -> io::Result<Box<dyn BufRead + Send>> {
        let decoder: Box<dyn Read + Send> = match self {
            Self::Gzip => Box::new(GzipMembers { member: Some(GzDecoder::new(file)) }),
            Self::Zstd => Box::new(ZstdDecoder::with_buffer(file)?),
            Self::Xz => Box::new(XzDecoder::new_multi_decoder(file)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(file)),
        };
        let explained = ExplainedErrors { decoder, compression: self };
        Ok(Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, explained)))
    }
}

/// Reads the members of a gzip file. Zero bytes after a member are padding, as gzip takes them.
struct GzipMembers<R> {
    /// The member that is read; `None` after the last one.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.member else { return Ok(0) };
            let taken = member.read(buffer)?;
            if taken > 0 || buffer.is_empty() {
                return Ok(taken);
            }
            let Some(member) = self.member.take() else { return Ok(0) };
            let mut file = member.into_inner();
            if skip_zeros(&mut file)? {
                self.member = Some(GzDecoder::new(file));
            }
        }
    }
}

/// Skips zero bytes. Returns whether anything comes after them.
fn skip_zeros(file: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let available = file.fill_buf()?;
        if available.is_empty() {
            return Ok(false);
        }
        let zeros = available.iter().take_while(|byte| **byte == 0).count();
        let found = zeros < available.len();
        file.consume(zeros);
        if found {
            return Ok(true);
        }
    }
}

/// Rewords the errors of a decoder.
struct ExplainedErrors {
    decoder: Box<dyn Read + Send>,
    compression: Compression,
}

impl Read for ExplainedErrors {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| explain(self.compression, error))
    }
}

fn explain(compression: Compression, error: io::Error) -> io::Error {
    // The disk's own errors, and a signal.
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    let name = compression.name();
    let text = if error.kind() == io::ErrorKind::UnexpectedEof {
        format!(
            "its {name} data ends in the middle, so the file is not whole. Fetch it again and load \
             it: what was committed of it stays, and the load goes on from there"
        )
    } else {
        format!(
            "its {name} data is damaged ({error}). Fetch it again; {name} -t tells whether it is \
             whole. What was committed of it stays"
        )
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("written");
        encoder.finish().expect("gzip")
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("zstd");
        encoder.include_checksum(true).expect("a checksum");
        encoder.write_all(text).expect("written");
        encoder.finish().expect("zstd")
    }

    /// Returns a skippable frame as pzstd writes it: the length of the next frame.
    fn skippable(next: &[u8]) -> Vec<u8> {
        let length = u32::try_from(next.len()).expect("short").to_le_bytes();
        [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], &length].concat()
    }

    fn xz(text: &[u8]) -> Vec<u8> {
        liblzma::encode_all(text, 1).expect("xz")
    }

    fn bzip2(text: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text).expect("written");
        encoder.finish().expect("bzip2")
    }

    fn decompress(file: &[u8]) -> io::Result<Vec<u8>> {
        let magic = &file[..file.len().min(MAGIC_BYTES)];
        let compression = Compression::of(magic).expect("compressed");
        let mut text = Vec::new();
        compression.reader(Cursor::new(file.to_vec()))?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn files_of_several_parts_are_read_whole() {
        #[track_caller]
        fn check(parts: &[&[u8]], text: &str) {
            let read = decompress(&parts.concat()).expect("read");
            assert_eq!(String::from_utf8_lossy(&read), text);
        }
        let (a, b) = (gzip(b"a\n"), gzip(b"b\n"));
        check(&[&a], "a\n");
        check(&[&a, &b], "a\nb\n");
        check(&[&a, &[0; 700], &b, &[0; 3]], "a\nb\n");
        check(&[&gzip(b"")], "");
        let (a, b) = (zstd(b"a\n"), zstd(b"b\n"));
        check(&[&a, &b], "a\nb\n");
        check(&[&skippable(&a), &a, &skippable(&b), &b], "a\nb\n");
        check(&[&a, &skippable(&[])], "a\n");
        let (a, b) = (xz(b"a\n"), xz(b"b\n"));
        check(&[&a, &[0; 8], &b], "a\nb\n");
        check(&[&xz(b"")], "");
        let (a, b) = (bzip2(b"a\n"), bzip2(b"b\n"));
        check(&[&a, &b], "a\nb\n");
        check(&[&bzip2(b"")], "");
    }

    #[test]
    fn files_that_are_cut_off_or_damaged_say_so() {
        let text: Vec<u8> =
            (0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for (name, whole) in [
            ("gzip", gzip(&text)),
            ("zstd", zstd(&text)),
            ("xz", xz(&text)),
            ("bzip2", bzip2(&text)),
        ] {
            assert_eq!(decompress(&whole).expect(name), text);
            for length in [whole.len() / 2, whole.len() - 1] {
                let error = decompress(&whole[..length]).expect_err(name).to_string();
                assert!(
                    error.starts_with(&format!("its {name} data ends in the middle")),
                    "{error}"
                );
            }
            let mut damaged = whole.clone();
            let middle = damaged.len() / 2;
            damaged[middle..middle + 64].fill(0x55);
            let error = decompress(&damaged).expect_err(name).to_string();
            assert!(error.starts_with(&format!("its {name} data is damaged (")), "{error}");
        }
        let error = decompress(&[&gzip(b"a\n")[..], b"rest"].concat()).expect_err("no gzip");
        assert!(error.to_string().starts_with("its gzip data "), "{error}");
    }

    #[test]
    fn text_that_begins_like_a_compressed_file_is_text() {
        for text in ["BZh9 is a name", "P*M", "(", "{\"event_id\":1}", ""] {
            assert_eq!(Compression::of(text.as_bytes()), None, "{text}");
        }
    }
}
