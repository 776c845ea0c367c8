//! `rapport bench score`: the time and memory of the score, and of its queries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use domain::{AsOf, Day, counted, thousands};
use fixtures::WorldOptions;
use polars::prelude::{ChunkAgg, Column, DataFrame, DataType, SortOptions};
use scoring::{
    DormancyModel, EvaluationInput, Policy, ScoreHistory, ScoreInput, evaluation_queries,
    fit_dormancy, score as score_partners,
};
use serde::Serialize;

use super::portfolio;
use crate::args::{BenchScoreArgs, ReportFormat};
use crate::backtest::{load_events, no_overrides};
use crate::errors::usage_error;
use crate::output::{print_line, print_table, print_verbatim};
use crate::progress::Spinner;
use crate::resource_usage::{cpu_time, peak_memory, reset_peak_memory};
use crate::scores::EvaluatedDays;
use crate::scratch_folder;
use crate::table::Table;

/// The day that is scored; any would do.
const DAY: Day = Day(20_000);
/// The budget of a million partners.
const MAX_SECONDS: f64 = 30.0;
const MAX_BYTES: u64 = 4 << 30;
/// Partners that the dormancy model is fitted to before the measurement.
const FITTED_PARTNERS: usize = 5_000;
/// The lake of the queries.
const LAKE_PARTNERS: u32 = 20_000;
const LAKE_DAYS: u32 = 180;
const LAKE_EVENTS: u64 = 4_000_000;

/// What the pure function costs.
#[derive(Debug, Serialize)]
struct ScoreReport {
    partners: u32,
    seconds: f64,
    cpu_seconds: f64,
    /// The peak of the resident memory, the frames included.
    peak_bytes: u64,
    /// The memory of the frames themselves.
    frame_bytes: usize,
    /// Seconds to read every number of the frames once.
    read_seconds: f64,
    /// Seconds to sort one column of a number a partner.
    sort_seconds: f64,
    is_within_budget: bool,
}

/// What one query costs.
#[derive(Debug, Serialize)]
struct QueryCost {
    query: String,
    rows: usize,
    seconds: f64,
    /// Times the seconds of reading the calls of all partners and days once.
    ratio: f64,
}

/// Runs the benchmark.
pub(crate) fn score(
    options: &BenchScoreArgs,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    if options.queries {
        let costs = runtime.block_on(query_costs(options, quiet))?;
        return match options.format {
            ReportFormat::Json => print_verbatim(&serde_json::to_string_pretty(&costs)?),
            ReportFormat::Table => print_queries(&costs, options.days),
        };
    }
    let spinner = Spinner::start("bench", quiet);
    let report = measured_score(options, &spinner)?;
    drop(spinner);
    match options.format {
        ReportFormat::Json => print_verbatim(&serde_json::to_string_pretty(&report)?),
        ReportFormat::Table => print_score(&report),
    }
}

fn measured_score(options: &BenchScoreArgs, spinner: &Spinner) -> anyhow::Result<ScoreReport> {
    spinner.set_message("draws partners".to_owned());
    let dormancy = dormancy(options.seed)?;
    let frames = portfolio::frames(options.partners as usize, DAY, options.seed)?;
    let frame_bytes = frames.values().map(DataFrame::estimated_size).sum();
    let (read_seconds, _) = timed(|| read_once(&frames))?;
    let (sort_seconds, _) = timed(|| sort_once(&frames))?;
    let policy = Policy::parse(scoring::DEFAULT_POLICY)?;
    let input = ScoreInput {
        evaluation: EvaluationInput { frames, held_back: BTreeSet::new(), dormancy, risk: None },
        history: ScoreHistory::default(),
        overrides: no_overrides()?,
        clock: None,
        risk_model: "dormancy".to_owned(),
    };
    spinner.set_message("scores".to_owned());
    reset_peak_memory();
    let before = cpu_time()?;
    // The rows of `partner_signals` belong to what is scored, a signal at a time.
    let (seconds, scored) = timed(|| {
        let scored = score_partners(&input, &policy)?;
        for rows in scored.signal_frames() {
            std::hint::black_box(rows?);
        }
        Ok(scored)
    })?;
    let cpu = cpu_time()?.saturating_sub(before);
    let peak_bytes = peak_memory()?;
    anyhow::ensure!(scored.health.height() == options.partners as usize, "partners are missing");
    // A smaller portfolio has its share of the time.
    let allowed = MAX_SECONDS * f64::from(options.partners) / 1e6;
    Ok(ScoreReport {
        partners: options.partners,
        seconds,
        cpu_seconds: cpu.as_secs_f64(),
        peak_bytes,
        frame_bytes,
        read_seconds,
        sort_seconds,
        is_within_budget: seconds <= allowed && peak_bytes <= MAX_BYTES,
    })
}

/// Fits a dormancy model to a small portfolio of two days.
fn dormancy(seed: u64) -> anyhow::Result<Option<DormancyModel>> {
    let earlier = DAY.plus(-28);
    let of_day = |day| -> anyhow::Result<DataFrame> {
        let mut frames = portfolio::frames(FITTED_PARTNERS, day, seed)?;
        frames.remove("scoring_dormancy").ok_or_else(|| anyhow::anyhow!("no frame of dormancy"))
    };
    let mut both = of_day(earlier)?;
    both.vstack_mut(&of_day(DAY)?)?;
    Ok(fit_dormancy(both, earlier, DAY)?)
}

fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(f64, T)> {
    let began = Instant::now();
    let done = work()?;
    Ok((began.elapsed().as_secs_f64(), done))
}

/// Sums every column of numbers.
fn read_once(frames: &BTreeMap<String, DataFrame>) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for column in frames.values().flat_map(DataFrame::columns) {
        let series = column.as_materialized_series();
        sum += match series.dtype() {
            DataType::Int64 => series.i64()?.sum().unwrap_or_default() as f64,
            DataType::Float64 => series.f64()?.sum().unwrap_or_default(),
            _ => 0.0,
        };
    }
    Ok(std::hint::black_box(sum))
}

/// Sorts one column of a number a partner.
fn sort_once(frames: &BTreeMap<String, DataFrame>) -> anyhow::Result<Column> {
    let frame =
        frames.get("scoring_growth").ok_or_else(|| anyhow::anyhow!("no frame of growth"))?;
    Ok(std::hint::black_box(frame.column("recent_median")?.sort_with(SortOptions::default())?))
}

fn print_score(report: &ScoreReport) -> anyhow::Result<()> {
    let mut table = Table::new(["", "s", "times reading the frames once"], &[1, 2]);
    for (what, seconds) in [
        ("score", report.seconds),
        ("read every number of the frames once", report.read_seconds),
        ("sort one column", report.sort_seconds),
    ] {
        let ratio = seconds / report.read_seconds.max(1e-9);
        table.row([what.to_owned(), format!("{seconds:.2}"), format!("{ratio:.1}")]);
    }
    print_table(&table)?;
    print_line(&format!(
        "{} partners: {:.1} s, {:.1} s of CPU time; peak memory {} MB, of which {} MB are the frames",
        thousands(u64::from(report.partners)),
        report.seconds,
        report.cpu_seconds,
        thousands(report.peak_bytes >> 20),
        thousands((report.frame_bytes >> 20) as u64),
    ))?;
    print_line(match report.is_within_budget {
        true => "Within the budget: 30 s a million partners, 4 GiB",
        false => "Over the budget: 30 s a million partners, 4 GiB",
    })
}

/// Measures each scoring query on a simulated lake, for its last days.
async fn query_costs(options: &BenchScoreArgs, quiet: bool) -> anyhow::Result<Vec<QueryCost>> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(scratch_folder::folder()?)?;
    let mut world = WorldOptions::new(options.seed, LAKE_PARTNERS, LAKE_EVENTS, DAY);
    world.days = LAKE_DAYS;
    let spinner = Spinner::start("bench", quiet);
    spinner.set_message("simulates a lake".to_owned());
    let world = fixtures::world(world).map_err(|e| usage_error(e.to_string()))?;
    fixtures::write_ndjson(&world, folder.path(), &mut |_| {})?;
    drop(spinner);
    let (project, _lake) = load_events(folder.path(), quiet).await?;
    let as_of = project.as_of(None).await?;
    let session = project.session(as_of).await?;
    let spinner = Spinner::start("bench", quiet);
    let (read, _) = measured_query(&session, "production_day").await?;
    let last = as_of.day();
    let days: Vec<Day> = (0..options.days as i32).rev().map(|back| last.plus(-back)).collect();
    let evaluated = EvaluatedDays::open(&project, &session, AsOf::of_day(last), &days).await?;
    let mut costs = Vec::new();
    for query in evaluation_queries() {
        spinner.set_message(query.to_owned());
        let (seconds, rows) = measured_query(&evaluated.session, query).await?;
        let ratio = seconds / read.max(1e-9);
        costs.push(QueryCost { query: query.to_owned(), rows, seconds, ratio });
    }
    Ok(costs)
}

async fn measured_query(session: &transform::Session, name: &str) -> anyhow::Result<(f64, usize)> {
    let began = Instant::now();
    let rows = session.metric(name).await?.rows();
    Ok((began.elapsed().as_secs_f64(), rows))
}

fn print_queries(costs: &[QueryCost], days: u32) -> anyhow::Result<()> {
    let mut table = Table::new(["query", "rows", "s", "times reading all calls once"], &[1, 2, 3]);
    for cost in costs {
        table.row([
            cost.query.clone(),
            thousands(cost.rows as u64),
            format!("{:.2}", cost.seconds),
            format!("{:.1}", cost.ratio),
        ]);
    }
    let all: f64 = costs.iter().map(|cost| cost.seconds).sum();
    table.row(["all", "", &format!("{all:.2}"), ""]);
    print_table(&table)?;
    print_line(&format!(
        "{} partners, {LAKE_DAYS} days, the last {} evaluated; what queries share is computed by the first that needs it",
        thousands(u64::from(LAKE_PARTNERS)),
        counted(days as usize, "day")
    ))
}
