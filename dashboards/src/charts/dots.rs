//! The cell of a table that places a median on a shared log axis, with an arrow to an unreached p90.

use super::scale::Scale;
use crate::canvas::{Anchor, Pen, draw};
use crate::roles::{AXIS, GRID, INK, INK_2, INK_3, PAGE, SERIES};
use crate::words;

/// Size of a cell in px.
pub(crate) const SIZE: (f64, f64) = (300.0, 37.0);

/// Seconds that the axis marks, and their names.
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

/// The head of the column: names of the marks.
pub(crate) fn head() -> String {
    let x = axis();
    draw((SIZE.0, 18.0), "Log scale from 30 minutes to 30 days", "", |pen| {
        for (seconds, name) in MARKS {
            pen.text((x.px(seconds), 9.0), name, Anchor::Middle, INK_3);
        }
    })
}

/// One cohort: a dot at the median, hollow while the cohort matures; then a dotted way to the p90,
/// a bar where it was reached, an arrow where it was not.
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
        way(pen, at, p90.map(clamp), middle);
        if mature {
            pen.dot(at, 4.0, SERIES);
        } else {
            pen.ring(at, 4.0, SERIES, PAGE);
        }
        let label = words::duration(median);
        let anchor = if at.0 < 60.0 { Anchor::Start } else { Anchor::End };
        let beside = if at.0 < 60.0 { at.0 + 9.0 } else { at.0 - 9.0 };
        if mature {
            pen.bold((beside, middle), &label, anchor, INK);
        } else {
            pen.text((beside, middle), &label, anchor, INK_2);
        }
    })
}

fn way(pen: &mut Pen, from: (f64, f64), p90: Option<f64>, middle: f64) {
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
