//! The score over time: bands of the tiers, thresholds, the line, the tier of each day under it.

use chrono::{Datelike, NaiveDate};

use super::Frame;
use super::scale::Scale;
use crate::canvas::{Anchor, Pen, draw};
use crate::roles::{
    AT_RISK, AT_RISK_BAND, AT_RISK_TEXT, AXIS, HAIR, HEALTHY, HEALTHY_BAND, HEALTHY_TEXT, INK,
    INK_3, Role,
};
use crate::words;

/// One scored day; the colour is the tier's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScoredDay {
    pub date: NaiveDate,
    pub score: Option<f64>,
    pub tier: Role,
}

const LEFT: f64 = 34.0;
const TOP: f64 = 10.0;
/// The height of a line of text, and the score it stands for, with some room.
const LINE: f64 = 14.0;
const APART: f64 = 8.0;

/// `lines` are the scores at which a tier is entered: at risk below the first, healthy above the second.
pub(crate) fn score(frame: &Frame, days: &[ScoredDay], lines: [f64; 2]) -> String {
    let (width, height) = frame.size;
    let narrow = width < 500.0;
    let right = if narrow { width - 12.0 } else { width - 154.0 };
    let foot = height - 44.0;
    let y = Scale::linear((0.0, 100.0), (foot, TOP));
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return String::new() };
    let span = (last.date - first.date).num_days().max(1) as f64;
    let x = Scale::linear((0.0, span), (LEFT + 4.0, right - 44.0));
    let at_day = |date: NaiveDate| x.px((date - first.date).num_days() as f64);
    draw(frame.size, frame.title, frame.desc, |pen| {
        bands(pen, &y, (LEFT, right), narrow, lines);
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
            pen.dot(at, 3.5, last.tier);
            let label = (at.0 + 9.0, clear_of_lines(score, at.1, &y, lines));
            pen.bold(label, &words::decimal(score, 1), Anchor::Start, INK);
        }
        // A day's tier holds from the evaluation before it; days of one tier are one piece.
        for run in days.chunk_by(|a, b| a.tier == b.tier) {
            let before = days.iter().rev().find(|day| day.date < run[0].date);
            let from = at_day(before.map_or(run[0].date, |day| day.date));
            let to = at_day(run[run.len() - 1].date);
            pen.rect((from, foot + 6.0), (to - from, 5.0), run[0].tier);
        }
        date_ticks(pen, days, &at_day, foot + 11.0);
    })
}

/// A label near a threshold stands on its own side of the line.
fn clear_of_lines(score: f64, at: f64, y: &Scale, lines: [f64; 2]) -> f64 {
    const CLEAR: f64 = 10.0;
    for mark in lines {
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
        pen.level((left, right), y.px(mark), if mark == 0.0 { AXIS } else { HAIR });
    }
    pen.level((left, right), y.px(high), HEALTHY);
    pen.level((left, right), y.px(low), AT_RISK);
    for mark in marks(low, high) {
        pen.text((left - 8.0, y.px(mark)), &format!("{mark}"), Anchor::End, INK_3);
    }
    if !narrow {
        let side = right + 10.0;
        let close = (y.px(low) - y.px(high)).abs() < LINE;
        let apart = if close { LINE / 2.0 } else { 0.0 };
        let healthy = format!("above {high}: healthy");
        pen.text((side, y.px(high) - apart), &healthy, Anchor::Start, HEALTHY_TEXT);
        let at_risk = format!("below {low}: at risk");
        pen.text((side, y.px(low) + apart), &at_risk, Anchor::Start, AT_RISK_TEXT);
        pen.text((side, y.px(0.0) + 9.0), "tier that day", Anchor::Start, INK_3);
    }
}

/// Scores that get a number on the axis: no two so near that they would overlap.
fn marks(low: f64, high: f64) -> Vec<f64> {
    let mut marks = vec![low];
    for mark in [high, 0.0, 100.0] {
        if marks.iter().all(|taken| (taken - mark).abs() >= APART) {
            marks.push(mark);
        }
    }
    marks
}

/// Firsts of months; where the span is shorter than that, its two ends.
fn date_ticks(pen: &mut Pen, days: &[ScoredDay], at: &dyn Fn(NaiveDate) -> f64, top: f64) {
    let firsts: Vec<NaiveDate> = days.iter().map(|d| d.date).filter(|d| d.day() == 1).collect();
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return };
    if firsts.len() >= 2 {
        for date in firsts {
            pen.text((at(date), top + 16.0), &words::day(date), Anchor::Middle, INK_3);
        }
        return;
    }
    pen.text((at(first.date) - 4.0, top + 16.0), &words::day(first.date), Anchor::Start, INK_3);
    pen.text((at(last.date) + 6.0, top + 16.0), &words::day(last.date), Anchor::End, INK_3);
}
