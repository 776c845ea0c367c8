//! Waits for changes of files below `queries/`.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify_debouncer_mini::notify::{
    self, Event, EventHandler, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind,
};
use notify_debouncer_mini::{Config, DebounceEventResult, Debouncer, new_debouncer_opt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Changes within this time are one save of an editor.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Watches a folder for changes.
pub(super) struct FileChanges {
    folder: PathBuf,
    debouncer: Debouncer<ModificationWatcher>,
    events: UnboundedReceiver<DebounceEventResult>,
}

impl FileChanges {
    /// Starts to watch a folder, which need not exist yet.
    pub(super) fn below(folder: &Path) -> notify::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        let config = Config::default().with_timeout(DEBOUNCE);
        let send = move |events: DebounceEventResult| drop(sender.send(events));
        let mut debouncer = new_debouncer_opt::<_, ModificationWatcher>(config, send)?;
        // The folder above tells when the folder itself is created or deleted.
        if let Some(above) = folder.parent() {
            debouncer.watcher().watch(above, RecursiveMode::NonRecursive)?;
        }
        let mut changes = Self { folder: folder.to_owned(), debouncer, events: receiver };
        changes.watch_folder()?;
        Ok(changes)
    }

    /// Waits for the next change.
    pub(super) async fn next(&mut self) -> notify::Result<()> {
        match self.events.recv().await {
            Some(events) => drop(events?),
            None => pending().await,
        }
        self.watch_folder()
    }

    /// Watches the folder where it exists, with the folders that were created in it since.
    fn watch_folder(&mut self) -> notify::Result<()> {
        match self.debouncer.watcher().watch(&self.folder, RecursiveMode::Recursive) {
            Err(error) if self.folder.is_dir() => Err(error),
            _ => Ok(()),
        }
    }
}

/// A watcher without events of access: reading the queries opens them all.
struct ModificationWatcher(RecommendedWatcher);

impl Watcher for ModificationWatcher {
    fn new<F: EventHandler>(mut handler: F, config: notify::Config) -> notify::Result<Self> {
        let changes = move |event: notify::Result<Event>| {
            if !event.as_ref().is_ok_and(|event| event.kind.is_access()) {
                handler.handle_event(event);
            }
        };
        RecommendedWatcher::new(changes, config).map(Self)
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> notify::Result<()> {
        self.0.watch(path, mode)
    }

    fn unwatch(&mut self, path: &Path) -> notify::Result<()> {
        self.0.unwatch(path)
    }

    fn kind() -> WatcherKind {
        RecommendedWatcher::kind()
    }
}
