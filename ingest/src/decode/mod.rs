//! Decodes the bytes of a record into a checked event, by the event contracts. It is pure: it needs
//! neither Kafka nor I/O.
//!
//! - `fields`: the event contracts as data
//! - `contract_description`: the event contracts in words
//! - `json`: parses a JSON object into slots
//! - `json_fast_path`: parses the usual JSON faster
//! - `avro`: reads an Avro record into slots
//! - `number`, `time`: exact numbers and instants
//! - `rules`: checks single fields
//! - `rejection`: why a record is rejected
//! - `unknown_fields`: the column `extra`
//! - `secrets`: finds secrets in unknown fields
//! - `rows`: accepted events in memory
//! - `interner`: stores repeated texts once
//! - `day_batches`: rows as Arrow batches by day
//!
//! A record is rejected for the first rule that it breaks, in this order: size, encoding, JSON, the
//! stream's mapping, object, event_id, occurred_at, partner_id, then the stream's fields in the order of its table.
//! The type of a field is checked before its range.

mod avro;
mod contract_description;
mod day_batches;
mod fields;
mod interner;
mod json;
mod json_fast_path;
mod number;
mod rejection;
mod rows;
mod rules;
mod secrets;
#[cfg(test)]
mod tests;
mod time;
mod unknown_fields;

use std::borrow::Cow;
use std::ffi::CStr;
use std::sync::Arc;

use domain::{Day, Stream};

use self::avro::AvroError;
pub use self::avro::{AvroSchema, schema_id};
pub use self::contract_description::{ContractField, column_description, contract};
pub use self::day_batches::DayBatches;
use self::fields::{COMMON_NAMES, FieldDef, FieldRule};
use self::interner::Interner;
use self::json::{ObjectError, ParsedObject, Slot};
use self::json_fast_path::FieldNames;
pub use self::rejection::{RejectReason, Rejection, UnknownRejectReason};
pub use self::rows::{RecordOrigin, Rows};
use self::rules::{check_id, check_occurred_at, check_text, integer_in_range, millis_to_micros};
pub(crate) use self::unknown_fields::{JsonTree, NodeValue};

/// The greatest length of a record's value in bytes. A longer one is rejected as `too_large`.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// 2000-01-01T00:00:00Z, before which no event is valid.
const MIN_OCCURRED_AT: i64 = 946_684_800_000_000;
/// The number of cached hashes of credentials from which on the cache is emptied.
const MAX_CACHED_HASHES: usize = 8192;

/// A record to decode.
#[derive(Debug, Clone, Copy)]
pub struct RecordInput<'a> {
    pub value: &'a [u8],
    /// The arrival in UTC microseconds.
    pub arrival: i64,
    /// The attributes in the headers of a CloudEvents record in binary mode.
    pub attributes: Option<CloudEventAttributes<'a>>,
    /// The schema of an Avro record, by its [`schema_id`], or `None` where it is unknown.
    pub schema: Option<&'a AvroSchema>,
}

/// The CloudEvents attributes that replace fields of the event, as bytes of the record's headers.
#[derive(Debug, Clone, Copy)]
pub struct CloudEventAttributes<'a> {
    id: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
}

impl<'a> CloudEventAttributes<'a> {
    /// Reads the attributes. `header` returns the value of the last header with a name. Returns
    /// `None` for a record without the header `ce_specversion`, which is not a CloudEvents record
    /// in binary mode.
    pub fn read(header: impl Fn(&CStr) -> Option<&'a [u8]>) -> Option<Self> {
        header(c"ce_specversion")?;
        Some(Self { id: header(c"ce_id"), time: header(c"ce_time") })
    }
}

/// A valid event. It borrows from the record's bytes where it can.
#[derive(Debug, Clone, Default)]
pub struct Event<'a> {
    /// UTC microseconds.
    pub occurred_at: i64,
    /// Unknown fields as a JSON object.
    pub extra: Option<String>,
    /// The fields as they are stored, in the order in which they are checked: NULL, texts and
    /// integers.
    object: ParsedObject<'a>,
}

impl Event<'_> {
    pub fn event_id(&self) -> &str {
        self.object.slots[0].text().unwrap_or_default()
    }

    pub fn partner_id(&self) -> &str {
        self.object.slots[2].text().unwrap_or_default()
    }

    /// Returns the stream's own fields, in their order. Slots after the last field are NULL.
    fn own_slots(&self) -> &[Slot<'_>] {
        &self.object.slots[COMMON_NAMES.len()..]
    }
}

/// A field of an event as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredField {
    /// The name of its column.
    pub column: &'static str,
    /// A number, a text or null. Instants are RFC 3339 in UTC.
    pub value: serde_json::Value,
}

impl StoredField {
    fn text(column: &'static str, text: &str) -> Self {
        Self { column, value: text.into() }
    }
}

/// Hashes a credential with the lake's key.
pub type HashCredential = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Decodes and checks the records of one stream.
pub struct Decoder {
    fields: &'static [FieldDef],
    names: FieldNames,
    hash_credential: HashCredential,
    /// The first valid instant, in UTC microseconds.
    earliest: i64,
    /// The credentials whose hashes are cached, because a few thousand keys make most of the calls.
    credentials: Interner,
    /// The hashes by the numbers of the credentials.
    hashes: Vec<Arc<str>>,
}

impl Decoder {
    pub fn new(stream: Stream, hash_credential: HashCredential) -> Self {
        let fields = fields::own_fields(stream);
        let names = COMMON_NAMES.into_iter().chain(fields.iter().map(|f| f.name)).collect();
        let names = FieldNames::new(names);
        let (credentials, hashes) = (Interner::default(), Vec::new());
        Self { fields, names, hash_credential, earliest: MIN_OCCURRED_AT, credentials, hashes }
    }

    /// From now on events before this day are out of range, because retention has sealed their
    /// days.
    pub fn seal_before(&mut self, first: Day) {
        self.earliest = self.earliest.max(first.start_micros());
    }

    /// Decodes and checks one record. The caller counts tombstones, which have no value.
    ///
    /// # Errors
    /// Fails with the first rule that the record breaks.
    pub fn parse<'a>(&mut self, input: &RecordInput<'a>) -> Result<Event<'a>, Rejection> {
        let mut event = Event::default();
        self.parse_into(input, &mut event)?;
        Ok(event)
    }

    /// Decodes like [`Decoder::parse`], into an empty event. All values are written in place,
    /// because moving values that were just written made up most of the cost.
    pub(crate) fn parse_into<'a>(
        &mut self,
        input: &RecordInput<'a>,
        event: &mut Event<'a>,
    ) -> Result<(), Rejection> {
        let object = &mut event.object;
        let [id_name, time_name] = self.read_object(input, object)?.names();
        if !object.unknown.is_empty() {
            event.extra = unknown_fields::extra_json(&mut object.unknown)
                .map_err(|e| reject_object(e.into()))?;
        }
        let [event_id, time, partner_id, own @ ..] = &mut object.slots;
        check_id(id_name, event_id)?;
        event.occurred_at = check_occurred_at(time_name, time, self.earliest, input.arrival)?;
        check_id(COMMON_NAMES[2], partner_id)?;
        for (slot, field) in own.iter_mut().zip(self.fields) {
            self.check(field, slot)?;
        }
        Ok(())
    }

    /// Parses a record up to its fields: checks the size and the encoding, and unwraps a
    /// CloudEvents envelope. The object is filled in place, and rare cases are not inlined; each of
    /// the two saves a tenth of the cost.
    fn read_object<'a>(
        &mut self,
        input: &RecordInput<'a>,
        object: &mut ParsedObject<'a>,
    ) -> Result<CloudEventMode, Rejection> {
        let bytes = input.value;
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(too_large(bytes));
        }
        if is_avro(bytes) {
            self.read_avro(bytes, input.schema, object)?;
        } else {
            let text = simdutf8::basic::from_utf8(bytes).map_err(|_| not_utf8(bytes))?;
            if !json_fast_path::object(text, &mut self.names, object) {
                self.read_json(text, object)?;
            }
            if is_structured_cloud_event(&object.unknown) {
                *object = self.unwrap_structured(std::mem::take(object))?;
                return Ok(CloudEventMode::Structured);
            }
        }
        let Some(attributes) = &input.attributes else { return Ok(CloudEventMode::Absent) };
        for (slot, header) in object.slots.iter_mut().zip([attributes.id, attributes.time]) {
            *slot = header.map_or(Slot::Absent, |bytes| match std::str::from_utf8(bytes) {
                Ok(text) => Slot::Text(Cow::Borrowed(text)),
                Err(_) => Slot::Bytes,
            });
        }
        Ok(CloudEventMode::Binary)
    }

    #[inline(never)]
    fn read_json<'a>(&self, text: &'a str, object: &mut ParsedObject<'a>) -> Result<(), Rejection> {
        *object = ParsedObject::default();
        json::object(text, self.names.list(), object).map_err(reject_object)
    }

    #[inline(never)]
    fn read_avro<'a>(
        &self,
        bytes: &'a [u8],
        schema: Option<&'a AvroSchema>,
        object: &mut ParsedObject<'a>,
    ) -> Result<(), Rejection> {
        read_avro(bytes, schema, self.names.list(), object)
    }

    /// Returns the event under `data`, with `id` and `time` of its CloudEvents envelope.
    #[inline(never)]
    fn unwrap_structured<'a>(
        &self,
        mut envelope: ParsedObject<'a>,
    ) -> Result<ParsedObject<'a>, Rejection> {
        unknown_fields::extra_json(&mut envelope.unknown).map_err(|e| reject_object(e.into()))?;
        let member = |name| match last_member(&envelope.unknown, name)? {
            Cow::Borrowed(value) => Some(*value),
            // The JSON parser never copies JSON text.
            Cow::Owned(_) => None,
        };
        let data = member("data").filter(|data| *data != "null").ok_or_else(|| {
            reject(RejectReason::MissingField, Some("data"), "a CloudEvents record needs it")
        })?;
        let mut object = ParsedObject::default();
        json::object(data, self.names.list(), &mut object).map_err(reject_object)?;
        for (slot, name) in object.slots.iter_mut().zip(CloudEventMode::Structured.names()) {
            *slot = match member(name) {
                Some(value) => Slot::read(value).map_err(|e| reject_object(e.into()))?,
                None => Slot::Absent,
            };
        }
        Ok(object)
    }

    /// Checks one field and converts it to its stored form.
    #[inline]
    fn check(&mut self, field: &FieldDef, slot: &mut Slot<'_>) -> Result<(), Rejection> {
        match (&mut *slot, field.rule) {
            (Slot::Absent | Slot::Null, FieldRule::OneOf(_, Some(default))) => {
                *slot = Slot::Text(Cow::Borrowed(default));
            }
            (Slot::Absent | Slot::Null, _) if field.required => {
                return Err(missing_field(field.name));
            }
            (Slot::Absent | Slot::Null, _) => {}
            (given, FieldRule::Integer(min, max)) => {
                *slot = Slot::Long(integer_in_range(field.name, given, min, max)?);
            }
            (given, FieldRule::Millis) => *slot = Slot::Long(millis_to_micros(field.name, given)?),
            (Slot::Text(text), rule) => {
                check_text(field, rule, text)?;
                if text.is_empty() {
                    *slot = Slot::Null;
                } else if matches!(rule, FieldRule::Credential) {
                    *slot = Slot::Hash(self.hash(text));
                }
            }
            (slot, _) => return Err(wrong_type(field.name, slot, "a string")),
        }
        Ok(())
    }

    /// Returns the fields of an event by their columns, as they are stored.
    pub fn stored_fields(&self, event: &Event<'_>) -> Vec<StoredField> {
        let occurred_at = domain::format_instant(event.occurred_at);
        let mut fields = vec![
            StoredField::text(COMMON_NAMES[0], event.event_id()),
            StoredField::text(COMMON_NAMES[2], event.partner_id()),
            StoredField { column: COMMON_NAMES[1], value: occurred_at.into() },
        ];
        fields.extend(self.fields.iter().zip(event.own_slots()).map(|(field, slot)| {
            let value = match slot {
                Slot::Text(text) => (&**text).into(),
                Slot::Hash(hash) => (&**hash).into(),
                Slot::Long(number) => (*number).into(),
                _ => serde_json::Value::Null,
            };
            StoredField { column: field.column(), value }
        }));
        fields.push(StoredField { column: "extra", value: event.extra.clone().into() });
        fields
    }

    fn hash(&mut self, credential: &str) -> Arc<str> {
        if self.hashes.len() >= MAX_CACHED_HASHES {
            self.credentials.clear();
            self.hashes.clear();
        }
        let (number, _) = self.credentials.intern(credential);
        if number as usize == self.hashes.len() {
            self.hashes.push((self.hash_credential)(credential).into());
        }
        Arc::clone(&self.hashes[number as usize])
    }
}

/// Whether a value is in the Confluent wire format of Avro.
pub(crate) fn is_avro(value: &[u8]) -> bool {
    value.first() == Some(&0)
}

/// Returns an Avro record as a JSON object.
pub(crate) fn avro_json(value: &[u8], schema: Option<&AvroSchema>) -> Result<String, Rejection> {
    if value.len() > MAX_RECORD_BYTES {
        return Err(too_large(value));
    }
    let mut object = ParsedObject::default();
    read_avro(value, schema, &[], &mut object)?;
    let too_long = || {
        let detail = "as JSON the record is longer than the 1 MiB that a mapping takes";
        reject(RejectReason::MappingFailed, None, detail)
    };
    // Members that are too long together are all left out.
    if object.unknown.is_empty() && value.len() > avro::WIRE_HEADER_BYTES {
        return Err(too_long());
    }
    let members = object.unknown.iter().map(|(name, json)| {
        let name = serde_json::Value::from(&**name);
        format!("{name}:{json}")
    });
    let json = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    if json.len() > MAX_RECORD_BYTES { Err(too_long()) } else { Ok(json) }
}

fn read_avro<'a>(
    bytes: &'a [u8],
    schema: Option<&'a AvroSchema>,
    names: &[&str],
    object: &mut ParsedObject<'a>,
) -> Result<(), Rejection> {
    let known = schema.zip(bytes.get(avro::WIRE_HEADER_BYTES..));
    let (schema, body) = known.ok_or_else(|| {
        let detail = "Avro whose schema no Schema Registry knows, or none is configured";
        reject(RejectReason::SchemaUnknown, None, detail)
    })?;
    avro::object(body, schema, names, object).map_err(|why| match why {
        AvroError::Malformed(what) => reject(RejectReason::NotJson, None, format!("Avro: {what}")),
        AvroError::NotARecord(kind) => reject_object(ObjectError::NotAnObject(kind)),
    })
}

/// Whether the members of an object make it a CloudEvents envelope.
fn is_structured_cloud_event(unknown: &[(Cow<'_, str>, Cow<'_, str>)]) -> bool {
    last_member(unknown, "specversion").is_some_and(|version| version != "null")
}

/// Returns the JSON of a member. The last of several members with the same name counts.
fn last_member<'m, 'a>(
    members: &'m [(Cow<'a, str>, Cow<'a, str>)],
    name: &str,
) -> Option<&'m Cow<'a, str>> {
    members.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value)
}

/// The CloudEvents content mode of a record, which decides where an event's id and time come from.
#[derive(Clone, Copy)]
enum CloudEventMode {
    Absent,
    /// Structured mode: the value is a CloudEvents envelope.
    Structured,
    /// Binary mode: the attributes are headers, which replace the fields of the value.
    Binary,
}

impl CloudEventMode {
    /// Returns the names of the id and the time in the record.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Absent => [COMMON_NAMES[0], COMMON_NAMES[1]],
            Self::Structured => ["id", "time"],
            Self::Binary => ["ce_id", "ce_time"],
        }
    }
}

#[cold]
pub(crate) fn too_large(bytes: &[u8]) -> Rejection {
    let detail = format!("{} bytes; at most {MAX_RECORD_BYTES} are taken", bytes.len());
    reject(RejectReason::TooLarge, None, detail)
}

pub(crate) fn reject(
    reason: RejectReason,
    field: Option<&'static str>,
    detail: impl Into<String>,
) -> Rejection {
    Rejection { reason, field, detail: detail.into(), sealed_before: None }
}

#[cold]
pub(crate) fn not_utf8(bytes: &[u8]) -> Rejection {
    let valid = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
    reject(RejectReason::NotJson, None, format!("not UTF-8 after {valid} bytes"))
}

fn missing_field(name: &'static str) -> Rejection {
    reject(RejectReason::MissingField, Some(name), "absent or null, and it is required")
}

fn wrong_type(name: &'static str, slot: &Slot<'_>, expected: &str) -> Rejection {
    reject(
        RejectReason::WrongType,
        Some(name),
        format!("{} where {expected} is expected", slot.type_name()),
    )
}

fn reject_object(why: ObjectError) -> Rejection {
    match why {
        ObjectError::NotJson(detail) => reject(RejectReason::NotJson, None, detail),
        ObjectError::NotAnObject(kind) => {
            reject(RejectReason::NotAnObject, None, format!("{kind} where an object is expected"))
        }
    }
}
