//! Decides from the name of a field, header or parameter whether its value is a secret.

/// A name that contains one of these (in lower case, without separators) is the name of a secret:
/// `Proxy-Authorization`, `set-cookie`, `x-api-key-2`, `passwordHash`.
const SECRET_SUBSTRINGS: [&str; 26] = [
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

/// A name that ends with one of these is the name of a secret: `X-Auth-Token`, `client_assertion`,
/// `webhookSecret`.
const SECRET_SUFFIXES: [&str; 7] =
    ["token", "secret", "secrets", "pwd", "jwt", "signature", "assertion"];

/// A name whose last word is one of these is the name of a secret: `db_pass`, `X-Auth`.
const SECRET_LAST_WORDS: [&str; 8] =
    ["auth", "oauth", "pass", "sig", "otp", "creds", "cred", "authentication"];

/// A key of one of these is a secret. Other keys (`partition_key`) are not.
const SECRET_KEY_OWNERS: [&str; 24] = [
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

/// Tokens of one of these are secrets. `prompt_tokens` is a number.
const SECRET_TOKEN_OWNERS: [&str; 6] = ["access", "refresh", "auth", "api", "session", "id"];

/// Words that may follow the last word that matters in a name.
const NEUTRAL_LAST_WORDS: [&str; 14] = [
    "header", "headers", "value", "values", "hash", "raw", "string", "text", "base64", "b64",
    "encoded", "plain", "old", "new",
];

/// A quick filter for names that may be those of secrets: it looks for three letters of each of the
/// names above. Nearly no field passes it.
pub(super) fn may_be_secret_name(text: &str) -> bool {
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

/// Whether a field with this name contains a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    if !may_be_secret_name(name) {
        return false;
    }
    let words = split_words(name);
    let is_neutral = |word: &String| {
        NEUTRAL_LAST_WORDS.contains(&word.as_str()) || word.bytes().all(|b| b.is_ascii_digit())
    };
    let folded = words.concat();
    if SECRET_SUBSTRINGS.iter().any(|secret| folded.contains(secret)) {
        return true;
    }
    let end = words.iter().rposition(|word| !is_neutral(word)).map_or(0, |last| last + 1);
    let Some(last) = words[..end].last() else { return false };
    let folded = words[..end].concat();
    let folded = folded.trim_end_matches(|c: char| c.is_ascii_digit());
    let of = |ending: &str, owners: &[&str]| {
        folded.strip_suffix(ending).is_some_and(|rest| owners.iter().any(|k| rest.ends_with(k)))
    };
    SECRET_SUFFIXES.iter().any(|ending| folded.ends_with(ending))
        || SECRET_LAST_WORDS.contains(&last.as_str())
        || of("key", &SECRET_KEY_OWNERS)
        || of("keys", &SECRET_KEY_OWNERS)
        || of("tokens", &SECRET_TOKEN_OWNERS)
}

/// Whether a text is certainly the name of a header or parameter with a secret, where it could also
/// be an ordinary word.
pub(crate) fn is_certainly_secret_name(name: &str) -> bool {
    let is_name = !name.is_empty() && name.len() <= 64 && !name.contains(char::is_whitespace);
    let is_strong = || {
        let folded = split_words(name).concat();
        SECRET_SUBSTRINGS.iter().any(|secret| folded.contains(secret))
    };
    is_name && (is_strong() || (name.contains(['-', '_']) && is_secret_name(name)))
}

/// Splits a name into its words in lower case: `X-Api-Key`, `x_api_key` and `xApiKey` are the same.
fn split_words(name: &str) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_found() {
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
            assert!(is_secret_name(name), "{name}");
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
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn the_prefilter_misses_no_name() {
        let lists =
            [&SECRET_SUBSTRINGS[..], &SECRET_SUFFIXES, &SECRET_LAST_WORDS, &["key", "tokens"]];
        for name in lists.into_iter().flatten() {
            assert!(may_be_secret_name(name) && may_be_secret_name(&name.to_uppercase()), "{name}");
        }
    }
}
