//! The metrics of the last reports: a decision changes no metric, so the report that shows it computes
//! none.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dashboards::ReportInput;
use domain::AsOf;
use transform::Session;

use crate::project::Project;

/// The number of reports whose metrics are kept.
const KEPT: usize = 4;

/// What the rows of metrics depend on: equal inputs give equal rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricInputs {
    as_of: AsOf,
    condition: Option<String>,
    /// A digest of the settings and the queries.
    settings: String,
    versions: BTreeMap<String, u64>,
}

impl MetricInputs {
    /// Returns the inputs of a session's metrics, restricted by a condition.
    pub(super) fn of(
        project: &Project,
        session: &Session,
        condition: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut settings = project.config.digest()?;
        let catalog = project.engine.catalog();
        for query in catalog.queries() {
            settings.push_str(&format!("{}\n{}\n", query.name, query.sql));
        }
        for (name, diagnostic) in catalog.unreadable() {
            settings.push_str(&format!("{name}\n{}\n", diagnostic.one_line()));
        }
        Ok(Self {
            as_of: session.as_of(),
            condition: condition.map(str::to_owned),
            settings: lake::sha256_hex(settings.as_bytes()),
            versions: session.metric_versions(),
        })
    }
}

/// The metrics of the last reports, the one used last at the end.
#[derive(Debug, Default)]
pub(crate) struct MetricCache(Mutex<Vec<(MetricInputs, ReportInput)>>);

impl MetricCache {
    /// Returns a report that has the metrics of these inputs and nothing else.
    pub(super) fn get(&self, inputs: &MetricInputs) -> Option<ReportInput> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == inputs)?;
        let found = kept.remove(at);
        let metrics = found.1.clone();
        kept.push(found);
        Some(metrics)
    }

    /// Keeps the metrics of a report. Those with a metric that is held back are computed again: what
    /// held it back may be over.
    pub(super) fn keep(&self, inputs: MetricInputs, metrics: &ReportInput) {
        if !metrics.held_back.is_empty() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != inputs);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((inputs, metrics.clone()));
    }
}
