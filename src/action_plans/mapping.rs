//! The mapping: how other systems name partners. A CSV file with a row for each partner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use actions::deliver::TargetIds;

use crate::csv_file;
use crate::errors::usage_error;

/// The columns of the file. A cell that is empty is not known.
const COLUMNS: [&str; 6] = ["partner_id", "consumer", "key", "app", "organisation", "email"];

/// The mapping of a project, or none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    path: Option<PathBuf>,
    targets: BTreeMap<String, TargetIds>,
}

impl Mapping {
    /// Reads the file; without one no partner is mapped.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let bytes = std::fs::read(path).map_err(|e| {
            usage_error(format!("the mapping {} can't be read: {e}", path.display()))
        })?;
        let mut targets = BTreeMap::new();
        csv_file::parse(path, &bytes, COLUMNS, |row| {
            let id = row.name(0)?;
            let cell = |column: usize| {
                Some(row.text(column)).filter(|text| !text.is_empty()).map(str::to_owned)
            };
            let ids = TargetIds {
                consumer: cell(1),
                key: cell(2),
                app: cell(3),
                organisation: cell(4),
                email: cell(5),
                recipient: None,
            };
            match targets.insert(id.to_owned(), ids) {
                None => Ok(()),
                Some(_) => Err(row.cell_error(0, "the partner is there twice")),
            }
        })?;
        Ok(Self { path: Some(path.to_owned()), targets })
    }

    /// Returns how other systems name a partner.
    pub(crate) fn target(&self, partner_id: &str) -> TargetIds {
        self.targets.get(partner_id).cloned().unwrap_or_default()
    }

    /// Returns why nothing is delivered about a partner: there is a mapping, and it lacks the
    /// partner.
    pub(crate) fn unmapped(&self, partner_id: &str) -> Option<String> {
        let path = self.path.as_ref()?;
        let is_missing = !self.targets.contains_key(partner_id);
        is_missing.then(|| format!("The mapping {} has no row for it", path.display()))
    }

    /// Returns the number of partners that are named.
    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Returns the ids of the file that are no partners of the lake.
    pub(crate) fn unknown(&self, is_known: impl Fn(&str) -> bool) -> Vec<&str> {
        self.targets.keys().map(String::as_str).filter(|id| !is_known(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_gaps_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mapping.csv");
        let text = "partner_id,consumer,key,app,organisation,email\nacme,acme-gw,,,42,\n";
        std::fs::write(&path, text).expect("a file");
        let mapping = Mapping::read(Some(&path)).expect("a mapping");
        let target = mapping.target("acme");
        assert_eq!(target.consumer.as_deref(), Some("acme-gw"));
        assert_eq!((target.key, target.organisation.as_deref()), (None, Some("42")));
        assert_eq!(mapping.unmapped("acme"), None);
        assert!(mapping.unmapped("globex").is_some_and(|why| why.contains("no row for it")));
        assert_eq!(mapping.unknown(|_| false), ["acme"]);
        // Without a file nothing is missing: channels that need ids say so themselves.
        assert_eq!(Mapping::read(None).expect("none").unmapped("globex"), None);
        std::fs::write(&path, format!("{text}acme,,,,,\n")).expect("a file");
        let error = Mapping::read(Some(&path)).expect_err("twice").to_string();
        assert!(error.contains(":3") && error.contains("is there twice"), "{error}");
    }
}
