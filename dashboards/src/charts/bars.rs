//! A stacked bar chart by period, with an optional layer below zero.

use chrono::NaiveDate;

use super::marks::PlacedMarks;
use super::scale::{Scale, labelled, ticks};
use super::{ChartFrame, spread, target_line};
use crate::charts::canvas::{Anchor, Pen, draw, width_of};
use crate::theme::{ColourRole, GRID, INK, INK_2, INK_3, NEGATIVE, RETAINED_LINE};

/// A layer of every bar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BarLayer {
    pub label: &'static str,
    pub fill: ColourRole,
    pub text: ColourRole,
    /// The outline of a fill that is too light without one.
    pub line: Option<ColourRole>,
}

/// The bar of one period.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// The first day of the period, and the first one after it.
    pub days: (NaiveDate, NaiveDate),
    pub label: String,
    /// The text under the label: the year, or how much of the period has passed.
    pub note: Option<String>,
    /// The value of each layer, from zero upwards.
    pub layer_values: Vec<f64>,
    /// The value of the layer below zero, as a positive number.
    pub below: f64,
    /// The text above the bar.
    pub value: String,
    pub complete: bool,
}

/// The bars of a chart, and how their values are written.
#[derive(Clone, Copy)]
pub(crate) struct BarChart<'a> {
    pub bars: &'a [Bar],
    pub layers: &'a [BarLayer],
    pub below: Option<BarLayer>,
    pub axis: &'a dyn Fn(f64) -> String,
    pub below_label: &'a dyn Fn(f64) -> String,
    /// The goal of the sum of the layers.
    pub target: Option<f64>,
    /// The least room on the left in px, for the headings of a table under the chart.
    pub left: f64,
}

/// The gap between the axis and the first bar in px.
const GAP: f64 = 8.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 42.0;

/// A chart with the places of its parts in px.
struct BarLayout<'a> {
    chart: BarChart<'a>,
    y: Scale,
    plot: (f64, f64),
    foot: f64,
}

/// Draws the chart. The value of a bar is written where it fits.
pub(crate) fn bar_chart(frame: &ChartFrame, chart: BarChart) -> String {
    let (width, height) = frame.size;
    let top = tallest(&chart);
    let low = chart.bars.iter().map(|bar| bar.below).fold(0.0, f64::max);
    let under = if low > 0.0 { 18.0 } else { 2.0 };
    let plot = plot(width, &chart);
    let marks = place_marks(frame, plot, chart.bars);
    let y = Scale::linear((-low, top), (height - BOTTOM - under, TOP + marks.room()));
    let layout = BarLayout { chart, y, plot, foot: height - BOTTOM };
    draw(frame.size, frame.title, &marks.described(frame.desc), |pen| {
        layout.grid(pen, top);
        marks.draw(pen, layout.foot, plot);
        for i in 0..chart.bars.len() {
            layout.bar(pen, i);
        }
        pen.horizontal(layout.plot, y.px(0.0), INK);
        if let Some(target) = chart.target {
            target_line(pen, layout.plot, y.px(target), &(chart.axis)(target));
        }
        layout.layer_labels(pen);
    })
}

/// Returns the left and right end of the grid in a drawing of `width` px.
fn plot(width: f64, chart: &BarChart) -> (f64, f64) {
    let widths = chart.layers.iter().chain(chart.below.as_ref()).map(|l| width_of(l.label, true));
    let widest = widths.fold(0.0, f64::max);
    let right = if widest > 0.0 { widest + 12.0 } else { 8.0 };
    let left = super::axis_room(&ticks(tallest(chart)), chart.axis).max(chart.left);
    (left, width - right)
}

fn place_marks<'a>(frame: &ChartFrame<'a>, plot: (f64, f64), bars: &[Bar]) -> PlacedMarks<'a> {
    let days = bars.first().zip(bars.last());
    let days = days.and_then(|(first, last)| Some((first.days.0, last.days.1.pred_opt()?)));
    PlacedMarks::new(frame, days, |date| {
        let i = bars.partition_point(|bar| bar.days.0 <= date).saturating_sub(1);
        let (from, to) = bars[i].days;
        let length = (to - from).num_days().max(1) as f64;
        let passed = ((date - from).num_days() as f64).clamp(0.0, length);
        plot.0 + GAP + band(plot, bars.len()) * (i as f64 + passed / length)
    })
}

fn tallest(chart: &BarChart) -> f64 {
    let least = chart.target.unwrap_or(0.0).max(1e-9);
    chart.bars.iter().map(|bar| bar.layer_values.iter().sum::<f64>()).fold(least, f64::max)
}

/// Returns the columns of a table under the chart in px: the room before the first bar, and the
/// width of each bar's column.
pub(crate) fn table_columns(width: f64, chart: &BarChart) -> (f64, f64) {
    let (left, right) = plot(width, chart);
    (left + GAP, band((left, right), chart.bars.len()))
}

/// Returns the width of each bar with the gap around it. A few bars do not fill the whole width.
fn band((left, right): (f64, f64), bars: usize) -> f64 {
    ((right - left - GAP) / bars.max(1) as f64).min(96.0)
}

impl BarLayout<'_> {
    fn band(&self) -> f64 {
        band(self.plot, self.chart.bars.len())
    }

    fn bar_width(&self) -> f64 {
        (self.band() * 0.62).min(42.0).round()
    }

    fn left(&self, i: usize) -> f64 {
        (self.plot.0 + GAP + self.band() * i as f64 + (self.band() - self.bar_width()) / 2.0)
            .round()
    }

    fn grid(&self, pen: &mut Pen, top: f64) {
        for (tick, label) in labelled(ticks(top), self.chart.axis) {
            let at = self.y.px(tick);
            if tick > 0.0 {
                pen.horizontal(self.plot, at, GRID);
            }
            pen.text((self.plot.0 - 10.0, at), &label, Anchor::End, INK_3);
        }
    }

    fn bar(&self, pen: &mut Pen, i: usize) {
        let bar = &self.chart.bars[i];
        let (left, width) = (self.left(i), self.bar_width());
        let centre = left + width / 2.0;
        let mut base = 0.0;
        for (part, layer) in bar.layer_values.iter().zip(self.chart.layers) {
            let (from, to) = (self.y.px(base), self.y.px(base + part));
            segment(pen, (left, to), (width, from - to), layer, bar.complete);
            base += part;
        }
        if let Some(layer) = self.chart.below.filter(|_| bar.below > 0.0) {
            let (from, to) = (self.y.px(0.0) + 1.0, self.y.px(-bar.below));
            segment(pen, (left, from), (width, (to - from).max(1.5)), &layer, bar.complete);
            let at = (centre, to + 10.0);
            pen.text(at, &(self.chart.below_label)(bar.below), Anchor::Middle, layer.text);
        }
        let fits = width_of(&bar.value, true) <= self.band() + 6.0;
        let at = (centre, self.y.px(base) - 11.0);
        if fits && bar.complete {
            pen.bold(at, &bar.value, Anchor::Middle, INK);
        } else if fits {
            pen.text(at, &bar.value, Anchor::Middle, INK_2);
        }
        pen.text((centre, self.foot + 12.0), &bar.label, Anchor::Middle, INK_2);
        if let Some(note) = &bar.note {
            pen.text((centre, self.foot + 28.0), note, Anchor::Middle, INK_3);
        }
    }

    /// Writes the labels of the layers beside the last bar, each at the middle of its layer. A layer
    /// that no bar has needs no label.
    fn layer_labels(&self, pen: &mut Pen) {
        let bars = self.chart.bars;
        let Some(last) = bars.last() else { return };
        let mut base = 0.0;
        let mut named: Vec<(&BarLayer, f64)> = Vec::new();
        for (i, (part, layer)) in last.layer_values.iter().zip(self.chart.layers).enumerate() {
            let is_drawn = |bar: &Bar| bar.layer_values.get(i).is_some_and(|part| *part > 0.0);
            if bars.iter().any(is_drawn) {
                named.push((layer, self.y.px(base + part / 2.0)));
            }
            base += part;
        }
        let has_below = bars.iter().any(|bar| bar.below > 0.0);
        if let Some(layer) = self.chart.below.as_ref().filter(|_| has_below) {
            named.push((layer, self.y.px(-last.below / 2.0).max(self.y.px(0.0) + 9.0)));
        }
        let ys: Vec<f64> = named.iter().map(|(_, y)| *y).collect();
        let x = self.left(self.chart.bars.len() - 1) + self.bar_width() + 9.0;
        for ((layer, _), y) in named.iter().zip(spread(&ys, (TOP, self.foot))) {
            pen.bold((x, y), layer.label, Anchor::Start, layer.text);
        }
    }
}

/// Draws one layer of a bar: filled if its period is complete, otherwise hatched with a dashed
/// outline.
fn segment(pen: &mut Pen, at: (f64, f64), size: (f64, f64), layer: &BarLayer, complete: bool) {
    if complete {
        pen.rect(at, size, layer.fill);
        if let Some(line) = layer.line {
            pen.frame(at, size, line);
        }
        return;
    }
    let stroke = layer.line.unwrap_or(layer.fill);
    pen.hatch(at, size, stroke, if stroke == RETAINED_LINE { 6.0 } else { 5.0 });
    pen.dashed_frame(at, size, stroke);
}

/// The layer below zero of growth charts: churned partners.
pub(crate) const CHURNED_LAYER: BarLayer =
    BarLayer { label: "Churned", fill: NEGATIVE, text: crate::theme::BAD, line: None };
