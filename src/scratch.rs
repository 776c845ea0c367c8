//! The process's own temporary folder: what queries spill, what is spooled from standard input. It
//! goes with the process, also where a signal ends it, and what a killed one has left goes when the
//! next begins.
//!
//! Beside the folder lies a file that the process holds a lock on: whoever gets that lock knows that
//! the process is dead.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What the names of folders and locks begin with.
const PREFIX: &str = "rapport-scratch-";
const LOCK: &str = "lock";

/// Another process may take a new lock for that of a dead one, once.
const ATTEMPTS: usize = 8;

static OWN: Mutex<Option<Scratch>> = Mutex::new(None);

struct Scratch {
    folder: PathBuf,
    lock: PathBuf,
    /// Locked for as long as the process lives.
    _held: File,
}

/// The folder, made at the first call.
///
/// # Errors
/// Where the system's temporary folder can't be written.
pub(crate) fn folder() -> io::Result<PathBuf> {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(own) = &*own {
        return Ok(own.folder.clone());
    }
    let base = std::env::temp_dir();
    let made = Scratch::make(&base)?;
    sweep(&base, &made);
    Ok(own.insert(made).folder.clone())
}

/// Removes the folder, if there is one.
pub(crate) fn remove() {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(own) = own {
        discard(&own.folder, &own.lock);
    }
}

impl Scratch {
    fn make(base: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let folder = base.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
            let lock = folder.with_extension(LOCK);
            let held = private().create_new(true).open(&lock)?;
            // Between its making and its locking somebody may have found the lock free, and
            // removed it.
            if held.try_lock().is_ok() && lock.exists() {
                private_folder(&folder)?;
                return Ok(Self { folder, lock, _held: held });
            }
        }
        Err(io::Error::other("other processes remove its lock again and again"))
    }
}

/// Removes what dead processes of the same user have left.
fn sweep(base: &Path, own: &Scratch) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let is_lock = path.extension().is_some_and(|ending| ending == LOCK)
            && name.is_some_and(|name| name.starts_with(PREFIX));
        if !is_lock || path == own.lock || !same_owner(&path, &own.lock) {
            continue;
        }
        let Ok(lock) = private().open(&path) else { continue };
        if lock.try_lock().is_ok() {
            tracing::debug!(path = %path.display(), "a dead process left its temporary folder");
            discard(&path.with_extension(""), &path);
        }
    }
}

/// The folder first: without its lock nobody would find it again.
fn discard(folder: &Path, lock: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %folder.display(), %error, "the temporary folder stays");
        }
        _ => drop(fs::remove_file(lock)),
    }
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

#[cfg(unix)]
fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Whether a file, which is no link, is of the user that another is of.
#[cfg(unix)]
fn same_owner(path: &Path, own: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |path: &Path| fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
    of(path).zip(of(own)).is_some_and(|(one, other)| one.uid() == other.uid())
}

#[cfg(not(unix))]
fn same_owner(path: &Path, _own: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().expect("a folder");
        let left = |scratch: Scratch| {
            fs::write(scratch.folder.join("spilled"), "rows").expect("written");
            (scratch.folder.clone(), scratch.lock.clone())
        };
        let dead = left(Scratch::make(base.path()).expect("made"));
        let living = Scratch::make(base.path()).expect("made");
        let beside = base.path().join(format!("{PREFIX}other"));
        fs::create_dir(&beside).expect("made");
        let own = Scratch::make(base.path()).expect("made");
        sweep(base.path(), &own);
        assert!(!dead.0.exists() && !dead.1.exists());
        assert!(living.folder.exists() && own.folder.exists() && beside.exists());
        discard(&own.folder, &own.lock);
        assert!(!own.folder.exists() && !own.lock.exists());
    }
}
