//! What became of each partner after each origin, read from the lake.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use domain::{AsOf, Day};
use serde::{Deserialize, Serialize};
use transform::Session;

use crate::polars_frames::typed_rows;
use crate::project::Project;
use crate::scores::EvaluatedDays;

/// A row of the query `scoring_label`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Label {
    day: NaiveDate,
    pub(crate) partner_id: String,
    /// Called in the 28 days before the origin; only such partners are tested.
    pub(crate) was_active: bool,
    pub(crate) cadence: Option<f64>,
    pub(crate) label_days: i32,
    /// `None` until the window of the label is over.
    pub(crate) left: Option<bool>,
    /// Why the label says nothing of the partner's own will.
    pub(crate) excluded: Option<String>,
    pub(crate) size: Option<String>,
    pub(crate) plan: Option<String>,
    pub(crate) region: Option<String>,
    /// An action was delivered in the window of the label; not a column of the query.
    #[serde(default)]
    pub(crate) has_action: bool,
}

/// A row of the query `scoring_label_action`.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct ActedOn {
    day: NaiveDate,
    partner_id: String,
}

impl Label {
    pub(crate) fn origin(&self) -> Day {
        Day::of_date(self.day)
    }
}

/// Calls that stay in a replay although they had not arrived by an origin.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct OlderLateCalls {
    /// The origin.
    day: NaiveDate,
    pub(crate) calls: u64,
    pub(crate) partners: u64,
}

/// Reads the labels of all origins, by origin and partner, as they are known at `as_of`, and the
/// older late calls of each origin.
pub(crate) async fn labels(
    project: &Project,
    session: &Session,
    as_of: AsOf,
    origins: &[Day],
) -> anyhow::Result<(Vec<Label>, Vec<OlderLateCalls>)> {
    let evaluated = EvaluatedDays::open(project, session, as_of, origins).await?;
    take_out_late_calls(&evaluated).await?;
    let mut labels: Vec<Label> = typed_rows(&evaluated.session.metric("scoring_label").await?)?;
    let acted_on = evaluated.session.metric("scoring_label_action").await?;
    let acted_on: BTreeSet<ActedOn> = typed_rows::<ActedOn>(&acted_on)?.into_iter().collect();
    for label in &mut labels {
        let key = ActedOn { day: label.day, partner_id: label.partner_id.clone() };
        label.has_action = acted_on.contains(&key);
    }
    let older = typed_rows(&evaluated.session.metric("older_late_calls").await?)?;
    Ok((labels, older))
}

/// Takes the calls out of a session's days that had not arrived by each day.
pub(crate) async fn take_out_late_calls(evaluated: &EvaluatedDays) -> anyhow::Result<()> {
    let late = evaluated.session.metric("late_call_rows").await?;
    let rows = arrow::compute::concat_batches(&late.schema, &late.batches)?;
    evaluated.session.replace_rows("late_calls", &rows)?;
    Ok(())
}
