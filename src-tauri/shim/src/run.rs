//! One run, from `spec.json` to `exit.json`.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::clock::{Clock, SystemClock};
use model::process::{
    Exit, ExitRecord, LaunchSpec, MARKER_VARIABLE, ProcessIdentity, ProcessRef, file,
};
use rustix::process::{WaitOptions, WaitStatus};
use signal_hook::consts::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::confine::{self, Confinement};
use crate::limits::{self, Watch};
use crate::program::{self, NotStarted};
use crate::pump::Pump;
use crate::tree::{Ended, Seen, Tree};
use crate::{proc, record, tree, withheld};

/// Held for as long as a shim works on the run, so that a run is started once.
pub const LOCK: &str = "lock";
/// How long what a program leaves behind may take to end after TERM.
const LEFT_OVER_TIME: Duration = Duration::from_secs(2);
/// How long a run that is halted is left to the engine, which ends all of them in one go and looks
/// through the process table once for all: hundreds of shims that did would keep it from its work.
const HALT_TIME: Duration = Duration::from_secs(3);
/// How long what is left in the program's streams may take when it has ended: what it left behind
/// may hold them open.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// What a program in a terminal is told about it, where nothing else is said.
const TERM: &str = "xterm-256color";
/// How often the last record is tried, a second apart: a full disk may get room again.
const RECORD_TRIES: u32 = 60;
/// The variables that tell git where a repository is, whatever directory it runs in.
const GIT_PLACES: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// What keeps a shim from doing its work at all. What keeps the program from running is not an
/// error but the record of its run.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The directory of the run is not there.
    #[error("open the run '{}'", path.display())]
    Open {
        /// The run.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The signals could not be taken over.
    #[error("prepare for signals")]
    Signals(#[source] std::io::Error),
    /// The record could not be written.
    #[error("write '{}'", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Starts the program of the run in `run`, waits for it and all it started, and records its end.
///
/// Returns at once and changes nothing when another shim has, or had, this run.
///
/// # Errors
/// When the run cannot be opened or its records cannot be written.
pub fn run(run: &Path) -> Result<(), ShimError> {
    close_inherited();
    limits::lower_open_files();
    // Fails only where the shim already leads its session, which is what is wanted.
    let _ = rustix::process::setsid();
    let open = |source| ShimError::Open { path: run.to_owned(), source };
    let run = run.canonicalize().map_err(open)?;
    let wake = Wake::new().map_err(ShimError::Signals)?;
    let Some((_lock, claim)) = claim(&run).map_err(open)? else {
        return Ok(());
    };
    // The attempt's directory can be removed only where nobody stands in it.
    let _ = std::env::set_current_dir("/");
    let mut shim = Shim {
        wake,
        pump: Pump::idle(),
        marker: String::new(),
        program: None,
        status: None,
        confinement: Confinement::default(),
    };
    let mut record = match claim {
        Claim::New => shim.conduct(&run),
        Claim::Interrupted => shim.clear_interrupted(&run),
    };
    (record.given_up_bytes, record.redacted) = shim.pump.close();
    write_last(&run.join(file::EXIT), &record)
}

/// Closes what the engine's side left open by accident: only 0, 1 and 2 are for the shim.
fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    for descriptor in open {
        // The one that listed the directory is closed already.
        let _ = nix::unistd::close(descriptor);
    }
}

enum Claim {
    /// Nobody worked on this run before.
    New,
    /// An earlier shim was killed before it could say what it started.
    Interrupted,
}

/// Takes the run, or nothing when it is, or was, another shim's.
fn claim(run: &Path) -> std::io::Result<Option<(File, Claim)>> {
    use std::io::Write;
    let mut lock =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(run.join(LOCK))?;
    let held = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    if held.is_err() || run.join(file::PROCESS).exists() || run.join(file::EXIT).exists() {
        return Ok(None);
    }
    let claim = if lock.metadata()?.len() == 0 { Claim::New } else { Claim::Interrupted };
    lock.write_all(b"claimed\n")?;
    Ok(Some((lock, claim)))
}

fn write_last(path: &Path, exit: &ExitRecord) -> Result<(), ShimError> {
    let mut tries = 1;
    loop {
        match record::write_json(path, exit) {
            Ok(()) => return Ok(()),
            // Where the run itself was removed nobody will ask how it ended.
            Err(error) if error.kind() != ErrorKind::NotFound && tries < RECORD_TRIES => {
                tries += 1;
                std::thread::sleep(Duration::from_secs(1));
            }
            Err(source) => {
                return Err(ShimError::Record { path: path.to_owned(), source });
            }
        }
    }
}

/// The signals that matter, turned into something that can be waited for.
struct Wake {
    stop: Arc<AtomicBool>,
    halt: Arc<AtomicBool>,
    reader: UnixStream,
}

impl Wake {
    fn new() -> std::io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        let halt = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGUSR1, Arc::clone(&halt))?;
        signal_hook::low_level::pipe::register(SIGUSR1, writer.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
        // A handler rather than "ignore": the program starts with the system's default. SIGPIPE is
        // ignored by Rust's runtime and given back to the program in the same way.
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        reader.set_nonblocking(true)?;
        Ok(Self { stop, halt, reader })
    }

    fn stop_asked(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.halted()
    }

    /// Whether the engine ends the tree itself, as it does with all of them.
    fn halted(&self) -> bool {
        self.halt.load(Ordering::SeqCst)
    }
}

struct Shim {
    wake: Wake,
    pump: Pump,
    marker: String,
    program: Option<u32>,
    status: Option<WaitStatus>,
    confinement: Confinement,
}

impl Tree for Shim {
    fn living(&mut self) -> Seen {
        let own = std::process::id();
        let any = matches!(self.reap(), Children::Some);
        let members = self.confinement.members();
        let looked = proc::table().and_then(|table| {
            let below = if any { proc::below(own, &table) } else { Vec::new() };
            Ok((below, proc::carrying(&self.marker, &table)?))
        });
        let unsure = looked.is_err();
        let (mut living, marked) = looked.unwrap_or_default();
        for process in marked.into_iter().chain(members) {
            if process.pid != own && !living.contains(&process) {
                living.push(process);
            }
        }
        Seen { living, unsure }
    }

    fn pause(&mut self, time: Duration) {
        // The end of a child or an orphan wakes it at once.
        self.wait(Some(time.min(Duration::from_millis(100))));
    }

    fn is_spared(&self, process: ProcessRef) -> bool {
        self.confinement.spares(process)
    }

    fn strike(&mut self) {
        self.confinement.strike();
    }
}

enum Children {
    None,
    Some,
}

impl Shim {
    /// Pumps until a signal comes, at most `time`.
    fn wait(&mut self, time: Option<Duration>) {
        self.pump.wait(&mut self.wake.reader, time);
    }

    /// Notices every process that has ended; as subreaper the shim inherits all orphans of its tree.
    fn reap(&mut self) -> Children {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if u32::try_from(pid.as_raw_pid()).ok() == self.program {
                        self.status = Some(status);
                    }
                }
                Ok(None) => return Children::Some,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Children::None,
            }
        }
    }

    /// Ends the tree. What it used is known only once its last process was waited for.
    fn end(&mut self, grace: Duration) -> Ended {
        let end = tree::end(self, grace);
        let end = self.surely(end);
        self.reap();
        self.confinement.close();
        self.pump.drain(DRAIN_TIME);
        end
    }

    /// Waits for the end of the program, for a stop, or until it uses more than it may; says the
    /// last in words.
    fn await_end(&mut self, spec: &LaunchSpec) -> Option<String> {
        let mut watch = Watch::over(&spec.limits, self.confinement.held());
        while self.status.is_none() && !self.wake.stop_asked() {
            if let Some(watch) = &mut watch
                && watch.is_due()
            {
                let living = self.living().living;
                let counted = living.into_iter().filter(|found| !self.is_spared(*found));
                let over = watch.exceeded(&counted.collect::<Vec<_>>());
                if over.is_some() && self.status.is_none() {
                    return over;
                }
            } else {
                self.wait(watch.as_ref().map(Watch::pause));
                self.reap();
            }
        }
        None
    }

    /// Ends a tree that used more than it may.
    fn end_over_limit(&mut self, reason: String) -> ExitRecord {
        let end = tree::kill(self);
        let end = self.surely(end);
        self.reap();
        self.confinement.close();
        self.pump.drain(DRAIN_TIME);
        ended(Exit::OverLimit { reason }, end)
    }

    /// Goes on ending what may be left until it is known what that is: a record that says that
    /// nothing is left has to be true.
    fn surely(&mut self, mut end: Ended) -> Ended {
        while end.unsure {
            let again = tree::kill(self);
            let signalled = end.signalled + again.signalled;
            end = Ended { killed: end.killed || again.signalled > 0, signalled, ..again };
        }
        end
    }

    /// How the program ended by itself; the kernel may have ended it for its memory.
    fn how(&self, status: WaitStatus, spec: &LaunchSpec) -> Exit {
        match spec.limits.memory_bytes {
            Some(limit)
                if status.exit_status() != Some(0) && self.confinement.ended_for_memory() =>
            {
                Exit::OverLimit { reason: limits::held_memory(limit) }
            }
            _ => how(status),
        }
    }

    /// Starts, waits, tidies up.
    fn conduct(&mut self, run: &Path) -> ExitRecord {
        let spec = match prepare(run) {
            Ok(spec) => spec,
            Err(why) => return not_started(&why, Ended::default()),
        };
        self.marker.clone_from(&spec.marker);
        if self.wake.stop_asked() {
            return ended(Exit::Stopped { killed: false }, Ended::default());
        }
        if let Err(why) = self.start(run, &spec) {
            let left = self.end(Duration::ZERO);
            return not_started(&why, left);
        }
        if let Some(reason) = self.await_end(&spec) {
            return self.end_over_limit(reason);
        }
        match self.status {
            Some(status) if !self.wake.halted() => {
                let exit = self.how(status, &spec);
                ended(exit, self.end(LEFT_OVER_TIME))
            }
            // Where it is halted, the engine ended the program, whatever code it managed to give.
            _ => {
                let end = self.stop(Duration::from_millis(spec.grace_ms));
                let killed = end.killed || self.status.is_some_and(was_killed);
                ended(Exit::Stopped { killed }, end)
            }
        }
    }

    /// Ends the tree because it was asked to; where it is halted, after the engine had its time.
    fn stop(&mut self, grace: Duration) -> Ended {
        if !self.wake.halted() {
            return self.end(grace);
        }
        let deadline = Instant::now() + HALT_TIME;
        while matches!(self.reap(), Children::Some) && Instant::now() < deadline {
            self.wait(Some(deadline.saturating_duration_since(Instant::now())));
        }
        self.end(Duration::ZERO)
    }

    fn start(&mut self, run: &Path, spec: &LaunchSpec) -> Result<(), NotStarted> {
        let boot_id = proc::boot_id().map_err(NotStarted::Unrecorded)?;
        let started_at = SystemClock.now();
        let pid = self.spawn(run, spec)?;
        self.program = Some(pid);
        self.confinement.entered(run, pid)?;
        // Not yet waited for, so still in the process table even if it has ended already.
        let stats = (proc::stat(std::process::id()), proc::stat(pid));
        let (Some(own), Some(started)) = stats else {
            return Err(NotStarted::Unrecorded(ErrorKind::NotFound.into()));
        };
        let identity = ProcessIdentity {
            shim: own.process(),
            program: started.process(),
            boot_id,
            marker: spec.marker.clone(),
            started_at,
        };
        record::write_json(&run.join(file::PROCESS), &identity).map_err(NotStarted::Unrecorded)
    }

    /// Starts the program; from then on its streams are pumped.
    fn spawn(&mut self, run: &Path, spec: &LaunchSpec) -> Result<u32, NotStarted> {
        let (pump, ends) = Pump::open(run, spec)?;
        let found = find(spec)?;
        self.confinement = Confinement::arrange(run, spec, &found)?;
        let mut command = self.confinement.command(spec, &found);
        furnish(&mut command, spec, &self.confinement);
        let child = command
            .current_dir(&spec.directory)
            .stdin(ends.stdin)
            .stdout(ends.stdout)
            .stderr(ends.stderr)
            .spawn()
            .map_err(|error| program::refusal(&found, error))?;
        self.pump = pump;
        // It is waited for together with all orphans, not through this handle.
        Ok(child.id())
    }

    /// Ends what an earlier shim may have started before it was killed itself.
    fn clear_interrupted(&mut self, run: &Path) -> ExitRecord {
        if let Ok(Some(spec)) = record::read_json::<LaunchSpec>(&run.join(file::SPEC)) {
            self.marker = spec.marker;
        }
        let left = if self.marker.is_empty() { Ended::default() } else { self.end(LEFT_OVER_TIME) };
        confine::sweep(run);
        let reason = "its supervisor was killed while it was being started".to_owned();
        ended(Exit::Lost { reason }, left)
    }
}

/// Reads what is to be started and becomes the parent of all orphans of the tree.
fn prepare(run: &Path) -> Result<LaunchSpec, NotStarted> {
    become_subreaper()?;
    let spec: LaunchSpec = record::read_json(&run.join(file::SPEC))
        .map_err(NotStarted::Specification)?
        .ok_or(NotStarted::NoSpecification)?;
    let spec = withheld::put_back(spec, |name| std::env::var(name).ok())?;
    program::check_directory(Path::new(&spec.directory))?;
    Ok(spec)
}

#[cfg(target_os = "linux")]
fn become_subreaper() -> Result<(), NotStarted> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| NotStarted::Unsupported(error.to_string()))
}

#[cfg(not(target_os = "linux"))]
fn become_subreaper() -> Result<(), NotStarted> {
    Err(NotStarted::Unsupported("programs can so far be supervised on Linux only".to_owned()))
}

/// The file of the program that is to be started.
fn find(spec: &LaunchSpec) -> Result<PathBuf, NotStarted> {
    let path = spec
        .env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value.into())
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    program::find(&spec.program, Path::new(&spec.directory), &path)
}

/// Gives the command the environment that `spec` asks for.
fn furnish(command: &mut Command, spec: &LaunchSpec, confinement: &Confinement) {
    let given = |name: &OsStr| spec.inherited.iter().any(|given| name == given.as_str());
    for (name, _) in std::env::vars_os() {
        if is_the_engines(&name) && !given(&name) {
            command.env_remove(name);
        }
    }
    if spec.terminal.is_some() {
        command.env("TERM", TERM);
    }
    command
        .env("PWD", &spec.directory)
        .envs(confinement.variables())
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .env(MARKER_VARIABLE, &spec.marker);
}

/// Whether a variable is about the engine itself and not for the programs it starts: its own
/// settings, what it was told when it runs under another engine, and the repository it was started
/// from, whose place git would take for that of the program.
fn is_the_engines(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"HIVEKEEPER_") || GIT_PLACES.iter().any(|place| place.as_bytes() == name)
}

fn how(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code { code },
        (None, Some(signal)) => Exit::Signal { signal },
        (None, None) => Exit::Lost { reason: format!("the system reported status {status:?}") },
    }
}

fn was_killed(status: WaitStatus) -> bool {
    status.terminating_signal() == Some(rustix::process::Signal::KILL.as_raw())
}

fn not_started(why: &NotStarted, end: Ended) -> ExitRecord {
    let reason = why.to_string();
    ended(Exit::NotStarted { reason }, end)
}

fn ended(exit: Exit, end: Ended) -> ExitRecord {
    let (cpu_ms, memory_peak_bytes) = resources();
    ExitRecord {
        cpu_ms,
        memory_peak_bytes,
        survivors: end.survivors,
        ..ExitRecord::bare(exit, SystemClock.now())
    }
}

/// Processor time and peak memory of everything that was waited for (getrusage(2)).
fn resources() -> (u64, u64) {
    use nix::sys::resource::{UsageWho, getrusage};
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return (0, 0);
    };
    let millis = [usage.user_time(), usage.system_time()]
        .iter()
        .map(nix::sys::time::TimeValLike::num_milliseconds)
        .sum::<i64>();
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let peak = u64::try_from(usage.max_rss()).unwrap_or(0) * unit;
    (u64::try_from(millis).unwrap_or(0), peak)
}
