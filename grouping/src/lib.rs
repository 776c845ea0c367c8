//! Groups rows by keys that are one number each.
//!
//! DataFusion hashes and compares each column of a key in each row. Here the distinct values of each column
//! are numbered, and the numbers of a row are put together to one of 128 bits, which is hashed and compared
//! once. Most values are found by a machine word: events repeat a few products, endpoints and partners.
//! Velox calls such numbers value ids and normalized keys
//! (<https://facebookincubator.github.io/velox/develop/aggregations.html>).
//!
//! It is a crate of its own because it looks at every row: it is optimised in every profile.
//!
//! - `exec`: the physical plan
//! - `partition`: groups the rows of one partition
//! - `functions`: aggregate functions with their arguments
//! - `groups`: the groups of normalized keys
//! - `value_ids`: the numbers of the values of a column
//! - `words`: machine words of values, by which they are compared

mod exec;
mod functions;
mod groups;
mod partition;
#[cfg(test)]
mod tests;
mod value_ids;
mod words;

pub use exec::NormalizedKeyAggregateExec;
pub use partition::MEMORY_CONSUMER;
