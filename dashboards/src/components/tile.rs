//! A tile: label and period, value, change, sparkline, and a line on the incomplete period.

use maud::{Markup, PreEscaped, html};

use crate::charts::spark::tile_spark;
use crate::components::figure::Figure;

/// Whether a change is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Neutral,
}

/// One figure of the overview.
pub(crate) struct Tile {
    pub label: &'static str,
    pub period: String,
    /// `None`: the value is unknown, and the footer says why.
    pub value: Option<TileValue>,
    pub change: Option<TileChange>,
    /// The values of the sparkline.
    pub history: Vec<Option<f64>>,
    pub footer: Markup,
}

/// The value of a tile. The unit is set in smaller type.
pub(crate) struct TileValue {
    pub number: String,
    pub unit: String,
    /// The value without rounding.
    pub exact: String,
    /// The query that gives the value.
    pub query: String,
}

/// The change of a tile's value against the period before.
pub(crate) struct TileChange {
    /// `+28`
    pub by: Figure,
    /// What the change is compared with: `on Jul`.
    pub base: String,
    pub tone: Tone,
}

/// Returns tiles in a row.
pub(crate) fn row_of_tiles(tiles: &[Tile]) -> Markup {
    html! { div.tiles { @for tile in tiles { (render(tile)) } } }
}

fn render(tile: &Tile) -> Markup {
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
                    Some(TileChange { by, base, tone }) => { span.good[*tone == Tone::Good].bad[*tone == Tone::Bad] { (by) } " " (base) }
                    None => "\u{A0}",
                }
            }
            (PreEscaped(tile_spark(&format!("{} over time", tile.label), &tile.history)))
            p.foot { (tile.footer) }
        }
    }
}

/// Returns the tone of a change.
pub(crate) fn tone(change: f64, up_is_good: bool) -> Tone {
    if change.abs() < 1e-9 {
        Tone::Neutral
    } else if (change > 0.0) == up_is_good {
        Tone::Good
    } else {
        Tone::Bad
    }
}
