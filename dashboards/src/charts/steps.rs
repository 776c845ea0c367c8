//! Shares that rise over time as steps: how many partners have reached something by which day. Only
//! some points of a curve are known; between them it stands at the last known one.

use domain::format;

use super::scale::Scale;
use super::{ChartFrame, spread};
use crate::charts::canvas::{Anchor, Pen, draw, width_of};
use crate::theme::{AXIS, ColourRole, GRID, INK, INK_2, INK_3, PAGE};

/// One curve.
#[derive(Debug, Clone)]
pub(crate) struct StepCurve {
    /// The label at the end of the curve.
    pub label: String,
    /// Days and shares in 0–1, both rising. The curve starts at 0 before the first of them.
    pub points: Vec<(f64, f64)>,
    pub role: ColourRole,
    pub text: ColourRole,
    /// The main curve is thicker, and its median is marked.
    pub is_main: bool,
    /// Whether some of its partners are still being observed: it ends with a hollow dot.
    pub is_maturing: bool,
}

/// The curves of a chart and their axis.
#[derive(Clone, Copy)]
pub(crate) struct StepChart<'a> {
    pub curves: &'a [StepCurve],
    /// The days with a tick; the last is the end of the axis.
    pub ticks: &'a [f64],
    pub axis_title: &'a str,
    /// The median of the main curve in days, and its label.
    pub median: Option<(f64, &'a str)>,
}

const LEFT: f64 = 50.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 42.0;

/// Draws the chart.
pub(crate) fn step_chart(frame: &ChartFrame, chart: StepChart) -> String {
    let (width, height) = frame.size;
    let widest = chart.curves.iter().map(|c| width_of(&c.label, true)).fold(0.0, f64::max);
    let end = chart.ticks.last().copied().unwrap_or(1.0);
    let foot = height - BOTTOM;
    let right = width - widest - 14.0;
    let x = Scale::linear((0.0, end), (LEFT, right));
    let y = Scale::linear((0.0, 1.0), (foot, TOP));
    draw(frame.size, frame.title, frame.desc, |pen| {
        for quarter in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let role = if quarter == 0.0 { INK } else { GRID };
            pen.horizontal((LEFT, right), y.px(quarter), role);
            pen.text((LEFT - 8.0, y.px(quarter)), &format::percent(quarter), Anchor::End, INK_3);
        }
        for tick in chart.ticks {
            let at = x.px(*tick);
            pen.line(&[(at, foot), (at, foot + 4.0)], AXIS, 1.0);
            pen.text((at, foot + 14.0), &format::decimal(*tick, 0), Anchor::Middle, INK_3);
        }
        pen.text((LEFT, foot + 32.0), chart.axis_title, Anchor::Start, INK_3);
        for curve in chart.curves.iter().rev() {
            draw_curve(pen, curve, (&x, &y));
        }
        if let Some((days, label)) = chart.median.filter(|(days, _)| *days <= end) {
            mark_median(pen, (x.px(days), y.px(0.5)), (foot, right), label);
        }
        label_ends(pen, chart.curves, &y, (foot, right));
    })
}

fn draw_curve(pen: &mut Pen, curve: &StepCurve, (x, y): (&Scale, &Scale)) {
    let mut path = vec![(x.px(0.0), y.px(0.0))];
    let mut level = 0.0;
    for (days, share) in &curve.points {
        path.push((x.px(*days), y.px(level)));
        path.push((x.px(*days), y.px(*share)));
        level = *share;
    }
    pen.line(&path, curve.role, if curve.is_main { 2.25 } else { 1.5 });
    let Some((last, known)) = curve.points.split_last() else { return };
    for (days, share) in known {
        pen.dot((x.px(*days), y.px(*share)), 2.5, curve.role);
    }
    let at = (x.px(last.0), y.px(last.1));
    if curve.is_maturing {
        pen.ring(at, 3.5, curve.role, PAGE);
    } else {
        pen.dot(at, 3.0, curve.role);
    }
}

/// Marks where half have got there, with dotted lines to both axes.
fn mark_median(pen: &mut Pen, at: (f64, f64), (foot, right): (f64, f64), label: &str) {
    pen.dashes(&[(LEFT, at.1), at], INK_2, 1.0, (1.0, 2.0));
    pen.dashes(&[at, (at.0, foot)], INK_2, 1.0, (1.0, 2.0));
    pen.ring(at, 4.0, INK, PAGE);
    let y = (at.1 + foot) / 2.0 + 20.0;
    // Near the right end the label moves back into the drawing.
    let x = (at.0 + 8.0).min(right - width_of(label, true)).max(LEFT + 4.0);
    pen.bold((x, y), label, Anchor::Start, INK);
}

fn label_ends(pen: &mut Pen, curves: &[StepCurve], y: &Scale, (foot, right): (f64, f64)) {
    let ends: Vec<(&StepCurve, f64)> = curves
        .iter()
        .filter_map(|curve| curve.points.last().map(|(_, share)| (curve, y.px(*share))))
        .collect();
    let ys: Vec<f64> = ends.iter().map(|(_, y)| *y).collect();
    for ((curve, _), y) in ends.iter().zip(spread(&ys, (TOP, foot))) {
        pen.bold((right + 10.0, y), &curve.label, Anchor::Start, curve.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{SERIES, SERIES_LABEL};

    #[test]
    fn a_curve_is_stepped_and_named() {
        let curve = StepCurve {
            label: "75 % All".to_owned(),
            points: vec![(1.0, 0.5), (30.0, 0.75)],
            role: SERIES,
            text: SERIES_LABEL,
            is_main: true,
            is_maturing: true,
        };
        let frame = ChartFrame { size: (358.0, 200.0), title: "Time", desc: "", marks: &[] };
        let curves = [curve];
        let chart = StepChart {
            curves: &curves,
            ticks: &[0.0, 30.0],
            axis_title: "days",
            median: Some((1.0, "Half within 1 day")),
        };
        let svg = step_chart(&frame, chart);
        assert!(svg.contains("75 % All") && svg.contains("Half within 1 day"));
        assert!(svg.contains("<polyline"), "{svg}");
    }
}
