//! `rapport bench serve`: how long the served pages of a project take with many readers at once.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use domain::{counted, thousands};
use futures::future::join_all;
use serde::Serialize;
use serve::{Access, EmbedSettings, LimitSettings, ServeOptions, Server};

use super::latencies::Latencies;
use crate::args::{BenchServeArgs, ReportFormat};
use crate::commands::serve::LakeSource;
use crate::output::{print_line, print_table, print_verbatim};
use crate::progress::Spinner;
use crate::resource_usage::peak_memory;
use crate::table::Table;

/// What a page may take: cold, and from the cache.
const MAX_COLD: Duration = Duration::from_secs(1);
const MAX_CACHED: Duration = Duration::from_millis(100);
/// Pages of partners that are read.
const PARTNER_PAGES: usize = 400;
/// The pages of the navigation.
const PAGES: [&str; 13] = [
    "index.html",
    "funnel.html",
    "activation.html",
    "growth.html",
    "revenue.html",
    "service.html",
    "health.html",
    "partners.html?sort=change",
    "actions.html",
    "alerts.html",
    "metrics.html",
    "data.html",
    "ask.html",
];

/// What was measured.
#[derive(Debug, Serialize)]
struct ServeReport {
    partners: usize,
    readers: usize,
    /// Seconds until the first page can be answered.
    first_report_seconds: f64,
    /// Each page once, when nothing of it is in memory.
    cold: Latencies,
    /// The same pages again.
    cached: Latencies,
    /// Requests that read nothing: what the readers and the server take by themselves.
    floor: Latencies,
    peak_bytes: u64,
    is_within_budget: bool,
}

/// Runs the benchmark on the project's lake and prints its results.
pub(crate) async fn serve(
    config_file: Option<&Path>,
    options: &BenchServeArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let spinner = Spinner::start("bench", quiet);
    spinner.set_message("makes the first report".to_owned());
    let serve_options = ServeOptions {
        address: ([127, 0, 0, 1], 0).into(),
        access: Access::Owner("bench".to_owned()),
        is_behind_tls: false,
        secret: None,
        refresh_every: Duration::from_secs(3_600),
        report_rows: 6_000_000,
        chromium: None,
        page_bytes: 256 << 20,
        limits: LimitSettings {
            sign_ins_per_minute: NonZeroU32::MAX,
            sql_per_minute: NonZeroU32::MAX,
        },
        embed: EmbedSettings::default(),
    };
    let began = Instant::now();
    let server = Server::start(Arc::new(LakeSource::new(config_file)), &serve_options).await?;
    let first_report_seconds = began.elapsed().as_secs_f64();
    let address = server.address().context("the address of the server")?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move { drop(stopped.await) }));
    let readers = Readers { base: format!("http://{address}"), count: options.readers as usize };
    let (partners, pages) = readers.pages().await?;
    spinner.set_message(format!("cold, {}", counted(pages.len(), "page")));
    let cold = readers.each_once(&pages).await?;
    let time = Duration::from_secs(options.seconds.into());
    spinner.set_message("from the cache".to_owned());
    let cached = readers.again_and_again(&pages, time).await?;
    spinner.set_message("the floor".to_owned());
    let floor = readers.again_and_again(&["/healthz".to_owned()], time).await?;
    drop(stop);
    serving.await??;
    let is_fast =
        |latencies: &Latencies, most: Duration| latencies.p99_ms <= most.as_secs_f64() * 1e3;
    let report = ServeReport {
        partners,
        readers: readers.count,
        first_report_seconds,
        is_within_budget: is_fast(&cold, MAX_COLD) && is_fast(&cached, MAX_CACHED),
        cold,
        cached,
        floor,
        peak_bytes: peak_memory()?,
    };
    drop(spinner);
    match options.format {
        ReportFormat::Json => print_verbatim(&serde_json::to_string_pretty(&report)?),
        ReportFormat::Table => print(&report),
    }
}

/// The readers of the pages.
struct Readers {
    base: String,
    count: usize,
}

impl Readers {
    /// Returns the number of partners, and the pages that are read.
    async fn pages(&self) -> anyhow::Result<(usize, Vec<String>)> {
        let url = format!("{}/api/v1/partners?limit={PARTNER_PAGES}", self.base);
        let answer: serde_json::Value =
            serde_json::from_str(&reqwest::get(url).await?.text().await?)?;
        let partners = &answer["data"];
        let ids = partners["partners"].as_array().context("partners")?;
        let list = |id: &serde_json::Value| {
            format!("/partners.html?q={}", id["partner_id"].as_str().unwrap_or_default())
        };
        let usage = |id: &serde_json::Value| {
            format!("/usage/{}/usage.html", id["partner_id"].as_str().unwrap_or_default())
        };
        let pages = PAGES.iter().map(|page| format!("/{page}"));
        let pages = pages.chain(ids.iter().map(list)).chain(ids.iter().map(usage)).collect();
        let total = partners["total"].as_u64().unwrap_or_default();
        Ok((usize::try_from(total)?, pages))
    }

    /// Reads each page once, all readers at the same time.
    async fn each_once(&self, pages: &[String]) -> anyhow::Result<Latencies> {
        let next = AtomicUsize::new(0);
        self.read(|| pages.get(next.fetch_add(1, Ordering::Relaxed))).await
    }

    /// Reads the pages in turn, for a while.
    async fn again_and_again(&self, pages: &[String], time: Duration) -> anyhow::Result<Latencies> {
        let (next, began) = (AtomicUsize::new(0), Instant::now());
        self.read(|| {
            let page = &pages[next.fetch_add(1, Ordering::Relaxed) % pages.len()];
            (began.elapsed() < time).then_some(page)
        })
        .await
    }

    async fn read<'a>(&self, next: impl Fn() -> Option<&'a String>) -> anyhow::Result<Latencies> {
        let began = Instant::now();
        let next = &next;
        let readers = (0..self.count).map(|_| async move {
            let client = reqwest::Client::new();
            let mut took = Vec::new();
            while let Some(page) = next() {
                let asked = Instant::now();
                let answer = client.get(format!("{}{page}", self.base)).send().await?;
                ensure!(answer.status().is_success(), "{page}: {}", answer.status());
                answer.bytes().await?;
                took.push(asked.elapsed());
            }
            anyhow::Ok(took)
        });
        let took = join_all(readers).await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Latencies::of(took.concat(), began.elapsed()))
    }
}

fn print(report: &ServeReport) -> anyhow::Result<()> {
    let mut table = Table::new(
        ["requests", "count", "a second", "p50 ms", "p99 ms", "longest ms"],
        &[1, 2, 3, 4, 5],
    );
    for (name, latencies) in
        [("cold", report.cold), ("cached", report.cached), ("floor", report.floor)]
    {
        table.row([
            name.to_owned(),
            thousands(latencies.requests),
            format!("{:.0}", latencies.per_second),
            format!("{:.1}", latencies.p50_ms),
            format!("{:.1}", latencies.p99_ms),
            format!("{:.1}", latencies.max_ms),
        ]);
    }
    print_table(&table)?;
    print_line(&format!(
        "{}, {}; first report {:.1} s, peak memory {:.2} GiB; {} the budget of p99 1 s cold and 100 ms cached",
        counted(report.partners, "partner"),
        counted(report.readers, "reader"),
        report.first_report_seconds,
        report.peak_bytes as f64 / f64::from(1 << 30),
        if report.is_within_budget { "within" } else { "beyond" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let took = (1..=200).rev().map(Duration::from_millis).collect();
        let found = Latencies::of(took, Duration::from_secs(2));
        assert_eq!((found.requests, found.per_second), (200, 100.0));
        assert_eq!((found.p50_ms, found.p99_ms, found.max_ms), (100.0, 198.0, 200.0));
    }
}
