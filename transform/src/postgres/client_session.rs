//! Describes and runs the queries of one connection: over the session, or over the system catalog.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Query, Statement as Sql, Visitor};
use tokio::sync::OnceCell;

use super::catalog::{self, Catalog};
use super::client_statement::{ClientQuery, LOCATION};
use super::names::{self, PlainNames};
use super::parameter::{self, Parameter};
use crate::catalog::sql_visitor::{for_each_relation, visit, visit_mut};
use crate::catalog::statement::Statement;
use crate::engine::session::Session;
use crate::engine::session::query::QueryStream;
use crate::engine::session::register_tables::read_only_plans;
use crate::engine::sort_merge_join;
use crate::engine::utf8_view;
use crate::error::{Result, TransformError};

/// Functions that stand in the place of a table, and are known everywhere.
const TABLE_FUNCTIONS: [&str; 3] = ["generate_series", "range", "unnest"];

/// A session with the system catalog that clients look around in.
pub struct ClientSession {
    session: Session,
    user: String,
    catalog: OnceCell<Catalog>,
}

/// What a query needs and gives.
#[derive(Debug, Clone)]
pub struct Description {
    /// The types of the parameters.
    pub parameters: Vec<DataType>,
    pub schema: SchemaRef,
}

/// What a query reads.
enum Source {
    Lake,
    Catalog,
}

impl ClientSession {
    /// Creates it for the user of this name.
    pub fn new(session: Session, user: &str) -> Self {
        Self { session, user: user.to_owned(), catalog: OnceCell::new() }
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns what a query needs and gives, without running it. `given` has the types of parameters
    /// that the client states.
    ///
    /// # Errors
    /// A statement that does not only read, an unknown name, errors of DataFusion.
    pub async fn describe(
        &self,
        query: &ClientQuery,
        given: &[Option<DataType>],
    ) -> Result<Description> {
        let stated = |at: usize| given.get(at).cloned().flatten();
        let arrays = parameter::arrays(&query.sql);
        let casts = parameter::casts(&query.sql);
        let default = |at: usize| {
            let texts = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
            if arrays.contains(&(at + 1)) {
                texts
            } else {
                casts.get(&(at + 1)).cloned().unwrap_or(DataType::Utf8)
            }
        };
        let mut parameters: Vec<DataType> =
            (0..query.parameters).map(|at| stated(at).unwrap_or_else(|| default(at))).collect();
        if (0..query.parameters).any(|at| stated(at).is_none())
            && let Ok(frame) = self.frame(query, &[]).await
            && let Ok(inferred) = frame.logical_plan().get_parameter_types()
        {
            for (at, data_type) in parameters.iter_mut().enumerate() {
                let inferred = inferred.get(&format!("${}", at + 1)).cloned().flatten();
                if let Some(inferred) = inferred.filter(|_| stated(at).is_none()) {
                    *data_type = inferred;
                }
            }
        }
        let values: Vec<Parameter> =
            parameters.iter().map(|data_type| Parameter::Null(Some(data_type.clone()))).collect();
        let frame = self.frame(query, &values).await?;
        let schema = utf8_view::plain(frame.schema().as_arrow());
        Ok(Description { parameters, schema })
    }

    /// Starts a query with the values of its parameters.
    ///
    /// # Errors
    /// Those of [`ClientSession::describe`], and of [`Session::stream`].
    pub async fn stream(&self, query: &ClientQuery, values: &[Parameter]) -> Result<QueryStream> {
        match self.source(query)? {
            Source::Lake => {
                let statement = self.statement(query, values)?;
                self.session.stream_statement(statement, LOCATION).await
            }
            Source::Catalog => {
                let fail = || TransformError::sql(LOCATION);
                let frame = self.frame(query, values).await?;
                let schema = utf8_view::plain(frame.schema().as_arrow());
                let batches = sort_merge_join::execute(frame).await.map_err(fail())?;
                Ok(QueryStream::new(schema, LOCATION, batches))
            }
        }
    }

    /// Plans a query.
    async fn frame(&self, query: &ClientQuery, values: &[Parameter]) -> Result<DataFrame> {
        match self.source(query)? {
            Source::Lake => {
                let statement = self.statement(query, values)?;
                self.session.register_needed(&statement, LOCATION).await?;
                self.session.plan(statement, LOCATION).await
            }
            Source::Catalog => {
                let catalog = self.catalog().await?;
                let mut sql = bound(query, values);
                catalog.rewrite(&mut sql);
                let statement = Statement::of_sql(sql, LOCATION)?.unbound();
                let fail = || TransformError::sql(LOCATION);
                let context: &SessionContext = catalog.context();
                let plan = context.state().statement_to_plan(statement).await.map_err(fail())?;
                read_only_plans().verify_plan(&plan).map_err(fail())?;
                context.execute_logical_plan(plan).await.map_err(fail())
            }
        }
    }

    /// Returns the statement as it is planned over the lake. It has passed the check of all
    /// statements that people write.
    fn statement(&self, query: &ClientQuery, values: &[Parameter]) -> Result<Statement> {
        if let Sql::Explain { .. } = query.sql.as_ref() {
            // Only DataFusion's own parser makes a statement of an EXPLAIN that it can plan.
            return Statement::parse(&bound(query, values).to_string(), LOCATION);
        }
        Statement::of_sql(bound(query, values), LOCATION)
    }

    async fn catalog(&self) -> Result<&Catalog> {
        self.catalog.get_or_try_init(|| Catalog::new(&self.session, &self.user)).await
    }

    fn source(&self, query: &ClientQuery) -> Result<Source> {
        if !matches!(*query.sql, Sql::Query(_)) {
            return Ok(Source::Lake);
        }
        let (mut of_catalog, mut of_lake) = (false, false);
        let mut defined = DefinedNames::default();
        let _ = visit(query.sql.as_ref(), &mut defined);
        for_each_relation(query.sql.as_ref(), |relation| {
            let mut parts = names::parts(relation);
            if parts.len() == 3 {
                parts.remove(0);
            }
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            match parts.as_slice() {
                [name] if defined.0.contains(*name) || TABLE_FUNCTIONS.contains(name) => {}
                parts if catalog::is_relation(parts) => of_catalog = true,
                _ => of_lake = true,
            }
        });
        match (of_catalog, of_lake) {
            (true, true) => Err(TransformError::MixedCatalog),
            (false, true) => Ok(Source::Lake),
            // What reads no table, such as version(), is asked of the server.
            _ => Ok(Source::Catalog),
        }
    }
}

/// The names that the WITH clauses of a statement define.
#[derive(Default)]
struct DefinedNames(BTreeSet<String>);

impl Visitor for DefinedNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(tables.map(|table| names::normal(&table.alias.name)));
        ControlFlow::Continue(())
    }
}

/// Returns a statement with plain names and values for its parameters.
fn bound(query: &ClientQuery, values: &[Parameter]) -> Sql {
    let mut sql = query.sql.as_ref().clone();
    parameter::bind(&mut sql, values);
    visit_mut(&mut sql, &mut PlainNames);
    names::name_columns(&mut sql);
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_session() {
        let check = |text: &str, expected: &str| {
            let statement = super::super::client_statement::parse(text).expect(text).remove(0);
            let super::super::ClientStatement::Query(query) = statement else { panic!("{text}") };
            assert_eq!(bound(&query, &[]).to_string(), expected);
        };
        check(
            "SELECT \"public\".\"growth\".\"month\" FROM \"public\".\"growth\"",
            "SELECT \"growth\".\"month\" FROM \"growth\"",
        );
        check(
            "SELECT c.oid, d.oid, c.* FROM pg_class c, pg_description d",
            "SELECT c.oid AS \"oid 0\", d.oid, c.* FROM pg_class c, pg_description d",
        );
        check(
            "SELECT a FROM growth WHERE a LIKE $1 || '%' ESCAPE '/'",
            r"SELECT a FROM growth WHERE a LIKE replace(replace(replace(replace($1 || '%', '\', '\\'), '//', '@'), '/', '\'), '@', '/')"
                .replace('@', "\u{1}")
                .as_str(),
        );
        check(
            r"SELECT a FROM growth WHERE a ILIKE 'b\_' ESCAPE '\'",
            r"SELECT a FROM growth WHERE a ILIKE 'b\_'",
        );
        check("SELECT month, * FROM growth", "SELECT month AS \"month 0\", * FROM growth");
        check("SELECT a FROM rapport.raw.api_calls", "SELECT a FROM raw.api_calls");
        check(
            "SELECT pg_catalog.version() WHERE 'a' OPERATOR(pg_catalog.~) '^(a)$' COLLATE pg_catalog.default",
            "SELECT version() AS \"version\" WHERE 'a' ~ '^(a)$'",
        );
        check(
            "SELECT count(*), count(a), 1, a FROM growth",
            "SELECT count(*) AS \"count\", count(a) AS \"count 1\", 1 AS \"?column?\", a FROM growth",
        );
    }
}
