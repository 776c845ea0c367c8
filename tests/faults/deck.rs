//! The kinds of fault, dealt like cards, and the table of what became of them.

use std::fmt::Write as _;

use crate::faults::season::Season;
use crate::faults::{care, kills, scenes, store, surroundings, zombies};

/// One kind of fault.
pub(crate) struct Kind {
    pub(crate) name: String,
    /// How often a deck holds it.
    pub(crate) copies: usize,
    pub(crate) strike: Strike,
}

/// What a fault does; its own count where it has a lake of its own.
pub(crate) type Strike = Box<dyn Fn(&mut Season<'_>) -> Tally>;

/// A row of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) times: u64,
    pub(crate) records: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, more: &Self) {
        self.times += more.times;
        self.records += more.records;
        self.lost += more.lost;
        self.doubled += more.doubled;
    }
}

impl Kind {
    /// A fault to the season's own lake, which is counted when the season ends.
    pub(crate) fn new(
        name: impl Into<String>,
        copies: usize,
        strike: impl Fn(&mut Season<'_>) + 'static,
    ) -> Self {
        let strike = Box::new(move |season: &mut Season<'_>| {
            strike(season);
            Tally::default()
        });
        Self { name: name.into(), copies, strike }
    }
}

/// Every kind there is, in the order of the table; of lakes in a bucket, or in a folder.
pub(crate) fn kinds(in_bucket: bool) -> Vec<Kind> {
    let place = if in_bucket { store::kinds() } else { scenes::kinds() };
    let all = [kills::kinds(), zombies::kinds(), surroundings::kinds(), place, care::kinds()];
    all.into_iter().flatten().collect()
}

/// The table in Markdown, with its sum.
pub(crate) fn table(kinds: &[Kind], tallies: &[Tally]) -> String {
    let mut text = String::from(
        "| kind of fault | times | records | lost | doubled |\n|---|---:|---:|---:|---:|\n",
    );
    let mut sum = Tally::default();
    for (kind, tally) in kinds.iter().zip(tallies) {
        sum.add(tally);
        row(&mut text, &kind.name, tally);
    }
    row(&mut text, "**all**", &sum);
    text
}

fn row(text: &mut String, name: &str, tally: &Tally) {
    let Tally { times, records, lost, doubled } = tally;
    writeln!(text, "| {name} | {times} | {records} | {lost} | {doubled} |").expect("a String");
}
