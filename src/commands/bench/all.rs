//! `rapport bench all`: every benchmark as ratios, compared with those of an earlier run.
//!
//! Each benchmark runs in a process of its own, so that none finds the memory or the caches of
//! another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::ratios::{Ratio, RatioReport, Verdict};
use crate::args::{BenchAllArgs, ReportFormat};
use crate::config::Config;
use crate::errors::{CheckFailed, usage_error};
use crate::output::{print_line, print_note, print_table, print_verbatim};
use crate::progress::Spinner;
use crate::table::Table;

/// Runs the benchmarks, writes their ratios, and says what got worse.
pub(crate) fn all(
    config_file: Option<&Path>,
    options: &BenchAllArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let earlier = options.against.as_deref().map(read_report).transpose()?;
    let project = Config::find_if_any(config_file)?.map(|config| config.folder);
    let spinner = Spinner::start("bench", quiet);
    let ratios = BTreeMap::new();
    let mut run = Run { options, config_file, project, spinner: &spinner, ratios };
    let left_out = run.measure()?;
    let ratios = run.ratios.into_iter().filter_map(|(name, rounds)| Ratio::of(name, rounds));
    let report = RatioReport {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        rounds: options.rounds,
        ratios: ratios.collect(),
        left_out,
    };
    drop(spinner);
    if let Some(out) = &options.out {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(out, text).with_context(|| format!("write {}", out.display()))?;
    }
    match options.format {
        ReportFormat::Json => print_verbatim(&serde_json::to_string_pretty(&report)?)?,
        ReportFormat::Table => print(&report, earlier.as_ref())?,
    }
    refuse_worse(&report, earlier.as_ref())
}

/// Fails where a ratio got worse beyond the noise.
fn refuse_worse(report: &RatioReport, earlier: Option<&RatioReport>) -> anyhow::Result<()> {
    let Some(earlier) = earlier else { return Ok(()) };
    let is_worse = |ratio: &&Ratio| ratio.against(earlier.ratio(&ratio.name)) == Verdict::Worse;
    let worse: Vec<&str> =
        report.ratios.iter().filter(is_worse).map(|ratio| ratio.name.as_str()).collect();
    if worse.is_empty() {
        return Ok(());
    }
    Err(CheckFailed(format!("got worse beyond the noise: {}", worse.join(", "))).into())
}

fn read_report(file: &Path) -> anyhow::Result<RatioReport> {
    let name = || usage_error(format!("--against {}: not a file of --out", file.display()));
    let text = std::fs::read_to_string(file)
        .map_err(|e| usage_error(format!("--against {}: {e}", file.display())))?;
    serde_json::from_str(&text).map_err(|e| name().context(e.to_string()))
}

/// The benchmarks of one run, and the rounds of each ratio.
struct Run<'a> {
    options: &'a BenchAllArgs,
    config_file: Option<&'a Path>,
    /// The project's folder, where there is a project.
    project: Option<PathBuf>,
    spinner: &'a Spinner,
    ratios: BTreeMap<String, Vec<f64>>,
}

impl Run<'_> {
    /// Measures every benchmark that can run here, and returns what was left out and why.
    fn measure(&mut self) -> anyhow::Result<Vec<String>> {
        let mut left_out = Vec::new();
        match self.options.bootstrap.clone() {
            Some(bootstrap) => self.ingest(&bootstrap)?,
            None => left_out.push("ingest: no --bootstrap".to_owned()),
        }
        for round in 1..=self.options.rounds {
            self.commits(round)?;
            self.score(round)?;
            if self.project.is_some() {
                self.serve(round)?;
            }
        }
        if self.project.is_none() {
            left_out.push("pages: no project here".to_owned());
        }
        match (self.options.duckdb.clone(), self.project.clone()) {
            (Some(script), Some(project)) => self.duckdb(&script, &project)?,
            (Some(_), None) => return Err(usage_error("--duckdb needs a project with a lake")),
            (None, _) => left_out.push("queries beside DuckDB: no --duckdb".to_owned()),
        }
        Ok(left_out)
    }

    fn ingest(&mut self, bootstrap: &str) -> anyhow::Result<()> {
        self.spinner.set_message("ingest".to_owned());
        let rounds = self.options.rounds.to_string();
        let events = "1000000";
        let arguments =
            ["ingest", "--bootstrap", bootstrap, "--rounds", &rounds, "--events", events];
        let found = self.run(&arguments)?;
        let name = "an event ingested, over librdkafka's drain";
        for at in 0..3 {
            let rate = number(&found, &format!("/ratio/{at}"))?;
            self.add(name, 1.0 / rate);
        }
        Ok(())
    }

    fn commits(&mut self, round: u32) -> anyhow::Result<()> {
        self.spinner.set_message(format!("round {round}: commits"));
        let found = self.run(&["commits", "--workers", "1,16", "--seconds", "3"])?;
        for (at, workers) in [(0, "1 worker"), (1, "16 workers")] {
            let rate = number(&found, &format!("/rounds/{at}/ratio"))?;
            self.add(&format!("a commit of {workers}, over a put of the store"), 1.0 / rate);
        }
        Ok(())
    }

    fn score(&mut self, round: u32) -> anyhow::Result<()> {
        self.spinner.set_message(format!("round {round}: scores"));
        let found = self.run(&["score", "--partners", "200000"])?;
        let ratio = number(&found, "/seconds")? / number(&found, "/read_seconds")?;
        self.add("a score, over reading its inputs once", ratio);
        Ok(())
    }

    fn serve(&mut self, round: u32) -> anyhow::Result<()> {
        self.spinner.set_message(format!("round {round}: pages"));
        let found = self.run(&["serve", "--seconds", "5"])?;
        let floor = number(&found, "/floor/p50_ms")?;
        for what in ["cold", "cached"] {
            let page = number(&found, &format!("/{what}/p50_ms"))?;
            self.add(&format!("a {what} page, over a request that reads nothing"), page / floor);
        }
        Ok(())
    }

    /// Runs the comparison with DuckDB, which has rounds of its own.
    fn duckdb(&mut self, script: &Path, project: &Path) -> anyhow::Result<()> {
        self.spinner.set_message("queries beside DuckDB".to_owned());
        let mut command = Command::new(&self.options.python);
        command.arg(script).arg(project);
        command.arg("--rapport").arg(std::env::current_exe().context("the program's own file")?);
        command.args(["--rounds", &self.options.rounds.to_string(), "--format", "json"]);
        if let Some(as_of) = &self.options.as_of {
            command.args(["--as-of", as_of]);
        }
        let found = json_of(command)?;
        let times = found.pointer("/times").and_then(Value::as_array);
        for row in times.context("the comparison with DuckDB has no times")? {
            let name = row.pointer("/what").and_then(Value::as_str).unwrap_or_default();
            let name = format!("{name}, over DuckDB");
            for at in ["least", "ratio", "greatest"] {
                self.add(&name, number(row, &format!("/{at}"))?);
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, ratio: f64) {
        self.ratios.entry(name.to_owned()).or_default().push(ratio);
    }

    /// Runs `rapport bench` with arguments, and returns what it found.
    fn run(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut command = Command::new(std::env::current_exe().context("the program's own file")?);
        command.arg("bench").args(arguments).args(["--format", "json", "--quiet"]);
        if let Some(config_file) = self.config_file {
            command.arg("--config").arg(config_file);
        }
        json_of(command)
    }
}

/// Returns the JSON that a command prints.
fn json_of(mut command: Command) -> anyhow::Result<Value> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    if !done.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&done.stderr).trim_end());
    }
    serde_json::from_slice(&done.stdout).with_context(|| format!("the output of {command:?}"))
}

/// Returns a number of a benchmark's output.
fn number(found: &Value, pointer: &str) -> anyhow::Result<f64> {
    let number = found.pointer(pointer).and_then(Value::as_f64).filter(|number| *number > 0.0);
    number.with_context(|| format!("the benchmark printed no positive number at {pointer}"))
}

fn print(report: &RatioReport, earlier: Option<&RatioReport>) -> anyhow::Result<()> {
    let range = |ratio: &Ratio| {
        format!("{:.3} ({:.3} to {:.3})", ratio.median, ratio.least, ratio.greatest)
    };
    let mut table = match earlier {
        Some(_) => Table::new(["ratio, the less the better", "now", "earlier", ""], &[1, 2]),
        None => Table::new(["ratio, the less the better", "median (least to greatest)"], &[1]),
    };
    for ratio in &report.ratios {
        let mut row = vec![ratio.name.clone(), range(ratio)];
        if let Some(earlier) = earlier {
            let before = earlier.ratio(&ratio.name);
            row.push(before.map_or_else(String::new, range));
            row.push(ratio.against(before).as_str().to_owned());
        }
        table.row(row);
    }
    print_table(&table)?;
    for missing in earlier.map(|earlier| report.missing(earlier)).unwrap_or_default() {
        print_line(&format!("not measured now: {missing}"))?;
    }
    for left_out in &report.left_out {
        print_note(&format!("left out: {left_out}"));
    }
    Ok(())
}
