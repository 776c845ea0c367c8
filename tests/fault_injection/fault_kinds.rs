//! The kinds of fault, and the table of their results.

use std::fmt::Write as _;

use crate::fault_injection::lake_under_test::LakeUnderTest;
use crate::fault_injection::{
    broker_and_clock, killed_workers, maintenance, object_store, own_lake, zombies,
};

/// One kind of fault.
pub(crate) struct FaultKind {
    pub(crate) name: String,
    /// How often a long round injects it.
    pub(crate) copies: usize,
    pub(crate) inject: InjectFault,
}

/// Injects the fault. A fault with a lake of its own returns its own tally.
pub(crate) type InjectFault = Box<dyn Fn(&mut LakeUnderTest<'_>) -> FaultTally>;

/// Holds the results of one kind of fault, a row of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FaultTally {
    pub(crate) times: u64,
    pub(crate) records: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
}

impl FaultTally {
    pub(crate) fn add(&mut self, more: &Self) {
        self.times += more.times;
        self.records += more.records;
        self.lost += more.lost;
        self.duplicated += more.duplicated;
    }
}

impl FaultKind {
    /// A fault in the lake under test, which is accounted for when the round ends.
    pub(crate) fn new(
        name: impl Into<String>,
        copies: usize,
        inject: impl Fn(&mut LakeUnderTest<'_>) + 'static,
    ) -> Self {
        let inject = Box::new(move |test: &mut LakeUnderTest<'_>| {
            inject(test);
            FaultTally::default()
        });
        Self { name: name.into(), copies, inject }
    }
}

/// Returns every kind of fault of lakes in a bucket or in a folder, in the order of the table.
pub(crate) fn kinds(in_bucket: bool) -> Vec<FaultKind> {
    let of_storage = if in_bucket { object_store::kinds() } else { own_lake::kinds() };
    let all = [
        killed_workers::kinds(),
        zombies::kinds(),
        broker_and_clock::kinds(),
        of_storage,
        maintenance::kinds(),
    ];
    all.into_iter().flatten().collect()
}

/// Returns the table in Markdown, with a row of totals.
pub(crate) fn table(kinds: &[FaultKind], tallies: &[FaultTally]) -> String {
    let mut text = String::from(
        "| kind of fault | times | records | lost | duplicated |\n|---|---:|---:|---:|---:|\n",
    );
    let mut sum = FaultTally::default();
    for (kind, tally) in kinds.iter().zip(tallies) {
        sum.add(tally);
        row(&mut text, &kind.name, tally);
    }
    row(&mut text, "**all**", &sum);
    text
}

fn row(text: &mut String, name: &str, tally: &FaultTally) {
    let FaultTally { times, records, lost, duplicated } = tally;
    writeln!(text, "| {name} | {times} | {records} | {lost} | {duplicated} |").expect("a String");
}
