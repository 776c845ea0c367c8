//! A small line chart of one value per day, week or month. Unknown periods are gaps; the line to a
//! period that is not over is dashed.

use chrono::{Datelike, NaiveDate};
use domain::format;

use super::ChartFrame;
use super::marks::PlacedMarks;
use super::scale::{Scale, labelled, ticks};
use crate::charts::canvas::{Anchor, Pen, draw};
use crate::grain::{Days, Grain};
use crate::theme::{AXIS, ColourRole, GRID, INK_2, INK_3, PAGE, THIN};

/// The values of a chart, and how they are drawn.
#[derive(Clone, Copy)]
pub(crate) struct TrendChart<'a> {
    pub grain: Grain,
    /// The period of each value, in order of time.
    pub periods: &'a [Days],
    /// Whether the last period is not over.
    pub is_last_running: bool,
    pub values: &'a [Option<f64>],
    pub axis: &'a dyn Fn(f64) -> String,
    pub role: ColourRole,
    /// The label of a gap of three periods or more.
    pub gap_label: &'a str,
}

const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// The width in px of the label at the end of the axis, with the gap before it.
const NOW_ROOM: f64 = 48.0;
/// A drawing of months has a label at every so many of them.
const MONTHS_PER_LABEL: usize = 3;

/// Draws the chart. The axis starts at zero. The line never bridges an unknown period.
pub(crate) fn trend_chart(frame: &ChartFrame, chart: TrendChart) -> String {
    let (width, height) = frame.size;
    let known = chart.values.iter().flatten().copied();
    let high = known.fold(0.0, f64::max);
    let top = if high > 0.0 { high * 1.04 } else { 1.0 };
    let grid = ticks(top);
    let left = super::axis_room(&grid, chart.axis);
    let last = chart.values.len().saturating_sub(1).max(1) as f64;
    let x = Scale::linear((0.0, last), (left + 2.0, width - 8.0));
    let marks = PlacedMarks::new(frame, days(&chart), |date| x.px(place(&chart, date)));
    let y = Scale::linear((0.0, top), (height - BOTTOM, TOP + marks.room()));
    draw(frame.size, frame.title, &marks.described(frame.desc), |pen| {
        for (tick, label) in labelled(grid, chart.axis) {
            let at = y.px(tick);
            pen.horizontal((left, width - 6.0), at, if tick == 0.0 { AXIS } else { GRID });
            pen.text((left - 8.0, at), &label, Anchor::End, INK_3);
        }
        period_ticks(pen, &chart, &x, height - BOTTOM);
        draw_gaps(pen, &chart, &x, (left, TOP, height - BOTTOM));
        marks.draw(pen, height - BOTTOM, (left, width - 8.0));
        draw_lines(pen, &chart, &x, &y);
    })
}

/// Returns the first and the last day of a chart.
fn days(chart: &TrendChart) -> Option<Days> {
    let (first, last) = chart.periods.first().zip(chart.periods.last())?;
    Some((first.0, last.1.pred_opt()?))
}

/// Returns where a day lies on an axis on which the middle of each period has its number.
fn place(chart: &TrendChart, date: NaiveDate) -> f64 {
    let i = chart.periods.partition_point(|period| period.0 <= date).saturating_sub(1);
    let (from, to) = chart.periods[i];
    let length = (to - from).num_days().max(1) as f64;
    let passed = ((date - from).num_days() as f64 + 0.5) / length;
    (i as f64 + passed - 0.5).clamp(0.0, chart.periods.len().saturating_sub(1) as f64)
}

/// Returns the label of a period on the axis, where it has one.
fn tick_label(chart: &TrendChart, i: usize) -> Option<String> {
    let first = chart.periods[i].0;
    match chart.grain {
        Grain::Day => (first.day() == 1).then(|| format::date(first)),
        // The first Monday of a month.
        Grain::Week => (first.day() <= 7).then(|| format::date(first)),
        Grain::Month => {
            let from_end = chart.periods.len() - 1 - i;
            let has_label = from_end % MONTHS_PER_LABEL == usize::from(chart.is_last_running);
            has_label.then(|| format::month(first))
        }
    }
}

fn period_ticks(pen: &mut Pen, chart: &TrendChart, x: &Scale, foot: f64) {
    let last = chart.periods.len().saturating_sub(1);
    for i in 0..chart.periods.len() {
        let at = x.px(i as f64);
        let is_near_now = chart.is_last_running && x.px(last as f64) - at < NOW_ROOM;
        if let Some(label) = tick_label(chart, i) {
            pen.line(&[(at, foot), (at, foot + 4.0)], AXIS, 1.0);
            if !is_near_now {
                pen.text((at, foot + 14.0), &label, Anchor::Middle, INK_3);
            }
        }
    }
    if chart.is_last_running {
        pen.text((x.px(last as f64) + 6.0, foot + 14.0), "now", Anchor::End, INK_2);
    }
}

/// Hatches and labels every run of three or more unknown periods.
fn draw_gaps(pen: &mut Pen, chart: &TrendChart, x: &Scale, (left, top, foot): (f64, f64, f64)) {
    let mut i = 0;
    while i < chart.values.len() {
        let n = chart.values[i..].iter().take_while(|v| v.is_none()).count();
        if n >= 3 {
            let (from, to) = (x.px(i as f64 - 0.5).max(left), x.px((i + n) as f64 - 0.5));
            pen.hatch((from, top), (to - from, foot - top), THIN, 6.0);
            if to - from > chart.gap_label.chars().count() as f64 * 7.2 {
                let at = ((from + to) / 2.0, (top + foot) / 2.0);
                let room = chart.gap_label.chars().count() as f64 * 7.2 + 8.0;
                pen.rect((at.0 - room / 2.0, at.1 - 9.0), (room, 18.0), PAGE);
                pen.text(at, chart.gap_label, Anchor::Middle, INK_2);
            }
        }
        i += n.max(1);
    }
}

fn draw_lines(pen: &mut Pen, chart: &TrendChart, x: &Scale, y: &Scale) {
    let point = |i: usize| chart.values[i].map(|v| (x.px(i as f64), y.px(v)));
    let whole = chart.values.len() - usize::from(chart.is_last_running);
    let mut run: Vec<(f64, f64)> = Vec::new();
    for i in 0..whole {
        match point(i) {
            Some(at) => run.push(at),
            None => end_line(pen, &mut run, chart.role),
        }
    }
    let newest = run.last().copied();
    end_line(pen, &mut run, chart.role);
    if !chart.is_last_running {
        if let Some(at) = newest {
            pen.dot(at, 3.0, chart.role);
        }
    } else if let Some(now) = point(whole) {
        if let Some(before) = newest {
            pen.dashes(&[before, now], chart.role, 1.4, (3.0, 3.0));
        }
        pen.ring(now, 3.0, chart.role, PAGE);
    }
}

/// Draws a line through the periods of a run. A single period is a dot.
fn end_line(pen: &mut Pen, run: &mut Vec<(f64, f64)>, role: ColourRole) {
    match run.as_slice() {
        [only] => pen.dot(*only, 1.5, role),
        points => pen.line(points, role, 1.4),
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_that_is_not_over_is_dashed_and_named_now() {
        let as_of: NaiveDate = "2026-04-02".parse().expect("a date");
        let periods = Grain::Week.periods(as_of, 4);
        let values = [Some(4.0), Some(2.0), Some(3.0), Some(1.0)];
        let draw = |is_last_running| {
            let axis = |v: f64| v.to_string();
            let chart = TrendChart {
                grain: Grain::Week,
                periods: &periods,
                is_last_running,
                values: &values,
                axis: &axis,
                role: INK_2,
                gap_label: "",
            };
            let frame = ChartFrame { size: (266.0, 136.0), title: "", desc: "", marks: &[] };
            trend_chart(&frame, chart)
        };
        let (whole, running) = (draw(false), draw(true));
        assert!(running.contains(">now<") && !whole.contains(">now<"), "{running}");
        let lines = |svg: &str| svg.matches("<polyline").count() + svg.matches("<line").count();
        assert!(lines(&running) > lines(&whole) + 2, "{running}");
        // The middle of a week lies at its point, and its days around it.
        let chart = TrendChart {
            grain: Grain::Week,
            periods: &periods,
            is_last_running: true,
            values: &values,
            axis: &|v| v.to_string(),
            role: INK_2,
            gap_label: "",
        };
        let at = |day: &str| place(&chart, day.parse().expect("a date"));
        assert!((at("2026-03-19") - 1.0).abs() < 1e-9, "{}", at("2026-03-19"));
        assert!(at("2026-03-16") < 1.0 && at("2026-03-22") > 1.0 && at("2026-03-23") < 2.0);
    }
}
