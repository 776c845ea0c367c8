//! Registers the catalog's queries that a statement reads, and plans statements.

use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::prelude::SQLOptions;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::exchange_rates::MONEY_VIEW;
use super::{Session, information_schema};
use crate::catalog::statement::Statement;
use crate::catalog::{QueryKind, built_in_tables};
use crate::engine::optimizer::common_subplan;
use crate::engine::query_columns::check_columns;
use crate::engine::table_names::known_tables;
use crate::error::{Result, TransformError};
use domain::closest_name;

/// The largest view whose rows are kept in memory; a larger one is computed at each read.
const MAX_KEPT_VIEW_BYTES: usize = 256 << 20;

/// Returns the options under which only plans that read are run.
pub(crate) fn read_only_plans() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

impl Session {
    /// Returns a view as a frame that is not computed yet.
    pub(crate) async fn view(&self, name: &str) -> Result<DataFrame> {
        let statement = Statement::parse(&format!("SELECT * FROM {name}"), name)?;
        self.register_needed(&statement, name).await?;
        self.ctx.table(name).await.map_err(TransformError::sql(name))
    }

    /// Plans a statement. `location` is where it stands, for error messages.
    pub(super) async fn frame(&self, statement: Statement, location: &str) -> Result<DataFrame> {
        self.register_needed(&statement, location).await?;
        self.plan(statement, location).await
    }

    /// Plans a statement whose tables are registered.
    pub(crate) async fn plan(&self, statement: Statement, location: &str) -> Result<DataFrame> {
        let fail = || TransformError::sql(location);
        let bound = statement.bind(self.as_of);
        let plan = self.ctx.state().statement_to_plan(bound).await.map_err(fail())?;
        read_only_plans().verify_plan(&plan).map_err(fail())?;
        self.ctx.execute_logical_plan(plan).await.map_err(fail())
    }

    /// Registers the queries that a statement reads. Where `money_day` is one of them, every
    /// exchange rate must be known.
    pub(crate) async fn register_needed(
        &self,
        statement: &Statement,
        location: &str,
    ) -> Result<()> {
        let reads_information_schema =
            |table: &String| table.starts_with(information_schema::PREFIX);
        if statement.tables(location)?.iter().any(reads_information_schema) {
            self.register_information_schema().await?;
        }
        if let Some(table) = statement.described()
            && !self.relations().iter().any(|relation| relation.name == table)
        {
            return Err(self.unknown_table(table.to_owned(), location));
        }
        let mut needed = Vec::new();
        self.add_needed(statement, location, &mut Vec::new(), &mut needed)?;
        self.register_among(&needed, statement, location).await
    }

    /// Registers, side by side, those of the needed queries that a statement names. Two statements
    /// that need the same query wait for one registration.
    fn register_among<'a>(
        &'a self,
        needed: &'a [String],
        statement: &Statement,
        location: &str,
    ) -> BoxFuture<'a, Result<()>> {
        let names = statement.tables(location);
        async move {
            let named = names?.into_iter().filter(|name| needed.contains(name));
            let registrations = named.map(|name| async move {
                let mut all = self.registered.lock().await;
                let registered = Arc::clone(all.entry(name.clone()).or_default());
                drop(all);
                registered.get_or_try_init(|| self.register(needed, name)).await.copied()
            });
            // All end before the first error is returned, so of several it is always the same.
            join_all(registrations).await.into_iter().collect()
        }
        .boxed()
    }

    /// Registers a query, after those that it reads.
    async fn register(&self, needed: &[String], name: String) -> Result<()> {
        let query = self.catalog.find(&name)?;
        let fail = || TransformError::sql(&query.file);
        if let Some((slice, how)) = self.slice.as_ref().zip(query.header.slice) {
            let view = slice.view(&name, how).await?.into_view();
            return self.ctx.register_table(name, view).map(drop).map_err(fail());
        }
        let statement = query.statement()?;
        self.register_among(needed, statement, &query.file).await?;
        if name == MONEY_VIEW {
            self.check_rates().await?;
        }
        let view = self.plan(statement.clone(), &query.file).await?;
        check_columns(query, view.schema().as_arrow())?;
        let rows = if query.header.keep {
            let plan = view.logical_plan();
            let kept = common_subplan::collect_up_to(&self.ctx, plan, MAX_KEPT_VIEW_BYTES).await;
            kept.map_err(fail())?
        } else {
            None
        };
        let table = rows.map_or_else(|| view.into_view(), |rows| rows as _);
        self.ctx.register_table(name, table).map(drop).map_err(fail())
    }

    /// Appends the catalog's queries that a statement reads, directly or through others, and that
    /// are not registered yet. Each comes once, after those that it reads.
    fn add_needed(
        &self,
        statement: &Statement,
        location: &str,
        path: &mut Vec<String>,
        order: &mut Vec<String>,
    ) -> Result<()> {
        for name in statement.tables(location)? {
            if let Some(at) = path.iter().position(|p| *p == name) {
                let circle = [&path[at..], std::slice::from_ref(&name)].concat();
                return Err(TransformError::Cycle(circle.join(" → ")));
            }
            if let Some(reason) = self.unavailable.get(&name) {
                return Err(TransformError::QueryUnavailable { name, reason: reason.clone() });
            }
            let registered =
                self.ctx.table_exist(name.as_str()).map_err(TransformError::sql(location))?;
            self.refuse_every_partner(&name, location)?;
            let Some(query) = self.catalog.get(&name) else {
                if registered || self.ctx.table_function(&name).is_ok() {
                    continue;
                }
                if let Some(diagnostic) = self.catalog.unreadable().get(&name) {
                    return Err(TransformError::from_diagnostic(diagnostic));
                }
                return Err(self.unknown_table(name, location));
            };
            if registered || order.contains(&name) {
                continue;
            }
            if self.slice.is_some() && query.header.slice.is_some() {
                order.push(name);
                continue;
            }
            path.push(name.clone());
            self.add_needed(query.statement()?, &query.file, path, order)?;
            path.pop();
            order.push(name);
        }
        Ok(())
    }

    /// Refuses a table of the lake in a session of some partners. Such a table holds every partner;
    /// only views are narrowed to the slice.
    fn refuse_every_partner(&self, table: &str, location: &str) -> Result<()> {
        let rollup = self.catalog.get(table).is_some_and(|q| q.kind == QueryKind::Rollup);
        if self.slice.is_some() && (rollup || built_in_tables::is_of_lake(table)) {
            return Err(TransformError::BypassesViews {
                location: location.to_owned(),
                table: table.to_owned(),
            });
        }
        Ok(())
    }

    pub(super) fn unknown_table(&self, name: String, location: &str) -> TransformError {
        let known = known_tables(&self.catalog);
        let hint = match closest_name(&name, known.iter().copied()) {
            Some(other) => format!("did you mean \"{other}\"?"),
            None => format!("there are {}, raw.api_calls (and so on)", known.join(", ")),
        };
        TransformError::UnknownTable { location: location.to_owned(), name, hint }
    }
}
