//! A replay: every day from before the first origin to the last is scored as it would have been
//! then. Nothing is stored in the lake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use chrono::NaiveDate;
use domain::{AsOf, Day, counted, month_of};
use polars::prelude::{ChunkCompareIneq, Column, DataFrame};
use scoring::backtest::DailyRow;
use scoring::{
    DormancyModel, EvaluationInput, HISTORY_DAYS, Policy, RiskModel, ScoreHistory, ScoreInput,
    TestOptions, candidate_queries, score,
};
use serde::Deserialize;
use transform::Session;

use super::labels::{Label, OlderLateCalls, labels, take_out_late_calls};
use super::observations::{Observations, ScoredDays};
use super::origins::{OriginOptions, origins};
use super::sample::Sample;
use crate::errors::usage_error;
use crate::metric_pipeline::OutcomePrinter;
use crate::polars_frames::{data_frame, typed_rows};
use crate::progress::Spinner;
use crate::project::Project;
use crate::scores::{self, EvaluatedDays, evaluation_input, fit_dormancy_as_of};

/// Partners times days that are evaluated at once at most.
const CHUNK_ROWS: usize = 60_000;

/// What is replayed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayOptions {
    pub(crate) origins: OriginOptions,
    pub(crate) seed: u64,
}

/// What a replay found.
pub(crate) struct Replay {
    /// The end of the data, as of which the labels are known.
    pub(crate) as_of: AsOf,
    pub(crate) sample: Sample,
    pub(crate) daily: Vec<DailyRow>,
    /// In the order of their numbers.
    pub(crate) partner_ids: Vec<String>,
    pub(crate) older_late_calls: Vec<OlderLateCalls>,
}

/// Replays the days of a project's lake under a policy. At each origin a risk model is fitted to
/// what was known there, and it is in force until the next one.
pub(crate) async fn replay(
    project: &Project,
    policy: &Policy,
    options: &ReplayOptions,
) -> anyhow::Result<Replay> {
    let as_of = project.as_of(None).await?;
    let session = Arc::new(project.session(as_of).await?);
    let first_call = first_traffic_day(&session).await?;
    let origins = origins(first_call, as_of.day(), &options.origins)?;
    let (labels, older_late_calls) = labels(project, &session, as_of, &origins).await?;
    let origins: BTreeSet<Day> = origins.into_iter().collect();
    let chunks = chunks(&session, first_call, &origins).await?;
    let mut replaying = Replaying {
        project,
        session: &session,
        policy,
        labels: &labels,
        origins: &origins,
        seed: options.seed,
        history: ScoreHistory::default(),
        observations: Observations::default(),
        risk: None,
        dormancy: BTreeMap::new(),
        printer: OutcomePrinter::default(),
    };
    let spinner = Spinner::start("backtest", project.quiet);
    let all: usize = chunks.iter().map(Vec::len).sum();
    let mut done = 0;
    for days in &chunks {
        spinner.set_message(format!("{done} of {}", counted(all as u64, "day")));
        replaying.score(days).await?;
        done += days.len();
    }
    let observations = replaying.observations;
    Ok(Replay {
        as_of,
        sample: Sample::of(&labels, &observations),
        partner_ids: observations.partner_ids(),
        daily: observations.daily,
        older_late_calls,
    })
}

#[derive(Deserialize)]
struct FirstTrafficDay {
    first_day: Option<NaiveDate>,
}

async fn first_traffic_day(session: &Session) -> anyhow::Result<Day> {
    let rows: Vec<FirstTrafficDay> = typed_rows(&session.metric("first_traffic_day").await?)?;
    let first = rows.first().and_then(|row| row.first_day);
    let none = || usage_error("there are no production calls, so there is nothing to replay");
    first.map(Day::of_date).ok_or_else(none)
}

/// Returns the days from before the first origin to the last, in chunks of bounded size over which
/// partners are merged and in segments alike.
async fn chunks(
    session: &Session,
    first_call: Day,
    origins: &BTreeSet<Day>,
) -> anyhow::Result<Vec<Vec<Day>>> {
    let (Some(first), Some(last)) = (origins.first(), origins.last()) else {
        return Ok(Vec::new());
    };
    let begin = first.plus(-HISTORY_DAYS).max(first_call.plus(1));
    let longest = (CHUNK_ROWS / scores::partner_count(session).await?.max(1)).max(1);
    let regrouped = scores::regroup_days(session).await?;
    Ok(split(begin, *last, |day, length| regrouped.contains(&day) || length == longest))
}

/// Splits the days from one to another before each for which `begins` says so; it is also told how
/// many days the part before has.
fn split(first: Day, last: Day, begins: impl Fn(Day, usize) -> bool) -> Vec<Vec<Day>> {
    let mut parts: Vec<Vec<Day>> = Vec::new();
    for day in (first.0..=last.0).map(Day) {
        match parts.last_mut().filter(|part| !begins(day, part.len())) {
            Some(part) => part.push(day),
            None => parts.push(vec![day]),
        }
    }
    parts
}

/// The state of a replay between two stretches of days.
struct Replaying<'a> {
    project: &'a Project,
    session: &'a Session,
    policy: &'a Policy,
    labels: &'a [Label],
    origins: &'a BTreeSet<Day>,
    seed: u64,
    history: ScoreHistory,
    observations: Observations,
    /// The risk model of the last origin, where enough labels were known.
    risk: Option<RiskModel>,
    /// By the first day of the month.
    dormancy: BTreeMap<Day, Option<DormancyModel>>,
    printer: OutcomePrinter,
}

impl Replaying<'_> {
    /// Scores a chunk of days. Its rows are read at once; models change within it, at origins and
    /// with the month.
    async fn score(&mut self, days: &[Day]) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(()) };
        let as_of = AsOf::of_day(*last);
        let evaluated = EvaluatedDays::open(self.project, self.session, as_of, days).await?;
        take_out_late_calls(&evaluated).await?;
        let candidates = candidate_queries();
        let printer = &mut self.printer;
        let read = evaluation_input(&evaluated, candidates, None, None, printer).await?;
        let recency = data_frame(evaluated.session.metric("scoring_recency").await?)?;
        let begins = |day: Day, _| month_of(day) == day || self.origins.contains(&day);
        for stretch in split(*first, *last, begins) {
            self.score_stretch(&read, &recency, &stretch).await?;
        }
        Ok(())
    }

    /// Scores days over which no model changes.
    async fn score_stretch(
        &mut self,
        read: &EvaluationInput,
        recency: &DataFrame,
        days: &[Day],
    ) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(()) };
        if self.origins.contains(first) {
            self.fit_risk(*first);
        }
        let frames = read
            .frames
            .iter()
            .map(|(name, frame)| anyhow::Ok((name.clone(), of_days(frame, *first, *last)?)));
        let input = ScoreInput {
            evaluation: EvaluationInput {
                frames: frames.collect::<anyhow::Result<_>>()?,
                held_back: read.held_back.clone(),
                dormancy: self.dormancy_of(*last).await?,
                risk: self.risk.clone(),
            },
            history: self.history.clone(),
            overrides: no_overrides()?,
            clock: None,
            risk_model: "the model of the last origin".to_owned(),
        };
        let scored = score(&input, self.policy)?;
        self.observations.add(&ScoredDays {
            scored: &scored,
            input: &input.evaluation,
            recency: &of_days(recency, *first, *last)?,
            origins: self.origins,
            is_risk_fitted: self.risk.is_some(),
        })?;
        scores::extend(&mut self.history, &scored, *last)
    }

    /// Fits the risk model to the labels that are known at an origin.
    fn fit_risk(&mut self, origin: Day) {
        let earlier = self.labels.iter().filter(|label| label.origin() < origin);
        let rows = Sample::of(earlier, &self.observations).risk_rows(self.policy);
        // Whether it beats both baselines does not depend on resamples.
        let test = TestOptions { resamples: 0, seed: self.seed };
        self.risk = RiskModel::fit(&rows, origin, test);
    }

    /// Returns the dormancy model of a day's month.
    async fn dormancy_of(&mut self, day: Day) -> anyhow::Result<Option<DormancyModel>> {
        let month = month_of(day);
        if let Some(model) = self.dormancy.get(&month) {
            return Ok(model.clone());
        }
        let model = fit_dormancy_as_of(self.project, self.session, month)
            .await
            .with_context(|| format!("the dormancy model as of {month}"))?;
        self.dormancy.insert(month, model.clone());
        Ok(model)
    }
}

/// Returns the rows of a frame from one day to another.
fn of_days(frame: &DataFrame, first: Day, last: Day) -> anyhow::Result<DataFrame> {
    let days = frame.column("day")?.as_materialized_series().i32()?;
    Ok(frame.filter(&(days.gt_eq(first.0) & days.lt_eq(last.0)))?)
}

/// Makes the frame of overrides, without any: a replay shows the computed tiers.
pub(crate) fn no_overrides() -> anyhow::Result<DataFrame> {
    let columns = vec![
        Column::new("partner_id".into(), Vec::<String>::new()),
        Column::new("tier".into(), Vec::<String>::new()),
        Column::new("at".into(), Vec::<i64>::new()),
        Column::new("end".into(), Vec::<i64>::new()),
    ];
    Ok(DataFrame::new(0, columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_split_before_those_that_begin_a_part() {
        #[track_caller]
        fn check(last: i32, begins: impl Fn(Day, usize) -> bool, expected: &[&[i32]]) {
            let found = split(Day(1), Day(last), begins);
            let found: Vec<Vec<i32>> =
                found.into_iter().map(|days| days.into_iter().map(|day| day.0).collect()).collect();
            assert_eq!(found, expected);
        }
        check(0, |_, _| true, &[]);
        check(3, |_, _| false, &[&[1, 2, 3]]);
        check(3, |day, _| day == Day(1), &[&[1, 2, 3]]);
        check(5, |day, _| day == Day(4), &[&[1, 2, 3], &[4, 5]]);
        check(5, |day, length| day == Day(2) || length == 3, &[&[1], &[2, 3, 4], &[5]]);
    }
}
