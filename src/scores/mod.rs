//! Scores of the lake: evaluates the days that lack scores or whose inputs changed, stores each
//! once under a revision, and reads the newest revision.
//!
//! - `days`: the days to evaluate, and what each was made from
//! - `inputs`: the rows of the scoring queries as frames
//! - `day_input`: what the scores of one past day were made from
//! - `models`: the models of dormancy, risk and paying in force on a day
//! - `store`: the tables of scores

mod day_input;
mod days;
mod inputs;
mod models;
mod store;

use std::sync::Arc;

use domain::{AsOf, Day, counted};
use lake::is_write_denied;
use scoring::{Policy, ScoreHistory, ScoreInput, ScoreOutput, candidate_queries_of, score};
use transform::Session;

use crate::config::Config;
use crate::errors::usage_error;
use crate::metric_pipeline::OutcomePrinter;
use crate::progress::Spinner;
use crate::project::Project;

pub(crate) use day_input::{day_input, policy_of_day};
pub(crate) use days::{extend, partner_count, regroup_days};
pub(crate) use inputs::{EvaluatedDays, day_rows, evaluation_input, query_frames};
pub(crate) use models::{
    RISK, StoredModel, fit_as_of as fit_dormancy_as_of, model_row, paying_model,
};
pub(crate) use store::{scores_and_signals, tables};

use days::{DayInputs, groups};
use store::Evaluation;

/// Partners times days that one chunk evaluates at most, so that memory stays bounded.
const CHUNK_ROWS: usize = 60_000;

/// Returns the policy in force: the project's, or the built-in one.
pub(crate) fn policy(config: &Config) -> anyhow::Result<Policy> {
    let (name, text) = policy_text(config)?;
    Policy::parse(&text).map_err(|e| usage_error(format!("{name}:{e}")))
}

/// Returns the name and the text of the policy in force.
pub(crate) fn policy_text(config: &Config) -> anyhow::Result<(String, String)> {
    Ok(match config.scoring_policy()? {
        Some((path, text)) => (path.display().to_string(), text),
        None => ("the built-in scoring policy".to_owned(), scoring::DEFAULT_POLICY.to_owned()),
    })
}

/// Scores every partner as of the session's instant. The days before it that lack scores, or whose
/// inputs have changed since, are scored and stored first.
///
/// The tables of scores that the session reads stay as they were; open another session to read what
/// was stored.
pub(crate) async fn score_partners(
    project: &Project,
    session: &Arc<Session>,
) -> anyhow::Result<ScoreOutput> {
    let policy = policy(&project.config)?;
    let as_of = session.as_of();
    take_over(project, as_of).await?;
    let inputs = DayInputs::of(project, session).await?;
    let mut history = store::history(session).await?;
    let days = inputs.to_evaluate(as_of.day(), &history);
    days::keep_before(&mut history, days.first().copied().unwrap_or(as_of.day()));
    let partners = partner_count(session).await?;
    let groups = groups(session, &days, partners, CHUNK_ROWS).await?;
    let clock = clock(project, as_of.day()).await?;
    let spinner = Spinner::start("scores", project.quiet);
    let (mut printer, mut done) = (OutcomePrinter::default(), 0);
    let mut last = None;
    for group in groups {
        spinner.set_message(format!("{done} of {}", counted(days.len(), "day")));
        done += group.len();
        let group = Group { project, session, policy: &policy, days: &group, clock };
        let scored = group.score(&inputs, &history, &mut printer).await?;
        extend(&mut history, &scored, group.days.last().copied().unwrap_or(as_of.day()))?;
        last = Some(scored);
    }
    last.ok_or_else(|| anyhow::anyhow!("no day was scored"))
}

/// Changes the tables of an older program to today's columns, if the lake can be written.
async fn take_over(project: &Project, as_of: AsOf) -> anyhow::Result<()> {
    if project.is_read_only() {
        return Ok(());
    }
    match store::take_over(project, as_of).await {
        Err(error) if is_write_denied(error.as_ref()) => {
            project.switch_to_read_only(error.as_ref()).await
        }
        taken_over => taken_over,
    }
}

/// Returns the newest day that the data is complete to, or a later one that is asked for, with the time
/// by the clock: that day shows the overrides that are in force now. An earlier day shows those of its
/// own time, whenever it is asked for.
async fn clock(project: &Project, day: Day) -> anyhow::Result<Option<(Day, i64)>> {
    let newest = project.data_end().await?.map(|end| AsOf::at_or_before(end).day());
    Ok(newest.is_none_or(|newest| day >= newest).then_some((day, project.now)))
}

/// One stretch of days, between which no partner was merged or changed its segment.
struct Group<'a> {
    project: &'a Project,
    session: &'a Session,
    policy: &'a Policy,
    days: &'a [Day],
    /// As [`ScoreInput::clock`].
    clock: Option<(Day, i64)>,
}

impl Group<'_> {
    /// Scores the days and stores the scores.
    async fn score(
        &self,
        inputs: &DayInputs,
        history: &ScoreHistory,
        printer: &mut OutcomePrinter,
    ) -> anyhow::Result<ScoreOutput> {
        let (project, session) = (self.project, self.session);
        let Some(last) = self.days.last().copied() else { anyhow::bail!("no day to score") };
        let evaluated =
            EvaluatedDays::open(project, session, AsOf::of_day(last), self.days).await?;
        let dormancy = models::dormancy_model(project, session, last).await?;
        let risk = models::risk_model(session, last).await?;
        let risk_fitted_at = risk.as_ref().map(|(fitted_at, _)| *fitted_at);
        let dormancy_fitted_as_of = dormancy.model.is_some().then(|| dormancy.as_of.start_micros());
        let risk_model = match risk_fitted_at {
            Some(fitted_at) => format!("risk, fitted on {}", Day::of_micros(fitted_at)),
            None => format!("dormancy, fitted as of {}", dormancy.as_of),
        };
        let risk = risk.map(|(_, model)| model);
        let candidates = candidate_queries_of(self.policy, risk.as_ref());
        let evaluation =
            evaluation_input(&evaluated, candidates, dormancy.model, risk, printer).await?;
        let overrides = store::overrides(session).await?;
        let history = history.clone();
        let clock = self.clock;
        let input = ScoreInput { evaluation, history, overrides, clock, risk_model };
        let scored = score(&input, self.policy)?;
        let policy = policy_text(&project.config)?.1;
        let of_day = |day: &Day| Evaluation {
            day: *day,
            inputs: inputs.digest(*day).to_owned(),
            policy: policy.clone(),
            policy_version: self.policy.version.clone(),
            dormancy_fitted_as_of,
            risk_fitted_at,
            is_known: inputs.is_known(*day),
        };
        let evaluations: Vec<Evaluation> = self.days.iter().map(of_day).collect();
        store::keep(project, session, &evaluated.session, &scored, &evaluations).await?;
        Ok(scored)
    }
}
