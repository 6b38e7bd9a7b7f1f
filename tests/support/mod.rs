//! A workspace of a test's own, programs, repositories, and waiting for what is to come.

pub(crate) mod driver;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest a test waits for anything; these machines may be slow and shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A place with a data directory, a directory for exports, and room for repositories.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.path("exports")).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// A git repository with one commit.
    pub(crate) fn repository(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("README.md"), "# Test\n").unwrap();
        git(&path, &["init", "-q", "-b", "main"]);
        git(&path, &["add", "-A"]);
        git(&path, &["-c", "user.name=T", "-c", "user.email=t@x", "commit", "-q", "-m", "first"]);
        path
    }

    /// What was exported under a name that holds this text, once it is there.
    pub(crate) async fn exported(&self, ending: &str) -> String {
        let exports = self.path("exports");
        let found = until("an export", async || {
            let entries = std::fs::read_dir(&exports).unwrap().flatten();
            entries.map(|entry| entry.path()).find(|path| {
                path.display().to_string().ends_with(ending)
                    && std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
            })
        });
        std::fs::read_to_string(found.await).unwrap()
    }
}

pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git").current_dir(directory).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A program of this repository, built beside the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "{} is not built: cargo build --workspace --bins", path.display());
    path
}

/// Waits until `look` finds something.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
