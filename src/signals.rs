//! Signals that end the program: what it keeps in temporary files goes first.

use std::thread;

use crate::{process, scratch};

/// Which signals end a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Ctrl-C, SIGTERM and SIGHUP.
    ByAll,
    /// SIGTERM and SIGHUP: Ctrl-C only stops what the command is doing.
    NotByInterrupt,
}

/// From now on such a signal removes the temporary files and ends the program, with 128 and the
/// signal's number as its code. A signal that was ignored when the program began stays so.
#[cfg(unix)]
pub(crate) fn end_cleanly(ends: Ends) {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = (ends == Ends::ByAll).then(SignalKind::interrupt);
    let kinds = [SignalKind::terminate(), SignalKind::hangup()].into_iter().chain(interrupt);
    let kinds: Vec<SignalKind> =
        kinds.filter(|kind| !process::ignores(kind.as_raw_value())).collect();
    // A thread of its own: queries may keep all those of the runtime busy.
    let wait = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let number = runtime.block_on(async {
            let mut signals = Vec::new();
            for kind in kinds {
                match signal(kind) {
                    Ok(listener) => signals.push((kind.as_raw_value(), listener)),
                    Err(error) => tracing::debug!(%error, "a signal can't be listened for"),
                }
            }
            if signals.is_empty() {
                return std::future::pending().await;
            }
            let received = signals.iter_mut().map(|(number, listener)| {
                Box::pin(async move {
                    listener.recv().await;
                    *number
                })
            });
            futures::future::select_all(received).await.0
        });
        scratch::remove();
        std::process::exit(128 + number);
    };
    if let Err(error) = thread::Builder::new().name("signals".to_owned()).spawn(wait) {
        tracing::debug!(%error, "signals end the program at once");
    }
}

#[cfg(not(unix))]
pub(crate) fn end_cleanly(_ends: Ends) {}
