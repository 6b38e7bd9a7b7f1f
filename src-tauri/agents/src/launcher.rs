//! Starts runs through the shim, waits for them, and ends them.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use model::process::{
    Exit, ExitRecord, LaunchSpec, OPEN_FILES_VARIABLE, ProcessIdentity, ProcessRef,
};
use rustix::process::Signal;
use shim::{proc, tree};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::run_files::{bare_record, grace_of, prepare, put_exit, read_exit, read_process};
use crate::step::{self, Step};
use crate::watch::over;
use crate::{descriptors, survey};

/// Where the shim is looked for first.
pub const SHIM_VARIABLE: &str = "HIVEKEEPER_SHIM";
const SHIM_NAME: &str = "hivekeeper-shim";
/// What the shim itself complains about.
const SHIM_LOG: &str = "shim.log";
/// How long a shim may take to say what it started.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How much longer than the grace a shim may take to end its tree.
const STOP_TIME: Duration = Duration::from_secs(8);

/// What keeps a run from being started, watched or ended.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The shim is not installed.
    #[error(
        "find the program {SHIM_NAME} (looked for {searched}): install it beside hivekeeper, or name it in {SHIM_VARIABLE}"
    )]
    NoShim {
        /// Where it was looked for.
        searched: String,
    },
    /// The directory of the run cannot be written.
    #[error("prepare the run '{}'", path.display())]
    Prepare {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The shim could not be started.
    #[error("start '{}'", shim.display())]
    Spawn {
        /// The shim.
        shim: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program did not start.
    #[error("start the program: {reason}")]
    NotStarted {
        /// Why, in words a person reads.
        reason: String,
    },
    /// The shim ended without saying anything.
    #[error("start the program: its supervisor ended at once ({status}): {said}")]
    ShimFailed {
        /// How it ended.
        status: String,
        /// What it wrote to standard error.
        said: String,
    },
    /// The shim said nothing in time.
    #[error("start the program: its supervisor said nothing for {waited_ms} ms")]
    NoAnswer {
        /// How long was waited, in milliseconds.
        waited_ms: u128,
    },
    /// A record cannot be read.
    #[error("read the run's record '{}'", path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// What the system said, or what is wrong with it.
        source: std::io::Error,
    },
    /// The caller no longer wants to know.
    #[error("wait for the program: the wait was cancelled")]
    Cancelled,
    /// The task that ends what is left did not come back.
    #[error("end what is left of the run")]
    Interrupted(#[source] tokio::task::JoinError),
    /// It is not known whether anything is left.
    #[error("end what is left of the run: too many files are open to look at every process")]
    Unsure,
}

impl LaunchError {
    /// Whether there was no descriptor to do it with: trying again helps.
    #[must_use]
    pub fn is_want(&self) -> bool {
        match self {
            Self::Prepare { source, .. }
            | Self::Spawn { source, .. }
            | Self::Record { source, .. } => proc::is_want(source),
            Self::Unsure => true,
            _ => false,
        }
    }

    /// Whether a record is there and is none: trying again does not help.
    pub(crate) fn is_damage(&self) -> bool {
        let damage = [ErrorKind::InvalidData, ErrorKind::UnexpectedEof];
        matches!(self, Self::Record { source, .. } if damage.contains(&source.kind()))
    }
}

/// Tells how a shim ended.
type ShimEnd = oneshot::Receiver<Option<ExitStatus>>;

/// What is known about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing was started; starting it is safe.
    NotStarted,
    /// Its shim watches over it.
    Running(ProcessIdentity),
    /// It is over.
    Ended(ExitRecord),
    /// Its shim is gone and left no record.
    Gone {
        /// Who it was.
        identity: ProcessIdentity,
        /// What is still running of it.
        left: Vec<ProcessRef>,
    },
}

/// Starts programs through the shim and gets hold of them again.
///
/// Nothing about a run is kept in memory, so dropping it, or the engine's death, ends no program.
#[derive(Debug, Clone)]
pub struct Launcher {
    shim: PathBuf,
    answer_time: Duration,
    /// Tasks that notice the end of the shims this engine started.
    pub(crate) reapers: TaskTracker,
    closing: CancellationToken,
}

impl Launcher {
    /// Finds the shim: where [`SHIM_VARIABLE`] says, beside this program, or one directory above.
    ///
    /// # Errors
    /// When it is in none of these places.
    pub fn locate() -> Result<Self, LaunchError> {
        let mut places = Vec::new();
        if let Some(named) = std::env::var_os(SHIM_VARIABLE) {
            places.push(PathBuf::from(named));
        } else if let Ok(own) = std::env::current_exe() {
            places
                .extend(own.ancestors().skip(1).take(2).map(|directory| directory.join(SHIM_NAME)));
        }
        match places.iter().find(|place| place.is_file()) {
            Some(shim) => Ok(Self::with_shim(shim.clone())),
            None => Err(LaunchError::NoShim {
                searched: places
                    .iter()
                    .map(|place| place.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// Whether the shim is still where it was found: without it nothing can be started.
    ///
    /// # Errors
    /// When it is not.
    pub fn is_there(&self) -> Result<(), LaunchError> {
        if self.shim.is_file() {
            return Ok(());
        }
        Err(LaunchError::NoShim { searched: self.shim.display().to_string() })
    }

    /// Uses this shim.
    #[must_use]
    pub fn with_shim(shim: PathBuf) -> Self {
        descriptors::raise();
        // What is known now need not be asked for when no descriptor is left.
        survey::boot();
        Self {
            shim,
            answer_time: ANSWER_TIME,
            reapers: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Lets go of the shims, which go on by themselves, and waits for the tasks that watched them.
    pub async fn close(&self) {
        self.closing.cancel();
        self.reapers.close();
        self.reapers.wait().await;
    }

    /// Starts what `spec` says in the run's directory, which is made if it is missing.
    ///
    /// Idempotent: a run that was started before, by this engine or an earlier one, is not started
    /// again; its identity is returned, even if its program has ended meanwhile.
    ///
    /// # Errors
    /// When the run cannot be prepared, or the program did not start; [`LaunchError::NotStarted`]
    /// then says why in words for people.
    pub async fn start(
        &self,
        run: &Path,
        spec: &LaunchSpec,
        stdin: Option<&[u8]>,
    ) -> Result<ProcessIdentity, LaunchError> {
        if let Some(identity) = started(run)? {
            return Ok(identity);
        }
        let (place, spec) = (run.to_owned(), spec.clone());
        let stdin = stdin.map(<[u8]>::to_vec);
        // Flushing to the disk takes its time.
        let prepared = self
            .reapers
            .spawn_blocking(move || prepare(&place, &spec, stdin.as_deref()))
            .await
            .map_err(LaunchError::Interrupted)??;
        step::reached(Step::SpecWritten);
        let (shim, ended) = self.spawn_shim(run, prepared)?;
        step::reached(Step::ShimSpawned);
        let unanswered = match self.answer(run, ended).await {
            Err(error @ (LaunchError::NoAnswer { .. } | LaunchError::Record { .. })) => error,
            answered => return answered,
        };
        // It may still get to it, and what nobody waits for must not run: told to stop, it starts
        // nothing, or ends what it has started.
        if let Some(shim) = shim {
            let _ = proc::signal(shim, Signal::TERM);
        }
        if let Err(error) = self.forestall(run).await {
            tracing::warn!(run = %run.display(), %error, "what may have been started is not ended yet");
        }
        Err(unanswered)
    }

    /// Waits until the shim says what it started, or why it did not.
    async fn answer(&self, run: &Path, mut ended: ShimEnd) -> Result<ProcessIdentity, LaunchError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(2);
        let mut unread = None;
        while begun.elapsed() < self.answer_time {
            match started(run) {
                Ok(Some(identity)) => return Ok(identity),
                Ok(None) => {}
                // What cannot be read now may be readable in a moment.
                Err(error @ LaunchError::Record { .. }) => unread = Some(error),
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(Duration::from_millis(50)),
                status = &mut ended => {
                    // It may have answered just before it ended.
                    if let Ok(Some(identity)) = started(run) {
                        return Ok(identity);
                    }
                    // Ending well without an answer means: another shim has the run and will answer.
                    if let Some(status) = status.ok().flatten().filter(|status| !status.success()) {
                        return Err(shim_failed(run, status));
                    }
                    let (_, never) = oneshot::channel();
                    ended = never;
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        Err(unread.unwrap_or(LaunchError::NoAnswer { waited_ms: begun.elapsed().as_millis() }))
    }

    /// Who was started in the run, now or earlier, whether or not it has ended; nothing where nobody
    /// was.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn started(&self, run: &Path) -> Result<Option<ProcessIdentity>, LaunchError> {
        read_process(run)
    }

    /// Starts the shim and a task that notices its end.
    fn spawn_shim(
        &self,
        run: &Path,
        secrets: Vec<(String, String)>,
    ) -> Result<(Option<ProcessRef>, ShimEnd), LaunchError> {
        let log_path = run.join(SHIM_LOG);
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&log_path)
            .map_err(|source| LaunchError::Prepare { path: log_path, source })?;
        let mut child = tokio::process::Command::new(&self.shim)
            .arg(run)
            .envs(secrets)
            .envs(descriptors::usual().map(|usual| (OPEN_FILES_VARIABLE, usual.to_string())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|source| LaunchError::Spawn { shim: self.shim.clone(), source })?;
        // Not yet waited for, so still in the process table even if it has ended already.
        let shim = child.id().and_then(proc::stat).map(|stat| stat.process());
        let (tell, ended) = oneshot::channel();
        let closing = self.closing.clone();
        self.reapers.spawn(async move {
            let status = tokio::select! {
                status = child.wait() => status.ok(),
                () = closing.cancelled() => None,
            };
            // Nobody listens once the start is over.
            let _ = tell.send(status);
        });
        Ok((shim, ended))
    }

    /// Waits until the run is over and returns its record; a run whose shim is gone without leaving
    /// one is [`Exit::Rebooted`] or [`Exit::Lost`], and what is still running of it is listed under
    /// the survivors.
    ///
    /// # Errors
    /// When `cancel` fires first, or the record cannot be read.
    pub async fn wait(
        &self,
        run: &Path,
        identity: &ProcessIdentity,
        cancel: &CancellationToken,
    ) -> Result<ExitRecord, LaunchError> {
        tokio::select! {
            biased;
            record = over(run, identity) => match record? {
                Some(record) => Ok(record),
                None => Ok(lost(identity)),
            },
            () = cancel.cancelled() => Err(LaunchError::Cancelled),
        }
    }

    /// Ends the run and returns when none of its processes is left: TERM, the grace of its
    /// specification, KILL. Where its shim is gone, its processes are found by their marker and by
    /// descent. Stopping what is over returns its record.
    ///
    /// # Errors
    /// When a record cannot be read or written.
    pub async fn stop(
        &self,
        run: &Path,
        identity: &ProcessIdentity,
    ) -> Result<ExitRecord, LaunchError> {
        match read_exit(run) {
            Ok(Some(record)) => return Ok(record),
            // What is damaged says nothing about what runs.
            Ok(None) => {}
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
        let grace = grace_of(run);
        let mut below = Vec::new();
        let told = match survey::this_boot(identity) {
            true => proc::signal(identity.shim, Signal::TERM),
            false => proc::Delivery::Gone,
        };
        // Nothing is taken out of the hands of a shim that is there and cannot be told now.
        if told == proc::Delivery::Refused {
            return Err(LaunchError::Unsure);
        }
        if told == proc::Delivery::Sent {
            // One that is held would heed it only once it goes on.
            let _ = proc::signal(identity.shim, Signal::CONT);
            step::reached(Step::StopSent);
            match timeout(grace + STOP_TIME, over(run, identity)).await {
                Ok(Ok(Some(record))) => return Ok(record),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(None)) => {}
                Err(_) => {
                    tracing::warn!(run = %run.display(), "the shim did not end its tree in time");
                    // Who hides its marker is known by its parents, as long as those are there.
                    let table = proc::table().map_err(|_| LaunchError::Unsure)?;
                    below = proc::below(identity.shim.pid, &table);
                    let _ = proc::signal(identity.shim, Signal::KILL);
                }
            }
        }
        self.end_orphans(run, identity, below, grace).await
    }

    /// Ends what a vanished shim left, `known` among it, and writes the record in its place.
    async fn end_orphans(
        &self,
        run: &Path,
        identity: &ProcessIdentity,
        known: Vec<ProcessRef>,
        grace: Duration,
    ) -> Result<ExitRecord, LaunchError> {
        let (run, identity) = (run.to_owned(), identity.clone());
        let task = self.reapers.spawn_blocking(move || {
            let end = tree::end(&mut survey::orphans(&identity, known), grace);
            if end.unsure {
                return Err(LaunchError::Unsure);
            }
            shim::confine::sweep(&run);
            // The shim may have got to it in the last moment; its record knows more.
            if let Ok(Some(record)) = read_exit(&run) {
                return Ok(record);
            }
            let exit = if survey::rebooted(&identity) {
                Exit::Rebooted
            } else if end.signalled == 0 {
                Exit::Lost {
                    reason: "its supervisor and all its processes were gone without a record"
                        .to_owned(),
                }
            } else {
                Exit::Stopped { killed: end.killed }
            };
            put_exit(&run, bare_record(exit, end.survivors))
        });
        task.await.map_err(LaunchError::Interrupted)?
    }

    /// Ends whatever runs of the run, or may come to run because a shim was started that has not said
    /// what it did, and gives the run's record.
    ///
    /// # Errors
    /// As [`Launcher::stop`] and [`Launcher::forestall`].
    pub async fn end(&self, run: &Path) -> Result<ExitRecord, LaunchError> {
        match read_process(run) {
            Ok(Some(identity)) => self.stop(run, &identity).await,
            Err(error) if !error.is_damage() => Err(error),
            _ => self.forestall(run).await,
        }
    }

    /// What is known about the run, from its directory and the process table. A record of its end that
    /// is damaged is left as it is, and says nothing while its processes are there.
    ///
    /// # Errors
    /// When a record cannot be read now.
    pub fn look(&self, run: &Path) -> Result<Found, LaunchError> {
        match look(run) {
            Err(error) if error.is_damage() => {
                tracing::error!(run = %run.display(), %error, "a run's record is damaged");
                let reason = format!("its record is damaged and was left as it is: {error}");
                Ok(Found::Ended(bare_record(Exit::Lost { reason }, Vec::new())))
            }
            found => found,
        }
    }
}

fn look(run: &Path) -> Result<Found, LaunchError> {
    let exit = match read_exit(run) {
        Err(error) if !error.is_damage() => return Err(error),
        exit => exit,
    };
    if let Ok(Some(record)) = exit {
        return Ok(Found::Ended(record));
    }
    let Some(identity) = read_process(run)? else {
        return exit.map(|_| Found::NotStarted);
    };
    if shim_alive(&identity) {
        return Ok(Found::Running(identity));
    }
    // Between the first look and now it may have written its record and ended.
    if let Ok(Some(record)) = read_exit(run) {
        return Ok(Found::Ended(record));
    }
    if survey::rebooted(&identity) {
        return Ok(Found::Ended(lost(&identity)));
    }
    let left = survey::left(&identity);
    Ok(Found::Gone { identity, left })
}

fn shim_alive(identity: &ProcessIdentity) -> bool {
    survey::this_boot(identity) && proc::is_alive(identity.shim)
}

/// Who was started, if anything was; an error if it is known that it was not.
fn started(run: &Path) -> Result<Option<ProcessIdentity>, LaunchError> {
    if let Some(identity) = read_process(run)? {
        return Ok(Some(identity));
    }
    match read_exit(run)? {
        None => Ok(None),
        Some(ExitRecord { exit: Exit::NotStarted { reason }, .. }) => {
            Err(LaunchError::NotStarted { reason })
        }
        // It may have been started, and have ended, between the two looks.
        Some(record) => read_process(run)?.map(Some).ok_or_else(|| {
            let reason = format!("it {}", record.exit);
            LaunchError::NotStarted { reason }
        }),
    }
}

fn lost(identity: &ProcessIdentity) -> ExitRecord {
    let left = survey::left(identity);
    if survey::rebooted(identity) {
        return bare_record(Exit::Rebooted, left);
    }
    let reason = if left.is_empty() {
        "its supervisor and all its processes are gone without a record".to_owned()
    } else {
        format!(
            "its supervisor is gone without a record; {} of its processes still run",
            left.len()
        )
    };
    bare_record(Exit::Lost { reason }, left)
}

fn shim_failed(run: &Path, status: ExitStatus) -> LaunchError {
    let said = std::fs::read(run.join(SHIM_LOG)).unwrap_or_default();
    LaunchError::ShimFailed {
        status: status.to_string(),
        said: String::from_utf8_lossy(&said).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_shim_that_does_not_answer_in_time_is_stopped() {
        let place = tempfile::tempdir().unwrap();
        let shim = place.path().join("shim");
        std::fs::write(&shim, "#!/bin/sh\nsleep 20\necho started > \"$1/started\"\n").unwrap();
        std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o700)).unwrap();
        let answer_time = Duration::from_millis(50);
        let launcher = Launcher { answer_time, ..Launcher::with_shim(shim) };
        let spec = LaunchSpec {
            program: "true".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            directory: "/".to_owned(),
            stdin: false,
            grace_ms: 1_000,
            marker: "m".to_owned(),
            ..LaunchSpec::default()
        };
        let run = place.path().join("run");
        let error = launcher.start(&run, &spec, None).await.unwrap_err();
        assert!(matches!(error, LaunchError::NoAnswer { .. }), "{error}");
        launcher.reapers.close();
        launcher.reapers.wait().await;
        assert!(!run.join("started").exists());
    }
}
