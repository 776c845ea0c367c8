//! `rapport score backtest`: replays history, and prints what the scores of the past were worth.

use domain::format::plain_percent_with_places;
use domain::thousands;
use scoring::backtest::{
    BacktestInput, BacktestOptions, BacktestReport, Figures, Statistic, backtest as report, table,
};
use serde::Serialize;

use super::rows;
use crate::args::{BacktestArgs, ReportFormat};
use crate::atomic_file::write_file;
use crate::backtest::history::History;
use crate::backtest::{OlderLateCalls, Replay};
use crate::config::Config;
use crate::output::{print_line, print_note, print_table, print_verbatim};
use crate::table::Table;

/// The report as it is written for the pages.
#[derive(Debug, Serialize)]
struct BacktestFile {
    /// The end of the data, as an ISO date.
    as_of: String,
    policy_version: String,
    /// Per origin, the calls that were used although they arrived later.
    older_late_calls: Vec<OlderLateCalls>,
    report: BacktestReport,
}

/// Runs the backtest.
pub(crate) async fn backtest(
    config: Option<Config>,
    options: &BacktestArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let history = History::open(config, &options.history, quiet).await?;
    let replay = history.replay(&options.history).await?;
    if let Some(path) = &options.rows {
        write_file(path, rows::csv(&replay)?.as_bytes())?;
    }
    let file = BacktestFile {
        as_of: replay.as_of.day().to_string(),
        policy_version: history.policy.version.clone(),
        report: report_of(&replay, options),
        older_late_calls: replay.older_late_calls,
    };
    let json = serde_json::to_string_pretty(&file)?;
    if let Some(path) = &options.out {
        write_file(path, (json.clone() + "\n").as_bytes())?;
    }
    match options.format {
        ReportFormat::Json => print_verbatim(&json),
        ReportFormat::Table => print_report(&file),
    }
}

fn report_of(replay: &Replay, options: &BacktestArgs) -> BacktestReport {
    let history = &options.history;
    report(&BacktestInput {
        rows: &replay.sample.rows,
        daily: &replay.daily,
        partners: replay.partner_ids.len(),
        excluded: &replay.sample.excluded,
        options: BacktestOptions {
            capacity: options.capacity as usize,
            resamples: history.resamples as usize,
            seed: history.seed,
        },
    })
}

fn print_report(file: &BacktestFile) -> anyhow::Result<()> {
    let report = &file.report;
    let origins = &report.origins;
    print_line(&format!(
        "{} origins from {} to {}, {} rows of {} partners, {} left ({})",
        origins.len(),
        origins.first().map_or("", String::as_str),
        origins.last().map_or("", String::as_str),
        thousands(report.all.rows as u64),
        thousands(report.partners as u64),
        thousands(report.all.leavers as u64),
        percent(report.all.base_rate),
    ))?;
    if !report.origins_without_model.is_empty() {
        print_line(&format!(
            "Without a risk model, for too few had left before: {}",
            report.origins_without_model.join(", ")
        ))?;
    }
    print_line("")?;
    print_figures(&report.all)?;
    print_line(&format!(
        "k is {}. Silent churn, lead time and delay are those of the {} leavers whose calls halved or \
         whose errors alarmed before.",
        report.capacity, report.all.leavers_followed
    ))?;
    print_line("\nParts of the partners:")?;
    print_parts(report)?;
    print_line("\nReliability of the risk:")?;
    print_reliability(report)?;
    print_exclusions(file)
}

/// Prints the score beside both baselines.
fn print_figures(figures: &Figures) -> anyhow::Result<()> {
    let header = ["", "score", "days since the last call", "calls a day", "the score"];
    let mut rows = Table::new(header, &[]);
    for row in table(figures) {
        rows.row([row.statistic, &row.score, &row.recency, &row.frequency, row.verdict]);
    }
    print_table(&rows)
}

/// Prints the main figures of the parts: a row each.
fn print_parts(report: &BacktestReport) -> anyhow::Result<()> {
    let header = [
        "partners",
        "rows",
        "left",
        "AUC",
        "of recency",
        "of calls a day",
        "of health",
        "Brier skill",
        "silent churn",
        "lead time",
        "flaps",
    ];
    let mut rows = Table::new(header, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let mut parts = vec![
        ("a cadence over 14 days".to_owned(), &report.slow_callers),
        ("abrupt leavers and all that stayed".to_owned(), &report.abrupt),
        ("with an action".to_owned(), &report.with_action),
        ("without an action".to_owned(), &report.without_action),
    ];
    let groups = report.groups.iter();
    parts.extend(groups.map(|g| (format!("{} {}", g.dimension, g.group), &g.figures)));
    for (name, figures) in parts.into_iter().filter(|(_, figures)| figures.rows > 0) {
        let value = |statistic| figures.get(statistic).and_then(|f| f.comparison.score.value);
        let auc = figures.get(Statistic::Auc).map(|figure| figure.comparison);
        let days = value(Statistic::LeadTime).map_or_else(dash, |days| format!("{days:.0} d"));
        rows.row([
            name,
            thousands(figures.rows as u64),
            thousands(figures.leavers as u64),
            number(value(Statistic::Auc)),
            number(auc.and_then(|auc| auc.recency.value)),
            number(auc.and_then(|auc| auc.frequency.value)),
            number(value(Statistic::HealthAuc)),
            number(value(Statistic::BrierSkill)),
            percent(value(Statistic::SilentChurn)),
            days,
            percent(value(Statistic::FlapRate)),
        ]);
    }
    print_table(&rows)
}

fn print_reliability(report: &BacktestReport) -> anyhow::Result<()> {
    let mut rows = Table::new(["risk", "left", "95 %", "rows"], &[0, 1, 3]);
    for point in &report.reliability {
        let (low, high) = (percent(point.low), percent(point.high));
        rows.row([
            percent(Some(point.forecast)),
            percent(Some(point.observed)),
            format!("{low} to {high}"),
            format!("{:.0}", point.rows),
        ]);
    }
    print_table(&rows)
}

/// Prints what was left out, and what was used although it was not known.
fn print_exclusions(file: &BacktestFile) -> anyhow::Result<()> {
    let excluded = file.report.excluded.iter();
    let excluded: Vec<String> = excluded.map(|(reason, n)| format!("{reason} {n}")).collect();
    let text = match excluded.as_slice() {
        [] => "none".to_owned(),
        reasons => reasons.join(", "),
    };
    print_line(&format!("\nRows left out: {text}"))?;
    let calls: u64 = file.older_late_calls.iter().map(|late| late.calls).sum();
    if calls > 0 {
        print_line(&format!(
            "Calls that arrived after an origin more than 14 days late and were used all the same: {}",
            thousands(calls)
        ))?;
    }
    print_note(&format!(
        "Policy {}, data up to {}. Which partners left is known as of then; merges too.",
        file.policy_version, file.as_of
    ));
    Ok(())
}

fn dash() -> String {
    "–".to_owned()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(dash, |value| format!("{value:.3}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(dash, |value| plain_percent_with_places(value, 1))
}
