//! Lines by period: one or two series, linear or logarithmic, the running period dashed.

use super::scale::{Scale, labelled, log_ticks, ticks};
use super::{Frame, spread};
use crate::canvas::{Anchor, Pen, draw, width_of};
use crate::roles::{GRID, INK, INK_2, INK_3, PAGE, Role};

/// One line. A `None` is a gap.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// At the end of the line; empty where the chart has one series.
    pub word: &'static str,
    pub values: Vec<Option<f64>>,
    pub role: Role,
    pub text: Role,
}

/// A period under the axis.
#[derive(Debug, Clone)]
pub(crate) struct Period {
    pub label: String,
    pub note: Option<String>,
    pub complete: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Lines<'a> {
    pub periods: &'a [Period],
    pub series: &'a [Series],
    pub axis: &'a dyn Fn(f64) -> String,
    pub value: &'a dyn Fn(f64) -> String,
    /// Powers of two instead of equal steps.
    pub log: bool,
    /// A sentence on the line at 1, for ratios.
    pub floor_note: Option<&'a str>,
}

const TOP: f64 = 26.0;
const BOTTOM: f64 = 42.0;

struct Place<'a> {
    chart: Lines<'a>,
    y: Scale,
    /// Left and right end of the grid.
    plot: (f64, f64),
    foot: f64,
}

pub(crate) fn lines(frame: &Frame, chart: Lines) -> String {
    let (width, height) = frame.size;
    let known = chart.series.iter().flat_map(|s| s.values.iter().flatten().copied());
    let (low, high) = known.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let named = chart.series.iter().map(|s| width_of(&end_word(&chart, s), true));
    let right = if chart.series.len() > 1 { named.fold(0.0, f64::max) } else { 26.0 };
    let foot = height - BOTTOM;
    let (marks, y) = if chart.log {
        let marks = log_ticks((low.clamp(0.5, 1.0), high.max(2.0)), 2.0);
        let ends = (marks[0].min(low.max(0.05)), marks[marks.len() - 1]);
        (marks, Scale::log(ends, (foot, TOP)))
    } else {
        let top = if high > 0.0 { high } else { 1.0 };
        (ticks(top), Scale::linear((0.0, top), (foot, TOP)))
    };
    let left = super::axis_room(&marks, chart.axis);
    let place = Place { chart, y, plot: (left, width - right), foot };
    draw(frame.size, frame.title, frame.desc, |pen| {
        place.grid(pen, &marks);
        for series in chart.series {
            place.series(pen, series);
        }
        place.words(pen);
    })
}

impl Place<'_> {
    fn x(&self, i: usize) -> f64 {
        let room = self.plot.1 - self.plot.0 - 28.0;
        let steps = self.chart.periods.len().saturating_sub(1).max(1) as f64;
        self.plot.0 + 14.0 + room * i as f64 / steps
    }

    fn grid(&self, pen: &mut Pen, marks: &[f64]) {
        // A long log axis keeps every second label.
        let every = if marks.len() > 7 { 2 } else { 1 };
        for (i, (mark, label)) in labelled(marks.to_vec(), self.chart.axis).iter().enumerate() {
            let at = self.y.px(*mark);
            let zero = if self.chart.log { *mark == 1.0 } else { *mark == 0.0 };
            pen.level(self.plot, at, if zero { INK } else { GRID });
            if i % every == 0 || zero {
                pen.text((self.plot.0 - 10.0, at), label, Anchor::End, INK_3);
            }
        }
        if let Some(note) = self.chart.floor_note.filter(|_| self.free_above_floor()) {
            pen.text((self.plot.0 + 6.0, self.y.px(1.0) - 10.0), note, Anchor::Start, INK_3);
        }
        let room = self.x(1) - self.x(0);
        let every = if room < 26.0 { 2 } else { 1 };
        let n = self.chart.periods.len();
        for (i, period) in self.chart.periods.iter().enumerate() {
            if (n - 1 - i).is_multiple_of(every) {
                pen.text((self.x(i), self.foot + 14.0), &period.label, Anchor::Middle, INK_2);
            }
            if let Some(note) = &period.note {
                pen.text((self.x(i), self.foot + 30.0), note, Anchor::Middle, INK_3);
            }
        }
    }

    /// A note on the line at 1 has room where no point or its label comes near.
    fn free_above_floor(&self) -> bool {
        let known = self.chart.series.iter().flat_map(|s| s.values.iter().flatten());
        let lowest = known.map(|v| self.y.px(*v)).fold(0.0, f64::max);
        self.y.px(1.0) - lowest > 36.0
    }

    fn series(&self, pen: &mut Pen, series: &Series) {
        let mut run: Vec<(f64, f64)> = Vec::new();
        for (i, value) in series.values.iter().enumerate() {
            let complete = self.chart.periods.get(i).is_none_or(|p| p.complete);
            let point = value.map(|v| (self.x(i), self.y.px(v)));
            match (point, complete) {
                (Some(at), true) => run.push(at),
                (Some(at), false) => {
                    let from = run.last().copied();
                    pen.line(&run, series.role, 1.75);
                    run.clear();
                    if let Some(from) = from {
                        pen.dashes(&[from, at], series.role, 1.75, (3.0, 3.0));
                    }
                }
                (None, _) => {
                    pen.line(&run, series.role, 1.75);
                    run.clear();
                }
            }
        }
        pen.line(&run, series.role, 1.75);
        for i in 0..series.values.len() {
            self.point(pen, series, i);
        }
    }

    /// A dot, and its value: above a peak, below a trough.
    fn point(&self, pen: &mut Pen, series: &Series, i: usize) {
        let Some(value) = series.values[i] else { return };
        let complete = self.chart.periods.get(i).is_none_or(|p| p.complete);
        let at = (self.x(i), self.y.px(value));
        if complete {
            pen.dot(at, 3.0, series.role);
        } else {
            pen.ring(at, 3.5, series.role, PAGE);
        }
        let text = (self.chart.value)(value);
        let room = self.x(1) - self.x(0);
        let single = self.chart.series.len() == 1;
        let last = i + 1 == series.values.len();
        // Of several lines each end is named with its value; of one every value is printed.
        if !single || (!last && width_of(&text, true) > room + 4.0) {
            return;
        }
        let near = |j: Option<usize>| j.and_then(|j| series.values.get(j).copied().flatten());
        let (before, after) = (near(i.checked_sub(1)), near(Some(i + 1)));
        let trough = before.is_none_or(|v| v > value) && after.is_none_or(|v| v > value);
        let falls = before.is_some_and(|v| v > value) && after.is_none();
        let below = (trough || falls) && at.1 + 22.0 < self.foot;
        let y = if below { at.1 + 13.0 } else { at.1 - 12.0 };
        // A steep line would run through its label: that moves to the outer side.
        let rise = |to: Option<f64>| to.map_or(0.0, |v| at.1 - self.y.px(v));
        let aside = if !below && rise(after) > 24.0 {
            -10.0
        } else if !below && rise(before) > 24.0 {
            10.0
        } else {
            0.0
        };
        if complete {
            pen.bold((at.0 + aside, y), &text, Anchor::Middle, INK);
        } else {
            pen.text((at.0 + aside, y), &text, Anchor::Middle, INK_2);
        }
    }

    fn words(&self, pen: &mut Pen) {
        let ends: Vec<(&Series, f64)> = self
            .chart
            .series
            .iter()
            .filter_map(|s| s.values.iter().rev().flatten().next().map(|v| (s, self.y.px(*v))))
            .collect();
        let ys: Vec<f64> = ends.iter().map(|(_, y)| *y).collect();
        for ((series, _), y) in ends.iter().zip(spread(&ys, (TOP, self.foot))) {
            if self.chart.series.len() > 1 {
                let at = (self.plot.1 - 5.0, y);
                pen.bold(at, &end_word(&self.chart, series), Anchor::Start, series.text);
            }
        }
    }
}

/// The word of a line with its last value.
fn end_word(chart: &Lines, series: &Series) -> String {
    let last = series.values.iter().rev().flatten().next();
    last.map_or_else(String::new, |v| format!("{} {}", series.word, (chart.value)(*v)))
}
