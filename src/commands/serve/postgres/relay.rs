//! The messages between a client and the process that answers it, and the limits of both: how many
//! queries run at once, how long one may take, and how long a connection may be idle.

use std::net::IpAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, split,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::cancellation::CancelKey;
use super::sign_in::{Refusal, SignedIn};
use super::wire::{self, Frame, MAX_MESSAGE, Stream, read_frame};
use super::{Shared, connection_command};

/// The message by which the process learns that a query is given up. No client sends one.
const CANCEL: [u8; 5] = [1, 0, 0, 0, 4];
/// The types of the messages that clients send once they are in. The process gets no others, since it
/// tells the end of a message by its length and the answers that are awaited are counted by its type.
const FROM_CLIENTS: &[u8] = b"QPBDECHSX";
/// The longest message of the process: a row with long texts.
const MAX_ANSWER: usize = 1 << 30;
/// A process that does not stop at its time limit is ended after so much longer.
const GRACE: Duration = Duration::from_secs(5);
/// How long a connection may be idle.
const MAX_IDLE: Duration = Duration::from_secs(30 * 60);
/// How often the limits are looked at, and whether the person is still let in.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a process may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection whose process runs.
pub(super) struct Relay {
    shared: Arc<Shared>,
    user: String,
    verifier: serve::ScramVerifier,
    from: IpAddr,
    key: CancelKey,
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    errors: ChildStderr,
}

/// What a client waits for.
struct Work {
    /// How many times the process still says that it is ready.
    awaited: u32,
    since: Instant,
    /// Held while something is asked.
    permit: Option<OwnedSemaphorePermit>,
}

/// Why a connection ends.
enum End {
    ClientLeft,
    /// What the client sent is none of the protocol.
    Malformed(String),
    ProcessEnded,
    TookTooLong,
    Idle,
    NoLongerLetIn,
}

impl Relay {
    /// Starts the process of a connection.
    pub(super) fn start(
        shared: &Arc<Shared>,
        signed_in: &SignedIn,
        from: IpAddr,
    ) -> anyhow::Result<Self> {
        let mut command =
            connection_command(shared.config_file.as_deref(), &signed_in.user, shared.timeout)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.kill_on_drop(true).spawn().context("the process of a connection")?;
        let pipe = "a pipe to the process of a connection";
        Ok(Self {
            shared: Arc::clone(shared),
            user: signed_in.user.clone(),
            verifier: signed_in.verifier.clone(),
            from,
            key: shared.cancellations.add(),
            input: child.stdin.take().context(pipe)?,
            output: child.stdout.take().context(pipe)?,
            errors: child.stderr.take().context(pipe)?,
            child,
        })
    }

    pub(super) fn process(&self) -> i32 {
        self.key.process
    }

    pub(super) fn secret(&self) -> i32 {
        self.key.secret
    }

    /// Hands messages on until one side leaves or a limit is reached.
    pub(super) async fn run(self, stream: Stream) -> anyhow::Result<()> {
        let Self { shared, user, verifier, from, key, mut child, input, output, errors } = self;
        let (from_client, to_client) = split(stream);
        let mut to_client = BufWriter::new(to_client);
        let input = Mutex::new(input);
        let opening = Work { awaited: 1, since: Instant::now(), permit: None };
        let work = StdMutex::new(opening);
        // Whether the client has got whole messages only.
        let is_whole = AtomicBool::new(true);
        let messages = tokio::spawn(last_message(errors));
        let end = tokio::select! {
            asked = ask(from_client, &input, &work, &shared.queries) => match asked {
                Ok(end) => end,
                Err(_) => End::ClientLeft,
            },
            _ = reply(output, &mut to_client, &work, &is_whole) => End::ProcessEnded,
            end = watch(&shared, &user, &verifier, &work) => end,
            () = give_up(&key, &input) => End::ProcessEnded,
        };
        shared.cancellations.remove(key.process);
        // A process whose input ends removes what it has spilled, and ends.
        drop(input);
        let ended = tokio::time::timeout(END_TIMEOUT, child.wait()).await;
        if ended.is_err() {
            let _ = child.kill().await;
        }
        // A process that ends by itself has told the client why.
        let has_told = ended.is_ok_and(|ended| ended.is_ok_and(|status| status.success()));
        if has_told && matches!(end, End::ProcessEnded) {
            return Ok(());
        }
        let message = messages.await.unwrap_or_default();
        let Some(refusal) = refusal(&end, &message, shared.timeout) else { return Ok(()) };
        tracing::warn!(%from, user, why = refusal.message, "a connection of a BI tool was ended");
        if is_whole.load(Ordering::Relaxed) {
            let told = wire::refuse(&mut to_client, &refusal);
            tokio::time::timeout(END_TIMEOUT, told).await.context("the client does not read")??;
        }
        Ok(())
    }
}

/// Hands what a client asks to the process, once a query may run. Returns how the client ended it.
async fn ask(
    from_client: impl AsyncRead + Unpin,
    input: &Mutex<ChildStdin>,
    work: &StdMutex<Work>,
    queries: &Arc<Semaphore>,
) -> anyhow::Result<End> {
    let mut from_client = BufReader::new(from_client);
    loop {
        let frame = match read_frame(&mut from_client, MAX_MESSAGE).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(End::ClientLeft),
            Err(error) if error.is::<std::io::Error>() => return Ok(End::ClientLeft),
            Err(error) => return Ok(End::Malformed(error.to_string())),
        };
        match frame.kind() {
            b'X' => return Ok(End::ClientLeft),
            kind if !FROM_CLIENTS.contains(&kind) => {
                let why = format!("a message of the type {kind} does not belong here");
                return Ok(End::Malformed(why));
            }
            _ => {}
        }
        count(&frame, work, queries).await?;
        input.lock().await.write_all(&frame.0).await?;
    }
}

/// Waits until a query may run, and counts the answers that are awaited. Both are looked at under one
/// lock, so that no query runs without its permit.
async fn count(
    frame: &Frame,
    work: &StdMutex<Work>,
    queries: &Arc<Semaphore>,
) -> anyhow::Result<()> {
    // The process is ready again after each query, and after each Sync.
    let answers = u32::from(matches!(frame.kind(), b'Q' | b'S'));
    {
        let mut work = locked(work);
        if work.permit.is_some() {
            work.awaited += answers;
            return Ok(());
        }
    }
    let permit = Arc::clone(queries).acquire_owned().await?;
    let mut work = locked(work);
    work.permit = Some(permit);
    work.since = Instant::now();
    work.awaited += answers;
    Ok(())
}

/// Hands the answers of the process to the client.
async fn reply(
    output: ChildStdout,
    to_client: &mut BufWriter<impl AsyncWrite + Unpin>,
    work: &StdMutex<Work>,
    is_whole: &AtomicBool,
) -> anyhow::Result<()> {
    let mut output = BufReader::with_capacity(64 << 10, output);
    while let Some(frame) = read_frame(&mut output, MAX_ANSWER).await? {
        if frame.kind() == b'Z' {
            let mut work = locked(work);
            work.awaited = work.awaited.saturating_sub(1);
            if work.awaited == 0 {
                work.permit = None;
                work.since = Instant::now();
            }
        }
        is_whole.store(false, Ordering::Relaxed);
        to_client.write_all(&frame.0).await?;
        if output.buffer().is_empty() {
            to_client.flush().await?;
        }
        is_whole.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Waits for a limit to be reached.
async fn watch(
    shared: &Shared,
    user: &str,
    verifier: &serve::ScramVerifier,
    work: &StdMutex<Work>,
) -> End {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let (is_working, since) = {
            let work = locked(work);
            (work.permit.is_some() || work.awaited > 0, work.since)
        };
        if is_working && since.elapsed() > shared.timeout + GRACE {
            return End::TookTooLong;
        }
        if !is_working && since.elapsed() > MAX_IDLE {
            return End::Idle;
        }
        if shared.access.person(user, verifier).is_none() {
            return End::NoLongerLetIn;
        }
    }
}

/// Tells the process each time that the client gives up its query.
async fn give_up(key: &CancelKey, input: &Mutex<ChildStdin>) {
    loop {
        key.given_up.notified().await;
        if input.lock().await.write_all(&CANCEL).await.is_err() {
            return;
        }
    }
}

/// Logs what a process says, and returns the last message that is one for people.
async fn last_message(errors: ChildStderr) -> String {
    let mut lines = BufReader::new(errors).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(line, "the process of a BI tool says");
        if let Some(message) = line.strip_prefix("rapport: ") {
            message.clone_into(&mut last);
        }
    }
    last
}

/// Returns what the client is told about the end of its connection.
fn refusal(end: &End, message: &str, timeout: Duration) -> Option<Refusal> {
    Some(match end {
        End::ClientLeft => return None,
        End::Malformed(why) => Refusal::new("08P01", why),
        End::TookTooLong => Refusal::new(
            "57014",
            format!(
                "the query took more than {} s: ask for fewer days or partners",
                timeout.as_secs()
            ),
        ),
        End::Idle => Refusal::new("57P05", "the connection was idle for half an hour"),
        End::NoLongerLetIn => Refusal::new("57P01", "this user is no longer let in"),
        End::ProcessEnded if message.is_empty() => {
            Refusal::new("53200", "the query took too much memory: ask for fewer days or partners")
        }
        End::ProcessEnded => Refusal::new("53200", message),
    })
}

fn locked<T>(value: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
