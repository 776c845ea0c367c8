//! Independent work, as much of it at once as there are cores; results come in the order it was
//! asked for.

use std::future::Future;
use std::sync::Arc;
use std::thread::available_parallelism;

use futures::stream::{self, Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Results that wait for one before them, at most: others go on meanwhile.
const WAITING: usize = 64;

/// # Errors
/// A piece of work that panicked.
pub(crate) fn in_order<F>(
    work: impl Iterator<Item = F> + Send,
) -> impl Stream<Item = Result<F::Output, JoinError>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    let turns = Arc::new(Semaphore::new(cores));
    let in_turn = move |work: F| {
        let turns = Arc::clone(&turns);
        async move {
            let _turn = turns.acquire_owned().await;
            work.await
        }
    };
    // Each on a task of its own: planning a query never gives way.
    stream::iter(work).map(move |work| tokio::spawn(in_turn(work))).buffered(WAITING)
}
