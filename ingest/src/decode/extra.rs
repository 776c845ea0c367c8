//! The column `extra`: fields of an event that its contract does not name, as one JSON object.

use std::borrow::Cow;

use super::number;

/// Beyond this many bytes the whole column is left out.
const MOST_BYTES: usize = 16 * 1024;

/// A name that ends in one of these (case, `-` and `_` aside) is that of a secret:
/// `Authorization`, `api-key`, `access_token`, `clientSecret`.
const SECRETS: [&str; 5] = ["authorization", "password", "apikey", "token", "secret"];

/// What the JSON grammar allows and we can't keep: a number beyond Float64, half a surrogate pair.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unkeepable(pub(super) &'static str);

/// The unknown fields as a JSON object: ordered by name, without white space, members named like a
/// secret left out at any depth. `None` when nothing is left, or too much. `fields` are names and
/// valid JSON values in the order they came; of a name given twice the last counts.
pub(super) fn object(
    fields: &mut [(Cow<'_, str>, Cow<'_, str>)],
) -> Result<Option<String>, Unkeepable> {
    if fields.is_empty() {
        return Ok(None);
    }
    fields.sort_by(|a, b| a.0.cmp(&b.0)); // stable: the last of a name stays the last
    let mut out = String::from("{");
    for (at, (name, value)) in fields.iter().enumerate() {
        let start = out.len();
        if start > 1 {
            out.push(',');
        }
        push_name(&mut out, name);
        // Also what will not be stored must be JSON that we could read.
        copy(value, &mut out)?;
        let again = fields.get(at + 1).is_some_and(|(next, _)| next == name);
        if again || is_secret(name) {
            out.truncate(start);
        }
    }
    out.push('}');
    Ok((out.len() > 2 && out.len() <= MOST_BYTES).then_some(out))
}

/// Looks at a valid JSON value for what can't be kept.
pub(super) fn check(value: &str) -> Result<(), Unkeepable> {
    copy(value, &mut String::new())
}

/// The string a JSON string literal (with its quotes) stands for.
pub(super) fn unquote(literal: &str) -> Result<Cow<'_, str>, Unkeepable> {
    let inner = &literal[1..literal.len() - 1];
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(literal)
        .map(Cow::Owned)
        .map_err(|_| Unkeepable("half a surrogate pair in a string"))
}

fn push_name(out: &mut String, name: &str) {
    out.push_str(&serde_json::Value::from(name).to_string());
    out.push(':');
}

fn is_secret(name: &str) -> bool {
    let folded: String =
        name.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect();
    SECRETS.iter().any(|secret| folded.ends_with(secret))
}

/// One open object or array on the way down.
struct Level {
    is_object: bool,
    /// In an object: the next string is a name.
    expects_name: bool,
    /// Whether a member was written already.
    has_member: bool,
}

/// Where the copy stands. A stack of our own: a record may nest deeper than a thread's stack bears.
struct Copier<'o> {
    out: &'o mut String,
    levels: Vec<Level>,
    /// The depth whose current member is a secret.
    skipping: Option<usize>,
}

/// Copies one value, which the JSON parser has found valid, without white space and secrets.
fn copy(json: &str, out: &mut String) -> Result<(), Unkeepable> {
    let mut copier = Copier { out, levels: Vec::new(), skipping: None };
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b'"' => at + string_length(&bytes[at..]),
            b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'[' | b'}' | b']' | b':' | b',' => at + 1,
            _ => at + scalar_length(&bytes[at..]),
        };
        let token = &json[at..end];
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b':' => {}
            b',' => copier.comma(),
            b'{' | b'[' => copier.open(token),
            b'}' | b']' => copier.close(token),
            b'"' => copier.string(token)?,
            b'-' | b'0'..=b'9' if !number::is_finite(token) => {
                return Err(Unkeepable("a number beyond Float64"));
            }
            _ => copier.scalar(token),
        }
        at = end;
    }
    Ok(())
}

impl Copier<'_> {
    fn comma(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.expects_name = level.is_object;
        }
    }

    fn open(&mut self, bracket: &str) {
        self.write(bracket);
        let is_object = bracket == "{";
        self.levels.push(Level { is_object, expects_name: is_object, has_member: false });
    }

    fn close(&mut self, bracket: &str) {
        self.levels.pop();
        if self.skipping.is_none() {
            self.out.push_str(bracket);
        }
        self.end_of_value();
    }

    fn string(&mut self, literal: &str) -> Result<(), Unkeepable> {
        let text = unquote(literal)?;
        let depth = self.levels.len();
        match self.levels.last_mut() {
            Some(level) if level.expects_name => {
                level.expects_name = false;
                if self.skipping.is_none() && is_secret(&text) {
                    self.skipping = Some(depth);
                } else if self.skipping.is_none() {
                    if std::mem::replace(&mut level.has_member, true) {
                        self.out.push(',');
                    }
                    self.out.push_str(literal);
                    self.out.push(':');
                }
            }
            _ => self.scalar(literal),
        }
        Ok(())
    }

    fn scalar(&mut self, token: &str) {
        self.write(token);
        self.end_of_value();
    }

    /// Writes the beginning of a value, after the comma that an array's member needs.
    fn write(&mut self, token: &str) {
        if self.skipping.is_some() {
            return;
        }
        if let Some(level) = self.levels.last_mut().filter(|level| !level.is_object)
            && std::mem::replace(&mut level.has_member, true)
        {
            self.out.push(',');
        }
        self.out.push_str(token);
    }

    fn end_of_value(&mut self) {
        if self.skipping == Some(self.levels.len()) {
            self.skipping = None;
        }
    }
}

/// The length of the string literal that `bytes` begin with, quotes included.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of the number or word that `bytes` begin with.
fn scalar_length(bytes: &[u8]) -> usize {
    let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_object(fields: &[(&str, &str)], expected: &Result<Option<&str>, Unkeepable>) {
        let fields = fields.iter().map(|(n, v)| (Cow::Borrowed(*n), Cow::Borrowed(*v)));
        let mut fields: Vec<_> = fields.collect();
        assert_eq!(object(&mut fields).as_ref().map(|o| o.as_deref()), expected.as_ref().copied());
    }

    #[test]
    fn unknown_fields_are_kept() {
        check_object(&[], &Ok(None));
        check_object(&[("b", "1"), ("a", "null")], &Ok(Some(r#"{"a":null,"b":1}"#)));
        check_object(&[("a", "1"), ("b", "2"), ("a", "3")], &Ok(Some(r#"{"a":3,"b":2}"#)));
        check_object(&[("a\"\n", r#""\u00e9""#)], &Ok(Some(r#"{"a\"\n":"\u00e9"}"#)));
        check_object(
            &[("a", "[ 1 , [ ] , { } , {\"x\" : [ true, \"]\\\"\" ] } ]")],
            &Ok(Some(r#"{"a":[1,[],{},{"x":[true,"]\""]}]}"#)),
        );
    }

    #[test]
    fn secrets_are_dropped() {
        for name in ["authorization", "Password", "API-Key", "apiKey", "x_api_key", "access_token"]
        {
            check_object(&[(name, "1")], &Ok(None));
            check_object(&[(name, "{}"), ("z", "[]")], &Ok(Some(r#"{"z":[]}"#)));
            let nested = format!(
                r#"[{{"{name}":{{"a":[1,{{"b":2}}]}},"k":1}},{{"{name}":"x"}},{{"k":2,"{name}":[]}}]"#
            );
            check_object(&[("n", &nested)], &Ok(Some(r#"{"n":[{"k":1},{},{"k":2}]}"#)));
        }
        check_object(&[("n", r#"{"pass\u0077ord":1}"#)], &Ok(Some(r#"{"n":{}}"#)));
        check_object(&[("token_count", "7")], &Ok(Some(r#"{"token_count":7}"#)));
    }

    #[test]
    fn too_much_is_left_out() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        let most = text(MOST_BYTES - r#"{"a":""}"#.len());
        let kept = format!(r#"{{"a":{most}}}"#);
        check_object(&[("a", &most)], &Ok(Some(&kept)));
        check_object(&[("a", &text(MOST_BYTES - 7))], &Ok(None));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        check_object(&[("a", &deep)], &Ok(None));
    }

    #[test]
    fn what_can_not_be_kept_is_found_anywhere() {
        let number = Err(Unkeepable("a number beyond Float64"));
        let surrogate = Err(Unkeepable("half a surrogate pair in a string"));
        check_object(&[("a", "1e400")], &number);
        check_object(&[("token", "1e400")], &number);
        check_object(&[("a", "1e400"), ("a", "1")], &number);
        check_object(&[("a", r#"{"token":[-1e400]}"#)], &number);
        check_object(&[("a", r#"[{"b":"\ud800"}]"#)], &surrogate);
        check_object(&[("a", r#"{"\ud800":1}"#)], &surrogate);
    }
}
