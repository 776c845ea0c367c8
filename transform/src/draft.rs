//! Queries planned one by one over empty tables: what a file says, without a lake and whatever is
//! wrong with the others. A query is read as its header describes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use lake_types::{AsOf, Stream};

use crate::arrivals::{self, ARRIVALS};
use crate::catalog::{Catalog, Query};
use crate::error::{Result, TransformError};
use crate::session::{add_raw_schema, context_without_lake};
use crate::statement::Statement;
use crate::tables::{self, Settings};

/// A context in which every table there could be is empty.
pub(crate) struct Draft {
    pub ctx: SessionContext,
    as_of: AsOf,
}

impl Draft {
    /// # Errors
    /// DataFusion's own.
    pub(crate) async fn new(catalog: &Catalog) -> Result<Self> {
        let fail = || TransformError::sql("the tables to check queries against");
        let ctx = context_without_lake();
        register(&ctx).map_err(fail())?;
        // Midnights are as good as each other here.
        let draft = Self { ctx, as_of: AsOf::at_or_before(0) };
        // What is in a list only the query says: those wait until what they read is there.
        let (lists, plain): (Vec<_>, Vec<_>) = catalog.queries().partition(|q| has_list(q));
        for query in &plain {
            draft.add(query, &BTreeMap::new()).map_err(fail())?;
        }
        let mut waiting = lists;
        loop {
            let before = waiting.len();
            let mut left = Vec::new();
            for query in waiting {
                match draft.lists(query).await {
                    Some(lists) => draft.add(query, &lists).map_err(fail())?,
                    None => left.push(query),
                }
            }
            waiting = left;
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        for query in waiting {
            draft.add(query, &BTreeMap::new()).map_err(fail())?;
        }
        Ok(draft)
    }

    /// The instant that stands for `$as_of` in its plans.
    pub(crate) fn as_of_text(&self) -> String {
        self.as_of.to_string()
    }

    /// The plan of a query as its file says it.
    ///
    /// # Errors
    /// What DataFusion says of it.
    pub(crate) async fn plan(
        &self,
        statement: Statement,
    ) -> std::result::Result<LogicalPlan, DataFusionError> {
        self.ctx.state().statement_to_plan(statement.bind_all(self.as_of)).await
    }

    /// The plan of a query of the catalog.
    pub(crate) async fn plan_of(&self, query: &Query) -> Result<LogicalPlan> {
        let statement = Statement::parse(&query.sql, &query.file)?;
        self.plan(statement).await.map_err(TransformError::sql(&query.file))
    }

    fn add(
        &self,
        query: &Query,
        lists: &BTreeMap<String, DataType>,
    ) -> std::result::Result<(), DataFusionError> {
        let fields: Vec<Field> = query
            .header
            .columns
            .iter()
            .map(|column| {
                let kind = tables::arrow_type(column.kind)
                    .or_else(|| lists.get(&column.name).cloned())
                    .unwrap_or(DataType::Null);
                Field::new(&column.name, kind, true)
            })
            .collect();
        let table = EmptyTable::new(Arc::new(Schema::new(fields)));
        self.ctx.register_table(query.name.as_str(), Arc::new(table)).map(drop)
    }

    /// The types of a query's lists, where it can be planned yet.
    async fn lists(&self, query: &Query) -> Option<BTreeMap<String, DataType>> {
        let plan = self.plan_of(query).await.ok()?;
        let fields = plan.schema().fields().iter();
        Some(fields.map(|f| (f.name().clone(), f.data_type().clone())).collect())
    }
}

fn has_list(query: &Query) -> bool {
    query.header.columns.iter().any(|c| tables::arrow_type(c.kind).is_none())
}

fn register(ctx: &SessionContext) -> std::result::Result<(), DataFusionError> {
    add_raw_schema(ctx)?;
    let empty = |schema: SchemaRef| Arc::new(EmptyTable::new(schema)) as Arc<dyn TableProvider>;
    for stream in Stream::ALL {
        let schema = lake::schema::raw(stream).schema;
        let raw = format!("{}.{}", tables::RAW_SCHEMA, stream.table());
        ctx.register_table(raw.as_str(), empty(Arc::clone(&schema)))?;
        ctx.register_table(stream.table(), empty(schema))?;
    }
    ctx.register_table(ARRIVALS, empty(arrivals::schema()))?;
    for name in tables::LAKE_TABLES {
        ctx.register_table(name, empty(tables::lake_schema(name)))?;
    }
    for (name, batch) in tables::setting_tables(&Settings::default())? {
        ctx.register_table(name, empty(batch.schema()))?;
    }
    Ok(())
}
