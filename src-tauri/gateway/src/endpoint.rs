//! `endpoint.json`: where the engine of a data directory listens, and the token of its run.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// The file's name within a data directory.
pub const FILE: &str = "endpoint.json";
/// The largest file that is read as one, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// Where an engine listens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address, such as `http://127.0.0.1:7171`.
    pub url: String,
    /// The token of its run.
    pub token: String,
    /// Its Unix socket, which this account alone can use; nothing where it has none.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// Its process.
    pub pid: u32,
    /// When it was started.
    pub started_at: Timestamp,
    /// Its version.
    pub version: String,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It could not be written.
    #[error("write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("read {path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl Endpoint {
    /// Writes the file for the owner's eyes only, complete or not at all.
    ///
    /// # Errors
    /// When the data directory cannot be written.
    pub fn write(&self, data_dir: &Path) -> Result<(), EndpointError> {
        let path = data_dir.join(FILE);
        let fail = |source| EndpointError::Write { path: path.clone(), source };
        let text = serde_json::to_vec(self).map_err(|error| fail(error.into()))?;
        let draft = data_dir.join(format!("{FILE}.{}", self.pid));
        let result = write_private(&draft, &text).and_then(|()| fs::rename(&draft, &path));
        if result.is_err() {
            let _ = fs::remove_file(&draft);
        }
        result.map_err(fail)
    }

    /// Reads the file; nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be read or holds something else.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, EndpointError> {
        let path = data_dir.join(FILE);
        let bytes = match read_bounded(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(EndpointError::Read { path, source }),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| EndpointError::Parse { path, source })
    }

    /// Removes the file, if it is still this run's.
    pub fn remove(&self, data_dir: &Path) {
        if let Ok(Some(found)) = Self::read(data_dir)
            && found.token == self.token
        {
            let _ = fs::remove_file(data_dir.join(FILE));
        }
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn endpoint(token: &str) -> Endpoint {
        Endpoint {
            url: "http://127.0.0.1:7171".into(),
            token: token.into(),
            socket: None,
            pid: 42,
            started_at: Timestamp::UNIX_EPOCH,
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn the_file_is_for_its_owner_only_and_goes_with_its_run() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Endpoint::read(dir.path()).unwrap().is_none());
        let first = endpoint("hk_1");
        first.write(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert_eq!(Endpoint::read(dir.path()).unwrap(), Some(first.clone()));
        let second = endpoint("hk_2");
        second.write(dir.path()).unwrap();
        first.remove(dir.path());
        assert_eq!(Endpoint::read(dir.path()).unwrap(), Some(second.clone()));
        second.remove(dir.path());
        assert!(Endpoint::read(dir.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_holds_something_else_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "nonsense").unwrap();
        let error = Endpoint::read(dir.path()).unwrap_err();
        assert!(error.to_string().contains(FILE), "{error}");
    }

    #[test]
    fn the_token_is_not_shown_when_an_endpoint_is_logged() {
        assert!(!format!("{:?}", endpoint("hk_secret")).contains("hk_secret"));
    }
}
