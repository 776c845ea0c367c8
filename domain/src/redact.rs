//! Hides secrets in messages that other libraries wrote and that may quote them.

/// Pieces of a secret that are at least this many characters long are hidden too.
const PIECE_CHARS: usize = 6;

/// A piece that reveals nothing of a secret: messages and commands begin with the program's name.
const PROGRAM_NAME: &str = "rapport";

/// What stands in place of a secret.
const PLACEHOLDER: &str = "…";

/// Returns the text without these secrets, whole or in pieces. A secret shorter than a piece is
/// hidden only where it stands as a word of its own.
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut hidden = vec![false; chars.len()];
    for secret in secrets {
        let secret: Vec<char> = secret.trim().chars().collect();
        let piece = secret.len().min(PIECE_CHARS);
        if piece == 0 || chars.len() < piece {
            continue;
        }
        for start in 0..=chars.len() - piece {
            let end = start + piece;
            let found = secret.windows(piece).any(|part| part == &chars[start..end]);
            let in_a_word = |at: usize| chars.get(at).is_some_and(|c| c.is_alphanumeric());
            let mut around = start.checked_sub(1).into_iter().chain([end]);
            let is_hidable = piece == PIECE_CHARS || !around.any(in_a_word);
            let is_program_name =
                || PROGRAM_NAME.contains(&chars[start..end].iter().collect::<String>());
            if found && is_hidable && !(piece == PIECE_CHARS && is_program_name()) {
                hidden[start..end].fill(true);
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    for (index, c) in chars.iter().enumerate() {
        match (hidden[index], index > 0 && hidden[index - 1]) {
            (false, _) => out.push(*c),
            (true, false) => out.push_str(PLACEHOLDER),
            (true, true) => {}
        }
    }
    out
}

/// Returns whether an address, or one of several separated by commas, holds a user or a password
/// (`https://user:password@host`).
pub fn has_credentials(addresses: &str) -> bool {
    addresses.split(',').any(|address| {
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_whole_and_in_pieces() {
        #[track_caller]
        fn check(text: &str, secrets: &[&str], expected: &str) {
            assert_eq!(redact(text, secrets.iter().copied()), expected);
        }
        check("bad value \"hunter2-very\"", &["hunter2-very"], "bad value \"…\"");
        check("beginning at: r2-very", &["hunter2-very"], "beginning at: …");
        check("hunter2hunter2", &["hunter2"], "…");
        check("no value", &["", "hunter2"], "no value");
        check("ssl.ca: ssl is 1, 10", &["ssl", "1"], "….ca: … is …, 10");
        check("é: pässwörd!", &["pässwörd"], "é: …!");
        check("rapport: it is rapport-hush", &["rapport-hush"], "rapport: it is ra…");
    }

    #[test]
    fn addresses_with_credentials() {
        let check = |address: &str, holds: bool| {
            assert_eq!(has_credentials(address), holds, "{address}");
        };
        check("127.0.0.1:9092", false);
        check("https://host/a@b", false);
        check("https://user:password@host/x", true);
        check("a:9092,user:password@b:9092", true);
        check("s3://key@bucket", true);
    }
}
