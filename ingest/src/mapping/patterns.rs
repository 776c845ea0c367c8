//! jq's regular expressions, compiled once.
//!
//! jaq compiles an expression for every call, which takes longer than all else that a mapping of
//! log lines does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jaq_core::native::{Fun, bome, v};
use jaq_core::{Cv, Native, ValT as _};
use jaq_json::{Error, Val, ValR};
use jaq_std::ValT as _;
use regex::bytes::{Regex, RegexBuilder};

use super::program::Run;

/// The number of compiled expressions from which on they are dropped.
const MAX_PATTERNS: usize = 256;
/// The greatest size of a compiled expression.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Expressions by their texts and flags.
type Patterns = HashMap<(Vec<u8>, Vec<u8>), Rc<Pattern>>;

thread_local! {
    static PATTERNS: RefCell<Patterns> = RefCell::default();
}

/// A compiled expression with its flags.
struct Pattern {
    regex: Regex,
    global: bool,
    ignores_empty: bool,
}

/// Which parts of a text are given.
#[derive(Clone, Copy)]
struct Parts {
    /// The texts between matches.
    between: bool,
    matches: bool,
}

/// Returns the functions that jq's `test`, `match`, `capture`, `scan`, `split`, `sub` and their kin
/// are defined by.
pub(super) fn functions() -> [Fun<Run>; 3] {
    const MATCHES: Parts = Parts { between: false, matches: true };
    const BOTH: Parts = Parts { between: true, matches: true };
    const BETWEEN: Parts = Parts { between: true, matches: false };
    [
        ("matches", v(2), Native::<Run>::new(|cv| bome(search(cv, MATCHES)))),
        ("split_matches", v(2), Native::<Run>::new(|cv| bome(search(cv, BOTH)))),
        ("split_", v(2), Native::<Run>::new(|cv| bome(search(cv, BETWEEN)))),
    ]
}

fn search(mut cv: Cv<'_, Run>, parts: Parts) -> ValR {
    let (flags, pattern) = (cv.0.pop_var(), cv.0.pop_var());
    let text_of = |value: &Val| match value.as_utf8_bytes() {
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err(Error::typ(value.clone(), "string")),
    };
    let pattern = Pattern::get(text_of(&pattern)?, text_of(&flags)?)?;
    let Some(text) = cv.1.as_utf8_bytes() else {
        return Err(Error::typ(cv.1.clone(), "string"));
    };
    pattern.parts(&cv.1, text, parts)
}

impl Pattern {
    /// Returns an expression, compiled before or now.
    fn get(pattern: Vec<u8>, flags: Vec<u8>) -> Result<Rc<Self>, Error> {
        let key = (pattern, flags);
        let known = PATTERNS.with_borrow(|patterns| patterns.get(&key).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let compiled = Rc::new(Self::compile(&key.0, &key.1)?);
        PATTERNS.with_borrow_mut(|patterns| {
            if patterns.len() >= MAX_PATTERNS {
                patterns.clear();
            }
            patterns.insert(key, Rc::clone(&compiled));
        });
        Ok(compiled)
    }

    fn compile(pattern: &[u8], flags: &[u8]) -> Result<Self, Error> {
        let pattern = String::from_utf8_lossy(pattern);
        let mut builder = RegexBuilder::new(&pattern);
        let (mut global, mut ignores_empty) = (false, false);
        for flag in flags {
            match flag {
                b'g' => global = true,
                b'n' => ignores_empty = true,
                b'i' => _ = builder.case_insensitive(true),
                b'm' => _ = builder.multi_line(true),
                b's' => _ = builder.dot_matches_new_line(true),
                b'p' => _ = builder.multi_line(true).dot_matches_new_line(true),
                b'l' => _ = builder.swap_greed(true),
                b'x' => _ = builder.ignore_whitespace(true),
                other => {
                    let flag = char::from(*other);
                    return Err(Error::str(format_args!("invalid regex flag: {flag}")));
                }
            }
        }
        let regex = builder.size_limit(MAX_PATTERN_BYTES).build();
        let regex = regex.map_err(|e| Error::str(format_args!("invalid regex: {e}")))?;
        Ok(Self { regex, global, ignores_empty })
    }

    fn parts(&self, value: &Val, text: &[u8], parts: Parts) -> ValR {
        let mut found: Vec<Val> = Vec::new();
        let mut offsets = Offsets { text, is_ascii: text.is_ascii(), byte: 0, character: 0 };
        let mut rest = 0;
        for captures in self.regex.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            if self.ignores_empty && whole.is_empty() {
                continue;
            }
            if parts.between {
                found.push(value.as_sub_str(&text[rest..whole.start()]));
                rest = whole.end();
            }
            if parts.matches {
                let mut groups = Vec::new();
                for (group, name) in captures.iter().zip(self.regex.capture_names()) {
                    let Some(group) = group else { continue };
                    let offset = offsets.of(group.start());
                    let length = offsets.length(group.as_bytes());
                    let mut members = vec![
                        (Val::from("offset".to_owned()), integer(offset)),
                        (Val::from("length".to_owned()), integer(length)),
                        (Val::from("string".to_owned()), value.as_sub_str(group.as_bytes())),
                    ];
                    if let Some(name) = name {
                        members.push((Val::from("name".to_owned()), name.to_owned().into()));
                    }
                    groups.push(Val::from_map(members)?);
                }
                found.push(groups.into_iter().collect());
            }
            if !self.global {
                break;
            }
        }
        if parts.between {
            found.push(value.as_sub_str(&text[rest..]));
        }
        Ok(found.into_iter().collect())
    }
}

fn integer(number: usize) -> Val {
    Val::from(isize::try_from(number).unwrap_or(isize::MAX))
}

/// Counts characters before bytes of a text.
struct Offsets<'t> {
    text: &'t [u8],
    is_ascii: bool,
    /// The last byte that was asked for, and the characters before it.
    byte: usize,
    character: usize,
}

impl Offsets<'_> {
    fn of(&mut self, byte: usize) -> usize {
        if self.is_ascii {
            return byte;
        }
        if byte < self.byte {
            (self.byte, self.character) = (0, 0);
        }
        self.character += self.length(&self.text[self.byte..byte]);
        self.byte = byte;
        self.character
    }

    fn length(&self, bytes: &[u8]) -> usize {
        if self.is_ascii {
            return bytes.len();
        }
        let begins = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
        bytes.iter().filter(begins).count()
    }
}
