//! What people recorded of a partner, who was merged into it, the gates that decided its tier, and
//! the days that its score leaves out.

use chrono::NaiveDate;
use domain::{Day, Stage, parse_instant};
use scoring::PartnerScore;
use serde::{Deserialize, Serialize};
use transform::Session;

use crate::commands::score::partner_rows::{partner_rows, rows_with};
use crate::polars_frames::typed_rows;

/// Days before the explained one that signals look at: W and its baseline.
const LOOK_BACK: i32 = 112;

/// What is known of a partner beside its score.
pub(super) struct Records {
    /// The override of the tier that is shown.
    pub(super) set: Option<Override>,
    /// The newest one.
    pub(super) sentiment: Option<Judgement>,
    /// The ids that were merged into it.
    pub(super) merged: Vec<String>,
    /// Oldest first.
    pub(super) gate_spells: Vec<GateSpell>,
    /// Oldest first.
    pub(super) calm_days: Vec<CalmDays>,
}

/// A tier that a person set.
#[derive(Serialize, Deserialize)]
pub(super) struct Override {
    pub(super) tier: String,
    pub(super) reason: String,
    pub(super) by: String,
    pub(super) at: String,
    pub(super) until: Option<String>,
    /// When a person ended or replaced it before that.
    #[serde(skip_serializing)]
    pub(super) ended_at: Option<String>,
}

impl Override {
    /// Returns when it ends or has ended, in µs.
    fn end(&self) -> Option<i64> {
        let instants = self.until.iter().chain(&self.ended_at);
        instants.filter_map(|text| parse_instant(text)).min()
    }
}

/// How a person judges the partner.
#[derive(Serialize)]
pub(super) struct Judgement {
    /// 1, poor, to 5, good.
    pub(super) sentiment: i64,
    pub(super) by: String,
    pub(super) at: String,
    pub(super) note: Option<String>,
}

/// A stretch of days on which one gate decided the tier.
#[derive(Deserialize)]
pub(super) struct GateSpell {
    pub(super) gate: String,
    pub(super) first_day: NaiveDate,
    pub(super) ended_on: Option<NaiveDate>,
    pub(super) may_be_older: bool,
}

/// Days that follow each other and are left out for one reason.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct CalmDays {
    pub(super) first: String,
    pub(super) last: String,
    /// The text of the annotation; `None` where few of its peers called.
    pub(super) annotation: Option<String>,
    #[serde(skip)]
    pub(super) days: (Day, Day),
}

#[derive(Deserialize)]
struct NoteRow {
    at: String,
    by: String,
    sentiment: Option<i64>,
    note: Option<String>,
}

#[derive(Deserialize)]
struct MergedRow {
    partner_id: String,
}

#[derive(Deserialize)]
struct CalmRow {
    event_date: NaiveDate,
}

#[derive(Deserialize)]
struct AnnotationRow {
    partner_id: Option<String>,
    first_day: NaiveDate,
    last_day: NaiveDate,
    text: String,
    calm: bool,
}

impl Records {
    /// Reads the records of a partner. The override is that of the day that is shown, judgements hold by
    /// the clock.
    pub(super) async fn read(session: &Session, partner: &PartnerScore) -> anyhow::Result<Self> {
        let (id, day) = (&partner.partner_id, partner.as_of.day());
        let set = match partner.override_until {
            Some(end) => {
                let all: Vec<Override> = partner_rows(session, "override_history", id).await?;
                let is_it =
                    |set: &Override| set.end() == Some(end) && set.tier == partner.tier.name();
                all.into_iter().find(is_it)
            }
            None => None,
        };
        let notes: Vec<NoteRow> = partner_rows(session, "partner_notes", id).await?;
        let judged = notes.into_iter().find_map(|row| {
            let (by, at, note) = (row.by, row.at, row.note);
            row.sentiment.map(|sentiment| Judgement { sentiment, by, at, note })
        });
        let merged: Vec<MergedRow> = rows_with(session, "known_partner", "survivor", id).await?;
        let merged: Vec<String> = merged.into_iter().map(|row| row.partner_id).collect();
        let calm_days = match partner.stage {
            Stage::Live => calm_days(session, id, &merged, day).await?,
            _ => Vec::new(),
        };
        let gate_spells = partner_rows(session, "gate_spell", id).await?;
        Ok(Self { set, sentiment: judged, merged, gate_spells, calm_days })
    }
}

/// Returns the days of the look back that are left out, with the annotations that cover them.
async fn calm_days(
    session: &Session,
    id: &str,
    merged: &[String],
    day: Day,
) -> anyhow::Result<Vec<CalmDays>> {
    let calm: Vec<CalmRow> = partner_rows(session, "calm_partner_day", id).await?;
    let annotations: Vec<AnnotationRow> = typed_rows(&session.metric("annotation").await?)?;
    let is_of_partner = |annotation: &&AnnotationRow| {
        annotation.partner_id.as_ref().is_none_or(|of| of == id || merged.contains(of))
    };
    let is_meant = |annotation: &&AnnotationRow| annotation.calm && is_of_partner(annotation);
    let annotations: Vec<&AnnotationRow> = annotations.iter().filter(is_meant).collect();
    let mut days: Vec<Day> = calm.iter().map(|row| Day::of_date(row.event_date)).collect();
    days.retain(|date| (day.plus(-LOOK_BACK)..day).contains(date));
    days.sort_unstable();
    Ok(stretches(&days, &annotations))
}

/// Joins days that follow each other and have the same reason.
fn stretches(days: &[Day], annotations: &[&AnnotationRow]) -> Vec<CalmDays> {
    let mut found: Vec<CalmDays> = Vec::new();
    for day in days {
        let date = day.date();
        let covering = annotations.iter().find(|a| (a.first_day..=a.last_day).contains(&date));
        let annotation = covering.map(|annotation| annotation.text.clone());
        match found.last_mut() {
            Some(open) if open.days.1.plus(1) == *day && open.annotation == annotation => {
                open.days.1 = *day;
                open.last = day.to_string();
            }
            _ => found.push(CalmDays {
                first: day.to_string(),
                last: day.to_string(),
                annotation,
                days: (*day, *day),
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calm_days_are_joined_by_their_reason() {
        let day = |text: &str| -> Day { text.parse().expect("a date") };
        let outage = AnnotationRow {
            partner_id: None,
            first_day: day("2026-11-04").date(),
            last_day: day("2026-11-05").date(),
            text: "Our gateway was down".to_owned(),
            calm: true,
        };
        let days = ["2026-11-03", "2026-11-04", "2026-11-05", "2026-11-08"].map(day);
        let found: Vec<(String, String, Option<String>)> = stretches(&days, &[&outage])
            .into_iter()
            .map(|calm| (calm.first, calm.last, calm.annotation))
            .collect();
        let expected = [
            ("2026-11-03", "2026-11-03", None),
            ("2026-11-04", "2026-11-05", Some("Our gateway was down")),
            ("2026-11-08", "2026-11-08", None),
        ];
        let expected = expected.map(|(first, last, text)| {
            (first.to_owned(), last.to_owned(), text.map(str::to_owned))
        });
        assert_eq!(found, expected);
        assert!(stretches(&[], &[&outage]).is_empty());
    }
}
