//! A session: one consistent set of tables at one `as_of`, for read-only queries.
//!
//! This file holds the session's state. The modules add what a session does:
//!
//! - `register_tables`: registers the catalog's queries that a statement reads, and plans statements
//! - `exchange_rates`: refuses billing events without an exchange rate
//! - `query`: runs statements, and returns their rows at once or as a stream
//! - `relations`: lists tables, columns and functions
//! - `information_schema`: the same lists as SQL tables

pub(crate) mod query;
pub(crate) mod register_tables;
pub(crate) mod relations;

mod exchange_rates;
mod information_schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use domain::AsOf;
use tokio::sync::{Mutex, OnceCell};

use crate::catalog::Catalog;
use crate::catalog::built_in_tables::{self, Settings};
use crate::catalog::graph::DependencyGraph;
use crate::catalog::header::ViewSlice;
use crate::engine::context::{add_raw_schema, new_context};
use crate::engine::utf8_view;
use crate::error::{Result, TransformError};

/// A fixed set of tables, and the queries of the catalog over them.
pub struct Session {
    ctx: SessionContext,
    catalog: Arc<Catalog>,
    as_of: AsOf,
    versions: BTreeMap<String, u64>,
    /// The partners that the session is restricted to; `None` for every partner.
    slice: Option<PartnerSlice>,
    /// Queries that can't be read, each with the reason.
    unavailable: BTreeMap<String, String>,
    /// The queries of the catalog that are registered, or are being registered.
    registered: Mutex<BTreeMap<String, Arc<OnceCell<()>>>>,
    /// Set once `information_schema` is registered.
    information_schema: OnceCell<()>,
}

/// The partners that a session is restricted to, and the session of all partners.
pub(crate) struct PartnerSlice {
    pub whole: Arc<Session>,
    /// One column, `partner_id`.
    pub partners: DataFrame,
}

impl PartnerSlice {
    /// Returns the rows of a view that belong to the slice.
    pub(crate) async fn view(&self, name: &str, how: ViewSlice) -> Result<DataFrame> {
        // The session of all partners can itself be restricted, so this recurses.
        let rows = Box::pin(self.whole.view(name)).await?;
        match how {
            ViewSlice::Whole => Ok(rows),
            ViewSlice::PartnerId => {
                let key = &["partner_id"];
                rows.join(self.partners.clone(), JoinType::LeftSemi, key, key, None)
                    .map_err(TransformError::sql(name))
            }
        }
    }
}

impl Session {
    /// Creates a session over tables that have the names of SQL (`partner_day`, `raw.api_calls`).
    /// Queries of the catalog that are not among them are planned when they are read.
    pub(crate) fn new(
        ctx: SessionContext,
        catalog: Arc<Catalog>,
        as_of: AsOf,
        settings: &Settings,
        tables: Vec<(String, Arc<dyn TableProvider>)>,
        versions: BTreeMap<String, u64>,
    ) -> Result<Self> {
        register_settings(&ctx, settings).map_err(TransformError::sql("the settings"))?;
        register_tables(&ctx, tables).map_err(TransformError::sql("the lake's tables"))?;
        Ok(Self {
            ctx,
            catalog,
            as_of,
            versions,
            slice: None,
            unavailable: BTreeMap::new(),
            registered: Mutex::default(),
            information_schema: OnceCell::new(),
        })
    }

    /// Returns a session with the same `as_of`, versions and settings that reads only the partners
    /// of a slice.
    pub(crate) async fn sliced(whole: &Self, slice: PartnerSlice) -> Result<Self> {
        let fail = || TransformError::sql("the settings");
        let ctx = new_context(whole.ctx.copied_config(), whole.ctx.runtime_env());
        for name in built_in_tables::SETTING_TABLES {
            let table = whole.ctx.table_provider(name).await.map_err(fail())?;
            ctx.register_table(name, table).map_err(fail())?;
        }
        Ok(Self {
            ctx,
            catalog: Arc::clone(&whole.catalog),
            as_of: whole.as_of,
            versions: whole.versions.clone(),
            slice: Some(slice),
            unavailable: whole.unavailable.clone(),
            registered: Mutex::default(),
            information_schema: OnceCell::new(),
        })
    }

    /// Removes a query from the session. A statement that reads it fails with this reason.
    ///
    /// # Errors
    /// Errors of DataFusion.
    pub(crate) fn make_unavailable(&mut self, name: &str, reason: String) -> Result<()> {
        self.ctx.deregister_table(name).map_err(TransformError::sql(name))?;
        self.unavailable.insert(name.to_owned(), reason);
        Ok(())
    }

    pub fn as_of(&self) -> AsOf {
        self.as_of
    }

    /// Returns the version of each table that is read.
    pub fn versions(&self) -> &BTreeMap<String, u64> {
        &self.versions
    }

    /// Returns the versions that the rows of metrics depend on: those of all tables but the tables of
    /// scores and records that no public query reads, directly or indirectly. Two sessions that
    /// agree on them, on `as_of`, the queries and the settings have the same metrics.
    pub fn metric_versions(&self) -> BTreeMap<String, u64> {
        let graph = DependencyGraph::of(&self.catalog);
        let is_public =
            |name: &String| self.catalog.get(name).is_some_and(|query| !query.kind.is_internal());
        let is_read = |table: &str| graph.downstream(table).iter().any(is_public);
        let mut versions = self.versions.clone();
        for table in built_in_tables::LAKE_TABLES {
            if !is_read(table) {
                versions.remove(built_in_tables::lake_table(table));
            }
        }
        versions
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.ctx
    }
}

fn register_settings(
    ctx: &SessionContext,
    settings: &Settings,
) -> std::result::Result<(), DataFusionError> {
    for (name, batch) in built_in_tables::setting_tables(settings)? {
        ctx.register_table(name, utf8_view::table_of(&batch)?)?;
    }
    Ok(())
}

fn register_tables(
    ctx: &SessionContext,
    tables: Vec<(String, Arc<dyn TableProvider>)>,
) -> std::result::Result<(), DataFusionError> {
    add_raw_schema(ctx)?;
    for (name, table) in tables {
        // A test case can give a settings table, which then replaces the one of the settings.
        ctx.deregister_table(name.as_str())?;
        ctx.register_table(name.as_str(), table)?;
    }
    Ok(())
}
