//! A launcher with a freshly built shim, runs of the fake agent, and waiting for a predicate.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use agents::{Launcher, transcript};
use model::process::{LaunchSpec, ProcessRef, file};
use tempfile::TempDir;

/// The fake agent's program.
pub(crate) const FAKE: &str = env!("CARGO_BIN_EXE_hivekeeper-fake-agent");

/// The shim beside it, built when it is missing or older than its sources.
pub(crate) fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let shim = Path::new(FAKE).with_file_name("hivekeeper-shim");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shim/src");
        let newest = newest_in(&sources);
        let built = shim
            .metadata()
            .and_then(|metadata| metadata.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH);
        if built < newest {
            let status = std::process::Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--package", "shim"])
                .status()
                .unwrap();
            assert!(status.success());
        }
        shim
    })
}

/// When something in a directory, or inside of those in it, was changed last.
fn newest_in(directory: &Path) -> SystemTime {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let newest = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => newest_in(&entry.path()),
        false => entry.metadata().unwrap().modified().unwrap(),
    });
    newest.max().unwrap()
}

pub(crate) fn launcher() -> Launcher {
    Launcher::with_shim(shim().to_owned())
}

/// A run's directory and a place to work in. What is left of the run is ended with it.
pub(crate) struct Run {
    pub(crate) root: TempDir,
    pub(crate) marker: String,
}

impl Run {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("place")).unwrap();
        let marker = format!("test-{}", root.path().display());
        Self { root, marker }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.root.path().join("run")
    }

    pub(crate) fn place(&self) -> PathBuf {
        self.root.path().join("place")
    }

    pub(crate) fn spec(&self, args: &[&str]) -> LaunchSpec {
        LaunchSpec {
            program: FAKE.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: Vec::new(),
            directory: self.place().display().to_string(),
            stdin: false,
            grace_ms: 10_000,
            marker: self.marker.clone(),
            ..LaunchSpec::default()
        }
    }

    pub(crate) fn stdout(&self) -> String {
        self.text(file::STDOUT)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        transcript::read_ended(&self.dir().join(name), 0, 1 << 20).unwrap().text
    }

    /// The living processes of the run.
    pub(crate) fn processes(&self) -> Vec<ProcessRef> {
        shim::proc::marked(&self.marker)
    }

    /// Waits until so many processes of the run are alive.
    pub(crate) fn until_processes(&self, count: usize) {
        until("the processes to be there", || self.processes().len() == count);
    }

    pub(crate) fn until_printed(&self, text: &str) {
        until("the output", || self.stdout().contains(text));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = shim::proc::signal(process, rustix::process::Signal::KILL);
        }
    }
}

/// Waits until `predicate` holds; it has thirty seconds.
pub(crate) fn until(what: &str, mut predicate: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !predicate() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
