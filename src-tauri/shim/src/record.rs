//! Writes records so that a reader finds a whole one or none.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` (mode 0600): beside it first, flushed to the disk, then renamed.
///
/// # Errors
/// When the directory cannot be written, or the disk is full.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let (unfinished, file) = beside(path, bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    // The new name is safe only once its directory is.
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// As [`write`], but without waiting for the disk: it survives the death of this process, not of the
/// machine.
///
/// # Errors
/// As [`write`].
pub fn write_soon(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let (unfinished, _) = beside(path, bytes)?;
    std::fs::rename(&unfinished, path)
}

/// Writes `bytes` beside `path`, under a name that is not read.
fn beside(path: &Path, bytes: &[u8]) -> std::io::Result<(PathBuf, File)> {
    let unfinished = path.with_extension("tmp");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    Ok((unfinished, file))
}

/// Writes `value` as JSON, as [`write`] does.
///
/// # Errors
/// As [`write`].
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> std::io::Result<()> {
    write(path, &serde_json::to_vec(value)?)
}

/// Reads a record; nothing when there is none yet.
///
/// # Errors
/// When the file cannot be read, or is not such a record.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> std::io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
