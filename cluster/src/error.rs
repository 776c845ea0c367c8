//! The errors of this crate.

use ballista_core::error::BallistaError;

/// An error of the scheduler or of an executor.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("\"{given}\" is no address; give HOST:PORT, such as 127.0.0.1:50050")]
    Address { given: String },
    #[error(
        "the scheduler can't listen on {address}: {source}; choose another address with --listen"
    )]
    Listen { address: String, source: std::io::Error },
    #[error("the scheduler stopped: {0}")]
    Scheduler(BallistaError),
    #[error(
        "the executor stopped: {0}; check that the scheduler runs at the address given and that the address to listen on is free"
    )]
    Executor(BallistaError),
}

/// Splits HOST:PORT.
pub(crate) fn host_and_port(address: &str) -> Result<(String, u16), ClusterError> {
    let wrong = || ClusterError::Address { given: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    if host.is_empty() { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}
