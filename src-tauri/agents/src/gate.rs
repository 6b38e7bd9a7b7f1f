//! Runs gates: what a gate finds is an effect in the attempt's directory, never an agent's word.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use model::clock::Clock;
use model::gate::{GATE_OUTPUT_BYTES_MAX, GateResult, GateSpec, Verdict};
use model::process::{Exit, LaunchSpec, ProcessIdentity, file};
use tokio_util::sync::CancellationToken;

use crate::launcher::{LaunchError, Launcher};
use crate::transcript;

/// Time between TERM and KILL for a gate that takes too long, in milliseconds.
const GRACE_MS: u64 = 2_000;

/// What a gate found, before it is dated.
struct Finding {
    verdict: Verdict,
    exit_code: Option<i32>,
    reason: String,
}

impl Finding {
    fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, exit_code: None, reason: reason.into() }
    }
}

/// Runs one gate of an attempt in its work directory and says what it found.
///
/// A command runs under a shim of its own in `RUN/gates/INDEX`; if that run exists already, because
/// the engine was restarted meanwhile, it is waited for instead of being run twice. On a time-out
/// and on `cancel` its whole tree is ended before this returns.
#[expect(
    clippy::too_many_arguments,
    reason = "each one is a fact of the attempt, and there is a single caller"
)]
pub async fn run(
    launcher: &Launcher,
    gate: &GateSpec,
    index: u32,
    run: &Path,
    workdir: &Path,
    commit: Option<String>,
    env: &[(String, String)],
    clock: &dyn Clock,
    cancel: &CancellationToken,
) -> GateResult {
    let run = run.join("gates").join(index.to_string());
    let mut started_at = clock.now();
    let finding = match gate {
        GateSpec::File { path } => look_for(workdir, path),
        GateSpec::Command { command, timeout_s } => {
            let spec = specification(command, &run, workdir, env);
            match launcher.start(&run, &spec, None).await {
                Ok(identity) => {
                    started_at = identity.started_at;
                    let left = time_left(*timeout_s, started_at, clock.now());
                    watch(launcher, &run, &identity, (*timeout_s, left), cancel).await
                }
                Err(error) => broken(&error),
            }
        }
    };
    let (output, output_bytes) = output_of(&run);
    let duration = clock.now().duration_since(started_at);
    GateResult {
        index,
        gate: gate.clone(),
        verdict: finding.verdict,
        exit_code: finding.exit_code,
        reason: finding.reason,
        output,
        output_bytes,
        commit,
        started_at,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(0),
    }
}

fn specification(
    command: &str,
    run: &Path,
    workdir: &Path,
    env: &[(String, String)],
) -> LaunchSpec {
    LaunchSpec {
        program: "sh".to_owned(),
        // One stream, so that errors stand where they happened.
        args: vec!["-c".to_owned(), format!("exec 2>&1\n{command}")],
        env: env.to_vec(),
        directory: workdir.display().to_string(),
        stdin: false,
        grace_ms: GRACE_MS,
        marker: run.display().to_string(),
    }
}

fn time_left(timeout_s: u32, started_at: Timestamp, now: Timestamp) -> Duration {
    let gone = Duration::try_from(now.duration_since(started_at)).unwrap_or_default();
    Duration::from_secs(u64::from(timeout_s)).saturating_sub(gone)
}

async fn watch(
    launcher: &Launcher,
    run: &Path,
    identity: &ProcessIdentity,
    (timeout_s, left): (u32, Duration),
    cancel: &CancellationToken,
) -> Finding {
    match tokio::time::timeout(left, launcher.wait(run, identity, cancel)).await {
        Ok(Ok(record)) => judge(&record.exit),
        Ok(Err(LaunchError::Cancelled)) => {
            stopped(
                launcher,
                run,
                identity,
                Finding::new(Verdict::Broken, "it was cancelled before it ended"),
            )
            .await
        }
        Ok(Err(error)) => broken(&error),
        Err(_) => {
            let reason = format!("it did not end within {timeout_s} s and was stopped");
            stopped(launcher, run, identity, Finding::new(Verdict::TimedOut, reason)).await
        }
    }
}

/// Ends the gate's tree; what cannot be ended is said.
async fn stopped(
    launcher: &Launcher,
    run: &Path,
    identity: &ProcessIdentity,
    mut finding: Finding,
) -> Finding {
    match launcher.stop(run, identity).await {
        Ok(record) if record.survivors.is_empty() => {}
        Ok(record) => {
            finding.reason = format!(
                "{}; {} of its processes could not be ended",
                finding.reason,
                record.survivors.len()
            );
        }
        Err(error) => finding.reason = format!("{}; failed to {error}", finding.reason),
    }
    finding
}

fn judge(exit: &Exit) -> Finding {
    match exit {
        Exit::Code { code } => {
            let (verdict, reason) = match code {
                0 => (Verdict::Passed, "exit code 0".to_owned()),
                126 => (
                    Verdict::Failed,
                    "exit code 126: the shell may not execute the command".to_owned(),
                ),
                127 => (
                    Verdict::Failed,
                    "exit code 127: the shell did not find the command".to_owned(),
                ),
                code => (Verdict::Failed, format!("exit code {code}")),
            };
            Finding { verdict, exit_code: Some(*code), reason }
        }
        Exit::Signal { .. } => Finding::new(Verdict::Failed, format!("it {exit}")),
        Exit::Stopped { .. }
        | Exit::NotStarted { .. }
        | Exit::Rebooted
        | Exit::Lost { .. } => {
            Finding::new(Verdict::Broken, format!("it {exit}"))
        }
    }
}

fn broken(error: &LaunchError) -> Finding {
    Finding::new(Verdict::Broken, format!("the gate could not be run: failed to {error}"))
}

/// The end of what the gate printed, and how much it printed in all.
fn output_of(run: &Path) -> (String, u64) {
    let path = run.join(file::STDOUT);
    // Invalid bytes grow when they are shown, so the text is cut once more.
    let from = transcript::tail_offset(&path, GATE_OUTPUT_BYTES_MAX as u64);
    match transcript::read_ended(&path, from, GATE_OUTPUT_BYTES_MAX) {
        Ok(chunk) => (last_bytes(chunk.text, GATE_OUTPUT_BYTES_MAX), chunk.size),
        Err(error) => (format!("(failed to {error})"), 0),
    }
}

fn last_bytes(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    let mut from = text.len() - bytes_max;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
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
