//! Reads Avro records in the Confluent wire format by the schema they were written with, into the
//! same slots as JSON.
//!
//! This does not use the Avro crate, which copies each field's name and value, and whose features
//! would compile DataFusion again. Reading by the writer's schema alone is a small part of Avro. No
//! size in a record is trusted.

mod schema;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Day, format_instant};

pub use self::schema::AvroSchema;
use self::schema::AvroType;
use super::json::{ParsedObject, Slot};

/// The length of the zero byte and the schema's id before the record.
pub(super) const WIRE_HEADER_BYTES: usize = 5;

/// The greatest depth of nested values, each of which takes some of the thread's stack.
const MAX_DEPTH: usize = 64;
/// The greatest number of values in a record. A record could otherwise have any number of values of
/// no bytes.
const MAX_VALUES: usize = 1 << 20;
/// The greatest length of the JSON that is written for unknown fields, in bytes.
const MAX_JSON_BYTES: usize = 4 << 20;

/// Returns the id of the schema that a value in the Confluent wire format was written with.
pub fn schema_id(value: &[u8]) -> Option<u32> {
    match value {
        [0, id @ ..] => id.first_chunk().map(|id| u32::from_be_bytes(*id)),
        _ => None,
    }
}

/// Why a value is not a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AvroError {
    Malformed(&'static str),
    NotARecord(&'static str),
}

impl From<&'static str> for AvroError {
    fn from(what: &'static str) -> Self {
        Self::Malformed(what)
    }
}

/// Reads the bytes of one record, to their end, into an empty object. Unknown fields become JSON.
/// When that is too long, they are all left out.
pub(super) fn object<'a>(
    bytes: &'a [u8],
    schema: &'a AvroSchema,
    names: &[&str],
    object: &mut ParsedObject<'a>,
) -> Result<(), AvroError> {
    let mut reader = AvroReader { bytes, schema, values_left: MAX_VALUES };
    let mut root = schema.root;
    while let AvroType::Union(branches) = &schema.types[root] {
        root = reader.branch(branches)?;
    }
    let AvroType::Record(fields) = &schema.types[root] else {
        let mut text = LimitedJson::default();
        let slot = reader.slot(root, &mut text, 0)?;
        return Err(AvroError::NotARecord(slot.type_name()));
    };
    let mut unknown_json = LimitedJson::default();
    for (name, type_id) in fields {
        if let Some(slot) = names.iter().position(|n| n == name) {
            object.slots[slot] = reader.slot(*type_id, &mut LimitedJson::default(), 1)?;
        } else {
            let mut text = LimitedJson { out: String::new(), remaining: unknown_json.remaining };
            reader.json(*type_id, &mut text, 1)?;
            unknown_json.remaining = text.remaining;
            object.unknown.push((Cow::Borrowed(name), Cow::Owned(text.out)));
        }
    }
    if unknown_json.remaining == 0 {
        object.unknown.clear();
    }
    if !reader.bytes.is_empty() {
        return Err(AvroError::Malformed("bytes are left over after the record"));
    }
    Ok(())
}

/// A JSON text of limited length. When `remaining` is 0, nothing more is written.
struct LimitedJson {
    out: String,
    remaining: usize,
}

impl Default for LimitedJson {
    fn default() -> Self {
        Self { out: String::new(), remaining: MAX_JSON_BYTES }
    }
}

impl LimitedJson {
    fn push(&mut self, text: &str) {
        self.remaining = self.remaining.saturating_sub(text.len());
        if self.remaining > 0 {
            self.out.push_str(text);
        }
    }

    fn push_quoted(&mut self, text: &str) {
        self.push(&serde_json::Value::from(text).to_string());
    }
}

/// Reads values from a record's bytes.
struct AvroReader<'a> {
    /// The bytes that have not been read.
    bytes: &'a [u8],
    schema: &'a AvroSchema,
    /// How many more values may be read.
    values_left: usize,
}

impl<'a> AvroReader<'a> {
    /// Reads a value into a slot. The parts of a composite value are skipped.
    fn slot(
        &mut self,
        type_id: usize,
        scratch: &mut LimitedJson,
        depth: usize,
    ) -> Result<Slot<'a>, &'static str> {
        let schema = self.schema;
        Ok(match &schema.types[type_id] {
            AvroType::Null => Slot::Null,
            AvroType::Boolean => self.boolean().map(|_| Slot::Bool)?,
            AvroType::Int => Slot::Long(self.int()?.into()),
            AvroType::Long => Slot::Long(self.long()?),
            AvroType::Float => Slot::Double(self.float()?),
            AvroType::Double => Slot::Double(self.double()?),
            AvroType::Bytes => self.length_prefixed().map(|_| Slot::Bytes)?,
            AvroType::Fixed(size) => self.take_bytes(*size).map(|_| Slot::Bytes)?,
            AvroType::Text => Slot::Text(Cow::Borrowed(self.string()?)),
            AvroType::Uuid => Slot::Text(Cow::Owned(uuid(self.take_bytes(16)?))),
            AvroType::Date => Slot::Text(Cow::Owned(Day(self.int()?).to_string())),
            AvroType::Instant(unit) => Slot::Instant(unit.micros(self.long()?)),
            AvroType::Local(unit) => Slot::Text(Cow::Owned(local_time(unit.micros(self.long()?)))),
            AvroType::Enum(symbols) => Slot::Text(Cow::Borrowed(self.symbol(symbols)?)),
            AvroType::Union(branches) => {
                let branch = self.branch(branches)?;
                return self.nested(depth, |reader| reader.slot(branch, scratch, depth + 1));
            }
            AvroType::Array(_) => self.json(type_id, scratch, depth).map(|()| Slot::Array)?,
            AvroType::Map(_) | AvroType::Record(_) => {
                self.json(type_id, scratch, depth).map(|()| Slot::Object)?
            }
        })
    }

    /// Writes a value as JSON: bytes as base64, instants as RFC 3339, and a number that JSON does
    /// not have as null.
    fn json(
        &mut self,
        type_id: usize,
        out: &mut LimitedJson,
        depth: usize,
    ) -> Result<(), &'static str> {
        let schema = self.schema;
        match &schema.types[type_id] {
            AvroType::Null => out.push("null"),
            AvroType::Boolean => out.push(if self.boolean()? { "true" } else { "false" }),
            AvroType::Int => out.push(&self.int()?.to_string()),
            AvroType::Long => out.push(&self.long()?.to_string()),
            AvroType::Float => out.push(&json_number(self.float()?)),
            AvroType::Double => out.push(&json_number(self.double()?)),
            AvroType::Bytes => out.push_quoted(&STANDARD.encode(self.length_prefixed()?)),
            AvroType::Fixed(size) => out.push_quoted(&STANDARD.encode(self.take_bytes(*size)?)),
            AvroType::Text => out.push_quoted(self.string()?),
            AvroType::Uuid => out.push_quoted(&uuid(self.take_bytes(16)?)),
            AvroType::Date => out.push_quoted(&Day(self.int()?).to_string()),
            AvroType::Instant(unit) => out.push_quoted(&format_instant(unit.micros(self.long()?))),
            AvroType::Local(unit) => out.push_quoted(&local_time(unit.micros(self.long()?))),
            AvroType::Enum(symbols) => out.push_quoted(self.symbol(symbols)?),
            AvroType::Union(branches) => {
                let branch = self.branch(branches)?;
                return self.nested(depth, |reader| reader.json(branch, out, depth + 1));
            }
            AvroType::Array(items) => self.blocks("[", "]", out, |reader, out| {
                reader.nested(depth, |reader| reader.json(*items, out, depth + 1))
            })?,
            AvroType::Map(values) => self.blocks("{", "}", out, |reader, out| {
                out.push_quoted(reader.string()?);
                out.push(":");
                reader.nested(depth, |reader| reader.json(*values, out, depth + 1))
            })?,
            AvroType::Record(fields) => {
                out.push("{");
                for (at, (name, type_id)) in fields.iter().enumerate() {
                    out.push(if at > 0 { "," } else { "" });
                    out.push_quoted(name);
                    out.push(":");
                    self.nested(depth, |reader| reader.json(*type_id, out, depth + 1))?;
                }
                out.push("}");
            }
        }
        Ok(())
    }

    /// Reads one value inside of another.
    fn nested<T>(
        &mut self,
        depth: usize,
        read: impl FnOnce(&mut Self) -> Result<T, &'static str>,
    ) -> Result<T, &'static str> {
        if depth >= MAX_DEPTH {
            return Err("values lie too deep in each other");
        }
        self.values_left = self.values_left.checked_sub(1).ok_or("too many values")?;
        read(self)
    }

    /// Reads the members of an array or a map, which come in counted blocks.
    fn blocks(
        &mut self,
        open: &str,
        close: &str,
        out: &mut LimitedJson,
        mut member: impl FnMut(&mut Self, &mut LimitedJson) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        out.push(open);
        let mut first = true;
        loop {
            let count = self.long()?;
            if count == 0 {
                break;
            }
            // A negative count is followed by the block's size in bytes, for readers that skip the
            // block.
            if count < 0 {
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                out.push(if first { "" } else { "," });
                first = false;
                member(self, out)?;
            }
        }
        out.push(close);
        Ok(())
    }

    fn branch(&mut self, branches: &[usize]) -> Result<usize, &'static str> {
        let index = usize::try_from(self.long()?).ok();
        index.and_then(|index| branches.get(index)).copied().ok_or("a union has no such branch")
    }

    fn symbol(&mut self, symbols: &'a [String]) -> Result<&'a str, &'static str> {
        let index = usize::try_from(self.int()?).ok();
        let symbol = index.and_then(|index| symbols.get(index));
        symbol.map(String::as_str).ok_or("an enum has no such symbol")
    }

    fn string(&mut self) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.length_prefixed()?).map_err(|_| "a string that is not UTF-8")
    }

    fn length_prefixed(&mut self) -> Result<&'a [u8], &'static str> {
        let size = usize::try_from(self.long()?).map_err(|_| "a negative length")?;
        self.take_bytes(size)
    }

    fn take_bytes(&mut self, size: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.bytes.split_at_checked(size).ok_or(TRUNCATED)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(TRUNCATED)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn boolean(&mut self) -> Result<bool, &'static str> {
        match self.take_array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("a boolean that is neither 0 nor 1"),
        }
    }

    fn int(&mut self) -> Result<i32, &'static str> {
        i32::try_from(self.long()?).map_err(|_| "an int beyond 32 bits")
    }

    /// Reads a variable-length zig-zag integer: seven bits a byte, the lowest first.
    fn long(&mut self) -> Result<i64, &'static str> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.take_array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err("an integer beyond 64 bits")
    }

    /// Reads a float as the decimal number that it is printed as: 1.1, not 1.10000002384.
    fn float(&mut self) -> Result<f64, &'static str> {
        let value = f32::from_le_bytes(self.take_array()?);
        Ok(value.to_string().parse().unwrap_or_else(|_| value.into()))
    }

    fn double(&mut self) -> Result<f64, &'static str> {
        Ok(f64::from_le_bytes(self.take_array()?))
    }
}

const TRUNCATED: &str = "it is cut off, or of another schema";

fn json_number(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(|| "null".to_owned(), |n| n.to_string())
}

/// Formats a time without an offset, so that it is not taken for an instant.
fn local_time(micros: i64) -> String {
    format_instant(micros).trim_end_matches('Z').to_owned()
}

fn uuid(bytes: &[u8]) -> String {
    let mut text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    for at in [8, 13, 18, 23] {
        text.insert(at, '-');
    }
    text
}
