//! The drawing surface: the SVG backend of plotters, with quarter pixels, colour roles, dashes and
//! hatching.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use plotters::backend::SVGBackend;
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, FontFamily, FontStyle, RGBAColor, ShapeStyle, TextStyle};

use crate::theme::ColourRole;

/// The number of the backend's whole units in a pixel. With four, a line of 1.75 px is exact.
const UNITS: f64 = 4.0;

/// The text size of charts in px.
pub(crate) const TEXT_SIZE: f64 = 12.0;

/// The size of the number in a mark in px.
const MARK_SIZE: f64 = 11.0;

/// The point of a text that its x coordinate gives, as the SVG attribute `text-anchor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Draws on one chart. Coordinates are in px from the top left corner.
pub(crate) struct Pen<'a> {
    backend: SVGBackend<'a>,
    /// The width of the drawing in px.
    width: f64,
}

/// Draws a chart of `size` px and returns its SVG. Screen readers read `title` and `desc`.
pub(crate) fn draw(
    size: (f64, f64),
    title: &str,
    desc: &str,
    paint: impl FnOnce(&mut Pen),
) -> String {
    let mut drawn = String::new();
    let units = (to_units(size.0).unsigned_abs(), to_units(size.1).unsigned_abs());
    let backend = SVGBackend::with_string(&mut drawn, units);
    let mut pen = Pen { backend, width: size.0 };
    paint(&mut pen);
    // The backend writes to a String, which cannot fail.
    let _ = pen.backend.present();
    drop(pen);
    let body = drawn.split_once('\n').map_or("", |(_, body)| body);
    let body = without_line_breaks(&without_defaults(body));
    format!(
        "<svg role=\"img\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\"><title>{}</title><desc>{}</desc>{body}",
        size.0,
        size.1,
        units.0,
        units.1,
        escape(title),
        escape(desc),
    )
}

/// Leaves out attributes with default values, and the font family, which comes from the page.
///
/// Content is escaped, so that these patterns, which contain quotes, never occur in it.
fn without_defaults(svg: &str) -> String {
    static DEFAULTS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        searcher([
            " opacity=\"1\"",
            " stroke=\"none\"",
            " font-family=\"inherit\"",
            " dy=\"0.5ex\"",
            " text-anchor=\"start\"",
        ])
    });
    DEFAULTS.replace_all(svg, &[""; 5])
}

/// Leaves out the line breaks after elements and in texts, and the space after the last point of a path.
/// In content `<` and `>` are escaped.
fn without_line_breaks(svg: &str) -> String {
    static BREAKS: LazyLock<AhoCorasick> =
        LazyLock::new(|| searcher([" \"/>\n", " \"/>", "\n</text>\n", "\n</text>", ">\n"]));
    BREAKS.replace_all(svg, &["\"/>", "\"/>", "</text>", "</text>", ">"])
}

/// Returns a searcher of fixed texts, of which the longest counts where several begin.
fn searcher<const N: usize>(texts: [&str; N]) -> AhoCorasick {
    let built = AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostLongest).build(texts);
    built.expect("a few short texts")
}

impl Pen<'_> {
    /// Draws a filled rectangle.
    pub(crate) fn rect(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        role: ColourRole,
    ) {
        if width <= 0.0 || height <= 0.0 {
            return;
        }
        let _ =
            self.backend.draw_rect(at(x, y), at(x + width, y + height), &style(role, 1.0), true);
    }

    /// Draws the outline of a rectangle, inside its edges.
    pub(crate) fn frame(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        role: ColourRole,
    ) {
        let (left, top) = (x + 0.5, y + 0.5);
        let (right, bottom) = (x + width - 0.5, y + height - 0.5);
        if right <= left || bottom <= top {
            return;
        }
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.line(&corners, role, 1.0);
    }

    /// Draws a dashed outline, as for an incomplete period.
    pub(crate) fn dashed_frame(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        role: ColourRole,
    ) {
        let (left, top) = (x + 0.5, y + 0.5);
        let (right, bottom) = (x + width - 0.5, y + height - 0.5);
        if right <= left || bottom <= top {
            return;
        }
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.dashes(&corners, role, 1.0, (3.0, 2.0));
    }

    /// Draws a polyline.
    pub(crate) fn line(&mut self, points: &[(f64, f64)], role: ColourRole, width: f64) {
        if points.len() < 2 {
            return;
        }
        let points = points.iter().map(|(x, y)| at(*x, *y));
        let _ = self.backend.draw_path(points, &style(role, width));
    }

    /// Draws a horizontal hairline on whole pixels.
    pub(crate) fn horizontal(&mut self, (from, to): (f64, f64), y: f64, role: ColourRole) {
        let y = y.round() + 0.5;
        let _ = self.backend.draw_line(at(from, y), at(to, y), &style(role, 1.0));
    }

    /// Draws a dashed polyline. The pattern continues around its corners.
    pub(crate) fn dashes(
        &mut self,
        points: &[(f64, f64)],
        role: ColourRole,
        width: f64,
        (on, off): (f64, f64),
    ) {
        let mut left = on;
        let mut drawing = true;
        for pair in points.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let length = (x1 - x0).hypot(y1 - y0);
            let mut done = 0.0;
            while done < length {
                let step = left.min(length - done);
                let along = |d: f64| (x0 + (x1 - x0) * d / length, y0 + (y1 - y0) * d / length);
                if drawing {
                    self.line(&[along(done), along(done + step)], role, width);
                }
                done += step;
                left -= step;
                if left <= 1e-9 {
                    drawing = !drawing;
                    left = if drawing { on } else { off };
                }
            }
        }
    }

    /// Draws a filled polygon.
    pub(crate) fn polygon(&mut self, points: &[(f64, f64)], role: ColourRole) {
        let points: Vec<_> = points.iter().map(|(x, y)| at(*x, *y)).collect();
        let _ = self.backend.fill_polygon(points, &style(role, 1.0));
    }

    /// Draws a filled dot.
    pub(crate) fn dot(&mut self, (x, y): (f64, f64), radius: f64, role: ColourRole) {
        let radius = to_units(radius).unsigned_abs();
        let _ = self.backend.draw_circle(at(x, y), radius, &style(role, 1.0), true);
    }

    /// Draws a hollow dot, which stands for a value that may still change.
    pub(crate) fn ring(
        &mut self,
        centre: (f64, f64),
        radius: f64,
        role: ColourRole,
        page: ColourRole,
    ) {
        self.dot(centre, radius + 0.75, role);
        self.dot(centre, radius - 0.75, page);
    }

    /// Fills a rectangle with 45° strokes 1 px wide. The strokes are cut at its edges by
    /// arithmetic, since the backend has no clipping.
    pub(crate) fn hatch(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        role: ColourRole,
        step: f64,
    ) {
        let mut offset = step;
        // A stroke is the part of the line u + v = offset inside the rectangle.
        while offset < width + height {
            let (u0, u1) = ((offset - height).max(0.0), offset.min(width));
            if u1 - u0 > 0.5 {
                let point = |u: f64| (x + u, y + (offset - u));
                self.line(&[point(u0), point(u1)], role, 1.0);
            }
            offset += step;
        }
    }

    /// Fills the band between two curves with the same strokes, for x in `from` to `to`.
    pub(crate) fn hatch_between(
        &mut self,
        (from, to): (f64, f64),
        (top, foot): (&dyn Fn(f64) -> f64, &dyn Fn(f64) -> f64),
        (role, step): (ColourRole, f64),
    ) {
        let xs = |n: usize| from + n as f64;
        let count = (to - from).max(0.0) as usize;
        let highest = (0..=count).map(|n| top(xs(n))).fold(f64::INFINITY, f64::min);
        let lowest = (0..=count).map(|n| foot(xs(n))).fold(f64::NEG_INFINITY, f64::max);
        let mut sum = from + highest + step;
        // Along a stroke x + y is constant. The loop follows it one pixel at a time.
        while sum < to + lowest {
            let inside = |x: f64| (top(x)..=foot(x)).contains(&(sum - x));
            let mut start: Option<f64> = None;
            for x in (0..=count + 1).map(xs) {
                let within = x <= to && inside(x);
                match (start, within) {
                    (None, true) => start = Some(x),
                    (Some(first), false) => {
                        let end = x - 1.0;
                        if end > first {
                            self.line(&[(first, sum - first), (end, sum - end)], role, 1.0);
                        }
                        start = None;
                    }
                    _ => {}
                }
            }
            sum += step;
        }
    }

    /// Writes a text whose digits are centred on `y`.
    pub(crate) fn text(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
        anchor: Anchor,
        role: ColourRole,
    ) {
        self.write((x, y), text, anchor, role, TEXT_SIZE, FontStyle::Normal);
    }

    /// Writes a bold text whose digits are centred on `y`.
    pub(crate) fn bold(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
        anchor: Anchor,
        role: ColourRole,
    ) {
        self.write((x, y), text, anchor, role, TEXT_SIZE, FontStyle::Bold);
    }

    /// Writes the number of a mark, bold and centred on its place.
    pub(crate) fn mark_number(&mut self, at: (f64, f64), text: &str, role: ColourRole) {
        self.write(at, text, Anchor::Middle, role, MARK_SIZE, FontStyle::Bold);
    }

    fn write(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
        anchor: Anchor,
        role: ColourRole,
        size: f64,
        weight: FontStyle,
    ) {
        let hpos = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // The backend divides the size by 1.24.
        let font = FontDesc::new(FontFamily::Name("inherit"), size * UNITS * 1.24, weight);
        let style = TextStyle {
            font,
            color: plotters::prelude::Color::to_backend_color(&colour(role)),
            pos: Pos::new(hpos, VPos::Center),
        };
        // A centred text near an edge is moved inside the drawing, where it is visible.
        let half = width_of(text, matches!(weight, FontStyle::Bold)) / 2.0;
        let x = match anchor {
            Anchor::Middle if 2.0 * half < self.width => x.clamp(half, self.width - half),
            Anchor::Middle => self.width / 2.0,
            _ => x,
        };
        let baseline = y + 0.36 * size;
        let _ = self.backend.draw_text(text, &style, at(x, baseline));
    }
}

/// Returns the room that a text may take in px: 0.6 em per character, 0.7 em if bold.
pub(crate) fn width_of(text: &str, bold: bool) -> f64 {
    let em = if bold { 0.7 } else { 0.6 };
    text.chars().count() as f64 * em * TEXT_SIZE
}

fn at(x: f64, y: f64) -> (i32, i32) {
    (to_units(x), to_units(y))
}

fn to_units(px: f64) -> i32 {
    // Charts are at most a few thousand px wide. A value that is not finite becomes 0.
    (px * UNITS).round() as i32
}

fn colour(role: ColourRole) -> RGBAColor {
    let [_, red, green, blue] = role.light.to_be_bytes();
    RGBAColor(red, green, blue, 1.0)
}

fn style(role: ColourRole, width: f64) -> ShapeStyle {
    let stroke_width = to_units(width).unsigned_abs();
    ShapeStyle { color: colour(role), filled: true, stroke_width }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{INK, PAGE, SERIES};

    #[test]
    fn a_drawing_is_small_and_says_what_it_is() {
        let svg = draw((100.0, 20.0), "Calls", "10 & more", |pen| {
            pen.rect((0.0, 0.0), (10.0, 5.0), SERIES);
            pen.text((4.0, 10.0), "<b>", Anchor::End, INK);
        });
        let expected = "<svg role=\"img\" width=\"100\" height=\"20\" viewBox=\"0 0 400 80\">\
            <title>Calls</title><desc>10 &amp; more</desc>\
            <rect x=\"0\" y=\"0\" width=\"40\" height=\"20\" fill=\"#1F66AE\"/>\
            <text x=\"16\" y=\"57\" text-anchor=\"end\" font-size=\"48\" fill=\"#14202B\">&lt;b&gt;</text></svg>";
        assert_eq!(svg, expected);
    }

    #[test]
    fn centred_text_stays_inside() {
        let at = |x: f64, text: &str| {
            let svg =
                draw((100.0, 20.0), "", "", |pen| pen.text((x, 10.0), text, Anchor::Middle, INK));
            let (_, rest) = svg.split_once("<text x=\"").expect("a text");
            let (x, _) = rest.split_once('"').expect("a place");
            x.parse::<f64>().expect("a number") / 4.0
        };
        // Ten characters take 72 px at most.
        assert_eq!(at(50.0, "27 of 30 d"), 50.0);
        assert_eq!(at(90.0, "27 of 30 d"), 64.0);
        assert_eq!(at(5.0, "27 of 30 d"), 36.0);
        assert_eq!(at(5.0, "longer than the whole drawing is wide"), 50.0);
    }

    #[test]
    fn hatching_stays_inside() {
        let svg = draw((60.0, 60.0), "", "", |pen| {
            pen.hatch((10.0, 10.0), (20.0, 30.0), INK, 6.0);
            pen.ring((20.0, 20.0), 4.0, INK, PAGE);
        });
        let points = svg.split("points=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for pair in points.flat_map(|list| list.split(' ')) {
            let (x, y) = pair.split_once(',').expect("a pair");
            let (x, y): (i32, i32) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!((40..=120).contains(&x) && (40..=160).contains(&y), "{x},{y}");
        }
    }
}
