//! Some of the partners: the same tables, seen through the views that name a partner.
//!
//! A slice answers every metric as though the other partners did not exist. Metrics reach partners
//! through views, so it is enough to narrow these: a view with `slice = "partner_id"` keeps the
//! rows of the slice's partners, one with `slice = "whole"` stays, any other is computed from what
//! it reads. A metric that reads events or rollups past the views is refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;

use crate::condition::Condition;
use crate::error::{Result, TransformError};
use crate::header::ViewSlice;
use crate::session::{QueryResult, Session};

/// The view that has one row a partner, with its attributes.
const PARTNERS_VIEW: &str = "partners";

/// The attributes that partners can be told apart by.
pub const DIMENSIONS: [&str; 5] = ["segment", "plan", "region", "manager", "integration_level"];

/// The partners of a slice, and the session that its views are narrowed from.
pub(crate) struct Slice {
    whole: Arc<Session>,
    /// One column, `partner_id`.
    partners: DataFrame,
}

/// One part of the whole: the partners that have the same attributes.
pub struct Part {
    /// The attributes, in the order asked for; `None` where they are unknown.
    pub values: Vec<Option<String>>,
    pub session: Session,
}

impl Slice {
    /// What the slice shows in place of a view.
    pub(crate) async fn view(&self, name: &str, how: ViewSlice) -> Result<DataFrame> {
        // A slice of a slice asks another session in turn.
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
    /// The same tables with the partners for which `condition` holds, an SQL expression over the
    /// columns of the view `partners`: `segment = 'startup' AND region IN ('EU', 'UK')`. Subqueries
    /// in it see every partner.
    ///
    /// # Errors
    /// [`TransformError::Condition`] for what is wrong in the condition.
    pub async fn only(self: &Arc<Self>, condition: &str) -> Result<Session> {
        let condition = Condition::parse(condition, PARTNERS_VIEW)?;
        let QueryResult { schema, batches } = condition.select(self, "partner_id").await?;
        self.slice(&concat_batches(&schema, &batches).map_err(of_arrow)?).await
    }

    /// The whole cut into parts by attributes of the partners, in the order of these; partners
    /// without one are a part of their own, the last. Each partner is in one part.
    ///
    /// # Errors
    /// What is none of the `DIMENSIONS`.
    pub async fn parts(self: &Arc<Self>, by: &[String]) -> Result<Vec<Part>> {
        if let Some(unknown) = by.iter().find(|b| !DIMENSIONS.contains(&b.as_str())) {
            return Err(TransformError::NoDimension(unknown.clone()));
        }
        let columns = by.join(", ");
        let sql = format!("SELECT {columns}, partner_id FROM {PARTNERS_VIEW} ORDER BY {columns}");
        let QueryResult { schema, batches } = self.sql(&sql).await?;
        let all = concat_batches(&schema, &batches).map_err(of_arrow)?;
        let keys: Vec<ArrayRef> = all.columns()[..by.len()].to_vec();
        if all.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let ranges = arrow::compute::partition(&keys).map_err(of_arrow)?.ranges();
        let ids = all.project(&[by.len()]).map_err(of_arrow)?;
        let mut parts = Vec::new();
        for range in ranges {
            let values = keys.iter().map(|k| text_at(k, range.start)).collect::<Result<_>>()?;
            let session = self.slice(&ids.slice(range.start, range.len())).await?;
            parts.push(Part { values, session });
        }
        Ok(parts)
    }

    async fn slice(self: &Arc<Self>, partners: &RecordBatch) -> Result<Session> {
        let fail = || TransformError::sql("the slice");
        let table = MemTable::try_new(partners.schema(), vec![vec![partners.clone()]]);
        let table = Arc::new(table.map_err(fail())?);
        let partners = self.context().read_table(table).map_err(fail())?;
        Session::sliced(self, Slice { whole: Arc::clone(self), partners }).await
    }
}

fn text_at(values: &ArrayRef, row: usize) -> Result<Option<String>> {
    if values.is_null(row) {
        return Ok(None);
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(values, &options).map_err(of_arrow)?;
    Ok(Some(formatter.value(row).to_string()))
}

fn of_arrow(error: arrow::error::ArrowError) -> TransformError {
    TransformError::sql("the slice")(error.into())
}
