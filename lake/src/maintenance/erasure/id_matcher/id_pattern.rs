//! One id to erase, with the byte patterns by which it is found.

use memchr::memmem::Finder;

/// From this length on, an id is not found by coincidence, even among compressed bytes.
const MIN_DISTINCT_LENGTH: usize = 6;

/// An id to erase, its token and its byte patterns.
pub(super) struct IdPattern {
    pub(super) id: String,
    /// The text that takes the place of the id.
    pub(super) token: String,
    /// Whether the id names the partner wherever it occurs: it can't be an ordinary word or number.
    pub(super) is_distinct: bool,
    /// Whether the id is too long to occur by coincidence among compressed bytes.
    pub(super) is_long: bool,
    /// The id itself, and the id with `+` for blanks, as HTML forms encode them.
    pub(super) spellings: Vec<Finder<'static>>,
    /// The id after its length, as Parquet and Thrift write strings.
    pub(super) in_parquet: Vec<Finder<'static>>,
    /// The id after its length, as the encodings of records write strings; see [`framings`].
    pub(super) in_records: Vec<Finder<'static>>,
}

impl IdPattern {
    /// Returns the patterns of an id. With `everywhere` the id counts as distinct in any case.
    pub(super) fn new(id: &str, token: &str, everywhere: bool) -> Self {
        let bytes = id.as_bytes();
        let with = |prefix: &[u8]| Finder::new(&[prefix, bytes].concat()).into_owned();
        let length = bytes.len() as u64;
        let mut spellings = vec![Finder::new(id).into_owned()];
        if id.contains(' ') {
            spellings.push(Finder::new(&id.replace(' ', "+")).into_owned());
        }
        Self {
            id: id.to_owned(),
            token: token.to_owned(),
            is_distinct: everywhere || is_distinct(id),
            is_long: id.chars().count() >= MIN_DISTINCT_LENGTH,
            spellings,
            in_parquet: vec![
                with(&varint(length)),
                with(&u32::try_from(length).unwrap_or_default().to_le_bytes()),
            ],
            in_records: framings(length).iter().map(|prefix| with(prefix)).collect(),
        }
    }
}

/// Returns the bytes that precede a string of a length in Avro (a zigzag varint), in Protobuf and
/// Thrift (a varint), in MessagePack (`str 8`, `fixstr`) and in CBOR (major type 3).
fn framings(length: u64) -> Vec<Vec<u8>> {
    let mut all = vec![varint(length * 2), varint(length)];
    let Ok(short) = u8::try_from(length) else { return all };
    all.extend([vec![0xd9, short], vec![0x78, short]]);
    if short < 32 {
        all.push(vec![0xa0 | short]);
    }
    if short < 24 {
        all.push(vec![0x60 | short]);
    }
    all
}

/// Returns whether an id can't be an ordinary word, number or version: it is long enough, and has
/// both digits and letters.
pub(super) fn is_distinct(id: &str) -> bool {
    // An id whose only letter is e could be a number in JSON.
    let letter = |c: char| (c.is_alphabetic() || !c.is_ascii()) && !matches!(c, 'e' | 'E');
    id.chars().count() >= MIN_DISTINCT_LENGTH
        && id.contains(|c: char| c.is_ascii_digit())
        && id.contains(letter)
}

/// Returns an unsigned number in LEB128: seven bits a byte, the lowest first.
pub(super) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
