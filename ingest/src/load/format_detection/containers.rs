//! Archives and binary formats, known by their first bytes.

/// A file that holds no lines but something that must be unpacked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Container {
    /// What it is, with an article.
    pub name: &'static str,
    /// The command that writes its records to standard output; `{}` stands for the file in quotes, and
    /// `{sql}` for the file within the quotes of a text of SQL within a shell's double quotes.
    pub unpack: Option<&'static str>,
}

/// The formats, each with the position and the bytes that show it.
const FORMATS: [(usize, &[u8], Container); 17] = [
    (0, b"PK\x03\x04", container("a ZIP archive", "unzip -p {}")),
    (0, b"PK\x05\x06", container("an empty ZIP archive", "unzip -p {}")),
    (0, b"PAR1", container("a Parquet file", DUCKDB)),
    (0, b"Obj\x01", container("an Avro file", "avro-tools tojson {}")),
    (0, b"ORC", container("an ORC file", "orc-contents {}")),
    (0, b"ARROW1\0\0", only("an Arrow file")),
    (0, b"SQLite format 3\0", only("an SQLite database")),
    (0, b"%PDF-", only("a PDF")),
    (0, b"\x04\x22\x4d\x18", container("lz4 data", "lz4 -dc {}")),
    (0, b"\x1f\x9d", container("data of compress", "gzip -dc {}")),
    (0, b"LZIP", container("lzip data", "lzip -dc {}")),
    (0, b"\xff\x06\0\0sNaPpY", container("snappy data", "snzip -dc {}")),
    (0, b"\x89LZO\0", container("lzop data", "lzop -dc {}")),
    (0, b"7z\xbc\xaf\x27\x1c", container("a 7-Zip archive", "7z x -so {}")),
    (0, b"Rar!\x1a\x07", container("a RAR archive", "unrar p -inul {}")),
    (257, b"ustar\0", container("a tar archive", "tar -xOf {}")),
    (257, b"ustar  \0", container("a tar archive", "tar -xOf {}")),
];

/// DuckDB writes instants in the zone of its session, without their zone, unless it is told otherwise.
const DUCKDB: &str = "duckdb -c \"SET TimeZone='UTC'; COPY (FROM '{sql}') TO '/dev/stdout' \
                      (FORMAT json, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ')\"";
const OFFICE: Container = only("an Office document, such as an Excel sheet");

const fn container(name: &'static str, unpack: &'static str) -> Container {
    Container { name, unpack: Some(unpack) }
}

const fn only(name: &'static str) -> Container {
    Container { name, unpack: None }
}

impl Container {
    /// Returns the format of a file that begins like this.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let shows =
            |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
        let (_, magic, container) = FORMATS.iter().find(|(at, magic, _)| shows(*at, magic))?;
        // A text may begin with these words.
        let is_word = matches!(*magic, b"ORC" | b"PAR1" | b"LZIP");
        if is_word && !head[..head.len().min(4096)].contains(&0) {
            return None;
        }
        let is_office = magic.starts_with(b"PK") && shows(30, b"[Content_Types].xml");
        Some(if is_office { OFFICE } else { *container })
    }
}

/// Returns whether a text is UTF-16 or UTF-32: by its byte-order mark, or because every other byte
/// of it is zero.
pub(super) fn is_utf16(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let start = &head[..head.len().min(512) & !1];
    let zeros = |odd: usize| start.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let half = start.len() / 2;
    let (even, odd) = (zeros(0), zeros(1));
    half >= 4 && even.max(odd) * 10 > half * 8 && even.min(odd) * 10 < half
}
