//! Sends spans to the collector, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use tokio::runtime::{Builder, Runtime};

use super::otlp;
use super::settings::Settings;
use super::span_layer::EndedSpan;

/// The spans that wait to be sent, at most.
const QUEUE: usize = 4_096;
/// The spans of one request, at most.
const BATCH: usize = 512;
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(2);
/// How long the collector may take to answer, also at the end of the process.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What runs until it is dropped; the spans that have ended by then are sent.
pub(super) struct Exporter {
    sender: Option<SyncSender<EndedSpan>>,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    pub(super) fn start(settings: Settings) -> Self {
        let (sender, spans) = sync_channel(QUEUE);
        let is_ending = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&is_ending);
        let run = move || match Sender::new(settings) {
            Ok(sender) => send_all(&spans, &sender, &ending),
            Err(error) => tracing::warn!(%error, "traces are not sent"),
        };
        let thread = std::thread::Builder::new().name("traces".to_owned()).spawn(run).ok();
        Self { sender: Some(sender), is_ending, thread }
    }

    /// Returns where ended spans go.
    pub(super) fn sender(&self) -> SyncSender<EndedSpan> {
        self.sender.clone().unwrap_or_else(|| sync_channel(0).0)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // The layer lives as long as the process, and with it another sender.
        self.is_ending.store(true, Ordering::Release);
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Sends batches of spans until the process ends.
fn send_all(spans: &Receiver<EndedSpan>, sender: &Sender, is_ending: &AtomicBool) {
    loop {
        let (batch, is_closed) = next_batch(spans, is_ending);
        if !batch.is_empty() {
            sender.send(&batch);
        }
        if is_closed {
            return;
        }
    }
}

/// Waits for spans, and returns them with whether there will be no more.
fn next_batch(spans: &Receiver<EndedSpan>, is_ending: &AtomicBool) -> (Vec<EndedSpan>, bool) {
    let mut batch: Vec<EndedSpan> = Vec::new();
    let mut deadline = None;
    loop {
        let ends = is_ending.load(Ordering::Acquire);
        // The end of the process is seen soon, the rest is waited for in peace.
        match spans.recv_timeout(Duration::from_millis(if ends { 0 } else { 50 })) {
            Ok(span) => {
                batch.push(span);
                deadline.get_or_insert_with(|| Instant::now() + DELAY);
            }
            Err(RecvTimeoutError::Timeout) if ends => return (batch, true),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return (batch, true),
        }
        let is_due = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_due || batch.len() >= BATCH {
            return (batch, false);
        }
    }
}

/// Puts spans into requests.
struct Sender {
    settings: Settings,
    client: reqwest::Client,
    runtime: Runtime,
    /// Whether the last request failed; only the first of several failures is a warning.
    has_failed: AtomicBool,
}

impl Sender {
    fn new(settings: Settings) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { settings, client, runtime, has_failed: AtomicBool::new(false) })
    }

    fn send(&self, spans: &[EndedSpan]) {
        let failed = match self.runtime.block_on(self.post(spans)) {
            Ok(status) if status.is_success() => None,
            Ok(status) => Some(format!("it answered {status}")),
            Err(error) => Some(error.to_string()),
        };
        let had_failed = self.has_failed.swap(failed.is_some(), Ordering::Relaxed);
        if let Some(why) = failed.filter(|_| !had_failed) {
            tracing::warn!(
                why,
                "the collector of OTEL_EXPORTER_OTLP_ENDPOINT takes no traces; the work goes on"
            );
        }
    }

    async fn post(&self, spans: &[EndedSpan]) -> Result<reqwest::StatusCode, reqwest::Error> {
        let body = otlp::request(&self.settings.service, spans).to_string();
        let mut request = self.client.post(&self.settings.url);
        request = request.header(reqwest::header::CONTENT_TYPE, "application/json");
        for (name, value) in &self.settings.headers {
            request = request.header(name, value.expose_secret());
        }
        Ok(request.body(body).send().await?.status())
    }
}
