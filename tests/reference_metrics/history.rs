//! Collects the events of a world into one history for each partner, with merges and currencies.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use domain::{AsOf, Day, ExchangeRates, MICROS_PER_DAY, MONEY_SCALE, minor_units, month_of};
use fixtures::{Body, Call, Charge, Environment, Event, World};

use super::merges::{Merges, surviving_partner};

/// Holds the history of every partner as of an instant; a merged partner is part of its survivor.
pub(crate) struct PartnerHistories {
    pub(crate) as_of: AsOf,
    pub(crate) partners: BTreeMap<String, History>,
}

/// What a partner did before `as_of`. Instants are in microseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// The earliest event of each type, such as `registered`.
    pub(crate) first_events: BTreeMap<&'static str, i64>,
    pub(crate) registered: Option<i64>,
    /// The earliest successful call in any environment.
    pub(crate) first_call: Option<i64>,
    pub(crate) first_sandbox: Option<i64>,
    pub(crate) live: Option<i64>,
    /// The last success in production.
    pub(crate) last_success: Option<i64>,
    /// The earliest charge above 0.
    pub(crate) first_charge: Option<i64>,
    /// Production calls by day.
    pub(crate) days: BTreeMap<Day, CallCounts>,
    /// Production calls by month.
    pub(crate) usage: BTreeMap<Day, Usage>,
    /// Production calls by month, product, method and endpoint.
    pub(crate) endpoints: BTreeMap<Endpoint, CallCounts>,
    /// Successes in production by month and product.
    pub(crate) metered: BTreeMap<(Day, Option<&'static str>), i64>,
    /// What the production calls of the last 28 days named.
    pub(crate) named: Named,
    /// Calls in any environment by credential.
    pub(crate) credentials: BTreeMap<String, CredentialUse>,
    /// Billing by month.
    pub(crate) billing: BTreeMap<Day, Billing>,
    /// Gross by day.
    pub(crate) gross: BTreeMap<Day, i128>,
    /// Amounts by month and kind.
    pub(crate) kinds: BTreeMap<(Day, &'static str), i128>,
    /// Units of usage events by month and product.
    pub(crate) billed: BTreeMap<(Day, Option<&'static str>), i128>,
    pub(crate) payments_failed: Vec<i64>,
    pub(crate) payments_succeeded: Vec<i64>,
    /// When each ticket was first opened.
    pub(crate) tickets: BTreeMap<String, i64>,
    /// Throttled production calls of the last 28 days, and those of them that were repeated within
    /// a second.
    pub(crate) throttled: i64,
    pub(crate) retried_1s: i64,
}

/// A month, and the product, the method and the endpoint of a call.
pub(crate) type Endpoint = (Day, Option<&'static str>, Option<&'static str>, Option<String>);

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) calls: i64,
    pub(crate) successes: i64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CallCounts {
    pub(crate) calls: i64,
    pub(crate) successes: i64,
    /// Client errors without 429.
    pub(crate) client_errors: i64,
    pub(crate) auth_failures: i64,
    pub(crate) throttled: i64,
    pub(crate) server_errors: i64,
    pub(crate) latency_us_sum: i64,
    pub(crate) latency_count: i64,
}

/// The distinct values of the calls of some days.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    pub(crate) calls: i64,
    pub(crate) products: BTreeSet<&'static str>,
    pub(crate) endpoints: BTreeSet<(Option<&'static str>, String)>,
    pub(crate) versions: BTreeSet<&'static str>,
    pub(crate) credentials: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct CredentialUse {
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// In the last 28 days.
    pub(crate) calls: i64,
    pub(crate) auth_failures: i64,
}

/// In 10⁻¹² of the reporting currency.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Billing {
    pub(crate) gross: i128,
    /// Credits and refunds.
    pub(crate) credited: i128,
}

/// A production call of the last 28 days: its instant, its event id, and whether it was throttled.
type OrderedCall = (i64, String, bool);

/// Collects everything that a world sent before `as_of`, in the reporting currency.
pub(crate) fn partner_histories(
    world: &World,
    as_of: AsOf,
    rates: &ExchangeRates,
    reporting_currency: &str,
) -> PartnerHistories {
    let mut sent: Vec<History> = vec![History::default(); world.partners.len()];
    let mut ordered: BTreeMap<(u32, Day), Vec<OrderedCall>> = BTreeMap::new();
    let mut merges = Merges::default();
    let recent = last_days(as_of, 28);
    for event in world.events().filter(|event| event.occurred_at < as_of.micros()) {
        let id = &world.partners[event.partner as usize].id;
        let history = &mut sent[event.partner as usize];
        match &event.body {
            Body::Partner(change) => {
                if let ("merged", Some(into)) = (change.kind, &change.merged_into) {
                    merges.add(id, event.occurred_at, &world.event_id(&event), into);
                }
                history.add_change(change.kind, event.occurred_at);
            }
            Body::Call(call) => {
                history.add_call(&event, call, world.credential_id(&event), &recent);
                if recent.contains(&event.occurred_at)
                    && call.environment == Environment::Production
                {
                    let day = (event.partner, Day::of_micros(event.occurred_at));
                    let call = (event.occurred_at, world.event_id(&event), call.status == 429);
                    ordered.entry(day).or_default().push(call);
                }
            }
            Body::Billing(charge) => {
                history.add_charge(&event, charge, |day| {
                    amount(charge, day, rates, reporting_currency)
                });
            }
            Body::Support(ticket) if ticket.kind == "opened" => {
                history.add_ticket(&ticket.ticket_id, event.occurred_at);
            }
            Body::Support(_) => {}
        }
    }
    for ((partner, _), calls) in ordered {
        sent[partner as usize].add_retries(calls);
    }
    let by_id = world.partners.iter().map(|partner| partner.id.clone()).zip(sent);
    PartnerHistories { as_of, partners: merge_histories(by_id, &merges) }
}

/// Returns the instants of the last days before `as_of`.
pub(crate) fn last_days(as_of: AsOf, days: i64) -> Range<i64> {
    as_of.micros() - days * MICROS_PER_DAY..as_of.micros()
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

pub(super) fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

impl CallCounts {
    fn add(&mut self, call: &Call) {
        self.calls += 1;
        match call.status {
            200..400 => self.successes += 1,
            429 => self.throttled += 1,
            400..500 => self.client_errors += 1,
            500.. => self.server_errors += 1,
            _ => {}
        }
        self.auth_failures += i64::from(is_auth_failure(call));
        if let Some(latency) = call.latency_us() {
            self.latency_us_sum += latency;
            self.latency_count += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.successes += other.successes;
        self.client_errors += other.client_errors;
        self.auth_failures += other.auth_failures;
        self.throttled += other.throttled;
        self.server_errors += other.server_errors;
        self.latency_us_sum += other.latency_us_sum;
        self.latency_count += other.latency_count;
    }
}

fn is_auth_failure(call: &Call) -> bool {
    matches!(call.status, 401 | 403)
}

impl Named {
    fn add(&mut self, call: &Call, credential: Option<String>) {
        self.calls += 1;
        self.products.extend(call.product());
        self.versions.extend(call.api_version());
        self.endpoints.extend(call.endpoint().map(|endpoint| (call.method(), endpoint)));
        self.credentials.extend(credential);
    }

    fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.products.extend(other.products);
        self.endpoints.extend(other.endpoints);
        self.versions.extend(other.versions);
        self.credentials.extend(other.credentials);
    }
}

impl CredentialUse {
    fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.calls += other.calls;
        self.auth_failures += other.auth_failures;
    }
}

impl History {
    fn add_change(&mut self, kind: &'static str, at: i64) {
        let first = self.first_events.entry(kind).or_insert(at);
        *first = at.min(*first);
        if kind == "registered" {
            self.registered = earlier(self.registered, Some(at));
        }
    }

    fn add_call(
        &mut self,
        event: &Event,
        call: &Call,
        credential: Option<String>,
        recent: &Range<i64>,
    ) {
        let at = event.occurred_at;
        let is_recent = recent.contains(&at);
        if let Some(credential) = &credential {
            let used = CredentialUse {
                first: at,
                last: at,
                calls: i64::from(is_recent),
                auth_failures: i64::from(is_recent && is_auth_failure(call)),
            };
            let own = self.credentials.entry(credential.clone());
            own.and_modify(|own| own.merge(&used)).or_insert(used);
        }
        if call.is_success() {
            self.first_call = earlier(self.first_call, Some(at));
            if call.environment == Environment::Sandbox {
                self.first_sandbox = earlier(self.first_sandbox, Some(at));
            }
        }
        if call.environment == Environment::Production {
            if is_recent {
                self.named.add(call, credential);
            }
            self.add_production_call(at, call);
        }
    }

    fn add_production_call(&mut self, at: i64, call: &Call) {
        let day = Day::of_micros(at);
        let month = month_of(day);
        let usage = self.usage.entry(month).or_default();
        usage.calls += 1;
        usage.successes += i64::from(call.is_success());
        self.days.entry(day).or_default().add(call);
        let endpoint = (month, call.product(), call.method(), call.endpoint());
        self.endpoints.entry(endpoint).or_default().add(call);
        if call.is_success() {
            self.live = earlier(self.live, Some(at));
            self.last_success = self.last_success.max(Some(at));
            *self.metered.entry((month, call.product())).or_default() += 1;
        }
    }

    fn add_charge(&mut self, event: &Event, charge: &Charge, amount: impl Fn(Day) -> i128) {
        let at = event.occurred_at;
        match charge.kind {
            "payment_failed" => return self.payments_failed.push(at),
            "payment_succeeded" => return self.payments_succeeded.push(at),
            _ => {}
        }
        let day = Day::of_micros(at);
        let month = month_of(day);
        let amount = amount(day);
        *self.kinds.entry((month, charge.kind)).or_default() += amount;
        let billing = self.billing.entry(month).or_default();
        if matches!(charge.kind, "credit" | "refund") {
            billing.credited += amount;
            return;
        }
        billing.gross += amount;
        *self.gross.entry(day).or_default() += amount;
        if charge.amount_minor > 0 {
            self.first_charge = earlier(self.first_charge, Some(at));
        }
        if charge.kind == "usage" {
            let units = i128::from(charge.units.unwrap_or_default());
            *self.billed.entry((month, charge.product)).or_default() += units;
        }
    }

    fn add_ticket(&mut self, ticket: &str, at: i64) {
        let opened = self.tickets.entry(ticket.to_owned()).or_insert(at);
        *opened = at.min(*opened);
    }

    /// Counts the throttled calls of one day, in the order of their instants and event ids.
    fn add_retries(&mut self, mut calls: Vec<OrderedCall>) {
        calls.sort_unstable();
        for (nth, (at, _, throttled)) in calls.iter().enumerate() {
            if *throttled {
                let next = calls.get(nth + 1);
                self.throttled += 1;
                self.retried_1s += i64::from(next.is_some_and(|next| next.0 - at <= 1_000_000));
            }
        }
    }

    /// Returns the gross of some days.
    pub(crate) fn gross_of(&self, days: Range<Day>) -> i128 {
        self.gross.range(days).map(|(_, gross)| *gross).sum()
    }

    /// Returns the production calls of some days.
    pub(crate) fn calls_of(&self, days: Range<Day>) -> CallCounts {
        let mut sum = CallCounts::default();
        for (_, counts) in self.days.range(days) {
            sum.merge(counts);
        }
        sum
    }

    /// Adds the history of a partner that was merged into this one.
    fn merge(&mut self, from: Self) {
        for (kind, at) in from.first_events {
            self.add_change(kind, at);
        }
        self.first_call = earlier(self.first_call, from.first_call);
        self.first_sandbox = earlier(self.first_sandbox, from.first_sandbox);
        self.live = earlier(self.live, from.live);
        self.last_success = self.last_success.max(from.last_success);
        self.first_charge = earlier(self.first_charge, from.first_charge);
        for (month, usage) in from.usage {
            let sum = self.usage.entry(month).or_default();
            sum.calls += usage.calls;
            sum.successes += usage.successes;
        }
        merge_counts(&mut self.days, from.days);
        merge_counts(&mut self.endpoints, from.endpoints);
        for (credential, used) in from.credentials {
            let own = self.credentials.entry(credential);
            own.and_modify(|own| own.merge(&used)).or_insert(used);
        }
        self.named.merge(from.named);
        for (month, billing) in from.billing {
            let sum = self.billing.entry(month).or_default();
            sum.gross += billing.gross;
            sum.credited += billing.credited;
        }
        merge_sums(&mut self.metered, from.metered);
        merge_sums(&mut self.gross, from.gross);
        merge_sums(&mut self.kinds, from.kinds);
        merge_sums(&mut self.billed, from.billed);
        self.payments_failed.extend(from.payments_failed);
        self.payments_succeeded.extend(from.payments_succeeded);
        for (ticket, at) in from.tickets {
            self.add_ticket(&ticket, at);
        }
        self.throttled += from.throttled;
        self.retried_1s += from.retried_1s;
    }
}

fn merge_counts<K: Ord>(sums: &mut BTreeMap<K, CallCounts>, from: BTreeMap<K, CallCounts>) {
    for (key, counts) in from {
        sums.entry(key).or_default().merge(&counts);
    }
}

fn merge_sums<K: Ord, V: Default + std::ops::AddAssign>(
    sums: &mut BTreeMap<K, V>,
    from: BTreeMap<K, V>,
) {
    for (key, value) in from {
        *sums.entry(key).or_default() += value;
    }
}

fn merge_histories(
    sent: impl Iterator<Item = (String, History)>,
    merges: &Merges,
) -> BTreeMap<String, History> {
    let latest = merges.latest();
    let mut partners: BTreeMap<String, History> = BTreeMap::new();
    for (id, from) in sent {
        partners.entry(surviving_partner(&id, &latest).to_owned()).or_default().merge(from);
    }
    partners
}
