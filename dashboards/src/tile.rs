//! A tile: label and period, value, change with its base, sparkline, one line on the running period.

use maud::{Markup, PreEscaped, html};

use crate::charts::spark::tile_spark;
use crate::figure::Figure;

/// What a change means to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Plain,
}

pub(crate) struct Tile {
    pub label: &'static str,
    pub period: String,
    /// `None` is unknown, which the foot explains.
    pub value: Option<Value>,
    /// `+28`, `on Jul`; the tone colours the first.
    pub change: Option<(Figure, String, Tone)>,
    pub line: Vec<Option<f64>>,
    pub foot: Markup,
}

/// The figure of a tile, its unit set smaller: what is printed, exactly, and the query behind it.
pub(crate) struct Value {
    pub number: String,
    pub unit: String,
    pub exact: String,
    pub query: String,
}

/// Tiles in a row with hairlines between.
pub(crate) fn tiles(tiles: &[Tile]) -> Markup {
    html! { div.tiles { @for tile in tiles { (one(tile)) } } }
}

fn one(tile: &Tile) -> Markup {
    html! {
        div.tile {
            p.label { span { (tile.label) } span.period { (tile.period) } }
            p.value {
                @match &tile.value {
                    Some(value) => data value=(value.exact) data-sql=(value.query) {
                        (value.number)
                        @if !value.unit.is_empty() { span.unit.tight[matches!(value.unit.as_str(), "k" | "M" | "bn")] { (value.unit) } }
                    },
                    None => span.unknown { "Unknown" },
                }
            }
            p.change {
                @match &tile.change {
                    Some((by, base, tone)) => { span.good[*tone == Tone::Good].bad[*tone == Tone::Bad] { (by) } " " (base) }
                    None => "\u{A0}",
                }
            }
            (PreEscaped(tile_spark(&format!("{} over time", tile.label), &tile.line)))
            p.foot { (tile.foot) }
        }
    }
}

/// The tone of a change; `up_is_good` is `None` where direction has no meaning.
pub(crate) fn tone(change: f64, up_is_good: bool) -> Tone {
    if change.abs() < 1e-9 {
        Tone::Plain
    } else if (change > 0.0) == up_is_good {
        Tone::Good
    } else {
        Tone::Bad
    }
}
