//! `\d`, `\df` and `\?`: what there is to ask, as tables for people.

use transform::{Session, functions};

use super::command::COMMANDS;
use crate::commands::fields::column_of;
use crate::failure::usage;
use crate::output::{Table, show};

/// Tables, views, metrics and rollups.
pub(super) fn relations(session: &Session) -> anyhow::Result<()> {
    let mut table = Table::new(["name", "kind", "what it is"], &[]);
    for relation in session.relations() {
        table.row([relation.name, relation.kind.to_owned(), relation.description]);
    }
    show(&table)
}

/// The columns of one of them.
pub(super) async fn columns(session: &Session, name: &str) -> anyhow::Result<()> {
    let columns = session.columns(name).await.map_err(|e| usage(e.to_string()))?;
    let relation = session.relations().into_iter().find(|relation| relation.name == name);
    if let Some(relation) = relation {
        crate::output::line(&format!("{}: {}\n", relation.kind, relation.description))?;
    }
    let mut table = Table::new(["column", "type", "unit", "what it is"], &[]);
    for column in columns {
        let told = column.description.or_else(|| column_of(name, &column.name));
        table.row([
            column.name,
            column.kind,
            column.unit.unwrap_or_default(),
            told.unwrap_or_default(),
        ]);
    }
    show(&table)
}

/// The functions that DataFusion lacks.
pub(super) fn own_functions() -> anyhow::Result<()> {
    let mut table = Table::new(["function", "what it does"], &[]);
    for function in functions() {
        table.row([function.signature, function.does]);
    }
    show(&table)
}

pub(super) fn commands() -> anyhow::Result<()> {
    let mut table = Table::new(["", ""], &[]);
    for (command, does) in COMMANDS {
        table.row([command, does]);
    }
    show(&table)
}
