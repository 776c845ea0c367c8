//! What is a secret in fields that no contract names: by a field's name, and inside texts, where
//! URLs, assignments and headers may hold one.

use std::borrow::Cow;

/// A name with one of these anywhere in it (as letters and digits, in lower case) is that of a
/// secret: `Proxy-Authorization`, `set-cookie`, `x-api-key-2`, `passwordHash`.
const ANYWHERE: [&str; 26] = [
    "authorization",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "kennwort",
    "cookie",
    "credential",
    "bearer",
    "apikey",
    "apisecret",
    "privatekey",
    "secretkey",
    "accesskey",
    "signingkey",
    "encryptionkey",
    "clientsecret",
    "accesstoken",
    "refreshtoken",
    "securitytoken",
    "authtoken",
    "idtoken",
    "sessionid",
    "xsrf",
    "csrf",
];

/// So may a name end: `X-Auth-Token`, `client_assertion`, `webhookSecret`.
const ENDINGS: [&str; 7] = ["token", "secret", "secrets", "pwd", "jwt", "signature", "assertion"];

/// A whole word of its own at the end of a name: `db_pass`, `X-Auth`.
const WORDS: [&str; 8] = ["auth", "oauth", "pass", "sig", "otp", "creds", "cred", "authentication"];

/// A key of these is a secret, other ones (`partition_key`) are not.
const KEYS: [&str; 24] = [
    "shared",
    "master",
    "subscription",
    "function",
    "functions",
    "license",
    "auth",
    "session",
    "account",
    "ssh",
    "client",
    "consumer",
    "app",
    "application",
    "webhook",
    "storage",
    "admin",
    "service",
    "hmac",
    "aes",
    "rsa",
    "pgp",
    "gpg",
    "developer",
];

/// Tokens of these are secrets, `prompt_tokens` are a number.
const TOKENS: [&str; 6] = ["access", "refresh", "auth", "api", "session", "id"];

/// What may follow after what matters in a name.
const AFTER: [&str; 14] = [
    "header", "headers", "value", "values", "hash", "raw", "string", "text", "base64", "b64",
    "encoded", "plain", "old", "new",
];

/// Whether a text may name a secret at all: three letters of each of the names above. Quick, for
/// nearly no field does.
fn may_name(text: &str) -> bool {
    let begins = |three: &[u8]| {
        let lower = [three[0] | 0x20, three[1] | 0x20, three[2] | 0x20];
        matches!(
            &lower,
            b"aut"
                | b"pas"
                | b"ken"
                | b"coo"
                | b"cre"
                | b"bea"
                | b"key"
                | b"sec"
                | b"ses"
                | b"tok"
                | b"srf"
                | b"pwd"
                | b"jwt"
                | b"sig"
                | b"ass"
                | b"otp"
        )
    };
    !text.is_ascii() || text.as_bytes().windows(3).any(begins)
}

/// Whether a field of this name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    if !may_name(name) {
        return false;
    }
    let words = words(name);
    let after =
        |word: &String| AFTER.contains(&word.as_str()) || word.bytes().all(|b| b.is_ascii_digit());
    let folded = words.concat();
    if ANYWHERE.iter().any(|secret| folded.contains(secret)) {
        return true;
    }
    let end = words.iter().rposition(|word| !after(word)).map_or(0, |last| last + 1);
    let Some(last) = words[..end].last() else { return false };
    let folded = words[..end].concat();
    let folded = folded.trim_end_matches(|c: char| c.is_ascii_digit());
    let of = |ending: &str, kinds: &[&str]| {
        folded.strip_suffix(ending).is_some_and(|rest| kinds.iter().any(|k| rest.ends_with(k)))
    };
    ENDINGS.iter().any(|ending| folded.ends_with(ending))
        || WORDS.contains(&last.as_str())
        || of("key", &KEYS)
        || of("keys", &KEYS)
        || of("tokens", &TOKENS)
}

/// Whether a text is the name of a header or parameter that holds a secret, where it might as well
/// be an ordinary word.
pub(super) fn is_surely_secret(name: &str) -> bool {
    let is_name = !name.is_empty() && name.len() <= 64 && !name.contains(char::is_whitespace);
    let is_strong = || {
        let folded = words(name).concat();
        ANYWHERE.iter().any(|secret| folded.contains(secret))
    };
    is_name && (is_strong() || (name.contains(['-', '_']) && is_secret(name)))
}

/// The words of a name in lower case: `X-Api-Key`, `x_api_key` and `xApiKey` are the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    while let Some(character) = rest.next() {
        let next_is_small = rest.peek().is_some_and(|next| next.is_lowercase());
        let begins = character.is_uppercase()
            && (before.is_lowercase() || (before.is_uppercase() && next_is_small));
        if begins || !character.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
        before = character;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The text without the secrets that URLs, assignments (`apikey=…`) and headers in it hold.
pub(super) fn without(text: &str) -> Cow<'_, str> {
    if !may_hold(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut skip, mut before) = (Skip::Nothing, "");
    for piece in pieces(text) {
        if piece.starts_with(char::is_whitespace) {
            if piece.contains(['\n', '\r']) {
                skip = Skip::Nothing;
            }
            out.push_str(piece);
        } else if skip != Skip::Nothing || is_credential(before, piece) {
            skip = if skip == Skip::Line { skip } else { Skip::Nothing };
            before = "";
        } else {
            let url = without_user(piece);
            let (cleaned, is_open) = without_assignments(without_query(&url));
            out.push_str(&cleaned);
            let is_sign = matches!(piece, "=" | ":" | ":=" | "=>");
            skip = match after(piece) {
                _ if is_open => Skip::Line,
                Skip::Nothing if is_sign && is_secret(before) => Skip::Piece,
                other => other,
            };
            before = piece;
        }
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Quick, and says nothing yet.
fn may_hold(text: &str) -> bool {
    let has = |byte: u8| text.as_bytes().contains(&byte);
    has(b'?')
        || (has(b'@') && text.contains("//"))
        || (has(b'#') && has(b'='))
        || (has(b'%') && (text.contains("%3F") || text.contains("%3f")))
        || ((has(b'=') || has(b':') || has(b' ')) && may_name(text))
        || (has(b' ') && (text.contains("asic ") || text.contains("ASIC ")))
        || (has(b'.') && text.contains("eyJ"))
}

/// What of a text is left out next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    Piece,
    Line,
}

/// What to leave out after a piece that ends a name: `Cookie: …`, `"password": …`.
fn after(piece: &str) -> Skip {
    let Some(name) = piece.strip_suffix(':') else { return Skip::Nothing };
    let bare = name.trim_end_matches(QUOTES);
    let bare = &bare[bare.rfind(|c| !is_of_name(c)).map_or(0, |at| at + 1)..];
    match bare.len() < name.len() && name.ends_with(QUOTES) {
        true if is_secret(bare) => Skip::Line,
        false if is_surely_secret(bare) => Skip::Line,
        _ => Skip::Nothing,
    }
}

const QUOTES: [char; 3] = ['"', '\'', '\\'];

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || !character.is_ascii()
        || matches!(character, '_' | '-' | '.')
}

/// The text cut where white space begins and ends.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let blank = rest.chars().next()?.is_whitespace();
        let end = rest.find(|c: char| c.is_whitespace() != blank).unwrap_or(rest.len());
        let piece;
        (piece, rest) = rest.split_at(end);
        Some(piece)
    })
}

/// Whether the piece is what follows after `Bearer` or `Basic`, or a JSON Web Token.
fn is_credential(before: &str, piece: &str) -> bool {
    let trimmed = |text: &'_ str| text.trim_matches([',', ':', ';', '"', '\'', '\\', '=']).len();
    let length = trimmed(piece);
    let mixed = piece.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let ends = |scheme: &str| {
        let tail = before.len().checked_sub(scheme.len()).and_then(|at| before.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(scheme))
    };
    let is_web_token = piece.find("eyJ").is_some_and(|at| {
        let token = &piece[at..];
        token.len() > 20 && token.matches('.').count() >= 2
    });
    (ends("bearer") && (length >= 8 || mixed))
        || (ends("basic") && length >= 4 && mixed)
        || is_web_token
}

/// The piece without user and password of the URLs in it.
fn without_user(piece: &str) -> Cow<'_, str> {
    if !piece.contains('@') || !piece.contains("//") {
        return Cow::Borrowed(piece);
    }
    let mut out = String::with_capacity(piece.len());
    let mut done = 0;
    while let Some(slashes) = piece[done..].find("//") {
        let start = done + slashes + 2;
        out.push_str(&piece[done..start]);
        done = start;
        // `//` begins a URL, or follows after its scheme.
        if !matches!(piece.as_bytes()[..start - 2].last(), None | Some(b':' | b'"' | b'\'' | b'='))
        {
            continue;
        }
        let rest = &piece[start..];
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        // A password may hold what ends an authority.
        let within = if holds_password(authority) { rest } else { authority };
        let user = authority.rfind('@').or_else(|| within.rfind('@'));
        done += user.map_or(0, |at| at + 1);
    }
    out.push_str(&piece[done..]);
    Cow::Owned(out)
}

/// Whether what stands before the path has something else than a port after its last colon.
fn holds_password(authority: &str) -> bool {
    let Some((_, last)) = authority.rsplit_once(':') else { return false };
    !last.is_empty() && !last.ends_with(']') && !last.bytes().all(|b| b.is_ascii_digit())
}

/// The piece up to a URL's query, which may be all there is of the URL, or a fragment that is like
/// one.
fn without_query(piece: &str) -> &str {
    let encoded = || piece.find("%3F").or_else(|| piece.find("%3f")).map(|at| (at, 3));
    let query = piece.find('?').map(|at| (at, 1)).or_else(encoded);
    let cut = query.filter(|(at, length)| {
        let (before, after) = (&piece[..*at], &piece[at + length..]);
        let of_path = before.contains('/') || before.contains("%2F") || before.contains("%2f");
        let alone = before.trim_start_matches(QUOTES).is_empty();
        !after.is_empty() && (of_path || alone || after.contains('=') || after.contains("%3D"))
    });
    let piece = cut.map_or(piece, |(at, _)| &piece[..at]);
    let fragment =
        piece.find('#').filter(|at| piece[..*at].contains('/') && piece[*at..].contains('='));
    fragment.map_or(piece, |at| &piece[..at])
}

/// The piece with nothing after `name=`, `"name":` where the name is that of a secret; and whether
/// that may go on after the next blank.
fn without_assignments(piece: &str) -> (Cow<'_, str>, bool) {
    let mut out = String::new();
    let (mut done, mut is_open) = (0, false);
    for (at, sign) in piece.match_indices(['=', ':']) {
        if at < done {
            continue;
        }
        let quoted = &piece[..at];
        let bare = quoted.trim_end_matches(QUOTES);
        let start = bare.char_indices().rev().find(|(_, c)| !is_of_name(*c));
        let name = &bare[start.map_or(0, |(at, c)| at + c.len_utf8())..];
        let is_named = sign == "=" || bare.len() < quoted.len();
        if !(if is_named { is_secret(name) } else { is_surely_secret(name) }) {
            continue;
        }
        let value = &piece[at + 1..];
        let inside = value.trim_start_matches(QUOTES);
        let from = piece.len() - inside.len();
        let end = inside.find(['&', ';', '"', '\'', '<', '\\']);
        is_open = end.is_none() && inside.len() < value.len();
        out.push_str(&piece[done..from]);
        done = end.map_or(piece.len(), |end| from + end);
    }
    if done == 0 {
        return (Cow::Borrowed(piece), false);
    }
    out.push_str(&piece[done..]);
    (Cow::Owned(out), is_open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "authorization",
            "Proxy-Authorization",
            "AUTHORIZATION",
            "authorization_header",
            "cookie",
            "Cookie",
            "set-cookie",
            "Set_Cookie",
            "setCookie",
            "cookies",
            "COOKIE2",
            "password",
            "Password",
            "user.password",
            "passwordHash",
            "password2",
            "old_password",
            "db_pass",
            "passwd",
            "passphrase",
            "pwd",
            "userPwd",
            "api_key",
            "apiKey",
            "API-KEY",
            "APIKey",
            "apikey",
            "x-api-key",
            "X_API_KEY",
            "x-api-key-2",
            "apiKeys",
            "token",
            "Token",
            "access_token",
            "accessToken",
            "ACCESS_TOKEN",
            "id-token",
            "X-Auth-Token",
            "token_value",
            "tokenHash",
            "refresh_tokens",
            "secret",
            "client_secret",
            "clientSecret",
            "private_key",
            "privateKeyPem",
            "PRIVATE-KEY",
            "aws_secret_access_key",
            "bearer",
            "Bearer",
            "bearer_token",
            "x-auth",
            "auth",
            "oauth",
            "jwt",
            "X-Amz-Security-Token",
            "x-csrf-token",
            "signature",
            "sig",
            "otp",
            "credential_id",
            "credentials",
            "session_id",
            "Ocp-Apim-Subscription-Key",
            "x-functions-key",
            "appKey",
            "webhook_signing_key",
            "client_assertion",
            "api key",
            "api.key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "",
            "note",
            "token_count",
            "prompt_tokens",
            "max_tokens",
            "tokens",
            "key",
            "keys",
            "partition_key",
            "idempotency_key",
            "primaryKey",
            "author",
            "authored_by",
            "passenger",
            "compass",
            "bypass",
            "passed",
            "session",
            "design",
            "assigned",
            "secretary",
            "user",
            "host",
            "uri",
            "日本",
            "-",
            "path",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn the_quick_look_overlooks_no_name() {
        let lists = [&ANYWHERE[..], &ENDINGS, &WORDS, &["key", "tokens"]];
        for name in lists.into_iter().flatten() {
            assert!(may_name(name) && may_name(&name.to_uppercase()), "{name}");
        }
    }

    #[test]
    fn texts_lose_their_secrets() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(without(text), expected, "{text}");
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
