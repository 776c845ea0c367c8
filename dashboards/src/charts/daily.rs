//! A line chart of one value per day. Unknown days are gaps; the first of each month has a tick.

use chrono::{Datelike, Days, NaiveDate};
use domain::format;

use super::ChartFrame;
use super::marks::PlacedMarks;
use super::scale::{Scale, labelled, ticks};
use crate::charts::canvas::{Anchor, Pen, draw};
use crate::theme::{AXIS, ColourRole, GRID, INK_2, INK_3, THIN};

/// The values of a chart, and how they are drawn.
#[derive(Clone, Copy)]
pub(crate) struct DailyChart<'a> {
    /// The date of the first value.
    pub from: NaiveDate,
    pub values: &'a [Option<f64>],
    pub axis: &'a dyn Fn(f64) -> String,
    pub role: ColourRole,
    /// The label of a gap of three days or more.
    pub gap_label: &'a str,
}

const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Draws the chart. The axis starts at zero. The line never bridges an unknown day.
pub(crate) fn daily_chart(frame: &ChartFrame, chart: DailyChart) -> String {
    let (width, height) = frame.size;
    let known = chart.values.iter().flatten().copied();
    let high = known.fold(0.0, f64::max);
    let top = if high > 0.0 { high * 1.04 } else { 1.0 };
    let grid = ticks(top);
    let left = super::axis_room(&grid, chart.axis);
    let days = chart.values.len().saturating_sub(1).max(1) as f64;
    let x = Scale::linear((0.0, days), (left + 2.0, width - 8.0));
    let until = chart.from + Days::new(chart.values.len().saturating_sub(1) as u64);
    let at_day = |date: NaiveDate| x.px((date - chart.from).num_days() as f64);
    let marks = PlacedMarks::new(frame, Some((chart.from, until)), at_day);
    let y = Scale::linear((0.0, top), (height - BOTTOM, TOP + marks.room()));
    draw(frame.size, frame.title, &marks.described(frame.desc), |pen| {
        for (tick, label) in labelled(grid, chart.axis) {
            let at = y.px(tick);
            pen.horizontal((left, width - 6.0), at, if tick == 0.0 { AXIS } else { GRID });
            pen.text((left - 8.0, at), &label, Anchor::End, INK_3);
        }
        month_ticks(pen, &chart, &x, height - BOTTOM);
        draw_gaps(pen, &chart, &x, (left, TOP, height - BOTTOM));
        marks.draw(pen, height - BOTTOM, (left, width - 8.0));
        draw_lines(pen, &chart, &x, &y);
    })
}

fn month_ticks(pen: &mut Pen, chart: &DailyChart, x: &Scale, foot: f64) {
    for i in 0..chart.values.len() {
        let date = chart.from + Days::new(i as u64);
        if date.day() == 1 {
            let at = x.px(i as f64);
            pen.line(&[(at, foot), (at, foot + 4.0)], AXIS, 1.0);
            pen.text((at, foot + 14.0), &format::date(date), Anchor::Middle, INK_3);
        }
    }
}

/// Hatches and labels every run of three or more unknown days.
fn draw_gaps(pen: &mut Pen, chart: &DailyChart, x: &Scale, (left, top, foot): (f64, f64, f64)) {
    let mut i = 0;
    while i < chart.values.len() {
        let n = chart.values[i..].iter().take_while(|v| v.is_none()).count();
        if n >= 3 {
            let (from, to) = (x.px(i as f64 - 0.5).max(left), x.px((i + n) as f64 - 0.5));
            pen.hatch((from, top), (to - from, foot - top), THIN, 6.0);
            if to - from > chart.gap_label.chars().count() as f64 * 7.2 {
                let at = ((from + to) / 2.0, (top + foot) / 2.0);
                let room = chart.gap_label.chars().count() as f64 * 7.2 + 8.0;
                pen.rect((at.0 - room / 2.0, at.1 - 9.0), (room, 18.0), crate::theme::PAGE);
                pen.text(at, chart.gap_label, Anchor::Middle, INK_2);
            }
        }
        i += n.max(1);
    }
}

fn draw_lines(pen: &mut Pen, chart: &DailyChart, x: &Scale, y: &Scale) {
    let mut run: Vec<(f64, f64)> = Vec::new();
    for (i, value) in chart.values.iter().enumerate() {
        match value {
            Some(v) => run.push((x.px(i as f64), y.px(*v))),
            None => end_line(pen, &mut run, chart.role),
        }
    }
    let last = chart.values.last().copied().flatten().and(run.last().copied());
    end_line(pen, &mut run, chart.role);
    if let Some(at) = last {
        pen.dot(at, 3.0, chart.role);
    }
}

/// Draws a line through the days of a run. A single day is a dot.
fn end_line(pen: &mut Pen, run: &mut Vec<(f64, f64)>, role: ColourRole) {
    match run.as_slice() {
        [only] => pen.dot(*only, 1.5, role),
        points => pen.line(points, role, 1.4),
    }
    run.clear();
}
