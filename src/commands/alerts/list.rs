//! `rapport alerts list`: the alerts that are open.

use std::collections::{BTreeMap, BTreeSet};

use actions::log::{History, NoticeSubject};
use actions::{EPISODE_MISSES, Episode, FoundAlert, Plan, Policy, RuleAction, Snoozes, rule_id_of};
use domain::{Setting, format_instant, printable};
use lake::schema;
use serde::Deserialize;

use crate::action_plans::{LogTable, policy, read_episodes, read_rows, read_snoozes};
use crate::alerts::AlertFindings;
use crate::args::{Format, ListAlertsArgs};
use crate::commands::score_records::print_list;
use crate::project::Project;
use crate::rows::text_batch;

/// One alert of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OpenAlert {
    /// Names it in commands.
    pub(crate) alert_id: String,
    pub(crate) partner_id: String,
    pub(crate) name: String,
    /// When it began.
    pub(crate) since: String,
    /// How many evaluations in a row did not find it.
    pub(crate) misses: u32,
    /// `holds`, or for how many evaluations it was not found.
    pub(crate) state: String,
    pub(crate) about: String,
    pub(crate) owner: String,
    /// Who was told.
    pub(crate) told: String,
    pub(crate) snoozed_until: String,
    /// The newest note.
    pub(crate) note: String,
}

#[derive(Deserialize)]
struct StoredNote {
    at: String,
    by: String,
    alert_id: String,
    partner_id: Option<String>,
    note: String,
}

/// Prints the list.
pub(super) async fn run(project: &Project, options: &ListAlertsArgs) -> anyhow::Result<()> {
    let (_, policy) = policy(project)?;
    let mut alerts = open_alerts(project, &policy).await?;
    if let Some(partner) = &options.partner {
        alerts.retain(|alert| alert.partner_id == *partner);
    }
    print_alerts(&alerts, options.format)
}

/// Returns the open alerts and notices, by rule, in the order of the policy.
pub(crate) async fn open_alerts(
    project: &Project,
    policy: &Policy,
) -> anyhow::Result<Vec<OpenAlert>> {
    let lake = &project.lake;
    let (episodes, _) = read_episodes(lake).await?;
    let (entries, _) = LogTable::new(lake.clone()).read().await?;
    let mut notes = match read_rows::<StoredNote>(lake, schema::alert_notes()).await? {
        Some((notes, _)) => notes,
        None => Vec::new(),
    };
    notes.sort_by(|a, b| a.at.cmp(&b.at));
    let list = List {
        policy,
        history: History::of(&entries),
        snoozes: read_snoozes(lake).await?,
        notes,
        now: project.now,
    };
    let order = list.order();
    let mut open: Vec<(usize, OpenAlert)> = Vec::new();
    for (id, partner_id, episode) in episodes.all_open() {
        if let Some(place) = order.get(rule_id_of(id)) {
            open.push((*place, list.alert(id, partner_id, episode)));
        }
    }
    open.sort_by_key(|(place, _)| *place);
    Ok(open.into_iter().map(|(_, alert)| alert).collect())
}

/// What the list is made from.
struct List<'a> {
    policy: &'a Policy,
    history: History,
    snoozes: Snoozes,
    notes: Vec<StoredNote>,
    now: i64,
}

impl List<'_> {
    /// Returns the place of each alert and notice in the policy.
    fn order(&self) -> BTreeMap<&str, usize> {
        let alerts = self.policy.alerts.iter().map(|alert| alert.id.as_str());
        let notices = self.policy.rules.iter().filter_map(|rule| match rule.action {
            RuleAction::Notify { .. } => Some(rule.id.as_str()),
            _ => None,
        });
        alerts.chain(notices).zip(0..).collect()
    }

    fn alert(&self, id: &str, partner_id: &str, episode: &Episode) -> OpenAlert {
        let rule_id = rule_id_of(id);
        let alert = self.policy.alerts.iter().find(|alert| alert.id == rule_id);
        let rule = self.policy.rules.iter().find(|rule| rule.id == rule_id);
        let notice = rule.and_then(|rule| match &rule.action {
            RuleAction::Notify { who, about } => Some((who.clone(), about.clone())),
            _ => None,
        });
        let recipients = alert.map(|alert| alert.notify.clone());
        let recipients =
            recipients.unwrap_or_else(|| notice.iter().map(|(who, _)| who.clone()).collect());
        let told = recipients.into_iter().filter(|who| {
            let subject = NoticeSubject {
                partner_id: partner_id.to_owned(),
                rule_id: id.to_owned(),
                who: who.clone(),
            };
            let sent = self.history.notice(&subject);
            sent.is_some_and(|notice| notice.episode_start == episode.started_at)
        });
        let note = self.notes.iter().rev().find(|note| {
            [id, rule_id].contains(&note.alert_id.as_str())
                && note.partner_id.as_deref().is_none_or(|of| of == partner_id)
        });
        let snoozed = self.snoozes.until(id, partner_id, self.now);
        OpenAlert {
            alert_id: id.to_owned(),
            partner_id: partner_id.to_owned(),
            name: self.policy.rule_name(id).unwrap_or_default().to_owned(),
            since: to_the_second(episode.started_at),
            misses: episode.misses,
            state: state(episode.misses),
            about: episode
                .about
                .clone()
                .or_else(|| notice.as_ref().map(|(_, about)| about.clone()))
                .unwrap_or_default(),
            owner: alert
                .map(|alert| alert.owner.clone())
                .or_else(|| notice.map(|(who, _)| who))
                .unwrap_or_default(),
            told: told.collect::<Vec<_>>().join(", "),
            snoozed_until: snoozed.map(to_the_second).unwrap_or_default(),
            note: note.map(|note| format!("{}: {}", note.by, note.note)).unwrap_or_default(),
        }
    }
}

/// Returns an instant without its microseconds, which nobody reads.
fn to_the_second(micros: i64) -> String {
    format_instant(micros - micros.rem_euclid(1_000_000))
}

fn state(misses: u32) -> String {
    match misses {
        0 => "holds".to_owned(),
        misses => format!("not found {misses} of {EPISODE_MISSES} times"),
    }
}

/// Returns what an evaluation found, and the notices of rules that would be sent, where nothing was
/// written.
pub(super) fn found_alerts(findings: &AlertFindings<'_>, plan: &Plan) -> Vec<OpenAlert> {
    let ids: BTreeSet<String> = findings.found.iter().map(FoundAlert::id).collect();
    let of_rules = plan.changes.iter().filter_map(|change| {
        let Some(Setting::Notify { who, about }) = &change.to else { return None };
        let id = &change.rationale.rule_id;
        (!ids.contains(id)).then(|| OpenAlert {
            alert_id: id.clone(),
            partner_id: change.partner_id.clone(),
            name: change.rationale.rule.clone(),
            state: state(0),
            about: about.clone(),
            owner: who.clone(),
            ..OpenAlert::default()
        })
    });
    let alerts = findings.found.iter().map(|found| OpenAlert {
        alert_id: found.id(),
        partner_id: found.partner_id.clone(),
        name: found.rule.name.clone(),
        state: state(0),
        about: found.text.clone(),
        owner: found.rule.owner.clone(),
        ..OpenAlert::default()
    });
    alerts.chain(of_rules).collect()
}

/// Prints alerts; for people without the columns that are empty throughout.
pub(super) fn print_alerts(alerts: &[OpenAlert], format: Format) -> anyhow::Result<()> {
    let column = |of: fn(&OpenAlert) -> &str| -> Vec<String> {
        alerts.iter().map(|alert| printable(of(alert)).into_owned()).collect()
    };
    let columns: [(&str, Vec<String>); 10] = [
        ("alert_id", column(|alert| &alert.alert_id)),
        ("partner_id", column(|alert| &alert.partner_id)),
        ("name", column(|alert| &alert.name)),
        ("about", column(|alert| &alert.about)),
        ("since", column(|alert| &alert.since)),
        ("state", column(|alert| &alert.state)),
        ("owner", column(|alert| &alert.owner)),
        ("told", column(|alert| &alert.told)),
        ("snoozed_until", column(|alert| &alert.snoozed_until)),
        ("note", column(|alert| &alert.note)),
    ];
    let is_shown = |(_, values): &(&str, Vec<String>)| {
        let is_used = alerts.is_empty() || values.iter().any(|value| !value.is_empty());
        format != Format::Table || is_used
    };
    let columns = columns.into_iter().filter(is_shown);
    print_list(&text_batch(columns)?, format, "No alert is open")
}
