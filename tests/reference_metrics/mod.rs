//! Metrics recomputed in plain Rust from the true events of a world, without SQL.
//!
//! The code follows the definitions, partner by partner. The results are compared with what the
//! program computes from the same events by Kafka, Parquet, rollups and SQL. This file collects the
//! events into one history for each partner, with merges and currencies.
//!
//! - `metrics`: the metrics of those histories
//! - `table`: compares rows with a CSV file

use std::collections::{BTreeMap, BTreeSet};

use domain::{AsOf, Day, ExchangeRates, MONEY_SCALE, minor_units, month_of};
use fixtures::{Body, Charge, Environment, Event, World};

mod metrics;
mod table;

pub(crate) use metrics::{cohort_retention, funnel, growth, revenue_summary, time_to_first_call};
pub(crate) use table::{Cell, Table};

/// Recomputes the metrics, and returns them by name.
pub(crate) fn all(partner_histories: &PartnerHistories) -> Vec<(&'static str, Table)> {
    vec![
        ("funnel", funnel(partner_histories)),
        ("growth", growth(partner_histories)),
        ("revenue_summary", revenue_summary(partner_histories)),
        ("cohort_retention", cohort_retention(partner_histories)),
        ("time_to_first_call", time_to_first_call(partner_histories)),
    ]
}

/// Holds the history of every partner as of an instant; a merged partner is part of its survivor.
pub(crate) struct PartnerHistories {
    pub(crate) as_of: AsOf,
    pub(crate) partners: BTreeMap<String, History>,
}

/// What a partner did before `as_of`. Instants are in microseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) registered: Option<i64>,
    /// The earliest successful call in any environment.
    pub(crate) first_call: Option<i64>,
    pub(crate) first_sandbox: Option<i64>,
    pub(crate) live: Option<i64>,
    /// Whether a charge above 0 was made.
    pub(crate) charged: bool,
    /// Production calls by month.
    pub(crate) usage: BTreeMap<Day, Usage>,
    /// Billing by month.
    pub(crate) billing: BTreeMap<Day, Billing>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) calls: i64,
    pub(crate) successes: i64,
}

/// In 10⁻¹² of the reporting currency.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Billing {
    pub(crate) gross: i128,
    /// Credits and refunds.
    pub(crate) credited: i128,
}

/// The merges that were sent: partner, instant, event id, surviving partner.
#[derive(Debug, Default)]
pub(crate) struct Merges(Vec<(String, i64, String, String)>);

/// Collects everything that a world sent before `as_of`, in the reporting currency.
pub(crate) fn partner_histories(
    world: &World,
    as_of: AsOf,
    rates: &ExchangeRates,
    reporting_currency: &str,
) -> PartnerHistories {
    let mut sent: Vec<History> = vec![History::default(); world.partners.len()];
    let mut merges = Merges::default();
    for event in world.events().filter(|event| event.occurred_at < as_of.micros()) {
        let id = &world.partners[event.partner as usize].id;
        if let Body::Partner(change) = &event.body
            && change.kind == "merged"
            && let Some(into) = &change.merged_into
        {
            merges.add(id, event.occurred_at, &world.event_id(&event), into);
        }
        add_event(&mut sent[event.partner as usize], &event, |charge, day| {
            amount(charge, day, rates, reporting_currency)
        });
    }
    let by_id = world.partners.iter().map(|partner| partner.id.clone()).zip(sent);
    PartnerHistories { as_of, partners: merge_histories(by_id, &merges) }
}

fn add_event(history: &mut History, event: &Event, amount: impl Fn(&Charge, Day) -> i128) {
    let at = event.occurred_at;
    let day = Day::of_micros(at);
    match &event.body {
        Body::Partner(change) if change.kind == "registered" => {
            history.registered = earlier(history.registered, Some(at));
        }
        Body::Call(call) => {
            let production = call.environment == Environment::Production;
            if production {
                let usage = history.usage.entry(month_of(day)).or_default();
                usage.calls += 1;
                usage.successes += i64::from(call.is_success());
            }
            if call.is_success() {
                let own = if production { &mut history.live } else { &mut history.first_sandbox };
                *own = earlier(*own, Some(at));
                history.first_call = earlier(history.first_call, Some(at));
            }
        }
        Body::Billing(charge) => {
            let billing = history.billing.entry(month_of(day)).or_default();
            match charge.kind {
                "credit" | "refund" => billing.credited += amount(charge, day),
                _ => {
                    billing.gross += amount(charge, day);
                    history.charged |= charge.amount_minor > 0;
                }
            }
        }
        Body::Partner(_) | Body::Support(_) => {}
    }
}

/// Returns amount_minor / 10^minor units × rate, scaled by 10¹².
fn amount(charge: &Charge, day: Day, rates: &ExchangeRates, reporting_currency: &str) -> i128 {
    let digits = minor_units(charge.currency).expect("a currency");
    let rate = match charge.currency == reporting_currency {
        true => 10i128.pow(ExchangeRates::SCALE),
        false => rates.on(charge.currency, day).expect("a rate for every charge"),
    };
    let scale = 10i128.pow(MONEY_SCALE - ExchangeRates::SCALE - digits);
    i128::from(charge.amount_minor) * rate * scale
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

impl Merges {
    pub(crate) fn add(&mut self, partner: &str, at: i64, event_id: &str, into: &str) {
        self.0.push((partner.to_owned(), at, event_id.to_owned(), into.to_owned()));
    }

    /// Returns the latest merge of each partner that is not into itself.
    fn latest(&self) -> BTreeMap<&str, &str> {
        let mut sorted: Vec<_> = self.0.iter().filter(|(id, _, _, into)| id != into).collect();
        sorted.sort_by_key(|(_, at, event_id, _)| (*at, event_id));
        sorted.into_iter().map(|(id, _, _, into)| (id.as_str(), into.as_str())).collect()
    }
}

/// Follows a chain of merges to its end. Merges on a circle are void, so a chain that leads into a
/// circle ends where it meets the circle.
fn surviving_partner<'a>(id: &'a str, latest: &BTreeMap<&'a str, &'a str>) -> &'a str {
    let mut at = id;
    while let Some(&next) = latest.get(at) {
        if is_on_circle(at, latest) {
            break;
        }
        at = next;
    }
    at
}

fn is_on_circle(id: &str, latest: &BTreeMap<&str, &str>) -> bool {
    let mut seen = BTreeSet::new();
    let mut at = id;
    while let Some(&next) = latest.get(at) {
        if next == id {
            return true;
        }
        if !seen.insert(next) {
            return false;
        }
        at = next;
    }
    false
}

fn merge_histories(
    sent: impl Iterator<Item = (String, History)>,
    merges: &Merges,
) -> BTreeMap<String, History> {
    let latest = merges.latest();
    let mut partners: BTreeMap<String, History> = BTreeMap::new();
    for (id, from) in sent {
        let into = partners.entry(surviving_partner(&id, &latest).to_owned()).or_default();
        into.registered = earlier(into.registered, from.registered);
        into.first_call = earlier(into.first_call, from.first_call);
        into.first_sandbox = earlier(into.first_sandbox, from.first_sandbox);
        into.live = earlier(into.live, from.live);
        into.charged |= from.charged;
        for (month, usage) in from.usage {
            let sum = into.usage.entry(month).or_default();
            sum.calls += usage.calls;
            sum.successes += usage.successes;
        }
        for (month, billing) in from.billing {
            let sum = into.billing.entry(month).or_default();
            sum.gross += billing.gross;
            sum.credited += billing.credited;
        }
    }
    partners
}

#[test]
fn merges_follow_chains_and_void_circles() {
    let mut merges = Merges::default();
    for (partner, at, into) in [
        ("a", 1, "b"), // a chain: a → b → c
        ("b", 2, "c"),
        ("d", 1, "c"), // an earlier merge counts where the latest is into itself
        ("d", 2, "d"),
        ("e", 1, "f"), // a circle e ⇄ f, with g leading into it
        ("f", 2, "e"),
        ("g", 3, "e"),
        ("h", 1, "a"), // the latest merge counts
        ("h", 2, "i"),
    ] {
        merges.add(partner, at, "id", into);
    }
    let latest = merges.latest();
    let ends = "abcdefghi".split("").filter(|id| !id.is_empty());
    let ends: Vec<_> = ends.map(|id| surviving_partner(id, &latest)).collect();
    assert_eq!(ends, ["c", "c", "c", "c", "e", "f", "e", "i", "i"]);
}
