//! Whole runs over small input frames: stages, scores, frozen scores, contributions, determinism.

use std::collections::BTreeMap;

use domain::{AsOf, Day, MICROS_PER_DAY};
use polars::df;
use polars::prelude::DataFrame;

use crate::test_input::{at, day, four_signal_policy};
use crate::{OnboardingStep, PartnerScore, ScoreError, ScoreInput, ScoreOutput, score};

const AS_OF: &str = "2026-09-15";

/// A partner of a test world: instants as text (empty: none) and calls by days before `AS_OF`.
#[derive(Clone)]
struct Actor {
    id: &'static str,
    segment: Option<&'static str>,
    registered: &'static str,
    first_call: &'static str,
    last_call: &'static str,
    live: &'static str,
    /// Production calls of the day that many days before the last one seen.
    calls: fn(i32) -> i64,
    /// Days counted the same way on which the error alarm rang.
    alarms: std::ops::Range<i32>,
}

fn actor(id: &'static str, live: &'static str, calls: fn(i32) -> i64) -> Actor {
    Actor {
        id,
        segment: Some("shops"),
        registered: "2026-01-01",
        first_call: live,
        last_call: live,
        live,
        calls,
        alarms: 0..0,
    }
}

/// The world's frames as of a day, all history included.
fn world(actors: &[Actor]) -> ScoreInput {
    let end = day(AS_OF);
    let instant = |text: &str| (!text.is_empty()).then(|| at(text));
    let calls_of = |a: &Actor| -> Vec<(i32, i64)> {
        let Some(live) = instant(a.live) else { return Vec::new() };
        let days = (Day::of_micros(live).0..end.0).map(|d| (d, (a.calls)(end.0 - 1 - d)));
        days.filter(|(_, calls)| *calls > 0).collect()
    };
    let last_success =
        |a: &Actor| calls_of(a).last().map(|(d, _)| Day(*d).start_micros() + MICROS_PER_DAY / 2);
    let column = |of: &dyn Fn(&Actor) -> Option<i64>| actors.iter().map(of).collect::<Vec<_>>();
    let partners = df!(
        "partner_id" => actors.iter().map(|a| a.id).collect::<Vec<_>>(),
        "segment" => actors.iter().map(|a| a.segment).collect::<Vec<_>>(),
        "registered_at" => column(&|a| instant(a.registered)),
        "first_call_at" => column(&|a| instant(a.first_call)),
        "last_call_at" => column(&|a| instant(a.last_call)),
        "live_at" => column(&|a| instant(a.live)),
        "last_success_at" => column(&last_success),
    );
    let daily: Vec<(&str, i32, i64)> =
        actors.iter().flat_map(|a| calls_of(a).into_iter().map(|(d, c)| (a.id, d, c))).collect();
    let counts = || daily.iter().map(|r| r.2).collect::<Vec<_>>();
    let trend: Vec<(&str, i32, i64, bool)> = actors
        .iter()
        .flat_map(|a| {
            calls_of(a).into_iter().map(|(d, c)| (a.id, d, c, a.alarms.contains(&(end.0 - 1 - d))))
        })
        .filter(|row| row.1 >= end.0 - 90)
        .collect();
    let rates = trend.iter().map(|r| Some(if r.3 { 0.026 } else { 0.008 }));
    ScoreInput {
        partners: partners.expect("partners"),
        daily: df!(
            "partner_id" => daily.iter().map(|r| r.0).collect::<Vec<_>>(),
            "event_date" => daily.iter().map(|r| r.1).collect::<Vec<_>>(),
            "calls" => counts(),
            "successes" => counts(),
        )
        .expect("daily"),
        metrics: BTreeMap::from([(
            "error_trend".to_owned(),
            df!(
                "partner_id" => trend.iter().map(|r| r.0).collect::<Vec<_>>(),
                "event_date" => trend.iter().map(|r| r.1).collect::<Vec<_>>(),
                "calls" => trend.iter().map(|r| r.2).collect::<Vec<_>>(),
                "client_error_rate" => rates.collect::<Vec<_>>(),
                "baseline_rate" => vec![Some(0.008); trend.len()],
                "alarm" => trend.iter().map(|r| r.3).collect::<Vec<_>>(),
            )
            .expect("errors"),
        )]),
        revenue: Some(revenue(&[("2026-08-01", "steady", 75.0), ("2026-08-01", "broken", 25.0)])),
        previous: None,
    }
}

fn revenue(rows: &[(&str, &str, f64)]) -> DataFrame {
    df!(
        "month" => rows.iter().map(|r| day(r.0).0).collect::<Vec<_>>(),
        "partner_id" => rows.iter().map(|r| r.1).collect::<Vec<_>>(),
        "gross" => rows.iter().map(|r| r.2).collect::<Vec<_>>(),
    )
    .expect("revenue")
}

fn run(input: &ScoreInput, as_of: &str) -> ScoreOutput {
    score(input, &four_signal_policy(), AsOf::of_day(day(as_of))).expect("a score")
}

fn partner<'a>(output: &'a ScoreOutput, id: &str) -> &'a PartnerScore {
    output.partners.iter().find(|p| p.partner_id == id).expect("the partner")
}

/// Partners of every kind, in no order of their ids.
fn actors() -> Vec<Actor> {
    vec![
        actor("steady", "2026-01-03", |_| 100),
        Actor {
            alarms: 0..9,
            ..actor("broken", "2026-01-03", |ago| if ago < 9 { 60 } else { 100 })
        },
        actor("fading", "2026-01-03", |ago| if ago < 24 { 0 } else { i64::from(ago) * 20 }),
        actor("gone", "2026-01-03", |ago| if ago < 40 { 0 } else { 100 }),
        actor("young", "2026-09-03", |_| 100),
        actor("month", "2026-08-18", |_| 100),
        actor("grown", "2026-07-14", |_| 100),
        Actor { registered: "", segment: None, ..actor("unasked", "2026-01-03", |_| 100) },
        Actor { live: "", first_call: "", last_call: "", ..actor("silent", "", |_| 0) },
        Actor { first_call: "", last_call: "2026-09-01", ..actor("failing", "", |_| 0) },
        Actor { first_call: "2026-03-01", last_call: "2026-09-01", ..actor("sandbox", "", |_| 0) },
        Actor { registered: "2026-09-10", ..actor("fresh", "", |_| 0) },
        Actor { registered: "", ..actor("ghost", "", |_| 0) },
    ]
}

#[test]
fn partners_of_every_kind() {
    #[track_caller]
    fn check(p: &PartnerScore, stage: &str, tier: &str, coverage: f64, reason: &str) {
        assert_eq!((p.stage.name(), p.tier.name()), (stage, tier), "{p:?}");
        assert!((p.coverage - coverage).abs() < 1e-12, "{}", p.coverage);
        assert_eq!(p.top_reason, reason);
        assert!(reason.chars().count() <= 56, "{reason}");
        let scored = ["healthy", "watch", "at_risk", "churned"].contains(&tier);
        assert_eq!(p.score.is_some(), scored, "{p:?}");
    }
    let output = run(&world(&actors()), AS_OF);
    let of = |id| partner(&output, id);
    check(of("steady"), "live", "healthy", 1.0, "Nothing stands out");
    check(of("broken"), "live", "watch", 1.0, "4xx tripled on 6 Sep: 0.8 % → 2.6 %");
    check(of("fading"), "live", "watch", 1.0, "Called on 4 of 28 expected days");
    check(of("gone"), "churned", "churned", 1.0, "No production success since 5 Aug");
    let thin = "insufficient_evidence";
    check(of("young"), "live", thin, 30.0 / 55.0, "Live for 12 days; a score needs 28");
    // Exactly 28 days: old enough, but without a weekday pattern or a trend.
    check(of("month"), "live", thin, 30.0 / 55.0, "A weekday pattern needs 42 days of traffic");
    // Nine weeks are enough for all signals; what costs points is that onboarding took so long.
    check(of("grown"), "live", "watch", 1.0, "Live 194 days after registration");
    check(of("unasked"), "live", "healthy", 1.0, "Nothing stands out");
    check(of("silent"), "stuck", "stuck", 10.0 / 30.0, "Registered for 257 days, no call yet");
    let reason = "Registered for 257 days, no call has succeeded";
    check(of("failing"), "stuck", "stuck", 10.0 / 30.0, reason);
    let reason = "In the sandbox for 198 days, not yet live";
    check(of("sandbox"), "stuck", "stuck", 10.0 / 30.0, reason);
    let reason = "Registered for 5 days, no call yet";
    check(of("fresh"), "onboarding", "onboarding", 10.0 / 30.0, reason);
    let reason = "Not registered, and no call has succeeded";
    check(of("ghost"), "onboarding", "onboarding", 0.0, reason);

    let stuck =
        ["silent", "failing", "sandbox"].map(|id| of(id).onboarding_step.map(OnboardingStep::name));
    assert_eq!(stuck, ["never_called", "failing", "sandbox"].map(Some));
    let impact = ["steady", "broken", "gone"].map(|id| (of(id).impact_share, of(id).impact_rank));
    assert_eq!(impact, [(Some(0.75), Some(1)), (Some(0.25), Some(2)), (Some(0.0), None)]);
}

#[test]
fn contributions_add_up_to_the_distance_from_the_reference() {
    let output = run(&world(&actors()), AS_OF);
    let mut explained = 0;
    for p in &output.partners {
        let sum: f64 = p.signals.iter().filter_map(|s| s.contribution).sum();
        let Some((mean, reference)) = p.mean.zip(p.reference) else {
            assert!(p.signals.iter().all(|s| s.contribution.is_none()), "{p:?}");
            continue;
        };
        assert!((sum - (mean - reference)).abs() < 1e-9, "{p:?}");
        explained += 1;
    }
    assert_eq!(explained, 5);
    // Errors 0 against a median of 100, weight 20 of 45.
    let errors = partner(&output, "broken").signal("errors").expect("errors").clone();
    assert_eq!((errors.value, errors.score, errors.reference), (Some(9.0), Some(0.0), Some(100.0)));
    assert_eq!(errors.contribution, Some(20.0 * -100.0 / 45.0));
}

#[test]
fn a_churned_partners_score_is_that_of_the_day_before() {
    let mut input = world(&actors());
    // Last success on 5 August at noon: churned from the midnight of 3 September on.
    let before = partner(&run(&input, "2026-09-02"), "gone").clone();
    assert_eq!(before.tier.name(), "watch");
    for as_of in ["2026-09-03", "2026-09-04", AS_OF] {
        let gone = partner(&run(&input, as_of), "gone").clone();
        assert_eq!((gone.stage.name(), gone.score), ("churned", before.score), "{as_of}");
        assert_eq!(gone.tier_since, Some(at("2026-09-03")));
    }
    // The stored score of the day before stands, and later the one frozen from it.
    for (stage, tier, stored_at) in
        [("live", "watch", "2026-09-02"), ("churned", "churned", "2026-09-14")]
    {
        input.previous = Some(previous("gone", stored_at, stage, tier, Some(33.0)));
        let gone = partner(&run(&input, AS_OF), "gone").clone();
        assert_eq!((gone.score, gone.coverage), (Some(33.0), 0.7), "{stage}");
    }
    // A row from long before does not count for the day before.
    input.previous = Some(previous("gone", "2026-05-01", "live", "healthy", Some(90.0)));
    assert_eq!(partner(&run(&input, AS_OF), "gone").score, before.score);
    // After 62 days the alarms of its last weeks are out of sight: only what was stored is left.
    input.previous = None;
    assert_eq!(partner(&run(&input, "2026-11-03"), "gone").score, before.score);
    assert_eq!(partner(&run(&input, "2026-11-04"), "gone").score, None);
    // Traffic that does not go back far enough gives no score rather than a wrong one.
    input.previous = None;
    let late = day("2026-06-01").0;
    let days = input.daily.column("event_date").expect("days").i32().expect("days");
    let recent = days.iter().map(|d| d.is_some_and(|d| d >= late)).collect();
    input.daily = input.daily.filter(&recent).expect("rows");
    assert_eq!(partner(&run(&input, AS_OF), "gone").score, None);
}

fn previous(id: &str, as_of: &str, stage: &str, tier: &str, score: Option<f64>) -> DataFrame {
    df!(
        "partner_id" => [id],
        "as_of" => [at(as_of)],
        "stage" => [stage],
        "tier" => [tier],
        "tier_since" => [Some(at("2026-02-02"))],
        "score" => [score],
        "coverage" => [0.7],
    )
    .expect("previous")
}

#[test]
fn a_tier_that_stays_keeps_its_date() {
    let mut input = world(&actors());
    let since = |input: &ScoreInput| partner(&run(input, AS_OF), "steady").tier_since;
    assert_eq!(since(&input), Some(at(AS_OF)));
    input.previous = Some(previous("steady", "2026-09-14", "live", "healthy", Some(90.0)));
    assert_eq!(since(&input), Some(at("2026-02-02")));
    input.previous = Some(previous("steady", "2026-09-14", "live", "watch", Some(70.0)));
    assert_eq!(since(&input), Some(at(AS_OF)));
    // What a later run stored is not known yet, nor is anything of a partner merged away.
    input.previous = Some(previous("steady", AS_OF, "live", "healthy", Some(90.0)));
    assert_eq!(since(&input), Some(at(AS_OF)));
    input.previous = Some(previous("merged-away", "2026-09-14", "live", "healthy", None));
    assert_eq!(since(&input), Some(at(AS_OF)));
}

#[test]
fn the_same_input_in_any_order_gives_the_same_rows() {
    let mut actors = actors();
    let first = run(&world(&actors), AS_OF);
    actors.reverse();
    let mut input = world(&actors);
    input.daily = input.daily.reverse();
    input.metrics.values_mut().for_each(|rows| *rows = rows.reverse());
    let second = run(&input, AS_OF);
    assert_eq!(first.partners, second.partners);
    assert!(first.health.equals_missing(&second.health));
    assert!(first.signals.equals_missing(&second.signals));
    let ids: Vec<_> = first.partners.iter().map(|p| p.partner_id.as_str()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn the_frames_have_the_columns_of_their_tables() {
    #[track_caller]
    fn check(frame: &DataFrame, columns: &str) {
        let names: Vec<&str> = frame.get_column_names().iter().map(|n| n.as_str()).collect();
        assert_eq!(names, columns.split_whitespace().collect::<Vec<_>>());
    }
    let output = run(&world(&actors()), AS_OF);
    check(
        &output.health,
        "as_of partner_id stage tier tier_since score coverage impact_share impact_rank top_reason \
         policy_version computed_tier override_until",
    );
    check(
        &output.signals,
        "as_of partner_id signal available value score reference contribution weight n reason",
    );
    assert_eq!(output.health.height(), output.partners.len());
    let scores = output.health.column("score").expect("score").f64().expect("f64");
    assert!(scores.iter().eq(output.partners.iter().map(|p| p.score)));
}

#[test]
fn a_signal_has_a_row_where_it_applies() {
    let output = run(&world(&actors()), AS_OF);
    let text = |column: &str| -> Vec<String> {
        let column = output.signals.column(column).expect("a column").str().expect("text");
        column.iter().flatten().map(str::to_owned).collect()
    };
    let available = output.signals.column("available").expect("a column").bool().expect("flags");
    let rows = text("partner_id").into_iter().zip(text("signal")).zip(available.iter().flatten());
    let rows: Vec<((String, String), bool)> = rows.collect();
    let of = |id: &str| -> Vec<(String, bool)> {
        let rows = rows.iter().filter(|((partner, _), _)| partner == id);
        rows.map(|((_, signal), available)| (signal.clone(), *available)).collect()
    };
    let row = |signal: &str, available| (signal.to_owned(), available);
    // Long live: onboarding counts no more. Young: too little for a weekday pattern and a trend.
    assert_eq!(of("steady"), [row("errors", true), row("steadiness", true), row("growth", true)]);
    let young = [("onboarding", true), ("errors", true), ("steadiness", false), ("growth", false)];
    assert_eq!(of("young"), young.map(|(signal, available)| row(signal, available)));
    assert_eq!(of("gone"), [], "nothing is measured of one that churned");
}

#[test]
fn an_empty_input_is_no_error() {
    let output = run(&world(&[]), AS_OF);
    assert_eq!((output.partners.len(), output.health.height(), output.signals.height()), (0, 0, 0));
}

#[test]
fn without_a_metric_its_signals_are_missing() {
    let mut input = world(&actors());
    let with = run(&input, AS_OF);
    input.metrics.clear();
    input.revenue = None;
    let without = run(&input, AS_OF);
    let errors = |output: &ScoreOutput, id: &str| {
        partner(output, id).signal("errors").cloned().expect("a signal")
    };
    assert!(errors(&with, "broken").score.is_some());
    let unknown = errors(&without, "broken");
    assert_eq!((unknown.score, unknown.applicable), (None, true));
    assert_eq!(unknown.reason.as_deref(), Some("Unknown: error_trend is held back"));
    assert!(partner(&without, "broken").coverage < partner(&with, "broken").coverage);
    assert!(without.partners.iter().all(|p| p.impact_share.is_none() && p.impact_rank.is_none()));
    // The others are as they were.
    assert_eq!(partner(&without, "steady").stage, partner(&with, "steady").stage);
    let others = |output: &ScoreOutput| -> Vec<Option<f64>> {
        let signals = &partner(output, "steady").signals;
        signals.iter().filter(|s| s.signal.as_str() != "errors").map(|s| s.score).collect()
    };
    assert_eq!(others(&without), others(&with));
    assert!(others(&without).iter().any(Option::is_some));
}

#[test]
fn an_error_names_frame_and_column() {
    #[track_caller]
    fn check(change: impl Fn(&mut ScoreInput), message: &str) {
        let mut input = world(&actors());
        change(&mut input);
        let error = score(&input, &four_signal_policy(), AsOf::of_day(day(AS_OF)));
        let error: ScoreError = error.expect_err(message);
        assert_eq!(error.to_string(), message);
    }
    check(
        |i| i.partners = i.partners.drop("live_at").expect("a frame"),
        "scoring input: the frame `partners` has no column `live_at`",
    );
    check(
        |i| i.revenue = df!("month" => ["x"], "partner_id" => ["x"], "gross" => [1.0]).ok(),
        "scoring input: `revenue.month` is str; it must be i32",
    );
    check(
        |i| {
            i.revenue = df!("month" => [1], "partner_id" => ["x"], "gross" => [None::<f64>]).ok();
        },
        "scoring input: `revenue.gross` is null in row 0",
    );
    check(
        |i| i.partners = i.partners.head(Some(3)),
        "scoring input: `daily` names the partner \"gone\", which is not in `partners`",
    );
    check(
        |i| i.partners = i.partners.vstack(&i.partners.head(Some(1))).expect("a frame"),
        "scoring input: `partners` has two rows for \"steady\"",
    );
}
