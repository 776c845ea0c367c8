//! Chart kinds, each a pure function from numbers to an SVG string.

pub(crate) mod areas;
pub(crate) mod bars;
pub(crate) mod curve;
pub(crate) mod daily;
pub(crate) mod dots;
pub(crate) mod heatmap;
pub(crate) mod lines;
pub(crate) mod scale;
pub(crate) mod score;
pub(crate) mod spark;

/// Width of the drawing for phones in px, and the periods it shows.
pub(crate) const NARROW: f64 = 358.0;
pub(crate) const NARROW_PERIODS: usize = 6;

/// Periods of a wide drawing; what lies before is in the table.
pub(crate) const WIDE_PERIODS: usize = 12;

/// What every chart says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// Drawn size in px.
    pub size: (f64, f64),
    pub title: &'a str,
    /// The finding in words, for who cannot see the drawing.
    pub desc: &'a str,
}

/// The last `n` of a slice.
pub(crate) fn last<T>(items: &[T], n: usize) -> &[T] {
    &items[items.len().saturating_sub(n)..]
}

/// Room that the labels of an axis take on the left of a chart.
pub(crate) fn axis_room(marks: &[f64], axis: &dyn Fn(f64) -> String) -> f64 {
    let widest = marks.iter().map(|m| crate::canvas::width_of(&axis(*m), false));
    widest.fold(0.0, f64::max).max(22.0) + 12.0
}

/// Moves labels at `ys` apart to at least 14 px, keeping their order and staying within bounds.
pub(crate) fn spread(ys: &[f64], (top, bottom): (f64, f64)) -> Vec<f64> {
    const GAP: f64 = 14.0;
    let mut order: Vec<usize> = (0..ys.len()).collect();
    order.sort_by(|a, b| ys[*a].total_cmp(&ys[*b]));
    let mut placed = ys.to_vec();
    let mut free = top;
    for i in &order {
        placed[*i] = placed[*i].max(free);
        free = placed[*i] + GAP;
    }
    let mut free = bottom;
    for i in order.iter().rev() {
        placed[*i] = placed[*i].min(free);
        free = placed[*i] - GAP;
    }
    placed
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
