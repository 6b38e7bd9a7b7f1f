//! Holds trees of processes, lets them go on, and ends all of them at once.
//!
//! Invariant: a process is signalled only while it is known to be the one it was taken for, and a
//! shim is never held or ended. Ending needs no database and writes nothing that must succeed.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::process::{Exit, ExitRecord, ProcessIdentity, ProcessRef, file};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use shim::proc::{self, Delivery, Stat};
use shim::tree;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;

use crate::census::{Census, Watched};
use crate::launcher::{LaunchError, Launcher};
use crate::run_files::{bare_record, put_exit, read_exit, read_process, read_spec};

/// How long TERM has when everything is ended, at most.
const GRACE_MAX: Duration = Duration::from_millis(1_500);
/// How long there is between two looks at the process table.
const PAUSE: Duration = Duration::from_millis(25);
/// How long a tree may take until it is held, or goes on.
const HOLD_TIME: Duration = Duration::from_secs(2);
/// How long is waited for a shim that is just starting a program.
const START_TIME: Duration = Duration::from_secs(15);

/// A tree that is held, or goes on again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// How many processes the tree has.
    pub processes: u64,
    /// Those of them that the system did not hold, or let go on, in time.
    pub refused: Vec<ProcessRef>,
}

/// A process that could not be ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Survivor {
    /// Which one.
    pub process: ProcessRef,
    /// What it is called.
    pub program: String,
}

/// A run whose processes were ended together with those of all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Halted {
    /// The directory of the run; that of a gate is inside of its attempt's.
    pub run: String,
    /// The processes that are gone.
    pub ended: Vec<ProcessRef>,
    /// Whether TERM was not enough.
    pub killed: bool,
    /// The processes that are still there.
    pub survivors: Vec<Survivor>,
}

impl Launcher {
    /// Holds every process of a run, the shim excepted: none of them does anything until
    /// [`Launcher::thaw`], or until the run is stopped. A run that is over has none.
    ///
    /// # Errors
    /// When the task that does it is lost.
    pub async fn freeze(&self, run: &Path, process: &ProcessIdentity) -> Result<Held, LaunchError> {
        self.hold(run, process, Signal::STOP).await
    }

    /// Lets every process of a run go on.
    ///
    /// # Errors
    /// As [`Launcher::freeze`].
    pub async fn thaw(&self, run: &Path, process: &ProcessIdentity) -> Result<Held, LaunchError> {
        self.hold(run, process, Signal::CONT).await
    }

    async fn hold(
        &self,
        run: &Path,
        process: &ProcessIdentity,
        signal: Signal,
    ) -> Result<Held, LaunchError> {
        let watched = Watched::started(run, process);
        let task = self.reapers.spawn_blocking(move || hold(watched, signal));
        task.await.map_err(LaunchError::Interrupted)
    }

    /// Ends the processes of every run in `runs` and of their gates, all at the same time: TERM,
    /// at most a second and a half, KILL, within `within` altogether. The graces of their
    /// specifications do not matter. Also ends what a shim is only just starting, what a vanished
    /// shim left, and what is held. Returns the runs that had a living process, each with what could
    /// not be ended.
    ///
    /// Works where no file can be written, and where `runs` cannot be read as far as markers tell
    /// what belongs there. A shim records the end of its run by itself, if it can.
    pub async fn halt(&self, runs: &Path, within: Duration) -> Vec<Halted> {
        let runs = runs.to_owned();
        let task = self.reapers.spawn_blocking(move || Halt::begin(&runs).conduct(within));
        match task.await {
            Ok(halted) => halted,
            Err(error) => {
                tracing::error!(%error, "the emergency stop was interrupted");
                Vec::new()
            }
        }
    }

    /// Makes sure that nothing of a run runs, or will, that has not said what it started: its engine
    /// may have died between starting the shim and its answer. Takes the run's lock, so that a shim
    /// that comes late starts nothing; one that has it already is stopped. Returns the run's record.
    ///
    /// # Errors
    /// When the record cannot be read or written, or a shim that has the run does not end it.
    pub async fn forestall(&self, run: &Path) -> Result<ExitRecord, LaunchError> {
        let begun = Instant::now();
        while begun.elapsed() < START_TIME {
            if let Some(record) = unless_damaged(read_exit(run))? {
                return Ok(record);
            }
            if let Some(identity) = unless_damaged(read_process(run))? {
                return self.stop(run, &identity).await;
            }
            match Lock::take(run)? {
                Lock::None => return Ok(bare_record(Exit::Stopped { killed: false }, Vec::new())),
                Lock::Taken(lock) => {
                    // Whoever had it may have written something just before.
                    if unless_damaged(read_exit(run))?.is_none()
                        && unless_damaged(read_process(run))?.is_none()
                    {
                        return self.close_run(run, lock).await;
                    }
                }
                Lock::Busy => {
                    if let Some(shim) = Census::take().shim_of(run) {
                        let _ = proc::signal(shim, Signal::TERM);
                    }
                    sleep(PAUSE).await;
                }
            }
        }
        Err(LaunchError::NoAnswer { waited_ms: begun.elapsed().as_millis() })
    }

    /// Ends what an interrupted shim may have started, and records that nothing runs.
    async fn close_run(&self, run: &Path, mut lock: File) -> Result<ExitRecord, LaunchError> {
        let run = run.to_owned();
        let task = self.reapers.spawn_blocking(move || {
            mark(&mut lock);
            let spec = unless_damaged(read_spec(&run))?;
            let end = spec.map_or_else(tree::Ended::default, |spec| {
                tree::end(&mut tree::Orphans::new(&spec.marker, []), GRACE_MAX)
            });
            if end.unsure {
                return Err(LaunchError::Unsure);
            }
            shim::confine::sweep(&run);
            let record = bare_record(Exit::Stopped { killed: end.killed }, end.survivors);
            // It is over all the same: what was marked is started by nobody.
            Ok(put_exit(&run, record.clone()).unwrap_or_else(|error| {
                tracing::warn!(run = %run.display(), %error, "how a run ended could not be written");
                record
            }))
        });
        task.await.map_err(LaunchError::Interrupted)?
    }
}

/// A record that is damaged says as little as one that is not there.
fn unless_damaged<T>(read: Result<Option<T>, LaunchError>) -> Result<Option<T>, LaunchError> {
    match read {
        Err(error) if error.is_damage() => Ok(None),
        read => read,
    }
}

fn hold(watched: Watched, signal: Signal) -> Held {
    let mut runs = [watched];
    let mut signalled = HashSet::new();
    let deadline = Instant::now() + HOLD_TIME;
    loop {
        let members = Census::take().divide(&mut runs).pop().unwrap_or_default();
        let mut new = false;
        for stat in &members {
            // Somebody else may have let one go, or held it: so it is looked at, not only counted.
            if signalled.insert(stat.process()) || stat.held != (signal == Signal::STOP) {
                new = true;
                let _ = proc::signal(stat.process(), signal);
            }
        }
        if !new || Instant::now() >= deadline {
            let held = |stat: &&Stat| stat.held != (signal == Signal::STOP);
            let refused = members.iter().filter(held).map(Stat::process).collect();
            return Held { processes: members.len() as u64, refused };
        }
        std::thread::sleep(PAUSE / 5);
    }
}

/// The lock of a run, which its shim holds as long as it works on it.
enum Lock {
    /// The run has no directory, so nothing was started.
    None,
    /// It is ours now.
    Taken(File),
    /// A shim has it.
    Busy,
}

impl Lock {
    fn take(run: &Path) -> Result<Self, LaunchError> {
        let path = run.join(shim::run::LOCK);
        let written =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        // Where nothing can be written a lock that is there can still be taken.
        let lock = match written.or_else(|_| File::open(&path)) {
            Ok(lock) => lock,
            // A shim may have it all the same.
            Err(source) if proc::is_want(&source) => {
                return Err(LaunchError::Record { path, source });
            }
            Err(_) => return Ok(Self::None),
        };
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self::Taken(lock)),
            Err(_) => Ok(Self::Busy),
        }
    }
}

/// Says to a shim that comes late that the run was begun before: it starts nothing then.
fn mark(lock: &mut File) {
    if let Err(error) = lock.write_all(b"halted\n") {
        tracing::warn!(%error, "a run's lock could not be marked");
    }
}

/// Everything that is to be ended.
struct Halt {
    root: PathBuf,
    runs: Vec<Watched>,
    /// What each run had, in the order of the runs.
    seen: Vec<HashSet<ProcessRef>>,
    told: HashSet<ProcessRef>,
    killed: Vec<bool>,
    /// Held until the end, so that no shim that comes late starts anything.
    locks: Vec<File>,
    /// Whether there may be runs that were not seen.
    unsure: bool,
}

impl Halt {
    /// Finds the runs; takes those that have said nothing yet.
    fn begin(root: &Path) -> Self {
        let (directories, unsure) = run_directories(root);
        let mut runs: Vec<Watched> =
            directories.iter().filter_map(|run| Watched::open(run)).collect();
        let mut locks = Vec::new();
        for run in runs.iter_mut().filter(|run| run.starting) {
            if let Ok(Lock::Taken(mut lock)) = Lock::take(&run.run) {
                mark(&mut lock);
                locks.push(lock);
                // It may have said it before the lock was free.
                *run = Watched::open(&run.run).unwrap_or_else(|| Watched::blank(&run.run));
                run.starting = false;
            }
        }
        let mut halt = Self {
            root: root.to_owned(),
            seen: Vec::new(),
            killed: Vec::new(),
            told: HashSet::new(),
            runs,
            locks,
            unsure,
        };
        halt.find_strays(&directories);
        halt.fit();
        halt
    }

    /// Adds what carries a marker of this place and belongs to no run that is under way.
    fn find_strays(&mut self, directories: &[PathBuf]) {
        let mut markers = Census::take().markers();
        for run in &self.runs {
            if let Some(marker) = &run.marker {
                markers.remove(marker);
            }
        }
        if markers.is_empty() {
            return;
        }
        let known: HashSet<PathBuf> = self.runs.iter().map(|run| run.run.clone()).collect();
        for run in directories.iter().filter(|run| !known.contains(*run)) {
            if let Some(run) = Watched::left_over(run, &markers) {
                run.marker.as_ref().map(|marker| markers.remove(marker));
                self.runs.push(run);
            }
        }
        // A marker is the place of its run, unless somebody chose another.
        for marker in markers.into_iter().filter(|marker| Path::new(marker).starts_with(&self.root))
        {
            let run = Watched::blank(Path::new(&marker));
            self.runs.push(Watched { marker: Some(marker), ..run });
        }
    }

    fn conduct(mut self, within: Duration) -> Vec<Halted> {
        let begun = Instant::now();
        let grace = begun + GRACE_MAX.min(within / 3);
        let deadline = begun + within;
        loop {
            let now = Instant::now();
            if now >= grace {
                self.kill_known();
            }
            let census = Census::take();
            let members = self.look(&census);
            let seen = !census.unsure && !self.unsure;
            let over = seen && members.iter().all(Vec::is_empty) && !self.any_starting(&census);
            if !seen {
                self.find_new();
            }
            if now >= deadline && !seen {
                tracing::error!("not every process could be looked at: some may still run");
            }
            if now >= deadline || (over && !self.find_new()) {
                return self.report(&members);
            }
            let signal = if now < grace { Signal::TERM } else { Signal::KILL };
            self.tell_shims();
            for (index, members) in members.iter().enumerate() {
                for stat in members {
                    self.tell(index, stat.process(), signal);
                }
            }
            std::thread::sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now())));
        }
    }

    /// Adds runs that were begun meanwhile; says whether there are any.
    fn find_new(&mut self) -> bool {
        let known: HashSet<PathBuf> = self.runs.iter().map(|run| run.run.clone()).collect();
        let (directories, unsure) = run_directories(&self.root);
        self.unsure = unsure;
        let new: Vec<Watched> = directories
            .iter()
            .filter(|run| !known.contains(*run))
            .filter_map(|run| Watched::open(run))
            .collect();
        let any = !new.is_empty();
        self.runs.extend(new);
        self.fit();
        any
    }

    /// Makes room for what each run had.
    fn fit(&mut self) {
        self.seen.resize_with(self.runs.len(), HashSet::new);
        self.killed.resize(self.runs.len(), false);
    }

    fn look(&mut self, census: &Census) -> Vec<Vec<Stat>> {
        for run in self.runs.iter_mut().filter(|run| run.starting) {
            run.shim = run.shim.or_else(|| census.shim_of(&run.run));
        }
        let members = census.divide(&mut self.runs);
        for (seen, members) in self.seen.iter_mut().zip(&members) {
            seen.extend(members.iter().map(Stat::process));
        }
        members
    }

    /// Whether a shim is still about to start something, told though it is.
    fn any_starting(&self, census: &Census) -> bool {
        self.runs.iter().any(|run| {
            run.starting
                && run.shim.is_some_and(|shim| census.has(shim))
                && !run.run.join(file::EXIT).exists()
        })
    }

    /// Says to each shim, once, that its tree is ended for it. They are told before their trees are:
    /// else they would take it for the program's own end.
    fn tell_shims(&mut self) {
        for run in &self.runs {
            if let Some(shim) = run.shim.filter(|shim| !self.told.contains(shim)) {
                self.told.insert(shim);
                let _ = proc::signal(shim, Signal::USR1);
            }
        }
    }

    /// Looking at the process table may take its time on a machine that is busy; what is known need
    /// not wait for it.
    fn kill_known(&mut self) {
        let known: Vec<Vec<ProcessRef>> =
            self.runs.iter().map(|run| run.known.iter().copied().collect()).collect();
        for (index, known) in known.into_iter().enumerate() {
            for process in known {
                self.tell(index, process, Signal::KILL);
            }
        }
    }

    fn tell(&mut self, index: usize, process: ProcessRef, signal: Signal) {
        if signal == Signal::TERM {
            if self.told.insert(process) && proc::signal(process, Signal::TERM) == Delivery::Sent {
                // What is held heeds it only once it goes on.
                let _ = proc::signal(process, Signal::CONT);
            }
        } else if proc::signal(process, Signal::KILL) == Delivery::Sent
            && let Some(killed) = self.killed.get_mut(index)
        {
            *killed = true;
        }
    }

    fn report(self, members: &[Vec<Stat>]) -> Vec<Halted> {
        drop(self.locks);
        let rows = self.runs.iter().zip(&self.seen).zip(members).zip(&self.killed);
        rows.filter(|(((_, seen), _), _)| !seen.is_empty())
            .map(|(((run, seen), members), killed)| {
                let left: HashSet<ProcessRef> = members.iter().map(Stat::process).collect();
                let mut ended: Vec<ProcessRef> = seen.difference(&left).copied().collect();
                ended.sort_unstable_by_key(|process| (process.start_ticks, process.pid));
                let survivors = left.into_iter().map(|process| Survivor {
                    program: proc::name(process.pid).unwrap_or_else(|| "?".to_owned()),
                    process,
                });
                Halted {
                    run: run.run.display().to_string(),
                    ended,
                    killed: *killed,
                    survivors: survivors.collect(),
                }
            })
            .collect()
    }
}

/// The directories of all runs in `root`, those of their gates included, and whether there may be more
/// that cannot be looked at.
fn run_directories(root: &Path) -> (Vec<PathBuf>, bool) {
    let mut unsure = false;
    let mut inside = |directory: &Path| -> Vec<PathBuf> {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                unsure |= proc::is_want(&error);
                return Vec::new();
            }
        };
        let is_directory =
            |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|file_type| file_type.is_dir());
        entries.filter_map(Result::ok).filter(is_directory).map(|entry| entry.path()).collect()
    };
    let mut runs = inside(root);
    let gates: Vec<PathBuf> = runs.iter().flat_map(|run| inside(&run.join("gates"))).collect();
    runs.extend(gates);
    (runs, unsure)
}
