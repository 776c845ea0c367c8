//! Charts. Each is a pure function from numbers to an SVG string.
//!
//! - `canvas`: the drawing surface, the only home of plotters
//! - `marks`: annotations on charts of time
//! - `scale`: from values to pixels, and the grid lines of an axis
//! - `bars`: stacked bars by period
//! - `lines`: lines by period
//! - `areas`: partners by tier over time
//! - `trend`: one value per day, week or month
//! - `score`: a health score over time
//! - `spark`: sparklines
//! - `curve`: the concentration curve
//! - `heatmap`: retention by cohort
//! - `steps`: shares that rise over time as steps
//! - `dots`: a median and a percentile in a table cell

pub(crate) mod areas;
pub(crate) mod bars;
pub(crate) mod canvas;
pub(crate) mod curve;
pub(crate) mod dots;
pub(crate) mod heatmap;
pub(crate) mod lines;
pub(crate) mod marks;
pub(crate) mod scale;
pub(crate) mod score;
pub(crate) mod spark;
pub(crate) mod steps;
pub(crate) mod trend;

use crate::theme::INK_2;

/// The width of a drawing for phones in px.
pub(crate) const NARROW: f64 = 358.0;
/// The number of periods in a drawing for phones.
pub(crate) const NARROW_PERIODS: usize = 6;

/// The number of periods in a wide drawing. Earlier ones are in the table.
pub(crate) const WIDE_PERIODS: usize = 12;

/// The size of a chart, and its description for screen readers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChartFrame<'a> {
    /// The size in px.
    pub size: (f64, f64),
    pub title: &'a str,
    /// What the chart shows, in words.
    pub desc: &'a str,
    /// The annotations of the page. A chart draws those that fall into its days.
    pub marks: &'a [marks::Mark],
}

/// Returns the last `n` items of a slice.
pub(crate) fn last<T>(items: &[T], n: usize) -> &[T] {
    &items[items.len().saturating_sub(n)..]
}

/// Returns the room that the labels of an axis take on the left of a chart, in px.
pub(crate) fn axis_room(marks: &[f64], axis: &dyn Fn(f64) -> String) -> f64 {
    let widest = marks.iter().map(|m| canvas::width_of(&axis(*m), false));
    widest.fold(0.0, f64::max).max(22.0) + 12.0
}

/// Moves labels at `ys` at least 14 px apart. They keep their order and stay within the bounds.
pub(crate) fn spread(ys: &[f64], bounds: (f64, f64)) -> Vec<f64> {
    spread_by(ys, bounds, 14.0)
}

/// Moves labels along one axis at least `gap` px apart, as [`spread`] does.
fn spread_by(places: &[f64], (first, last): (f64, f64), gap: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
    let mut placed = places.to_vec();
    let mut free = first;
    for i in &order {
        placed[*i] = placed[*i].max(free);
        free = placed[*i] + gap;
    }
    let mut free = last;
    for i in order.iter().rev() {
        placed[*i] = placed[*i].min(free);
        free = placed[*i] - gap;
    }
    placed
}

/// Draws the line of a goal, named at its right end.
pub(crate) fn target_line(pen: &mut canvas::Pen, plot: (f64, f64), y: f64, value: &str) {
    pen.dashes(&[(plot.0, y), (plot.1, y)], INK_2, 1.0, (3.0, 2.0));
    let label = format!("Target {value}");
    pen.text((plot.1, y - 8.0), &label, canvas::Anchor::End, INK_2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_moved_apart() {
        #[track_caller]
        fn check(ys: &[f64], expected: &[f64]) {
            assert_eq!(spread(ys, (0.0, 100.0)), expected);
        }
        check(&[10.0, 50.0], &[10.0, 50.0]);
        check(&[10.0, 12.0], &[10.0, 24.0]);
        check(&[99.0, 98.0], &[100.0, 86.0]);
        check(&[], &[]);
    }
}
