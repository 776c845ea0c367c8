//! Collects the spans of the program as they end.

use std::fmt;
use std::sync::mpsc::SyncSender;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use crate::secret_settings::redact_secrets;

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EndedSpan {
    pub(super) name: &'static str,
    pub(super) trace: [u8; 16],
    pub(super) id: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
    /// Nanoseconds since 1970.
    pub(super) began: u128,
    pub(super) ended: u128,
    pub(super) attributes: Vec<(&'static str, AttributeValue)>,
    /// The first error that was logged in it.
    pub(super) error: Option<String>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AttributeValue {
    Text(String),
    Integer(i64),
    Number(f64),
    Flag(bool),
}

/// Sends every span that ends. A span is dropped where the receiver is behind: nothing waits for it.
pub(crate) struct SpanLayer {
    ended: SyncSender<EndedSpan>,
}

impl SpanLayer {
    pub(super) fn new(ended: SyncSender<EndedSpan>) -> Self {
        Self { ended }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let above = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            extensions.get::<EndedSpan>().map(|above| (above.trace, above.id))
        });
        let mut new = EndedSpan {
            name: span.name(),
            trace: above.map_or_else(|| Uuid::new_v4().into_bytes(), |(trace, _)| trace),
            id: new_span_id(),
            parent: above.map(|(_, id)| id),
            began: now(),
            ended: 0,
            attributes: Vec::new(),
            error: None,
        };
        attributes.record(&mut AttributeVisitor(&mut new.attributes));
        span.extensions_mut().insert(new);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<EndedSpan>() {
            values.record(&mut AttributeVisitor(&mut open.attributes));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let mut fields = Vec::new();
        event.record(&mut AttributeVisitor(&mut fields));
        let message = fields.into_iter().find_map(|(name, value)| match value {
            AttributeValue::Text(text) if name == "message" => Some(text),
            _ => None,
        });
        if let Some(open) = span.extensions_mut().get_mut::<EndedSpan>()
            && open.error.is_none()
        {
            open.error = Some(message.unwrap_or_default());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(mut ended) = span.extensions_mut().remove::<EndedSpan>() {
            ended.ended = now();
            drop(self.ended.try_send(ended));
        }
    }
}

/// Returns a random id that is not 0.
fn new_span_id() -> [u8; 8] {
    let random = Uuid::new_v4().into_bytes();
    let mut id = [0; 8];
    id.copy_from_slice(&random[..8]);
    id[7] |= 1;
    id
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// Keeps fields as attributes, without secrets.
struct AttributeVisitor<'a>(&'a mut Vec<(&'static str, AttributeValue)>);

impl Visit for AttributeVisitor<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), AttributeValue::Integer(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.0.push((field.name(), AttributeValue::Integer(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), AttributeValue::Number(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), AttributeValue::Flag(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), AttributeValue::Text(redact_secrets(value))));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = redact_secrets(&format!("{value:?}"));
        self.0.push((field.name(), AttributeValue::Text(text)));
    }
}
