//! What a session can be asked: its tables with their columns, and its functions.

use arrow::datatypes::{DataType, TimeUnit};
use lake_types::Stream;

use super::Session;
use crate::arrivals::ARRIVALS;
use crate::catalog::Kind;
use crate::error::{Result, TransformError};
use crate::tables;

/// A table, view, metric or rollup, as SQL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub name: String,
    /// `table`, `rollup`, `view` or `metric`.
    pub kind: &'static str,
    pub description: String,
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    pub name: String,
    /// As a header writes it: `Utf8`, `Decimal(38, 12)`.
    pub kind: String,
    pub unit: Option<String>,
    pub description: Option<String>,
}

impl Session {
    /// Everything that can be asked by name: metrics, views, rollups, then tables.
    pub fn relations(&self) -> Vec<Relation> {
        let kinds = [(Kind::Metric, "metric"), (Kind::View, "view"), (Kind::Rollup, "rollup")];
        let mut relations = Vec::new();
        for (kind, word) in kinds {
            relations.extend(self.catalog.of_kind(kind).map(|query| Relation {
                name: query.name.clone(),
                kind: word,
                description: query.header.description.clone(),
            }));
        }
        relations.extend(base_tables().into_iter().map(|name| Relation {
            kind: "table",
            description: described(&name).to_owned(),
            name,
        }));
        relations
    }

    /// The columns of a relation; of a query those of its header.
    ///
    /// # Errors
    /// A name that is none, with those there are.
    pub async fn columns(&self, name: &str) -> Result<Vec<RelationColumn>> {
        if let Some(query) = self.catalog.get(name) {
            let columns = query.header.columns.iter().map(|column| RelationColumn {
                name: column.name.clone(),
                kind: column.kind.to_string(),
                unit: column.unit.clone(),
                description: column.description.clone(),
            });
            return Ok(columns.collect());
        }
        let place = "the description of a table";
        if !self.ctx.table_exist(name).map_err(TransformError::sql(place))? {
            return Err(self.unknown_table(name.to_owned(), place));
        }
        let table = self.ctx.table_provider(name).await.map_err(TransformError::sql(place))?;
        let schema = table.schema();
        let columns = schema.fields().iter().map(|field| RelationColumn {
            name: field.name().clone(),
            kind: type_name(field.data_type()),
            unit: None,
            description: None,
        });
        Ok(columns.collect())
    }

    /// The names of every function, DataFusion's own among them, in order.
    pub fn function_names(&self) -> Vec<String> {
        let state = self.ctx.state();
        let mut names: Vec<String> = state.scalar_functions().keys().cloned().collect();
        names.extend(state.aggregate_functions().keys().cloned());
        names.extend(state.window_functions().keys().cloned());
        names.extend(state.table_functions().keys().cloned());
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The tables that no query file makes.
fn base_tables() -> Vec<String> {
    let mut names: Vec<String> = Stream::ALL.iter().map(|s| s.table().to_owned()).collect();
    names.extend(Stream::ALL.iter().map(|s| format!("{}.{}", tables::RAW_SCHEMA, s.table())));
    names.push(ARRIVALS.to_owned());
    names.extend(tables::LAKE_TABLES.iter().map(|name| (*name).to_owned()));
    names.extend(tables::SETTING_TABLES.iter().map(|name| (*name).to_owned()));
    names
}

fn described(name: &str) -> &'static str {
    match name {
        "api_calls" => "API calls, each once",
        "partner_events" => "Registrations, changes and merges of partners, each once",
        "billing_events" => "What partners were billed, each event once",
        "support_events" => "Tickets opened, answered and resolved, each event once",
        ARRIVALS => "How many records arrived for each day of a stream, copies included",
        "dead_letters" => "Records that broke a rule, with the reason; what they held is sealed",
        "runs" => "Which table versions each run answered from",
        "partner_health" => {
            "Every score ever given, with its reason; the newest revision of a day counts"
        }
        "partner_signals" => {
            "The signals behind every score, a row each, by as_of and revision of partner_health"
        }
        "rates" => "Exchange rates of the configuration: reporting units for one unit",
        "currencies" => "ISO 4217: digits after the point, and one minor unit in major ones",
        "sla" => "What each plan promises, of the configuration",
        "sunsets" => "When API versions end, of the configuration",
        "settings" => "The reporting currency",
        raw if raw.starts_with(tables::RAW_SCHEMA) => "As they arrived, with copies",
        _ => "",
    }
}

/// An Arrow type as a header writes it.
fn type_name(of: &DataType) -> String {
    match of {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "Utf8".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "Timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("Decimal({precision}, {scale})"),
        DataType::List(_) => "List".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_described() {
        for name in base_tables() {
            assert!(!described(&name).is_empty(), "{name}");
        }
        assert_eq!(type_name(&lake::schema::instant()), "Timestamp");
        assert_eq!(type_name(&DataType::Decimal128(38, 12)), "Decimal(38, 12)");
    }
}
