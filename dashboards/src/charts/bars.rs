//! Stacked bars by period, with a part that hangs below zero.

use super::scale::{Scale, labelled, ticks};
use super::{Frame, spread};
use crate::canvas::{Anchor, Pen, draw, width_of};
use crate::roles::{GRID, INK, INK_2, INK_3, NEGATIVE, RETAINED_LINE, Role};

/// One layer of every bar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub word: &'static str,
    pub fill: Role,
    pub text: Role,
    /// An outline, for fills that are too light to stand alone.
    pub line: Option<Role>,
}

/// One period.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub label: String,
    /// Under the label: the year, or how much of the period has been seen.
    pub note: Option<String>,
    /// Heights of the layers, from zero upwards.
    pub parts: Vec<f64>,
    /// What hangs below zero, as a positive number.
    pub below: f64,
    /// Printed above the bar.
    pub value: String,
    pub complete: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Bars<'a> {
    pub bars: &'a [Bar],
    pub layers: &'a [Layer],
    pub below: Option<Layer>,
    pub axis: &'a dyn Fn(f64) -> String,
    pub below_label: &'a dyn Fn(f64) -> String,
    /// At least so much room on the left, for the row heads of a table under the chart.
    pub left: f64,
}

/// Between the axis and the first bar.
const GAP: f64 = 8.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 42.0;

struct Place<'a> {
    chart: Bars<'a>,
    y: Scale,
    plot: (f64, f64),
    foot: f64,
}

/// Draws the bars. Values are printed while there are at most a dozen.
pub(crate) fn bars(frame: &Frame, chart: Bars) -> String {
    let (width, height) = frame.size;
    let top = tallest(&chart);
    let low = chart.bars.iter().map(|bar| bar.below).fold(0.0, f64::max);
    let under = if low > 0.0 { 18.0 } else { 2.0 };
    let y = Scale::linear((-low, top), (height - BOTTOM - under, TOP));
    let place = Place { chart, y, plot: plot(width, &chart), foot: height - BOTTOM };
    draw(frame.size, frame.title, frame.desc, |pen| {
        place.grid(pen, top);
        for i in 0..chart.bars.len() {
            place.bar(pen, i);
        }
        pen.level(place.plot, y.px(0.0), INK);
        place.words(pen);
    })
}

/// Left and right end of the grid in a drawing of `width` px.
fn plot(width: f64, chart: &Bars) -> (f64, f64) {
    let words = chart.layers.iter().chain(chart.below.as_ref()).map(|l| width_of(l.word, true));
    let named = words.fold(0.0, f64::max);
    let right = if named > 0.0 { named + 12.0 } else { 8.0 };
    let left = super::axis_room(&ticks(tallest(chart)), chart.axis).max(chart.left);
    (left, width - right)
}

fn tallest(chart: &Bars) -> f64 {
    chart.bars.iter().map(|bar| bar.parts.iter().sum::<f64>()).fold(0.0, f64::max).max(1e-9)
}

/// Where a table under the chart must put its columns: px before the first bar's, and of each.
pub(crate) fn columns(width: f64, chart: &Bars) -> (f64, f64) {
    let (left, right) = plot(width, chart);
    (left + GAP, band((left, right), chart.bars.len()))
}

/// Few bars do not spread over the whole width.
fn band((left, right): (f64, f64), bars: usize) -> f64 {
    ((right - left - GAP) / bars.max(1) as f64).min(96.0)
}

impl Place<'_> {
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
                pen.level(self.plot, at, GRID);
            }
            pen.text((self.plot.0 - 10.0, at), &label, Anchor::End, INK_3);
        }
    }

    fn bar(&self, pen: &mut Pen, i: usize) {
        let bar = &self.chart.bars[i];
        let (left, width) = (self.left(i), self.bar_width());
        let centre = left + width / 2.0;
        let mut base = 0.0;
        for (part, layer) in bar.parts.iter().zip(self.chart.layers) {
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

    /// Words of the layers beside the last bar, at the middle of what they name.
    fn words(&self, pen: &mut Pen) {
        let Some(last) = self.chart.bars.last() else { return };
        let mut base = 0.0;
        let mut named: Vec<(&Layer, f64)> = Vec::new();
        for (part, layer) in last.parts.iter().zip(self.chart.layers) {
            named.push((layer, self.y.px(base + part / 2.0)));
            base += part;
        }
        if let Some(layer) = &self.chart.below {
            named.push((layer, self.y.px(-last.below / 2.0).max(self.y.px(0.0) + 9.0)));
        }
        let ys: Vec<f64> = named.iter().map(|(_, y)| *y).collect();
        let x = self.left(self.chart.bars.len() - 1) + self.bar_width() + 9.0;
        for ((layer, _), y) in named.iter().zip(spread(&ys, (TOP, self.foot))) {
            pen.bold((x, y), layer.word, Anchor::Start, layer.text);
        }
    }
}

/// A part of a bar: filled while its period is whole, hatched in a dashed outline while it runs.
fn segment(pen: &mut Pen, at: (f64, f64), size: (f64, f64), layer: &Layer, complete: bool) {
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

/// The layer below zero of growth charts.
pub(crate) const CHURNED_LAYER: Layer =
    Layer { word: "Churned", fill: NEGATIVE, text: crate::roles::BAD, line: None };
