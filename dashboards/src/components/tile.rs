//! A tile: label and period, value, change, sparkline, and a line on the incomplete period.

use domain::format;
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
    /// Why there is no change, if that is worth a word.
    pub missing_change: Option<String>,
    pub target: Option<TileTarget>,
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

/// The goal of a tile's value.
pub(crate) struct TileTarget {
    /// The goal, such as `120`.
    pub shown: String,
    /// Whether the value of the last complete period reaches it. `None`: there is no value.
    pub is_reached: Option<bool>,
}

impl TileTarget {
    /// Compares a value with its goal, if there is one.
    pub(crate) fn of(
        goal: Option<f64>,
        value: Option<f64>,
        up_is_good: bool,
        show: impl Fn(f64) -> String,
    ) -> Option<Self> {
        let goal = goal?;
        let reaches = |value: f64| if up_is_good { value >= goal } else { value <= goal };
        Some(Self { shown: show(goal), is_reached: value.map(reaches) })
    }
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
                    None => span.quiet { (tile.missing_change.as_deref().unwrap_or("\u{A0}")) },
                }
            }
            @if let Some(target) = &tile.target {
                p.target {
                    "Target " (target.shown)
                    @match target.is_reached {
                        Some(true) => { ", " span.good { "reached" } }
                        Some(false) => { ", " span.bad { "missed" } }
                        None => "",
                    }
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

/// Returns the change of a ratio in percentage points. A change that rounds to zero has no tone.
pub(crate) fn points(by: f64, base: &str, query: String, up_is_good: bool) -> TileChange {
    let number = format::signed_decimal(by * 100.0, 1);
    let is_visible = number.starts_with(['+', format::MINUS]);
    let tone = if is_visible { tone(by, up_is_good) } else { Tone::Neutral };
    let shown = format!("{number}{}pp", format::NARROW_NO_BREAK_SPACE);
    let base = format!("{base}{}", better_or_worse(tone));
    TileChange { by: Figure::new(shown, by, query), base, tone }
}

/// Returns what stands after the base of a change with a tone.
pub(crate) fn better_or_worse(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => ", better",
        Tone::Bad => ", worse",
        Tone::Neutral => "",
    }
}

/// Returns a ratio in 0–1 as the value of a tile.
pub(crate) fn percent_value(ratio: f64, query: String) -> TileValue {
    let shown = format::percent_with_places(ratio, 1);
    let number = shown.trim_end_matches(['%', format::NARROW_NO_BREAK_SPACE]).to_owned();
    TileValue { number, unit: "%".to_owned(), exact: ratio.to_string(), query }
}
