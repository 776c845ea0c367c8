//! Traces for an OpenTelemetry collector, where `OTEL_EXPORTER_OTLP_ENDPOINT` names one: what the
//! program did, stage by stage, and how long each took.
//!
//! The crates of OpenTelemetry would turn on features of the dependencies that most of the tree is
//! built on, so the little that is needed is here:
//!
//! - `settings`: the variables that OpenTelemetry defines
//! - `span_layer`: the spans of the program, as they end
//! - `otlp`: spans in the JSON of OTLP
//! - `exporter`: sends them to the collector

mod exporter;
mod otlp;
mod settings;
mod span_layer;
#[cfg(test)]
mod tests;

use exporter::Exporter;
use settings::Settings;
use span_layer::SpanLayer;

/// The traces of this process, which are sent until this is dropped.
pub(crate) struct Traces {
    exporter: Exporter,
}

impl Traces {
    /// Starts to send traces; `None` where the environment names no collector.
    pub(crate) fn from_environment() -> Option<Self> {
        let settings = Settings::read(&|name| std::env::var(name).ok())?;
        Some(Self { exporter: Exporter::start(settings) })
    }

    /// Returns the layer that collects the spans.
    pub(crate) fn layer(&self) -> SpanLayer {
        SpanLayer::new(self.exporter.sender())
    }
}
