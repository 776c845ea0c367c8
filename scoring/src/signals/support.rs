//! Support: the tickets of a partner for each ten thousand calls, beside those of its segment.

use domain::counted;
use domain::format::multiple;
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers};
use crate::formulas::excess_score;
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// The calls that tickets are counted against.
const TEN_THOUSAND: f64 = 1e4;

/// The signal `support`: 100 · clip(1 − log2(ρ / seg) / 3, 0, 1) over 90 days,
/// ρ = (tickets + 5 · seg) / (calls / 10⁴ + 5), seg the tickets of the segment for each 10⁴ calls.
/// It applies from the first ticket.
///
/// Its value is ρ; its n is the number of tickets.
pub(crate) struct Support;

/// The table `[support]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Calls with the segment's tickets that are mixed into each partner's.
    mixed_calls: f64,
    /// Doublings of the segment's tickets at which the score is 0.
    doublings: f64,
}

impl Signal for Support {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_support";

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { mixed_calls: mixed, doublings } = *parameters;
        vec![
            value_check("support.mixed_calls", &mixed, "more than 0", is_positive(mixed)),
            value_check("support.doublings", &doublings, "more than 0", is_positive(doublings)),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let is_opened = input.rows.bool("has_ticket")?.iter();
        let applies = is_opened.map(|opened| Some(opened == Some(true))).collect();
        let Load { own, times_usual } = load(input, parameters)?;
        Ok(Measured {
            score: excess_score(&times_usual, parameters.doublings).only_where(&applies),
            value: own.only_where(&applies),
            n: input.rows.i64("tickets")?.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let Load { times_usual, .. } = load(input, parameters)?;
        Ok(measured.sentences(|row, value| {
            let Some(times) = value.and_then(|_| times_usual.get(row)) else {
                return "No calls of its peers to compare tickets with".to_owned();
            };
            let tickets = measured.n.get(row).unwrap_or_default();
            if tickets == 0 {
                return "No ticket in 90 days".to_owned();
            }
            let opened = format!("{} in 90 days", counted(tickets, "ticket"));
            // Below this a multiple does not read as one.
            if times >= 1.5 {
                return format!("{opened}, {} as many as usual", multiple(times));
            }
            format!("{opened}, usual for its calls")
        }))
    }
}

/// The tickets for each 10⁴ calls.
struct Load {
    /// ρ of each partner; NULL where no peer has calls.
    own: Numbers,
    /// ρ over that of the segment.
    times_usual: Numbers,
}

fn load(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Load, ScoreError> {
    let tickets = input.rows.count("tickets")?;
    let calls = input.rows.count("calls")?.map(|calls| calls / TEN_THOUSAND);
    let mixed = parameters.mixed_calls / TEN_THOUSAND;
    let is_live = &input.partners.is_live;
    let usual = input.peers.ratio(&tickets.only_where(is_live), &calls.only_where(is_live));
    let own = (&tickets + &(&usual * mixed)).over(&(&calls + mixed));
    // Where no live partner has a ticket, none is usual: any is too many.
    let times = |own: f64, usual: f64| if own > 0.0 { own / usual } else { 0.0 };
    Ok(Load { times_usual: own.zip(&usual, times), own })
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, TestPartner, default_policy, live, measure};

    /// One partner's row: tickets, calls, whether it ever opened a ticket.
    type Row = (i64, i64, bool);

    fn answers(rows: &[(TestPartner, Row)]) -> Vec<Answer> {
        let frame = df!(
            "tickets" => rows.iter().map(|r| r.1.0).collect::<Vec<_>>(),
            "calls" => rows.iter().map(|r| r.1.1).collect::<Vec<_>>(),
            "has_ticket" => rows.iter().map(|r| r.1.2).collect::<Vec<_>>(),
        );
        let partners: Vec<TestPartner> = rows.iter().map(|r| r.0.clone()).collect();
        let parameters = default_policy().signals.support;
        let found = measure::<Support>(&partners, &frame.expect("a frame"), &parameters);
        (0..rows.len()).map(|row| found.of(row)).collect()
    }

    #[test]
    fn tickets_beside_those_of_the_segment() {
        /// All partners together have 100 tickets in a million calls, one for each 10⁴.
        #[track_caller]
        fn check(tickets: i64, calls: i64, value: f64, score: f64, reason: &str) {
            let others = (live(), (100 - tickets, 1_000_000 - calls, true));
            let answer = &answers(&[(live(), (tickets, calls, true)), others])[0];
            answer.check(Some(score), reason);
            let found = answer.value.expect("a value");
            assert!((found - value).abs() < 1e-9, "{found}");
            assert_eq!(answer.n, tickets);
        }
        check(0, 50_000, 0.5, 100.0, "No ticket in 90 days");
        // (5 + 5) / (5 + 5)
        check(5, 50_000, 1.0, 100.0, "5 tickets in 90 days, usual for its calls");
        // (15 + 5) / (5 + 5)
        check(15, 50_000, 2.0, 200.0 / 3.0, "15 tickets in 90 days, twice as many as usual");
        check(75, 50_000, 8.0, 0.0, "75 tickets in 90 days, 8 times as many as usual");
        // A ticket of a partner with hardly any calls, or none at all, is no alarm: (1 + 5) / 5.
        let one = 100.0 * (1.0 - 1.2f64.log2() / 3.0);
        check(1, 0, 1.2, one, "1 ticket in 90 days, usual for its calls");
    }

    #[test]
    fn it_applies_from_the_first_ticket() {
        let churned = TestPartner { last_success: None, live_at: None, ..live() };
        let others = (live(), (0, 1_000_000, false));
        let found = answers(&[(live(), (0, 500, false)), others.clone()]);
        found[0].check_not_applicable();
        // Its ticket is older than 90 days, and nobody has had one since.
        answers(&[(live(), (0, 500, true)), others.clone()])[0]
            .check(Some(100.0), "No ticket in 90 days");
        // Nobody that is live has a ticket.
        let found = answers(&[(churned.clone(), (2, 500, true)), others]);
        found[0].check(Some(0.0), "2 tickets in 90 days, over 1,000 times as many as usual");
        let none = "No calls of its peers to compare tickets with";
        answers(&[(churned, (2, 0, true))])[0].check(None, none);
        answers(&[(live(), (2, 0, true))])[0].check(None, none);
    }
}
