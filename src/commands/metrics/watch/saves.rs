//! When something below `queries/` was saved, as the system tells it.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify_debouncer_mini::notify::{
    self, Event, EventHandler, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind,
};
use notify_debouncer_mini::{Config, DebounceEventResult, Debouncer, new_debouncer_opt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What an editor does to files within this time is one save.
const ONE_SAVE: Duration = Duration::from_millis(50);

pub(super) struct Saves {
    folder: PathBuf,
    debouncer: Debouncer<Changes>,
    told: UnboundedReceiver<DebounceEventResult>,
}

impl Saves {
    /// From now on; the folder may come later.
    pub(super) fn below(folder: &Path) -> notify::Result<Self> {
        let (tell, told) = unbounded_channel();
        let config = Config::default().with_timeout(ONE_SAVE);
        let tell = move |events: DebounceEventResult| drop(tell.send(events));
        let mut debouncer = new_debouncer_opt::<_, Changes>(config, tell)?;
        // That the folder itself comes or goes is told by the one above it.
        if let Some(above) = folder.parent() {
            debouncer.watcher().watch(above, RecursiveMode::NonRecursive)?;
        }
        let mut saves = Self { folder: folder.to_owned(), debouncer, told };
        saves.follow()?;
        Ok(saves)
    }

    /// Waits until something may have been saved.
    pub(super) async fn next(&mut self) -> notify::Result<()> {
        match self.told.recv().await {
            Some(events) => drop(events?),
            None => pending().await,
        }
        self.follow()
    }

    /// Watches the folders that came since, too.
    fn follow(&mut self) -> notify::Result<()> {
        match self.debouncer.watcher().watch(&self.folder, RecursiveMode::Recursive) {
            Err(error) if self.folder.is_dir() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Changes only: systems tell of files that are opened, too, and whoever looks opens them all.
struct Changes(RecommendedWatcher);

impl Watcher for Changes {
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
