//! Small partners and frames for the tests of this crate, and measurements by one signal.

use domain::{Day, MICROS_PER_DAY, parse_instant};
use polars::df;
use polars::prelude::DataFrame;

use crate::dormancy::{BetaGeometric, DormancyModel, FittedModel};
use crate::frames::InputFrame;
use crate::partner_columns::PartnerColumns;
use crate::peers::Peers;
use crate::policy::{DEFAULT_POLICY, Policy};
use crate::sentences::Sentences;
use crate::signals::{Measured, Signal, SignalInput};

/// The day as of which the partners of these tests are evaluated.
pub(crate) const DAY: &str = "2026-09-15";

/// The shipped policy.
pub(crate) fn default_policy() -> Policy {
    Policy::parse(DEFAULT_POLICY).expect("the shipped policy")
}

pub(crate) fn day(text: &str) -> Day {
    text.parse().expect("a date")
}

pub(crate) fn at(text: &str) -> i64 {
    parse_instant(text).expect("an instant")
}

/// A partner as of [`DAY`].
#[derive(Debug, Clone, Default)]
pub(crate) struct TestPartner {
    pub segment: Option<&'static str>,
    pub registered_at: Option<i64>,
    pub live_at: Option<i64>,
    pub last_success: Option<Day>,
    pub quota_per_minute: Option<i64>,
    pub cadence: Option<f64>,
}

/// Returns a partner that went live so many days before [`DAY`], and called on the day before it.
pub(crate) fn live_for(days: f64) -> TestPartner {
    let now = day(DAY).start_micros();
    TestPartner {
        live_at: Some(now - (days * MICROS_PER_DAY as f64) as i64),
        last_success: Some(day(DAY).plus(-1)),
        ..TestPartner::default()
    }
}

/// Returns a partner that has been live for a year.
pub(crate) fn live() -> TestPartner {
    live_for(365.0)
}

/// Returns the id of the partner of a row, of up to a thousand rows.
pub(crate) fn id(row: usize) -> String {
    format!("p{row:03}")
}

/// Returns the partners' columns.
pub(crate) fn partner_columns(partners: &[TestPartner]) -> PartnerColumns {
    let instants = |of: fn(&TestPartner) -> Option<i64>| -> Vec<Option<i64>> {
        partners.iter().map(of).collect()
    };
    let mut frame = keys(partners.len());
    let columns = df!(
        "segment" => partners.iter().map(|p| p.segment).collect::<Vec<_>>(),
        "registered_at" => instants(|p| p.registered_at),
        "first_call_at" => instants(|p| p.live_at),
        "last_call_at" => instants(|p| p.last_success.map(Day::start_micros)),
        "live_at" => instants(|p| p.live_at),
        "last_success_date" => partners.iter().map(|p| p.last_success.map(|d| d.0)).collect::<Vec<_>>(),
        "quota_per_minute" => instants(|p| p.quota_per_minute),
    );
    frame.hstack_mut(columns.expect("columns").columns()).expect("columns of one length");
    let mut activity = keys(partners.len());
    let columns = df!(
        "cadence" => partners.iter().map(|p| p.cadence).collect::<Vec<_>>(),
        "churn_calm_days" => vec![0_i64; partners.len()],
    );
    activity.hstack_mut(columns.expect("columns").columns()).expect("columns of one length");
    let named = |name: &str, frame| InputFrame::new(name, frame);
    PartnerColumns::of(&named("scoring_partner", frame), &named("scoring_activity", activity))
        .expect("columns of partners")
}

/// Returns the day and the id of so many partners.
fn keys(rows: usize) -> DataFrame {
    let ids: Vec<String> = (0..rows).map(id).collect();
    df!("day" => vec![day(DAY).0; rows], "partner_id" => ids).expect("keys")
}

/// A dormancy model with the parameters of the paper's donations.
fn donations_model() -> DormancyModel {
    let parameters = BetaGeometric { alpha: 1.204, beta: 0.750, gamma: 0.657, delta: 2.783 };
    DormancyModel::BetaGeometric(FittedModel {
        parameters,
        log_likelihood: -33_225.6,
        partners: 11_104,
    })
}

/// What a signal says of partners: a row each.
pub(crate) struct Answers {
    measured: Measured,
    reasons: Sentences,
}

/// What a signal says of one partner.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub applies: bool,
    pub value: Option<f64>,
    pub score: Option<f64>,
    pub n: i64,
    pub weight_share: f64,
    pub reason: Option<String>,
}

impl Answers {
    /// Returns what a signal says of the partner of a row.
    pub(crate) fn of(&self, row: usize) -> Answer {
        let (measured, shares) = (&self.measured, &self.measured.weight_share);
        Answer {
            applies: measured.applies.get(row).expect("known whether it applies"),
            value: measured.value.get(row),
            score: measured.score.get(row),
            n: measured.n.get(row).unwrap_or(0),
            weight_share: shares.as_ref().map_or(1.0, |s| s.get(row).expect("a share")),
            reason: self.reasons.get(row).map(str::to_owned),
        }
    }
}

impl Answer {
    /// Checks score and sentence; no score means that the signal is not available.
    #[track_caller]
    pub(crate) fn check(&self, score: Option<f64>, reason: &str) {
        assert_eq!(self.reason.as_deref(), Some(reason));
        match (self.score, score) {
            (Some(found), Some(expected)) => {
                assert!((found - expected).abs() < 1e-6, "{reason}: {found}");
            }
            (found, expected) => assert_eq!(found, expected, "{reason}"),
        }
        assert!(self.applies, "{reason}");
        assert_eq!(self.value.is_some(), score.is_some(), "{reason}");
    }

    /// Checks that the signal does not apply, and says nothing.
    #[track_caller]
    pub(crate) fn check_not_applicable(&self) {
        let found = (self.applies, self.value, self.score, self.reason.as_deref());
        assert_eq!(found, (false, None, None, None));
    }
}

/// Measures partners by a signal. `rows` are the columns of the signal's query, a partner a row.
pub(crate) fn measure<S: Signal>(
    partners: &[TestPartner],
    rows: &DataFrame,
    parameters: &S::Parameters,
) -> Answers {
    measure_with_details::<S>(partners, rows, &[], parameters)
}

/// Measures partners by a signal where no dormancy model could be fitted.
pub(crate) fn measure_without_model<S: Signal>(
    partners: &[TestPartner],
    rows: &DataFrame,
    parameters: &S::Parameters,
) -> Answers {
    measure_from::<S>(partners, rows, &[], None, parameters)
}

/// Measures partners by a signal whose reasons read further frames.
pub(crate) fn measure_with_details<S: Signal>(
    partners: &[TestPartner],
    rows: &DataFrame,
    details: &[(&str, DataFrame)],
    parameters: &S::Parameters,
) -> Answers {
    measure_from::<S>(partners, rows, details, Some(&donations_model()), parameters)
}

fn measure_from<S: Signal>(
    partners: &[TestPartner],
    rows: &DataFrame,
    details: &[(&str, DataFrame)],
    dormancy: Option<&DormancyModel>,
    parameters: &S::Parameters,
) -> Answers {
    let mut frame = keys(partners.len());
    frame.hstack_mut(rows.columns()).expect("columns of one length");
    let rows = InputFrame::new(S::INPUT, frame);
    let partners = partner_columns(partners);
    let peers = Peers::of(partners.keys.days(), &partners.segment);
    let details = details
        .iter()
        .map(|(name, frame)| ((*name).to_owned(), InputFrame::new(name, frame.clone())));
    let input = SignalInput {
        rows: &rows,
        partners: &partners,
        peers: &peers,
        dormancy,
        details: &details.collect(),
    };
    let measured = S::measure(&input, parameters).expect("a measurement");
    let reasons = S::reasons(&input, &measured, parameters).expect("sentences");
    Answers { measured, reasons }
}
