//! Annotations on charts of time: a dotted vertical with a number, which the page explains once.

use chrono::NaiveDate;
use domain::format;

use super::ChartFrame;
use super::canvas::Pen;
use crate::theme::{INK_2, INK_3, MARK, PAGE};

/// The height in px that the numbers take above a chart, and above a small one.
const ROOM: f64 = 18.0;
const SMALL_ROOM: f64 = 12.0;
/// The height in px below which a chart is small: its numbers stand without a circle.
const SMALL_HEIGHT: f64 = 160.0;
/// The radius of the circle around a number in px.
const RADIUS: f64 = 7.0;
/// The length of the longest text in the description of a drawing, in characters.
const TEXT_LENGTH: usize = 80;

/// An annotation as the charts of a page mark it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// From 1, by the first day.
    pub number: usize,
    pub first: NaiveDate,
    /// Inclusive.
    pub last: NaiveDate,
    pub text: String,
}

/// The marks that fall into the days of one chart, with their places in px.
pub(crate) struct PlacedMarks<'a> {
    marks: Vec<(&'a Mark, [f64; 2])>,
    is_small: bool,
}

impl<'a> PlacedMarks<'a> {
    /// Places the marks of a chart of `days`, both inclusive, of which `x` returns the px.
    pub(crate) fn new(
        frame: &ChartFrame<'a>,
        days: Option<(NaiveDate, NaiveDate)>,
        x: impl Fn(NaiveDate) -> f64,
    ) -> Self {
        let place = |mark: &'a Mark| {
            let (from, to) = days?;
            let is_inside = mark.first <= to && mark.last >= from;
            is_inside.then(|| (mark, [x(mark.first.max(from)), x(mark.last.min(to))]))
        };
        let is_small = frame.size.1 < SMALL_HEIGHT;
        Self { marks: frame.marks.iter().filter_map(place).collect(), is_small }
    }

    /// Returns the height in px that the numbers need above the chart.
    pub(crate) fn room(&self) -> f64 {
        match (self.marks.is_empty(), self.is_small) {
            (true, _) => 0.0,
            (_, true) => SMALL_ROOM,
            (_, false) => ROOM,
        }
    }

    /// Returns the description of a drawing with its marks, for screen readers.
    pub(crate) fn described(&self, desc: &str) -> String {
        let mut text = desc.to_owned();
        for (i, (mark, _)) in self.marks.iter().enumerate() {
            text.push_str(match (i, desc.is_empty()) {
                (0, true) => "Marked: ",
                (0, false) => ". Marked: ",
                _ => "; ",
            });
            let said = format::truncate_to_chars(&mark.text, TEXT_LENGTH);
            text.push_str(&format!("{} on {}: {said}", mark.number, format::date(mark.first)));
        }
        text
    }

    /// Draws the marks down to `foot`. Numbers that would overlap are moved apart.
    pub(crate) fn draw(&self, pen: &mut Pen, foot: f64, bounds: (f64, f64)) {
        let xs: Vec<f64> = self.marks.iter().map(|(_, [from, _])| *from).collect();
        let gap = if self.is_small { 10.0 } else { 2.0 * RADIUS + 3.0 };
        let numbers = super::spread_by(&xs, bounds, gap);
        let top = self.room() - 2.0;
        for ((mark, [from, to]), number) in self.marks.iter().zip(numbers) {
            pen.line(&[(*from, top), (*from, foot)], MARK, 1.0);
            if to - from > 3.0 {
                pen.line(&[(*from, top), (*to, top)], INK_3, 1.0);
            }
            let middle = if self.is_small { 5.0 } else { RADIUS + 1.0 };
            if !self.is_small {
                pen.ring((number, middle), RADIUS, INK_2, PAGE);
            }
            pen.mark_number((number, middle), &mark.number.to_string(), INK_2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::canvas::draw;

    #[test]
    fn marks_outside_of_the_days_are_left_out() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
        let mark = |number, first: &str, last: &str| Mark {
            number,
            first: day(first),
            last: day(last),
            text: format!("text {number}"),
        };
        let marks = [
            mark(1, "2026-01-01", "2026-01-31"),
            mark(2, "2026-01-30", "2026-02-02"),
            mark(3, "2026-02-10", "2026-02-10"),
            mark(4, "2026-03-01", "2026-03-01"),
        ];
        let frame = ChartFrame { size: (300.0, 200.0), title: "", desc: "", marks: &marks };
        let days = Some((day("2026-02-01"), day("2026-02-28")));
        let x = |date: NaiveDate| 10.0 * (date - day("2026-02-01")).num_days() as f64;
        let placed = PlacedMarks::new(&frame, days, x);
        let places: Vec<(usize, [f64; 2])> =
            placed.marks.iter().map(|(mark, at)| (mark.number, *at)).collect();
        assert_eq!(places, [(2, [0.0, 10.0]), (3, [90.0, 90.0])]);
        let desc = placed.described("Calls");
        assert!(desc.starts_with("Calls. Marked: 2 on 30\u{a0}Jan: text 2; 3 on"), "{desc}");
        let svg = draw(frame.size, "", "", |pen| placed.draw(pen, 150.0, (0.0, 300.0)));
        assert!(svg.contains(">2</text>") && svg.contains(">3</text>"), "{svg}");
        let none = PlacedMarks::new(&frame, None, x);
        assert_eq!((none.room(), none.described("a")), (0.0, "a".to_owned()));
    }
}
