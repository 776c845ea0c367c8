//! The JSON members that hold a partner's id, by their names. Of a name that occurs twice in an
//! object all values count. Text that is no valid JSON is read as far as it resembles JSON.

use std::ops::Range;

use crate::maintenance::erasure::decodings::Decoding;

/// A value of a member that holds an id.
pub(super) struct IdValue {
    /// The bytes of the value, without quotes.
    pub(super) span: Range<usize>,
    /// Whether the contracts define the member; otherwise the sender has added it.
    pub(super) of_contract: bool,
}

/// An object or an array whose end has not been reached.
#[derive(Clone, Copy, Default)]
struct OpenContainer {
    is_array: bool,
    /// Set when the value in which the container stands is an id.
    role: Option<IdRole>,
}

/// Marks a value as an id, and tells whether the contracts define it as one.
#[derive(Clone, Copy)]
struct IdRole {
    of_contract: bool,
}

/// Returns the texts and numbers of members that hold ids.
pub(super) fn id_values(text: &str) -> Vec<IdValue> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut open: Vec<OpenContainer> = Vec::new();
    let mut named: Option<IdRole> = None;
    let mut at = 0;
    while at < bytes.len() {
        let inside = open.last().copied().unwrap_or_default();
        let of_value = named.or(inside.role.filter(|_| inside.is_array));
        match bytes[at] {
            b'"' => {
                let span = literal(bytes, at);
                at = (span.end + 1).min(bytes.len());
                let colon = bytes[at..].iter().position(|b| !b.is_ascii_whitespace());
                if colon.is_some_and(|colon| bytes[at + colon] == b':') {
                    named = id_role(&text[span], inside.role);
                } else if let Some(IdRole { of_contract }) = of_value {
                    found.push(IdValue { span, of_contract });
                    named = None;
                }
                continue;
            }
            bracket @ (b'{' | b'[') => {
                open.push(OpenContainer { is_array: bracket == b'[', role: of_value });
                named = None;
            }
            b'}' | b']' => {
                open.pop();
                named = None;
            }
            b',' => named = None,
            b':' => {}
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b'"' | b':' | b'{' | b'[');
                let length = bytes[at..].iter().position(|b| ends(b) || b.is_ascii_whitespace());
                let span = at..length.map_or(bytes.len(), |length| at + length);
                at = span.end;
                if let Some(IdRole { of_contract }) = of_value {
                    found.push(IdValue { span, of_contract });
                    named = None;
                }
                continue;
            }
        }
        at += 1;
    }
    found
}

/// Returns the content of the string literal that begins at a quote; an unterminated one ends with
/// the text.
fn literal(bytes: &[u8], quote: usize) -> Range<usize> {
    let start = quote + 1;
    let mut at = start;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    start..at.min(bytes.len())
}

/// Returns the role of a member that holds an id, by its name and by the role of the value around
/// it; `None` for any other member.
fn id_role(name: &str, container: Option<IdRole>) -> Option<IdRole> {
    let name = Decoding::all_of(name).last()?.text.into_owned();
    let folded: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let of_contract = matches!(folded.as_str(), "partnerid" | "mergedinto");
    let named = folded.ends_with("partnerid") || folded.ends_with("mergedinto");
    if of_contract || named || matches!(folded.as_str(), "partner" | "partners" | "partnerids") {
        return Some(IdRole { of_contract });
    }
    // `"partner": {"id": …}`, and the unions of Avro's JSON encoding.
    container.filter(|_| matches!(folded.as_str(), "id" | "value" | "string"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_hold_ids_are_found_by_name() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            let found: Vec<_> = id_values(text).into_iter().map(|v| &text[v.span]).collect();
            assert_eq!(found, expected, "{text}");
        }
        check(r#"{"partner_id":"a","x":"b"}"#, &["a"]);
        check(r#"{"partner_id" : "a" , "partner_id":"b"}"#, &["a", "b"]);
        check(r#"{"x":{"partnerId":["a",{"id":"b","plan":"c"}]}}"#, &["a", "b"]);
        check(r#"{"partner_id":1001,"n":7,"referring-partner-id":"z"}"#, &["1001", "z"]);
        check(r#"{"p\u0061rtner_id":"a\"b"}"#, &[r#"a\"b"#]);
        check(r#"{"partner_id":null,"a":1}"#, &["null"]);
        check(r#"{"partner":{"name":"x"},"x":"y"}"#, &[]);
        check(r#"{broken "partner_id":"a"#, &["a"]);
        check(r#"]]}{"partner_id":a b}"#, &["a"]);
        check(r#"{"partner_id":"a\"#, &[r"a\"]);
        check("", &[]);
    }

    #[test]
    fn members_of_the_contracts_are_marked() {
        let text = r#"{"partner_id":"a","x":{"merged_into":["b"]},"partner":"c"}"#;
        let of: Vec<bool> = id_values(text).iter().map(|v| v.of_contract).collect();
        assert_eq!(of, [true, true, false]);
    }
}
