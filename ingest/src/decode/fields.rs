//! The event contracts as the decoder uses them: the fields of each stream with their rules, in the
//! order in which they are checked. They become the columns of the raw table after `occurred_at`,
//! in the same order.

use domain::Stream;
pub(super) use domain::{COMMON_FIELDS, FieldDef, FieldRule};

/// The names of the fields that every event has, in the order in which they are checked.
pub(super) const COMMON_NAMES: [&str; 3] =
    [COMMON_FIELDS[0].name, COMMON_FIELDS[1].name, COMMON_FIELDS[2].name];

/// The greatest number of own fields that a stream has.
pub(super) const MAX_OWN_FIELDS: usize = {
    let (mut most, mut i) = (0, 0);
    while i < Stream::ALL.len() {
        let fields = own_fields(Stream::ALL[i]).len();
        if fields > most {
            most = fields;
        }
        i += 1;
    }
    most
};

/// Returns a stream's own fields, in the order of its table in the contract.
pub(super) const fn own_fields(stream: Stream) -> &'static [FieldDef] {
    stream.definition().fields
}
