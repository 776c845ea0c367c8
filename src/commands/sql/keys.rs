//! The keyboard: a terminal that hands over each key, and what its bytes mean.

use std::io::{self, Read, stdin};

use rustix::termios::{OptionalActions, OutputModes, Termios, tcgetattr, tcsetattr};

/// What was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    Eof,
    /// Ctrl-U, Ctrl-K, Ctrl-W: up to the cursor, from it on, the word before it.
    EraseBefore,
    EraseAfter,
    EraseWord,
    Unknown,
}

/// The terminal hands over keys unechoed until this is dropped.
pub(super) struct RawMode(Termios);

impl RawMode {
    pub(super) fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // What we write keeps its meaning.
        raw.output_modes |= OutputModes::OPOST;
        tcsetattr(stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.0);
    }
}

/// The next key; `Eof` where the terminal is gone.
pub(super) fn read(input: &mut impl Read) -> io::Result<Key> {
    let Some(first) = byte(input)? else { return Ok(Key::Eof) };
    Ok(match first {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x01 => Key::Home,
        0x03 => Key::Interrupt,
        0x04 => Key::Eof,
        0x05 => Key::End,
        0x08 | 0x7f => Key::Backspace,
        0x0b => Key::EraseAfter,
        0x15 => Key::EraseBefore,
        0x17 => Key::EraseWord,
        0x1b => escape(input)?,
        0x20.. => character(first, input)?,
        _ => Key::Unknown,
    })
}

fn byte(input: &mut impl Read) -> io::Result<Option<u8>> {
    let mut one = [0];
    loop {
        return match input.read(&mut one) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(one[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

/// `ESC [` or `ESC O`, parameters, and a last byte that says which key.
fn escape(input: &mut impl Read) -> io::Result<Key> {
    if !matches!(byte(input)?, Some(b'[' | b'O')) {
        return Ok(Key::Unknown);
    }
    let mut parameters = Vec::new();
    loop {
        match byte(input)? {
            None => return Ok(Key::Eof),
            Some(last @ 0x40..=0x7e) => return Ok(of_sequence(&parameters, last)),
            Some(parameter) => parameters.push(parameter),
        }
    }
}

fn of_sequence(parameters: &[u8], last: u8) -> Key {
    match (parameters, last) {
        (_, b'A') => Key::Up,
        (_, b'B') => Key::Down,
        (_, b'C') => Key::Right,
        (_, b'D') => Key::Left,
        (_, b'H') | (b"1" | b"7", b'~') => Key::Home,
        (_, b'F') | (b"4" | b"8", b'~') => Key::End,
        (b"3", b'~') => Key::Delete,
        _ => Key::Unknown,
    }
}

/// The rest of a character in UTF-8.
fn character(first: u8, input: &mut impl Read) -> io::Result<Key> {
    let more = match first {
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0.. => 3,
        _ => 0,
    };
    let mut bytes = vec![first];
    for _ in 0..more {
        bytes.extend(byte(input)?);
    }
    let text = std::str::from_utf8(&bytes).ok();
    Ok(text.and_then(|text| text.chars().next()).map_or(Key::Unknown, Key::Char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_keys() {
        let check = |bytes: &str, expected: &[Key]| {
            let mut input = bytes.as_bytes();
            let mut keys = Vec::new();
            while !input.is_empty() {
                keys.push(read(&mut input).expect("a key"));
            }
            assert_eq!(keys, expected, "{bytes:?}");
        };
        check("aé€😀", &[Key::Char('a'), Key::Char('é'), Key::Char('€'), Key::Char('😀')]);
        check("\r\t\u{7f}", &[Key::Enter, Key::Tab, Key::Backspace]);
        check("\u{1b}[A\u{1b}OB\u{1b}[1;5C", &[Key::Up, Key::Down, Key::Right]);
        check("\u{1b}[3~\u{1b}[H\u{1b}[4~", &[Key::Delete, Key::Home, Key::End]);
        check("\u{3}\u{4}\u{17}", &[Key::Interrupt, Key::Eof, Key::EraseWord]);
        check("\u{1b}[99~\u{1b}x", &[Key::Unknown, Key::Unknown]);
        assert_eq!(read(&mut &b""[..]).expect("a key"), Key::Eof);
    }
}
