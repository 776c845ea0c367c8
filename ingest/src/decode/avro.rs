//! Avro in the Confluent wire format: a record read by the schema it was written with, into the
//! same slots as JSON.
//!
//! The Avro crate is not used: it copies each field's name and value, and its features would have
//! DataFusion compiled anew. Reading by the writer's schema alone is a small part of Avro; the
//! sizes that a record claims are never believed.

mod schema;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lake_types::{Day, format_instant};

pub use self::schema::Schema;
use self::schema::Type;
use super::json::{Object, Slot};

/// The zero and the schema's id before the record.
pub(super) const HEADER: usize = 5;

/// How deep values may lie in each other: each level takes some of the thread's stack.
const DEEPEST: usize = 64;
/// The most values of a record: those of no bytes would cost a writer nothing.
const MOST_VALUES: usize = 1 << 20;
/// Of fields that the contract does not name at most so much JSON is written, bytes.
const MOST_TEXT: usize = 4 << 20;

/// The id of the schema that a value in the Confluent wire format was written with.
pub fn schema_id(value: &[u8]) -> Option<u32> {
    match value {
        [0, id @ ..] => id.first_chunk().map(|id| u32::from_be_bytes(*id)),
        _ => None,
    }
}

/// Why there is no record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRecord {
    NotAvro(&'static str),
    NotARecord(&'static str),
}

impl From<&'static str> for NoRecord {
    fn from(what: &'static str) -> Self {
        Self::NotAvro(what)
    }
}

/// Reads the bytes of one record, to their end, into an empty object. Fields that were not asked for
/// become JSON; there are none of them when they are too much.
pub(super) fn object<'a>(
    bytes: &'a [u8],
    schema: &'a Schema,
    names: &[&str],
    object: &mut Object<'a>,
) -> Result<(), NoRecord> {
    let mut reader = Reader { bytes, schema, values: MOST_VALUES };
    let mut root = schema.root;
    while let Type::Union(branches) = &schema.types[root] {
        root = reader.branch(branches)?;
    }
    let Type::Record(fields) = &schema.types[root] else {
        let mut text = Text::default();
        let slot = reader.slot(root, &mut text, 0)?;
        return Err(NoRecord::NotARecord(slot.kind()));
    };
    let mut written = Text::default();
    for (name, kind) in fields {
        if let Some(slot) = names.iter().position(|n| n == name) {
            object.slots[slot] = reader.slot(*kind, &mut Text::default(), 1)?;
        } else {
            let mut text = Text { out: String::new(), room: written.room };
            reader.json(*kind, &mut text, 1)?;
            written.room = text.room;
            object.unknown.push((Cow::Borrowed(name), Cow::Owned(text.out)));
        }
    }
    if written.room == 0 {
        object.unknown.clear();
    }
    if !reader.bytes.is_empty() {
        return Err(NoRecord::NotAvro("bytes are left over after the record"));
    }
    Ok(())
}

/// JSON that is written up to a limit, where its room is 0.
struct Text {
    out: String,
    room: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { out: String::new(), room: MOST_TEXT }
    }
}

impl Text {
    fn push(&mut self, text: &str) {
        self.room = self.room.saturating_sub(text.len());
        if self.room > 0 {
            self.out.push_str(text);
        }
    }

    fn quote(&mut self, text: &str) {
        self.push(&serde_json::Value::from(text).to_string());
    }
}

struct Reader<'a> {
    /// What is left.
    bytes: &'a [u8],
    schema: &'a Schema,
    /// How many values may still be read.
    values: usize,
}

impl<'a> Reader<'a> {
    /// A value as far as its kind; what lies in it is read over.
    fn slot(
        &mut self,
        kind: usize,
        scratch: &mut Text,
        depth: usize,
    ) -> Result<Slot<'a>, &'static str> {
        let schema = self.schema;
        Ok(match &schema.types[kind] {
            Type::Null => Slot::Null,
            Type::Boolean => self.boolean().map(|_| Slot::Bool)?,
            Type::Int => Slot::Long(self.int()?.into()),
            Type::Long => Slot::Long(self.long()?),
            Type::Float => Slot::Double(self.float()?),
            Type::Double => Slot::Double(self.double()?),
            Type::Bytes => self.sized().map(|_| Slot::Bytes)?,
            Type::Fixed(size) => self.take(*size).map(|_| Slot::Bytes)?,
            Type::Text => Slot::Text(Cow::Borrowed(self.text()?)),
            Type::Uuid => Slot::Text(Cow::Owned(uuid(self.take(16)?))),
            Type::Date => Slot::Text(Cow::Owned(Day(self.int()?).to_string())),
            Type::Instant(unit) => Slot::Instant(unit.micros(self.long()?)),
            Type::Local(unit) => Slot::Text(Cow::Owned(local(unit.micros(self.long()?)))),
            Type::Enum(symbols) => Slot::Text(Cow::Borrowed(self.symbol(symbols)?)),
            Type::Union(branches) => {
                let branch = self.branch(branches)?;
                return self.nested(depth, |reader| reader.slot(branch, scratch, depth + 1));
            }
            Type::Array(_) => self.json(kind, scratch, depth).map(|()| Slot::Array)?,
            Type::Map(_) | Type::Record(_) => {
                self.json(kind, scratch, depth).map(|()| Slot::Object)?
            }
        })
    }

    /// A value as JSON: bytes in base64, instants as RFC 3339, a number that JSON has not as null.
    fn json(&mut self, kind: usize, out: &mut Text, depth: usize) -> Result<(), &'static str> {
        let schema = self.schema;
        match &schema.types[kind] {
            Type::Null => out.push("null"),
            Type::Boolean => out.push(if self.boolean()? { "true" } else { "false" }),
            Type::Int => out.push(&self.int()?.to_string()),
            Type::Long => out.push(&self.long()?.to_string()),
            Type::Float => out.push(&number(self.float()?)),
            Type::Double => out.push(&number(self.double()?)),
            Type::Bytes => out.quote(&STANDARD.encode(self.sized()?)),
            Type::Fixed(size) => out.quote(&STANDARD.encode(self.take(*size)?)),
            Type::Text => out.quote(self.text()?),
            Type::Uuid => out.quote(&uuid(self.take(16)?)),
            Type::Date => out.quote(&Day(self.int()?).to_string()),
            Type::Instant(unit) => out.quote(&format_instant(unit.micros(self.long()?))),
            Type::Local(unit) => out.quote(&local(unit.micros(self.long()?))),
            Type::Enum(symbols) => out.quote(self.symbol(symbols)?),
            Type::Union(branches) => {
                let branch = self.branch(branches)?;
                return self.nested(depth, |reader| reader.json(branch, out, depth + 1));
            }
            Type::Array(items) => self.blocks("[", "]", out, |reader, out| {
                reader.nested(depth, |reader| reader.json(*items, out, depth + 1))
            })?,
            Type::Map(values) => self.blocks("{", "}", out, |reader, out| {
                out.quote(reader.text()?);
                out.push(":");
                reader.nested(depth, |reader| reader.json(*values, out, depth + 1))
            })?,
            Type::Record(fields) => {
                out.push("{");
                for (at, (name, kind)) in fields.iter().enumerate() {
                    out.push(if at > 0 { "," } else { "" });
                    out.quote(name);
                    out.push(":");
                    self.nested(depth, |reader| reader.json(*kind, out, depth + 1))?;
                }
                out.push("}");
            }
        }
        Ok(())
    }

    /// One value inside another.
    fn nested<T>(
        &mut self,
        depth: usize,
        read: impl FnOnce(&mut Self) -> Result<T, &'static str>,
    ) -> Result<T, &'static str> {
        if depth >= DEEPEST {
            return Err("values lie too deep in each other");
        }
        self.values = self.values.checked_sub(1).ok_or("too many values")?;
        read(self)
    }

    /// The members of an array or a map, which come in blocks of so many.
    fn blocks(
        &mut self,
        open: &str,
        close: &str,
        out: &mut Text,
        mut member: impl FnMut(&mut Self, &mut Text) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        out.push(open);
        let mut first = true;
        loop {
            let count = self.long()?;
            if count == 0 {
                break;
            }
            // A negative count is followed by the block's size, for those who pass it over.
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

    fn text(&mut self) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.sized()?).map_err(|_| "a string that is not UTF-8")
    }

    fn sized(&mut self) -> Result<&'a [u8], &'static str> {
        let size = usize::try_from(self.long()?).map_err(|_| "a negative length")?;
        self.take(size)
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.bytes.split_at_checked(size).ok_or(CUT_OFF)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(CUT_OFF)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn boolean(&mut self) -> Result<bool, &'static str> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("a boolean that is neither 0 nor 1"),
        }
    }

    fn int(&mut self) -> Result<i32, &'static str> {
        i32::try_from(self.long()?).map_err(|_| "an int beyond 32 bits")
    }

    /// Seven bits a byte, the lowest first; even numbers are the positive ones.
    fn long(&mut self) -> Result<i64, &'static str> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
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

    /// As the decimal number it is written as: 1.1, not 1.10000002384.
    fn float(&mut self) -> Result<f64, &'static str> {
        let value = f32::from_le_bytes(self.array()?);
        Ok(value.to_string().parse().unwrap_or_else(|_| value.into()))
    }

    fn double(&mut self) -> Result<f64, &'static str> {
        Ok(f64::from_le_bytes(self.array()?))
    }
}

const CUT_OFF: &str = "it is cut off, or of another schema";

fn number(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(|| "null".to_owned(), |n| n.to_string())
}

/// A time without an offset, so that nobody takes it for an instant.
fn local(micros: i64) -> String {
    format_instant(micros).trim_end_matches('Z').to_owned()
}

fn uuid(bytes: &[u8]) -> String {
    let mut text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    for at in [8, 13, 18, 23] {
        text.insert(at, '-');
    }
    text
}
