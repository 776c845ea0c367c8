//! A stacked area chart of live partners by tier over time, with the worst tier at the bottom.

use chrono::NaiveDate;
use domain::{Tier, format};

use super::marks::PlacedMarks;
use super::scale::{Scale, labelled, ticks};
use super::{ChartFrame, spread};
use crate::charts::canvas::{Anchor, Pen, draw, width_of};
use crate::theme::{
    AT_RISK, AT_RISK_TEXT, ColourRole, GRID, HEALTHY, HEALTHY_AREA, HEALTHY_TEXT, INK, INK_2,
    INK_3, THIN, WATCH, WATCH_AREA, WATCH_TEXT,
};
use crate::{months, tiers};

/// The number of partners in each tier on one day, in the order of the layers: at risk, watch,
/// healthy, too little evidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TierCounts {
    pub date: NaiveDate,
    pub counts: [i64; 4],
}

/// Tier, fill (`None`: hatched), line and text colour of each layer, from the bottom.
const LAYERS: [(Tier, Option<ColourRole>, ColourRole, ColourRole); 4] = [
    (Tier::AtRisk, Some(AT_RISK), AT_RISK, AT_RISK_TEXT),
    (Tier::Watch, Some(WATCH_AREA), WATCH, WATCH_TEXT),
    (Tier::Healthy, Some(HEALTHY_AREA), HEALTHY, HEALTHY_TEXT),
    (Tier::InsufficientEvidence, None, THIN, INK_2),
];

const TOP: f64 = 14.0;
const BOTTOM: f64 = 26.0;

/// Draws the chart.
pub(crate) fn area_chart(frame: &ChartFrame, days: &[TierCounts]) -> String {
    let (width, height) = frame.size;
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return String::new() };
    let total = |day: &TierCounts| day.counts.iter().sum::<i64>() as f64;
    let top = days.iter().map(total).fold(1.0, f64::max);
    let foot = height - BOTTOM;
    let span = (last.date - first.date).num_days().max(1) as f64;
    let axis = |v: f64| format::thousands(v as i64);
    let left = super::axis_room(&ticks(top), &axis);
    let labels = labels(last);
    let right = labels.iter().map(|label| width_of(label, true)).fold(0.0, f64::max) + 12.0;
    let x = Scale::linear((0.0, span), (left, width - right));
    let at_day = |date: NaiveDate| x.px((date - first.date).num_days() as f64);
    let marks = PlacedMarks::new(frame, Some((first.date, last.date)), at_day);
    let y = Scale::linear((0.0, top), (foot, TOP + marks.room()));
    draw(frame.size, frame.title, &marks.described(frame.desc), |pen| {
        for (tick, label) in labelled(ticks(top), &axis) {
            if tick > 0.0 {
                pen.horizontal((left, width - right), y.px(tick), GRID);
            }
            pen.text((left - 8.0, y.px(tick)), &label, Anchor::End, INK_3);
        }
        for layer in 0..LAYERS.len() {
            draw_area(pen, days, layer, &|date| at_day(date), &y);
        }
        marks.draw(pen, foot, (left, width - right));
        pen.horizontal((left, width - right), y.px(0.0), INK);
        for date in labelled_months(first.date, last.date, &at_day) {
            pen.text((at_day(date), foot + 14.0), &format::date(date), Anchor::Middle, INK_3);
        }
        draw_labels(pen, (last, &labels), &y, (width - right + 10.0, foot));
    })
}

/// Returns the first days of months that have a label: as many as there is room for, counted back from
/// the newest.
fn labelled_months(
    first: NaiveDate,
    last: NaiveDate,
    at_day: &dyn Fn(NaiveDate) -> f64,
) -> Vec<NaiveDate> {
    const ROOM: f64 = 48.0;
    let mut placed: Vec<NaiveDate> = Vec::new();
    let mut month = months::month_start(last);
    while month >= first {
        let is_free = placed.last().is_none_or(|after| at_day(*after) - at_day(month) >= ROOM);
        if is_free {
            placed.push(month);
        }
        let Some(before) = month.pred_opt() else { break };
        month = months::month_start(before);
    }
    placed
}

/// Returns the number of partners in the lowest `layers` layers.
fn stacked(day: &TierCounts, layers: usize) -> f64 {
    day.counts.iter().take(layers).sum::<i64>() as f64
}

fn draw_area(
    pen: &mut Pen,
    days: &[TierCounts],
    layer: usize,
    x: &dyn Fn(NaiveDate) -> f64,
    y: &Scale,
) {
    let (_, fill, line, _) = LAYERS[layer];
    let edge = |n: usize| days.iter().map(move |d| (x(d.date), y.px(stacked(d, n))));
    let upper: Vec<(f64, f64)> = edge(layer + 1).collect();
    match fill {
        Some(fill) => {
            let lower: Vec<(f64, f64)> = edge(layer).collect();
            pen.polygon(
                &upper.iter().copied().chain(lower.into_iter().rev()).collect::<Vec<_>>(),
                fill,
            );
        }
        None => {
            let lower: Vec<(f64, f64)> = edge(layer).collect();
            let ends = (upper[0].0, upper[upper.len() - 1].0);
            let curves: (&dyn Fn(f64) -> f64, &dyn Fn(f64) -> f64) =
                (&|x| height_at(&upper, x), &|x| height_at(&lower, x));
            pen.hatch_between(ends, curves, (line, 6.0));
        }
    }
    pen.line(&upper, line, 1.0);
}

/// Returns the height of a polyline at `x`, by linear interpolation between its points.
fn height_at(points: &[(f64, f64)], x: f64) -> f64 {
    let after = points.partition_point(|p| p.0 < x).clamp(1, points.len().max(2) - 1);
    let ((x0, y0), (x1, y1)) = (points[after - 1], points[after.min(points.len() - 1)]);
    if x1 - x0 < 1e-9 { y0 } else { y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0) }
}

/// Returns the labels beside the layers, each with the number of partners on the last day.
fn labels(last: &TierCounts) -> [String; 4] {
    let label = |i: usize| {
        format!("{} {}", tiers::short_label(LAYERS[i].0), format::thousands(last.counts[i]))
    };
    [0, 1, 2, 3].map(label)
}

fn draw_labels(
    pen: &mut Pen,
    (last, labels): (&TierCounts, &[String; 4]),
    y: &Scale,
    (left, foot): (f64, f64),
) {
    let middle = |i: usize| y.px((stacked(last, i) + stacked(last, i + 1)) / 2.0);
    let ys: Vec<f64> = (0..LAYERS.len()).map(middle).collect();
    for (i, at) in spread(&ys, (TOP, foot)).into_iter().enumerate() {
        let (_, _, _, text) = LAYERS[i];
        pen.bold((left, at), &labels[i], Anchor::Start, text);
    }
}
