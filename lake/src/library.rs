//! Calls of the Delta library: each runs to its end on a runtime of their own.
//!
//! The library reads a log on blocking threads, which wait for tasks of the runtime that the call
//! was begun on and panic when that is shut down meanwhile. A caller may go away at any time, so
//! the runtime of these calls is never shut down: it ends with the process.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinError;

static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().enable_all().thread_name("delta").build());

/// Work that was begun after a commit and that no commit waits for: each closes its channel at its
/// end.
static BEGUN: Mutex<Vec<watch::Receiver<()>>> = Mutex::new(Vec::new());

/// Runs a call of the library. It goes on when the caller stops waiting.
pub(crate) async fn to_its_end<T: Send + 'static>(
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    match handle().spawn(call).await {
        Ok(done) => done,
        Err(error) => never_cancelled(error).await,
    }
}

/// Begins work that [`settle`] waits for.
pub(crate) fn begin(work: impl Future<Output = ()> + Send + 'static) {
    let (running, ended) = watch::channel(());
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    begun.retain(|other| other.has_changed().is_ok());
    begun.push(ended);
    handle().spawn(async move {
        work.await;
        drop(running);
    });
}

/// Waits until the checkpoints that commits of this process began are written. A process that ends
/// without it gives them up. It does not wait for a clean-up of a log: the next one goes on.
pub async fn settle() {
    let begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for mut ended in begun {
        while ended.changed().await.is_ok() {}
    }
}

/// The runtime of the calls; where the system has no threads for one, the caller's.
fn handle() -> Handle {
    RUNTIME.as_ref().map_or_else(|_| Handle::current(), |runtime| runtime.handle().clone())
}

/// Passes a panic on. There is no other error: nothing cancels these tasks.
async fn never_cancelled<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => std::future::pending().await,
    }
}
