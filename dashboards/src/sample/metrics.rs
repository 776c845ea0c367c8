//! The metrics of the sample programme, derived from its partners.

use chrono::{Days, NaiveDate};

use super::{SamplePartner, date, mix, months, ratio};
use crate::grain::Grain;
use crate::input::ReportInput;
use crate::metric_rows::{
    ActivationRow, CohortRetentionRow, FunnelRow, GrowthRow, OnboardingStepRow,
    RevenuePerPartnerRow, RevenueSummaryRow, SelfServiceRow, TimeToFirstCallRow,
    TimeToProductionRow,
};
use crate::months::{month_start, next_month};
use crate::revenue_rows::{
    FreeToPaidRow, RevenueBridgeRow, RevenueByKindRow, RevenueByProductRow, RevenuePeriodRow,
};

pub(super) fn registration_metrics(input: &mut ReportInput, partners: &[SamplePartner]) {
    let as_of = input.as_of;
    let cohorts = months(as_of).into_iter().map(Some).chain([None]);
    for cohort in cohorts {
        let of: Vec<&SamplePartner> = partners
            .iter()
            .filter(|l| cohort.is_none_or(|m| month_start(l.registered) == m))
            .collect();
        if of.is_empty() && cohort.is_some() {
            continue;
        }
        let count = |wanted: &dyn Fn(&SamplePartner) -> bool| {
            of.iter().filter(|l| wanted(l)).count() as i64
        };
        let registered = of.len() as i64;
        let sandbox = count(&|l| l.called_at(as_of).is_some());
        let production = count(&|l| l.live_at(as_of).is_some());
        let revenue = count(&|l| months(as_of).iter().any(|m| l.gross(*m, as_of) > 0.0));
        input.funnel.push(FunnelRow {
            cohort_month: cohort,
            registered,
            sandbox,
            production,
            revenue,
            sandbox_rate: ratio(sandbox, registered),
            production_rate: ratio(production, sandbox),
            revenue_rate: ratio(revenue, production),
            overall_rate: ratio(revenue, registered),
        });
        let mut delays: Vec<f64> = of
            .iter()
            .filter(|l| l.called_at(as_of).is_some())
            .filter_map(|l| l.first_call)
            .collect();
        delays.sort_by(f64::total_cmp);
        let within = |d: f64| {
            (registered > 0)
                .then(|| delays.iter().filter(|x| **x <= d).count() as f64 / registered as f64)
        };
        let quantile = |p: f64| {
            delays.get((p * registered as f64).ceil().max(1.0) as usize - 1).map(|d| d * 86_400.0)
        };
        input.time_to_first_call.push(TimeToFirstCallRow {
            cohort_month: cohort,
            partners: registered,
            reached: sandbox,
            median_seconds: quantile(0.5),
            p90_seconds: quantile(0.9),
            within_30m: within(30.0 / 1440.0),
            within_1d: within(1.0),
            within_7d: within(7.0),
            within_30d: within(30.0).filter(|_| cohort != Some(date("2026-09-01"))),
        });
        way_to_production(input, cohort, &of);
        onboarding(input, cohort, [registered, sandbox, production, revenue]);
        input.free_to_paid.push(FreeToPaidRow {
            cohort_month: cohort,
            partners: registered,
            paid: revenue,
            paid_rate: ratio(revenue, registered),
            median_seconds: (2 * revenue > registered).then_some(3_200_000.0),
            within_30d: ratio(revenue / 2, registered),
            within_90d: ratio(revenue, registered),
            unpaid_live: production - revenue,
            unpaid_calls: 1_200 * (production - revenue),
            unpaid_tickets: production - revenue,
        });
        let observed = count(&|l| l.registered + Days::new(30) <= as_of);
        let activated =
            count(&|l| l.registered + Days::new(30) <= as_of && l.live.is_some_and(|d| d <= 30));
        input.activation.push(ActivationRow {
            cohort_month: cohort,
            partners: registered,
            observed,
            activated,
            activation_rate: ratio(activated, observed),
            ever_activated: production,
            mature: observed == registered,
        });
    }
}

/// The nine steps between the stages of the funnel.
fn onboarding(input: &mut ReportInput, cohort: Option<NaiveDate>, stages: [i64; 4]) {
    let [registered, sandbox, production, revenue] = stages;
    let steps = [
        ("registered", registered),
        ("terms_signed", (registered + sandbox) / 2),
        ("sandbox_key_issued", sandbox),
        ("sandbox_success", sandbox),
        ("production_requested", (sandbox + production) / 2),
        ("production_approved", production),
        ("production_success", production),
        ("payment_method_added", (production + revenue) / 2),
        ("charge", revenue),
    ];
    let mut before = registered;
    for (i, (name, reached)) in steps.into_iter().enumerate() {
        let waiting = before - reached;
        input.onboarding_steps.push(OnboardingStepRow {
            cohort_month: cohort,
            step: i as i64 + 1,
            name: name.to_owned(),
            reached,
            median_seconds: (i < 8).then_some(40_000.0 * i as f64),
            step_median_seconds: (i < 8).then_some(40_000.0),
            waiting,
            median_waiting_days: (waiting > 0).then_some(12 + i as i64),
        });
        before = reached;
    }
}

/// The way to production, and who went it without a ticket.
fn way_to_production(input: &mut ReportInput, cohort: Option<NaiveDate>, of: &[&SamplePartner]) {
    let as_of = input.as_of;
    let registered = of.len() as i64;
    let mut days: Vec<u64> =
        of.iter().filter(|l| l.live_at(as_of).is_some()).filter_map(|l| l.live).collect();
    days.sort_unstable();
    let within = |most: u64| ratio(days.iter().filter(|d| **d <= most).count() as i64, registered);
    let quantile = |p: f64| {
        days.get((p * registered as f64).ceil().max(1.0) as usize - 1).map(|d| *d as f64 * 86_400.0)
    };
    let age = cohort.map_or(300, |month| (as_of - month).num_days());
    input.time_to_production.push(TimeToProductionRow {
        cohort_month: cohort,
        partners: registered,
        reached: days.len() as i64,
        median_seconds: quantile(0.5),
        p90_seconds: quantile(0.9),
        within_1d: within(1),
        within_7d: within(7),
        within_30d: within(30).filter(|_| age >= 30),
        within_90d: within(90).filter(|_| age >= 90),
    });
    let live = days.len() as i64;
    let touchless = of.iter().filter(|l| l.live_at(as_of).is_some() && mix(l.seed, 16) > 0.4);
    let touchless = touchless.count() as i64;
    if live > 0 {
        input.self_service.push(SelfServiceRow {
            cohort_month: cohort,
            live,
            touchless,
            touchless_rate: ratio(touchless, live),
            tickets_before_live: (live - touchless) * 2,
            median_days_to_live: days.get(days.len() / 2).map(|d| *d as i64),
        });
    }
}

pub(super) fn growth_metrics(input: &mut ReportInput, partners: &[SamplePartner]) {
    let as_of = input.as_of;
    let all = months(as_of);
    for (i, month) in all.iter().enumerate() {
        let now = |l: &&SamplePartner| l.active(*month, as_of);
        let prior = |l: &&SamplePartner| i > 0 && l.active(all[i - 1], as_of);
        let ever = |l: &&SamplePartner| all[..i].iter().any(|m| l.active(*m, as_of));
        let count = |wanted: &dyn Fn(&&SamplePartner) -> bool| {
            partners.iter().filter(|l| wanted(l)).count() as i64
        };
        let (active, before) = (count(&now), count(&prior));
        let new = count(&|l| now(l) && !ever(l));
        let retained = count(&|l| now(l) && prior(l));
        let (resurrected, churned) = (active - new - retained, before - retained);
        input.growth.push(GrowthRow {
            month: *month,
            active,
            new,
            retained,
            resurrected,
            churned,
            growth_rate: ratio(active - before, before),
            churn_rate: ratio(churned, before),
            quick_ratio: ratio(new + resurrected, churned),
            complete: next_month(*month) <= as_of,
        });
        for (since, later) in all[i..].iter().enumerate() {
            let of: Vec<&SamplePartner> = partners
                .iter()
                .filter(|l| l.live_at(as_of).map(month_start) == Some(*month))
                .collect();
            let active = of.iter().filter(|l| l.active(*later, as_of)).count() as i64;
            if of.is_empty() {
                continue;
            }
            input.cohort_retention.push(CohortRetentionRow {
                cohort_month: *month,
                months_since: since as i64,
                cohort_size: of.len() as i64,
                active,
                retention: ratio(active, of.len() as i64),
                churned: 0,
                calls: active * 1000,
                gross: of.iter().map(|l| l.gross(*later, as_of)).sum(),
                complete: next_month(*later) <= as_of,
            });
        }
    }
}

/// The bridge from the gross of a month to that of the next, by partner.
fn bridge(input: &mut ReportInput, partners: &[SamplePartner], month: NaiveDate) {
    let as_of = input.as_of;
    let before = month.checked_sub_months(chrono::Months::new(1)).expect("a month");
    let mut row = RevenueBridgeRow {
        month,
        start: 0.0,
        new: 0.0,
        reactivation: 0.0,
        expansion: 0.0,
        contraction: 0.0,
        churn: 0.0,
        end: 0.0,
        nrr: None,
        grr: None,
        complete: next_month(month) <= as_of,
    };
    for partner in partners {
        let (was, is) = (partner.gross(before, as_of), partner.gross(month, as_of));
        row.start += was;
        row.end += is;
        match (was > 0.0, is > 0.0) {
            (false, true) => row.new += is,
            (true, false) => row.churn += was,
            _ => {
                row.expansion += (is - was).max(0.0);
                row.contraction += (was - is).max(0.0);
            }
        }
    }
    let kept = row.start - row.contraction - row.churn;
    row.nrr = (row.start > 0.0).then(|| (kept + row.expansion) / row.start);
    row.grr = (row.start > 0.0).then(|| kept / row.start);
    if row.end > 0.0 {
        sources(input, month, row.end);
        input.revenue_bridge.push(row);
    }
}

/// The gross of a month by product and by kind.
fn sources(input: &mut ReportInput, month: NaiveDate, gross: f64) {
    for (product, share) in [(Some("payments"), 0.7), (Some("accounts"), 0.25), (None, 0.05)] {
        input.revenue_by_product.push(RevenueByProductRow {
            month,
            product: product.map(str::to_owned),
            gross: gross * share,
            net: gross * share * 0.98,
            paying_partners: 12,
        });
    }
    let kinds = [("usage", 0.8), ("subscription", 0.2), ("credit", 0.02)];
    for (kind, share) in kinds {
        input.revenue_by_kind.push(RevenueByKindRow {
            month,
            kind: kind.to_owned(),
            amount: gross * share,
            partners: 9,
            share: (kind != "credit").then_some(share),
        });
    }
}

pub(super) fn revenue_metrics(input: &mut ReportInput, partners: &[SamplePartner]) {
    let as_of = input.as_of;
    for month in months(as_of) {
        bridge(input, partners, month);
        let mut rows: Vec<(&SamplePartner, f64)> =
            partners.iter().map(|l| (l, l.gross(month, as_of))).filter(|(_, g)| *g > 0.0).collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        let gross: f64 = rows.iter().map(|(_, g)| g).sum();
        let share = |g: f64| (gross > 0.0).then(|| g / gross);
        let (mut credits, n) = (0.0, rows.len());
        for (i, (partner, amount)) in rows.iter().enumerate() {
            let credit = if mix(partner.seed, 11) < 0.2 { amount * 0.05 } else { 0.0 };
            credits += credit;
            input.revenue_per_partner.push(RevenuePerPartnerRow {
                month,
                partner_id: partner.id.clone(),
                gross: *amount,
                credits: credit,
                refunds: 0.0,
                net: amount - credit,
                share: share(*amount),
                rank: i as i64 + 1,
            });
        }
        let top: f64 = rows.iter().take(10).map(|(_, g)| g).sum();
        for grain in [Grain::Day, Grain::Week] {
            let start = grain.period(month).0;
            let row = RevenuePeriodRow { start, gross: gross / 4.0, net: (gross - credits) / 4.0 };
            match grain {
                Grain::Day => input.revenue_days.push(row),
                _ => input.revenue_weeks.push(row),
            }
        }
        input.revenue_summary.push(RevenueSummaryRow {
            month,
            gross,
            net: gross - credits,
            paying_partners: n as i64,
            mean_gross: (n > 0).then(|| gross / n as f64),
            median_gross: rows.get(n / 2).map(|r| r.1),
            top10_share: share(top),
            hhi: (gross > 0.0).then(|| rows.iter().map(|(_, g)| (g / gross).powi(2)).sum()),
            gini: (n > 0).then_some(0.62),
            complete: next_month(month) <= as_of,
        });
    }
}
