//! CRC-32 checksums of data files, one for each block of 128 KiB or more, so that a reader can
//! check a part of a large file without reading the rest.
//!
//! The checksums are a tag of the file's add action in the log.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The tag of an add action that holds the file's checksums.
pub(crate) const CHECKSUM_TAG: &str = "checksum";

/// The smallest size of a block, in bytes.
const MIN_BLOCK_BYTES: u64 = 128 << 10;

/// The largest number of blocks of a file, so that the tag of a large file stays short.
const MAX_BLOCKS: u64 = 512;

/// What a tag begins with; the block size, a colon and the checksums in base64 follow.
const SCHEME: &str = "crc32/";

/// The checksums of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockChecksums {
    pub(crate) size: u64,
    /// The bytes of each block but the last, which may be shorter.
    block: u64,
    blocks: Vec<u32>,
}

impl BlockChecksums {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        let block = size.div_ceil(MAX_BLOCKS).next_power_of_two().max(MIN_BLOCK_BYTES);
        let blocks = bytes.chunks(block as usize).map(crc32fast::hash).collect();
        Self { size, block, blocks }
    }

    /// Returns the value of the tag.
    pub(crate) fn to_tag(&self) -> String {
        let bytes: Vec<u8> = self.blocks.iter().flat_map(|block| block.to_le_bytes()).collect();
        format!("{SCHEME}{}:{}", self.block, STANDARD_NO_PAD.encode(bytes))
    }

    /// Parses the value of the tag; `None` when it is not the tag of a file of that size.
    pub(crate) fn parse(text: &str, size: u64) -> Option<Self> {
        let (block, encoded) = text.strip_prefix(SCHEME)?.split_once(':')?;
        let block: u64 = block.parse().ok().filter(|bytes| *bytes > 0)?;
        let bytes = STANDARD_NO_PAD.decode(encoded).ok()?;
        let (blocks, rest) = bytes.as_chunks::<4>();
        let whole = rest.is_empty() && blocks.len() as u64 == size.div_ceil(block);
        let blocks = blocks.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        whole.then_some(Self { size, block, blocks })
    }

    /// Returns the bytes of the whole blocks that contain a range of the file.
    pub(crate) fn block_range(&self, wanted: &Range<u64>) -> Range<u64> {
        let end = wanted.end.div_ceil(self.block) * self.block;
        wanted.start / self.block * self.block..end.min(self.size)
    }

    /// Returns whether these bytes, which are whole blocks of the file from byte `start` on, have
    /// the file's checksums.
    pub(crate) fn matches(&self, start: u64, bytes: &[u8]) -> bool {
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
        let sums = BlockChecksums::of(&bytes);
        let (all, size) = (0..bytes.len(), bytes.len() as u64);
        assert_eq!(BlockChecksums::parse(&sums.to_tag(), size), Some(sums.clone()));
        assert_eq!(
            BlockChecksums::parse(&sums.to_tag(), 3 * MIN_BLOCK_BYTES + 1),
            None,
            "of another size"
        );
        assert_eq!(BlockChecksums::parse("sha256:abc", size), None);
        assert!(sums.matches(0, &bytes));
        let large = BlockChecksums::of(&vec![7; 200 << 20]);
        assert_eq!((large.block, large.blocks.len()), (512 << 10, 400));
        assert_eq!(BlockChecksums::parse(&large.to_tag(), 200 << 20), Some(large));
        assert_eq!(sums.block_range(&(200_000..200_001)), MIN_BLOCK_BYTES..2 * MIN_BLOCK_BYTES);
        assert_eq!(sums.block_range(&(MIN_BLOCK_BYTES - 1..size)), 0..size);
        for changed in [0, 131_071, 131_072, 299_999] {
            let mut damaged = bytes.clone();
            damaged[changed] ^= 1;
            assert!(!sums.matches(0, &damaged[all.clone()]), "{changed}");
            let block_range = sums.block_range(&(changed as u64..changed as u64 + 1));
            let block = block_range.start as usize..block_range.end as usize;
            assert!(!sums.matches(block_range.start, &damaged[block]), "{changed}");
        }
    }
}
