//! Messages of others that may quote a value which must not be shown.

/// A piece of a value that is at least this long is hidden too, in characters.
const PIECE: usize = 6;

/// A piece that says nothing of a value: the program's own name begins its messages and commands.
const OWN_NAME: &str = "rapport";

/// What stands in place of a value.
const HIDDEN: &str = "…";

/// The text without these values, whole or in pieces. A value shorter than a piece is hidden where
/// it stands as a word of its own.
pub fn hide<'a>(text: &str, values: impl IntoIterator<Item = &'a str>) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut hidden = vec![false; chars.len()];
    for value in values {
        let value: Vec<char> = value.trim().chars().collect();
        let piece = value.len().min(PIECE);
        if piece == 0 || chars.len() < piece {
            continue;
        }
        for at in 0..=chars.len() - piece {
            let end = at + piece;
            let found = value.windows(piece).any(|part| part == &chars[at..end]);
            let in_a_word = |at: usize| chars.get(at).is_some_and(|c| c.is_alphanumeric());
            let mut around = at.checked_sub(1).into_iter().chain([end]);
            let whole = piece == PIECE || !around.any(in_a_word);
            let own = || OWN_NAME.contains(&chars[at..end].iter().collect::<String>());
            if found && whole && !(piece == PIECE && own()) {
                hidden[at..end].fill(true);
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    for (place, c) in chars.iter().enumerate() {
        match (hidden[place], place > 0 && hidden[place - 1]) {
            (false, _) => out.push(*c),
            (true, false) => out.push_str(HIDDEN),
            (true, true) => {}
        }
    }
    out
}

/// Whether an address holds a user or a password (`https://user:password@host`).
pub fn holds_credentials(address: &str) -> bool {
    address.split(',').any(|one| {
        let rest = one.split_once("://").map_or(one, |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_whole_and_in_pieces() {
        #[track_caller]
        fn check(text: &str, values: &[&str], expected: &str) {
            assert_eq!(hide(text, values.iter().copied()), expected);
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
            assert_eq!(holds_credentials(address), holds, "{address}");
        };
        check("127.0.0.1:9092", false);
        check("https://host/a@b", false);
        check("https://user:password@host/x", true);
        check("a:9092,user:password@b:9092", true);
        check("s3://key@bucket", true);
    }
}
