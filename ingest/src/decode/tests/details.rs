//! The sentence of a rejection stands in the clear, so it quotes nothing of the record.

use domain::Stream;

use super::{decoder, event, plain};

/// A text, and a number, that stand in no rule.
const SECRET: &str = "hunter2-4711";
const SECRET_NUMBER: &str = "-998877665544";

#[test]
fn details_quote_nothing_of_the_record() {
    let quoted = format!("\"{SECRET}\"");
    let values = [
        quoted.clone(),
        SECRET_NUMBER.to_owned(),
        format!("{SECRET_NUMBER}.5"),
        format!("[{quoted}]"),
        format!("{{{quoted}:{quoted}}}"),
        format!("\"{}\"", SECRET.repeat(20)),
        "true".to_owned(),
        "null".to_owned(),
        "\"\"".to_owned(),
        format!("{SECRET_NUMBER}e400"),
        format!("\"{SECRET}\\ud800\""),
        SECRET.to_owned(),
        format!("{quoted},{quoted}"),
        format!("{quoted} {SECRET}"),
    ];
    let mut rejections = 0;
    let mut check = |stream: Stream, record: &[u8]| {
        let Err(rejection) = decoder(stream).parse(&plain(record)) else { return };
        rejections += 1;
        let shown = String::from_utf8_lossy(record);
        for secret in ["hunter2", "4711", "998877665544"] {
            assert!(!rejection.to_string().contains(secret), "{rejection} of {shown}");
        }
        assert!(!rejection.detail.is_empty(), "{shown}");
    };
    for stream in Stream::ALL {
        let fields = ["event_id", "partner_id", "occurred_at", "specversion", "data", "other"];
        let own = stream.definition().fields.iter().map(|field| field.name);
        for field in fields.into_iter().chain(own) {
            for value in &values {
                check(stream, event(stream, &format!("\"{field}\":{value}")).as_bytes());
            }
        }
        for value in &values {
            check(stream, value.as_bytes());
            check(stream, &[value.as_bytes(), b"\xff"].concat());
            check(stream, &[b"\0\0\0\0\x07", value.as_bytes()].concat());
        }
    }
    assert!(rejections > 100, "{rejections}");
}
