//! What the benchmark measured: its phases, and the costs beside each other.

use std::io::Write;
use std::time::Instant;

use anyhow::Context;
use domain::{counted, thousands};
use serde::Serialize;

use crate::output::{print_line, print_note, print_table};
use crate::resource_usage::{cpu_time, peak_memory, reset_peak_memory};
use crate::table::Table;

/// One measured pass over the topic.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BenchPhase {
    /// `raw`, `ingest` or `mapped`.
    what: &'static str,
    pub(super) records: u64,
    cpu_seconds: f64,
    seconds: f64,
    /// The peak of the resident memory.
    peak_bytes: u64,
}

/// The results of the benchmark.
#[derive(Debug, Serialize)]
pub(super) struct BenchReport {
    records: u64,
    value_bytes: u64,
    partitions: i32,
    pub(super) phases: Vec<BenchPhase>,
    /// Bytes of Parquet a record.
    parquet_bytes: f64,
    commits: u64,
    /// Events a second of one core; the median of the rounds.
    raw_rate: f64,
    ingest_rate: f64,
    /// `ingest_rate` over `raw_rate`: minimum, median and maximum of the rounds.
    ratio: [f64; 3],
    /// The cost of a mapped event, where a mapping was measured.
    pub(super) mapped: Option<MappedReport>,
    peak_bytes: u64,
}

/// What a mapped event costs beside a plain one.
#[derive(Debug, Serialize)]
pub(super) struct MappedReport {
    mapping: String,
    /// Bytes of the mapped topic's values.
    value_bytes: u64,
    /// Events a second of one core; the median of the rounds.
    rate: f64,
    /// The CPU time of a mapped event over that of a plain one: minimum, median and maximum of the
    /// rounds.
    cost: [f64; 3],
}

impl BenchPhase {
    /// Measures `read`, which returns how many records it read.
    pub(super) fn measure(
        what: &'static str,
        read: impl FnOnce() -> anyhow::Result<u64>,
    ) -> anyhow::Result<Self> {
        reset_peak_memory();
        let (before, began) = (cpu_time()?, Instant::now());
        let records = read()?;
        let cpu = cpu_time()?.saturating_sub(before);
        Ok(Self {
            what,
            records,
            cpu_seconds: cpu.as_secs_f64(),
            seconds: began.elapsed().as_secs_f64(),
            peak_bytes: peak_memory()?,
        })
    }

    /// Returns the events a second of one core.
    fn rate(&self) -> f64 {
        self.records as f64 / self.cpu_seconds.max(1e-9)
    }
}

/// Sums the phases up.
pub(super) fn summary(
    phases: Vec<BenchPhase>,
    value_bytes: u64,
    partitions: i32,
    counts: &ingest::IngestCounts,
) -> BenchReport {
    let (raw, ingest) = (rates(&phases, "raw"), rates(&phases, "ingest"));
    let ratios = ratios(&ingest, &raw);
    let (raw, ingest) = (sorted(raw), sorted(ingest));
    let ingested = phases.iter().filter(|phase| phase.what == "ingest");
    BenchReport {
        records: counts.records,
        value_bytes,
        partitions,
        parquet_bytes: counts.bytes as f64 / counts.records.max(1) as f64,
        commits: counts.commits,
        raw_rate: median(&raw),
        ingest_rate: median(&ingest),
        ratio: ratios,
        mapped: None,
        peak_bytes: ingested.map(|phase| phase.peak_bytes).max().unwrap_or(0),
        phases,
    }
}

/// Returns what a mapped event costs beside a plain one of the same round.
pub(super) fn mapped_report(
    mapping: &str,
    value_bytes: u64,
    phases: &[BenchPhase],
) -> MappedReport {
    let (plain, mapped) = (rates(phases, "ingest"), rates(phases, "mapped"));
    let cost = ratios(&plain, &mapped);
    MappedReport { mapping: mapping.to_owned(), value_bytes, rate: median(&sorted(mapped)), cost }
}

/// Returns the rates of a phase, round by round.
fn rates(phases: &[BenchPhase], what: &str) -> Vec<f64> {
    phases.iter().filter(|phase| phase.what == what).map(BenchPhase::rate).collect()
}

/// Returns the minimum, the median and the maximum of one rate over another of the same round.
fn ratios(one: &[f64], other: &[f64]) -> [f64; 3] {
    let ratios = sorted(one.iter().zip(other).map(|(one, other)| one / other).collect());
    [ratios[0], median(&ratios), ratios[ratios.len() - 1]]
}

pub(super) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

pub(super) fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

/// Prints a report as a table.
pub(super) fn print(report: &BenchReport) -> anyhow::Result<()> {
    let mut table =
        Table::new(["", "events/s a core", "µs an event", "s", "peak MB"], &[1, 2, 3, 4]);
    for phase in &report.phases {
        table.row([
            phase.what.to_owned(),
            thousands(phase.rate() as u64),
            format!("{:.3}", 1e6 / phase.rate()),
            format!("{:.1}", phase.seconds),
            thousands(phase.peak_bytes >> 20),
        ]);
    }
    print_table(&table)?;
    let [min, median, max] = report.ratio;
    print_line(&format!(
        "{} of {}: ingest {}/s a core, raw {}/s; ratio {median:.3} ({min:.3} to {max:.3})",
        counted(report.records, "record"),
        counted(report.value_bytes / report.records.max(1), "byte"),
        thousands(report.ingest_rate as u64),
        thousands(report.raw_rate as u64),
    ))?;
    if let Some(MappedReport { mapping, value_bytes, rate, cost: [min, median, max] }) =
        &report.mapped
    {
        print_line(&format!(
            "mapped by {mapping}: {}/s a core of {}; a mapped event costs {median:.1} times a plain \
             one ({min:.1} to {max:.1})",
            thousands(*rate as u64),
            counted(value_bytes / report.records.max(1), "byte"),
        ))?;
    }
    print_note(&format!(
        "{} commits a round, {:.1} bytes of Parquet a record. CPU time is that of this process, all \
         threads; the broker's does not count.",
        report.commits, report.parquet_bytes
    ));
    std::io::stdout().flush().context("standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_summarized() {
        let phase = |what, cpu_seconds| BenchPhase {
            what,
            records: 100,
            cpu_seconds,
            seconds: 1.0,
            peak_bytes: (cpu_seconds * 10.0) as u64,
        };
        let phases =
            vec![phase("raw", 1.0), phase("ingest", 4.0), phase("raw", 2.0), phase("ingest", 5.0)];
        let counts =
            ingest::IngestCounts { records: 100, bytes: 250, ..ingest::IngestCounts::default() };
        let report = summary(phases, 1, 4, &counts);
        assert_eq!(report.ratio, [0.25, 0.325, 0.4]);
        let mapped = |seconds| phase("mapped", seconds);
        let phases: Vec<BenchPhase> =
            [report.phases.clone(), vec![mapped(8.0), mapped(20.0)]].concat();
        let found = mapped_report("m", 7, &phases);
        assert_eq!((found.cost, found.value_bytes), ([2.0, 3.0, 4.0], 7));
        assert_eq!((report.raw_rate, report.ingest_rate), (75.0, 22.5));
        assert_eq!((report.peak_bytes, report.parquet_bytes), (50, 2.5));
    }
}
