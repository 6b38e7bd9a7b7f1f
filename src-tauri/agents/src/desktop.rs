//! Starts the desktop program, on its own: it goes on when the command line ends.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The desktop program's name.
pub const PROGRAM: &str = "hivekeeper-desktop";

/// Why the desktop program was not started.
#[derive(Debug, thiserror::Error)]
pub enum DesktopError {
    /// It is not installed beside this program.
    #[error("find {PROGRAM} at {}", .0.display())]
    Missing(PathBuf),
    /// The operating system did not start it.
    #[error("start {}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Starts the desktop program that stands beside `sibling` for a data directory.
///
/// # Errors
/// When it is not there or cannot be started.
pub fn open(sibling: &Path, data_dir: &Path) -> Result<(), DesktopError> {
    let path = sibling.with_file_name(PROGRAM);
    if !path.is_file() {
        return Err(DesktopError::Missing(path));
    }
    Command::new(&path)
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map(drop)
        .map_err(|source| DesktopError::Start { path, source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_desktop_program_that_is_not_installed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(&dir.path().join("hivekeeper"), dir.path()).unwrap_err();
        assert!(error.to_string().contains(PROGRAM), "{error}");
    }

    #[test]
    fn the_program_beside_this_one_is_started_for_the_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(PROGRAM);
        let said = dir.path().join("said");
        let script =
            format!("#!/bin/sh\necho \"$@\" > {0}.new && mv {0}.new {0}\n", said.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        open(&dir.path().join("hivekeeper"), Path::new("/data")).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while !said.exists() {
            assert!(Instant::now() < until, "it did not start");
            std::thread::yield_now();
        }
        assert_eq!(std::fs::read_to_string(said).unwrap(), "--data-dir /data\n");
    }
}
