//! The headline figures as a message: those of the Overview page.

use super::{Message, MessageRow, MessageScope, MessageSection};
use crate::comparison::Comparison;
use crate::components::tile::Tile;
use crate::input::ReportInput;
use crate::pages::overview_tiles;

/// Returns the message with the figures of the Overview page.
pub fn overview_message(input: &ReportInput, scope: &MessageScope<'_>) -> Message {
    let tiles = overview_tiles(input, Comparison::default());
    let subject = tiles.first().map_or_else(String::new, summary);
    let section = MessageSection {
        title: "Headline figures".to_owned(),
        columns: vec!["Figure", "Period", "Value", "Change"],
        rows: tiles.iter().map(row).collect(),
        more: 0,
        none: "No events yet.",
        link: ("index.html", "Overview"),
    };
    Message::new(input, scope, &subject, vec![section])
}

fn row(tile: &Tile) -> MessageRow {
    let cells = vec![tile.label.to_owned(), tile.period.clone(), value(tile), change(tile)];
    MessageRow { path: None, cells }
}

/// Returns `active partners 40, +2 on Sep`.
fn summary(tile: &Tile) -> String {
    let change = change(tile);
    let separator = if change.is_empty() { "" } else { ", " };
    format!("{} {}{separator}{change}", tile.label.to_lowercase(), value(tile))
}

fn value(tile: &Tile) -> String {
    tile.value.as_ref().map_or_else(
        || "unknown".to_owned(),
        |value| {
            let unit = &value.unit;
            let space =
                if unit.is_empty() || matches!(unit.as_str(), "k" | "M" | "bn") { "" } else { " " };
            format!("{}{space}{unit}", value.number)
        },
    )
}

fn change(tile: &Tile) -> String {
    let change = tile.change.as_ref();
    change.map_or_else(String::new, |change| format!("{} {}", change.by.text(), change.base))
}
