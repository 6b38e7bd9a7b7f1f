//! Runs git as a program: safely, with a deadline, and with bounded output.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::worktree::GitError;

/// The most that is read of git's answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most that is kept of git's complaints, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 16 * 1024;
/// Put before every command: nothing of the repository's own runs, and nothing asks or stays behind.
const SAFE: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
];

/// What git answered.
pub(crate) struct Answer {
    /// The exit code; nothing when it was ended by a signal.
    pub(crate) code: Option<i32>,
    /// What it printed, as far as it is read.
    pub(crate) out: Vec<u8>,
    /// What it complained about.
    pub(crate) said: String,
}

impl Answer {
    /// Its answer, where that is one line.
    pub(crate) fn line(&self) -> String {
        String::from_utf8_lossy(&self.out).trim().to_owned()
    }

    /// Entries of a list that separates them by NUL.
    pub(crate) fn entries(&self) -> u64 {
        self.out.iter().filter(|byte| **byte == 0).count() as u64
    }
}

/// Runs git and returns what it answered, whatever its exit code; ends it after `time`.
pub(crate) async fn ask(
    mut git: Command,
    what: &'static str,
    time: Duration,
) -> Result<Answer, GitError> {
    let mut child = git.spawn().map_err(|source| {
        let directory = git.as_std().get_current_dir();
        if source.kind() == ErrorKind::NotFound && directory.is_none_or(Path::is_dir) {
            GitError::NoGit(source)
        } else {
            GitError::Io { what, source }
        }
    })?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let group = child.id();
    let work = async {
        let (out, err) =
            tokio::join!(bounded(out, ANSWER_BYTES_MAX), bounded(err, COMPLAINT_BYTES_MAX));
        Ok((child.wait().await?, out?, err?))
    };
    match tokio::time::timeout(time, work).await {
        Ok(Ok((status, out, err))) => Ok(Answer {
            code: status.code(),
            out,
            said: String::from_utf8_lossy(&err).trim().to_owned(),
        }),
        Ok(Err(source)) => Err(GitError::Io { what, source }),
        Err(_) => {
            end_group(group);
            Err(GitError::TimedOut { what, timeout_s: time.as_secs() })
        }
    }
}

/// Git in `directory`, with nothing of the repository's own running; `paths` stand behind `--`.
pub(crate) fn command(directory: &Path, args: &[&str], paths: &[&Path]) -> Command {
    let mut git = Command::new("git");
    for setting in SAFE {
        git.args(["-c", setting]);
    }
    git.args(args);
    if !paths.is_empty() {
        git.arg("--").args(paths.iter().map(OsStr::new));
    }
    // Whatever repository this program itself was started from does not matter here.
    for variable in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_COMMON_DIR",
        "GIT_OBJECT_DIRECTORY",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    ] {
        git.env_remove(variable);
    }
    git.current_dir(directory)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_EDITOR", "true")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    git
}

/// Reads at most `bytes_max` and lets the rest pass by.
async fn bounded<R: AsyncRead + Unpin>(
    reader: Option<R>,
    bytes_max: u64,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut reader) = reader {
        (&mut reader).take(bytes_max).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// Ends git and what it started. Its child handle is still held, so the number is its own.
fn end_group(group: Option<u32>) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let group = group.and_then(|group| Pid::from_raw(i32::try_from(group).ok()?));
    if let Some(group) = group {
        // What has ended meanwhile need not be ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
}
