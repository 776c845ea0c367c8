//! Finds the Chromium that makes PDF and PNG files.

use std::path::{Path, PathBuf};

use crate::errors::usage_error;

/// The names of the program, the likeliest first.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Returns the program that `[serve] chromium` names, or the first one that the path of programs has.
///
/// # Errors
/// Fails when there is no such file as the setting names.
pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    if let Some(named) = named {
        if !named.is_file() {
            let named = named.display();
            return Err(usage_error(format!("[serve] chromium: there is no program {named}")));
        }
        return Ok(Some(named.to_owned()));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let paths = NAMES.iter().flat_map(|name| {
        std::env::split_paths(&folders).map(move |folder| folder.join(name)).collect::<Vec<_>>()
    });
    Ok(paths.into_iter().find(|path| path.is_file()))
}
