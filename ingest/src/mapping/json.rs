//! JSON as jq's values and back. Integers and decimals keep their digits.

use std::fmt::Write;

use jaq_json::{Map, Num, Rc, Val};

use crate::decode::{JsonTree, MAX_RECORD_BYTES, NodeValue};

/// How deep a value of a mapping may be nested, because jq's functions recurse.
pub(super) const MAX_DEPTH: usize = 128;

/// Why a text is no input of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UnreadableJson {
    /// It is not JSON. The message quotes nothing of it.
    NotJson(String),
    TooDeep,
}

/// Parses a JSON text by the rules of the decoder.
pub(super) fn parse(text: &str) -> Result<Val, UnreadableJson> {
    let tree = JsonTree::parse(text).map_err(UnreadableJson::NotJson)?;
    value(&tree, 0, 0)
}

/// Returns the value of a node, which `depth` others enclose.
fn value(tree: &JsonTree<'_>, at: usize, depth: usize) -> Result<Val, UnreadableJson> {
    let node = &tree.nodes[at];
    if depth > MAX_DEPTH {
        return Err(UnreadableJson::TooDeep);
    }
    Ok(match &node.value {
        NodeValue::Text(text) => Val::from(text.clone().into_owned()),
        NodeValue::Literal("null") => Val::Null,
        NodeValue::Literal("true") => Val::Bool(true),
        NodeValue::Literal("false") => Val::Bool(false),
        NodeValue::Literal(number) => Val::Num(number_of(number)),
        NodeValue::Array => {
            let elements = tree.children(at).map(|child| value(tree, child, depth + 1));
            Val::Arr(Rc::new(elements.collect::<Result<_, _>>()?))
        }
        NodeValue::Object => {
            let mut members = Map::default();
            for child in tree.children(at) {
                let name = tree.nodes[child].name.as_deref().unwrap_or_default();
                members.insert(Val::from(name.to_owned()), value(tree, child, depth + 1)?);
            }
            Val::obj(members)
        }
    })
}

/// Returns a JSON number: an integer of any size, or a decimal with its digits.
fn number_of(text: &str) -> Num {
    Num::from_str_radix(text, 10).unwrap_or_else(|| Num::Dec(Rc::new(text.to_owned())))
}

/// Writes a value as JSON. Fails with what JSON does not have, as a sentence about the event.
pub(super) fn write(value: &Val, out: &mut String) -> Result<(), &'static str> {
    write_nested(value, out, 0)
}

fn write_nested(value: &Val, out: &mut String, depth: usize) -> Result<(), &'static str> {
    if depth > MAX_DEPTH {
        return Err("the event is nested deeper than 128 levels");
    }
    // A value may hold another one many times, and is then far longer as a text.
    if out.len() > MAX_RECORD_BYTES {
        return Err("the event is longer than 1 MiB");
    }
    match value {
        Val::Null => out.push_str("null"),
        Val::Bool(true) => out.push_str("true"),
        Val::Bool(false) => out.push_str("false"),
        Val::Num(number) => write_number(number, out)?,
        Val::TStr(text) => write_text(text, out),
        Val::BStr(_) => return Err("the event holds bytes (of tobytes), which JSON has none of"),
        Val::Arr(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_nested(element, out, depth + 1)?;
            }
            out.push(']');
        }
        Val::Obj(members) => {
            out.push('{');
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                let Val::TStr(name) = name else {
                    return Err("the event has a member whose name is not a string");
                };
                write_text(name, out);
                out.push(':');
                write_nested(member, out, depth + 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_number(number: &Num, out: &mut String) -> Result<(), &'static str> {
    let start = out.len();
    // Writing to a String never fails.
    let _ = write!(out, "{number}");
    let finite = out[start..].parse().is_ok_and(f64::is_finite);
    if finite { Ok(()) } else { Err("the event holds a number that is not finite") }
}

/// Writes a string. Bytes that are not UTF-8, which only decoded texts have, become U+FFFD.
fn write_text(text: &[u8], out: &mut String) {
    let text = String::from_utf8_lossy(text);
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(&text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(&*text).to_string());
    }
}
