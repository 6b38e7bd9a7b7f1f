//! The gate that runs a command: its exit code decides, and the line that proves its checks.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use model::clock::Clock;
use model::gate::{GATE_OUTPUT_BYTES_MAX, Verdict};
use model::process::{Exit, ExitRecord, LaunchSpec, Limits, ProcessIdentity, file};
use tokio_util::sync::CancellationToken;

use super::proof::Proof;
use super::{Check, Finding};
use crate::launcher::{LaunchError, Launcher};
use crate::transcript;

/// The most a gate may print, in bytes. One that prints more is stopped and has failed, and its
/// output is cut to this length.
pub const PRINTED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How often the size of a gate's output is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Time between TERM and KILL for a gate that is stopped, in milliseconds.
const GRACE_MS: u64 = 2_000;

/// What the gate asks for.
pub(super) struct Asked<'a> {
    pub(super) command: &'a str,
    pub(super) timeout_s: u32,
    pub(super) proof: Option<&'a str>,
}

/// Why a gate did not end by itself.
enum Cut {
    Cancelled,
    Late,
    TooMuch,
}

/// Runs the command, or waits for the one that runs already, and judges how it ended.
pub(super) async fn answer(
    launcher: &Launcher,
    check: &Check<'_>,
    asked: &Asked<'_>,
    clock: &dyn Clock,
    cancel: &CancellationToken,
) -> Finding {
    let run = check.run.join("gates").join(check.index.to_string());
    let spec = specification(asked.command, &run, check);
    let (mut finding, started_at) = match launcher.start(&run, &spec, None).await {
        Ok(identity) => {
            let left = time_left(asked.timeout_s, identity.started_at, clock.now());
            let finding = watch(launcher, &run, &identity, (asked.timeout_s, left), cancel).await;
            (finding, Some(identity.started_at))
        }
        Err(error) => (broken(&error), None),
    };
    if let (Some(proof), Verdict::Passed | Verdict::Failed) = (asked.proof, finding.verdict) {
        finding = proved(finding, proof, &run).await;
    }
    let (output, output_bytes) = output_of(&run);
    Finding { output, output_bytes, started_at, ..finding }
}

fn specification(command: &str, run: &Path, check: &Check<'_>) -> LaunchSpec {
    LaunchSpec {
        program: "sh".to_owned(),
        // One stream, so that errors stand where they happened.
        args: vec!["-c".to_owned(), format!("exec 2>&1\n{command}")],
        env: check.env.to_vec(),
        directory: check.workdir.display().to_string(),
        stdin: false,
        grace_ms: GRACE_MS,
        marker: run.display().to_string(),
        // All it may print is read in the end, and what it prints more is cut off here.
        limits: Limits { output_bytes: Some(4 * PRINTED_BYTES_MAX), ..check.within.limits },
        sandbox: check.within.sandbox.clone(),
        supervision: check.within.supervision,
        ..LaunchSpec::default()
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
    let printed = run.join(file::STDOUT);
    let cut = tokio::select! {
        biased;
        ended = launcher.wait(run, identity, cancel) => match ended {
            // It may have printed all of it between two looks.
            Ok(_) if size(&printed) >= PRINTED_BYTES_MAX => Cut::TooMuch,
            Ok(record) if matches!(record.exit, Exit::Lost { .. }) => {
                // What its supervisor left runs on otherwise.
                return survived(judge(&record.exit), launcher.stop(run, identity).await);
            }
            Ok(record) => return judge(&record.exit),
            Err(LaunchError::Cancelled) => Cut::Cancelled,
            Err(error) => return broken(&error),
        },
        () = printed_too_much(&printed) => Cut::TooMuch,
        () = tokio::time::sleep(left) => Cut::Late,
    };
    let finding = match cut {
        Cut::Cancelled => Finding::new(Verdict::Broken, "it was cancelled before it ended"),
        Cut::Late => Finding::new(
            Verdict::TimedOut,
            format!("it did not end within {timeout_s} s and was stopped"),
        ),
        Cut::TooMuch => {
            let limit = PRINTED_BYTES_MAX / (1024 * 1024);
            let reason = format!("it printed more than {limit} MiB; the rest was not kept");
            Finding::new(Verdict::Failed, reason)
        }
    };
    // The disk must not fill up while the processes are given their time to end.
    let stop = launcher.stop(run, identity);
    let stopped = tokio::select! {
        stopped = stop => stopped,
        never = keep_short(&printed) => match never {},
    };
    cut_to_size(&printed);
    survived(finding, stopped)
}

/// Returns when the file has become too large.
async fn printed_too_much(printed: &Path) {
    while size(printed) < PRINTED_BYTES_MAX {
        tokio::time::sleep(LOOK).await;
    }
}

/// Cuts the file again and again, as long as this is waited for.
async fn keep_short(printed: &Path) -> std::convert::Infallible {
    loop {
        cut_to_size(printed);
        tokio::time::sleep(LOOK).await;
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Cuts the output to what a gate may print: the program appends to it, so it goes on at its end.
fn cut_to_size(printed: &Path) {
    if size(printed) <= PRINTED_BYTES_MAX {
        return;
    }
    let cut =
        File::options().write(true).open(printed).and_then(|file| file.set_len(PRINTED_BYTES_MAX));
    if let Err(error) = cut {
        tracing::warn!(file = %printed.display(), %error, "a gate's long output was not cut");
    }
}

/// Says what of the gate's tree could not be ended.
fn survived(mut finding: Finding, stopped: Result<ExitRecord, LaunchError>) -> Finding {
    match stopped {
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
            Finding { exit_code: Some(*code), ..Finding::new(verdict, reason) }
        }
        Exit::Signal { .. } | Exit::OverLimit { .. } => {
            Finding::new(Verdict::Failed, format!("it {exit}"))
        }
        Exit::Stopped { .. }
        | Exit::NotStarted { .. }
        | Exit::Lost { .. }
        | Exit::Rebooted
        | Exit::Answered { .. }
        | Exit::CalledOff
        | Exit::NoLogin { .. }
        | Exit::HandedOver { .. } => Finding::new(Verdict::Broken, format!("it {exit}")),
    }
}

fn broken(error: &LaunchError) -> Finding {
    Finding::new(Verdict::Broken, format!("the gate could not be run: failed to {error}"))
}

/// Counts the checks the output proves. A command that passed without any has failed.
async fn proved(finding: Finding, pattern: &str, run: &Path) -> Finding {
    let unread = |why: String| {
        let reason = format!("{}, but how many checks ran cannot be read: {why}", finding.reason);
        Finding { exit_code: finding.exit_code, ..Finding::new(Verdict::Broken, reason) }
    };
    let Some(proof) = Proof::new(pattern) else {
        return unread(format!("'{pattern}' has no {{n}}"));
    };
    let printed = run.join(file::STDOUT);
    let counted = tokio::task::spawn_blocking(move || proof.count_in(&printed)).await;
    let checks = match counted {
        Ok(Ok(checks)) => checks,
        Ok(Err(error)) => return unread(error.to_string()),
        Err(error) => return unread(error.to_string()),
    };
    let code_0 = finding.verdict == Verdict::Passed;
    let (verdict, reason) = match checks {
        Some(0) if code_0 => (Verdict::Failed, format!("{}, but 0 checks ran", finding.reason)),
        None if code_0 => (
            Verdict::Failed,
            format!("{}, but no line of its output says '{pattern}'", finding.reason),
        ),
        Some(1) => (finding.verdict, format!("{}; 1 check ran", finding.reason)),
        Some(n) => (finding.verdict, format!("{}; {n} checks ran", finding.reason)),
        None => (finding.verdict, finding.reason.clone()),
    };
    Finding { checks, verdict, reason, ..finding }
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
