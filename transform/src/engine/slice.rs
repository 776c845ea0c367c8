//! Sessions of some of the partners, for `--where` and `--by`.
//!
//! Such a session answers every metric as though the other partners did not exist. Metrics read
//! partners through views, so it is enough to filter these. A view with `slice = "partner_id"` has
//! the rows of the slice's partners only, a view with `slice = "whole"` has all rows, and any other
//! view is computed from the views that it reads. A metric that reads events or rollups directly is
//! refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;

use crate::engine::predicate::ViewPredicate;
use crate::engine::session::query::QueryResult;
use crate::engine::session::{PartnerSlice, Session};
use crate::error::{Result, TransformError};

/// The view with one row for each partner and its attributes.
const PARTNERS_VIEW: &str = "partners";

/// The attributes of the view `partners` by which partners can be divided.
pub const DIMENSIONS: [&str; 5] = ["segment", "plan", "region", "manager", "integration_level"];

/// The partners that have the same attributes, as a session.
pub struct PartnerSegment {
    /// The attributes in the order of the request; `None` where one is unknown.
    pub values: Vec<Option<String>>,
    pub session: Session,
}

impl Session {
    /// Returns a session of the partners for which `condition` is true. The condition is an SQL
    /// expression over the columns of the view `partners`, such as
    /// `segment = 'startup' AND region IN ('EU', 'UK')`. Its subqueries read every partner.
    ///
    /// # Errors
    /// [`TransformError::InvalidCondition`] for a condition that is wrong.
    pub async fn filtered(self: &Arc<Self>, condition: &str) -> Result<Session> {
        let predicate = ViewPredicate::parse(condition, PARTNERS_VIEW)?;
        let QueryResult { schema, batches } = predicate.select(self, "partner_id").await?;
        self.slice(&concat_batches(&schema, &batches).map_err(of_arrow)?).await
    }

    /// Divides the partners by their attributes and returns a session for each combination of
    /// values, sorted by them. NULL counts as a value and sorts last. Each partner is in exactly
    /// one segment.
    ///
    /// # Errors
    /// [`TransformError::UnknownDimension`] for a name that is none of [`DIMENSIONS`].
    pub async fn segments(self: &Arc<Self>, by: &[String]) -> Result<Vec<PartnerSegment>> {
        if let Some(unknown) = by.iter().find(|b| !DIMENSIONS.contains(&b.as_str())) {
            let (name, known) = (unknown.clone(), DIMENSIONS.join(", "));
            return Err(TransformError::UnknownDimension { name, known });
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
        let mut segments = Vec::new();
        for range in ranges {
            let values = keys.iter().map(|k| text_at(k, range.start)).collect::<Result<_>>()?;
            let session = self.slice(&ids.slice(range.start, range.len())).await?;
            segments.push(PartnerSegment { values, session });
        }
        Ok(segments)
    }

    async fn slice(self: &Arc<Self>, partners: &RecordBatch) -> Result<Session> {
        let fail = || TransformError::sql("the slice");
        let table = MemTable::try_new(partners.schema(), vec![vec![partners.clone()]]);
        let table = Arc::new(table.map_err(fail())?);
        let partners = self.context().read_table(table).map_err(fail())?;
        Session::sliced(self, PartnerSlice { whole: Arc::clone(self), partners }).await
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
