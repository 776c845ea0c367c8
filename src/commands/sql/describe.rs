//! `\d`, `\df` and `\?`: lists tables, columns, functions and meta-commands.

use transform::{Session, functions};

use super::meta_command::META_COMMANDS;
use crate::commands::fields::event_column_description;
use crate::errors::usage_error;
use crate::output::print_table;
use crate::table::Table;

/// Lists tables, views, metrics and rollups.
pub(super) fn relations(session: &Session) -> anyhow::Result<()> {
    let mut table = Table::new(["name", "kind", "what it is"], &[]);
    for relation in session.relations() {
        table.row([relation.name, relation.kind.to_owned(), relation.description]);
    }
    print_table(&table)
}

/// Lists the columns of one of them.
pub(super) async fn columns(session: &Session, name: &str) -> anyhow::Result<()> {
    let columns = session.columns(name).await.map_err(|e| usage_error(e.to_string()))?;
    let relation = session.relations().into_iter().find(|relation| relation.name == name);
    if let Some(relation) = relation {
        crate::output::print_line(&format!("{}: {}\n", relation.kind, relation.description))?;
    }
    let mut table = Table::new(["column", "type", "unit", "what it is"], &[]);
    for column in columns {
        let description =
            column.description.or_else(|| event_column_description(name, &column.name));
        table.row([
            column.name,
            column.kind,
            column.unit.unwrap_or_default(),
            description.unwrap_or_default(),
        ]);
    }
    print_table(&table)
}

/// Lists the functions that DataFusion lacks.
pub(super) fn own_functions() -> anyhow::Result<()> {
    let mut table = Table::new(["function", "what it does"], &[]);
    for function in functions() {
        table.row([function.signature, function.description]);
    }
    print_table(&table)
}

/// Lists the meta-commands.
pub(super) fn meta_commands() -> anyhow::Result<()> {
    let mut table = Table::new(["", ""], &[]);
    for (command, does) in META_COMMANDS {
        table.row([command, does]);
    }
    print_table(&table)
}
