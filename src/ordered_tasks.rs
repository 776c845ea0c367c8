//! Runs independent futures in parallel, one on each core, and returns their results in order.

use std::future::Future;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use futures::stream::{self, Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// How many results may wait for a slow one before them.
const MAX_WAITING: usize = 64;

/// Spawns a task for each future, so that each runs on a thread of its own: planning a query never
/// yields.
///
/// # Errors
/// Each item is an error where its future panicked.
pub(crate) fn spawn_in_order<F>(
    futures: impl Iterator<Item = F> + Send,
) -> impl Stream<Item = Result<F::Output, JoinError>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let cores = available_parallelism().map_or(1, NonZero::get);
    let permits = Arc::new(Semaphore::new(cores));
    let with_permit = move |future: F| {
        let permits = Arc::clone(&permits);
        async move {
            let _permit = permits.acquire_owned().await;
            future.await
        }
    };
    stream::iter(futures).map(move |future| tokio::spawn(with_permit(future))).buffered(MAX_WAITING)
}
