//! Handles the signals that end the program: after the temporary files are removed, or after a
//! command has committed its buffers.

use std::thread;

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
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = (signals == TerminationSignals::All).then(SignalKind::interrupt);
    let kinds = [SignalKind::terminate(), SignalKind::hangup()].into_iter().chain(interrupt);
    let kinds: Vec<SignalKind> =
        kinds.filter(|kind| !resource_usage::ignores_signal(kind.as_raw_value())).collect();
    // It is a thread of its own because queries may keep every thread of the runtime busy.
    let wait = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let number = runtime.block_on(async {
            let mut listeners = Vec::new();
            for kind in kinds {
                match signal(kind) {
                    Ok(listener) => listeners.push((kind.as_raw_value(), listener)),
                    Err(error) => tracing::debug!(%error, "a signal can't be listened for"),
                }
            }
            if listeners.is_empty() {
                return std::future::pending().await;
            }
            let received = listeners.iter_mut().map(|(number, listener)| {
                Box::pin(async move {
                    listener.recv().await;
                    *number
                })
            });
            futures::future::select_all(received).await.0
        });
        scratch_folder::remove();
        std::process::exit(128 + number);
    };
    if let Err(error) = thread::Builder::new().name("signals".to_owned()).spawn(wait) {
        tracing::debug!(%error, "signals end the program at once");
    }
}

#[cfg(not(unix))]
pub(crate) fn exit_on_signals(_signals: TerminationSignals) {}

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
