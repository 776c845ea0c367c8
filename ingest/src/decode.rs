//! Bytes of a record to a checked event, by the event contracts; pure, without Kafka and I/O.
//!
//! Reading order: `fields` (the contracts as data), `contract` (in words), `json` (an object to slots), `plain` (the short
//! way to them), `avro` (a record to slots), `number` and `time` (exact values), `extra` (unknown
//! fields) and `secrets` (what is taken out of them), `rules` (a field's own), here (their order), `rows` and `words` (events in memory),
//! `days` (sorted by day, as Arrow).
//!
//! The first broken rule counts: size, encoding, JSON, object, event_id, occurred_at, partner_id,
//! then the stream's fields in the order of its table; type before range.

mod avro;
mod contract;
mod days;
mod extra;
mod fields;
mod json;
mod number;
mod plain;
mod rows;
mod rules;
mod secrets;
#[cfg(test)]
mod tests;
mod time;
mod words;

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use lake_types::{Day, Stream};

use self::avro::NoRecord;
pub use self::avro::{Schema, schema_id};
pub use self::contract::{ContractField, column_description, contract};
pub use self::days::Days;
use self::fields::{COMMON, Field, Rule};
use self::json::{NoObject, Object, Slot};
use self::plain::Names;
pub use self::rows::{Origin, Rows};
use self::rules::{bounded, check_text, id, micros, occurred_at};
use self::words::Words;

/// A record with a longer value is `too_large`.
pub const MOST_BYTES: usize = 1024 * 1024;

/// 2000-01-01T00:00:00Z, before which no event occurred.
const EARLIEST: i64 = 946_684_800_000_000;
/// How many hashes of credentials are remembered before the memory is emptied.
const CREDENTIALS: usize = 8192;

/// Why a record is not accepted: the `reason` of the dead-letter table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    TooLarge,
    SchemaUnknown,
    NotJson,
    NotAnObject,
    MissingField,
    WrongType,
    OutOfRange,
    UnknownValue,
}

/// The name given is that of no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no record is rejected for \"{given}\"; it is one of {}", Reason::ALL.map(Reason::as_str).join(", "))]
pub struct UnknownReason {
    pub given: String,
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| UnknownReason { given: text.to_owned() })
    }
}

impl Reason {
    /// In the order that records are judged.
    pub const ALL: [Self; 8] = [
        Self::TooLarge,
        Self::SchemaUnknown,
        Self::NotJson,
        Self::NotAnObject,
        Self::MissingField,
        Self::WrongType,
        Self::OutOfRange,
        Self::UnknownValue,
    ];

    /// Its name in the dead-letter table and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::SchemaUnknown => "schema_unknown",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::UnknownValue => "unknown_value",
        }
    }
}

/// The first rule that a record breaks. A rejected record may hold a secret: nothing here quotes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// The field that breaks it, by its name in the record.
    pub field: Option<&'static str>,
    /// For people and logs: what is wrong, and what is due.
    pub detail: String,
    /// The first day that is taken, where it is of a day that retention has sealed.
    pub sealed_before: Option<Day>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{}: {field}: {}", self.reason.as_str(), self.detail),
            None => write!(f, "{}: {}", self.reason.as_str(), self.detail),
        }
    }
}

/// A record as it came.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub value: &'a [u8],
    /// UTC microseconds.
    pub arrival: i64,
    /// Of a CloudEvents record in binary mode: what its headers say.
    pub attributes: Option<Attributes<'a>>,
    /// Of an Avro record: what its [`schema_id`] stands for; `None` where nobody knows.
    pub schema: Option<&'a Schema>,
}

/// The attributes of a CloudEvents record that are an event's too, as bytes of its headers.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    id: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
}

impl<'a> Attributes<'a> {
    /// `header` gives the value of the last header with a name. `None` for a record without the
    /// header `ce_specversion`, which is no CloudEvents record in binary mode.
    pub fn read(header: impl Fn(&CStr) -> Option<&'a [u8]>) -> Option<Self> {
        header(c"ce_specversion")?;
        Some(Self { id: header(c"ce_id"), time: header(c"ce_time") })
    }
}

/// A record that keeps every rule; what it can it borrows from the record's bytes.
#[derive(Debug, Clone, Default)]
pub struct Event<'a> {
    /// UTC microseconds.
    pub occurred_at: i64,
    /// Unknown fields as a JSON object.
    pub extra: Option<String>,
    /// The fields as they are stored, in the order they are looked at: NULL, texts and integers.
    object: Object<'a>,
}

impl Event<'_> {
    pub fn event_id(&self) -> &str {
        self.object.slots[0].text().unwrap_or_default()
    }

    pub fn partner_id(&self) -> &str {
        self.object.slots[2].text().unwrap_or_default()
    }

    /// The stream's own fields, in its order; NULL past their end.
    fn own(&self) -> &[Slot<'_>] {
        &self.object.slots[COMMON.len()..]
    }
}

/// Hashes a credential with the lake's key.
pub type HashCredential = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Checks the records of one stream.
pub struct Decoder {
    fields: &'static [Field],
    names: Names,
    hash_credential: HashCredential,
    /// UTC microseconds, before which no event is taken.
    earliest: i64,
    /// A few thousand keys make most of the calls.
    credentials: Words,
    /// By the credential's number.
    hashes: Vec<Arc<str>>,
}

impl Decoder {
    pub fn new(stream: Stream, hash_credential: HashCredential) -> Self {
        let fields = fields::of(stream);
        let names = COMMON.into_iter().chain(fields.iter().map(|f| f.name)).collect();
        let names = Names::new(names);
        let (credentials, hashes) = (Words::default(), Vec::new());
        Self { fields, names, hash_credential, earliest: EARLIEST, credentials, hashes }
    }

    /// From now on events before this day are out of range: what the lake had of them has been
    /// given up.
    pub fn seal_before(&mut self, first: Day) {
        self.earliest = self.earliest.max(first.start_micros());
    }

    /// Checks one record. Tombstones (no value at all) are the caller's to count.
    ///
    /// # Errors
    /// The first rule that the record breaks.
    pub fn parse<'a>(&mut self, input: &Input<'a>) -> Result<Event<'a>, Rejection> {
        let mut event = Event::default();
        self.read(input, &mut event)?;
        Ok(event)
    }

    /// As [`Decoder::parse`], into an empty event. Everything is written where it is to stand: a
    /// value that is handed on as soon as it was written keeps the processor waiting, and that was
    /// most of the cost.
    pub(crate) fn read<'a>(
        &mut self,
        input: &Input<'a>,
        event: &mut Event<'a>,
    ) -> Result<(), Rejection> {
        let object = &mut event.object;
        let [id_name, time_name] = self.open(input, object)?.names();
        if !object.unknown.is_empty() {
            event.extra = extra::object(&mut object.unknown).map_err(|e| no_object(e.into()))?;
        }
        let [event_id, time, partner_id, own @ ..] = &mut object.slots;
        id(id_name, event_id)?;
        event.occurred_at = occurred_at(time_name, time, self.earliest, input.arrival)?;
        id(COMMON[2], partner_id)?;
        for (slot, field) in own.iter_mut().zip(self.fields) {
            self.check(field, slot)?;
        }
        Ok(())
    }

    /// Up to the fields: size, encoding, JSON, and out of its CloudEvents envelope if it has one. The
    /// object is filled where it stands: moving it would cost a tenth of the whole, and
    /// so would what is rare, were it inlined with it.
    fn open<'a>(
        &mut self,
        input: &Input<'a>,
        object: &mut Object<'a>,
    ) -> Result<Envelope, Rejection> {
        let bytes = input.value;
        if bytes.len() > MOST_BYTES {
            let detail = format!("{} bytes; at most {MOST_BYTES} are taken", bytes.len());
            return Err(reject(Reason::TooLarge, None, detail));
        }
        if bytes.first() == Some(&0) {
            self.open_avro(bytes, input.schema, object)?;
        } else {
            let text = simdutf8::basic::from_utf8(bytes).map_err(|_| not_utf8(bytes))?;
            if !plain::object(text, &mut self.names, object) {
                self.parse_json(text, object)?;
            }
            if is_envelope(&object.unknown) {
                *object = self.out_of_envelope(std::mem::take(object))?;
                return Ok(Envelope::Value);
            }
        }
        let Some(attributes) = &input.attributes else { return Ok(Envelope::None) };
        for (slot, header) in object.slots.iter_mut().zip([attributes.id, attributes.time]) {
            *slot = header.map_or(Slot::Absent, |bytes| match std::str::from_utf8(bytes) {
                Ok(text) => Slot::Text(Cow::Borrowed(text)),
                Err(_) => Slot::Bytes,
            });
        }
        Ok(Envelope::Headers)
    }

    #[inline(never)]
    fn parse_json<'a>(&self, text: &'a str, object: &mut Object<'a>) -> Result<(), Rejection> {
        *object = Object::default();
        json::object(text, self.names.list(), object).map_err(no_object)
    }

    #[inline(never)]
    fn open_avro<'a>(
        &self,
        bytes: &'a [u8],
        schema: Option<&'a Schema>,
        object: &mut Object<'a>,
    ) -> Result<(), Rejection> {
        let known = schema.zip(bytes.get(avro::HEADER..));
        let (schema, body) = known.ok_or_else(|| {
            let detail = "Avro whose schema no Schema Registry knows, or none is configured";
            reject(Reason::SchemaUnknown, None, detail)
        })?;
        avro::object(body, schema, self.names.list(), object).map_err(|why| match why {
            NoRecord::NotAvro(what) => reject(Reason::NotJson, None, format!("Avro: {what}")),
            NoRecord::NotARecord(kind) => no_object(NoObject::NotAnObject(kind)),
        })
    }

    /// The event under `data`, with `id` and `time` of its CloudEvents envelope.
    #[inline(never)]
    fn out_of_envelope<'a>(&self, mut envelope: Object<'a>) -> Result<Object<'a>, Rejection> {
        extra::object(&mut envelope.unknown).map_err(|e| no_object(e.into()))?;
        let member = |name| match last(&envelope.unknown, name)? {
            Cow::Borrowed(value) => Some(*value),
            // JSON is never copied.
            Cow::Owned(_) => None,
        };
        let data = member("data").filter(|data| *data != "null").ok_or_else(|| {
            reject(Reason::MissingField, Some("data"), "a CloudEvents record needs it")
        })?;
        let mut object = Object::default();
        json::object(data, self.names.list(), &mut object).map_err(no_object)?;
        for (slot, name) in object.slots.iter_mut().zip(Envelope::Value.names()) {
            *slot = match member(name) {
                Some(value) => Slot::read(value).map_err(|e| no_object(e.into()))?,
                None => Slot::Absent,
            };
        }
        Ok(object)
    }

    /// Checks one field and leaves it as it is stored.
    #[inline]
    fn check(&mut self, field: &Field, slot: &mut Slot<'_>) -> Result<(), Rejection> {
        match (&mut *slot, field.rule) {
            (Slot::Absent | Slot::Null, Rule::OneOf(_, Some(default))) => {
                *slot = Slot::Text(Cow::Borrowed(default));
            }
            (Slot::Absent | Slot::Null, _) if field.required => return Err(missing(field.name)),
            (Slot::Absent | Slot::Null, _) => {}
            (given, Rule::Integer(least, most)) => {
                *slot = Slot::Long(bounded(field.name, given, least, most)?);
            }
            (given, Rule::Millis) => *slot = Slot::Long(micros(field.name, given)?),
            (Slot::Text(text), rule) => {
                check_text(field, rule, text)?;
                if text.is_empty() {
                    *slot = Slot::Null;
                } else if matches!(rule, Rule::Credential) {
                    *slot = Slot::Hash(self.hash(text));
                }
            }
            (slot, _) => return Err(wrong_type(field.name, slot, "a string")),
        }
        Ok(())
    }

    fn hash(&mut self, credential: &str) -> Arc<str> {
        if self.hashes.len() >= CREDENTIALS {
            self.credentials.clear();
            self.hashes.clear();
        }
        let (number, _) = self.credentials.number(credential);
        if number as usize == self.hashes.len() {
            self.hashes.push((self.hash_credential)(credential).into());
        }
        Arc::clone(&self.hashes[number as usize])
    }
}

/// Whether these members make an object a CloudEvents envelope.
fn is_envelope(unknown: &[(Cow<'_, str>, Cow<'_, str>)]) -> bool {
    last(unknown, "specversion").is_some_and(|version| version != "null")
}

/// The JSON of a member; of a name given twice the last counts.
fn last<'m, 'a>(
    members: &'m [(Cow<'a, str>, Cow<'a, str>)],
    name: &str,
) -> Option<&'m Cow<'a, str>> {
    members.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value)
}

/// Where an event's id and time come from.
#[derive(Clone, Copy)]
enum Envelope {
    None,
    /// The value is a CloudEvents envelope.
    Value,
    /// CloudEvents' binary mode: the headers count, whatever the value says.
    Headers,
}

impl Envelope {
    /// What the record calls its id and its time.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::None => [COMMON[0], COMMON[1]],
            Self::Value => ["id", "time"],
            Self::Headers => ["ce_id", "ce_time"],
        }
    }
}

fn reject(reason: Reason, field: Option<&'static str>, detail: impl Into<String>) -> Rejection {
    Rejection { reason, field, detail: detail.into(), sealed_before: None }
}

#[cold]
fn not_utf8(bytes: &[u8]) -> Rejection {
    let valid = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
    reject(Reason::NotJson, None, format!("not UTF-8 after {valid} bytes"))
}

fn missing(name: &'static str) -> Rejection {
    reject(Reason::MissingField, Some(name), "absent or null, and it is required")
}

fn wrong_type(name: &'static str, slot: &Slot<'_>, due: &str) -> Rejection {
    reject(Reason::WrongType, Some(name), format!("{} where {due} is due", slot.kind()))
}

fn no_object(why: NoObject) -> Rejection {
    match why {
        NoObject::NotJson(detail) => reject(Reason::NotJson, None, detail),
        NoObject::NotAnObject(kind) => {
            reject(Reason::NotAnObject, None, format!("{kind} where an object is due"))
        }
    }
}
