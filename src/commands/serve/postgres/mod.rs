//! `rapport serve --postgres`: the metrics and views for BI tools, by the protocol of PostgreSQL.
//!
//! This process accepts connections, encrypts them and finds out who is there. Everything that
//! somebody asks is answered by a process of their own (`commands::postgres_connection`), which reads
//! the lake only and ends alone when it takes too long or too much memory.
//!
//! - `tls`: the certificate
//! - `wire`: messages as bytes
//! - `sign_in`: what happens before the first query
//! - `relay`: the messages between a client and its process, and the limits of both
//! - `cancellation`: queries that clients give up

mod cancellation;
mod relay;
mod sign_in;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use pgwire::messages::startup::Authentication;
use serve::{Access, DatabaseAccess};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::config::PostgresSettings;
use crate::errors::usage_error;
use cancellation::Cancellations;
use relay::Relay;
use sign_in::{Opened, Refusal, SignedIn};

/// How many queries run at once. Others wait.
const QUERIES_AT_ONCE: usize = 4;
/// How long somebody may take to sign in.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(20);
/// How many connections may be about to sign in.
const SIGNING_IN_AT_ONCE: usize = 64;

/// Where and how BI tools connect.
pub(super) struct PostgresOptions {
    pub(super) address: SocketAddr,
    pub(super) settings: PostgresSettings,
    /// Whether a proxy in front ends TLS.
    pub(super) is_behind_tls: bool,
    pub(super) config_file: Option<PathBuf>,
}

/// A server that listens for BI tools.
pub(super) struct PostgresServer {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all connections use.
struct Shared {
    access: DatabaseAccess,
    tls: Option<TlsAcceptor>,
    config_file: Option<PathBuf>,
    /// How long a statement may take.
    timeout: Duration,
    connections: Arc<Semaphore>,
    signing_in: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    cancellations: Cancellations,
}

impl PostgresServer {
    /// Listens.
    ///
    /// # Errors
    /// Fails when the address is taken, when nobody could sign in or others could read along, and
    /// when the certificate can't be used.
    pub(super) async fn start(
        options: PostgresOptions,
        people: &Access,
        access: DatabaseAccess,
    ) -> anyhow::Result<Self> {
        check_exposure(&options, people)?;
        let PostgresOptions { address, settings, config_file, .. } = options;
        let tls =
            settings.certificate.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key));
        let listener = TcpListener::bind(address).await.map_err(|error| {
            usage_error(format!(
                "can't listen at {address} for BI tools: {error}; choose another address with --postgres"
            ))
        })?;
        let shared = Shared {
            access,
            tls: tls.transpose()?,
            config_file,
            timeout: settings.timeout,
            connections: Arc::new(Semaphore::new(settings.connections)),
            signing_in: Arc::new(Semaphore::new(SIGNING_IN_AT_ONCE)),
            queries: Arc::new(Semaphore::new(QUERIES_AT_ONCE)),
            cancellations: Cancellations::default(),
        };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// Returns where it listens.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("the address for BI tools")
    }

    /// Answers until it is dropped.
    pub(super) async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    let shared = Arc::clone(&self.shared);
                    tokio::spawn(async move {
                        if let Err(error) = answer(&shared, stream, from).await {
                            tracing::debug!(%error, %from, "a connection of a BI tool ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of a BI tool was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Refuses to be reached without a sign-in, or by others in plain text.
fn check_exposure(options: &PostgresOptions, people: &Access) -> anyhow::Result<()> {
    let has_users = matches!(people, Access::People(people) if people.has_database_users());
    if !has_users {
        return Err(usage_error(
            "BI tools sign in, and access.toml has no entry with a database_user; `rapport serve \
             --new-database-user USER --name NAME >> access.toml` makes one",
        ));
    }
    let is_encrypted = options.settings.certificate.is_some() || options.is_behind_tls;
    if !options.address.ip().is_loopback() && !is_encrypted {
        return Err(usage_error(
            "an address for BI tools beyond this machine needs TLS: name certificate and key in \
             [serve.postgres], say with --behind-tls that a proxy in front ends TLS, or listen at \
             127.0.0.1",
        ));
    }
    Ok(())
}

/// Answers one connection.
async fn answer(shared: &Arc<Shared>, stream: TcpStream, from: SocketAddr) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let Ok(opening) = Arc::clone(&shared.signing_in).try_acquire_owned() else {
        anyhow::bail!("too many connections are about to sign in");
    };
    let opened = tokio::time::timeout(SIGN_IN_TIMEOUT, sign_in::open(shared, stream)).await;
    let opened = match opened.context("it took too long to say who is there")?? {
        Opened::Startup(opened) => opened,
        Opened::Cancel { process, secret } => {
            shared.cancellations.cancel(process, secret);
            return Ok(());
        }
        Opened::Left => return Ok(()),
    };
    let mut stream = opened.stream;
    let signing_in = sign_in::sign_in(&shared.access, &mut stream, &opened.parameters, from.ip());
    let signed_in = match tokio::time::timeout(SIGN_IN_TIMEOUT, signing_in).await? {
        Ok(signed_in) => signed_in,
        Err(refusal) => {
            tracing::warn!(%from, why = refusal.message, "a BI tool was not let in");
            return wire::refuse(&mut stream, &refusal).await;
        }
    };
    drop(opening);
    // Only those who are in have a place, so that strangers take none away.
    let Ok(place) = Arc::clone(&shared.connections).try_acquire_owned() else {
        let why =
            "too many connections are open; close some, or raise [serve.postgres] connections";
        return wire::refuse(&mut stream, &Refusal::new("53300", why)).await;
    };
    let SignedIn { user, person, .. } = &signed_in;
    tracing::info!(%from, user, person, "a BI tool signed in");
    let relay = Relay::start(shared, &signed_in, from.ip())?;
    greet(&mut stream, &signed_in, &relay).await?;
    let ended = relay.run(stream).await;
    drop(place);
    ended
}

/// Says that somebody is in, what this server is, and how a query is given up.
async fn greet(
    stream: &mut wire::Stream,
    signed_in: &SignedIn,
    relay: &Relay,
) -> anyhow::Result<()> {
    let mut out = wire::Output::default();
    out.put(&Authentication::Ok)?;
    for (name, value) in signed_in.announced() {
        out.put_parameter(name, value)?;
    }
    out.put_key(relay.process(), relay.secret())?;
    out.send(stream).await
}

/// Returns the command that answers one connection.
fn connection_command(
    config_file: Option<&Path>,
    user: &str,
    timeout: Duration,
) -> anyhow::Result<tokio::process::Command> {
    let program = std::env::current_exe().context("the path of this program")?;
    let mut command = tokio::process::Command::new(program);
    if let Some(config_file) = config_file {
        command.arg("--config").arg(config_file);
    }
    command.args(["--quiet", "postgres-connection", &format!("--user={user}")]);
    command.args(["--milliseconds", &timeout.as_millis().to_string()]);
    Ok(command)
}
