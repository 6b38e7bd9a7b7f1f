//! Runs gates: what a gate finds is an effect in the attempt's directory, never an agent's word.
//!
//! Invariant: but for its command, a gate changes nothing. What it could not look at it says.

mod added;
mod command;
mod diff;
mod proof;
mod stream;
mod twice;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use model::clock::Clock;
use model::gate::{Answerer, GATE_OUTPUT_BYTES_MAX, GateResult, GateSpec, Verdict};
use model::process::{Limits, Sandbox, Supervision, file};
use tokio_util::sync::CancellationToken;

use crate::launcher::Launcher;

pub use command::PRINTED_BYTES_MAX;

/// The file with what a reviewing agent that is talked to said, in its run's directory.
pub const SAID_FILE: &str = "said.txt";

/// What people read of a gate's run: what was said where an agent was talked to, what was printed
/// otherwise.
#[must_use]
pub fn readable(run: &Path) -> PathBuf {
    let said = run.join(SAID_FILE);
    if said.is_file() { said } else { run.join(file::STDOUT) }
}

/// How long a gate that only looks at what changed may take.
const LOOK_TIME: Duration = Duration::from_secs(model::gate::GATE_TIMEOUT_S_DEFAULT as u64);
/// Room that is kept in an output for the line that says how much was left out, in bytes.
const MORE_BYTES: usize = 64;
/// How many names a reason lists.
const NAMED_MAX: usize = 3;

/// One gate of an attempt, and everything it looks at.
#[derive(Debug, Clone)]
pub struct Check<'a> {
    /// The gate.
    pub gate: &'a GateSpec,
    /// Its place among the mission's gates.
    pub index: u32,
    /// The attempt's run directory; the gate gets `RUN/gates/INDEX`.
    pub run: &'a Path,
    /// Where the attempt worked.
    pub workdir: &'a Path,
    /// The commit the attempt began at, where it works on a repository.
    pub base_commit: Option<&'a str>,
    /// The commit that holds its work, where it works on a repository.
    pub commit: Option<String>,
    /// The tree of that commit.
    pub tree: Option<String>,
    /// Variables set for a command on top of the inherited environment.
    pub env: &'a [(String, String)],
    /// What a command may do: it runs what the agent left.
    pub within: Within,
}

/// What holds for the command of a gate as it does for the agent whose work it looks at.
#[derive(Debug, Clone, Default)]
pub struct Within {
    /// What it may use.
    pub limits: Limits,
    /// What it is kept from.
    pub sandbox: Option<Sandbox>,
    /// How its processes are kept together.
    pub supervision: Supervision,
}

/// What a gate found, before it is dated.
struct Finding {
    verdict: Verdict,
    exit_code: Option<i32>,
    reason: String,
    checks: Option<u64>,
    output: String,
    output_bytes: u64,
    /// When it began, where that was before this check.
    started_at: Option<Timestamp>,
}

impl Finding {
    fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            exit_code: None,
            reason: reason.into(),
            checks: None,
            output: String::new(),
            output_bytes: 0,
            started_at: None,
        }
    }

    /// With a list of what was found as its output.
    fn listing(verdict: Verdict, reason: impl Into<String>, list: List) -> Self {
        let output = list.text();
        let output_bytes = output.len() as u64;
        Self { output, output_bytes, ..Self::new(verdict, reason) }
    }
}

/// Lines such as `path:line: what`, as many as are shown and stored of a gate.
#[derive(Debug, Default)]
struct List {
    text: String,
    more: u64,
}

impl List {
    fn push(&mut self, line: &str) {
        if self.more > 0 || self.text.len() + line.len() + 1 > GATE_OUTPUT_BYTES_MAX - MORE_BYTES {
            self.more += 1;
            return;
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn text(mut self) -> String {
        if self.more > 0 {
            self.text.push_str(&format!("… and {} more\n", self.more));
        }
        self.text
    }
}

/// Answers one gate of an attempt and says what it found.
///
/// A command runs under a shim of its own in `RUN/gates/INDEX`; if that run exists already, because
/// the engine was restarted meanwhile, it is waited for instead of being run twice. On a time-out,
/// on `cancel`, and when it prints more than [`PRINTED_BYTES_MAX`], its whole tree is ended before
/// this returns. The gates that look at what changed compare the two commits; what lies in the
/// directory beside them does not matter.
pub async fn check(
    launcher: &Launcher,
    check: &Check<'_>,
    clock: &dyn Clock,
    cancel: &CancellationToken,
) -> GateResult {
    let begun = clock.now();
    let finding = match check.gate {
        GateSpec::Command { command, timeout_s, proof } => {
            let asked = command::Asked { command, timeout_s: *timeout_s, proof: proof.as_deref() };
            command::answer(launcher, check, &asked, clock, cancel).await
        }
        GateSpec::File { path } => look_for(check.workdir, path),
        gate if gate.needs_repository() => looked_at(check, cancel).await,
        gate => Finding::new(
            Verdict::Broken,
            format!("it is answered by {}, not by the engine", answerer(gate)),
        ),
    };
    let started_at = finding.started_at.unwrap_or(begun);
    let duration = clock.now().duration_since(started_at);
    GateResult {
        index: check.index,
        gate: check.gate.clone(),
        verdict: finding.verdict,
        exit_code: finding.exit_code,
        reason: finding.reason,
        output: finding.output,
        output_bytes: finding.output_bytes,
        commit: check.commit.clone(),
        tree: check.tree.clone(),
        checks: finding.checks,
        by: None,
        started_at,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(0),
    }
}

/// Answers a gate that looks at what changed, within its time.
async fn looked_at(check: &Check<'_>, cancel: &CancellationToken) -> Finding {
    let (Some(base), Some(commit)) = (check.base_commit, check.commit.as_deref()) else {
        let reason =
            "there is nothing to compare: the attempt did not work in a worktree of its own";
        return Finding::new(Verdict::Broken, reason);
    };
    let span = stream::Span { directory: check.workdir, base, commit };
    let looked = tokio::time::timeout(LOOK_TIME, diff::answer(check.gate, span));
    let looked = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            return Finding::new(Verdict::Broken, "it was cancelled before it ended");
        }
        looked = looked => looked,
    };
    match looked {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => {
            let mut reason = format!("the gate could not be run: failed to {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                reason.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            Finding::new(Verdict::Broken, reason)
        }
        Err(_) => {
            let time = LOOK_TIME.as_secs();
            let reason = format!("it did not end within {time} s and was stopped");
            Finding::new(Verdict::TimedOut, reason)
        }
    }
}

fn answerer(gate: &GateSpec) -> &'static str {
    match gate.answerer() {
        Answerer::Engine => "the engine",
        Answerer::Agent => "another agent",
        Answerer::Ci => "a build server",
        Answerer::Captain => "the captain",
    }
}

/// `3 files`, `1 file`.
fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    let mut text = names[..names.len().min(NAMED_MAX)].join(", ");
    if names.len() > NAMED_MAX {
        text.push_str(", …");
    }
    text
}

/// Looks for a file that is there, is inside of the work directory, and is not empty.
fn look_for(workdir: &Path, path: &str) -> Finding {
    let resolved = workdir
        .canonicalize()
        .and_then(|workdir| Ok((workdir.join(path).canonicalize()?, workdir)));
    let (file, workdir) = match resolved {
        Ok(pair) => pair,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Finding::new(Verdict::Failed, format!("'{path}' does not exist"));
        }
        Err(error) => {
            return Finding::new(Verdict::Broken, format!("'{path}' cannot be looked at: {error}"));
        }
    };
    if !file.starts_with(&workdir) {
        return Finding::new(
            Verdict::Failed,
            format!("'{path}' leads out of the attempt's directory"),
        );
    }
    match std::fs::metadata(&file) {
        Ok(metadata) if !metadata.is_file() => {
            Finding::new(Verdict::Failed, format!("'{path}' is not a file"))
        }
        Ok(metadata) if metadata.len() == 0 => {
            Finding::new(Verdict::Failed, format!("'{path}' is empty"))
        }
        Ok(metadata) => {
            Finding::new(Verdict::Passed, format!("'{path}' has {} bytes", metadata.len()))
        }
        Err(error) => {
            Finding::new(Verdict::Broken, format!("'{path}' cannot be looked at: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_says_how_much_is_missing() {
        let mut list = List::default();
        for n in 0..10_000 {
            list.push(&format!("some/path/file{n}.rs:1: something"));
        }
        let text = list.text();
        assert!(text.len() <= GATE_OUTPUT_BYTES_MAX);
        let more = 10_000 - (text.lines().count() - 1);
        assert!(text.ends_with(&format!("… and {more} more\n")), "{more}");
    }
}
