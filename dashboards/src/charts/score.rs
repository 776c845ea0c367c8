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

/// Scores at which a tier is entered.
pub(crate) const AT_RISK_BELOW: f64 = 40.0;
pub(crate) const HEALTHY_ABOVE: f64 = 75.0;

const LEFT: f64 = 34.0;
const TOP: f64 = 10.0;

pub(crate) fn score(frame: &Frame, days: &[ScoredDay]) -> String {
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
        bands(pen, &y, (LEFT, right), narrow);
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
            let label = (at.0 + 9.0, clear_of_lines(score, at.1, &y));
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
fn clear_of_lines(score: f64, at: f64, y: &Scale) -> f64 {
    const CLEAR: f64 = 10.0;
    for mark in [AT_RISK_BELOW, HEALTHY_ABOVE] {
        let line = y.px(mark);
        if (at - line).abs() < CLEAR {
            return if score < mark { line + CLEAR } else { line - CLEAR };
        }
    }
    at
}

fn bands(pen: &mut Pen, y: &Scale, (left, right): (f64, f64), narrow: bool) {
    let width = right - left;
    pen.rect((left, y.px(100.0)), (width, y.px(HEALTHY_ABOVE) - y.px(100.0)), HEALTHY_BAND);
    pen.rect((left, y.px(AT_RISK_BELOW)), (width, y.px(0.0) - y.px(AT_RISK_BELOW)), AT_RISK_BAND);
    for mark in [0.0, 100.0] {
        pen.level((left, right), y.px(mark), if mark == 0.0 { AXIS } else { HAIR });
    }
    pen.level((left, right), y.px(HEALTHY_ABOVE), HEALTHY);
    pen.level((left, right), y.px(AT_RISK_BELOW), AT_RISK);
    for mark in [0.0, AT_RISK_BELOW, HEALTHY_ABOVE, 100.0] {
        pen.text((left - 8.0, y.px(mark)), &words::decimal(mark, 0), Anchor::End, INK_3);
    }
    if !narrow {
        pen.text(
            (right + 10.0, y.px(HEALTHY_ABOVE)),
            "above 75: healthy",
            Anchor::Start,
            HEALTHY_TEXT,
        );
        pen.text(
            (right + 10.0, y.px(AT_RISK_BELOW)),
            "below 40: at risk",
            Anchor::Start,
            AT_RISK_TEXT,
        );
        pen.text((right + 10.0, y.px(0.0) + 9.0), "tier that day", Anchor::Start, INK_3);
    }
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
