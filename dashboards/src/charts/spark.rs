//! The sparkline of a tile: whole periods only, a dot on the last.

use super::scale::Scale;
use crate::canvas::draw;
use crate::roles::{Role, SERIES};

/// Draws `values` over a width of `size.0`; fewer than two known values draw nothing.
pub fn spark(size: (f64, f64), title: &str, values: &[Option<f64>], role: Role) -> String {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let low = known.iter().copied().fold(f64::INFINITY, f64::min);
    let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let desc = if known.len() < 2 { "Too few periods for a line" } else { "" };
    draw(size, title, desc, |pen| {
        if known.len() < 2 {
            return;
        }
        let pad = 4.0;
        let y = if high - low > 1e-12 {
            Scale::linear((low, high), (size.1 - pad, pad))
        } else {
            Scale::linear((low - 1.0, low + 1.0), (size.1 - pad, pad))
        };
        let x = Scale::linear((0.0, (values.len() - 1) as f64), (1.0, size.0 - pad));
        let at = |(i, v): (usize, &Option<f64>)| v.map(|v| (x.px(i as f64), y.px(v)));
        let points: Vec<(f64, f64)> = values.iter().enumerate().filter_map(at).collect();
        pen.line(&points, role, 1.4);
        if let Some(end) = points.last() {
            pen.dot(*end, 2.75, role);
        }
    })
}

/// The sparkline of a tile.
pub fn tile_spark(title: &str, values: &[Option<f64>]) -> String {
    spark((152.0, 32.0), title, values, SERIES)
}
