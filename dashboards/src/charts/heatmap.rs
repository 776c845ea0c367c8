//! The retention heatmap: one row a cohort, one column a month since, the number in every cell.

use super::Frame;
use crate::canvas::{Anchor, Pen, draw};
use crate::roles::{AXIS, INK, INK_2, INK_3, RULE, STEP_TEXT, STEPS, step_of};
use crate::words;

/// A cell: the share in 0–1, and whether its month is whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub share: f64,
    pub complete: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Cohort {
    pub label: String,
    pub size: i64,
    /// From the first month after the cohort's own; `None` where the month has not come.
    pub cells: Vec<Option<Cell>>,
    /// Said where there is no cell yet.
    pub note: Option<String>,
}

#[derive(Clone, Copy)]
pub(crate) struct Heatmap<'a> {
    pub cohorts: &'a [Cohort],
    pub columns: usize,
    /// All cohorts together over whole months; a `None` column has none.
    pub all: &'a [Option<f64>],
    pub corner: (&'a str, &'a str),
    pub over: &'a str,
}

const ROW: f64 = 31.0;
const HEAD: f64 = 46.0;

/// The height a heatmap needs.
pub(crate) fn height(cohorts: usize) -> f64 {
    HEAD + ROW * (cohorts as f64 + 1.0) + 18.0
}

pub(crate) fn heatmap(frame: &Frame, chart: &Heatmap) -> String {
    let width = frame.size.0;
    let left = if width < 500.0 { 112.0 } else { 150.0 };
    let pitch = ((width - left) / chart.columns.max(1) as f64).min(76.0).floor();
    draw(frame.size, frame.title, frame.desc, |pen| {
        pen.text((left, 12.0), chart.over, Anchor::Start, INK_2);
        pen.text((0.0, 30.0), chart.corner.0, Anchor::Start, INK_3);
        pen.text((left - 22.0, 30.0), chart.corner.1, Anchor::End, INK_3);
        for i in 0..chart.columns {
            let x = left + pitch * (i as f64 + 0.5);
            pen.text((x, 30.0), &(i + 1).to_string(), Anchor::Middle, INK_2);
        }
        for (i, cohort) in chart.cohorts.iter().enumerate() {
            let top = HEAD + ROW * i as f64;
            row(pen, cohort, (left, top), pitch);
        }
        let foot = HEAD + ROW * chart.cohorts.len() as f64 + 6.0;
        pen.level((0.0, width), foot, RULE);
        pen.text((0.0, foot + 20.0), "All, whole months", Anchor::Start, INK_2);
        for (i, share) in chart.all.iter().take(chart.columns).enumerate() {
            if let Some(share) = share {
                let x = left + pitch * (i as f64 + 0.5);
                pen.bold((x, foot + 20.0), &words::percent(*share), Anchor::Middle, INK);
            }
        }
    })
}

fn row(pen: &mut Pen, cohort: &Cohort, (left, top): (f64, f64), pitch: f64) {
    let middle = top + (ROW - 2.0) / 2.0;
    pen.bold((0.0, middle), &cohort.label, Anchor::Start, INK);
    pen.text((left - 22.0, middle), &words::count(cohort.size), Anchor::End, INK_2);
    for (i, cell) in cohort.cells.iter().enumerate() {
        let Some(cell) = cell else { continue };
        let at = (left + pitch * i as f64, top);
        draw_cell(pen, *cell, at, (pitch - 2.0, ROW - 2.0));
    }
    if let Some(note) = &cohort.note {
        pen.text((left + 6.0, middle), note, Anchor::Start, INK_3);
    }
}

fn draw_cell(pen: &mut Pen, cell: Cell, at: (f64, f64), size: (f64, f64)) {
    let middle = (at.0 + size.0 / 2.0, at.1 + size.1 / 2.0);
    let text = words::percent(cell.share);
    if cell.complete {
        let step = step_of(cell.share);
        pen.rect(at, size, STEPS[step]);
        pen.text(middle, &text, Anchor::Middle, STEP_TEXT[step]);
        return;
    }
    pen.hatch(at, size, RULE, 6.0);
    pen.dashed_frame(at, size, AXIS);
    pen.text(middle, &text, Anchor::Middle, INK_2);
}
