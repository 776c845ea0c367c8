//! How long the calls of a benchmark took.

use std::time::Duration;

use serde::Serialize;

/// How long calls took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Latencies {
    pub(super) requests: usize,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Latencies {
    /// `all` is the time that the calls took together, side by side.
    pub(super) fn of(mut took: Vec<Duration>, all: Duration) -> Self {
        took.sort_unstable();
        let at = |share: f64| {
            let index = ((took.len() as f64 * share).ceil() as usize).clamp(1, took.len().max(1));
            took.get(index - 1).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        Self {
            requests: took.len(),
            per_second: took.len() as f64 / all.as_secs_f64(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}
