//! What makes a score: a row a signal, its points left or right of one zero line, adding up.

use maud::{Markup, html};

use crate::page::{Page, Section, empty};
use crate::standing::{HealthRow, Signal, Standing};
use crate::table::{Column, head};
use crate::words;

/// The table of signals, largest effect first.
pub(crate) fn section(page: &Page, row: &HealthRow) -> Markup {
    let mut section = Section::new("signals", "What makes the score", 8, "partner_signals");
    if row.signals.is_empty() {
        let why = match row.standing() {
            Standing::Churned => "Signals are not measured of a partner that has churned.",
            _ => "No signal has been measured: there is no production traffic to read.",
        };
        return page.section(&section, &empty(why));
    }
    section.subtitle = html! { "Points are weight × (score − reference) / total weight" };
    let mut signals: Vec<&Signal> = row.signals.iter().collect();
    let size = |s: &Signal| s.contribution.map_or(-1.0, f64::abs);
    signals.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
    let points: Vec<f64> = signals.iter().map(|s| s.contribution.unwrap_or(0.0)).collect();
    let shown = round_to_total(&points);
    let reach = Reach::of(&points);
    let body = html! {
        table.signals {
            thead { tr {
                (head(Column::Text("Signal"))) (head(Column::Text("What was seen")))
                th.num.wide-only scope="col" { "Weight" } (head(Column::Number("Score"))) th.points scope="col" { "Points" span.wide-only { " against reference" } }
            } }
            tbody {
                @for (signal, points) in signals.iter().zip(&shown) { (line(signal, *points, reach)) }
                @if row.score.is_some() { (total(row, &shown)) }
            }
        }
    };
    page.section(&section, &body)
}

/// How far points reach on either side of zero; it sets where the zero line stands in the column.
#[derive(Clone, Copy)]
struct Reach {
    minus: f64,
    plus: f64,
}

impl Reach {
    /// Each side keeps a quarter of the column, so that a number fits beside the line.
    fn of(points: &[f64]) -> Self {
        let furthest = |sign: f64| points.iter().map(|p| p * sign).fold(0.0, f64::max);
        let least = points.iter().map(|p| p.abs()).fold(1e-9, f64::max) / 3.0;
        Self { minus: furthest(-1.0).max(least), plus: furthest(1.0).max(least) }
    }

    /// Grid columns of the two sides, in fractions.
    fn sides(self) -> String {
        format!("grid-template-columns:{:.3}fr {:.3}fr", self.minus, self.plus)
    }
}

fn line(signal: &Signal, tenths: i64, reach: Reach) -> Markup {
    let points = signal.contribution.unwrap_or(0.0);
    html! {
        tr {
            td { b { (words::capital(&signal.name.replace('_', " "))) } }
            td.why title=[words::cut(signal.reason.trim(), SEEN)] { (seen(signal)) }
            td.num.wide-only { (words::decimal(signal.weight, 0)) }
            td.num { @match signal.score { Some(s) => b { (words::decimal(s, 0)) }, None => span.quiet { "unknown" } } }
            td.points {
                @if signal.contribution.is_some() {
                    span.split style=(reach.sides()) {
                        span.minus { @if points < 0.0 {
                            span.n.bad { (tenths_text(tenths)) } (fill("negative", -points / reach.minus))
                        } }
                        span.plus { @if points >= 0.0 {
                            (fill("series", points / reach.plus)) span.n { (tenths_text(tenths)) }
                        } }
                    }
                } @else { span.quiet { "not counted" } }
            }
        }
    }
}

/// A bar that leaves room for its number.
fn fill(role: &str, share: f64) -> Markup {
    let width = (share.clamp(0.0, 1.0) * 1000.0).round() / 1000.0;
    html! { span class={ "fill " (role) } style={ "width:calc((100% - 44px)*" (width) ")" } {} }
}

/// Longest reason of a signal that fits its column.
const SEEN: usize = 56;

fn seen(signal: &Signal) -> String {
    match (signal.reason.trim(), signal.score) {
        ("", None) => "Not measured".to_owned(),
        ("", Some(_)) => words::counted(signal.n, "observation"),
        (reason, _) => words::clip(reason, SEEN),
    }
}

fn total(row: &HealthRow, tenths: &[i64]) -> Markup {
    let sum: i64 = tenths.iter().sum();
    let score = row.score.unwrap_or(0.0);
    let reference = score - sum as f64 / 10.0;
    html! {
        tr.total {
            td { b { "Score" } }
            td { (words::decimal(reference, 1)) " reference, " (tenths_text(sum)) " points" }
            td.wide-only {}
            td.num { b { (words::decimal(score, 1)) } }
            td.points { b { (tenths_text(sum)) } }
        }
    }
}

fn tenths_text(tenths: i64) -> String {
    words::signed_decimal(tenths as f64 / 10.0, 1)
}

/// Parts in tenths that add up to the rounded total: the largest remainders are rounded up.
fn round_to_total(parts: &[f64]) -> Vec<i64> {
    let total = (parts.iter().sum::<f64>() * 10.0).round() as i64;
    let mut rounded: Vec<i64> = parts.iter().map(|p| (p * 10.0).floor() as i64).collect();
    let missing = total - rounded.iter().sum::<i64>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let rest = |i: usize| parts[i] * 10.0 - (parts[i] * 10.0).floor();
    order.sort_by(|a, b| rest(*b).total_cmp(&rest(*a)).then(a.cmp(b)));
    for i in order.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        rounded[i] += 1;
    }
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_as_printed() {
        #[track_caller]
        fn check(parts: &[f64], expected: &[i64]) {
            assert_eq!(round_to_total(parts), expected);
        }
        check(&[-20.44, -7.03, -4.89], &[-205, -70, -49]);
        check(&[0.05, 0.05, 0.05], &[1, 1, 0]);
        check(&[], &[]);
        check(&[0.0, -0.04], &[0, 0]);
    }
}
