//! Finds out why no broker answers. librdkafka reports the reason as an event beside the failed
//! call.

use std::sync::{Mutex, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::IngestError;

/// The last connection error that the client reported.
#[derive(Debug, Default)]
pub(crate) struct BrokerError(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl BrokerError {
    /// Records an error that the client reported.
    pub(crate) fn record(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" only follows from the errors of each broker.
        if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
            *last = Some((code, reason.to_owned()));
        }
    }

    /// Returns the error of a failed call, with the reason that the client reported.
    pub(crate) fn explain(&self, servers: &str, error: &KafkaError) -> IngestError {
        let servers = servers.to_owned();
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL, reason)) => {
                IngestError::AccessDenied { servers, reason }
            }
            // A broker that requires a client certificate ends the connection with a TLS alert.
            Some((_, reason)) if reason.contains("tls alert") => {
                IngestError::AccessDenied { servers, reason }
            }
            Some((_, reason)) => IngestError::Unreachable { servers, reason },
            None => {
                let code = error.rdkafka_error_code();
                let reason = code.map_or_else(|| error.to_string(), |code| code.to_string());
                IngestError::Unreachable { servers, reason }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_explained_by_the_reported_reason() {
        let check = |reported: &[(RDKafkaErrorCode, &str)], expected: &str| {
            let broker_error = BrokerError::default();
            for (code, reason) in reported {
                broker_error.record(&KafkaError::Global(*code), reason);
            }
            let failed = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
            let message = broker_error.explain("k:9092", &failed).to_string();
            assert!(message.contains(expected), "{message}");
        };
        let down = (RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        check(&[], "Broker transport failure");
        check(&[down], "1/1 brokers are down");
        check(&[(RDKafkaErrorCode::Resolve, "no such host"), down], "answers at k:9092 (no such");
        check(&[(RDKafkaErrorCode::Authentication, "bad password"), down], "refuses this client");
        check(&[(RDKafkaErrorCode::SSL, "no certificate")], "no certificate");
        let alert = "Receive failed: ssl/tls alert bad certificate";
        check(&[(RDKafkaErrorCode::BrokerTransportFailure, alert), down], "refuses this client");
    }
}
