//! Tiers of partners that are built to collapse and of partners that are built to be calm: the first
//! are seen within the days of the gates' table, the others stay healthy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use domain::Day;

use crate::support::program::Project;
use crate::support::seeded_random::SeededRandom;

/// The first day of the partners that are calm for a year.
const FIRST: &str = "2025-01-15";
/// The first day of all others.
const FIRST_OF_OTHERS: &str = "2025-04-01";
/// The day on which partners begin to collapse.
const FALL: &str = "2025-09-01";
/// The days of the two runs. Each evaluates 120 days before its own; the second one begins while
/// gates that the first one stored hold.
const RUNS: [&str; 2] = ["2025-09-24", "2026-01-22"];
/// Evaluated days: 120 before the first run and its own, and those up to the second run.
const EVALUATED_DAYS: usize = 121 + 120;
/// A fortnight in which hardly anybody calls.
const CHRISTMAS: [&str; 2] = ["2025-12-20", "2026-01-02"];
/// A pause that one partner announced.
const PAUSE: [&str; 2] = ["2025-10-01", "2025-10-21"];
/// Evaluations for which a gate must hold.
const HELD: usize = 14;
const ORDINARY_PARTNERS: usize = 50;

/// How a partner calls.
#[derive(Clone, Copy)]
enum Calls {
    /// 40 a day, of which a percentage is lost within so many days from [`FALL`] on.
    Falling { lost: i32, within: i32 },
    /// So many a day, as even as whole numbers can be.
    Even(i32),
    /// As many tenths a day on average, at random.
    Random { tenths: u64, quiet: Option<[&'static str; 2]> },
    /// 60 every so many days, up to `shift` days early or late; also at Christmas.
    Visits { every: i32, shift: u64 },
}

/// The percentage of calls that fail from [`FALL`] on, and their status. Before, 1 % fail with 422.
type Failures = (usize, u16);
const FEW: Failures = (1, 422);

/// What the tiers of a partner must be.
enum Expected {
    /// Healthy on every evaluated day.
    Healthy,
    /// Healthy until [`FALL`], and in this tier by this gate so many days later.
    Reaches { tier: &'static str, gate: &'static str, by_day: i32 },
}

struct Case {
    id: &'static str,
    calls: Calls,
    failures: Failures,
    expected: Expected,
}

const fn falls(
    id: &'static str,
    lost: i32,
    within: i32,
    [tier, gate]: [&'static str; 2],
    by_day: i32,
) -> Case {
    let expected = Expected::Reaches { tier, gate, by_day };
    Case { id, calls: Calls::Falling { lost, within }, failures: FEW, expected }
}

const fn fails(
    id: &'static str,
    calls: i32,
    failures: Failures,
    [tier, gate]: [&'static str; 2],
    by_day: i32,
) -> Case {
    let expected = Expected::Reaches { tier, gate, by_day };
    Case { id, calls: Calls::Even(calls), failures, expected }
}

const fn stays_healthy(id: &'static str, calls: Calls) -> Case {
    Case { id, calls, failures: FEW, expected: Expected::Healthy }
}

const fn at_random(tenths: u64) -> Calls {
    Calls::Random { tenths, quiet: None }
}

const DECLINE: [&str; 2] = ["watch", "decline"];
const COLLAPSE: [&str; 2] = ["at_risk", "collapse"];
const DEAD: [&str; 2] = ["at_risk", "dead"];

const CASES: [Case; 23] = [
    falls("half-at-once", 50, 1, DECLINE, 10),
    falls("half-in-four-weeks", 50, 28, DECLINE, 25),
    falls("most-at-once", 70, 1, COLLAPSE, 14),
    falls("most-in-four-weeks", 70, 28, COLLAPSE, 40),
    falls("nearly-all-at-once", 90, 1, COLLAPSE, 11),
    falls("nearly-all-in-four-weeks", 90, 28, COLLAPSE, 30),
    fails("failing", 10, (100, 503), DEAD, 3),
    fails("dead-key", 10, (100, 401), DEAD, 3),
    fails("more-errors", 40, (9, 422), ["watch", "low_errors"], 33),
    // Charged on the fifth of each month up to August, so that September is its first month without.
    fails("unpaid", 10, FEW, ["watch", "revenue_gone"], 30),
    stays_healthy("three-a-day", at_random(30)),
    stays_healthy("five-a-day", at_random(50)),
    stays_healthy("one-in-two-days", at_random(5)),
    stays_healthy("weekly", Calls::Visits { every: 7, shift: 0 }),
    stays_healthy("about-weekly", Calls::Visits { every: 7, shift: 1 }),
    stays_healthy("about-every-twelve-days", Calls::Visits { every: 12, shift: 1 }),
    stays_healthy("fortnightly", Calls::Visits { every: 14, shift: 0 }),
    stays_healthy("about-fortnightly", Calls::Visits { every: 14, shift: 2 }),
    stays_healthy("monthly", Calls::Visits { every: 30, shift: 0 }),
    stays_healthy("about-monthly", Calls::Visits { every: 30, shift: 4 }),
    stays_healthy("on-holiday", Calls::Random { tenths: 60, quiet: Some(CHRISTMAS) }),
    stays_healthy("pausing", Calls::Random { tenths: 60, quiet: Some(PAUSE) }),
    stays_healthy("frequent", at_random(200)),
];

fn day(text: &str) -> Day {
    text.parse().expect("a date")
}

fn days(first: &str) -> impl Iterator<Item = Day> {
    (day(first).0..day(RUNS[1]).0).map(Day)
}

fn is_within(date: Day, [first, last]: [&str; 2]) -> bool {
    (day(first)..=day(last)).contains(&date)
}

/// The events of a portfolio as NDJSON.
#[derive(Default)]
struct Events {
    partners: usize,
    calls: String,
    registrations: String,
}

impl Events {
    /// Registers a partner in one of two segments on the day before its first one.
    fn register(&mut self, id: &str, first: &str) {
        let segment = ["shops", "banks"][self.partners % 2];
        let registered = day(first).plus(-1);
        writeln!(
            self.registrations,
            r#"{{"event_id":"r","partner_id":"{id}","occurred_at":"{registered}T08:00:00Z","type":"registered","segment":"{segment}","plan":"free"}}"#
        )
        .expect("a line");
        self.partners += 1;
    }

    /// Adds the calls of one day, every 30 seconds from 10:00 on.
    fn call(&mut self, id: &str, date: Day, statuses: impl Iterator<Item = u16>) {
        for (i, status) in statuses.enumerate() {
            let (hour, minute, second) = (10 + i / 120, i / 2 % 60, i % 2 * 30);
            writeln!(
                self.calls,
                r#"{{"event_id":"{date}-{i}","partner_id":"{id}","occurred_at":"{date}T{hour:02}:{minute:02}:{second:02}Z","status":{status}}}"#
            )
            .expect("a line");
        }
    }

    /// Adds a partner of which nothing is tested: from three to five calls a day.
    fn add_ordinary(&mut self, number: usize, random: &mut SeededRandom) {
        let id = format!("ordinary-{number}");
        self.register(&id, FIRST_OF_OTHERS);
        for date in days(FIRST_OF_OTHERS) {
            let calls = match is_within(date, CHRISTMAS) {
                true => u64::from(random.below(12) == 0),
                false => 3 + random.below(3),
            };
            self.call(&id, date, (0..calls).map(|_| 200));
        }
    }

    fn add(&mut self, case: &Case, random: &mut SeededRandom) {
        let first = match case.expected {
            Expected::Healthy => FIRST,
            Expected::Reaches { .. } => FIRST_OF_OTHERS,
        };
        self.register(case.id, first);
        let visits = visits(case.calls, random);
        let (mut started, mut failed) = (0, 0);
        for date in days(first) {
            let calls = match case.calls {
                Calls::Visits { .. } => 60 * usize::from(visits.contains(&date)),
                Calls::Random { tenths, quiet } => random_calls(
                    tenths,
                    quiet.is_some_and(|days| is_within(date, days)),
                    date,
                    random,
                ),
                Calls::Falling { .. } | Calls::Even(_) => {
                    started += hundredths(case.calls, date);
                    let whole = started / 100;
                    started %= 100;
                    whole
                }
            };
            let (percent, status) = if date < day(FALL) { FEW } else { case.failures };
            let statuses: Vec<u16> = (0..calls)
                .map(|_| {
                    failed += percent;
                    let fails = failed >= 100;
                    failed %= 100;
                    if fails { status } else { 200 }
                })
                .collect();
            self.call(case.id, date, statuses.into_iter());
        }
    }
}

/// Returns the days of visits.
fn visits(calls: Calls, random: &mut SeededRandom) -> BTreeSet<Day> {
    let Calls::Visits { every, shift } = calls else { return BTreeSet::new() };
    let mut shifted = |date: Day| date.plus(random.below(2 * shift + 1) as i32 - shift as i32);
    days(FIRST).step_by(every as usize).map(|date| shifted(date).max(day(FIRST))).collect()
}

/// Returns the calls of a day: each of many moments has the same small chance of one, at Christmas a
/// twentieth of it.
fn random_calls(tenths: u64, is_quiet: bool, date: Day, random: &mut SeededRandom) -> usize {
    const MOMENTS: u64 = 240;
    let scale = if is_within(date, CHRISTMAS) { 200 } else { 10 };
    if is_quiet {
        return 0;
    }
    (0..MOMENTS).filter(|_| random.below(MOMENTS * scale) < tenths).count()
}

/// Returns the calls of a day in hundredths of a call.
fn hundredths(calls: Calls, date: Day) -> usize {
    let since = (date.0 - day(FALL).0 + 1).max(0);
    let level = match calls {
        Calls::Falling { lost, within } => 40 * (100 - lost * since.min(within) / within),
        Calls::Even(calls) => 100 * calls,
        Calls::Random { .. } | Calls::Visits { .. } => 0,
    };
    let level = level as usize;
    if is_within(date, CHRISTMAS) { level / 20 } else { level }
}

fn charges() -> String {
    let charge = |month| {
        format!(
            r#"{{"event_id":"b{month}","partner_id":"unpaid","occurred_at":"2025-{month:02}-05T08:00:00Z","kind":"usage","amount_minor":10000,"currency":"USD"}}"#
        )
    };
    (4..=8).map(charge).collect::<Vec<_>>().join("\n")
}

fn scored_project() -> Project {
    let mut random = SeededRandom::from_seed(16);
    let mut events = Events::default();
    for number in 0..ORDINARY_PARTNERS {
        events.add_ordinary(number, &mut random);
    }
    for case in &CASES {
        events.add(case, &mut random);
    }
    let project = Project::new();
    for (stream, file, text) in [
        ("api-calls", "calls.ndjson", events.calls),
        ("partner-events", "events.ndjson", events.registrations),
        ("billing-events", "billing.ndjson", charges()),
    ] {
        project.write(file, text);
        project.run_ok(&["ingest", "load", "--stream", stream, "--arrival", RUNS[1], file]);
    }
    let pause = ["score", "annotate", "--partner", "pausing", "--from", PAUSE[0], "--to", PAUSE[1]];
    project.run_ok(&[&pause[..], &["--text", "A planned pause", "--by", "Ada"]].concat());
    for as_of in RUNS {
        project.run_ok(&["score", "run", "--as-of", as_of]);
    }
    project
}

/// A stored day of a partner.
#[derive(Debug)]
struct Evaluated {
    day: Day,
    tier: String,
    gate: String,
}

/// Returns the stored days of each partner in their order.
fn histories(project: &Project) -> BTreeMap<String, Vec<Evaluated>> {
    let rows = project.query_rows(
        "SELECT partner_id, CAST(as_of AS DATE) AS day, tier, gate FROM partner_health ORDER BY day",
    );
    let mut histories: BTreeMap<String, Vec<Evaluated>> = BTreeMap::new();
    for row in rows {
        let [id, date, tier, gate] = row.split(',').collect::<Vec<_>>()[..] else {
            panic!("four columns: {row}");
        };
        let evaluated = Evaluated { day: day(date), tier: tier.to_owned(), gate: gate.to_owned() };
        histories.entry(id.to_owned()).or_default().push(evaluated);
    }
    histories
}

/// Returns what is wrong with the tiers of a partner.
fn fault(case: &Case, history: &[Evaluated]) -> Option<String> {
    if history.len() != EVALUATED_DAYS {
        return Some(format!("{} days are stored", history.len()));
    }
    let Expected::Reaches { tier, gate, by_day } = case.expected else {
        let other = history.iter().find(|evaluated| evaluated.tier != "healthy");
        return other.map(|evaluated| format!("{evaluated:?}"));
    };
    let fall = day(FALL);
    let early = history.iter().find(|e| e.day <= fall && e.tier != "healthy");
    if let Some(evaluated) = early {
        return Some(format!("before the fall: {evaluated:?}"));
    }
    let Some(first) = history.iter().position(|evaluated| evaluated.tier == tier) else {
        return Some(format!("never {tier}"));
    };
    let mut held = history.iter().skip(first).take(HELD);
    let lost = held.find(|e| e.tier != tier || e.gate != gate);
    if let Some(evaluated) = lost {
        return Some(format!("{tier} from {}, but then {evaluated:?}", history[first].day));
    }
    let days = history[first].day.0 - fall.0;
    (days > by_day).then(|| format!("{tier} on day {days}, expected by day {by_day}"))
}

#[test]
fn collapsing_partners_are_seen_in_time_and_calm_ones_stay_healthy() {
    let project = scored_project();
    let histories = histories(&project);
    let faults: Vec<String> = CASES
        .iter()
        .filter_map(|case| {
            fault(case, &histories[case.id]).map(|fault| format!("{}: {fault}", case.id))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let reason = "SELECT DISTINCT top_reason FROM partner_health
         WHERE partner_id = 'dead-key' AND as_of = '2025-09-04'";
    let reason = project.query_rows(reason);
    assert!(reason[0].contains("with 401: a dead credential"), "{reason:?}");
}
