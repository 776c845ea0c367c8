//! What happens before the first query: encryption, the startup message, and the proof of a password.

use std::net::IpAddr;

use anyhow::{Context, bail};
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};
use serve::{DatabaseAccess, SCRAM_SHA_256, ScramError, ScramExchange, ScramVerifier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use super::wire::{self, Frame, Output, Stream, read_frame};

/// The longest startup message, as in PostgreSQL.
const MAX_STARTUP: usize = 10_000;
/// The longest message of a sign-in.
const MAX_SIGN_IN: usize = 4_096;
/// The longest name of a user. Names of those who failed are kept for a while.
const MAX_USER: usize = 128;
/// The numbers by which the first message of a connection is told.
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const PROTOCOL: u32 = 3;

/// Why somebody is not let in.
pub(super) struct Refusal {
    /// A code of SQLSTATE.
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The begin of a connection.
pub(super) enum Opened {
    Startup(Startup),
    /// Somebody gives up a query of another connection.
    Cancel {
        process: i32,
        secret: i32,
    },
    /// It was refused, or left.
    Left,
}

/// A connection with the parameters of its startup message.
pub(super) struct Startup {
    pub(super) stream: Stream,
    pub(super) parameters: Vec<(String, String)>,
}

/// Somebody who has signed in.
pub(super) struct SignedIn {
    pub(super) user: String,
    pub(super) verifier: ScramVerifier,
    /// The name of the person.
    pub(super) person: String,
    application: String,
}

impl SignedIn {
    /// Returns what clients are told about this server.
    pub(super) fn announced(&self) -> [(&str, &str); 12] {
        [
            ("server_version", "15.0"),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("IntervalStyle", "postgres"),
            ("TimeZone", "UTC"),
            ("integer_datetimes", "on"),
            ("standard_conforming_strings", "on"),
            ("default_transaction_read_only", "on"),
            ("is_superuser", "off"),
            ("session_authorization", &self.user),
            ("application_name", &self.application),
        ]
    }
}

/// Reads the first messages of a connection, and encrypts it where there is a certificate: then
/// nothing is answered in plain text.
pub(super) async fn open(shared: &Shared, stream: TcpStream) -> anyhow::Result<Opened> {
    let mut stream: Stream = Box::new(stream);
    let mut is_encrypted = false;
    // A client asks for each kind of encryption once.
    for _ in 0..4 {
        let (code, rest) = read_startup(&mut stream).await?;
        match code {
            SSL_REQUEST if !is_encrypted => match &shared.tls {
                Some(tls) => {
                    stream.write_all(b"S").await?;
                    stream = Box::new(tls.accept(stream).await.context("TLS")?);
                    is_encrypted = true;
                }
                None => stream.write_all(b"N").await?,
            },
            GSS_REQUEST if !is_encrypted => stream.write_all(b"N").await?,
            CANCEL_REQUEST => return cancel_request(&rest),
            code if code >> 16 == PROTOCOL => {
                if shared.tls.is_some() && !is_encrypted {
                    let why = "this server takes encrypted connections only: sslmode=require, or \
                               better verify-full";
                    wire::refuse(&mut stream, &Refusal::new("28000", why)).await?;
                    return Ok(Opened::Left);
                }
                let parameters = startup_parameters(&rest)?;
                negotiate(&mut stream, code, &parameters).await?;
                return Ok(Opened::Startup(Startup { stream, parameters }));
            }
            _ => break,
        }
    }
    bail!("the first message is none of the protocol")
}

/// Reads a message without a type: its code, and what follows.
async fn read_startup(stream: &mut Stream) -> anyhow::Result<(u32, Vec<u8>)> {
    let length = stream.read_u32().await? as usize;
    if !(8..=MAX_STARTUP).contains(&length) {
        bail!("the first message has {length} bytes");
    }
    let code = stream.read_u32().await?;
    let mut rest = vec![0; length - 8];
    stream.read_exact(&mut rest).await?;
    Ok((code, rest))
}

fn cancel_request(rest: &[u8]) -> anyhow::Result<Opened> {
    let number = |bytes: &[u8]| bytes.try_into().map(i32::from_be_bytes);
    let (process, secret) = rest.split_at_checked(4).context("a cancel request")?;
    Ok(Opened::Cancel {
        process: number(process).context("a cancel request")?,
        secret: number(secret).context("a cancel request")?,
    })
}

/// Reads names and values, each up to a zero byte.
fn startup_parameters(rest: &[u8]) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = rest.split(|byte| *byte == 0).map(|text| String::from_utf8(text.to_vec()));
    let mut parameters = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        let (name, value) = (name.context("a parameter")?, value.context("a parameter")?);
        if name.is_empty() {
            break;
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

/// Says which version of the protocol is spoken, where the client asks for a newer one.
async fn negotiate(
    stream: &mut Stream,
    version: u32,
    parameters: &[(String, String)],
) -> anyhow::Result<()> {
    let unknown = parameters.iter().map(|(name, _)| name).filter(|name| name.starts_with("_pq_."));
    let unknown: Vec<String> = unknown.cloned().collect();
    if version & 0xffff == 0 && unknown.is_empty() {
        return Ok(());
    }
    let mut out = Output::default();
    let oldest = i32::try_from(PROTOCOL << 16).context("a version")?;
    out.put(&NegotiateProtocolVersion::new(oldest, unknown))?;
    out.send(stream).await
}

/// Finds out who is there, by SCRAM.
///
/// # Errors
/// Says why somebody is not let in; who does not exist gets the same answer as a wrong password.
pub(super) async fn sign_in(
    access: &DatabaseAccess,
    stream: &mut Stream,
    parameters: &[(String, String)],
    from: IpAddr,
) -> Result<SignedIn, Refusal> {
    let named = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let Some(user) = named("user") else {
        return Err(Refusal::new("28000", "the connection names no user"));
    };
    if user.len() > MAX_USER {
        let why = format!("the name of a user has {MAX_USER} bytes at most");
        return Err(Refusal::new("28000", why));
    }
    if named("replication").is_some_and(|value| value != "false") {
        return Err(Refusal::new("0A000", "nothing is replicated from here"));
    }
    let verifier = access.verifier(&user);
    let proven = prove(stream, verifier.clone()).await;
    let person = proven.as_ref().ok().and_then(|()| access.person(&user, &verifier));
    let Some(person) = person else {
        return Err(match (access.count_failure(&user, from), proven) {
            (Err(wait), _) => Refusal::new(
                "28P01",
                format!("too many attempts to sign in: try again in {} s", wait.as_secs() + 1),
            ),
            (Ok(()), Err(Some(refusal))) => refusal,
            (Ok(()), _) => {
                Refusal::new("28P01", format!("password authentication failed for user \"{user}\""))
            }
        });
    };
    let application = named("application_name").unwrap_or_default();
    Ok(SignedIn { user, verifier, person, application })
}

/// Lets a client prove that it knows the password. A wrong one has no refusal of its own.
async fn prove(stream: &mut Stream, verifier: ScramVerifier) -> Result<(), Option<Refusal>> {
    let broken = |_| Some(Refusal::new("08P01", "the sign-in does not follow the protocol"));
    let malformed = |error: ScramError| match error {
        ScramError::WrongPassword => None,
        ScramError::Malformed => broken(()),
    };
    let methods = Authentication::SASL(vec![SCRAM_SHA_256.to_owned()]);
    send(stream, &methods).await.map_err(|_| broken(()))?;
    let first = answer_of(stream).await.map_err(|_| broken(()))?;
    let first = initial_response(first.body()).ok_or_else(|| broken(()))?;
    let (exchange, reply) = ScramExchange::begin(verifier, first).map_err(malformed)?;
    send(stream, &Authentication::SASLContinue(reply.into())).await.map_err(|_| broken(()))?;
    let last = answer_of(stream).await.map_err(|_| broken(()))?;
    let reply = exchange.finish(last.body()).map_err(malformed)?;
    send(stream, &Authentication::SASLFinal(reply.into())).await.map_err(|_| broken(()))
}

async fn send(stream: &mut Stream, message: &Authentication) -> anyhow::Result<()> {
    let mut out = Output::default();
    out.put(message)?;
    out.send(stream).await
}

async fn answer_of(stream: &mut Stream) -> anyhow::Result<Frame> {
    let frame = read_frame(stream, MAX_SIGN_IN).await?.context("the client left")?;
    if frame.kind() == b'p' { Ok(frame) } else { bail!("a message of type {}", frame.kind()) }
}

/// Returns the first message of SCRAM: after the name of the mechanism and its own length.
fn initial_response(body: &[u8]) -> Option<&[u8]> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let (mechanism, rest) = body.split_at(end);
    let (length, first) = rest.get(1..)?.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    (mechanism == SCRAM_SHA_256.as_bytes() && length == first.len()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_sign_in_are_read() {
        let body = b"SCRAM-SHA-256\0\0\0\0\x03n,,";
        assert_eq!(initial_response(body), Some(&b"n,,"[..]));
        for wrong in [&b""[..], b"PLAIN\0\0\0\0\x01n", b"SCRAM-SHA-256\0\0\0\0\x09n,,", b"SCRAM"] {
            assert_eq!(initial_response(wrong), None);
        }
        let found = startup_parameters(b"user\0ada\0database\0rapport\0\0").expect("parameters");
        let expected = [("user", "ada"), ("database", "rapport")];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(matches!(
            cancel_request(&[0, 0, 0, 7, 0, 0, 0, 9]),
            Ok(Opened::Cancel { process: 7, secret: 9 })
        ));
        assert!(cancel_request(&[0, 0, 0, 7]).is_err());
    }
}
