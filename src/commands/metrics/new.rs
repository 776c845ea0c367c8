//! `rapport metrics new`: a query with its cases, which works as it stands and is to be changed.

use std::path::Path;

use anyhow::Context;
use transform::{Catalog, Kind};

use crate::args::QueryKind;
use crate::config::Config;
use crate::failure::usage;
use crate::output::{self, line, note};

pub(super) fn run(
    catalog: &Catalog,
    config: &Config,
    name: &str,
    kind: QueryKind,
) -> anyhow::Result<()> {
    if let Some(why) = transform::refused_name(name) {
        return Err(usage(why));
    }
    if let Some(query) = catalog.get(name) {
        return Err(usage(format!("{} has that name already; choose another one", query.file)));
    }
    if let Some(fault) = catalog.left_out().get(name) {
        return Err(usage(format!("{} has that name already; choose another one", fault.file)));
    }
    let (kind, sql, cases) = match kind {
        QueryKind::Metric => {
            let (sql, cases) =
                (include_str!("scaffold/metric.sql"), include_str!("scaffold/metric.test.toml"));
            (Kind::Metric, sql, cases)
        }
        QueryKind::View => {
            let (sql, cases) =
                (include_str!("scaffold/view.sql"), include_str!("scaffold/view.test.toml"));
            (Kind::View, sql, cases)
        }
        QueryKind::Rollup => {
            let (sql, cases) =
                (include_str!("scaffold/rollup.sql"), include_str!("scaffold/rollup.test.toml"));
            (Kind::Rollup, sql, cases)
        }
        QueryKind::Check => {
            let (sql, cases) =
                (include_str!("scaffold/check.sql"), include_str!("scaffold/check.test.toml"));
            (Kind::Check, sql, cases)
        }
    };
    let folder = config.queries_folder().join(kind.folder());
    for (ending, text) in [("sql", sql), ("test.toml", cases)] {
        let path = folder.join(format!("{name}.{ending}"));
        write_new(&path, text)?;
        line(&format!("queries/{}/{name}.{ending}", kind.folder()))?;
    }
    note(&format!(
        "\nIt works as it stands; make it yours. Next:\n  rapport metrics check {name}\n  rapport metrics test {name}        # --record writes what comes into its cases\n  rapport metrics preview {name}"
    ));
    Ok(())
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.try_exists().with_context(|| path.display().to_string())? {
        return Err(usage(format!("{} exists already", path.display())));
    }
    output::write_file(path, text.as_bytes())
}
