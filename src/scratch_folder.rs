//! The temporary folder of the process, for spilled queries and spooled standard input.
//!
//! The process removes it at its end, also where a signal ends it. The folder of a killed process
//! is removed by the next one: beside each folder lies a lock file, and a lock that is free shows
//! that its process is dead.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The prefix of the names of folders and lock files.
const PREFIX: &str = "rapport-scratch-";
const LOCK_EXTENSION: &str = "lock";

/// How often a lock file is made anew: another process may take a new one for that of a dead
/// process.
const ATTEMPTS: usize = 8;

static OWN: Mutex<Option<Scratch>> = Mutex::new(None);

struct Scratch {
    folder: PathBuf,
    lock: PathBuf,
    /// Locked for as long as the process lives.
    _lock_file: File,
}

/// Returns the folder, which the first call creates.
///
/// # Errors
/// The system's temporary folder can't be written.
pub(crate) fn folder() -> io::Result<PathBuf> {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(own) = &*own {
        return Ok(own.folder.clone());
    }
    let base = std::env::temp_dir();
    let created = Scratch::create(&base)?;
    remove_abandoned(&base, &created);
    Ok(own.insert(created).folder.clone())
}

/// Removes the folder, where there is one.
pub(crate) fn remove() {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(own) = own {
        discard(&own.folder, &own.lock);
    }
}

impl Scratch {
    fn create(base: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let folder = base.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
            let lock = folder.with_extension(LOCK_EXTENSION);
            let lock_file = private().create_new(true).open(&lock)?;
            // Another process may have found it unlocked in between, and removed it.
            if lock_file.try_lock().is_ok() && lock.exists() {
                private_folder(&folder)?;
                return Ok(Self { folder, lock, _lock_file: lock_file });
            }
        }
        Err(io::Error::other("other processes remove its lock again and again"))
    }
}

/// Removes the folders of dead processes of the same user.
fn remove_abandoned(base: &Path, own: &Scratch) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let is_lock = path.extension().is_some_and(|extension| extension == LOCK_EXTENSION)
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

/// Removes a folder, then its lock file, by which it would be found again.
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

/// Returns whether a path is a file, not a link, of the same user as another.
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
    fn only_folders_of_dead_processes_are_removed() {
        let base = tempfile::tempdir().expect("a folder");
        let abandon = |scratch: Scratch| {
            fs::write(scratch.folder.join("spilled"), "rows").expect("written");
            (scratch.folder.clone(), scratch.lock.clone())
        };
        let dead = abandon(Scratch::create(base.path()).expect("made"));
        let living = Scratch::create(base.path()).expect("made");
        let beside = base.path().join(format!("{PREFIX}other"));
        fs::create_dir(&beside).expect("made");
        let own = Scratch::create(base.path()).expect("made");
        remove_abandoned(base.path(), &own);
        assert!(!dead.0.exists() && !dead.1.exists());
        assert!(living.folder.exists() && own.folder.exists() && beside.exists());
        discard(&own.folder, &own.lock);
        assert!(!own.folder.exists() && !own.lock.exists());
    }
}
