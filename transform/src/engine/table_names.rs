//! The names of all tables that a query may read.

use domain::Stream;

use crate::catalog::Catalog;
use crate::catalog::built_in_tables;
use crate::catalog::built_in_tables::ARRIVALS;

/// Returns every name that a query may read, without those of the schema `raw`.
pub(crate) fn known_tables(catalog: &Catalog) -> Vec<&str> {
    let mut known: Vec<&str> = Stream::ALL.iter().map(|s| s.table()).collect();
    known.push(ARRIVALS);
    known.extend(built_in_tables::LAKE_TABLES);
    known.extend(built_in_tables::SETTING_TABLES);
    known.extend(catalog.queries().map(|q| q.name.as_str()));
    known
}

/// Returns the names of the tables that no query file defines, with those of the schema `raw`.
pub(crate) fn base_tables() -> Vec<String> {
    let mut names: Vec<String> = Stream::ALL.iter().map(|s| s.table().to_owned()).collect();
    names.extend(
        Stream::ALL.iter().map(|s| format!("{}.{}", built_in_tables::RAW_SCHEMA, s.table())),
    );
    names.push(ARRIVALS.to_owned());
    names.extend(built_in_tables::LAKE_TABLES.iter().map(|name| (*name).to_owned()));
    names.extend(built_in_tables::SETTING_TABLES.iter().map(|name| (*name).to_owned()));
    names
}
