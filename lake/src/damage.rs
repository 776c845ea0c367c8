//! What is damaged in a lake, and what to do about it.

use std::error::Error;

/// A file that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file {path} of the lake is damaged: {what}; {}", advice(.path))]
pub struct Damage {
    /// Below the lake's root.
    pub path: String,
    /// In what way.
    pub what: String,
}

/// What is said of a file that is not there.
const GONE: &str = "it is gone";

impl Damage {
    pub(crate) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }

    pub(crate) fn gone(path: impl Into<String>) -> Self {
        Self::new(path, GONE)
    }

    pub(crate) fn changed(path: impl Into<String>) -> Self {
        Self::new(path, "its bytes are not those that were written")
    }

    pub(crate) fn size(path: impl Into<String>, found: u64, written: u64) -> Self {
        Self::new(path, format!("it has {found} bytes, {written} were written"))
    }

    /// Whether the file is not there at all.
    pub fn is_gone(&self) -> bool {
        self.what == GONE
    }

    /// The damage that an error came from.
    pub fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(damage) = error.downcast_ref::<Self>() {
                return Some(damage);
            }
            cause = error.source();
        }
        None
    }
}

impl From<Damage> for object_store::Error {
    fn from(damage: Damage) -> Self {
        Self::Generic { store: "lake", source: Box::new(damage) }
    }
}

/// Whether a table holds what can be computed from others again.
pub(crate) fn is_computed(table: &str) -> bool {
    table.starts_with("rollup/") || table.starts_with("scores/") || table == "runs"
}

fn advice(path: &str) -> String {
    let repair = "`rapport lake repair` makes anew what can be, and says what can't";
    let (table, of_log) = match path.find("/_delta_log").or_else(|| path.find("/_witness")) {
        Some(end) => (&path[..end], true),
        None => (path.split("/event_date=").next().unwrap_or(path), false),
    };
    if of_log || is_computed(table) {
        return repair.to_owned();
    }
    let copy = "put it back from a copy of the lake";
    if path.starts_with("reports/") {
        return format!("{copy}, or remove it and write the reports anew");
    }
    if path.starts_with("raw/") && !path.starts_with("raw/dead_letters") {
        return format!("{copy}; without one, remove the folder {table} and load its events again");
    }
    copy.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_of_the_table() {
        #[track_caller]
        fn check(path: &str, words: &str) {
            let text = Damage::gone(path).to_string();
            assert!(
                text.starts_with(&format!("the file {path} of the lake is damaged: it is gone; "))
            );
            assert!(text.contains(words), "{text}");
        }
        check(
            "raw/api_calls/event_date=2026-01-01/part-1.parquet",
            "remove the folder raw/api_calls and",
        );
        check("raw/dead_letters/arrival_date=2026-01-01/part-1.parquet", "from a copy of the lake");
        check("raw/api_calls/_delta_log/00000000000000000007.json", "lake repair");
        check("rollup/partner_day/event_date=2026-01-01/part-1.parquet", "lake repair");
        check("scores/partner_health/part-1.parquet", "lake repair");
        check("runs/_witness/newest", "lake repair");
    }

    #[test]
    fn damage_is_found_behind_other_errors() {
        let damage = Damage::gone("runs/part-1.parquet");
        let error = object_store::Error::from(damage.clone());
        let error = parquet::errors::ParquetError::External(Box::new(error));
        assert_eq!(Damage::behind(&error), Some(&damage));
        let other = parquet::errors::ParquetError::General("no".to_owned());
        assert_eq!(Damage::behind(&other), None);
    }
}
