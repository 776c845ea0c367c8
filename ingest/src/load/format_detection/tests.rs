//! What files look like, from arrays to archives.

use super::*;

/// 2026-06-01T00:00:00Z
const ARRIVAL: i64 = 1_780_272_000_000_000;

fn detect(bytes: &[u8]) -> FileFormat {
    let head = FileHead { text: bytes.to_vec(), is_whole: true, compression: None };
    let format = detect_format(&head, Stream::ApiCalls, ARRIVAL);
    let told = format!("{format:?}");
    assert!(!told.contains("hunter2"), "it quotes a value: {told}");
    format
}

fn call(more: &str) -> String {
    format!(
        r#"{{"event_id":"e","partner_id":"hunter2","occurred_at":"2026-01-01T00:00:00Z","status":200{more}}}"#
    )
}

#[test]
fn the_shape_of_a_file() {
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "cases are shorter with values")]
    fn check(bytes: impl AsRef<[u8]>, expected: FileShape) {
        assert_eq!(detect(bytes.as_ref()).shape, expected);
    }
    check("", FileShape::Blank);
    check("\n \r\n", FileShape::Blank);
    check("\u{feff}", FileShape::Blank);
    check(b"\xff\xfe{\0\"\0a\0\"\0:\x001\0}\0", FileShape::Utf16);
    check(b"{\0\"\0a\0\"\0:\x001\0}\0", FileShape::Utf16);
    check(b"{\"name\":\"hunter2 M\xfcller\"}\n", FileShape::NotUtf8);
    check(b"hunter2\0\x01\x02\x03", FileShape::Binary);
    check("<!DOCTYPE html>\n<p>hunter2", FileShape::Html);
    check("<?xml version=\"1.0\"?><a>hunter2</a>", FileShape::Xml);
    check("[\n  {\"a\": \"hunter2\"},\n  {\"a\": 2}\n]\n", FileShape::JsonArray);
    check(r#"[{"a":"hunter2"},{"a":2}]"#, FileShape::JsonArray);
    check("[\"hunter2\"]\n[2]\n", FileShape::JsonLines);
    check("{\n  \"a\": \"hunter2\"\n}\n", FileShape::JsonDocument);
    check("{\n  \"a\": 1\n}\n{\n  \"a\": \"hunter2\"\n}\n", FileShape::JsonDocument);
    let wrapper =
        |member: Option<&str>| FileShape::JsonWrapper { member: member.map(str::to_owned) };
    check(
        r#"{"count":2,"tickets":[{"id":"hunter2"},{"id":2}],"next":null}"#,
        wrapper(Some("tickets")),
    );
    check("{\n\"at\": \"hunter2\",\n\"issues\": [\n{\"id\": 1}]}", wrapper(Some("issues")));
    check(r#"{"ck_live_hunter2_94716":[{"id":1}]}"#, wrapper(None));
    check("{\"a\":\"hunter2\"}\n{\"tickets\":[{\"id\":1}]}\n", FileShape::JsonLines);
    check(r#"{"event_id":"e","partner_id":"hunt"#, FileShape::BrokenJson { is_cut: true });
    check("{\n  \"a\": \"hunter2\",\n", FileShape::BrokenJson { is_cut: true });
    check("\u{feff}[{\"a\": \"hunter2\"", FileShape::BrokenJson { is_cut: true });
    check("{\"a\": hunter2}\n{\"a\": hunter2}\n", FileShape::BrokenJson { is_cut: false });
    check("[hunter2] began\n[hunter2] ended\n", FileShape::TextLines);
    check("hunter2 began\nhunter2 ended\n", FileShape::TextLines);
    check("{not JSON, hunter2}\n", FileShape::TextLines);
}

#[test]
fn columns_of_delimited_text() {
    #[track_caller]
    fn check(text: &str, delimiter: char, width: usize, columns: &[&str]) {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        let expected = FileShape::Delimited(Delimited { delimiter, columns, width });
        assert_eq!(detect(text.as_bytes()).shape, expected, "{text}");
    }
    let names = ["partner", "time", "status"];
    check("partner,time,status\nhunter2,2026-01-01,200\n", ',', 3, &names);
    check("\u{feff}partner;time;status\r\nhunter2;2026-01-01;200\r\n", ';', 3, &names);
    check("partner\ttime\tstatus\nhunter2\t1\t2\n", '\t', 3, &names);
    check("\"partner\",\"time, UTC\"\n\"hunter2, Inc\",5\n", ',', 2, &["partner", "time, UTC"]);
    let marked = ["Invoice No", "Customer, ID", "Amount (net), %", "Date"];
    check(
        "Invoice No,\"Customer, ID\",\"Amount (net), %\",Date\nhunter2,\"a, b\",7,2026-01-01\n",
        ',',
        4,
        &marked,
    );
    check("partner,time,status\n", ',', 3, &names);
    // Without a header the first line holds values.
    check("hunter2,2026-01-01,200\nhunter2,2026-01-02,200\n", ',', 3, &[]);
    check("hunter2,GET,ok\nhunter2,PUT,ok\n", ',', 3, &[]);
}

#[test]
fn archives_and_binary_formats() {
    #[track_caller]
    fn check(bytes: &[u8], name: &str) {
        match detect(bytes).shape {
            FileShape::Container(container) => assert_eq!(container.name, name),
            other => panic!("{other:?} instead of {name}"),
        }
    }
    check(b"PK\x03\x04\x14\0\0\0hunter2", "a ZIP archive");
    let sheet = [b"PK\x03\x04", &[0; 26][..], b"[Content_Types].xml"].concat();
    check(&sheet, "an Office document, such as an Excel sheet");
    check(b"PAR1\x15\0\x15hunter2", "a Parquet file");
    // Without these options DuckDB writes instants as 2026-01-01 00:00:00+00, in its own zone.
    let parquet = Container::of(b"PAR1\x15\0\x15").and_then(|found| found.unpack);
    let command = parquet.expect("a command");
    assert!(command.contains("SET TimeZone='UTC'"), "{command}");
    assert!(command.contains("TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'"), "{command}");
    check(b"Obj\x01\x04\x16avro.schema", "an Avro file");
    check(b"\x04\x22\x4d\x18hunter2", "lz4 data");
    let tar = [b"calls.ndjson", &[0; 245][..], b"ustar\x0000hunter2"].concat();
    check(&tar, "a tar archive");
    for text in ["PAR1 hunter2", "ORCA,hunter2", "LZIP"] {
        assert!(Container::of(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn what_accepts_the_records() {
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "cases are shorter with values")]
    fn check(text: &str, expected: Option<RecordFit>) {
        assert_eq!(detect(text.as_bytes()).fit, expected, "{text}");
    }
    let stream = |stream| Some(RecordFit::Stream(stream));
    check(&format!("[{},{}]", call(""), call("")), stream(Stream::ApiCalls));
    check(&format!("{{\"calls\":[{}]}}", call("")), stream(Stream::ApiCalls));
    let ticket = r#"{"event_id":"e","partner_id":"hunter2","occurred_at":1767225600000,"type":"opened","ticket_id":"t"}"#;
    check(&format!("{ticket}\n{ticket}\n"), stream(Stream::SupportEvents));
    let bill = r#"{"event_id":"e","partner_id":"p","occurred_at":1767225600000,"kind":"usage","amount_minor":1,"currency":"EUR"}"#;
    check(&format!("{bill}\nhunter2\n{bill}\n"), stream(Stream::BillingEvents));
    check("{\"a\":\"hunter2\"}\n", None);
    check("hunter2 began\n", None);
}

#[test]
fn recipes_that_read_the_records() {
    let recipes = |text: &str| match detect(text.as_bytes()).fit {
        Some(RecordFit::Recipes(recipes)) => recipes,
        other => panic!("{other:?}"),
    };
    let kong = r#"{"started_at":1767225600123,"consumer":{"username":"hunter2"},"request":{"method":"GET","uri":"/a?key=hunter2","id":"9f"},"response":{"status":200},"latencies":{"request":12},"service":{"name":"pay"},"route":{"name":"r"}}"#;
    assert_eq!(recipes(kong), [("kong-http-log", Some(Stream::ApiCalls))]);
    assert_eq!(recipes(&format!("[{kong},\n{kong}]")), [("kong-http-log", Some(Stream::ApiCalls))]);
    let line = r#"192.0.2.1 - hunter2 [01/Jan/2026:00:00:00 +0000] "GET /v1/a?key=hunter2 HTTP/1.1" 200 12 "-" "curl/8.5""#;
    let found = recipes(&format!("{line}\n{line}\n"));
    assert!(found.iter().any(|(name, _)| *name == "nginx-combined"), "{found:?}");
}

#[test]
fn names_of_fields_are_told_and_values_are_not() {
    let format = detect(
        br#"{"tier":"hunter2","amount":5,"3f2a91":"x","eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9":1}"#,
    );
    assert_eq!(
        (format.shape, format.fields),
        (FileShape::JsonLines, vec!["tier".to_owned(), "amount".to_owned()])
    );
}

#[test]
fn a_head_that_ends_within_a_record() {
    let whole = format!("[{}]", vec![call(",\"note\":\"ü\""); 40].join(",\n"));
    for cut in [call(",\"note\":\"ü\"").len() + 10, 2_000, 2_001, 2_002, 2_003] {
        let head =
            FileHead { text: whole.as_bytes()[..cut].to_vec(), is_whole: false, compression: None };
        let format = detect_format(&head, Stream::ApiCalls, ARRIVAL);
        let expected = (FileShape::JsonArray, Some(RecordFit::Stream(Stream::ApiCalls)));
        assert_eq!((format.shape, format.fit), expected, "{cut}");
    }
    let pretty = "{\n \"resourceSpans\": [{\"a\": [1, 2, 3";
    let head = FileHead { text: pretty.into(), is_whole: false, compression: None };
    let shape = detect_format(&head, Stream::ApiCalls, ARRIVAL).shape;
    assert_eq!(shape, FileShape::JsonDocument);
}
