//! `--metrics ADDR`: serves the state of an ingest run to Prometheus, and a health check.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ingest::{CommitTimes, PartitionStatus, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::errors::usage_error;

/// After so long without a new status the run counts as stalled: it sends one in every round of its
/// loop, and a commit takes seconds.
const STALLED_AFTER: Duration = Duration::from_secs(120);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Parses the address to listen at. A port alone, or `:port`, is on 127.0.0.1.
pub(crate) fn parse_address(text: &str) -> anyhow::Result<SocketAddr> {
    let invalid = || {
        usage_error(format!(
            "--metrics \"{text}\": give an address and a port, 127.0.0.1:9464, or a port"
        ))
    };
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(invalid)
}

/// The newest status of a run, shared with the thread that serves it.
#[derive(Debug, Default, Clone)]
pub(crate) struct StatusBoard(Arc<Mutex<Option<(Status, Instant)>>>);

impl StatusBoard {
    /// Replaces the status.
    pub(crate) fn update(&self, status: &Status) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((status.clone(), Instant::now()));
    }

    fn read(&self) -> Option<(Status, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An HTTP server on a thread of its own, until it is dropped.
pub(crate) struct MetricsEndpoint {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsEndpoint {
    /// Starts to listen.
    pub(crate) fn start(address: SocketAddr, status_board: &StatusBoard) -> anyhow::Result<Self> {
        let server = Server::http(address).map_err(|e| {
            anyhow::anyhow!("--metrics: can't listen at {address}: {e}; choose another port")
        })?;
        let server = Arc::new(server);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(status_board.clone()));
        let (listening, status_board) = (Arc::clone(&server), status_board.clone());
        let thread = std::thread::spawn(move || {
            for request in listening.incoming_requests() {
                answer(request, &registry, &status_board);
            }
        });
        Ok(Self { server, thread: Some(thread) })
    }

    /// Returns where it listens; for port 0, with the port that the system chose.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.server.server_addr().to_ip()
    }
}

impl Drop for MetricsEndpoint {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer(request: Request, registry: &Registry, status_board: &StatusBoard) {
    let path = request.url().split('?').next().unwrap_or_default();
    let get = matches!(request.method(), Method::Get | Method::Head);
    let (code, text) = match path {
        _ if !get => (405, "only GET\n".to_owned()),
        "/metrics" => {
            let mut text = String::new();
            match prometheus_client::encoding::text::encode(&mut text, registry) {
                Ok(()) => (200, text),
                Err(error) => (500, format!("{error}\n")),
            }
        }
        "/healthz" => match status_board.read() {
            Some((_, at)) if at.elapsed() < STALLED_AFTER => (200, "ok\n".to_owned()),
            Some(_) => (503, "ingest has stalled\n".to_owned()),
            None => (503, "ingest has not begun to read\n".to_owned()),
        },
        _ => (404, "there is /metrics and /healthz\n".to_owned()),
    };
    let kind = if path == "/metrics" { OPEN_METRICS } else { "text/plain; charset=utf-8" };
    let mut response = Response::from_string(text).with_status_code(code);
    if let Ok(header) = Header::from_bytes("Content-Type", kind) {
        response.add_header(header);
    }
    if let Err(error) = request.respond(response) {
        tracing::debug!(%error, "a reader of the metrics went away");
    }
}

impl Collector for StatusBoard {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some((status, _)) = self.read() else { return Ok(()) };
        counts(&status, &mut encoder)?;
        partitions(&status.partitions, &mut encoder)?;
        commits(&status.commits, &mut encoder)
    }
}

fn counts(status: &Status, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let counts = &status.counts;
    let all = [
        ("records", "Records read, tombstones included", counts.records),
        ("accepted", "Events that passed the checks", counts.accepted),
        ("tombstones", "Records without a value, skipped", counts.tombstones),
        ("late", "Accepted events that came late", counts.late),
        ("duplicates", "Records that came again although the lake has them", counts.already_stored),
        ("committed_bytes", "Bytes of Parquet committed to raw tables", counts.bytes),
        ("commits", "Commits of raw tables", counts.commits),
    ];
    for (name, help, value) in all {
        let name = format!("rapport_ingest_{name}");
        counter(&mut encoder.encode_descriptor(&name, help, None, MetricType::Counter)?, value)?;
    }
    let (name, help) = ("rapport_ingest_rejected", "Records in the dead letters, by reason");
    let mut rejected = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (reason, value) in &counts.by_reason {
        counter(&mut rejected.encode_family(&[("reason", *reason)])?, *value)?;
    }
    Ok(())
}

fn counter(encoder: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, u64, f64>(&value, None)
}

fn partitions(all: &[PartitionStatus], encoder: &mut DescriptorEncoder) -> fmt::Result {
    type Measure = (&'static str, &'static str, fn(&PartitionStatus) -> Option<f64>);
    let measures: [Measure; 6] = [
        ("lag_records", "Records between the position and the partition's end", |p| {
            Some(p.lag as f64)
        }),
        ("next_offset", "The offset read next", |p| Some(p.next_offset as f64)),
        (
            "newest_timestamp_seconds",
            "The instant that lateness is measured from: the newest event, one wrong clock aside",
            |p| p.newest.map(|m| m as f64 / 1e6),
        ),
        (
            "reached_timestamp_seconds",
            "Up to when the partition was read: the clock less this is its freshness",
            |p| p.reached.map(|m| m as f64 / 1e6),
        ),
        ("open_buffer_rows", "Accepted events that are not committed yet", |p| {
            Some(p.buffered_rows as f64)
        }),
        ("open_buffer_bytes", "About the memory they take", |p| Some(p.buffered_bytes as f64)),
    ];
    for (name, help, measure) in measures {
        let name = format!("rapport_ingest_{name}");
        let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
        for partition in all {
            let Some(value) = measure(partition) else { continue };
            let number = partition.partition.to_string();
            let labels = [("topic", partition.topic.as_str()), ("partition", number.as_str())];
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    let (name, help) = ("rapport_ingest_partitions", "Partitions assigned to this worker");
    let mut assigned = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    assigned.encode_gauge(&(all.len() as f64))
}

fn commits(times: &CommitTimes, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let (name, help) = ("rapport_ingest_commit_seconds", "How long commits took, files included");
    let mut histogram = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let bounds = CommitTimes::BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(times.counts).collect();
    let sum = times.sum.as_secs_f64();
    histogram.encode_histogram::<NoLabelSet>(sum, times.counts.iter().sum(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use domain::Stream;

    use super::*;

    #[test]
    fn a_port_alone_is_on_this_machine() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                parse_address(text).ok().map(|a| a.to_string()).as_deref(),
                expected,
                "{text}"
            );
        };
        check("9464", Some("127.0.0.1:9464"));
        check(":9464", Some("127.0.0.1:9464"));
        check("0.0.0.0:9464", Some("0.0.0.0:9464"));
        check("nonsense", None);
        check("127.0.0.1", None);
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("a listener");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Returns the figures of ingest that the dashboard and the alert rules name.
    fn names_in_packages() -> BTreeSet<String> {
        let texts = [
            include_str!("../packaging/grafana/rapport.json"),
            include_str!("../packaging/prometheus/rapport.rules.yml"),
        ];
        let words =
            texts.iter().flat_map(|text| text.split(|c: char| !(c.is_alphanumeric() || c == '_')));
        let names = words.filter(|word| word.starts_with("rapport_ingest_"));
        names.map(str::to_owned).collect()
    }

    #[test]
    fn the_status_of_a_run_is_served() {
        let status_board = StatusBoard::default();
        let endpoint =
            MetricsEndpoint::start((Ipv4Addr::LOCALHOST, 0).into(), &status_board).expect("a port");
        let at = endpoint.address().expect("an address");
        assert!(get(at, "/healthz").starts_with("HTTP/1.1 503"));
        let mut status = Status::default();
        status.counts.accepted = 7;
        status.counts.by_reason.insert("not_json", 2);
        status.commits.counts[4] = 3;
        status.commits.sum = Duration::from_millis(1_500);
        status.partitions.push(PartitionStatus {
            stream: Stream::ApiCalls,
            topic: "api-calls".to_owned(),
            partition: 3,
            next_offset: 12,
            lag: 5,
            newest: None,
            reached: Some(1_500_000),
            buffered_rows: 4,
            buffered_bytes: 400,
        });
        status_board.update(&status);
        assert!(get(at, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(get(at, "/else").starts_with("HTTP/1.1 404"));
        let text = get(at, "/metrics");
        for name in names_in_packages() {
            let has_name = |line: &str| {
                line.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            };
            assert!(text.lines().any(has_name), "no {name} in {text}");
        }
        for line in [
            "rapport_ingest_accepted_total 7",
            "rapport_ingest_rejected_total{reason=\"not_json\"} 2",
            "rapport_ingest_lag_records{topic=\"api-calls\",partition=\"3\"} 5.0",
            "rapport_ingest_reached_timestamp_seconds{topic=\"api-calls\",partition=\"3\"} 1.5",
            "rapport_ingest_commit_seconds_bucket{le=\"1.0\"} 3",
            "rapport_ingest_commit_seconds_bucket{le=\"+Inf\"} 3",
            "rapport_ingest_commit_seconds_sum 1.5",
            "# EOF",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
        assert!(!text.contains("newest_timestamp_seconds{"), "{text}");
    }
}
