//! A line chart by period: one or two series, a linear or logarithmic axis. The line to an
//! incomplete period is dashed.

use chrono::NaiveDate;

use super::marks::PlacedMarks;
use super::scale::{Scale, labelled, log_ticks, ticks};
use super::{ChartFrame, spread, target_line};
use crate::charts::canvas::{Anchor, Pen, draw, width_of};
use crate::theme::{ColourRole, GRID, INK, INK_2, INK_3, PAGE};

/// One line. An unknown value is a gap.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// The label at the end of the line. It is empty in a chart of one series.
    pub label: &'static str,
    pub values: Vec<Option<f64>>,
    pub role: ColourRole,
    pub text: ColourRole,
}

/// A period on the axis.
#[derive(Debug, Clone)]
pub(crate) struct Period {
    /// The first day of the period, and the first one after it.
    pub days: (NaiveDate, NaiveDate),
    pub label: String,
    pub note: Option<String>,
    pub complete: bool,
}

/// The lines of a chart, and how their values are written.
#[derive(Clone, Copy)]
pub(crate) struct LineChart<'a> {
    pub periods: &'a [Period],
    pub series: &'a [Series],
    pub axis: &'a dyn Fn(f64) -> String,
    pub value: &'a dyn Fn(f64) -> String,
    /// Whether the axis is logarithmic, with a line at each power of two.
    pub log: bool,
    /// A sentence above the line at 1, for ratios.
    pub note_at_one: Option<&'a str>,
    /// The goal of the first series.
    pub target: Option<f64>,
}

const TOP: f64 = 26.0;
const BOTTOM: f64 = 42.0;

/// A chart with the places of its parts in px.
struct LineLayout<'a> {
    chart: LineChart<'a>,
    y: Scale,
    /// The left and right end of the grid.
    plot: (f64, f64),
    foot: f64,
}

/// Draws the chart.
pub(crate) fn line_chart(frame: &ChartFrame, chart: LineChart) -> String {
    let (width, height) = frame.size;
    let known = chart.series.iter().flat_map(|s| s.values.iter().flatten().copied());
    let (low, high) = known.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let named = chart.series.iter().map(|s| width_of(&end_label(&chart, s), true));
    let right = if chart.series.len() > 1 { named.fold(0.0, f64::max) } else { 26.0 };
    let foot = height - BOTTOM;
    let (grid, domain) = if chart.log {
        let grid = log_ticks((low.clamp(0.5, 1.0), high.max(2.0)), 2.0);
        let domain = (grid[0].min(low.max(0.05)), grid[grid.len() - 1]);
        (grid, domain)
    } else {
        let high = high.max(chart.target.unwrap_or(0.0));
        let top = if high > 0.0 { high } else { 1.0 };
        (ticks(top), (0.0, top))
    };
    let plot = (super::axis_room(&grid, chart.axis), width - right);
    let marks = place_marks(frame, plot, chart.periods);
    let ends = (foot, TOP + marks.room());
    let y = if chart.log { Scale::log(domain, ends) } else { Scale::linear(domain, ends) };
    let layout = LineLayout { chart, y, plot, foot };
    draw(frame.size, frame.title, &marks.described(frame.desc), |pen| {
        layout.grid(pen, &grid);
        marks.draw(pen, foot, plot);
        if let Some(target) = chart.target {
            target_line(pen, layout.plot, y.px(target), &(chart.value)(target));
        }
        for series in chart.series {
            layout.series(pen, series);
        }
        layout.end_labels(pen);
    })
}

/// Returns the distance of two points in px.
fn step((left, right): (f64, f64), periods: usize) -> f64 {
    (right - left - 28.0) / periods.saturating_sub(1).max(1) as f64
}

/// Places the marks: a period reaches half-way to the points beside its own.
fn place_marks<'a>(
    frame: &ChartFrame<'a>,
    plot: (f64, f64),
    periods: &[Period],
) -> PlacedMarks<'a> {
    let days = periods.first().zip(periods.last());
    let days = days.and_then(|(first, last)| Some((first.days.0, last.days.1.pred_opt()?)));
    PlacedMarks::new(frame, days, |date| {
        let i = periods.partition_point(|period| period.days.0 <= date).saturating_sub(1);
        let (from, to) = periods[i].days;
        let length = (to - from).num_days().max(1) as f64;
        let passed = ((date - from).num_days() as f64).clamp(0.0, length);
        let x = plot.0 + 14.0 + step(plot, periods.len()) * (i as f64 + passed / length - 0.5);
        x.clamp(plot.0, plot.1)
    })
}

impl LineLayout<'_> {
    fn x(&self, i: usize) -> f64 {
        self.plot.0 + 14.0 + step(self.plot, self.chart.periods.len()) * i as f64
    }

    fn grid(&self, pen: &mut Pen, ticks: &[f64]) {
        // A long logarithmic axis shows every second label only.
        let every = if ticks.len() > 7 { 2 } else { 1 };
        for (i, (mark, label)) in labelled(ticks.to_vec(), self.chart.axis).iter().enumerate() {
            let at = self.y.px(*mark);
            let zero = if self.chart.log { *mark == 1.0 } else { *mark == 0.0 };
            pen.horizontal(self.plot, at, if zero { INK } else { GRID });
            if i % every == 0 || zero {
                pen.text((self.plot.0 - 10.0, at), label, Anchor::End, INK_3);
            }
        }
        if let Some(note) = self.chart.note_at_one.filter(|_| self.has_room_above_one()) {
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

    /// Returns whether there is room for a note above the line at 1: no point or label is near it.
    fn has_room_above_one(&self) -> bool {
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

    /// Draws a point with its value, which stands above a peak and below a trough.
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
        // One line has its value at every point. Of several lines only the ends are labelled.
        if !single || (!last && width_of(&text, true) > room + 4.0) {
            return;
        }
        let near = |j: Option<usize>| j.and_then(|j| series.values.get(j).copied().flatten());
        let (before, after) = (near(i.checked_sub(1)), near(Some(i + 1)));
        let trough = before.is_none_or(|v| v > value) && after.is_none_or(|v| v > value);
        let falls = before.is_some_and(|v| v > value) && after.is_none();
        let below = (trough || falls) && at.1 + 22.0 < self.foot;
        let y = if below { at.1 + 13.0 } else { at.1 - 12.0 };
        // A steep line would cross its label, so the label moves to the outer side.
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

    fn end_labels(&self, pen: &mut Pen) {
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
                pen.bold(at, &end_label(&self.chart, series), Anchor::Start, series.text);
            }
        }
    }
}

/// Returns the label of a line with its last value.
fn end_label(chart: &LineChart, series: &Series) -> String {
    let last = series.values.iter().rev().flatten().next();
    last.map_or_else(String::new, |v| format!("{} {}", series.label, (chart.value)(*v)))
}
