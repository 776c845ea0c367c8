//! The charts of a section as a drawing of their own, for slides and mails.

/// The distance between two charts of one section, in px.
const GAP: f64 = 16.0;
/// Drawings below this width, in px, are parts of tables and tiles.
const LEAST_WIDTH: f64 = 240.0;

/// A drawing that needs no page around it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartFile {
    /// The SVG document, in the colours of the light theme.
    pub svg: String,
    /// The size in px.
    pub width: f64,
    pub height: f64,
}

/// Returns the charts of a section of a rendered page, one below the other, or `None` if the page has
/// no such section or the section has no chart.
pub fn chart_file(html: &str, section: &str) -> Option<ChartFile> {
    let (_, rest) = html.split_once(&format!("<section id=\"{section}\""))?;
    let (section, _) = rest.split_once("</section>")?;
    let charts: Vec<Chart> = wide_parts(section).flat_map(charts).collect();
    let width = charts.iter().map(|chart| chart.width).reduce(f64::max)?;
    let (mut body, mut height) = (String::new(), 0.0);
    for chart in &charts {
        if height > 0.0 {
            height += GAP;
        }
        body.push_str(&format!("<svg y=\"{height}\" {}", chart.after_name));
        height += chart.height;
    }
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', sans-serif\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>{body}</svg>\n"
    );
    Some(ChartFile { svg, width, height })
}

/// Returns the parts of a section without its drawings for phones.
fn wide_parts(section: &str) -> impl Iterator<Item = &str> {
    const NARROW: &str = "<div class=\"narrow\">";
    section.split(NARROW).enumerate().map(|(i, part)| match i {
        0 => part,
        _ => part.split_once("</div>").map_or("", |(_, after)| after),
    })
}

/// A chart within a page.
struct Chart<'a> {
    /// The element after `<svg `, its end included.
    after_name: &'a str,
    width: f64,
    height: f64,
}

fn charts(part: &str) -> Vec<Chart<'_>> {
    const START: &str = "<svg role=\"img\"";
    const END: &str = "</svg>";
    let element = |(at, _): (usize, &str)| {
        let whole = &part[at..];
        let end = whole.find(END)? + END.len();
        let after_name = whole[..end].strip_prefix("<svg ")?;
        let size = |name: &str| {
            let (_, value) = after_name.split_once(&format!(" {name}=\""))?;
            value.split_once('"')?.0.parse::<f64>().ok()
        };
        Some(Chart { after_name, width: size("width")?, height: size("height")? })
    };
    let all = part.match_indices(START).filter_map(element);
    all.filter(|chart| chart.width >= LEAST_WIDTH).collect()
}
