//! One value a day: a line with gaps where it is unknown, ticks on the first of a month.

use chrono::{Datelike, Days, NaiveDate};

use super::Frame;
use super::scale::{Scale, labelled, ticks};
use crate::canvas::{Anchor, Pen, draw};
use crate::roles::{AXIS, GRID, INK_2, INK_3, Role, THIN};
use crate::words;

#[derive(Clone, Copy)]
pub(crate) struct Daily<'a> {
    /// Date of the first value.
    pub from: NaiveDate,
    pub values: &'a [Option<f64>],
    pub axis: &'a dyn Fn(f64) -> String,
    pub role: Role,
    /// The word over a gap of three days or more.
    pub gap_word: &'a str,
}

const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Draws the days. The line starts at zero and never bridges a day that is unknown.
pub(crate) fn daily(frame: &Frame, chart: Daily) -> String {
    let (width, height) = frame.size;
    let known = chart.values.iter().flatten().copied();
    let high = known.fold(0.0, f64::max);
    let top = if high > 0.0 { high * 1.04 } else { 1.0 };
    let y = Scale::linear((0.0, top), (height - BOTTOM, TOP));
    let marks = ticks(top);
    let left = super::axis_room(&marks, chart.axis);
    let days = chart.values.len().saturating_sub(1).max(1) as f64;
    let x = Scale::linear((0.0, days), (left + 2.0, width - 8.0));
    draw(frame.size, frame.title, frame.desc, |pen| {
        for (tick, label) in labelled(marks, chart.axis) {
            let at = y.px(tick);
            pen.level((left, width - 6.0), at, if tick == 0.0 { AXIS } else { GRID });
            pen.text((left - 8.0, at), &label, Anchor::End, INK_3);
        }
        months(pen, &chart, &x, height - BOTTOM);
        gaps(pen, &chart, &x, (left, TOP, height - BOTTOM));
        runs(pen, &chart, &x, &y);
    })
}

fn months(pen: &mut Pen, chart: &Daily, x: &Scale, foot: f64) {
    for i in 0..chart.values.len() {
        let date = chart.from + Days::new(i as u64);
        if date.day() == 1 {
            let at = x.px(i as f64);
            pen.line(&[(at, foot), (at, foot + 4.0)], AXIS, 1.0);
            pen.text((at, foot + 14.0), &words::day(date), Anchor::Middle, INK_3);
        }
    }
}

/// Runs of three and more unknown days, hatched and named.
fn gaps(pen: &mut Pen, chart: &Daily, x: &Scale, (left, top, foot): (f64, f64, f64)) {
    let mut i = 0;
    while i < chart.values.len() {
        let n = chart.values[i..].iter().take_while(|v| v.is_none()).count();
        if n >= 3 {
            let (from, to) = (x.px(i as f64 - 0.5).max(left), x.px((i + n) as f64 - 0.5));
            pen.hatch((from, top), (to - from, foot - top), THIN, 6.0);
            if to - from > chart.gap_word.chars().count() as f64 * 7.2 {
                let at = ((from + to) / 2.0, (top + foot) / 2.0);
                let room = chart.gap_word.chars().count() as f64 * 7.2 + 8.0;
                pen.rect((at.0 - room / 2.0, at.1 - 9.0), (room, 18.0), crate::roles::PAGE);
                pen.text(at, chart.gap_word, Anchor::Middle, INK_2);
            }
        }
        i += n.max(1);
    }
}

fn runs(pen: &mut Pen, chart: &Daily, x: &Scale, y: &Scale) {
    let mut run: Vec<(f64, f64)> = Vec::new();
    for (i, value) in chart.values.iter().enumerate() {
        match value {
            Some(v) => run.push((x.px(i as f64), y.px(*v))),
            None => end_run(pen, &mut run, chart.role),
        }
    }
    let last = chart.values.last().copied().flatten().and(run.last().copied());
    end_run(pen, &mut run, chart.role);
    if let Some(at) = last {
        pen.dot(at, 3.0, chart.role);
    }
}

/// A day known between two unknown ones is a dot: a line needs two.
fn end_run(pen: &mut Pen, run: &mut Vec<(f64, f64)>, role: Role) {
    match run.as_slice() {
        [only] => pen.dot(*only, 1.5, role),
        points => pen.line(points, role, 1.4),
    }
    run.clear();
}
