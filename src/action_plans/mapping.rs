//! The mapping: how other systems name partners. A CSV file with a row for each partner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use actions::deliver::TargetIds;
use domain::printable;

use crate::csv_file::{self, CellError, Row};
use crate::errors::usage_error;

/// The columns of the file. A cell that is empty is not known.
const COLUMNS: [&str; 6] = ["partner_id", "consumer", "key", "app", "organisation", "email"];
const CONSUMER: usize = 1;
const KEY: usize = 2;
const APP: usize = 3;
const ORGANISATION: usize = 4;
const EMAIL: usize = 5;

/// The partners and lines by what they own at a gateway or a desk: the column and the text.
type Owners = BTreeMap<(usize, String), (String, usize)>;

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
        let mut owners = Owners::new();
        csv_file::parse(path, &bytes, COLUMNS, |row| {
            let id = row.name(0)?;
            let cell = |column: usize| {
                Some(row.text(column)).filter(|text| !text.is_empty()).map(str::to_owned)
            };
            let ids = TargetIds {
                consumer: cell(CONSUMER),
                key: cell(KEY),
                app: cell(APP),
                organisation: cell(ORGANISATION),
                email: cell(EMAIL),
                recipient: None,
            };
            match targets.insert(id.to_owned(), ids) {
                None => check_owners(&mut owners, row),
                Some(_) => Err(row.cell_error(0, "the partner is there twice")),
            }
        })?;
        Ok(Self { path: Some(path.to_owned()), targets })
    }

    /// Returns how other systems name a partner.
    pub(crate) fn target(&self, partner_id: &str) -> TargetIds {
        self.targets.get(partner_id).cloned().unwrap_or_default()
    }

    /// Returns why a partner is neither changed nor told anything: there is a mapping, and it lacks
    /// the partner.
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

/// Fails where another partner has the same object at a gateway or a desk: what is meant for one of
/// them would reach the other. A person may look after several partners, so an e-mail address alone
/// is no such object.
fn check_owners(owners: &mut Owners, row: &Row<'_, 6>) -> Result<(), CellError> {
    for column in [CONSUMER, KEY, APP, ORGANISATION] {
        let text = row.text(column);
        if text.is_empty() {
            continue;
        }
        let object = match column {
            // A gateway has an application of this name for each developer.
            APP => format!("{text}\n{}", row.text(EMAIL).to_lowercase()),
            // Zendesk ignores the case of an organisation's external_id.
            ORGANISATION => text.to_lowercase(),
            _ => text.to_owned(),
        };
        let (partner, line) = (row.text(0), row.line());
        let owner = owners.insert((column, object), (partner.to_owned(), line));
        let Some((other, other_line)) = owner else { continue };
        let what = format!(
            "the partner \"{}\" has it, and \"{}\" in line {other_line} too, so that a change of one \
             would reach the other; give each its own, or leave the cell empty",
            printable(partner),
            printable(&other)
        );
        return Err(match column {
            KEY => row.secret_cell_error(column, what),
            _ => row.cell_error(column, what),
        });
    }
    Ok(())
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

    #[test]
    fn two_partners_never_share_what_a_change_reaches() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mapping.csv");
        let read = |acme: &str, globex: &str| {
            let header = COLUMNS.join(",");
            std::fs::write(&path, format!("{header}\nacme,{acme}\nglobex,{globex}\n"))
                .expect("a file");
            Mapping::read(Some(&path)).map(drop).map_err(|error| error.to_string())
        };
        let check = |acme: &str, globex: &str, start: &str| {
            let error = read(acme, globex).expect_err(start);
            assert!(error.contains(start), "{error}");
            assert!(
                error.contains("\"globex\"") && error.contains("\"acme\" in line 2"),
                "{error}"
            );
            assert!(!error.contains("s3cret"), "{error}");
        };
        check("gw,,,,", "gw,,,,", ":3:8: consumer \"gw\": ");
        check(",s3cret,,,", ",s3cret,,,", ":3:9: key: ");
        check(",,app,,", ",,app,,", ":3:10: app \"app\": ");
        check(",,app,,a@acme.example", ",,app,,A@Acme.example", ":3:10: app \"app\": ");
        check(",,,Org-1,", ",,,ORG-1,", ":3:11: organisation \"ORG-1\": ");
        // Other letters are another consumer, and other developers have other applications.
        for (acme, globex) in [
            ("gw,,,,", "GW,,,,"),
            (",,app,,a@acme.example", ",,app,,b@globex.example"),
            (",,,,team@example.com", ",,,,team@example.com"),
            ("gw,,,,", ",gw,,,"),
            (",,,,", ",,,,"),
        ] {
            assert_eq!(read(acme, globex), Ok(()), "{acme} and {globex}");
        }
    }
}
