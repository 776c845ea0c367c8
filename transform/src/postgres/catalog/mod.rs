//! `pg_catalog` and `information_schema`: what programs read to find out which tables, columns, types
//! and descriptions there are.
//!
//! - `relations`: the tables, views and metrics of a session with the types of their columns
//! - `tables`: the columns of the tables of the catalog
//! - `rows`: their rows, and `information_schema`, those of the tables of that schema
//! - `functions`: the functions that go with them
//! - `rewrite`: statements over the catalog as DataFusion can plan them
//! - `empty_queries`: queries over tables that never have a row

mod empty_queries;
mod functions;
mod information_schema;
mod relations;
mod rewrite;
mod rows;
mod tables;

use std::sync::Arc;

use datafusion::catalog::MemorySchemaProvider;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement as Sql;

use super::names::PG_CATALOG;
use crate::catalog::sql_visitor::visit_mut;
use crate::engine::context::{new_context, with_own_memory_pool};
use crate::engine::session::Session;
use crate::engine::utf8_view;
use crate::error::{Result, TransformError};
use relations::{Relations, relations_of};
use rewrite::Rewrite;

pub(super) const INFORMATION_SCHEMA: &str = "information_schema";

/// The system catalog of one session, in a context of its own that reaches no table of the lake.
pub(super) struct Catalog {
    context: SessionContext,
    relations: Arc<Relations>,
}

impl Catalog {
    pub(super) async fn new(session: &Session, user: &str) -> Result<Self> {
        let fail = || TransformError::sql(PG_CATALOG);
        let relations = Arc::new(relations_of(session, user).await);
        let of_session = session.context();
        let runtime = with_own_memory_pool(&of_session.runtime_env());
        let context = new_context(of_session.copied_config(), runtime);
        let default = context.copied_config().options().catalog.default_catalog.clone();
        if let Some(provider) = context.catalog(&default) {
            for schema in [PG_CATALOG, INFORMATION_SCHEMA] {
                let empty = Arc::new(MemorySchemaProvider::new());
                provider.register_schema(schema, empty).map_err(fail())?;
            }
        }
        for table in tables::ALL {
            let rows = rows::of(table, &relations).map_err(|e| fail()(e.into()))?;
            let provider = utf8_view::table_of(&rows).map_err(fail())?;
            context.register_table(table.name, provider).map_err(fail())?;
        }
        functions::register(&context, &relations);
        Ok(Self { context, relations })
    }

    pub(super) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Makes a statement one that DataFusion can plan over the catalog.
    pub(super) fn rewrite(&self, sql: &mut Sql) {
        visit_mut(sql, &mut Rewrite::new(&self.relations));
    }
}

/// Returns whether a name, by its schema and table, is one of the catalog.
pub(super) fn is_relation(parts: &[&str]) -> bool {
    match parts {
        [name] => name.starts_with("pg_"),
        [schema, _] => *schema == PG_CATALOG || schema.eq_ignore_ascii_case(INFORMATION_SCHEMA),
        _ => false,
    }
}
