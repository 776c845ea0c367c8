//! Checksums of data files: one for each block of 128 KiB or more, so that a reader can check what
//! it reads of a large file without reading the rest. They stand in the log, as a tag of the file's
//! add action.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The tag of an add action.
pub(crate) const CHECKSUM: &str = "checksum";

/// Bytes that one checksum is of, at least.
const BLOCK: u64 = 128 << 10;

/// Checksums of a file, at most: what a log says of a large file stays short.
const MOST: u64 = 512;

/// Before the bytes of a block, a colon and the checksums.
const SCHEME: &str = "crc32/";

/// Of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checksums {
    pub(crate) size: u64,
    /// Bytes of each block but the last.
    block: u64,
    blocks: Vec<u32>,
}

impl Checksums {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        let block = size.div_ceil(MOST).next_power_of_two().max(BLOCK);
        let blocks = bytes.chunks(block as usize).map(crc32fast::hash).collect();
        Self { size, block, blocks }
    }

    /// As a tag.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.blocks.iter().flat_map(|block| block.to_le_bytes()).collect();
        format!("{SCHEME}{}:{}", self.block, STANDARD_NO_PAD.encode(bytes))
    }

    /// Reads a tag; `None` where it is none of ours for a file of that size.
    pub(crate) fn parse(text: &str, size: u64) -> Option<Self> {
        let (block, encoded) = text.strip_prefix(SCHEME)?.split_once(':')?;
        let block: u64 = block.parse().ok().filter(|bytes| *bytes > 0)?;
        let bytes = STANDARD_NO_PAD.decode(encoded).ok()?;
        let (blocks, rest) = bytes.as_chunks::<4>();
        let whole = rest.is_empty() && blocks.len() as u64 == size.div_ceil(block);
        let blocks = blocks.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        whole.then_some(Self { size, block, blocks })
    }

    /// The whole blocks around a part of the file.
    pub(crate) fn around(&self, part: &Range<u64>) -> Range<u64> {
        let end = part.end.div_ceil(self.block) * self.block;
        part.start / self.block * self.block..end.min(self.size)
    }

    /// Whether these bytes, whole blocks from `start` on, are the file's.
    pub(crate) fn agree(&self, start: u64, bytes: &[u8]) -> bool {
        let first = usize::try_from(start / self.block).unwrap_or(usize::MAX);
        let expected = self.blocks.iter().skip(first);
        let mut found = bytes.chunks(self.block as usize).map(crc32fast::hash).zip(expected);
        found.all(|(found, expected)| found == *expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_is_found_where_it_is_read() {
        let bytes: Vec<u8> =
            (0..300_000u32).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
        let sums = Checksums::of(&bytes);
        let (all, size) = (0..bytes.len(), bytes.len() as u64);
        assert_eq!(Checksums::parse(&sums.text(), size), Some(sums.clone()));
        assert_eq!(Checksums::parse(&sums.text(), 3 * BLOCK + 1), None, "of another size");
        assert_eq!(Checksums::parse("sha256:abc", size), None);
        assert!(sums.agree(0, &bytes));
        let large = Checksums::of(&vec![7; 200 << 20]);
        assert_eq!((large.block, large.blocks.len()), (512 << 10, 400));
        assert_eq!(Checksums::parse(&large.text(), 200 << 20), Some(large));
        assert_eq!(sums.around(&(200_000..200_001)), BLOCK..2 * BLOCK);
        assert_eq!(sums.around(&(BLOCK - 1..size)), 0..size);
        for place in [0, 131_071, 131_072, 299_999] {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(!sums.agree(0, &damaged[all.clone()]), "{place}");
            let around = sums.around(&(place as u64..place as u64 + 1));
            let block = around.start as usize..around.end as usize;
            assert!(!sums.agree(around.start, &damaged[block]), "{place}");
        }
    }
}
