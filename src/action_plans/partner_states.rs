//! The partners as plans and guards see them: their scores, their quota by events and by our log,
//! their usage.

use std::collections::BTreeMap;
use std::sync::Arc;

use actions::log::History;
use actions::{Contribution, LiveQuota, PartnerState, QuotaChange};
use chrono::NaiveDate;
use domain::format::plain_date_with_year;
use domain::{Day, parse_instant};
use scoring::ScoreOutput;
use serde::Deserialize;
use transform::Session;

use super::mapping::Mapping;
use crate::partner_standing::{Inactive, inactive_partners};
use crate::polars_frames::typed_rows;

#[derive(Deserialize)]
struct PartnerFacts {
    partner_id: String,
    name: Option<String>,
    plan: Option<String>,
    segment: Option<String>,
    manager: Option<String>,
    tier: String,
    top_reason: String,
    impact_rank: Option<i64>,
    quota_per_minute: Option<i64>,
    peak_per_minute: Option<i64>,
    throttled_rate: Option<f64>,
    utilisation: Option<f64>,
}

#[derive(Deserialize)]
struct QuotaRow {
    partner_id: String,
    occurred_at: String,
    quota_per_minute: i64,
    r#type: String,
}

#[derive(Deserialize)]
struct HighestMinuteRow {
    partner_id: String,
    highest_minute: i64,
}

#[derive(Deserialize)]
struct UsageGapRow {
    partner_id: String,
    missing_on: NaiveDate,
    is_platform: bool,
}

/// Up to when quotas and usage are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Horizon {
    /// Up to the instant of the session, for a plan of the past.
    AsOf,
    /// Up to the newest event: what changed since the session's instant counts today.
    Newest,
}

/// What the tables of a session say of every partner, without the log.
pub(crate) struct PartnerTables {
    facts: BTreeMap<String, PartnerFacts>,
    /// The quotas that the platform reported, by partner, in their order.
    pub(crate) reported: BTreeMap<String, Vec<QuotaChange>>,
    /// Of them those that partners registered with.
    registered: BTreeMap<String, QuotaChange>,
    inactive: BTreeMap<String, Inactive>,
    highest_minutes: BTreeMap<String, i64>,
    usage_gaps: BTreeMap<String, String>,
    /// The instant of the session, µs.
    as_of: i64,
}

impl PartnerTables {
    /// Reads the tables. `partner_rows` is the SQL of a row for each partner.
    pub(crate) async fn read(
        session: &Arc<Session>,
        partner_rows: &str,
        horizon: Horizon,
    ) -> anyhow::Result<Self> {
        let as_of = session.as_of().micros();
        let facts = session
            .sql(&format!(
                "SELECT partner_id, name, plan, segment, manager, tier, top_reason, impact_rank,
                        quota_per_minute, peak_per_minute, throttled_rate, utilisation
                 FROM ({partner_rows})"
            ))
            .await?;
        let facts = typed_rows::<PartnerFacts>(&facts)?
            .into_iter()
            .map(|row| (row.partner_id.clone(), row))
            .collect();
        let quotas = typed_rows::<QuotaRow>(&session.metric("reported_quotas").await?)?;
        let is_seen = |at: i64| horizon == Horizon::Newest || at < as_of;
        let (reported, registered) = reported_quotas(quotas, is_seen);
        let mut highest_minutes = BTreeMap::new();
        let since = (horizon == Horizon::Newest).then_some("highest_minute_since");
        for query in [Some("highest_minute"), since].into_iter().flatten() {
            for row in typed_rows::<HighestMinuteRow>(&session.metric(query).await?)? {
                let highest = highest_minutes.entry(row.partner_id).or_insert(row.highest_minute);
                *highest = row.highest_minute.max(*highest);
            }
        }
        let gaps = typed_rows::<UsageGapRow>(&session.metric("usage_gap").await?)?.into_iter();
        Ok(Self {
            facts,
            reported,
            registered,
            inactive: inactive_partners(session, is_seen).await?,
            highest_minutes,
            as_of,
            usage_gaps: gaps.map(|row| (row.partner_id.clone(), gap(&row))).collect(),
        })
    }

    /// Returns the state of every scored partner. `contributions` are those of its signals.
    pub(crate) fn states(
        &self,
        history: &History,
        mapping: &Mapping,
        contributions: &BTreeMap<String, Vec<Contribution>>,
    ) -> anyhow::Result<Vec<PartnerState>> {
        let states = self.facts.values().map(|facts| {
            let own = contributions.get(&facts.partner_id).cloned().unwrap_or_default();
            self.state(facts, history, mapping, own)
        });
        states.collect()
    }

    /// Returns the rows of partners with the quota that is in force by our log and the newest events,
    /// and what follows from it. `partner_rows` and the result are SQL, which holds the partners whose
    /// quota is another one than by the events before `as_of`.
    pub(crate) fn rows_by_books(&self, partner_rows: &str, states: &[PartnerState]) -> String {
        let differs = |state: &&PartnerState| {
            let facts = self.facts.get(&state.partner_id);
            facts.is_some_and(|facts| facts.quota_per_minute != state.quota_per_minute)
        };
        let values: Vec<String> = states
            .iter()
            .filter(differs)
            .filter_map(|state| {
                let id = state.partner_id.replace('\'', "''");
                Some(format!("('{id}', CAST({} AS BIGINT))", state.quota_per_minute?))
            })
            .collect();
        if values.is_empty() {
            return partner_rows.to_owned();
        }
        // `needs_upgrade` is as in the metric `throttling`.
        format!(
            "SELECT * EXCEPT (books_id, books_quota) REPLACE (
               coalesce(books_quota, quota_per_minute) AS quota_per_minute,
               CASE WHEN books_id IS NULL THEN utilisation
                    ELSE CAST(peak_per_minute AS DOUBLE) / nullif(books_quota, 0)
                    END AS utilisation,
               CASE WHEN books_id IS NULL THEN needs_upgrade
                    ELSE throttled_rate >= 0.01 OR coalesce(
                      CAST(peak_per_minute AS DOUBLE) / nullif(books_quota, 0) >= 0.8, false)
                    END AS needs_upgrade)
             FROM ({partner_rows}) AS by_events
             LEFT JOIN (VALUES {}) AS books (books_id, books_quota) ON books_id = partner_id",
            values.join(", ")
        )
    }

    /// Returns the manager of each partner that has one.
    pub(crate) fn managers(&self) -> BTreeMap<String, String> {
        let facts = self.facts.values();
        let managers = facts.filter_map(|f| Some((f.partner_id.clone(), f.manager.clone()?)));
        managers.collect()
    }

    /// Returns the state of one partner without what its signals say; `None`: there is none of this
    /// name.
    pub(crate) fn state_of(
        &self,
        partner_id: &str,
        history: &History,
        mapping: &Mapping,
    ) -> anyhow::Result<Option<PartnerState>> {
        let facts = self.facts.get(partner_id);
        facts.map(|facts| self.state(facts, history, mapping, Vec::new())).transpose()
    }

    fn state(
        &self,
        facts: &PartnerFacts,
        history: &History,
        mapping: &Mapping,
        contributions: Vec<Contribution>,
    ) -> anyhow::Result<PartnerState> {
        let id = facts.partner_id.as_str();
        let ours = history.quotas(id);
        let mut quotas = self.reported.get(id).cloned().unwrap_or_default();
        quotas.extend_from_slice(ours);
        // Of an event and a row of the log at one instant the row is the later one.
        quotas.sort_by_key(|quota| quota.at);
        let newest = quotas.last().filter(|last| !ours.is_empty() || last.at >= self.as_of);
        let quota_per_minute = newest.map_or(facts.quota_per_minute, |last| Some(last.per_minute));
        let registered_quota = self.registered.get(id).copied();
        Ok(PartnerState {
            partner_id: id.to_owned(),
            name: facts.name.clone(),
            plan: facts.plan.clone(),
            segment: facts.segment.clone(),
            manager: facts.manager.clone(),
            tier: facts.tier.parse()?,
            top_reason: facts.top_reason.clone(),
            contributions,
            impact_rank: facts.impact_rank,
            quota_per_minute,
            live_quota: LiveQuota::NotAsked,
            highest_minute: self.highest_minutes.get(id).copied().or(Some(0)),
            peak_per_minute: facts.peak_per_minute,
            throttled_rate: facts.throttled_rate,
            utilisation: match quota_per_minute == facts.quota_per_minute {
                true => facts.utilisation,
                false => utilisation(facts.peak_per_minute, quota_per_minute),
            },
            usage_gap: self.usage_gaps.get(id).cloned(),
            registered_quota,
            quota_changes: changes(quotas, registered_quota),
            support: history.route_of(id).map(|route| route.route.clone()),
            unmapped: mapping.unmapped(id),
            inactive: self.inactive.get(id).map(why_nothing_is_set),
        })
    }
}

/// Says why nothing is set for a partner that is suspended or offboarded.
fn why_nothing_is_set(inactive: &Inactive) -> String {
    let (what, day) = (&inactive.what, plain_date_with_year(inactive.since));
    format!("The partner was {what} on {day}: nothing is set until it is reinstated")
}

/// Returns the quotas that the platform set, by partner, and of them those that partners registered
/// with. An event about something else that tells the quota of the last report sets none: that another
/// one is in force by our log says nothing of it.
fn reported_quotas(
    rows: Vec<QuotaRow>,
    is_seen: impl Fn(i64) -> bool,
) -> (BTreeMap<String, Vec<QuotaChange>>, BTreeMap<String, QuotaChange>) {
    let mut reported: BTreeMap<String, Vec<QuotaChange>> = BTreeMap::new();
    let mut registered = BTreeMap::new();
    for row in rows {
        let at = parse_instant(&row.occurred_at).unwrap_or_default();
        if !is_seen(at) {
            continue;
        }
        let quota = QuotaChange { at, per_minute: row.quota_per_minute };
        let quotas = reported.entry(row.partner_id.clone()).or_default();
        let is_same = quotas.last().is_some_and(|last| last.per_minute == quota.per_minute);
        if is_same && row.r#type != "quota_changed" {
            continue;
        }
        if quotas.is_empty() && row.r#type == "registered" {
            registered.insert(row.partner_id, quota);
        }
        quotas.push(quota);
    }
    (reported, registered)
}

/// Returns the quotas, in their order, that differ from the one before.
fn changes(mut quotas: Vec<QuotaChange>, registered: Option<QuotaChange>) -> Vec<QuotaChange> {
    let mut before = registered.map(|quota| quota.per_minute);
    quotas.retain(|quota| before.replace(quota.per_minute) != Some(quota.per_minute));
    quotas
}

/// Returns the peak over the quota in force, as the metric `throttling` does over that of the events.
fn utilisation(peak: Option<i64>, quota: Option<i64>) -> Option<f64> {
    let quota = quota.filter(|quota| *quota > 0)?;
    Some(peak? as f64 / quota as f64)
}

/// Returns what the signals add to the score of each partner.
pub(crate) fn contributions(scored: &ScoreOutput) -> BTreeMap<String, Vec<Contribution>> {
    let of_partner = |partner: &scoring::PartnerScore| {
        let contributions = partner.signals.iter().filter_map(|signal| {
            Some(Contribution {
                signal: signal.signal.clone(),
                points: signal.contribution?,
                reason: signal.reason.clone(),
            })
        });
        (partner.partner_id.clone(), contributions.collect())
    };
    scored.partners.iter().map(|partner| of_partner(&partner)).collect()
}

fn gap(row: &UsageGapRow) -> String {
    let day = plain_date_with_year(Day::of_date(row.missing_on));
    match row.is_platform {
        true => format!("Nobody called on {day}, so usage may be missing: no decrease"),
        false => format!("Its calls of {day} may be missing: no decrease"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_about_something_else_sets_no_quota_by_telling_the_last_one() {
        let row = |second: i64, kind: &str, quota_per_minute| QuotaRow {
            partner_id: "p".to_owned(),
            occurred_at: format!("1970-01-01T00:00:0{second}Z"),
            quota_per_minute,
            r#type: kind.to_owned(),
        };
        let quota = |second: i64, per_minute| QuotaChange { at: second * 1_000_000, per_minute };
        let rows = || {
            vec![
                row(1, "registered", 60),
                row(2, "profile_updated", 60),
                row(3, "plan_changed", 90),
                row(4, "profile_updated", 90),
                // It was set back after we had raised it.
                row(5, "quota_changed", 90),
                row(6, "registered", 70),
            ]
        };
        let (reported, registered) = reported_quotas(rows(), |_| true);
        assert_eq!(reported["p"], [quota(1, 60), quota(3, 90), quota(5, 90), quota(6, 70)]);
        assert_eq!(registered["p"], quota(1, 60));
        let (reported, _) = reported_quotas(rows(), |at| at < 3_000_000);
        assert_eq!(reported["p"], [quota(1, 60)]);
        let (_, registered) = reported_quotas(vec![row(1, "plan_changed", 60)], |_| true);
        assert!(registered.is_empty());
    }

    #[test]
    fn a_quota_that_is_told_again_is_no_change() {
        let quota = |at, per_minute| QuotaChange { at, per_minute };
        let told = vec![quota(1, 60), quota(2, 60), quota(3, 90), quota(4, 90), quota(5, 60)];
        let changed = [quota(3, 90), quota(5, 60)];
        assert_eq!(changes(told.clone(), Some(quota(1, 60))), changed);
        // Without a registration the first quota that is told is one.
        assert_eq!(changes(told, None), [quota(1, 60), quota(3, 90), quota(5, 60)]);
    }
}
