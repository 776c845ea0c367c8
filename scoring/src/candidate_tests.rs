//! Candidates without a weight change nothing: not the scores, not the tiers, not what is stored.

use domain::{Day, SignalName};
use polars::df;
use polars::prelude::DataFrame;

use crate::evaluation::{candidate_queries, candidate_queries_of, evaluation_queries};
use crate::explain::{DayInput, effective_weights};
use crate::output::ScoreOutput;
use crate::policy::Policy;
use crate::risk::{Calibration, LogisticModel, RiskModel, TrainedOn};
use crate::score::{ScoreInput, score};
use crate::score_history::ScoreHistory;
use crate::scored_partners::PartnerScore;
use crate::test_input::{DAY, day, id};
use crate::test_world::{ROWS, World, policy, world};

/// Days that are scored one after another: enough for a low signal to set a tier.
const DAYS: i32 = 12;

/// What is known of the candidates.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    /// Their queries were not run.
    Unasked,
    HeldBack,
    /// No partner has a row.
    NoRows,
    /// The first partner uses little, and its credentials and payments are bad; its peers are well.
    Bad,
}

/// Returns the frames of the candidates' queries with a row for each partner.
fn frames(day: Day) -> [(&'static str, DataFrame); 3] {
    let ids: Vec<String> = (0..ROWS).map(id).collect();
    let of = |first: i64, peers: i64| -> Vec<i64> {
        (0..ROWS).map(|row| if row == 0 { first } else { peers }).collect()
    };
    let keyed = |columns: DataFrame| {
        let keys = df!("day" => vec![day.0; ROWS], "partner_id" => ids.clone()).expect("keys");
        keys.hstack(columns.columns()).expect("columns of one length")
    };
    let exposure: Vec<f64> = of(99, 0).into_iter().map(|calls| calls as f64).collect();
    let open_days: Vec<Option<i64>> =
        of(60, 0).into_iter().map(|days| Some(days).filter(|days| *days > 0)).collect();
    let breadth = df!("calls" => of(99, 99), "products" => of(1, 4), "endpoints" => of(1, 20));
    let credentials = df!(
        "calls" => of(99, 99),
        "old_calls" => of(99, 0),
        "old_credentials" => of(1, 0),
        "oldest_days" => of(900, 90),
        "exposure" => exposure,
    );
    let payments = df!(
        "payments" => of(3, 3),
        "failed" => of(2, 0),
        "open" => of(2, 0),
        "open_days" => open_days,
    );
    [
        ("scoring_breadth", keyed(breadth.expect("columns"))),
        ("scoring_credentials", keyed(credentials.expect("columns"))),
        ("scoring_payments", keyed(payments.expect("columns"))),
    ]
}

/// Adds what is known of the candidates to the inputs of a day.
fn with_candidates(mut input: DayInput, known: Known) -> DayInput {
    for (name, frame) in frames(input.day) {
        if known == Known::Unasked {
            continue;
        }
        let rows = if known == Known::Bad { frame } else { frame.clear() };
        input.evaluation.frames.insert(name.to_owned(), rows);
        if known == Known::HeldBack {
            input.evaluation.held_back.insert(name.to_owned());
        }
    }
    input
}

/// A model that looks at errors alone, and may decide a tier.
fn risk_model() -> RiskModel {
    let model = LogisticModel {
        features: vec!["errors".to_owned()],
        mean: vec![50.0],
        scale: vec![25.0],
        coefficients: vec![-1.0],
        intercept: 0.5,
        ridge: 1.0,
        calibration: Calibration::None,
    };
    let trained_on =
        TrainedOn { rows: 0, leavers: 0, first_origin: String::new(), last_origin: String::new() };
    RiskModel { model, trained_on, tested: None }
}

/// Scores days on which the calls of the first partner fall, the last three without errors known.
fn scored(known: Known, policy: &Policy) -> Vec<ScoreOutput> {
    let mut history = ScoreHistory::default();
    let mut outputs = Vec::new();
    for plus in 0..DAYS {
        let world = World {
            own_calls: 95.0 - 15.0 * f64::from(plus.min(4)),
            has_errors: plus < DAYS - 3,
            ..world()
        };
        let mut input = with_candidates(world.input(plus), known).evaluation;
        input.risk = Some(risk_model());
        let overrides = df!(
            "partner_id" => Vec::<String>::new(),
            "tier" => Vec::<String>::new(),
            "at" => Vec::<i64>::new(),
            "end" => Vec::<i64>::new(),
        );
        let input = ScoreInput {
            evaluation: input,
            history: history.clone(),
            overrides: overrides.expect("a frame"),
            clock: None,
            risk_model: "a test".to_owned(),
        };
        let output = score(&input, policy).expect("scores");
        output.add_to(&mut history).expect("added");
        outputs.push(output);
    }
    outputs
}

/// Everything that is stored or shown of a day.
type Shown = (DataFrame, Vec<DataFrame>, Vec<PartnerScore>, Vec<(&'static str, Option<f64>)>);

fn shown(output: &ScoreOutput) -> Shown {
    let signals = output.signal_frames().map(|frame| frame.expect("a frame")).collect();
    let weights = effective_weights(output).expect("weights");
    (output.health.clone(), signals, output.partners.iter().collect(), weights)
}

#[test]
fn candidates_without_a_weight_change_nothing() {
    let without: Vec<Shown> = scored(Known::Unasked, &policy(&[])).iter().map(shown).collect();
    // The days are not all alike, or there would be nothing to change.
    let tiers = |day: usize| without[day].0.column("tier").expect("tiers").clone();
    assert!(tiers(0) != tiers(DAYS as usize - 1), "{:?}", without[DAYS as usize - 1].0);
    assert_eq!(without[0].1.len(), 10, "the signals of the policy");
    for known in [Known::HeldBack, Known::NoRows, Known::Bad] {
        for (day, output) in scored(known, &policy(&[])).iter().enumerate() {
            let (health, signals, partners, weights) = shown(output);
            assert!(health.equals_missing(&without[day].0), "{known:?}, day {day}: {health:?}");
            assert_eq!(signals.len(), without[day].1.len());
            for (found, expected) in signals.iter().zip(&without[day].1) {
                assert!(found.equals_missing(expected), "{known:?}, day {day}: {found:?}");
            }
            assert_eq!(partners, without[day].2, "{known:?}, day {day}");
            assert_eq!(weights, without[day].3, "{known:?}, day {day}");
        }
    }
}

#[test]
fn a_weight_makes_a_candidate_a_signal() {
    let weighed = policy(&[("\nbreadth = 0", "\nbreadth = 50")]);
    let outputs = scored(Known::Bad, &weighed);
    let partner = outputs[0].partners.find(&id(0)).expect("a partner");
    let breadth = partner.signal("breadth").expect("the signal");
    assert_eq!((breadth.applicable, breadth.weight), (true, 50.0));
    // (1/4 + 1/20) / 2
    assert!((breadth.score.expect("a score") - 15.0).abs() < 1e-9, "{breadth:?}");
    assert_eq!(partner.signal("payments"), None);
    assert_eq!(outputs[0].signal_frames().count(), 11);
    let before = scored(Known::Bad, &policy(&[]))[0].partners.find(&id(0)).expect("a partner");
    assert!(partner.score < before.score, "{:?}, {:?}", partner.score, before.score);
    // One whose query is held back is missing evidence, as any signal is.
    let missing = scored(Known::HeldBack, &weighed)[0].partners.find(&id(0)).expect("a partner");
    assert!(missing.coverage < before.coverage, "{}", missing.coverage);
}

#[test]
fn what_a_fit_looks_at_has_every_candidate() {
    let outputs = scored(Known::Bad, &policy(&[]));
    let payments = outputs[0].risk_features.column("payments").expect("a feature");
    assert_eq!((payments.get(0), payments.get(1)), (Some(0.0), Some(100.0)));
    let unasked = scored(Known::Unasked, &policy(&[]));
    let payments = unasked[0].risk_features.column("payments").expect("a feature");
    assert_eq!(payments.len(), payments.null_count());
}

#[test]
fn a_candidate_is_asked_for_where_it_counts() {
    let all = candidate_queries();
    assert_eq!(all.len(), frames(day(DAY)).len());
    assert!(all.is_disjoint(&evaluation_queries()));
    assert!(candidate_queries_of(&policy(&[]), None).is_empty());
    let weighed = policy(&[("\nbreadth = 0", "\nbreadth = 1")]);
    let asked = candidate_queries_of(&weighed, Some(&risk_model()));
    assert!(asked.into_iter().eq(["scoring_breadth"]));
    let mut model = risk_model();
    model.model.features = vec!["payments".to_owned(), "payments_available".to_owned()];
    let asked = candidate_queries_of(&policy(&[]), Some(&model));
    assert!(asked.into_iter().eq(["scoring_payments"]));
    assert!(!policy(&[]).has_signal(&SignalName::new("payments")));
}
