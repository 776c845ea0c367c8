//! `rapport score override` and `overrides`: tiers that a person sets for some days.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use domain::{MICROS_PER_DAY, Stage, Tier, format_instant, parse_instant, printable};
use lake::schema;
use serde::Deserialize;
use transform::Session;

use super::record::{
    append, author, check_partner, instants, option_text, print_list, session, texts,
};
use crate::args::{Format, OverrideArgs};
use crate::errors::usage_error;
use crate::output::{print_line, print_note};
use crate::polars_frames::typed_rows;
use crate::project::Project;

/// How many days an override lasts by default, and at most.
const DEFAULT_DAYS: u32 = 14;
pub(crate) const MAX_DAYS: u32 = 30;

/// An override as the queries return it.
#[derive(Deserialize)]
struct Override {
    partner_id: String,
    tier: String,
    reason: String,
    by: String,
    at: String,
    until: Option<String>,
}

impl Override {
    fn is_in_force(&self, now: i64) -> bool {
        self.until.as_deref().and_then(parse_instant).is_none_or(|until| now < until)
    }

    /// Returns the override inside a sentence: `at risk by Ada (they leave)`.
    fn words(&self) -> String {
        let tier = self.tier.parse::<Tier>().map_or_else(|_| self.tier.clone(), Tier::words);
        format!("{tier} by {} ({})", self.by, self.reason)
    }
}

/// Sets a tier, or ends the one that is in force, and says so.
pub(super) async fn run(project: &Project, options: &OverrideArgs) -> anyhow::Result<()> {
    let recorded = write(project, options).await?.ok_or_else(|| {
        usage_error(format!(
            "no override of \"{}\" is in force; `rapport score overrides --all` lists those that were",
            options.partner
        ))
    })?;
    recorded.before.iter().for_each(|before| print_note(before));
    if recorded.is_unscored {
        print_note("No score of it is stored yet: the tier is shown once it is live and scored.");
    }
    print_line(&recorded.line)
}

/// What was recorded, in words.
pub(crate) struct RecordedOverride {
    pub(crate) line: String,
    /// What it replaced or ended.
    before: Option<String>,
    /// A tier was set, and no stored score says whether it will be shown.
    is_unscored: bool,
}

/// Sets a tier, or ends the one that is in force. Returns `None` if none is in force that could end.
pub(crate) async fn write(
    project: &Project,
    options: &OverrideArgs,
) -> anyhow::Result<Option<RecordedOverride>> {
    let by = author(options.by.as_deref())?;
    let reason = option_text("--reason", &options.reason)?;
    let set = match options.tier {
        Some(tier) => Some((Tier::from(tier), end_of(options, project.now)?)),
        None => None,
    };
    let partner = &options.partner;
    let newest = newest_override(&session(project).await?, partner).await?;
    if let Some(newest) = &newest {
        refuse_earlier(newest, project.now)?;
    }
    let before = newest.filter(|newest| newest.is_in_force(project.now));
    // An override may also be ended after its partner was merged away.
    if set.is_some() || before.is_none() {
        check_partner(project, partner).await?;
    }
    if set.is_none() && before.is_none() {
        return Ok(None);
    }
    let newest_stage = match set {
        Some(_) => newest_stage(project, partner).await?,
        None => None,
    };
    newest_stage.iter().try_for_each(|newest| refuse_unless_live(partner, newest))?;
    let columns = vec![
        instants([project.now]),
        texts([by.clone()]),
        texts([partner.clone()]),
        texts([set.map(|(tier, _)| tier.name().to_owned())]),
        texts([reason]),
        instants([set.map(|(_, until)| until)]),
    ];
    let what = if set.is_some() { "the override" } else { "the end of the override" };
    append(project, &schema::overrides(), columns, what).await?;
    let line = match set {
        Some((tier, until)) => {
            format!("{partner}: {} by {by}, until {}", tier.words(), format_instant(until))
        }
        None => format!("{partner}: the tier is the computed one again"),
    };
    let verb = if set.is_some() { "Replaced" } else { "Ended" };
    let before = before.map(|before| format!("{verb}: {}", before.words()));
    Ok(Some(RecordedOverride {
        line: printable(&line).into_owned(),
        before: before.map(|before| printable(&before).into_owned()),
        is_unscored: set.is_some() && newest_stage.is_none(),
    }))
}

/// The stage of a partner by the newest score that is stored.
#[derive(Deserialize)]
struct NewestStage {
    stage: String,
    as_of: String,
}

/// Returns the newest stored stage of a partner; `None` where it was never scored.
async fn newest_stage(project: &Project, partner: &str) -> anyhow::Result<Option<NewestStage>> {
    let id = partner.replace('\'', "''");
    let newest = format!(
        "SELECT stage, as_of FROM partner_health WHERE partner_id = '{id}'
         ORDER BY as_of DESC, revision DESC LIMIT 1"
    );
    let rows = session(project).await?.sql(&newest).await?;
    Ok(typed_rows::<NewestStage>(&rows)?.into_iter().next())
}

/// Refuses to set a tier that would not be shown: the tiers of all other stages say where a partner is
/// in its life.
fn refuse_unless_live(partner: &str, newest: &NewestStage) -> anyhow::Result<()> {
    if newest.stage == Stage::Live.name() {
        return Ok(());
    }
    let day = newest.as_of.get(..10).unwrap_or(&newest.as_of);
    Err(usage_error(format!(
        "partner \"{partner}\" has the stage {} as of {day}, and only a live partner shows a tier \
         that a person sets; if it has gone live since, score it again first",
        newest.stage
    )))
}

/// Returns the instant at which an override ends, µs.
fn end_of(options: &OverrideArgs, now: i64) -> anyhow::Result<i64> {
    let last = now + i64::from(MAX_DAYS) * MICROS_PER_DAY;
    let too_late = |given: &str| {
        usage_error(format!(
            "{given}: an override lasts {MAX_DAYS} days at most, until {}; set it again if it is \
             still right then",
            format_instant(last)
        ))
    };
    if let Some(given) = &options.until {
        let Some(until) = parse_instant(given) else {
            return Err(usage_error(format!(
                "--until \"{given}\" is no date; write 2026-01-31 or 2026-01-31T12:00:00Z"
            )));
        };
        if until <= now {
            return Err(usage_error(format!(
                "--until {given} is over; the clock says {}",
                format_instant(now)
            )));
        }
        return if until > last { Err(too_late(&format!("--until {given}"))) } else { Ok(until) };
    }
    match options.days.unwrap_or(DEFAULT_DAYS) {
        0 => Err(usage_error("--days 0: an override lasts a day at least; --end ends one")),
        days if days > MAX_DAYS => Err(too_late(&format!("--days {days}"))),
        days => Ok(now + i64::from(days) * MICROS_PER_DAY),
    }
}

/// Returns the override that was set last for a partner, unless a person ended it. It may have
/// expired.
async fn newest_override(session: &Session, partner: &str) -> anyhow::Result<Option<Override>> {
    let rows = session.metric("active_override").await?;
    Ok(typed_rows::<Override>(&rows)?.into_iter().find(|row| row.partner_id == partner))
}

/// Refuses a record that would be older than the newest one, which counts.
fn refuse_earlier(newest: &Override, now: i64) -> anyhow::Result<()> {
    if parse_instant(&newest.at).is_none_or(|at| at < now) {
        return Ok(());
    }
    anyhow::bail!(
        "the newest override of \"{}\" was set at {}, and the clock says {}: one of the clocks is \
         wrong",
        newest.partner_id,
        newest.at,
        format_instant(now)
    )
}

/// The columns of `override_history` that are listed where only overrides in force are.
const IN_FORCE_COLUMNS: [&str; 7] =
    ["partner_id", "tier", "computed_tier", "until", "by", "reason", "at"];

/// Lists the overrides in force, or all that ever were.
pub(super) async fn list(project: &Project, all: bool, format: Format) -> anyhow::Result<()> {
    let found = session(project).await?.metric("override_history").await?;
    let states: Vec<&str> =
        typed_rows::<PastOverride>(&found)?.iter().map(|row| row.state(project.now)).collect();
    let history = concat_batches(&found.schema, &found.batches)?;
    if all {
        let rows = with_states(&history, &states)?;
        return print_list(&rows, format, "No tier was ever set by a person");
    }
    let is_in_force: BooleanArray =
        states.iter().map(|state| Some(*state == PastOverride::IN_FORCE)).collect();
    let rows = filter_record_batch(&history, &is_in_force)?;
    let columns = IN_FORCE_COLUMNS.iter().map(|name| history.schema().index_of(name));
    let rows = rows.project(&columns.collect::<Result<Vec<_>, _>>()?)?;
    print_list(&rows, format, "No override is in force; --all lists those that were")
}

/// What became of an override.
#[derive(Deserialize)]
struct PastOverride {
    until: Option<String>,
    ended_at: Option<String>,
    replaced_by: Option<String>,
}

impl PastOverride {
    const IN_FORCE: &str = "in_force";

    fn state(&self, now: i64) -> &'static str {
        let is_over = |end: &Option<String>| {
            end.as_deref().and_then(parse_instant).is_some_and(|end| end <= now)
        };
        match self {
            past if past.replaced_by.is_some() => "replaced",
            past if past.ended_at.is_some() => "ended",
            past if is_over(&past.until) => "expired",
            _ => Self::IN_FORCE,
        }
    }
}

/// Returns the overrides with a column `state` after the first one.
fn with_states(history: &RecordBatch, states: &[&str]) -> anyhow::Result<RecordBatch> {
    let mut fields: Vec<Arc<Field>> = history.schema().fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = history.columns().to_vec();
    fields.insert(1, Arc::new(Field::new("state", DataType::Utf8, false)));
    columns.insert(1, Arc::new(StringArray::from(states.to_vec())));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-28T12:00:00Z";

    fn now() -> i64 {
        parse_instant(NOW).expect("an instant")
    }

    #[test]
    fn an_override_ends_after_30_days_at_most() {
        #[track_caller]
        fn check(until: Option<&str>, days: Option<u32>, expected: Result<&str, &str>) {
            let options = OverrideArgs {
                partner: String::new(),
                tier: None,
                end: false,
                reason: String::new(),
                by: None,
                until: until.map(str::to_owned),
                days,
            };
            match (end_of(&options, now()), expected) {
                (Ok(end), Ok(expected)) => assert_eq!(format_instant(end), expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, expected) => panic!("{found:?} for {expected:?}"),
            }
        }
        check(None, None, Ok("2026-12-12T12:00:00Z"));
        check(None, Some(1), Ok("2026-11-29T12:00:00Z"));
        check(None, Some(30), Ok("2026-12-28T12:00:00Z"));
        check(None, Some(31), Err("--days 31: an override lasts 30 days at most"));
        check(None, Some(0), Err("a day at least"));
        check(Some("2026-12-28"), None, Ok("2026-12-28T00:00:00Z"));
        check(Some("2026-12-28T12:00:00Z"), None, Ok("2026-12-28T12:00:00Z"));
        check(Some("2026-12-28T12:00:01Z"), None, Err("30 days at most"));
        check(Some("2027-12-01"), None, Err("until 2026-12-28T12:00:00Z"));
        check(Some("2026-11-28"), None, Err("is over"));
        check(Some(NOW), None, Err("is over"));
        check(Some("friday"), None, Err("is no date"));
    }

    #[test]
    fn a_tier_is_set_of_live_partners_alone() {
        for stage in Stage::ALL {
            let as_of = "2026-11-28T00:00:00Z".to_owned();
            let newest = NewestStage { stage: stage.name().to_owned(), as_of };
            match refuse_unless_live("zorg", &newest) {
                Ok(()) => assert_eq!(stage, Stage::Live),
                Err(error) => {
                    let words = format!("\"zorg\" has the stage {} as of 2026-11-28", stage.name());
                    assert!(error.to_string().contains(&words), "{error}");
                    assert_ne!(stage, Stage::Live);
                }
            }
        }
    }

    #[test]
    fn what_became_of_an_override() {
        #[track_caller]
        fn check(until: &str, ended_at: Option<&str>, replaced_by: Option<&str>, expected: &str) {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let past = PastOverride {
                until: text(Some(until)),
                ended_at: text(ended_at),
                replaced_by: text(replaced_by),
            };
            assert_eq!(past.state(now()), expected);
        }
        let before = "2026-11-20T00:00:00Z";
        check("2026-11-28T12:00:01Z", None, None, "in_force");
        check(NOW, None, None, "expired");
        check("2026-12-01T00:00:00Z", Some(before), None, "ended");
        check("2026-12-01T00:00:00Z", Some(before), Some("watch"), "replaced");
    }
}
