//! The contributions of signals to a score: a row per signal, with its points as a bar on the left
//! or right of a common zero line.

use domain::{Tier, format};
use maud::{Markup, html};

use crate::components::clipped_text;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, header_cell};
use crate::health_rows::{HealthRow, SignalRow};

/// Returns the table of signals, the largest contribution first.
pub(crate) fn section(page: &Page, row: &HealthRow) -> Markup {
    let mut section = Section::new("signals", "What makes the score", 8, "partner_signals");
    if row.signals.is_empty() {
        let reason = match row.tier {
            Tier::Churned => "Signals are not measured of a partner that has churned.",
            _ => "No signal has been measured: there is no production traffic to read.",
        };
        return page.section(&section, &empty_state(reason));
    }
    section.subtitle = html! { "Points are weight × (score − reference) / total weight" };
    let mut signals: Vec<&SignalRow> = row.signals.iter().collect();
    let size = |s: &SignalRow| s.contribution.map_or(-1.0, f64::abs);
    signals.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
    let points: Vec<f64> = signals.iter().map(|s| s.contribution.unwrap_or(0.0)).collect();
    let tenths = round_to_total(&points);
    let extent = BarExtent::of(&points);
    let body = html! {
        table.signals {
            thead { tr {
                (header_cell(Column::Text("Signal"))) (header_cell(Column::Text("What was seen")))
                th.num.wide-only scope="col" { "Weight" } (header_cell(Column::Number("Score"))) th.points scope="col" { "Points" span.wide-only { " against reference" } }
            } }
            tbody {
                @for (signal, tenths) in signals.iter().zip(&tenths) { (signal_row(signal, *tenths, extent)) }
                @if row.score.is_some() { (total_row(row, &tenths)) }
            }
        }
    };
    page.section(&section, &body)
}

/// The number of points that fit on either side of zero, and where the zero line stands.
#[derive(Debug, Clone, Copy, PartialEq)]
struct BarExtent {
    minus: f64,
    plus: f64,
    /// The CSS class that places the zero line.
    class: &'static str,
}

/// The places of the zero line, each as a share of the column with its CSS class.
const ZERO_LINES: [(f64, &str); 7] = [
    (0.25, "z25"),
    (0.3, "z30"),
    (0.4, "z40"),
    (0.5, "z50"),
    (0.6, "z60"),
    (0.7, "z70"),
    (0.75, "z75"),
];

impl BarExtent {
    /// Returns the extent of points, with the zero line where the longest bar is longest. Each side
    /// takes at least a quarter of the column, so that a number fits beside the zero line.
    fn of(points: &[f64]) -> Self {
        let furthest = |sign: f64| points.iter().map(|p| p * sign).fold(1e-9, f64::max);
        let (minus, plus) = (furthest(-1.0), furthest(1.0));
        let extent = |(zero, class): (f64, &'static str)| {
            let points = (minus / zero).max(plus / (1.0 - zero));
            Self { minus: points * zero, plus: points * (1.0 - zero), class }
        };
        let extents = ZERO_LINES.map(extent);
        let shortest = |a: &Self, b: &Self| (a.minus + a.plus).total_cmp(&(b.minus + b.plus));
        extents.into_iter().min_by(shortest).unwrap_or(extents[3])
    }
}

fn signal_row(signal: &SignalRow, tenths: i64, extent: BarExtent) -> Markup {
    let points = signal.contribution.unwrap_or(0.0);
    html! {
        tr {
            td { b { (format::capitalized(&signal.name.as_str().replace('_', " "))) } }
            td.why title=[clipped_text::tooltip(signal.reason.trim(), REASON_LENGTH)] { (reason(signal)) }
            td.num.wide-only { (format::decimal(signal.weight, 0)) }
            td.num { @match signal.score { Some(s) => b { (format::decimal(s, 0)) }, None => span.quiet { "unknown" } } }
            td.points {
                @if signal.contribution.is_some() {
                    span class={ "split " (extent.class) } {
                        span.minus { @if points < 0.0 {
                            span.n.bad { (tenths_text(tenths)) } (points_bar("negative", -points / extent.minus))
                        } }
                        span.plus { @if points >= 0.0 {
                            (points_bar("series", points / extent.plus)) span.n { (tenths_text(tenths)) }
                        } }
                    }
                } @else { span.quiet { "not counted" } }
            }
        }
    }
}

/// Returns a bar. Its side of the column leaves room for the number.
fn points_bar(class: &str, share: f64) -> Markup {
    let width = (share.clamp(0.0, 1.0) * 1000.0).round() / 10.0;
    html! { svg aria-hidden="true" class={ "fill " (class) } width={ (width) "%" } {} }
}

/// The length of the longest reason that fits the column, in characters.
const REASON_LENGTH: usize = 56;

fn reason(signal: &SignalRow) -> String {
    match (signal.reason.trim(), signal.score) {
        ("", None) => "Not measured".to_owned(),
        ("", Some(_)) => format::counted(signal.n, "observation"),
        (reason, _) => {
            format::keep_percent_together(&format::truncate_to_chars(reason, REASON_LENGTH))
        }
    }
}

fn total_row(row: &HealthRow, tenths: &[i64]) -> Markup {
    let sum: i64 = tenths.iter().sum();
    let score = row.score.unwrap_or(0.0);
    let reference = score - sum as f64 / 10.0;
    html! {
        tr.total {
            td { b { "Score" } }
            td { (format::decimal(reference, 1)) " reference, " (tenths_text(sum)) " points" }
            td.wide-only {}
            td.num { b { (format::decimal(score, 1)) } }
            td.points { b { (tenths_text(sum)) } }
        }
    }
}

fn tenths_text(tenths: i64) -> String {
    format::signed_decimal(tenths as f64 / 10.0, 1)
}

/// Rounds parts to tenths so that they add up to the rounded total: the parts with the largest
/// remainders are rounded up (the largest remainder method).
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
    fn rounded_parts_add_up() {
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
