//! The log of a table in a folder, as the Delta library reads it: a request leaves the thread only where
//! it has to wait.
//!
//! The engine of the Delta kernel hands each request to another thread and sleeps until it is answered,
//! some forty times for a log. Most requests of a folder are answered at once (`local_store`), in less
//! time than two threads take to wake each other up.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use delta_kernel::Engine;
use delta_kernel_default_engine::DefaultEngineBuilder;
use delta_kernel_default_engine::executor::TaskExecutor;
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use deltalake::DeltaResult;
use deltalake::kernel::Version;
use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::{CommitOrBytes, LogStore, LogStoreConfig, LogStoreRef};
use futures::future::BoxFuture;
use object_store::ObjectStore;
use tokio::runtime::{Handle, RuntimeFlavor};
use uuid::Uuid;

/// A log store with another engine.
pub(crate) struct FolderLogStore(pub(crate) LogStoreRef);

#[async_trait::async_trait]
impl LogStore for FolderLogStore {
    fn engine(&self, operation_id: Option<Uuid>) -> Arc<dyn Engine> {
        let runtime = Handle::current();
        // The library has an executor of its own for these.
        if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return self.0.engine(operation_id);
        }
        let executor = PollingExecutor(TokioMultiThreadExecutor::new(runtime));
        let store = self.root_object_store(operation_id);
        Arc::new(DefaultEngineBuilder::new(store).with_task_executor(Arc::new(executor)).build())
    }

    fn name(&self) -> String {
        self.0.name()
    }

    async fn read_commit_entry(&self, version: Version) -> DeltaResult<Option<Bytes>> {
        self.0.read_commit_entry(version).await
    }

    async fn write_commit_entry(
        &self,
        version: Version,
        commit: CommitOrBytes,
        operation_id: Uuid,
    ) -> Result<(), TransactionError> {
        self.0.write_commit_entry(version, commit, operation_id).await
    }

    async fn abort_commit_entry(
        &self,
        version: Version,
        commit: CommitOrBytes,
        operation_id: Uuid,
    ) -> Result<(), TransactionError> {
        self.0.abort_commit_entry(version, commit, operation_id).await
    }

    async fn get_latest_version(&self, start_version: Version) -> DeltaResult<Version> {
        self.0.get_latest_version(start_version).await
    }

    fn object_store(&self, operation_id: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.0.object_store(operation_id)
    }

    fn root_object_store(&self, operation_id: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.0.root_object_store(operation_id)
    }

    fn config(&self) -> &LogStoreConfig {
        self.0.config()
    }
}

/// Polls a task once on the caller's thread. A task that has to wait goes on in the runtime.
struct PollingExecutor(TokioMultiThreadExecutor);

impl TaskExecutor for PollingExecutor {
    type Guard<'a> = <TokioMultiThreadExecutor as TaskExecutor>::Guard<'a>;

    fn block_on<T>(&self, task: T) -> T::Output
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        let mut task = Box::pin(task);
        let polled = {
            let _runtime = self.0.enter();
            // Nothing has to be woken up: who polls the task again gives it another waker.
            task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        match polled {
            Poll::Ready(output) => output,
            Poll::Pending => self.0.block_on(task),
        }
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(task);
    }

    fn spawn_blocking<T, R>(&self, task: T) -> BoxFuture<'_, delta_kernel::DeltaResult<R>>
    where
        T: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.0.spawn_blocking(task)
    }

    fn enter(&self) -> Self::Guard<'_> {
        self.0.enter()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn executor() -> PollingExecutor {
        PollingExecutor(TokioMultiThreadExecutor::new(Handle::current()))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_task_leaves_the_thread_only_to_wait() {
        let id = || thread::current().id();
        let on_this_thread = thread::spawn({
            let executor = executor();
            move || executor.block_on(async move { id() }) == id()
        });
        assert!(on_this_thread.join().expect("a thread"));
        let waits = || async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::task::spawn_blocking(|| 7).await.expect("a number")
        };
        assert_eq!(executor().block_on(waits()), 7);
        let outside = executor();
        assert_eq!(thread::spawn(move || outside.block_on(waits())).join().expect("a thread"), 7);
    }
}
