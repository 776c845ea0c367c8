//! Replaces files atomically: readers see the old bytes or the new ones, never a part.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Writes a file by way of a temporary one in the same folder, which is made where it is absent.
///
/// # Errors
/// Why the file can't be written, and what to do.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| write_error(path, &e))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| write_error(path, &e))?;
    file.write_all(bytes).map_err(|e| write_error(path, &e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(|e| write_error(path, &e))?;
    }
    file.persist(path).map_err(|e| write_error(path, &e.error))?;
    Ok(())
}

/// Returns an error that names the file itself, not the temporary one.
fn write_error(path: &Path, error: &io::Error) -> anyhow::Error {
    let code = error.raw_os_error();
    let why =
        code.map_or_else(|| error.to_string(), |c| io::Error::from_raw_os_error(c).to_string());
    let advice = match error.kind() {
        kind @ (ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => lake::io_advice(kind),
        _ => "choose a folder that can be",
    };
    anyhow::anyhow!("{} can't be written: {why}; {advice}", path.display())
}
