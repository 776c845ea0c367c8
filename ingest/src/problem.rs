//! Why no broker answers: librdkafka tells the reason as an event beside the call that fails.

use std::sync::{Mutex, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::IngestError;

/// The last problem of the connection that the client spoke of.
#[derive(Debug, Default)]
pub(crate) struct Problem(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl Problem {
    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down follows from what was said of each.
        if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
            *last = Some((code, reason.to_owned()));
        }
    }

    /// A call to the brokers has failed: the error that says why.
    pub(crate) fn explain(&self, servers: &str, error: &KafkaError) -> IngestError {
        let servers = servers.to_owned();
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some((RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL, reason)) => {
                IngestError::Refused { servers, reason }
            }
            // A broker that wants a certificate ends the connection with an alert.
            Some((_, reason)) if reason.contains("tls alert") => {
                IngestError::Refused { servers, reason }
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
    fn the_reason_behind_the_failure() {
        let check = |told: &[(RDKafkaErrorCode, &str)], expected: &str| {
            let problem = Problem::default();
            for (code, reason) in told {
                problem.note(&KafkaError::Global(*code), reason);
            }
            let failed = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
            let said = problem.explain("k:9092", &failed).to_string();
            assert!(said.contains(expected), "{said}");
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
