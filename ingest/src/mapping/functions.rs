//! The functions that a program may call: those of jq that depend on their input alone.

use std::collections::BTreeSet;

use jaq_core::box_iter::box_once;
use jaq_core::load;
use jaq_core::load::parse::Def;
use jaq_core::native::{Fun, bome, v};
use jaq_core::{Cv, Exn, Native, ValXs};
use jaq_json::{Error, Val};

use super::json;
use super::patterns;
use super::program::Run;

/// Functions that depend on more than their input, or have effects.
const IMPURE: [&str; 17] = [
    "now",
    "env",
    "input",
    "inputs",
    "input_filename",
    "input_line_number",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "halt",
    "halt_error",
    "localtime",
    "strflocaltime",
    "get_search_list",
    "modulemeta",
    "repl",
];

/// Functions of jq that are replaced by bounded or faster ones.
const REPLACED: [&str; 5] = ["range", "fromjson", "matches", "split_matches", "split_"];

/// Returns why a mapping may not use a function or variable, if it is a known one.
pub(super) fn why_forbidden(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix('$').unwrap_or(name);
    match name {
        "now" => Some("a mapping can't see the clock; the record's arrival is $arrival"),
        "ENV" | "env" => Some("a mapping can't see the environment"),
        "input" | "inputs" => Some("a mapping sees one record at a time"),
        "input_filename" | "input_line_number" | "__loc__" | "__prog_args" => {
            Some("a mapping can't see where its record stands; $position is stable")
        }
        "localtime" | "strflocaltime" => {
            Some("a mapping can't see the machine's time zone; gmtime and strftime are in UTC")
        }
        _ if IMPURE.contains(&name) => {
            Some("a mapping has no effect but its event; error(\"…\") rejects the record")
        }
        _ => None,
    }
}

/// The functions for records of logs and exports, which every mapping may call.
pub(super) const LIBRARY: &str = include_str!("../../../mappings/library/records.jq");

/// Returns the functions that are defined in jq itself.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    // A test compiles the library, so it is never broken here.
    let library = load::parse(LIBRARY, |parser| parser.defs()).unwrap_or_default();
    all.filter(|def| !IMPURE.contains(&def.name)).chain(library)
}

/// Returns the functions that are written in Rust.
pub(super) fn natives() -> impl Iterator<Item = Fun<Run>> {
    let core = jaq_core::funs::<Run>().chain(jaq_std::funs::<Run>());
    let all = core.chain(jaq_json::funs::<Run>());
    let kept = all.filter(|(name, ..)| !IMPURE.contains(name) && !REPLACED.contains(name));
    let ours: [Fun<Run>; 4] = [
        ("left_out", v(1), Native::<Run>::new(left_out)),
        ("range", v(3), Native::<Run>::new(range)),
        ("fromjson", v(0), Native::<Run>::new(from_json)),
        ("pseudonym", v(0), Native::<Run>::new(pseudonym)),
    ];
    kept.chain(ours).chain(patterns::functions())
}

/// `range(from; to; by)`, which counts its steps.
fn range<'a>(mut cv: Cv<'a, Run>) -> ValXs<'a, Val> {
    let by = cv.0.pop_var();
    let to = cv.0.pop_var();
    let mut next = Some(cv.0.pop_var());
    let data = cv.0.data().clone();
    let zero = Val::from(0isize);
    Box::new(std::iter::from_fn(move || {
        data.step();
        let now = next.take()?;
        let inside = if by > zero {
            now < to
        } else if by < zero {
            now > to
        } else {
            now != to
        };
        if !inside {
            return None;
        }
        match now.clone() + by.clone() {
            Ok(after) => next = Some(after),
            Err(error) => return Some(Err(Exn::from(error))),
        }
        Some(Ok(now))
    }))
}

/// `fromjson`, by the rules that records are parsed by. Numbers may have leading zeros, as in jq,
/// because `tonumber` reads those of logs.
#[expect(clippy::needless_pass_by_value, reason = "jaq takes functions of this type")]
fn from_json<'a>(cv: Cv<'a, Run>) -> ValXs<'a, Val> {
    let text = match cv.1.try_as_utf8_bytes_owned() {
        Ok(text) => text,
        Err(error) => return box_once(Err(Exn::from(error))),
    };
    let parse = |text: &str| json::parse(text).or_else(|_| json::parse(&without_zeros(text)));
    let parsed = std::str::from_utf8(&text).ok().and_then(|text| parse(text).ok());
    let failed = || Error::str(format_args!("cannot parse {} as JSON", cv.1));
    bome(parsed.ok_or_else(failed))
}

/// Returns a number without its leading zeros.
fn without_zeros(text: &str) -> String {
    let text = text.trim_ascii();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let rest = digits.trim_start_matches('0');
    let zero = if rest.starts_with(|c: char| c.is_ascii_digit()) || rest.len() == digits.len() {
        ""
    } else {
        "0"
    };
    format!("{sign}{zero}{rest}")
}

/// `pseudonym`, which names whoever uses a credential without telling the credential.
#[expect(clippy::needless_pass_by_value, reason = "jaq takes functions of this type")]
fn pseudonym<'a>(cv: Cv<'a, Run>) -> ValXs<'a, Val> {
    if matches!(cv.1, Val::Null) {
        return box_once(Ok(Val::Null));
    }
    let text = match cv.1.try_as_utf8_bytes_owned() {
        Ok(text) => text,
        Err(error) => return box_once(Err(Exn::from(error))),
    };
    let name = cv.0.data().pseudonym(&String::from_utf8_lossy(&text));
    box_once(Ok(Val::from(name)))
}

/// `left_out(why)`, which gives nothing, as `empty` does, and says why to whoever tries the mapping.
fn left_out<'a>(mut cv: Cv<'a, Run>) -> ValXs<'a, Val> {
    let why = cv.0.pop_var();
    if let Val::TStr(text) = &why {
        cv.0.data().note_left_out(&String::from_utf8_lossy(text));
    }
    Box::new(std::iter::empty())
}

/// Returns the names of all functions, for suggestions.
pub(super) fn names() -> BTreeSet<&'static str> {
    let hidden = |name: &&str| !name.ends_with("_empty") && !name.starts_with('!');
    let defined = definitions().map(|def| def.name);
    defined.chain(natives().map(|(name, _, _)| name)).filter(hidden).collect()
}
