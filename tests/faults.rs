//! Fault after fault against workers on a real Kafka broker: every record once, none lost.
//!
//! A season is one lake: a producer that never rests fills its topics, and a deck that holds every
//! kind of fault is shuffled and dealt. Then a worker reads the rest undisturbed, `lake verify` must
//! find nothing, and every record of the topics is looked for in the lake. What is lost or doubled
//! is laid to the fault after which the lake moved over it.
//!
//! `cargo test --workspace` plays one season, and part of one in a bucket. `RAPPORT_FAULTS=500` plays
//! as many as it takes for so many faults and prints the table; `RAPPORT_SEED` draws the same again.
//!
//! Reading order: `deck` (kinds and table), `season` (a lake and its workers), `feed` (the
//! producer), `broker` (topics), `positions` (how far the lake is), `count`; then the faults:
//! `kills`, `zombies`, `surroundings`, `store`, `scenes`, `care` with its `registry`; `luck` draws.

mod broker;
mod care;
mod count;
mod deck;
mod feed;
mod kills;
pub(crate) mod luck;
mod positions;
mod registry;
mod scenes;
mod season;
mod store;
mod surroundings;
mod zombies;

use std::time::Instant;

use crate::bucket::Bucket;
use crate::faults::broker::Admin;
use crate::faults::count::{Wrong, count};
use crate::faults::deck::{Kind, Tally, kinds, table};
use crate::faults::feed::Feed;
use crate::faults::luck::Luck;
use crate::faults::positions::{Offsets, between};
use crate::faults::season::{Ground, Season};
use crate::kafka::{Broker, note};

#[test]
fn faults_lose_and_double_nothing() {
    let Some(mut broker) = Broker::start() else { return };
    let admin = Admin::new(broker.bootstrap());
    let ground = Ground { broker: &mut broker, admin: &admin, bucket: None };
    suffer(ground, &kinds(false), usize::MAX);
}

#[test]
fn faults_in_a_bucket_lose_and_double_nothing() {
    let (Some(mut broker), Some(mut bucket)) = (Broker::start(), Bucket::start()) else { return };
    let admin = Admin::new(broker.bootstrap());
    let ground = Ground { broker: &mut broker, admin: &admin, bucket: Some(&mut bucket) };
    suffer(ground, &kinds(true), 12);
}

/// Plays seasons: one of at most so many faults, or the many that `RAPPORT_FAULTS` asks for.
fn suffer(mut ground: Ground<'_>, kinds: &[Kind], most: usize) {
    let due = std::env::var("RAPPORT_FAULTS").ok();
    let long = due.is_some();
    let due: u64 = due.map_or(1, |n| n.parse().expect("RAPPORT_FAULTS is a number"));
    let mut luck = Luck::new();
    note(&format!("RAPPORT_SEED={}", luck.seed));
    let mut tallies = vec![Tally::default(); kinds.len()];
    let mut seasons = 0;
    while tallies.iter().map(|t| t.times).sum::<u64>() < due {
        let began = Instant::now();
        seasons += 1;
        let mut deck = deal(kinds, &mut luck, long);
        deck.truncate(if long { usize::MAX } else { most });
        let season = Season::begin(&mut ground, &mut luck, seasons);
        let of_season = play(season, kinds, &deck, long);
        tallies.iter_mut().zip(&of_season).for_each(|(sum, more)| sum.add(more));
        if long {
            note(&format!("season {seasons}: {} faults in {:.0?}", deck.len(), began.elapsed()));
        }
    }
    if long {
        note(&table(kinds, &tallies));
    }
}

/// A shuffled deck of the kinds; of those whose names hold `RAPPORT_FAULT_KINDS`, if that is set.
fn deal(kinds: &[Kind], luck: &mut Luck, long: bool) -> Vec<usize> {
    let wanted = std::env::var("RAPPORT_FAULT_KINDS").unwrap_or_default();
    let copies = |kind: &Kind| match kind.name.contains(&wanted) {
        true if long => kind.copies,
        chosen => usize::from(chosen),
    };
    let of_kind = |(n, kind): (usize, &Kind)| std::iter::repeat_n(n, copies(kind));
    let mut deck: Vec<usize> = kinds.iter().enumerate().flat_map(of_kind).collect();
    luck.shuffle(&mut deck);
    deck
}

/// Plays the deck of one season, and counts.
fn play(mut season: Season<'_>, kinds: &[Kind], deck: &[usize], long: bool) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); kinds.len()];
    season.catch_up();
    let mut rounds: Vec<(usize, Offsets)> = Vec::new();
    for &kind in deck {
        let began = Instant::now();
        let _striking = Striking(&kinds[kind].name);
        season.next_round();
        let before = season.positions.follow().clone();
        let own = (kinds[kind].strike)(&mut season);
        let after = season.positions.follow().clone();
        let records = own.records + between(&before, &after);
        tallies[kind].add(&Tally { times: 1, records, ..own });
        rounds.push((kind, after));
        if long {
            note(&format!("{:>6.1?}  {}", began.elapsed(), kinds[kind].name));
        }
    }
    end(season, &rounds, &mut tallies);
    tallies
}

/// Says which fault it was when a test fails under it.
struct Striking<'k>(&'k str);

impl Drop for Striking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            note(&format!("it failed under: {}", self.0));
        }
    }
}

/// The last records are read undisturbed; then everything is counted.
fn end(mut season: Season<'_>, rounds: &[(usize, Offsets)], tallies: &mut [Tally]) {
    let sent = season.feed.take().map_or(0, Feed::finish);
    season.catch_up();
    let read: i64 = season.positions.follow().values().sum();
    season.project.ok(&["lake", "verify"]);
    let wrong = count(&mut season);
    let Wrong { lost, doubled } = &wrong;
    lost.iter().for_each(|place| tallies[culprit(rounds, place)].lost += 1);
    doubled.iter().for_each(|place| tallies[culprit(rounds, place)].doubled += 1);
    assert_eq!(read, sent as i64, "offsets the lake has read up to, records that were sent");
    assert!(lost.is_empty() && doubled.is_empty(), "lost {lost:?}, doubled {doubled:?}");
}

/// The kind after which the lake had moved over a place.
fn culprit(rounds: &[(usize, Offsets)], place: &(String, i32, i64)) -> usize {
    let of = (place.0.clone(), place.1);
    let over = |positions: &Offsets| positions.get(&of).is_some_and(|next| place.2 < *next);
    let round = rounds.iter().find(|(_, positions)| over(positions)).or(rounds.last());
    round.map_or(0, |(kind, _)| *kind)
}
