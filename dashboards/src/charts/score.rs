//! A health score over time: a line over the bands of the tiers, and the tier of each day below.

use chrono::{Datelike, NaiveDate};
use domain::format;

use super::ChartFrame;
use super::marks::PlacedMarks;
use super::scale::Scale;
use crate::charts::canvas::{Anchor, Pen, draw};
use crate::theme::{
    AT_RISK, AT_RISK_BAND, AT_RISK_TEXT, AXIS, ColourRole, HAIR, HEALTHY, HEALTHY_BAND,
    HEALTHY_TEXT, INK, INK_3,
};

/// A day with its score.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScoredDay {
    pub date: NaiveDate,
    pub score: Option<f64>,
    /// The colour of the tier.
    pub colour: ColourRole,
}

const LEFT: f64 = 34.0;
const TOP: f64 = 10.0;
/// The height of a line of text in px.
const LINE_HEIGHT: f64 = 14.0;
/// The least difference of two scores whose labels on the axis do not overlap.
const MIN_LABEL_DISTANCE: f64 = 8.0;

/// Draws the chart. A partner is at risk below the first of the `thresholds`, and healthy above the
/// second.
pub(crate) fn score_chart(frame: &ChartFrame, days: &[ScoredDay], thresholds: [f64; 2]) -> String {
    let (width, height) = frame.size;
    let narrow = width < 500.0;
    let right = if narrow { width - 12.0 } else { width - 154.0 };
    let foot = height - 44.0;
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return String::new() };
    let span = (last.date - first.date).num_days().max(1) as f64;
    let x = Scale::linear((0.0, span), (LEFT + 4.0, right - 44.0));
    let at_day = |date: NaiveDate| x.px((date - first.date).num_days() as f64);
    let marks = PlacedMarks::new(frame, Some((first.date, last.date)), at_day);
    let y = Scale::linear((0.0, 100.0), (foot, TOP + marks.room()));
    draw(frame.size, frame.title, &marks.described(frame.desc), |pen| {
        bands(pen, &y, (LEFT, right), narrow, thresholds);
        marks.draw(pen, foot, (LEFT, right));
        let mut run = Vec::new();
        for day in days {
            match day.score {
                Some(score) => run.push((at_day(day.date), y.px(score))),
                None => {
                    pen.line(&run, INK, 1.75);
                    run.clear();
                }
            }
        }
        pen.line(&run, INK, 1.75);
        if let Some(score) = last.score {
            let at = (at_day(last.date), y.px(score));
            pen.dot(at, 3.5, last.colour);
            let label = (at.0 + 9.0, clear_of_thresholds(score, at.1, &y, thresholds));
            pen.bold(label, &format::decimal(score, 1), Anchor::Start, INK);
        }
        // The strip of a day begins at the evaluation before it. Days of one tier are one piece.
        for run in days.chunk_by(|a, b| a.colour == b.colour) {
            let before = days.iter().rev().find(|day| day.date < run[0].date);
            let from = at_day(before.map_or(run[0].date, |day| day.date));
            let to = at_day(run[run.len() - 1].date);
            pen.rect((from, foot + 6.0), (to - from, 5.0), run[0].colour);
        }
        date_ticks(pen, days, &at_day, foot + 11.0);
    })
}

/// Returns the height of the label of a score. Near a threshold it stands on the side of the score.
fn clear_of_thresholds(score: f64, at: f64, y: &Scale, thresholds: [f64; 2]) -> f64 {
    const CLEAR: f64 = 10.0;
    for mark in thresholds {
        let line = y.px(mark);
        if (at - line).abs() < CLEAR {
            return if score < mark { line + CLEAR } else { line - CLEAR };
        }
    }
    at
}

fn bands(pen: &mut Pen, y: &Scale, (left, right): (f64, f64), narrow: bool, [low, high]: [f64; 2]) {
    let width = right - left;
    pen.rect((left, y.px(100.0)), (width, y.px(high) - y.px(100.0)), HEALTHY_BAND);
    pen.rect((left, y.px(low)), (width, y.px(0.0) - y.px(low)), AT_RISK_BAND);
    for mark in [0.0, 100.0] {
        pen.horizontal((left, right), y.px(mark), if mark == 0.0 { AXIS } else { HAIR });
    }
    pen.horizontal((left, right), y.px(high), HEALTHY);
    pen.horizontal((left, right), y.px(low), AT_RISK);
    for mark in axis_marks(low, high) {
        pen.text((left - 8.0, y.px(mark)), &format!("{mark}"), Anchor::End, INK_3);
    }
    if !narrow {
        let side = right + 10.0;
        let close = (y.px(low) - y.px(high)).abs() < LINE_HEIGHT;
        let offset = if close { LINE_HEIGHT / 2.0 } else { 0.0 };
        let healthy = format!("above {high}: healthy");
        pen.text((side, y.px(high) - offset), &healthy, Anchor::Start, HEALTHY_TEXT);
        let at_risk = format!("below {low}: at risk");
        pen.text((side, y.px(low) + offset), &at_risk, Anchor::Start, AT_RISK_TEXT);
        pen.text((side, y.px(0.0) + 9.0), "tier that day", Anchor::Start, INK_3);
    }
}

/// Returns the scores that have a label on the axis, such that no two labels overlap.
fn axis_marks(low: f64, high: f64) -> Vec<f64> {
    let mut marks = vec![low];
    for mark in [high, 0.0, 100.0] {
        if marks.iter().all(|taken| (taken - mark).abs() >= MIN_LABEL_DISTANCE) {
            marks.push(mark);
        }
    }
    marks
}

/// Draws a label at the first of each month, or at both ends of a shorter span.
fn date_ticks(pen: &mut Pen, days: &[ScoredDay], at: &dyn Fn(NaiveDate) -> f64, top: f64) {
    let firsts: Vec<NaiveDate> = days.iter().map(|d| d.date).filter(|d| d.day() == 1).collect();
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return };
    if firsts.len() >= 2 {
        for date in firsts {
            pen.text((at(date), top + 16.0), &format::date(date), Anchor::Middle, INK_3);
        }
        return;
    }
    pen.text((at(first.date) - 4.0, top + 16.0), &format::date(first.date), Anchor::Start, INK_3);
    pen.text((at(last.date) + 6.0, top + 16.0), &format::date(last.date), Anchor::End, INK_3);
}
