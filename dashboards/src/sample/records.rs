//! What people recorded beside the scores of the sample programme.

use chrono::{Days, NaiveDate, TimeDelta};
use domain::Tier;

use super::{SamplePartner, date, instant};
use crate::input::ReportInput;
use crate::record_rows::{AnnotationRow, NoteRow, OverrideRow};

/// Adds notes, judgements and overrides of a partner: some have all of them, most have none.
pub(super) fn partner_records(input: &mut ReportInput, partner: &SamplePartner, tier: Tier) {
    let at = instant(input.as_of);
    if partner.seed.is_multiple_of(3) {
        let note = |days: i64, sentiment: Option<i64>, note: &str| NoteRow {
            partner_id: partner.id.clone(),
            at: at - TimeDelta::days(days),
            by: "Mara Lindqvist".to_owned(),
            sentiment,
            note: Some(note.to_owned()).filter(|note| !note.is_empty()),
        };
        let judged = 1 + (partner.seed % 5) as i64;
        input.notes.push(note(2, None, "Spoke with <their> engineers; the fix ships on Friday"));
        input.notes.push(note(5, Some(judged), ""));
        input.notes.push(note(40, Some(3), "They like the new keys"));
    }
    if partner.seed.is_multiple_of(4) {
        let set = |days: i64, tier: Tier, replaced_by: Option<Tier>| OverrideRow {
            partner_id: partner.id.clone(),
            tier,
            reason: "Fix agreed with their team".to_owned(),
            by: "Mara Lindqvist".to_owned(),
            at: at - TimeDelta::days(days),
            until: Some(at + TimeDelta::days(12 - days)),
            ended_at: replaced_by.map(|_| at - TimeDelta::days(3)),
            ended_by: replaced_by.map(|_| "Tomás Ortega".to_owned()),
            end_reason: replaced_by.map(|_| "It takes longer".to_owned()),
            replaced_by,
        };
        input.overrides.push(set(3, Tier::Watch, None));
        input.overrides.push(set(8, tier, Some(Tier::Watch)));
    }
}

/// Adds annotations: one of the whole platform in each of the last two months, one of a partner.
pub(super) fn annotations(input: &mut ReportInput) {
    let annotation =
        |partner_id: Option<String>, first: NaiveDate, days: u64, text: &str| AnnotationRow {
            partner_id,
            first_day: first,
            last_day: first + Days::new(days),
            text: text.to_owned(),
            by: "Ines Haddad".to_owned(),
            calm: true,
        };
    let partner = input.health.first().map(|row| row.partner_id.clone());
    input.annotations = vec![
        annotation(None, date("2026-07-21"), 1, "Our incident: the gateway answered 503"),
        annotation(partner, date("2026-08-28"), 0, "Quota 400 → 600 calls a minute"),
        annotation(None, date("2026-09-05"), 0, "Release of API v7 <b>"),
    ];
}
