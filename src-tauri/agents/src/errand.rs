//! Errands: short runs of a command beside all attempts, with limits, that leave no process behind.

use std::path::Path;
use std::time::Duration;

use model::process::{Exit, ExitRecord, LaunchSpec, Limits, ProcessIdentity, Supervision, file};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::launcher::{LaunchError, Launcher};
use crate::transcript;

/// How much of each of its streams is kept, in bytes; the oldest goes first.
const KEPT_BYTES: u64 = 1024 * 1024;
/// How much of the end of each stream is told, in bytes.
pub const TAIL_BYTES: usize = 4 * 1024;
/// Time between TERM and KILL where one is stopped, in milliseconds.
const GRACE_MS: u64 = 500;
/// The most processes one may have at a time.
const PROCESSES_MAX: u32 = 128;

/// What is to be run, and within which limits.
#[derive(Debug, Clone)]
pub struct Errand<'a> {
    /// The program and its arguments; at least the program.
    pub command: &'a [String],
    /// Variables set on top of the inherited environment.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub directory: &'a Path,
    /// What it reads on standard input.
    pub input: &'a [u8],
    /// How long it may take.
    pub within: Duration,
    /// How much memory its processes may use together, in bytes.
    pub memory_bytes: u64,
    /// How its processes are kept together.
    pub supervision: Supervision,
}

/// How an errand ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; nothing where it did not end by itself.
    pub code: Option<i32>,
    /// The limit it came to; nothing where it came to none.
    pub limit: Option<Limit>,
    /// How it ended, in words that follow its name.
    pub how: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// The end of what it printed, secrets taken out: standard output, then standard error.
    pub output: String,
    /// How many of its processes could not be ended; must be 0.
    pub survivors: usize,
}

/// The limits of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// It took too long.
    Time,
    /// It used too much, of memory or processes.
    Use,
}

impl Ran {
    /// Whether it did what it was to do.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.code == Some(0) && self.limit.is_none()
    }
}

/// Why an errand did not end by itself.
enum Cut {
    Late,
    Cancelled,
}

/// Runs an errand in the directory `run`, which is made anew and removed when it is over. Returns
/// once none of its processes is left, whether it ended by itself, came to a limit, or `cancel` fired.
/// Dropped before, it ends nothing: whoever runs one waits for it to the end.
///
/// # Errors
/// When it could not be started, or it is not known whether anything is left of it.
pub async fn run(
    launcher: &Launcher,
    run: &Path,
    errand: &Errand<'_>,
    cancel: &CancellationToken,
) -> Result<Ran, LaunchError> {
    clear(launcher, run).await?;
    let begun = Instant::now();
    let spec = specification(run, errand);
    let identity = match launcher.start(run, &spec, Some(errand.input)).await {
        Ok(identity) => identity,
        Err(error) => {
            // A start of which nothing is known may have started something.
            clear(launcher, run).await?;
            return Err(error);
        }
    };
    let left = errand.within.saturating_sub(begun.elapsed());
    let (record, cut) = watch(launcher, run, &identity, left, cancel).await?;
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let limit = match (&cut, &record.exit) {
        (Some(Cut::Late), _) => Some(Limit::Time),
        (_, Exit::OverLimit { .. }) => Some(Limit::Use),
        _ => None,
    };
    let how = match cut {
        Some(Cut::Late) => {
            format!("did not end within {} s and was ended", errand.within.as_secs())
        }
        Some(Cut::Cancelled) => "was ended with the engine".to_owned(),
        None => record.exit.to_string(),
    };
    let code = record.exit.code().filter(|_| limit.is_none());
    let output = output_of(run);
    let survivors = record.survivors.len();
    remove(run);
    Ok(Ran { code, limit, how, ms, output, survivors })
}

/// Ends whatever an errand of an engine before this one left in the directory `run`, and removes it.
///
/// # Errors
/// When it is not known whether anything is left.
pub async fn clear(launcher: &Launcher, run: &Path) -> Result<(), LaunchError> {
    if run.exists() {
        launcher.end(run).await?;
        remove(run);
    }
    Ok(())
}

fn remove(run: &Path) {
    if let Err(error) = std::fs::remove_dir_all(run) {
        tracing::debug!(run = %run.display(), %error, "what is left of an errand was not removed");
    }
}

fn specification(run: &Path, errand: &Errand<'_>) -> LaunchSpec {
    let (program, args) = match errand.command.split_first() {
        Some((program, args)) => (program.clone(), args.to_vec()),
        None => (String::new(), Vec::new()),
    };
    LaunchSpec {
        program,
        args,
        env: errand.env.clone(),
        directory: errand.directory.display().to_string(),
        stdin: true,
        grace_ms: GRACE_MS,
        marker: run.display().to_string(),
        limits: Limits {
            memory_bytes: Some(errand.memory_bytes),
            processes: Some(PROCESSES_MAX),
            output_bytes: Some(KEPT_BYTES),
            ..Limits::default()
        },
        supervision: errand.supervision,
        ..LaunchSpec::default()
    }
}

async fn watch(
    launcher: &Launcher,
    run: &Path,
    identity: &ProcessIdentity,
    left: Duration,
    cancel: &CancellationToken,
) -> Result<(ExitRecord, Option<Cut>), LaunchError> {
    let never = CancellationToken::new();
    let cut = tokio::select! {
        biased;
        ended = launcher.wait(run, identity, &never) => {
            return match ended {
                Ok(record) if !matches!(record.exit, Exit::Lost { .. }) => Ok((record, None)),
                // What a vanished supervisor left, or nobody can wait for, runs on otherwise.
                _ => Ok((launcher.stop(run, identity).await?, None)),
            };
        }
        () = cancel.cancelled() => Cut::Cancelled,
        () = tokio::time::sleep(left) => Cut::Late,
    };
    Ok((launcher.stop(run, identity).await?, Some(cut)))
}

/// The ends of what it printed.
fn output_of(run: &Path) -> String {
    let mut text = String::new();
    for name in [file::STDOUT, file::STDERR] {
        let path = run.join(name);
        let from = transcript::tail_offset(&path, TAIL_BYTES as u64);
        let tail = match transcript::read_ended(&path, from, TAIL_BYTES) {
            Ok(chunk) => chunk.text,
            Err(error) => format!("(failed to {error})"),
        };
        if !text.is_empty() && !text.ends_with('\n') && !tail.is_empty() {
            text.push('\n');
        }
        text.push_str(&tail);
    }
    text
}
