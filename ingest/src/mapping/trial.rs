//! Shows what would become of a record: the event that its mapping makes of it, and the fields as
//! they would be stored, or the rule that it breaks. Nothing is written.

use std::sync::Arc;

use domain::Stream;

use super::{Mapped, Mapping, MappingContext};
use crate::decode::{Decoder, RecordInput, Rejection, StoredField};

/// Tries records of one stream.
pub struct Trial {
    mapping: Option<Mapping>,
    decoder: Decoder,
}

/// A record to try.
#[derive(Debug, Clone, Copy)]
pub struct TrialRecord<'a> {
    pub value: &'a [u8],
    pub key: Option<&'a [u8]>,
    pub headers: &'a [(String, Option<Vec<u8>>)],
    pub topic: &'a str,
    /// See [`super::record_position`].
    pub position: &'a str,
    /// In µs since 1970 UTC.
    pub arrival: i64,
}

/// What would become of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialOutcome {
    /// The event that the mapping makes of it, as JSON text. `None` without a mapping, and where
    /// the mapping skips the record or fails.
    pub mapped: Option<String>,
    pub result: TrialResult,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TrialResult {
    /// The event's fields as they would be stored, of a credential only `hashed`, because the
    /// lake's key is not known.
    Accepted(Vec<StoredField>),
    /// The mapping leaves the record out.
    Skipped {
        /// What the program says of why, which may quote the record.
        why: Option<String>,
    },
    Rejected {
        rejection: Rejection,
        /// The message of the mapping's error, which may quote the record.
        message: Option<String>,
    },
}

impl Trial {
    pub fn new(stream: Stream, mapping: Option<Mapping>) -> Self {
        let hash = Arc::new(|_: &str| "hashed".to_owned());
        Self { mapping, decoder: Decoder::new(stream, hash) }
    }

    /// Maps and checks one record.
    pub fn run(&mut self, record: &TrialRecord<'_>) -> TrialOutcome {
        let Some(mapping) = &self.mapping else {
            let result = self.decode(record.value, record.arrival);
            return TrialOutcome { mapped: None, result };
        };
        let &TrialRecord { value, key, headers, topic, position, arrival } = record;
        // The lake's key is not known, so that pseudonyms are others than in the lake.
        let pseudonym =
            &|credential: &str| format!("key-{}", &lake::sha256_hex(credential.as_bytes())[..16]);
        let context = MappingContext { key, headers, topic, position, arrival, pseudonym };
        let (mapped, result) = match mapping.run(value, &context) {
            Ok(Mapped::Event(event)) => {
                let result = self.decode(event.as_bytes(), arrival);
                (Some(event), result)
            }
            Ok(Mapped::Skipped { why }) => (None, TrialResult::Skipped { why }),
            Err(failure) => {
                let (rejection, message) = (failure.rejection, failure.message);
                (None, TrialResult::Rejected { rejection, message })
            }
        };
        TrialOutcome { mapped, result }
    }

    fn decode(&mut self, value: &[u8], arrival: i64) -> TrialResult {
        let input = RecordInput { value, arrival, attributes: None, schema: None };
        match self.decoder.parse(&input) {
            Ok(event) => TrialResult::Accepted(self.decoder.stored_fields(&event)),
            Err(rejection) => TrialResult::Rejected { rejection, message: None },
        }
    }
}
