//! Sparklines: for a tile, over complete periods, and for the trend of a health score.

use super::scale::Scale;
use crate::charts::canvas::draw;
use crate::theme::{ColourRole, HAIR, INK_2, SERIES};

/// Draws the sparkline of a tile, with a dot at the last value. Fewer than two known values draw
/// nothing.
pub(crate) fn tile_spark(title: &str, values: &[Option<f64>]) -> String {
    let size = (152.0, 32.0);
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
        pen.line(&points, SERIES, 1.4);
        if let Some(end) = points.last() {
            pen.dot(*end, 2.75, SERIES);
        }
    })
}

/// Draws the trend of a score up to today, on the scale 0 to 100 of all scores, with the thresholds
/// of the tiers. The dot has the colour of the tier.
pub(crate) fn score_trend(
    values: &[Option<f64>],
    colour: ColourRole,
    thresholds: [f64; 2],
) -> String {
    let size = (92.0, 24.0);
    let y = Scale::linear((0.0, 100.0), (size.1 - 2.0, 2.0));
    draw(size, "Score over time", "", |pen| {
        for mark in thresholds {
            pen.horizontal((0.0, size.0), y.px(mark), HAIR);
        }
        let x = Scale::linear((0.0, values.len().max(2) as f64 - 1.0), (1.0, size.0 - 4.0));
        let mut run = Vec::new();
        for (i, value) in values.iter().enumerate() {
            match value {
                Some(score) => run.push((x.px(i as f64), y.px(*score))),
                None => {
                    pen.line(&run, INK_2, 1.4);
                    run.clear();
                }
            }
        }
        pen.line(&run, INK_2, 1.4);
        if let Some(end) = run.last() {
            pen.dot(*end, 2.5, colour);
        }
    })
}
