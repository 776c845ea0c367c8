//! The retention heatmap: a row per cohort, a column per month since, the share in every cell.

use domain::format;

use super::ChartFrame;
use crate::charts::canvas::{Anchor, Pen, draw};
use crate::theme::{AXIS, INK, INK_2, INK_3, RULE, STEP_TEXT, STEPS, step_of};

/// A cell: the share in 0–1, and whether its month is complete.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HeatmapCell {
    pub share: f64,
    pub complete: bool,
}

/// The row of a cohort.
#[derive(Debug, Clone)]
pub(crate) struct HeatmapRow {
    pub label: String,
    pub size: i64,
    /// The cells from the first month after the cohort's own. `None`: the share is unknown.
    pub cells: Vec<Option<HeatmapCell>>,
    /// The text in place of the cells, if there is no cell yet.
    pub note: Option<String>,
}

/// The rows of a heatmap and its headings.
#[derive(Clone, Copy)]
pub(crate) struct Heatmap<'a> {
    pub rows: &'a [HeatmapRow],
    pub columns: usize,
    /// The share of all cohorts together in each column, over complete months.
    pub overall: &'a [Option<f64>],
    /// The headings of the labels and the sizes.
    pub row_titles: (&'a str, &'a str),
    pub column_title: &'a str,
}

const ROW_HEIGHT: f64 = 31.0;
const HEADER_HEIGHT: f64 = 46.0;

/// Returns the height of a heatmap with so many rows, in px.
pub(crate) fn height(rows: usize) -> f64 {
    HEADER_HEIGHT + ROW_HEIGHT * (rows as f64 + 1.0) + 18.0
}

/// Draws the heatmap.
pub(crate) fn heatmap(frame: &ChartFrame, chart: &Heatmap) -> String {
    let width = frame.size.0;
    let left = if width < 500.0 { 112.0 } else { 150.0 };
    let pitch = ((width - left) / chart.columns.max(1) as f64).min(76.0).floor();
    draw(frame.size, frame.title, frame.desc, |pen| {
        pen.text((left, 12.0), chart.column_title, Anchor::Start, INK_2);
        pen.text((0.0, 30.0), chart.row_titles.0, Anchor::Start, INK_3);
        pen.text((left - 22.0, 30.0), chart.row_titles.1, Anchor::End, INK_3);
        for i in 0..chart.columns {
            let x = left + pitch * (i as f64 + 0.5);
            pen.text((x, 30.0), &(i + 1).to_string(), Anchor::Middle, INK_2);
        }
        for (i, row) in chart.rows.iter().enumerate() {
            let top = HEADER_HEIGHT + ROW_HEIGHT * i as f64;
            draw_row(pen, row, (left, top), pitch);
        }
        let foot = HEADER_HEIGHT + ROW_HEIGHT * chart.rows.len() as f64 + 6.0;
        pen.horizontal((0.0, width), foot, RULE);
        pen.text((0.0, foot + 20.0), "All, whole months", Anchor::Start, INK_2);
        for (i, share) in chart.overall.iter().take(chart.columns).enumerate() {
            if let Some(share) = share {
                let x = left + pitch * (i as f64 + 0.5);
                pen.bold((x, foot + 20.0), &format::percent(*share), Anchor::Middle, INK);
            }
        }
    })
}

fn draw_row(pen: &mut Pen, row: &HeatmapRow, (left, top): (f64, f64), pitch: f64) {
    let middle = top + (ROW_HEIGHT - 2.0) / 2.0;
    pen.bold((0.0, middle), &row.label, Anchor::Start, INK);
    pen.text((left - 22.0, middle), &format::thousands(row.size), Anchor::End, INK_2);
    for (i, cell) in row.cells.iter().enumerate() {
        let Some(cell) = cell else { continue };
        let at = (left + pitch * i as f64, top);
        draw_cell(pen, *cell, at, (pitch - 2.0, ROW_HEIGHT - 2.0));
    }
    if let Some(note) = &row.note {
        pen.text((left + 6.0, middle), note, Anchor::Start, INK_3);
    }
}

fn draw_cell(pen: &mut Pen, cell: HeatmapCell, at: (f64, f64), size: (f64, f64)) {
    let middle = (at.0 + size.0 / 2.0, at.1 + size.1 / 2.0);
    let text = format::percent(cell.share);
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
