//! The messages of deliveries, made from the report of the newest data. It is computed when the first
//! message is due, and once for all that are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actions::Plan;
use dashboards::{
    HEADLINE_METRICS, Message, MessageScope, MoverRow, ReportInput, manager_digest,
    overview_message,
};
use domain::{Day, counted};
use scoring::ScoreOutput;
use serve::View;
use transform::Session;

use crate::commands::plan;
use crate::commands::report::{Made, Scope, collect};
use crate::config::DeliveryDefinition;
use crate::polars_frames::typed_rows;
use crate::progress::Spinner;
use crate::project::Project;
use crate::scores::day_rows;

/// How many metrics a reason names.
const NAMED_METRICS: usize = 3;

/// Makes messages.
pub(super) struct MessageSource<'a> {
    project: &'a Project,
    base: Option<Base>,
    /// The rows of a report by the condition that restricts it.
    inputs: BTreeMap<Option<String>, Arc<ReportInput>>,
    movers: Option<Vec<MoverRow>>,
}

/// What all reports of a run have in common.
struct Base {
    session: Arc<Session>,
    scored: ScoreOutput,
    plan: Plan,
}

impl<'a> MessageSource<'a> {
    pub(super) fn new(project: &'a Project) -> Self {
        Self { project, base: None, inputs: BTreeMap::new(), movers: None }
    }

    /// Returns the report that a delivery is made from.
    pub(super) async fn input(
        &mut self,
        delivery: &DeliveryDefinition,
    ) -> anyhow::Result<Arc<ReportInput>> {
        let condition = view(delivery).condition();
        if let Some(known) = self.inputs.get(&condition) {
            return Ok(Arc::clone(known));
        }
        let project = self.project;
        let base = self.base().await?;
        let made = Made { session: &base.session, scored: &base.scored, plan: &base.plan };
        // A metric that is held back has no rows here: the delivery waits for it.
        let scope = Scope {
            condition: condition.as_deref(),
            run: None,
            last_rows: &|_| None,
            metrics: None,
        };
        let spinner = Spinner::start("report", project.quiet);
        let input = Arc::new(collect(project, &made, &scope, &spinner).await?);
        self.inputs.insert(condition, Arc::clone(&input));
        Ok(input)
    }

    async fn base(&mut self) -> anyhow::Result<&Base> {
        if self.base.is_none() {
            let project = self.project;
            let as_of = project.as_of(None).await?;
            let (session, scored) = plan::scored_session(project, as_of).await?;
            let plan = plan::make_deliverable(project, &session, &scored).await?;
            self.base = Some(Base { session, scored, plan });
        }
        self.base.as_ref().ok_or_else(|| anyhow::anyhow!("no report was made"))
    }

    /// Returns how the partners moved since a week ago.
    async fn movers(&mut self, input: &ReportInput) -> anyhow::Result<Vec<MoverRow>> {
        if let Some(known) = &self.movers {
            return Ok(known.clone());
        }
        let movers = match input.history.week_ago() {
            None => Vec::new(),
            Some(since) => {
                let session = &self.base().await?.session;
                session.replace_rows("evaluation_day", &day_rows(&[Day::of_date(since)])?)?;
                typed_rows(&session.metric("score_movers").await?)?
            }
        };
        self.movers = Some(movers.clone());
        Ok(movers)
    }

    /// Returns the message of a delivery; that of a digest is for this manager.
    pub(super) async fn message(
        &mut self,
        delivery: &DeliveryDefinition,
        manager: Option<&str>,
    ) -> anyhow::Result<Message> {
        let input = self.input(delivery).await?;
        let pages = self.project.config.public_url();
        let pages = pages.map(|url| format!("{url}{}", view(delivery).path("")));
        let filters = delivery.filters();
        let scope =
            MessageScope { name: &delivery.name, filters: &filters, pages: pages.as_deref() };
        Ok(match manager {
            None => overview_message(&input, &scope),
            Some(manager) => {
                let movers = self.movers(&input).await?;
                manager_digest(&input, &movers, manager, &scope)
            }
        })
    }
}

/// Returns the view of the served pages that shows the partners of a delivery.
fn view(delivery: &DeliveryDefinition) -> View {
    View { filters: delivery.filters(), ..View::default() }
}

/// Returns the names of the managers in a report.
pub(super) fn managers(input: &ReportInput) -> BTreeSet<String> {
    input.health.iter().filter_map(|row| row.manager.clone()).collect()
}

/// Returns why the report of a delivery must not be sent, if data checks hold back some of its metrics.
/// It names no rows, which may be about partners.
///
/// Some metrics are about all partners together and never made of a few. So those of the headline
/// figures count where there are filters.
pub(super) fn held_back(delivery: &DeliveryDefinition, input: &ReportInput) -> Option<String> {
    let counts = |name: &&str| delivery.filters().is_empty() || HEADLINE_METRICS.contains(name);
    let names: Vec<&str> = input.held_back.keys().map(String::as_str).filter(counts).collect();
    let first = names.first()?;
    let named = names[..names.len().min(NAMED_METRICS)].join(", ");
    let more = names.len().saturating_sub(NAMED_METRICS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if names.len() == 1 { "is" } else { "are" };
    Some(format!(
        "{} {verb} held back: {named}{more}; `rapport metrics run {first}` says why",
        counted(names.len(), "metric")
    ))
}
