//! The figures of the server for Prometheus.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    status: u32,
}

/// Counts requests and measures how long they take, by route.
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram>,
    report_age: Gauge<f64, AtomicU64>,
    pages: Gauge,
    page_bytes: Gauge,
    outage: Gauge,
}

impl HttpMetrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("rapport_serve");
        let requests = Family::<Labels, Counter>::default();
        // From 1 ms to 16 s.
        let seconds = Family::<Labels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 2.0, 15))
        });
        let report_age = Gauge::<f64, AtomicU64>::default();
        let (pages, page_bytes, outage) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("requests", "Requests, by route and status", requests.clone());
        registry.register_with_unit(
            "request",
            "How long requests took, by route and status",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register_with_unit(
            "report_age",
            "The time since the newest report was made",
            Unit::Seconds,
            report_age.clone(),
        );
        registry.register("cached_pages", "Rendered pages in memory", pages.clone());
        registry.register_with_unit(
            "cached_page",
            "The bytes of rendered pages in memory",
            Unit::Bytes,
            page_bytes.clone(),
        );
        registry.register("outage", "1 while new data can't be read", outage.clone());
        Self { registry, requests, seconds, report_age, pages, page_bytes, outage }
    }

    /// Counts a request.
    pub(crate) fn count(&self, route: &str, status: u16, took: Duration) {
        let labels = Labels { route: route.to_owned(), status: u32::from(status) };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Returns all figures in the text format of OpenMetrics.
    pub(crate) fn text(&self, now: &Now) -> String {
        if let Some(age) = now.report_age {
            self.report_age.set(age.as_secs_f64());
        }
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.pages.set(gauge(now.cached_pages.0));
        self.page_bytes.set(gauge(now.cached_pages.1));
        self.outage.set(i64::from(now.has_outage));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// What is measured when the figures are asked for.
pub(crate) struct Now {
    pub(crate) report_age: Option<Duration>,
    /// The number of rendered pages, and their bytes.
    pub(crate) cached_pages: (u64, u64),
    pub(crate) has_outage: bool,
}
