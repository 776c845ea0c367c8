//! Injects fault after fault into workers on a real Kafka broker and checks that every record is in
//! the lake exactly once.
//!
//! A round takes one lake. A producer fills its topics without a pause, and the kinds of fault
//! strike in random order. Then a worker reads the rest undisturbed, `lake verify` must find
//! nothing, and every record of the topics is looked up in the lake. A record that is lost or
//! duplicated counts against the fault during which the lake's position passed it.
//!
//! `cargo test --workspace` runs one round, and part of one in a bucket. `RAPPORT_FAULTS=500` runs
//! as many rounds as that number of faults takes and prints a table; `RAPPORT_SEED` repeats a run.
//!
//! - `fault_kinds`: the kinds of fault and the table of results
//! - `lake_under_test`: a lake, its topics and its workers
//! - `background_producer`: the producer of a round
//! - `kafka_admin`: topics are created, deleted, truncated and read
//! - `positions`: how far the lake has read each partition
//! - `accounting`: every record of the topics against the lake
//! - `killed_workers`, `zombies`, `broker_and_clock`, `object_store`, `own_lake`, `maintenance`:
//!   the faults
//! - `stub_registry`: a Schema Registry that knows one schema

mod accounting;
mod background_producer;
mod broker_and_clock;
mod fault_kinds;
mod kafka_admin;
mod killed_workers;
mod lake_under_test;
mod maintenance;
mod object_store;
mod own_lake;
mod positions;
mod stub_registry;
mod zombies;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::fault_injection::accounting::{Discrepancies, account_for_all_records};
use crate::fault_injection::background_producer::BackgroundProducer;
use crate::fault_injection::fault_kinds::{FaultKind, FaultTally, kinds, table};
use crate::fault_injection::kafka_admin::KafkaAdmin;
use crate::fault_injection::lake_under_test::{LakeUnderTest, Servers};
use crate::fault_injection::positions::{Offsets, records_between};
use crate::support::kafka_broker::{KafkaBroker, print_note};
use crate::support::s3_server::S3Server;
use crate::support::seeded_random::SeededRandom;

/// Lets one test inject faults at a time. Each drives workers, an erasure and a producer without a
/// pause, so that two of them would only wait for each other's processes.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn injected_faults_lose_and_duplicate_nothing() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut broker) = KafkaBroker::start() else { return };
    let admin = KafkaAdmin::new(broker.bootstrap());
    let servers = Servers { broker: &mut broker, admin: &admin, bucket: None };
    run_faults(servers, &kinds(false), usize::MAX);
}

#[test]
fn injected_faults_on_s3_lose_and_duplicate_nothing() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut broker), Some(mut bucket)) = (KafkaBroker::start(), S3Server::start()) else {
        return;
    };
    let admin = KafkaAdmin::new(broker.bootstrap());
    let servers = Servers { broker: &mut broker, admin: &admin, bucket: Some(&mut bucket) };
    run_faults(servers, &kinds(true), 12);
}

/// Runs one round of at most `longest_round` faults, or as many rounds as `RAPPORT_FAULTS` asks
/// for.
fn run_faults(mut servers: Servers<'_>, kinds: &[FaultKind], longest_round: usize) {
    let wanted_faults = std::env::var("RAPPORT_FAULTS").ok();
    let is_long_run = wanted_faults.is_some();
    let wanted_faults: u64 =
        wanted_faults.map_or(1, |n| n.parse().expect("RAPPORT_FAULTS is a number"));
    let mut random = SeededRandom::from_environment();
    print_note(&format!("RAPPORT_SEED={}", random.seed));
    let mut tallies = vec![FaultTally::default(); kinds.len()];
    let mut rounds = 0;
    while tallies.iter().map(|t| t.times).sum::<u64>() < wanted_faults {
        let started = Instant::now();
        rounds += 1;
        let mut faults = shuffled_faults(kinds, &mut random, is_long_run);
        faults.truncate(if is_long_run { usize::MAX } else { longest_round });
        let test = LakeUnderTest::create(&mut servers, &mut random, rounds);
        let of_round = run_round(test, kinds, &faults, is_long_run);
        tallies.iter_mut().zip(&of_round).for_each(|(sum, more)| sum.add(more));
        if is_long_run {
            print_note(&format!(
                "round {rounds}: {} faults in {:.0?}",
                faults.len(),
                started.elapsed()
            ));
        }
    }
    if is_long_run {
        print_note(&table(kinds, &tallies));
    }
}

/// Returns the faults of a round as indices of `kinds`, shuffled. Where `RAPPORT_FAULT_KINDS` is
/// set, only kinds whose names contain it are taken.
fn shuffled_faults(
    kinds: &[FaultKind],
    random: &mut SeededRandom,
    is_long_run: bool,
) -> Vec<usize> {
    let wanted = std::env::var("RAPPORT_FAULT_KINDS").unwrap_or_default();
    let copies = |kind: &FaultKind| match kind.name.contains(&wanted) {
        true if is_long_run => kind.copies,
        chosen => usize::from(chosen),
    };
    let of_kind = |(n, kind): (usize, &FaultKind)| std::iter::repeat_n(n, copies(kind));
    let mut faults: Vec<usize> = kinds.iter().enumerate().flat_map(of_kind).collect();
    random.shuffle(&mut faults);
    faults
}

/// Injects the faults of one round and accounts for every record.
fn run_round(
    mut test: LakeUnderTest<'_>,
    kinds: &[FaultKind],
    faults: &[usize],
    is_long_run: bool,
) -> Vec<FaultTally> {
    let mut tallies = vec![FaultTally::default(); kinds.len()];
    test.catch_up();
    let mut rounds: Vec<(usize, Offsets)> = Vec::new();
    for &kind in faults {
        let started = Instant::now();
        let _in_progress = FaultInProgress(&kinds[kind].name);
        test.next_fault();
        let before = test.positions.refresh().clone();
        let own = (kinds[kind].inject)(&mut test);
        let after = test.positions.refresh().clone();
        let records = own.records + records_between(&before, &after);
        tallies[kind].add(&FaultTally { times: 1, records, ..own });
        rounds.push((kind, after));
        if is_long_run {
            print_note(&format!("{:>6.1?}  {}", started.elapsed(), kinds[kind].name));
        }
    }
    finish_and_account(test, &rounds, &mut tallies);
    tallies
}

/// Prints the name of the fault when the test fails while it is injected.
struct FaultInProgress<'k>(&'k str);

impl Drop for FaultInProgress<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_note(&format!("it failed under: {}", self.0));
        }
    }
}

/// Lets one worker read the last records undisturbed, then accounts for every record.
fn finish_and_account(
    mut test: LakeUnderTest<'_>,
    rounds: &[(usize, Offsets)],
    tallies: &mut [FaultTally],
) {
    let sent = test.producer.take().map_or(0, BackgroundProducer::finish);
    test.catch_up();
    let read: i64 = test.positions.refresh().values().sum();
    test.project.run_ok(&["lake", "verify"]);
    let Discrepancies { lost, duplicated } = account_for_all_records(&mut test);
    lost.iter().for_each(|position| tallies[responsible_kind(rounds, position)].lost += 1);
    duplicated
        .iter()
        .for_each(|position| tallies[responsible_kind(rounds, position)].duplicated += 1);
    assert_eq!(read, sent as i64, "offsets the lake has read up to, records that were sent");
    assert!(lost.is_empty() && duplicated.is_empty(), "lost {lost:?}, duplicated {duplicated:?}");
}

/// Returns the kind of fault during which the lake's position passed a record.
fn responsible_kind(rounds: &[(usize, Offsets)], position: &(String, i32, i64)) -> usize {
    let partition = (position.0.clone(), position.1);
    let has_passed =
        |positions: &Offsets| positions.get(&partition).is_some_and(|next| position.2 < *next);
    let round = rounds.iter().find(|(_, positions)| has_passed(positions)).or(rounds.last());
    round.map_or(0, |(kind, _)| *kind)
}
