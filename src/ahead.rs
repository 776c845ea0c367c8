//! Independent work, as much of it at once as there are cores; results come in the order it was
//! asked for.

use std::future::Future;
use std::thread::available_parallelism;

use futures::stream::{self, Stream, StreamExt};
use tokio::task::JoinError;

/// # Errors
/// A piece of work that panicked.
pub(crate) fn in_order<F>(
    work: impl Iterator<Item = F> + Send,
) -> impl Stream<Item = Result<F::Output, JoinError>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    // Each on a task of its own: planning a query never gives way.
    stream::iter(work).map(tokio::spawn).buffered(cores)
}
