//! The reports in memory: the newest one, which is made again when the lake has changed, and those of
//! other days and filters, each computed once however many ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use dashboards::{HealthRow, LivePage, Report};
use flate2::Compression;
use flate2::write::GzEncoder;
use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::data_source::{DataSource, LakeState, SourceError};
use crate::view::{FILTERS, View};

/// How many reports are computed at once. Each takes the memory and the cores of a whole run.
const COMPUTED_AT_ONCE: usize = 2;

/// The rows of the history of scores that take the memory of one row of traffic.
const HISTORY_ROWS_IN_A_ROW: usize = 8;

/// What a report weighs at least in the cache, in rows: its metrics take memory too.
const LEAST_ROWS: usize = 20_000;

/// What the texts of a [`LivePage`] take about, in bytes.
const LIVE_PAGE_BYTES: usize = 1024;

/// The newest report, and what belongs to it.
pub(crate) struct Newest {
    /// Counts the states of the lake that were seen.
    pub(crate) generation: u64,
    state: LakeState,
    report: Arc<Report>,
    /// The values of the filters.
    pub(crate) choices: Arc<BTreeMap<String, Vec<String>>>,
    /// When it was made.
    pub(crate) made_at: DateTime<Utc>,
}

/// Why there is no newer report.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Outage {
    pub(crate) since: DateTime<Utc>,
    pub(crate) why: String,
}

/// A report of a view, and of which state of the lake.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ReportKey {
    /// 0 for views of given table versions, which no new state changes.
    generation: u64,
    view: View,
}

/// All that a rendered page depends on, so that nobody gets a page made for somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PageKey {
    report: ReportKey,
    path: String,
    live: LivePage,
}

/// A rendered page.
#[derive(Debug, Clone)]
pub(crate) struct RenderedPage {
    pub(crate) html: bytes::Bytes,
    /// The page as browsers take it (RFC 1952): compressed once, read often.
    pub(crate) gzip: bytes::Bytes,
    /// The validator of the page (RFC 9110, section 8.8.3). It is weak: the page has two encodings.
    pub(crate) etag: String,
}

/// The sizes of the caches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheSizes {
    /// The rows of partners in reports besides the newest one.
    pub(crate) report_rows: u64,
    /// The bytes of rendered pages.
    pub(crate) page_bytes: u64,
}

/// All reports that the server has in memory.
pub(crate) struct LiveReports {
    source: Arc<dyn DataSource>,
    newest: RwLock<Option<Arc<Newest>>>,
    outage: Mutex<Option<Outage>>,
    reports: Cache<ReportKey, Arc<Report>>,
    pages: Cache<PageKey, RenderedPage>,
    computing: Semaphore,
}

impl LiveReports {
    pub(crate) fn new(source: Arc<dyn DataSource>, sizes: CacheSizes) -> Self {
        let bytes = |key: &PageKey, page: &RenderedPage| {
            let bytes = page.html.len() + page.gzip.len() + key.path.len() + LIVE_PAGE_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let rows = |_: &ReportKey, report: &Arc<Report>| {
            let input = report.input();
            let history = input.history.row_count() / HISTORY_ROWS_IN_A_ROW;
            let traffic = input.daily.len() + input.weekly.len() + input.monthly.len();
            let rows = input.health.len() + history + traffic;
            u32::try_from(rows.max(LEAST_ROWS)).unwrap_or(u32::MAX)
        };
        Self {
            source,
            newest: RwLock::default(),
            outage: Mutex::default(),
            reports: Cache::builder().max_capacity(sizes.report_rows).weigher(rows).build(),
            pages: Cache::builder().max_capacity(sizes.page_bytes).weigher(bytes).build(),
            computing: Semaphore::new(COMPUTED_AT_ONCE),
        }
    }

    /// Returns the newest report that was made.
    pub(crate) fn newest(&self) -> Option<Arc<Newest>> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns why there is no newer report, if that is so.
    pub(crate) fn outage(&self) -> Option<Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the newest report if the lake has changed since the last one. Until it is there, the
    /// last one is shown. Returns whether there is a new one.
    ///
    /// # Errors
    /// Fails as the source does. The last report stays then.
    pub(crate) async fn refresh(&self, now: DateTime<Utc>) -> Result<bool, SourceError> {
        let refreshed = self.try_refresh(now).await;
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        *outage = match &refreshed {
            Ok(_) => None,
            Err(error) => {
                let since = outage.as_ref().map_or(now, |outage| outage.since);
                Some(Outage { since, why: error.to_string() })
            }
        };
        refreshed
    }

    async fn try_refresh(&self, now: DateTime<Utc>) -> Result<bool, SourceError> {
        let state = self.source.state().await?;
        let before = self.newest();
        if before.as_ref().is_some_and(|before| before.state == state) {
            return Ok(false);
        }
        let report = self.compute(&View::default()).await?;
        let choices = Arc::new(choices(&report));
        let generation = before.map_or(1, |before| before.generation + 1);
        let newest = Newest { generation, state, report, choices, made_at: now };
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(newest));
        Ok(true)
    }

    /// Refreshes for ever.
    pub(crate) async fn keep_fresh(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            match self.refresh(Utc::now()).await {
                Ok(true) => tracing::info!("the pages show new data"),
                Ok(false) => {}
                Err(error @ SourceError::NoData(_)) => tracing::debug!(%error, "no data yet"),
                Err(error) => tracing::warn!(%error, "the pages show the last data that was read"),
            }
        }
    }

    async fn compute(&self, view: &View) -> Result<Arc<Report>, SourceError> {
        let failed = |error: &dyn std::fmt::Display| SourceError::Failed(error.to_string());
        let _permit = self.computing.acquire().await.map_err(|e| failed(&e))?;
        let input = self.source.report(view).await?;
        // Indexing many partners takes a while.
        let indexed = tokio::task::spawn_blocking(|| Arc::new(Report::new(input)));
        indexed.await.map_err(|e| failed(&e))
    }

    /// Returns the report of a view.
    ///
    /// # Errors
    /// Fails as the source does, and while the first report is being made.
    pub(crate) async fn report(&self, view: &View) -> Result<Arc<Report>, SourceError> {
        let Some(newest) = self.newest() else {
            return Err(SourceError::NoData(match self.outage() {
                Some(outage) => outage.why,
                None => "the first report is being made".to_owned(),
            }));
        };
        let view = &view.of_report();
        if *view == View::default() {
            return Ok(Arc::clone(&newest.report));
        }
        let key = key(&newest, view);
        // Views of the same generation read the same versions, so that parts add up to the whole.
        let mut computed = view.clone();
        if computed.run.is_none() {
            computed.run.clone_from(&newest.report.input().run);
            computed.as_of = computed.as_of.or(Some(newest.state.as_of));
        }
        let computed = self.reports.try_get_with(key, self.compute(&computed)).await;
        computed.map_err(|error| error.as_ref().clone())
    }

    /// Returns a page of a view as a reader sees it, or `None` if the report has no such page.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub(crate) async fn page(
        &self,
        view: &View,
        path: &str,
        live: &LivePage,
    ) -> Result<Option<RenderedPage>, SourceError> {
        let report = self.report(view).await?;
        let Some(newest) = self.newest() else { return Ok(None) };
        let render = {
            let (path, live) = (path.to_owned(), live.clone());
            async move {
                let rendered = tokio::task::spawn_blocking(move || report.page(&path, &live));
                rendered.await.ok().flatten().map(RenderedPage::new)
            }
        };
        // What became of a form and the queries of a person are shown to one reader.
        if live.notice.is_some() || live.sql.is_some() {
            return Ok(render.await);
        }
        let key = PageKey { report: key(&newest, view), path: path.to_owned(), live: live.clone() };
        Ok(self.pages.optionally_get_with(key, render).await)
    }

    /// Returns the number of rendered pages, and their bytes.
    pub(crate) fn cached_pages(&self) -> (u64, u64) {
        (self.pages.entry_count(), self.pages.weighted_size())
    }
}

/// The most values of an attribute in a menu.
const MAX_CHOICES: usize = 500;

/// Returns the values that the attributes of partners have, sorted.
fn choices(report: &Report) -> BTreeMap<String, Vec<String>> {
    let values = |attribute: &str| {
        let value = |row: &HealthRow| match attribute {
            "segment" => row.segment.clone(),
            "plan" => row.plan.clone(),
            "region" => row.region.clone(),
            "manager" => row.manager.clone(),
            _ => row.integration_level.clone(),
        };
        let values: BTreeSet<String> = report.input().health.iter().filter_map(value).collect();
        values.into_iter().take(MAX_CHOICES).collect()
    };
    let choices = FILTERS.map(|attribute| (attribute.to_owned(), values(attribute)));
    choices.into_iter().filter(|(_, values): &(String, Vec<String>)| !values.is_empty()).collect()
}

fn key(newest: &Newest, view: &View) -> ReportKey {
    let generation = if view.is_pinned() { 0 } else { newest.generation };
    ReportKey { generation, view: view.of_report() }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

impl RenderedPage {
    fn new(html: String) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, html.as_bytes());
        let etag = format!("W/\"{}\"", hex::encode(&digest.as_ref()[..16]));
        let gzip = gzip(html.as_bytes());
        Self { html: html.into(), gzip: gzip.into(), etag }
    }
}
