//! A workspace of a test's own with the real program, and asking it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_hivekeeper");
/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running engine; it ends with the test.
pub(crate) struct House {
    pub(crate) place: Arc<TempDir>,
    pub(crate) data: PathBuf,
    pub(crate) said: Vec<String>,
    engine: Child,
    _stdout: BufReader<ChildStdout>,
}

fn program(path: &Path, data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .args(args)
        .env("HIVEKEEPER_DATA_DIR", data)
        .env_remove("HIVEKEEPER_LOG")
        // Whatever keychain this machine has is not a test's to write into.
        .env("HIVEKEEPER_KEYCHAIN", "off")
        .stdin(Stdio::null());
    command
}

/// Runs a program to its end.
pub(crate) fn run_program(path: &Path, data: &Path, args: &[&str]) -> (i32, String, String) {
    let output = program(path, data, args).output().unwrap();
    (
        output.status.code().expect("it ended by itself"),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Runs the program for a workspace.
pub(crate) fn run_in(data: &Path, args: &[&str]) -> (i32, String, String) {
    run_program(Path::new(PROGRAM), data, args)
}

/// Runs the program for a workspace that is not there.
pub(crate) fn run(args: &[&str]) -> (i32, String, String) {
    let place = tempfile::tempdir().unwrap();
    run_in(&place.path().join("nothing"), args)
}

/// Runs the program with an output nobody reads.
pub(crate) fn run_unread(args: &[&str]) -> (Option<i32>, String) {
    let place = tempfile::tempdir().unwrap();
    let mut child = program(Path::new(PROGRAM), place.path(), args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut error = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut error).unwrap();
    (child.wait().unwrap().code(), error)
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl House {
    /// Starts an engine and waits until it has said where it listens.
    pub(crate) fn open() -> Self {
        Self::open_in(Arc::new(tempfile::tempdir().unwrap()), None)
    }

    /// Starts an engine in a place that may have had one, with programs from elsewhere where they
    /// are given.
    pub(crate) fn open_in(place: Arc<TempDir>, path: Option<&OsStr>) -> Self {
        Self::open_by(place, PROGRAM, |command| {
            command.arg("serve");
            if let Some(path) = path {
                command.env("PATH", path);
            }
        })
    }

    /// Starts an engine by a program that is told how.
    pub(crate) fn open_by(place: Arc<TempDir>, by: &str, told: impl FnOnce(&mut Command)) -> Self {
        let data = place.path().join("data");
        let mut command = program(Path::new(by), &data, &[]);
        told(&mut command);
        let mut engine = command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(place.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(engine.stdout.take().unwrap());
        let said = (0..2)
            .map(|_| {
                let mut line = String::new();
                stdout.read_line(&mut line).unwrap();
                line.trim_end().to_owned()
            })
            .collect();
        Self { place, data, said, engine, _stdout: stdout }
    }

    /// What the engine printed on standard error.
    pub(crate) fn complained(&self) -> String {
        std::fs::read_to_string(self.place.path().join("stderr")).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.engine.id()
    }

    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        run_in(&self.data, args)
    }

    /// Runs a command that must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let (code, out, error) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {error}");
        out
    }

    /// Runs a command that must succeed with one JSON value.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        json(&self.ok(&args))
    }

    /// Creates an agent and lets it finish a mission whose gate asks for `out.txt`.
    pub(crate) fn finished_mission(&self, command: &str) -> String {
        self.finished_mission_with(command, &[])
    }

    /// The same, with more said of the agent.
    pub(crate) fn finished_mission_with(&self, command: &str, more: &[&str]) -> String {
        self.ok(&[&["agent", "add", "ann", "--command", command][..], more].concat());
        let gate = ["--gate", "file: out.txt"];
        let add = ["mission", "add", "--title", "T", "--brief", "b"];
        let made = self.json(&[&add[..], &gate[..]].concat());
        let id = made["short_id"].as_str().unwrap().to_owned();
        self.ok(&["mission", "wait", &id, "--for", "done", "--timeout", "60s"]);
        id
    }

    /// Makes a git repository with one commit.
    pub(crate) fn repository(&self) -> PathBuf {
        let path = self.place.path().join("repository");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("README.md"), "one\n").unwrap();
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["config", "user.name", "Test"],
            &["config", "user.email", "test@example.org"],
            &["add", "."],
            &["commit", "-q", "-m", "one"],
        ] {
            let done = Command::new("git").arg("-C").arg(&path).args(args).status().unwrap();
            assert!(done.success(), "git {args:?}");
        }
        path
    }

    /// Waits until a mission is as it should be.
    pub(crate) fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let shown = self.json(&["mission", "show", id]);
            if wanted(&shown) {
                return;
            }
            assert!(Instant::now() < until, "it never came to that: {shown}");
            std::thread::yield_now();
        }
    }

    /// Starts a command whose output is read line by line.
    pub(crate) fn follow(&self, args: &[&str]) -> Follow {
        let mut child =
            program(Path::new(PROGRAM), &self.data, args).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Follow { child, stdout }
    }

    /// Asks the engine to end and waits until it has.
    pub(crate) fn end(&mut self) -> Option<i32> {
        // What was started may be a program around it.
        let told = std::fs::read_to_string(self.data.join("endpoint.json"));
        let told = told.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let pid =
            told.and_then(|told| told["pid"].as_u64()).unwrap_or(self.pid().into()).to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success());
        wait(&mut self.engine)
    }

    /// Ends the engine without a warning.
    pub(crate) fn kill(&mut self) {
        self.engine.kill().unwrap();
        self.engine.wait().unwrap();
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Ok(None) = self.engine.try_wait() {
            self.end();
        }
    }
}

/// A command that goes on.
pub(crate) struct Follow {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Follow {
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn end(&mut self) -> Option<i32> {
        wait(&mut self.child)
    }
}

fn wait(child: &mut Child) -> Option<i32> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < until, "it did not end");
        std::thread::yield_now();
    }
}
