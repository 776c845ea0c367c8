//! Rows on what people record beside the scores: notes, judgements, tiers that they set, annotations.

use chrono::{DateTime, NaiveDate, Utc};
use domain::Tier;
use serde::Deserialize;

use crate::health_rows;

/// A note on a partner, a judgement of it, or both; a row of the query `partner_notes`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NoteRow {
    pub partner_id: String,
    pub at: DateTime<Utc>,
    pub by: String,
    /// 1, poor, to 5, good.
    pub sentiment: Option<i64>,
    pub note: Option<String>,
}

/// A tier that a person set, and what became of it; a row of the query `override_history`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OverrideRow {
    pub partner_id: String,
    #[serde(deserialize_with = "health_rows::tier")]
    pub tier: Tier,
    pub reason: String,
    pub by: String,
    pub at: DateTime<Utc>,
    /// From when on it no longer holds.
    pub until: Option<DateTime<Utc>>,
    /// When a person ended or replaced it before that.
    pub ended_at: Option<DateTime<Utc>>,
    pub ended_by: Option<String>,
    pub end_reason: Option<String>,
    /// The tier that replaced it.
    #[serde(default, deserialize_with = "health_rows::optional_tier")]
    pub replaced_by: Option<Tier>,
}

/// What became of a tier that a person set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverrideState {
    InForce,
    Replaced,
    Ended,
    Expired,
}

impl OverrideRow {
    pub(crate) fn state(&self, now: Option<DateTime<Utc>>) -> OverrideState {
        let is_over = self.until.is_some_and(|until| now.is_some_and(|now| until <= now));
        match self {
            row if row.replaced_by.is_some() => OverrideState::Replaced,
            row if row.ended_at.is_some() => OverrideState::Ended,
            _ if is_over => OverrideState::Expired,
            _ => OverrideState::InForce,
        }
    }
}

/// Days with an explanation, which charts mark; a row of the query `annotation`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AnnotationRow {
    /// `None`: it is about all partners.
    pub partner_id: Option<String>,
    pub first_day: NaiveDate,
    /// Inclusive.
    pub last_day: NaiveDate,
    pub text: String,
    pub by: String,
    /// Scores leave the days out.
    pub calm: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_holds_until_it_ends_or_is_replaced() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("an instant");
        let row = OverrideRow {
            partner_id: "p".to_owned(),
            tier: Tier::Watch,
            reason: String::new(),
            by: String::new(),
            at: at("2026-09-01T00:00:00Z"),
            until: Some(at("2026-09-15T00:00:00Z")),
            ended_at: None,
            ended_by: None,
            end_reason: None,
            replaced_by: None,
        };
        let check = |row: &OverrideRow, now: &str, expected| {
            assert_eq!(row.state(Some(at(now))), expected);
        };
        check(&row, "2026-09-14T23:59:59Z", OverrideState::InForce);
        check(&row, "2026-09-15T00:00:00Z", OverrideState::Expired);
        let ended = OverrideRow { ended_at: Some(row.at), ..row.clone() };
        check(&ended, "2026-09-02T00:00:00Z", OverrideState::Ended);
        let replaced = OverrideRow { replaced_by: Some(Tier::Healthy), ..ended };
        check(&replaced, "2026-09-02T00:00:00Z", OverrideState::Replaced);
    }
}
