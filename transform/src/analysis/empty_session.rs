//! A session over empty tables, which plans the queries of a catalog without a lake. Each query is
//! an empty table with the columns of its header, so that a wrong query does not affect its
//! readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use domain::{AsOf, Stream};

use crate::catalog::built_in_tables::{self, ARRIVALS, Settings};
use crate::catalog::statement::Statement;
use crate::catalog::{Catalog, Query};
use crate::engine::arrivals;
use crate::engine::context::{add_raw_schema, context_without_lake};
use crate::error::{Result, TransformError};

/// A session in which every table is empty.
pub(crate) struct EmptySession {
    pub ctx: SessionContext,
    as_of: AsOf,
}

impl EmptySession {
    /// Creates a session with the tables and queries of a catalog.
    ///
    /// # Errors
    /// DataFusion's own.
    pub(crate) async fn new(catalog: &Catalog) -> Result<Self> {
        let fail = || TransformError::sql("the tables to check queries against");
        let ctx = context_without_lake();
        register_built_in_tables(&ctx).map_err(fail())?;
        // Any instant will do, because no row is read.
        let session = Self { ctx, as_of: AsOf::at_or_before(0) };
        // A header does not declare the fields of a list, so the queries with lists are planned,
        // each once the queries that it reads are there.
        let (mut waiting, plain): (Vec<_>, Vec<_>) = catalog.queries().partition(|q| has_list(q));
        for query in plain {
            session.add(query, &BTreeMap::new()).map_err(fail())?;
        }
        while !waiting.is_empty() {
            let mut remaining = Vec::new();
            let before = waiting.len();
            for query in waiting {
                match session.column_types(query).await {
                    Some(types) => session.add(query, &types).map_err(fail())?,
                    None => remaining.push(query),
                }
            }
            waiting = remaining;
            if waiting.len() == before {
                break;
            }
        }
        for query in waiting {
            session.add(query, &BTreeMap::new()).map_err(fail())?;
        }
        Ok(session)
    }

    /// Returns the instant that replaces `$as_of` in the plans.
    pub(crate) fn as_of_text(&self) -> String {
        self.as_of.to_string()
    }

    /// Plans a statement.
    ///
    /// # Errors
    /// DataFusion's own.
    pub(crate) async fn plan(
        &self,
        statement: Statement,
    ) -> std::result::Result<LogicalPlan, DataFusionError> {
        self.ctx.state().statement_to_plan(statement.bind_all_parameters(self.as_of)).await
    }

    /// Plans a query of the catalog.
    ///
    /// # Errors
    /// As [`Statement::parse`], and DataFusion's own.
    pub(crate) async fn plan_of(&self, query: &Query) -> Result<LogicalPlan> {
        self.plan(query.statement()?.clone()).await.map_err(TransformError::sql(&query.file))
    }

    fn add(
        &self,
        query: &Query,
        list_types: &BTreeMap<String, DataType>,
    ) -> std::result::Result<(), DataFusionError> {
        let fields: Vec<Field> = query
            .header
            .columns
            .iter()
            .map(|column| {
                let data_type = column
                    .column_type
                    .arrow_type()
                    .or_else(|| list_types.get(&column.name).cloned())
                    .unwrap_or(DataType::Null);
                Field::new(&column.name, data_type, true)
            })
            .collect();
        let table = EmptyTable::new(Arc::new(Schema::new(fields)));
        self.ctx.register_table(query.name.as_str(), Arc::new(table)).map(drop)
    }

    /// Returns the types of a query's columns; `None` while it cannot be planned.
    async fn column_types(&self, query: &Query) -> Option<BTreeMap<String, DataType>> {
        let plan = self.plan_of(query).await.ok()?;
        let fields = plan.schema().fields().iter();
        Some(fields.map(|f| (f.name().clone(), f.data_type().clone())).collect())
    }
}

fn has_list(query: &Query) -> bool {
    query.header.columns.iter().any(|c| c.column_type.arrow_type().is_none())
}

fn register_built_in_tables(ctx: &SessionContext) -> std::result::Result<(), DataFusionError> {
    add_raw_schema(ctx)?;
    let empty = |schema: SchemaRef| Arc::new(EmptyTable::new(schema)) as Arc<dyn TableProvider>;
    for stream in Stream::ALL {
        let schema = lake::schema::raw(stream).schema;
        let raw = format!("{}.{}", built_in_tables::RAW_SCHEMA, stream.table());
        ctx.register_table(raw.as_str(), empty(Arc::clone(&schema)))?;
        ctx.register_table(stream.table(), empty(schema))?;
    }
    ctx.register_table(ARRIVALS, empty(arrivals::schema()))?;
    for name in built_in_tables::LAKE_TABLES {
        ctx.register_table(name, empty(built_in_tables::lake_schema(name)))?;
    }
    for (name, batch) in built_in_tables::setting_tables(&Settings::default())? {
        ctx.register_table(name, empty(batch.schema()))?;
    }
    Ok(())
}
