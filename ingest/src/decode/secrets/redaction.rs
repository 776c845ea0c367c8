//! Removes secrets from texts, where URLs, assignments and headers may contain them.

use std::borrow::Cow;

use super::names::{is_certainly_secret_name, is_secret_name, may_be_secret_name};

/// Returns the text without the secrets in its URLs, assignments (`apikey=…`) and headers.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    if !may_contain_secret(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut skip, mut before) = (Skip::Nothing, "");
    for token in tokens(text) {
        if token.starts_with(char::is_whitespace) {
            if token.contains(['\n', '\r']) {
                skip = Skip::Nothing;
            }
            out.push_str(token);
        } else if skip != Skip::Nothing || is_credential(before, token) {
            skip = if skip == Skip::Line { skip } else { Skip::Nothing };
            before = "";
        } else {
            let url = strip_user_info(token);
            let (cleaned, is_open) = redact_assignments(strip_query(&url));
            out.push_str(&cleaned);
            let is_sign = matches!(token, "=" | ":" | ":=" | "=>");
            skip = match skip_after(token) {
                _ if is_open => Skip::Line,
                Skip::Nothing if is_sign && is_secret_name(before) => Skip::Token,
                other => other,
            };
            before = token;
        }
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// A quick filter for texts that may contain a secret.
fn may_contain_secret(text: &str) -> bool {
    let has = |byte: u8| text.as_bytes().contains(&byte);
    has(b'?')
        || (has(b'@') && text.contains("//"))
        || (has(b'#') && has(b'='))
        || (has(b'%') && (text.contains("%3F") || text.contains("%3f")))
        || ((has(b'=') || has(b':') || has(b' ')) && may_be_secret_name(text))
        || (has(b' ') && (text.contains("asic ") || text.contains("ASIC ")))
        || (has(b'.') && text.contains("eyJ"))
}

/// What of the text is left out next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    Token,
    Line,
}

/// Returns what to leave out after a token that ends with a name and a colon: `Cookie: …`,
/// `"password": …`.
fn skip_after(token: &str) -> Skip {
    let Some(name) = token.strip_suffix(':') else { return Skip::Nothing };
    let bare = name.trim_end_matches(QUOTES);
    let bare = &bare[bare.rfind(|c| !is_name_character(c)).map_or(0, |at| at + 1)..];
    match bare.len() < name.len() && name.ends_with(QUOTES) {
        true if is_secret_name(bare) => Skip::Line,
        false if is_certainly_secret_name(bare) => Skip::Line,
        _ => Skip::Nothing,
    }
}

const QUOTES: [char; 3] = ['"', '\'', '\\'];

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || !character.is_ascii()
        || matches!(character, '_' | '-' | '.')
}

/// Splits the text where white space begins and ends.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let blank = rest.chars().next()?.is_whitespace();
        let end = rest.find(|c: char| c.is_whitespace() != blank).unwrap_or(rest.len());
        let token;
        (token, rest) = rest.split_at(end);
        Some(token)
    })
}

/// Whether the token follows `Bearer` or `Basic`, or is a JSON Web Token.
fn is_credential(before: &str, token: &str) -> bool {
    let trimmed = |text: &'_ str| text.trim_matches([',', ':', ';', '"', '\'', '\\', '=']).len();
    let length = trimmed(token);
    let mixed = token.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let ends = |scheme: &str| {
        let tail = before.len().checked_sub(scheme.len()).and_then(|at| before.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(scheme))
    };
    let is_web_token = token.find("eyJ").is_some_and(|at| {
        let jwt = &token[at..];
        jwt.len() > 20 && jwt.matches('.').count() >= 2
    });
    (ends("bearer") && (length >= 8 || mixed))
        || (ends("basic") && length >= 4 && mixed)
        || is_web_token
}

/// Returns the token without the user and password of its URLs.
fn strip_user_info(token: &str) -> Cow<'_, str> {
    if !token.contains('@') || !token.contains("//") {
        return Cow::Borrowed(token);
    }
    let mut out = String::with_capacity(token.len());
    let mut done = 0;
    while let Some(slashes) = token[done..].find("//") {
        let start = done + slashes + 2;
        out.push_str(&token[done..start]);
        done = start;
        // `//` begins a URL, or follows its scheme.
        if !matches!(token.as_bytes()[..start - 2].last(), None | Some(b':' | b'"' | b'\'' | b'='))
        {
            continue;
        }
        let rest = &token[start..];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        // A password may contain the characters that end an authority.
        let within = if contains_password(authority) { rest } else { authority };
        let user = authority.rfind('@').or_else(|| within.rfind('@'));
        done += user.map_or(0, |at| at + 1);
    }
    out.push_str(&token[done..]);
    Cow::Owned(out)
}

/// Whether the part before the path has something else than a port after its last colon.
fn contains_password(authority: &str) -> bool {
    let Some((_, last)) = authority.rsplit_once(':') else { return false };
    !last.is_empty() && !last.ends_with(']') && !last.bytes().all(|b| b.is_ascii_digit())
}

/// Returns the token up to a URL's query, which may be all there is of the URL, or up to a fragment
/// that looks like a query.
fn strip_query(token: &str) -> &str {
    let encoded = || token.find("%3F").or_else(|| token.find("%3f")).map(|at| (at, 3));
    let query = token.find('?').map(|at| (at, 1)).or_else(encoded);
    let cut = query.filter(|(at, length)| {
        let (before, rest) = (&token[..*at], &token[at + length..]);
        let of_path = before.contains('/') || before.contains("%2F") || before.contains("%2f");
        let alone = before.trim_start_matches(QUOTES).is_empty();
        !rest.is_empty() && (of_path || alone || rest.contains('=') || rest.contains("%3D"))
    });
    let token = cut.map_or(token, |(at, _)| &token[..at]);
    let fragment =
        token.find('#').filter(|at| token[..*at].contains('/') && token[*at..].contains('='));
    fragment.map_or(token, |at| &token[..at])
}

/// Returns the token without the values after `name=` or `"name":`, where the name is that of a
/// secret, and whether the value goes on after the next white space.
fn redact_assignments(token: &str) -> (Cow<'_, str>, bool) {
    let mut out = String::new();
    let (mut done, mut is_open) = (0, false);
    for (at, sign) in token.match_indices(['=', ':']) {
        if at < done {
            continue;
        }
        let quoted = &token[..at];
        let bare = quoted.trim_end_matches(QUOTES);
        let start = bare.char_indices().rev().find(|(_, c)| !is_name_character(*c));
        let name = &bare[start.map_or(0, |(at, c)| at + c.len_utf8())..];
        let is_named = sign == "=" || bare.len() < quoted.len();
        if !(if is_named { is_secret_name(name) } else { is_certainly_secret_name(name) }) {
            continue;
        }
        let value = &token[at + 1..];
        let inside = value.trim_start_matches(QUOTES);
        let from = token.len() - inside.len();
        let end = inside.find(['&', ';', '"', '\'', '<', '\\']);
        is_open = end.is_none() && inside.len() < value.len();
        out.push_str(&token[done..from]);
        done = end.map_or(token.len(), |end| from + end);
    }
    if done == 0 {
        return (Cow::Borrowed(token), false);
    }
    out.push_str(&token[done..]);
    (Cow::Owned(out), is_open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_texts_are_redacted() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(redact(text), expected, "{text}");
        }
        check("https://u:p@h/x?k=v", "https://h/x");
        check("https://u@h/x", "https://h/x");
        check("postgres://u:p/w?@h:5432/db", "postgres://h:5432/db");
        check("see https://h/a?k=1 and http://u:p@h/b#f", "see https://h/a and http://h/b#f");
        check("https://h:8080/x?mail=a@b.c", "https://h:8080/x");
        check("https://[::1]/p@q", "https://[::1]/p@q");
        check("//u:p@h/x", "//h/x");
        check("/v1/x?apikey=abc", "/v1/x");
        check("/v1/x?abc", "/v1/x");
        check("v1?apikey=abc", "v1");
        check("?apikey=abc", "");
        check("GET /v1/x?apikey=abc HTTP/1.1", "GET /v1/x HTTP/1.1");
        check("/cb#access_token=abc&x=1", "/cb");
        check("https%3A%2F%2Fh%2Fx%3Fapikey%3Dabc", "https%3A%2F%2Fh%2Fx");
        check("a=1&client_secret=abc&b=2", "a=1&client_secret=&b=2");
        check("user=x;password=abc;b", "user=x;password=;b");
        check("/x;jsessionid=ABC", "/x;jsessionid=");
        check("password = abc def", "password =  def");
        check("Cookie: a=b; c=d\nHost: h", "Cookie:  \nHost: h");
        check("Authorization: Basic dXNlcjpwYXNz", "Authorization:  ");
        check("Bearer abc.def-123", "Bearer ");
        check("sent Bearer abcdefgh to h", "sent Bearer  to h");
        check("Basic dXNlcjpwYXNz", "Basic ");
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "");
        check(r#"{"password":"a b","x":1"#, r#"{"password":" "#);
        check(r#"{"api_key": "abc", "x"#, r#"{"api_key":  "#);
        check(r#"password="a b" c"#, r#"password="  "#);
        for text in [
            "",
            "plain",
            "12:30",
            "what? yes",
            "is it?",
            "a@b.c",
            "mailto:a@b.c",
            "k=v",
            "https://h/a/b",
            "https://h/a#part",
            "basic training",
            "a bearer of news",
            "50 % = half",
            "x:y",
            "host:8080",
            "the token is gone",
            "2026-01-01T00:00:00Z",
            "https://h/@user",
            "größer = 1",
            "?",
            "a //b",
        ] {
            check(text, text);
        }
    }
}
