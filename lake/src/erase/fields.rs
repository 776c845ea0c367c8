//! Where JSON gives a partner's id: the values of members named like one, all of a name given
//! twice. Text that is no JSON is read as far as it looks like some.

use std::ops::Range;

use super::readings::Reading;

/// A value in the place of an id.
pub(super) struct IdValue {
    /// Without its quotes.
    pub(super) place: Range<usize>,
    /// Whether the contracts name the member, rather than one who sent more.
    pub(super) of_contract: bool,
}

/// What the members of an object, or the elements of an array, are.
#[derive(Clone, Copy, Default)]
struct Open {
    is_array: bool,
    is_id: Option<IsId>,
}

/// That a value is an id, and whether the contracts say so.
#[derive(Clone, Copy)]
struct IsId {
    of_contract: bool,
}

/// The texts and numbers that stand where an id does.
pub(super) fn id_values(text: &str) -> Vec<IdValue> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut named: Option<IsId> = None;
    let mut at = 0;
    while at < bytes.len() {
        let inside = open.last().copied().unwrap_or_default();
        let of_value = named.or(inside.is_id.filter(|_| inside.is_array));
        match bytes[at] {
            b'"' => {
                let place = literal(bytes, at);
                at = (place.end + 1).min(bytes.len());
                let colon = bytes[at..].iter().position(|b| !b.is_ascii_whitespace());
                if colon.is_some_and(|colon| bytes[at + colon] == b':') {
                    named = is_id(&text[place], inside.is_id);
                } else if let Some(IsId { of_contract }) = of_value {
                    found.push(IdValue { place, of_contract });
                    named = None;
                }
                continue;
            }
            bracket @ (b'{' | b'[') => {
                open.push(Open { is_array: bracket == b'[', is_id: of_value });
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
                let place = at..length.map_or(bytes.len(), |length| at + length);
                at = place.end;
                if let Some(IsId { of_contract }) = of_value {
                    found.push(IdValue { place, of_contract });
                    named = None;
                }
                continue;
            }
        }
        at += 1;
    }
    found
}

/// The inside of the string literal that begins here, up to the end of the text if it has none.
fn literal(bytes: &[u8], quote: usize) -> Range<usize> {
    let start = quote + 1;
    let mut at = start;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    start..at.min(bytes.len())
}

/// Whether a member of this name, in a value that is an id or not, holds an id.
fn is_id(name: &str, around: Option<IsId>) -> Option<IsId> {
    let name = Reading::all(name).last()?.text.into_owned();
    let folded: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let of_contract = matches!(folded.as_str(), "partnerid" | "mergedinto");
    let named = folded.ends_with("partnerid") || folded.ends_with("mergedinto");
    if of_contract || named || matches!(folded.as_str(), "partner" | "partners" | "partnerids") {
        return Some(IsId { of_contract });
    }
    // `"partner": {"id": …}`, and how Avro's JSON writes a union.
    around.filter(|_| matches!(folded.as_str(), "id" | "value" | "string"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_where_their_names_say() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            let found: Vec<_> = id_values(text).into_iter().map(|v| &text[v.place]).collect();
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
    fn the_contracts_own_names_are_told_apart() {
        let text = r#"{"partner_id":"a","x":{"merged_into":["b"]},"partner":"c"}"#;
        let of: Vec<bool> = id_values(text).iter().map(|v| v.of_contract).collect();
        assert_eq!(of, [true, true, false]);
    }
}
