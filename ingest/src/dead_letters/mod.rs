//! Dead letters: rejected records, which are stored encrypted.
//!
//! - `rejected_record`: a rejected record before it is written
//! - `write`: writes rejected records
//! - `read`: lists and opens dead letters
//! - `replay`: decodes dead letters again after a fix

pub(crate) mod read;
pub(crate) mod rejected_record;
pub(crate) mod replay;
pub(crate) mod write;
