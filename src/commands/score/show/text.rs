//! The explanation of a score as text for people.

use std::borrow::Cow;

use domain::format::{plain_date_range, plain_percent_with_places};
use domain::{Tier, parse_instant, printable};
use scoring::explain::{add_up, score_sum};

use super::explanation::{Explanation, ShownSignal};
use super::records::CalmDays;
use super::since::{Change, GateChange, Split};
use crate::output::{print_line, print_table, print_verbatim};
use crate::table::Table;

/// Parts of a change that show nothing at one decimal place.
const SHOWN_POINTS: f64 = 0.05;

pub(super) fn print(explanation: &Explanation) -> anyhow::Result<()> {
    for line in head(explanation) {
        print_line(&printable(&line))?;
    }
    print_signals(explanation)?;
    print_list("Opportunities", explanation.opportunities.iter().map(|o| o.evidence.clone()))?;
    print_list(
        "Incidents of the last 90 days",
        explanation.incidents.iter().map(|incident| {
            let (first, last) = (&incident.first_day, &incident.last_day);
            let state = if incident.is_over { "" } else { ", not over yet" };
            format!("{first} to {last}{state}: {}", incident.sentence)
        }),
    )?;
    if let Some(change) = &explanation.change {
        print_change(change, explanation)?;
    }
    if !explanation.queries.is_empty() {
        print_line("\nThe events behind it:")?;
    }
    for query in &explanation.queries {
        print_line(&printable(&format!("# {}", query.of)))?;
        // It must run as it is printed.
        print_verbatim(&query.command)?;
    }
    Ok(())
}

fn print_list(title: &str, lines: impl Iterator<Item = String>) -> anyhow::Result<()> {
    for (n, line) in lines.enumerate() {
        if n == 0 {
            print_line(&format!("\n{title}:"))?;
        }
        print_line(&printable(&format!("  {line}")))?;
    }
    Ok(())
}

/// Returns the lines on tier, gate, score, risk, worth, judgement and days left out.
fn head(explanation: &Explanation) -> Vec<String> {
    let mut lines = vec![title(explanation)];
    if let Some(set) = &explanation.set {
        let until =
            set.until.as_deref().map_or_else(String::new, |until| format!(" until {until}"));
        lines.push(format!("Set by {} on {}{until}: {}", set.by, date(&set.at), set.reason));
        lines.push(format!("Computed: {}{}", words(explanation.computed_tier), since(explanation)));
    }
    if let Some(gate) = &explanation.gate {
        let or_before = if gate.may_be_older { " or before" } else { "" };
        let since = gate.since.as_deref().map(|day| format!(" since {day}{or_before}"));
        lines.push(format!(
            "Gate {}{}: {} at most",
            words(gate.name),
            since.unwrap_or_default(),
            words(gate.tier)
        ));
    }
    lines.push(explanation.top_reason.clone());
    lines.extend(evidence(explanation));
    if let Some(risk) = &explanation.risk {
        let model = risk.model.as_deref().map(|model| format!(" (by {model})"));
        let percent = plain_percent_with_places(risk.probability, 0);
        lines.push(format!("Risk of leaving {percent}{}", model.unwrap_or_default()));
    }
    if let Some((share, rank)) = explanation.impact_share.zip(explanation.impact_rank) {
        let share = plain_percent_with_places(share, 1);
        lines.push(format!("Share of gross {share}, rank {rank}"));
    }
    if let Some(judged) = &explanation.sentiment {
        let note = judged.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        let (by, at) = (&judged.by, date(&judged.at));
        lines.push(format!("Sentiment {} of 5 by {by} on {at}{note}", judged.sentiment));
    }
    if !explanation.calm_days.is_empty() {
        let days = explanation.calm_days.iter().map(|calm| calm_days(calm, explanation));
        lines.push(format!("Left out as calm: {}", days.collect::<Vec<_>>().join(", ")));
    }
    lines
}

/// Returns the first line: `p-000039: healthy since 2026-10-31, stage live, score 96 of 100`.
fn title(explanation: &Explanation) -> String {
    let mut text = format!("{}: {}", explanation.partner_id, words(explanation.tier));
    if explanation.set.is_none() {
        text.push_str(&since(explanation));
    }
    if explanation.tier != explanation.stage {
        text.push_str(&format!(", stage {}", explanation.stage));
    }
    match explanation.score {
        Some(score) if explanation.tier == Tier::Churned.name() => {
            text.push_str(&format!(", score {score:.0} on the day before"));
        }
        Some(score) => text.push_str(&format!(", score {score:.0} of 100")),
        None => text.push_str(", no score"),
    }
    text
}

fn since(explanation: &Explanation) -> String {
    explanation.tier_since.as_deref().map_or_else(String::new, |day| format!(" since {day}"))
}

/// Says how much of the evidence there is, where some is missing, and how it limits the score.
fn evidence(explanation: &Explanation) -> Option<String> {
    if explanation.coverage >= 1.0 || explanation.signals.is_empty() {
        return None;
    }
    let share = plain_percent_with_places(explanation.coverage, 0);
    let cap = explanation.cap.map(|cap| format!("; the score is {cap:.0} at most"));
    let cap = cap.unwrap_or_default();
    Some(format!("Evidence for {share} of the weight of the signals that apply{cap}"))
}

fn calm_days(calm: &CalmDays, explanation: &Explanation) -> String {
    let days = plain_date_range(calm.days.0, calm.days.1, explanation.day);
    let why = calm.annotation.as_deref().unwrap_or("few of its peers called");
    format!("{days} ({why})")
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// Returns the date of an instant.
fn date(instant: &str) -> Cow<'_, str> {
    match parse_instant(instant) {
        Some(micros) => Cow::Owned(domain::Day::of_micros(micros).to_string()),
        None => Cow::Borrowed(instant),
    }
}

/// Prints the signals, and below them how their points add up to the score.
fn print_signals(explanation: &Explanation) -> anyhow::Result<()> {
    let is_asked = |signal: &&ShownSignal| signal.applicable;
    let (asked, others): (Vec<_>, Vec<_>) = explanation.signals.iter().partition(is_asked);
    if !asked.is_empty() {
        print_line("")?;
        print_table(&signal_table(explanation))?;
    }
    if explanation.signals.is_empty() && explanation.stage == Tier::Churned.name() {
        print_line("Signals are not measured of a partner that has churned.")?;
    }
    if !others.is_empty() {
        let names: Vec<_> = others.iter().map(|signal| signal.signal.as_str()).collect();
        print_line(&format!("\nNot asked of this partner now: {}", names.join(", ")))?;
    }
    Ok(())
}

fn signal_table(explanation: &Explanation) -> Table {
    let header = ["signal", "weight", "effective", "score", "usual", "points", "what was seen"];
    let mut table = Table::new(header, &[1, 2, 3, 4, 5]);
    let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.1}"));
    let sum = score_sum(&explanation.score_of_partner).map(|sum| sum.rounded(1));
    for (n, signal) in explanation.signals.iter().enumerate() {
        if !signal.applicable {
            continue;
        }
        let points = sum.as_ref().and_then(|sum| sum.contributions.get(n).copied().flatten());
        table.row([
            signal.signal.clone(),
            format!("{}", (signal.weight * 10.0).round() / 10.0),
            signal.effective_weight.map_or_else(String::new, |w| format!("{w:.2}")),
            number(signal.score),
            number(signal.reference),
            points.map_or_else(String::new, |v| format!("{v:+.1}")),
            signal.reason.clone().unwrap_or_default(),
        ]);
    }
    let Some(sum) = sum else { return table };
    let mut total = |name: &str, points: String, what: &str| {
        table.row([name, "", "", "", "", &points, what].map(str::to_owned));
    };
    total("usual", format!("{:.1}", sum.reference), "The score if each signal were as usual");
    if sum.cap != 0.0 {
        total("cap", format!("{:+.1}", sum.cap), "Taken because evidence is missing");
    }
    total("score", format!("{:.1}", sum.score), "The sum of the points");
    table
}

/// Prints what made the score change.
fn print_change(change: &Change, explanation: &Explanation) -> anyhow::Result<()> {
    let mut text = format!("\nSince {}:", change.since);
    if let Some(split) = &change.split {
        let [then, now] = [split.score_then, split.score_now].map(round);
        text.push_str(&format!(" score {then:.1} → {now:.1}, {:+.1}", now - then));
    }
    match &change.computed_tier_then {
        Some(then) if then == explanation.computed_tier => {
            text.push_str(&format!(" (tier {} on both days)", words(then)));
        }
        Some(then) => text.push_str(&format!(
            " (tier {} → {})",
            words(then),
            words(explanation.computed_tier)
        )),
        None => {}
    }
    print_line(&text)?;
    if let Some(split) = &change.split {
        print_table(&split_table(split))?;
    }
    for line in change.not_split.iter().chain(&change.remark) {
        print_line(&printable(line))?;
    }
    for gate in &change.gates {
        print_line(&gate_change(gate))?;
    }
    Ok(())
}

fn split_table(split: &Split) -> Table {
    let parts = [
        ("own data", split.own_data, own_signals(split)),
        ("coverage and cap", split.coverage_and_cap, String::new()),
        ("peers", split.peers, String::new()),
        ("model of dormancy", split.model, String::new()),
        ("policy", split.policy, String::new()),
    ];
    let total = round(split.score_now) - round(split.score_then);
    let points = add_up(&parts.each_ref().map(|part| part.1), total, 1);
    let mut table = Table::new(["cause", "points", "of which"], &[1]);
    for ((cause, _, of_which), points) in parts.into_iter().zip(points) {
        table.row([cause.to_owned(), format!("{points:+.1}"), of_which]);
    }
    table.row(["sum".to_owned(), format!("{total:+.1}"), String::new()]);
    table
}

/// Returns the signals whose own data moved the score, the greatest part first.
fn own_signals(split: &Split) -> String {
    let mut moved: Vec<_> =
        split.signals.iter().filter(|part| part.points.abs() >= SHOWN_POINTS).collect();
    moved.sort_by(|a, b| b.points.abs().total_cmp(&a.points.abs()));
    let texts: Vec<String> = moved
        .iter()
        .map(|part| {
            let (name, points) = (&part.signal, part.points);
            format!("{name} {points:+.1} ({:.0} → {:.0})", part.score_then, part.score_now)
        })
        .collect();
    texts.join(", ")
}

fn gate_change(gate: &GateChange) -> String {
    let name = words(&gate.gate);
    match (&gate.came_on, &gate.went_on) {
        (Some(came), Some(went)) => format!("Gate {name} came on {came} and went on {went}"),
        (Some(came), None) => format!("Gate {name} came on {came}"),
        (None, Some(went)) => format!("Gate {name} went on {went}"),
        (None, None) => format!("Gate {name} is as it was"),
    }
}

/// Rounds to the decimal place that is shown.
fn round(points: f64) -> f64 {
    (points * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::super::since::SignalPart;
    use super::*;

    #[test]
    fn the_parts_of_a_change_add_up_as_printed() {
        let part = |signal: &str, points: f64| SignalPart {
            signal: signal.to_owned(),
            score_then: 100.0,
            score_now: 100.0 + points,
            points,
        };
        let split = Split {
            score_then: 90.04,
            score_now: 81.96,
            own_data: -8.14,
            coverage_and_cap: 0.0,
            peers: 0.03,
            model: 0.03,
            policy: 0.0,
            signals: vec![part("errors", -0.01), part("growth", -2.03), part("dormancy", -6.1)],
        };
        let expected = "\
cause              points  of which
────────────────── ─────── ──────────────────────────────────────────────
own data             -8.1  dormancy -6.1 (100 → 94), growth -2.0 (100 → 98)
coverage and cap     +0.0
peers                +0.1
model of dormancy    +0.0
policy               +0.0
sum                  -8.0
";
        let found = split_table(&split).text();
        assert_eq!(found.lines().count(), expected.lines().count());
        for (found, expected) in found.lines().zip(expected.lines()).skip(2) {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn gates_are_told_with_their_dates() {
        let check = |came: Option<&str>, went: Option<&str>, expected: &str| {
            let [came_on, went_on] = [came, went].map(|day| day.map(str::to_owned));
            let gate = GateChange { gate: "low_errors".to_owned(), came_on, went_on };
            assert_eq!(gate_change(&gate), expected);
        };
        let (first, second) = (Some("2026-11-02"), Some("2026-11-09"));
        check(first, None, "Gate low errors came on 2026-11-02");
        check(None, second, "Gate low errors went on 2026-11-09");
        let both = "Gate low errors came on 2026-11-02 and went on 2026-11-09";
        check(first, second, both);
    }
}
