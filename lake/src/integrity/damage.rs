//! Damaged files of a lake, and advice what to do about them.

use std::error::Error;

/// A file whose content is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file {path} of the lake is damaged: {what}; {}", advice(.path))]
pub struct Damage {
    /// The path below the lake's root.
    pub path: String,
    /// In what way the file is damaged.
    pub what: String,
    is_gone: bool,
}

impl Damage {
    pub(crate) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into(), is_gone: false }
    }

    /// Returns the damage of a missing file.
    pub(crate) fn gone(path: impl Into<String>) -> Self {
        Self { is_gone: true, ..Self::new(path, "it is gone") }
    }

    /// Returns the damage of a file with other bytes than were written.
    pub(crate) fn changed(path: impl Into<String>) -> Self {
        Self::new(path, "its bytes are not those that were written")
    }

    /// Returns the damage of a file of another size; both sizes are in bytes.
    pub(crate) fn size(path: impl Into<String>, found: u64, written: u64) -> Self {
        Self::new(path, format!("it has {found} bytes, {written} were written"))
    }

    /// Returns whether the file is missing.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Returns the damage in an error's chain of causes.
    pub fn in_chain<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
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

/// Returns whether a table can be computed again from other tables.
pub(crate) fn is_computed(table: &str) -> bool {
    table.starts_with("rollup/") || table.starts_with("scores/") || table == "runs"
}

/// Returns advice on a damaged file, by the table that it belongs to.
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
    fn the_advice_fits_the_table() {
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
    fn damage_is_found_in_the_chain_of_causes() {
        let damage = Damage::gone("runs/part-1.parquet");
        let error = object_store::Error::from(damage.clone());
        let error = parquet::errors::ParquetError::External(Box::new(error));
        assert_eq!(Damage::in_chain(&error), Some(&damage));
        let other = parquet::errors::ParquetError::General("no".to_owned());
        assert_eq!(Damage::in_chain(&other), None);
    }
}
