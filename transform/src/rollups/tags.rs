//! The tags of a rollup's files, which record what the rows of a day were computed from.
//!
//! The first tag is `ENGINE.SQL.INPUT-INPUT…`: the version of this engine, a digest of the query,
//! and a digest of each table that it reads, as far as the day may read the table. Data files never
//! change, and a compacted file has the identity of the files it replaced. So equal tags mean equal
//! rows. The second tag names the versions of the tables that were read.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use domain::Day;
use lake::TableSnapshot;

use crate::rollups::inputs::RollupInput;

/// The version of the engine. It is raised when the same query over the same input gives other
/// rows.
const ENGINE_VERSION: &str = "2";

/// The name of the tag with the digests of the query and its inputs.
pub(crate) const INPUTS_TAG: &str = "inputs";

/// The name of the tag with table versions: `raw/api_calls@12 raw/billing_events@3`.
const VERSIONS_TAG: &str = "versions";

/// The length of a digest in hexadecimal digits; a collision is very unlikely.
const DIGEST_LENGTH: usize = 24;

/// Returns the tag of each stored day, or `None` for a day whose files have no tag or different
/// ones.
pub(crate) fn stored_tags(base: &TableSnapshot) -> BTreeMap<Day, Option<String>> {
    let mut tags: BTreeMap<Day, Option<String>> = BTreeMap::new();
    for file in base.files.iter() {
        let Some(day) = file.day else { continue };
        let tag = file.tags.get(INPUTS_TAG).cloned();
        tags.entry(day)
            .and_modify(|known| {
                if *known != tag {
                    *known = None;
                }
            })
            .or_insert(tag);
    }
    tags
}

/// Returns the table versions that each stored day was computed from, where its file has the tag.
pub(crate) fn stored_versions(base: &TableSnapshot) -> BTreeMap<Day, String> {
    let of_file = |file: &lake::DataFile| Some((file.day?, file.tags.get(VERSIONS_TAG)?.clone()));
    base.files.iter().filter_map(of_file).collect()
}

/// Returns the versions of the tables that the inputs are made of.
pub(crate) fn input_versions(inputs: &[RollupInput]) -> BTreeMap<String, u64> {
    let versions = inputs.iter().flat_map(|input| &input.versions);
    versions.map(|(table, version)| (table.clone(), *version)).collect()
}

/// Returns the tags of a file that was computed from tables of these versions.
pub(crate) fn file_tags(tag: &str, versions: &BTreeMap<String, u64>) -> BTreeMap<String, String> {
    let versions = versions.iter().map(|(table, version)| format!("{table}@{version}"));
    let versions: Vec<String> = versions.collect();
    BTreeMap::from([
        (INPUTS_TAG.to_owned(), tag.to_owned()),
        (VERSIONS_TAG.to_owned(), versions.join(" ")),
    ])
}

/// Returns the tag of a day. `sql_prefix` comes from [`sql_prefix`], and each input comes with the
/// content of its days.
pub(crate) fn day_tag(
    sql_prefix: &str,
    inputs: &[(&RollupInput, BTreeMap<Day, String>)],
    day: Day,
) -> String {
    let inputs: Vec<String> = inputs
        .iter()
        .map(|(input, contents)| {
            let read = contents.iter().filter(|(other, _)| input.day_range.covers(day, **other));
            digest([input.name.as_str()].into_iter().chain(read.map(|(_, text)| text.as_str())))
        })
        .collect();
    format!("{sql_prefix}{}", inputs.join("-"))
}

/// Returns the beginning of the tags of a query's days. `sql` is the normalized statement.
pub(crate) fn sql_prefix(sql: &str) -> String {
    format!("{ENGINE_VERSION}.{}.", digest([sql]))
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let mut digits = hex::encode(context.finish());
    digits.truncate(DIGEST_LENGTH);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_the_ends_of_its_parts() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_eq!(digest(["a"]).len(), DIGEST_LENGTH);
    }
}
