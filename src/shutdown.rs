//! Handles the signals that end the program: after the temporary files are removed, or after a
//! command has committed its buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use tokio::runtime::Runtime;

use crate::output::print_note;
use crate::{resource_usage, scratch_folder};

/// Which signals end a command at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TerminationSignals {
    /// SIGINT (Ctrl-C), SIGTERM and SIGHUP.
    All,
    /// SIGTERM and SIGHUP. SIGINT only stops what the command is doing.
    AllButInterrupt,
}

/// Installs handlers: such a signal removes the temporary files and ends the program with 128 plus
/// the signal's number. A signal that was ignored when the program started stays ignored.
#[cfg(unix)]
pub(crate) fn exit_on_signals(signals: TerminationSignals) {
    use tokio::signal::unix::SignalKind;
    let interrupt = (signals == TerminationSignals::All).then(SignalKind::interrupt);
    let kinds = [SignalKind::terminate(), SignalKind::hangup()].into_iter().chain(interrupt);
    let kinds: Vec<SignalKind> =
        kinds.filter(|kind| !resource_usage::ignores_signal(kind.as_raw_value())).collect();
    on_signals(kinds, |number| {
        scratch_folder::remove();
        std::process::exit(128 + number);
    });
}

/// Calls a function with the number of each signal, on a thread of its own: queries may keep every
/// thread of the runtime busy.
#[cfg(unix)]
fn on_signals(
    kinds: Vec<tokio::signal::unix::SignalKind>,
    received: impl Fn(i32) + Send + 'static,
) {
    let listen = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            let mut listeners = Vec::new();
            for kind in kinds {
                match tokio::signal::unix::signal(kind) {
                    Ok(listener) => listeners.push((kind.as_raw_value(), listener)),
                    Err(error) => tracing::debug!(%error, "a signal can't be listened for"),
                }
            }
            while !listeners.is_empty() {
                let next = listeners.iter_mut().map(|(number, listener)| {
                    Box::pin(async move {
                        listener.recv().await;
                        *number
                    })
                });
                received(futures::future::select_all(next).await.0);
            }
        });
    };
    if let Err(error) = thread::Builder::new().name("signals".to_owned()).spawn(listen) {
        tracing::debug!(%error, "signals end the program at once");
    }
}

#[cfg(not(unix))]
pub(crate) fn exit_on_signals(_signals: TerminationSignals) {}

/// How signals end a command that ingests and then computes: after the commit of its buffers while
/// it ingests, and at once otherwise. A second Ctrl-C ends it at once in any case.
pub(crate) struct RoundSignals {
    /// Set by the first signal.
    stop: Arc<AtomicBool>,
    is_ingesting: Arc<AtomicBool>,
    /// The number of the first signal.
    signal: Arc<AtomicI32>,
    exit_code: fn(i32) -> i32,
}

/// The number of SIGINT.
#[cfg(unix)]
const INTERRUPT: i32 = 2;

impl RoundSignals {
    /// Listens for SIGINT, SIGTERM and SIGHUP. `exit_code` is that of a command which a signal
    /// ended.
    pub(crate) fn listen(exit_code: fn(i32) -> i32) -> Self {
        let (stop, is_ingesting, signal) = Default::default();
        let signals = Self { stop, is_ingesting, signal, exit_code };
        #[cfg(unix)]
        signals.handle();
        signals
    }

    #[cfg(unix)]
    fn handle(&self) {
        use tokio::signal::unix::SignalKind;
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let kinds = kinds.into_iter();
        let kinds = kinds.filter(|kind| !resource_usage::ignores_signal(kind.as_raw_value()));
        let (stop, is_ingesting) = (Arc::clone(&self.stop), Arc::clone(&self.is_ingesting));
        let (signal, exit_code) = (Arc::clone(&self.signal), self.exit_code);
        on_signals(kinds.collect(), move |number| {
            let is_second = stop.swap(true, Ordering::SeqCst);
            if !is_second {
                signal.store(number, Ordering::SeqCst);
            }
            let commits = is_ingesting.load(Ordering::SeqCst);
            if !commits || (is_second && number == INTERRUPT) {
                scratch_folder::remove();
                std::process::exit(if commits { 128 + number } else { exit_code(number) });
            }
            print_note("rapport run ends once it has committed what it holds");
        });
    }

    /// Ingests, with the flag that a signal sets.
    pub(crate) fn while_ingesting<T>(&self, ingest: impl FnOnce(&Arc<AtomicBool>) -> T) -> T {
        self.is_ingesting.store(true, Ordering::SeqCst);
        let done = ingest(&self.stop);
        self.is_ingesting.store(false, Ordering::SeqCst);
        done
    }

    /// Returns whether a signal has ended ingest.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Ends the process with the code of the signal, if one has ended ingest.
    pub(crate) fn exit_if_stopped(&self, runtime: &Runtime) {
        if self.is_stopped() {
            runtime.block_on(lake::wait_for_background_work());
            scratch_folder::remove();
            std::process::exit((self.exit_code)(self.signal.load(Ordering::SeqCst)));
        }
    }
}

/// Waits for SIGTERM or Ctrl-C, for commands that end by themselves after it.
#[cfg(unix)]
pub(crate) async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
pub(crate) async fn wait_for_signal() {
    drop(tokio::signal::ctrl_c().await);
}
