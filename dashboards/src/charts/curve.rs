//! The concentration curve: the share of the total that the n largest hold.

use domain::format;

use super::ChartFrame;
use super::scale::{Scale, labelled, ticks};
use crate::charts::canvas::{Anchor, Pen, draw, width_of};
use crate::theme::{GRID, INK, INK_2, INK_3, PAGE, RULE, SERIES};

const LEFT: f64 = 50.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 42.0;
/// The height of a label.
const LINE: f64 = 15.0;

/// Returns the cumulative shares, the largest first: item i is the share of the i + 1 largest.
pub(crate) fn cumulative_shares(mut amounts: Vec<f64>) -> Vec<f64> {
    amounts.retain(|a| *a > 0.0);
    amounts.sort_by(|a, b| b.total_cmp(a));
    let total: f64 = amounts.iter().sum();
    let mut sum = 0.0;
    amounts
        .iter()
        .map(|a| {
            sum += a;
            sum / total
        })
        .collect()
}

/// Draws the curve. `marks` are the ranks that are labelled on it, such as 10 for the ten largest.
pub(crate) fn concentration_curve(
    frame: &ChartFrame,
    shares: &[f64],
    marks: &[usize],
    axis_title: &str,
) -> String {
    let (width, height) = frame.size;
    let n = shares.len().max(1) as f64;
    let foot = height - BOTTOM;
    let x = Scale::linear((0.0, n), (LEFT, width - 16.0));
    let y = Scale::linear((0.0, 1.0), (foot, TOP));
    draw(frame.size, frame.title, frame.desc, |pen| {
        for quarter in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let role = if quarter == 0.0 { INK } else { GRID };
            pen.horizontal((LEFT, width - 16.0), y.px(quarter), role);
            pen.text((LEFT - 8.0, y.px(quarter)), &format::percent(quarter), Anchor::End, INK_3);
        }
        for (tick, label) in labelled(ticks(n), &|v| format::thousands(v as i64)) {
            pen.line(&[(x.px(tick), foot), (x.px(tick), foot + 4.0)], INK_3, 1.0);
            pen.text((x.px(tick), foot + 14.0), &label, Anchor::Middle, INK_3);
        }
        pen.text((LEFT, foot + 32.0), axis_title, Anchor::Start, INK_3);
        pen.dashes(&[(x.px(0.0), y.px(0.0)), (x.px(n), y.px(1.0))], RULE, 1.0, (3.0, 3.0));
        let mut points = vec![(x.px(0.0), y.px(0.0))];
        points.extend(shares.iter().enumerate().map(|(i, s)| (x.px(i as f64 + 1.0), y.px(*s))));
        pen.line(&without_near_points(&points), SERIES, 1.75);
        // The label of a low mark stays above the axis, and above the label of the mark before it.
        let mut lowest = foot - 11.0;
        for rank in marks {
            lowest = mark(pen, (&x, &y), shares, *rank, (width, lowest)) - LINE;
        }
        label_diagonal(pen, (&x, &y), n);
    })
}

/// Leaves out points that are less than a pixel from the one drawn before, for thousands of partners
/// would make a heavy page; the first and the last one stay.
fn without_near_points(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut drawn: Vec<(f64, f64)> = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let is_far =
            |last: &(f64, f64)| (point.0 - last.0).abs() >= 1.0 || (point.1 - last.1).abs() >= 1.0;
        if i + 1 == points.len() || drawn.last().is_none_or(is_far) {
            drawn.push(*point);
        }
    }
    drawn
}

/// Draws a mark with its label not below `lowest`, and returns where the label is.
fn mark(
    pen: &mut Pen,
    (x, y): (&Scale, &Scale),
    shares: &[f64],
    rank: usize,
    (width, lowest): (f64, f64),
) -> f64 {
    let Some(share) = rank.checked_sub(1).and_then(|i| shares.get(i)) else { return lowest };
    let at = (x.px(rank as f64), y.px(*share));
    pen.ring(at, 4.0, SERIES, PAGE);
    let who = if rank == 1 {
        "the largest".to_owned()
    } else {
        format!("the {} largest", format::count_in_words(rank as i64))
    };
    let label = format!("{} {who}", format::percent(*share));
    // There is room on the right of and below the curve, unless the mark is near the right edge.
    let fits = at.0 + 10.0 + width_of(&label, true) <= width - 12.0;
    if fits {
        let label_at = (at.1 + 9.0).min(lowest);
        pen.bold((at.0 + 11.0, label_at), &label, Anchor::Start, INK);
        label_at
    } else {
        pen.bold((at.0 - 9.0, at.1 + 20.0), &label, Anchor::End, INK);
        at.1 + 20.0
    }
}

/// Labels the diagonal where the curve leaves room under it.
fn label_diagonal(pen: &mut Pen, (x, y): (&Scale, &Scale), n: f64) {
    let at = (x.px(n * 0.98), y.px(0.9) + 34.0);
    pen.text(at, "dashed: all equal", Anchor::End, INK_2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_low_marks_stand_above_each_other() {
        let shares = cumulative_shares(vec![1.0; 1_400]);
        let frame = ChartFrame { size: (365.0, 340.0), title: "Shares", desc: "", marks: &[] };
        let chart = concentration_curve(&frame, &shares, &[1, 10], "partners");
        let labels = chart.split("<text").filter(|text| text.contains("largest"));
        let heights: Vec<f64> = labels
            .filter_map(|text| text.split_once(" y=\"")?.1.split_once('"')?.0.parse().ok())
            .collect();
        assert!(matches!(heights[..], [one, ten] if ten <= one - LINE), "{heights:?}");
    }

    #[test]
    fn a_curve_of_many_partners_is_as_light_as_one_of_hundreds() {
        let points: Vec<(f64, f64)> =
            (0..=50_000).map(|i| (f64::from(i) / 200.0, f64::from(i).sqrt())).collect();
        let drawn = without_near_points(&points);
        assert!(drawn.len() < 600, "{}", drawn.len());
        assert_eq!((drawn.first(), drawn.last()), (points.first(), points.last()));
        let few = [(0.0, 0.0), (0.2, 0.1), (40.0, 9.0), (40.5, 9.5)];
        assert_eq!(without_near_points(&few), [few[0], few[2], few[3]]);
    }

    #[test]
    fn shares_add_up_to_one() {
        #[track_caller]
        fn check(amounts: &[f64], expected: &[f64]) {
            assert_eq!(cumulative_shares(amounts.to_vec()), expected);
        }
        check(&[1.0, 3.0, 0.0], &[0.75, 1.0]);
        check(&[], &[]);
        check(&[-4.0, 2.0], &[1.0]);
    }
}
