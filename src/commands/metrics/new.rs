//! `rapport metrics new`: writes a working query with its test cases, as a start for one's own.

use std::path::Path;

use anyhow::Context;
use transform::{Catalog, QueryKind};

use crate::args::ScaffoldKind;
use crate::atomic_file::write_file;
use crate::config::Config;
use crate::errors::usage_error;
use crate::output::{print_line, print_note};

/// Writes the files of a new query into the project.
pub(super) fn run(
    catalog: &Catalog,
    config: &Config,
    name: &str,
    kind: ScaffoldKind,
) -> anyhow::Result<()> {
    if let Some(why) = transform::invalid_name_reason(name) {
        return Err(usage_error(why));
    }
    if let Some(query) = catalog.get(name) {
        return Err(usage_error(format!(
            "{} has that name already; choose another one",
            query.file
        )));
    }
    if let Some(diagnostic) = catalog.unreadable().get(name) {
        return Err(usage_error(format!(
            "{} has that name already; choose another one",
            diagnostic.file
        )));
    }
    let (kind, sql, cases) = match kind {
        ScaffoldKind::Metric => {
            let (sql, cases) =
                (include_str!("scaffold/metric.sql"), include_str!("scaffold/metric.test.toml"));
            (QueryKind::Metric, sql, cases)
        }
        ScaffoldKind::View => {
            let (sql, cases) =
                (include_str!("scaffold/view.sql"), include_str!("scaffold/view.test.toml"));
            (QueryKind::View, sql, cases)
        }
        ScaffoldKind::Rollup => {
            let (sql, cases) =
                (include_str!("scaffold/rollup.sql"), include_str!("scaffold/rollup.test.toml"));
            (QueryKind::Rollup, sql, cases)
        }
        ScaffoldKind::Check => {
            let (sql, cases) =
                (include_str!("scaffold/check.sql"), include_str!("scaffold/check.test.toml"));
            (QueryKind::Check, sql, cases)
        }
    };
    let folder = config.queries_folder().join(kind.folder());
    for (ending, text) in [("sql", sql), ("test.toml", cases)] {
        let path = folder.join(format!("{name}.{ending}"));
        write_new(&path, text)?;
        print_line(&format!("queries/{}/{name}.{ending}", kind.folder()))?;
    }
    print_note(&format!(
        "\nIt works as it stands; make it yours. Next:\n  rapport metrics check {name}\n  rapport metrics test {name}        # --record writes what comes into its cases\n  rapport metrics preview {name}"
    ));
    Ok(())
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.try_exists().with_context(|| path.display().to_string())? {
        return Err(usage_error(format!("{} exists already", path.display())));
    }
    write_file(path, text.as_bytes())
}
