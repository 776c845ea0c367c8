//! `rapport alerts snooze` and `note`: what people say of alerts.

use actions::rule_id_of;
use domain::{MICROS_PER_DAY, closest_name, format_instant, parse_instant, printable};
use lake::schema;

use crate::action_plans::{policy, read_episodes, read_snoozes};
use crate::args::{AlertNoteArgs, SnoozeArgs};
use crate::commands::score_records::{append, author, check_partner, instants, option_text, texts};
use crate::errors::usage_error;
use crate::output::print_note;
use crate::project::Project;

/// The most days of a snooze.
const MAX_DAYS: i64 = 90;

/// Snoozes an alert, or ends its snooze. Returns a line on it.
pub(crate) async fn snooze(project: &Project, options: &SnoozeArgs) -> anyhow::Result<String> {
    let by = author(options.by.as_deref())?;
    let reason = option_text("--reason", &options.reason)?;
    // A snooze may end although its alert is over.
    let is_due = !options.end;
    check_alert(project, &options.alert, options.partner.as_deref(), is_due).await?;
    let until = until(options, project.now)?;
    if options.end {
        let snoozes = read_snoozes(&project.lake).await?;
        let partner = options.partner.as_deref().unwrap_or_default();
        if snoozes.until(&options.alert, partner, project.now).is_none() {
            print_note("It was not snoozed");
        }
    }
    let columns = vec![
        instants([project.now]),
        texts([by.clone()]),
        texts([options.alert.clone()]),
        texts([options.partner.clone()]),
        instants([until]),
        texts([reason]),
    ];
    append(project, &schema::snoozes(), columns, "the snooze").await?;
    let what = named(&options.alert, options.partner.as_deref());
    let line = match options.end {
        true => format!("{what}: people are told again, by {by}"),
        false => format!("{what}: snoozed until {} by {by}", format_instant(until)),
    };
    Ok(printable(&line).into_owned())
}

/// Notes something about an alert. Returns a line on it.
pub(crate) async fn note(project: &Project, options: &AlertNoteArgs) -> anyhow::Result<String> {
    let by = author(options.by.as_deref())?;
    let note = option_text("the note", &options.text)?;
    check_alert(project, &options.alert, options.partner.as_deref(), true).await?;
    let columns = vec![
        instants([project.now]),
        texts([by.clone()]),
        texts([options.alert.clone()]),
        texts([options.partner.clone()]),
        texts([note]),
    ];
    append(project, &schema::alert_notes(), columns, "the note").await?;
    let what = named(&options.alert, options.partner.as_deref());
    Ok(printable(&format!("{what}: noted by {by}")).into_owned())
}

fn named(alert: &str, partner: Option<&str>) -> String {
    match partner {
        Some(partner) => format!("{alert} of {partner}"),
        None => alert.to_owned(),
    }
}

/// Refuses an alert that neither the policy has nor is open, and a partner that does not exist or, where
/// `is_due`, is not one that it is open for.
async fn check_alert(
    project: &Project,
    id: &str,
    partner: Option<&str>,
    is_due: bool,
) -> anyhow::Result<()> {
    let (name, policy) = policy(project)?;
    let (episodes, _) = read_episodes(&project.lake).await?;
    let open: Vec<&str> = episodes.all_open().map(|(id, _, _)| id).collect();
    let is_known = policy.rule_name(id).is_some_and(|_| rule_id_of(id) == id);
    if !is_known && !open.contains(&id) {
        let rules = policy.rules.iter().map(|rule| rule.id.as_str());
        let alerts = policy.alerts.iter().map(|alert| alert.id.as_str());
        let all = open.iter().copied().chain(alerts).chain(rules);
        let meant = closest_name(id, all)
            .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        return Err(usage_error(format!(
            "no alert \"{id}\" is open, and {name} has no rule of this id{meant}"
        )));
    }
    let Some(partner) = partner else { return Ok(()) };
    check_partner(project, partner).await?;
    let mut of_partner = episodes.all_open().filter(|(_, subject, _)| *subject == partner);
    if is_due && !of_partner.any(|(open, _, _)| open == id || rule_id_of(open) == id) {
        return Err(usage_error(format!(
            "the alert \"{id}\" is not open for \"{partner}\"; `rapport alerts list` names what is open, \
             and without --partner it is about everyone"
        )));
    }
    Ok(())
}

/// Returns when a snooze ends, µs.
fn until(options: &SnoozeArgs, now: i64) -> anyhow::Result<i64> {
    if options.end {
        return Ok(now);
    }
    let Some(given) = &options.until else {
        return Ok(now + i64::from(options.days) * MICROS_PER_DAY);
    };
    let Some(until) = parse_instant(given) else {
        return Err(usage_error(format!(
            "--until \"{given}\" is no date; write 2026-01-31 or 2026-01-31T12:00:00Z"
        )));
    };
    if until <= now {
        return Err(usage_error(format!("--until {given} has passed; --end ends a snooze")));
    }
    if until > now + MAX_DAYS * MICROS_PER_DAY {
        return Err(usage_error(format!(
            "--until {given}: an alert is snoozed for {MAX_DAYS} days at most"
        )));
    }
    Ok(until)
}
