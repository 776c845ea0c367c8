//! A table cell that shows a median and the 90th percentile (p90) on a logarithmic time axis.

use domain::format;

use super::scale::Scale;
use crate::charts::canvas::{Anchor, Pen, draw};
use crate::theme::{AXIS, GRID, INK, INK_2, INK_3, PAGE, SERIES};

/// The size of a cell in px.
const SIZE: (f64, f64) = (300.0, 37.0);

/// The marks of the axis in seconds, with their labels.
const MARKS: [(f64, &str); 6] = [
    (1_800.0, "30 min"),
    (6.0 * 3_600.0, "6 h"),
    (86_400.0, "1 d"),
    (3.0 * 86_400.0, "3 d"),
    (7.0 * 86_400.0, "7 d"),
    (30.0 * 86_400.0, "30 d"),
];

fn axis() -> Scale {
    Scale::log((900.0, 30.0 * 86_400.0), (16.0, SIZE.0 - 20.0))
}

/// Draws the heading of the column: the labels of the marks.
pub(crate) fn header() -> String {
    let x = axis();
    draw((SIZE.0, 18.0), "Log scale from 30 minutes to 30 days", "", |pen| {
        for (seconds, name) in MARKS {
            pen.text((x.px(seconds), 9.0), name, Anchor::Middle, INK_3);
        }
    })
}

/// Draws the cell of one cohort: a dot at the median, which is hollow while the cohort matures, and
/// a dotted line to the p90. The line ends with a bar, or with an arrow if the p90 is not reached.
pub(crate) fn cell(title: &str, median: Option<f64>, p90: Option<f64>, mature: bool) -> String {
    let x = axis();
    let middle = SIZE.1 / 2.0;
    let clamp = |seconds: f64| x.px(seconds.clamp(900.0, 30.0 * 86_400.0));
    draw(SIZE, title, "", |pen| {
        for (seconds, _) in MARKS {
            pen.line(&[(x.px(seconds), 0.0), (x.px(seconds), SIZE.1)], GRID, 1.0);
        }
        let Some(median) = median else {
            let at = (x.px(MARKS[0].0) + 6.0, middle);
            pen.text(at, "median not reached", Anchor::Start, INK_3);
            return;
        };
        let at = (clamp(median), middle);
        line_to_p90(pen, at, p90.map(clamp), middle);
        if mature {
            pen.dot(at, 4.0, SERIES);
        } else {
            pen.ring(at, 4.0, SERIES, PAGE);
        }
        let label = format::duration(median);
        let anchor = if at.0 < 60.0 { Anchor::Start } else { Anchor::End };
        let beside = if at.0 < 60.0 { at.0 + 9.0 } else { at.0 - 9.0 };
        if mature {
            pen.bold((beside, middle), &label, anchor, INK);
        } else {
            pen.text((beside, middle), &label, anchor, INK_2);
        }
    })
}

fn line_to_p90(pen: &mut Pen, from: (f64, f64), p90: Option<f64>, middle: f64) {
    let start = if from.0 < 60.0 { from.0 + 56.0 } else { from.0 + 7.0 };
    let end = p90.unwrap_or(SIZE.0 - 16.0);
    if end > start {
        pen.dashes(&[(start, middle), (end, middle)], AXIS, 1.0, (1.0, 2.0));
    }
    match p90 {
        Some(x) => pen.line(&[(x, middle - 5.0), (x, middle + 5.0)], SERIES, 1.75),
        None => {
            let tip = SIZE.0 - 8.0;
            pen.polygon(
                &[(tip - 7.0, middle - 4.0), (tip, middle), (tip - 7.0, middle + 4.0)],
                AXIS,
            );
        }
    }
}
