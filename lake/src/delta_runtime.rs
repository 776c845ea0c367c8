//! The runtime on which calls of the Delta library run to completion.
//!
//! The library reads a log on blocking threads, which wait for tasks of the runtime on which the
//! call was started, and panic when that runtime is shut down meanwhile. A caller may go away at
//! any time, so these calls have a runtime of their own, which lives as long as the process.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinError;

static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().enable_all().thread_name("delta").build());

/// Background work that was spawned after commits. The channel of each work closes at its end.
static BACKGROUND_WORK: Mutex<Vec<watch::Receiver<()>>> = Mutex::new(Vec::new());

/// Runs a call of the library. The call goes on when the caller stops waiting for it.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    match handle().spawn(call).await {
        Ok(done) => done,
        Err(error) => propagate_panic(error).await,
    }
}

/// Spawns work that [`wait_for_background_work`] waits for.
pub(crate) fn spawn_background(work: impl Future<Output = ()> + Send + 'static) {
    let (running, ended) = watch::channel(());
    let mut spawned = BACKGROUND_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    spawned.retain(|other| other.has_changed().is_ok());
    spawned.push(ended);
    handle().spawn(async move {
        work.await;
        drop(running);
    });
}

/// Waits until the checkpoints are written that commits of this process have started. A process
/// that ends without waiting abandons them. Clean-ups of logs are not waited for: the next one goes
/// on.
pub async fn wait_for_background_work() {
    let spawned = BACKGROUND_WORK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for mut ended in spawned {
        while ended.changed().await.is_ok() {}
    }
}

/// Returns the runtime of the calls, or the caller's where the system has no threads for one.
fn handle() -> Handle {
    RUNTIME.as_ref().map_or_else(|_| Handle::current(), |runtime| runtime.handle().clone())
}

/// Resumes the panic of a task. There is no other error, because nothing cancels these tasks.
async fn propagate_panic<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => std::future::pending().await,
    }
}
