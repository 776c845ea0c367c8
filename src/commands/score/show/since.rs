//! What made a partner's score change since a day.

use domain::{AsOf, Day, Stage};
use scoring::explain::{DayInput, ScoreChange, ScoreSplit, Unscored, split_change};
use serde::{Deserialize, Serialize};
use transform::Session;

use super::explanation::Asked;
use super::records::GateSpell;
use crate::commands::score::partner_rows::partner_rows;
use crate::metric_pipeline::OutcomePrinter;
use crate::project::Project;
use crate::scores::{EvaluatedDays, day_input, policy, policy_of_day};

/// The change of a score since a day.
#[derive(Serialize)]
pub(super) struct Change {
    pub(super) since: String,
    /// Without overrides; `None` where no scores of the day are stored.
    pub(super) computed_tier_then: Option<String>,
    /// `None` where there is no split.
    pub(super) split: Option<Split>,
    /// Why there is no split.
    pub(super) not_split: Option<String>,
    /// What the split can't tell.
    pub(super) remark: Option<String>,
    pub(super) gates: Vec<GateChange>,
}

/// The parts of the change, in points. They add up to `score_now` − `score_then`.
#[derive(Serialize)]
pub(super) struct Split {
    pub(super) score_then: f64,
    pub(super) score_now: f64,
    pub(super) own_data: f64,
    pub(super) coverage_and_cap: f64,
    pub(super) peers: f64,
    pub(super) model: f64,
    pub(super) policy: f64,
    /// What each signal adds to `own_data`.
    pub(super) signals: Vec<SignalPart>,
}

#[derive(Serialize)]
pub(super) struct SignalPart {
    pub(super) signal: String,
    pub(super) score_then: f64,
    pub(super) score_now: f64,
    pub(super) points: f64,
}

/// A gate that came or went.
#[derive(Serialize)]
pub(super) struct GateChange {
    pub(super) gate: String,
    /// The first day of its deciding, if that lies after the day compared with.
    pub(super) came_on: Option<String>,
    /// The first day on which it decided no longer.
    pub(super) went_on: Option<String>,
}

#[derive(Deserialize)]
struct TierRow {
    computed_tier: String,
}

/// Splits the change between `since` and the day that is shown. `session` has the scores, and
/// `now` is open as of the day that is shown.
pub(super) async fn change(
    project: &Project,
    session: &Session,
    now: &EvaluatedDays,
    asked: &Asked<'_>,
    since: Day,
) -> anyhow::Result<Change> {
    let then = EvaluatedDays::open(project, session, AsOf::of_day(since), &[since]).await?;
    let id = asked.partner_id;
    let tiers: Vec<TierRow> = partner_rows(&then.session, "evaluated_scores", id).await?;
    let spells: Vec<GateSpell> = partner_rows(session, "gate_spell", id).await?;
    let mut change = Change {
        since: since.to_string(),
        computed_tier_then: tiers.into_iter().next().map(|row| row.computed_tier),
        split: None,
        not_split: None,
        remark: None,
        gates: gate_changes(&spells, since),
    };
    let policy_now = policy(&project.config)?;
    let policy_then = match policy_of_day(&then.session, since).await? {
        Some(Ok(policy)) => policy,
        None => {
            change.remark = Some(format!(
                "No scores as of {since} are stored: the score then is computed by the policy of now"
            ));
            policy_now.clone()
        }
        Some(Err(error)) => {
            change.not_split = Some(format!(
                "The policy of {since} can't be read by this version of rapport: {error}"
            ));
            return Ok(change);
        }
    };
    let mut printer = OutcomePrinter::default();
    let then = day_input(project, &then, since, policy_then, &mut printer).await?;
    let day = asked.as_of.day();
    let now = day_input(project, now, day, policy_now, &mut printer).await?;
    match split_change(&then, &now, id)? {
        ScoreSplit::Split(split) => change.split = Some(shown(split)),
        ScoreSplit::Unscored { then: before, now: after } => {
            change.not_split = Some(not_split([(&then, before), (&now, after)]));
        }
    }
    Ok(change)
}

fn shown(change: ScoreChange) -> Split {
    let signals = change.signals.into_iter().map(|part| SignalPart {
        signal: part.signal.to_string(),
        score_then: part.score_then,
        score_now: part.score_now,
        points: part.points,
    });
    Split {
        score_then: change.then,
        score_now: change.now,
        own_data: change.own_data,
        coverage_and_cap: change.coverage,
        peers: change.peers,
        model: change.model,
        policy: change.policy,
        signals: signals.collect(),
    }
}

/// Says why there is no score to compare on one of the days, or on both.
fn not_split(days: [(&DayInput, Option<Unscored>); 2]) -> String {
    let reasons = days.into_iter().filter_map(|(input, why)| {
        let what = match why? {
            Unscored::Unknown => "the partner was not known",
            Unscored::Stage(Stage::Churned) => "it had churned, which freezes its score",
            Unscored::Stage(_) => "it was not live",
            Unscored::TooLittleEvidence => "there was too little evidence for a score",
        };
        Some(format!("as of {} {what}", input.day))
    });
    format!("There is no change to split: {}", reasons.collect::<Vec<_>>().join("; "))
}

/// Returns the gates that came or went after a day, oldest first.
fn gate_changes(spells: &[GateSpell], since: Day) -> Vec<GateChange> {
    let after = |date: chrono::NaiveDate| Day::of_date(date) > since;
    let changes = spells.iter().map(|spell| GateChange {
        gate: spell.gate.clone(),
        came_on: Some(spell.first_day).filter(|date| after(*date)).map(|date| date.to_string()),
        went_on: spell.ended_on.filter(|date| after(*date)).map(|date| date.to_string()),
    });
    changes.filter(|change| change.came_on.is_some() || change.went_on.is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_that_came_or_went_since_a_day() {
        let day = |text: &str| -> Day { text.parse().expect("a date") };
        let spell = |gate: &str, first: &str, ended: Option<&str>| GateSpell {
            gate: gate.to_owned(),
            first_day: day(first).date(),
            ended_on: ended.map(|text| day(text).date()),
            may_be_older: false,
        };
        let spells = [
            spell("silence", "2026-10-01", Some("2026-10-09")),
            spell("collapse", "2026-10-20", Some("2026-11-05")),
            spell("dead", "2026-11-07", None),
            spell("low_errors", "2026-11-01", None),
        ];
        let found: Vec<(String, Option<String>, Option<String>)> =
            gate_changes(&spells, day("2026-11-01"))
                .into_iter()
                .map(|change| (change.gate, change.came_on, change.went_on))
                .collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            found,
            [
                (text("collapse"), None, Some(text("2026-11-05"))),
                (text("dead"), Some(text("2026-11-07")), None),
            ]
        );
    }
}
