//! Live partners by tier over time, stacked, worst at the bottom.

use chrono::{Datelike, NaiveDate};

use super::scale::{Scale, labelled, ticks};
use super::{Frame, spread};
use crate::canvas::{Anchor, Pen, draw, width_of};
use crate::roles::{
    AT_RISK, AT_RISK_TEXT, GRID, HEALTHY, HEALTHY_AREA, HEALTHY_TEXT, INK, INK_2, INK_3, Role,
    THIN, WATCH, WATCH_AREA, WATCH_TEXT,
};
use crate::standing::Standing;
use crate::words;

/// Partners of one day: at risk, watch, healthy, too little evidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiers {
    pub date: NaiveDate,
    pub counts: [i64; 4],
}

/// Fill (hatched where `None`), line and text of each layer, from the bottom.
const LAYERS: [(Standing, Option<Role>, Role, Role); 4] = [
    (Standing::AtRisk, Some(AT_RISK), AT_RISK, AT_RISK_TEXT),
    (Standing::Watch, Some(WATCH_AREA), WATCH, WATCH_TEXT),
    (Standing::Healthy, Some(HEALTHY_AREA), HEALTHY, HEALTHY_TEXT),
    (Standing::Thin, None, THIN, INK_2),
];

const TOP: f64 = 14.0;
const BOTTOM: f64 = 26.0;

pub(crate) fn areas(frame: &Frame, days: &[Tiers]) -> String {
    let (width, height) = frame.size;
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return String::new() };
    let total = |day: &Tiers| day.counts.iter().sum::<i64>() as f64;
    let top = days.iter().map(total).fold(1.0, f64::max);
    let foot = height - BOTTOM;
    let y = Scale::linear((0.0, top), (foot, TOP));
    let span = (last.date - first.date).num_days().max(1) as f64;
    let axis = |v: f64| words::count(v as i64);
    let left = super::axis_room(&ticks(top), &axis);
    let labels = labels(last);
    let right = labels.iter().map(|label| width_of(label, true)).fold(0.0, f64::max) + 12.0;
    let x = Scale::linear((0.0, span), (left, width - right));
    let at_day = |date: NaiveDate| x.px((date - first.date).num_days() as f64);
    draw(frame.size, frame.title, frame.desc, |pen| {
        for (tick, label) in labelled(ticks(top), &axis) {
            if tick > 0.0 {
                pen.level((left, width - right), y.px(tick), GRID);
            }
            pen.text((left - 8.0, y.px(tick)), &label, Anchor::End, INK_3);
        }
        for layer in 0..LAYERS.len() {
            area(pen, days, layer, &|date| at_day(date), &y);
        }
        pen.level((left, width - right), y.px(0.0), INK);
        for date in days.iter().map(|d| d.date).filter(|d| d.day() == 1) {
            pen.text((at_day(date), foot + 14.0), &words::day(date), Anchor::Middle, INK_3);
        }
        names(pen, (last, &labels), &y, (width - right + 10.0, foot));
    })
}

/// Height of the stack up to and with `layer`.
fn stacked(day: &Tiers, layers: usize) -> f64 {
    day.counts.iter().take(layers).sum::<i64>() as f64
}

fn area(pen: &mut Pen, days: &[Tiers], layer: usize, x: &dyn Fn(NaiveDate) -> f64, y: &Scale) {
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

/// The height of a polyline at `x`, between its points by a straight line.
fn height_at(points: &[(f64, f64)], x: f64) -> f64 {
    let after = points.partition_point(|p| p.0 < x).clamp(1, points.len().max(2) - 1);
    let ((x0, y0), (x1, y1)) = (points[after - 1], points[after.min(points.len() - 1)]);
    if x1 - x0 < 1e-9 { y0 } else { y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0) }
}

/// What stands beside the layers: each with its partners of the last day.
fn labels(last: &Tiers) -> [String; 4] {
    let label = |i: usize| format!("{} {}", LAYERS[i].0.short(), words::count(last.counts[i]));
    [0, 1, 2, 3].map(label)
}

fn names(
    pen: &mut Pen,
    (last, labels): (&Tiers, &[String; 4]),
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
