//! The fields of events: which values they may have, and how they are stored.

/// The definition of one field of a stream's events.
#[derive(Debug)]
pub struct FieldDef {
    pub name: &'static str,
    pub required: bool,
    pub rule: FieldRule,
    /// What the field means, for producers of events.
    pub description: &'static str,
}

impl FieldDef {
    /// Returns the name of its column in the raw table.
    pub fn column(&self) -> &'static str {
        match self.rule {
            FieldRule::Millis => "latency_us",
            _ => self.name,
        }
    }

    /// Whether its column holds a value in every row.
    pub fn is_always_stored(&self) -> bool {
        self.required || matches!(self.rule, FieldRule::OneOf(_, Some(_)))
    }
}

/// Which values of a field are valid, and how they are stored.
#[derive(Debug, Clone, Copy)]
pub enum FieldRule {
    /// Any string. An empty one is stored as NULL.
    Text,
    /// A string of 1 to 128 code points.
    Id,
    /// A string, of which only the keyed hash is stored.
    Credential,
    /// A route template, which is stored up to its query string or fragment.
    Route,
    /// A string that is stored in upper case.
    Method,
    /// An ISO 4217 code with a minor unit, in upper case.
    Currency,
    /// One of a list of strings. The second value is the default.
    OneOf(&'static [&'static str], Option<&'static str>),
    /// An integer within these bounds, inclusive.
    Integer(i64, i64),
    /// Milliseconds that are not negative, stored as integer microseconds.
    Millis,
    /// The instant at which the event occurred. Only the common field `occurred_at` has this rule.
    Instant,
}

/// The rule of an integer that is not negative.
pub(super) const COUNT: FieldRule = FieldRule::Integer(0, i64::MAX);

pub(super) const fn optional(
    name: &'static str,
    rule: FieldRule,
    description: &'static str,
) -> FieldDef {
    FieldDef { name, required: false, rule, description }
}

pub(super) const fn required(
    name: &'static str,
    rule: FieldRule,
    description: &'static str,
) -> FieldDef {
    FieldDef { name, required: true, rule, description }
}

/// The fields that every event has, in the order in which they are checked.
pub const COMMON_FIELDS: [FieldDef; 3] = [
    required(
        "event_id",
        FieldRule::Id,
        "The idempotency key: a retry carries the same, and the event counts once",
    ),
    required(
        "occurred_at",
        FieldRule::Instant,
        "When it happened; the event is filed under its UTC date",
    ),
    required(
        "partner_id",
        FieldRule::Id,
        "The partner it is about; the record's key should be the same",
    ),
];
