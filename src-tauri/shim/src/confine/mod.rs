//! Keeps the processes of a run together, and inside of what they may use.
//!
//! What is asked for is tried in this order, and what is in force is written to the run's directory:
//! a control group, a process namespace, a session below the shim with a marker in the environment, a
//! process group. Whatever keeps a tree together ends it first; then the process table is searched
//! for what is left, always, because only that shows that nothing is.

pub mod cgroup;
pub mod landlock;
pub mod namespace;
pub mod walls;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use model::process::{LaunchSpec, Limits, ProcessRef, Supervision};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use self::cgroup::{Cgroup, HeldLimits, Way};
use self::landlock::Rules;
use self::walls::Walls;
use crate::door::{Door, Inside, Plan};
use crate::program::NotStarted;
use crate::{proc, record};

/// The file in a run's directory that says what is in force: [`Arrangement`].
pub const ARRANGEMENT: &str = "confine.json";

/// Why a way of keeping processes together, or of walling them in, is not there.
#[derive(Debug, thiserror::Error)]
pub enum Absent {
    /// A program it needs is not installed.
    #[error("{0} is not installed")]
    NoProgram(&'static str),
    /// No control groups of the second version.
    #[error("control groups of version 2 are not mounted")]
    NoCgroups,
    /// systemd made no scope.
    #[error("systemd made no scope for a process in time")]
    NoScope,
    /// A group could be killed, but was not empty afterwards.
    #[error("a control group was not empty after it was killed")]
    NotEmptied,
    /// The kernel has no landlock, or it is switched off.
    #[error("the kernel has no landlock, or it is switched off")]
    NoLandlock,
    /// A trial failed.
    #[error("a trial failed: {0}")]
    Refused(String),
    /// A trial did not end.
    #[error("a trial did not end within {0} ms")]
    Silent(u128),
    /// The system refused.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl From<ErrorKind> for Absent {
    fn from(kind: ErrorKind) -> Self {
        Self::System(kind.into())
    }
}

/// What keeps a run's processes together, as it was arranged when it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrangement {
    /// What is in force.
    pub supervision: Supervision,
    /// The run's control group.
    #[serde(default)]
    pub cgroup: Option<Cgroup>,
    /// Which limits the kernel holds; the others the shim watches.
    #[serde(default)]
    pub held: HeldLimits,
}

impl Arrangement {
    /// The arrangement of the run in `run`; a run without a record of it is a session.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn read(run: &Path) -> std::io::Result<Self> {
        Ok(record::read_json(&run.join(ARRANGEMENT))?.unwrap_or_default())
    }

    /// Not flushed to the disk: it says nothing that holds after a restart of the machine.
    fn write(&self, run: &Path) -> std::io::Result<()> {
        write_quickly(&run.join(ARRANGEMENT), &serde_json::to_vec(self)?)
    }
}

/// Writes a whole file (mode 0600) or none, without waiting for the disk.
pub(crate) fn write_quickly(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    file?.write_all(bytes)?;
    std::fs::rename(&unfinished, path)
}

/// Ends what is left in the control group of a run whose shim is gone, and removes it.
pub fn sweep(run: &Path) {
    if let Ok(Arrangement { cgroup: Some(group), .. }) = Arrangement::read(run) {
        group.close();
    }
}

/// What keeps a run's tree together.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Backend {
    /// A group of its own; nothing until the scope that systemd makes is known.
    Cgroup(Option<Cgroup>),
    Namespace,
    Session,
    Group,
}

/// How one run is kept together and walled in.
#[derive(Debug)]
pub struct Confinement {
    backend: Backend,
    limits: Limits,
    held: HeldLimits,
    /// bubblewrap's own processes, where it is used: its child is known once the program runs.
    wrapped: bool,
    own: Vec<ProcessRef>,
    program: Option<ProcessRef>,
    door: Option<Door>,
    tmp: Option<PathBuf>,
}

impl Default for Confinement {
    /// A session, as long as nothing was arranged.
    fn default() -> Self {
        Self {
            backend: Backend::Session,
            limits: Limits::default(),
            held: HeldLimits::default(),
            wrapped: false,
            own: Vec::new(),
            program: None,
            door: None,
            tmp: None,
        }
    }
}

impl Confinement {
    /// Arranges what `spec` asks for around the program `found`, and records it in the run's
    /// directory. Where the supervision asked for is not there, the next one is taken; a sandbox that
    /// is not there keeps the program from being started.
    ///
    /// # Errors
    /// When the sandbox cannot be had, or the run's directory cannot be written.
    pub fn arrange(run: &Path, spec: &LaunchSpec, found: &Path) -> Result<Self, NotStarted> {
        let (backend, held, scope) = choose(spec, run);
        let mut this = Self { backend, held, limits: spec.limits, ..Self::default() };
        let fenced = this.fence(run, spec, found);
        let (wrap, rules) = match fenced {
            Ok(fence) => fence,
            Err(why) => {
                this.close();
                return Err(why);
            }
        };
        let plan = Plan {
            terminal: spec.terminal.is_some(),
            cgroup: this.cgroup().cloned(),
            open_files: spec.limits.open_files,
            nice: spec.limits.cpu_weight.filter(|_| !held.cpu).map(niceness),
            wrap,
            inside: Inside { sealed: spec.sandbox.is_some(), rules },
            program: found.to_owned(),
            arg0: spec.program.clone(),
        };
        if plan.is_needed() || !scope.is_empty() {
            this.door = Some(Door::build(run, scope, &plan, &spec.args)?);
        }
        this.record(run)?;
        Ok(this)
    }

    /// What bubblewrap is called with, if it is used, and what landlock is to hold.
    fn fence(
        &mut self,
        run: &Path,
        spec: &LaunchSpec,
        found: &Path,
    ) -> Result<(Vec<String>, Option<Rules>), NotStarted> {
        let namespace = self.backend == Backend::Namespace;
        let Some(sandbox) = &spec.sandbox else {
            self.wrapped = namespace;
            let directory = Path::new(&spec.directory);
            return Ok((if namespace { namespace::bare(directory) } else { Vec::new() }, None));
        };
        let walls = Walls::around(run, spec, sandbox, found)?;
        self.tmp = Some(walls.tmp.clone());
        self.wrapped = namespace || namespace::works().is_ok();
        if self.wrapped {
            if self.backend == Backend::Session || self.backend == Backend::Group {
                // A sandbox from which others could be signalled were none: it is one anyway.
                self.backend = Backend::Namespace;
            }
            return Ok((namespace::walled(&walls), Some(Rules::beside_bubblewrap())));
        }
        Ok((Vec::new(), Some(Rules::instead_of(&walls)?)))
    }

    /// The command that starts the program: itself, or its door. Arguments are set; environment,
    /// directory and descriptors are the caller's.
    #[must_use]
    pub fn command(&self, spec: &LaunchSpec, found: &Path) -> Command {
        let mut command = match &self.door {
            Some(door) => door.command(),
            None => {
                let mut command = Command::new(found);
                command.arg0(&spec.program).args(&spec.args);
                command
            }
        };
        if self.backend == Backend::Group && spec.terminal.is_none() {
            command.process_group(0);
        }
        command
    }

    /// Where a sandboxed program is to put its temporary files: the variables to set.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        self.tmp.iter().map(|tmp| ("TMPDIR", tmp.clone())).collect()
    }

    /// Waits until the program of the process `pid`, which was just started with
    /// [`Self::command`], really runs.
    ///
    /// # Errors
    /// Why it does not, as its door says.
    pub fn entered(&mut self, run: &Path, pid: u32) -> Result<(), NotStarted> {
        self.program = proc::stat(pid).map(|stat| stat.process());
        let Some(door) = &mut self.door else {
            return Ok(());
        };
        door.answer()?;
        if let Some(outer) = self.program.filter(|_| self.wrapped) {
            self.own = namespace::own(outer);
        }
        if self.backend == Backend::Cgroup(None) {
            let group = Cgroup::of_process(pid).ok();
            // systemd passes over what its instance was not given: what is not held is watched.
            self.held = group.as_ref().map(|it| it.holds(&self.limits)).unwrap_or_default();
            self.backend = Backend::Cgroup(group);
            self.record(run)?;
        }
        Ok(())
    }

    fn record(&self, run: &Path) -> Result<(), NotStarted> {
        let arrangement = Arrangement {
            supervision: self.supervision(),
            cgroup: self.cgroup().cloned(),
            held: self.held,
        };
        if arrangement == Arrangement::default() {
            return Ok(());
        }
        let name = ARRANGEMENT;
        arrangement.write(run).map_err(|error| NotStarted::File { name, error })
    }

    /// What is in force.
    #[must_use]
    pub const fn supervision(&self) -> Supervision {
        match self.backend {
            Backend::Cgroup(_) => Supervision::Cgroup,
            Backend::Namespace => Supervision::Namespace,
            Backend::Session => Supervision::Session,
            Backend::Group => Supervision::Group,
        }
    }

    /// Which limits the kernel holds.
    #[must_use]
    pub const fn held(&self) -> HeldLimits {
        self.held
    }

    const fn cgroup(&self) -> Option<&Cgroup> {
        match &self.backend {
            Backend::Cgroup(group) => group.as_ref(),
            _ => None,
        }
    }

    /// The processes that are known to belong to the run without a look at the process table.
    #[must_use]
    pub fn members(&self) -> Vec<ProcessRef> {
        self.cgroup().map(Cgroup::members).unwrap_or_default()
    }

    /// Whether a process only holds the tree together: it is not told to end, it ends with the
    /// program, and it does not count.
    #[must_use]
    pub fn spares(&self, process: ProcessRef) -> bool {
        self.own.contains(&process)
    }

    /// Ends the whole tree at once, as far as what keeps it together can.
    pub fn strike(&self) {
        if let Some(group) = self.cgroup() {
            // What it does not end, the search of the process table will.
            let _ = group.kill();
        }
        let Some(program) = self.program else {
            return;
        };
        if self.wrapped {
            namespace::kill(program);
        }
        if self.backend == Backend::Group {
            kill_group(program);
        }
    }

    /// Whether the kernel ended the run because it needed more memory than its limit.
    #[must_use]
    pub fn ended_for_memory(&self) -> bool {
        self.held.memory && self.cgroup().is_some_and(|group| group.ended_for_memory() > 0)
    }

    /// Removes what was made for the run; to be called when its tree is gone.
    pub fn close(&self) {
        if let Some(group) = self.cgroup() {
            group.close();
        }
    }
}

/// The surest backend there is, at most the one asked for; what the kernel holds of the limits; and
/// how systemd is asked for a scope, where it makes the group.
fn choose(spec: &LaunchSpec, run: &Path) -> (Backend, HeldLimits, Vec<String>) {
    let none = HeldLimits::default();
    match spec.supervision {
        Supervision::Cgroup => match group(&spec.limits, run) {
            Ok(found) => found,
            Err(_) if namespace::works().is_ok() => (Backend::Namespace, none, Vec::new()),
            Err(_) => (Backend::Session, none, Vec::new()),
        },
        Supervision::Namespace if namespace::works().is_ok() => {
            (Backend::Namespace, none, Vec::new())
        }
        Supervision::Namespace | Supervision::Session => (Backend::Session, none, Vec::new()),
        Supervision::Group => (Backend::Group, none, Vec::new()),
    }
}

fn group(limits: &Limits, run: &Path) -> Result<(Backend, HeldLimits, Vec<String>), Absent> {
    match Way::find()? {
        Way::Scope { user } => {
            cgroup::try_scope(user)?;
            // What of it is really held is read where it was made.
            let all = HeldLimits { memory: true, processes: true, cpu: true };
            Ok((Backend::Cgroup(None), all, cgroup::scope(user, limits)))
        }
        Way::Directory(home) => {
            let name = group_name(run);
            let (group, held) = Cgroup::create(&home, &name, limits)?;
            Ok((Backend::Cgroup(Some(group)), held, Vec::new()))
        }
    }
}

/// Unique as long as this boot lasts: the shim's process, with the run's name for people.
fn group_name(run: &Path) -> String {
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let ticks = proc::stat(std::process::id()).map_or(0, |stat| stat.start_ticks);
    format!("run-{plain}-{}-{ticks}", std::process::id())
}

/// The niceness closest to a weight: a step of it is a quarter more or less (sched(7)). Nobody but
/// root may ask for more than the ordinary share this way.
fn niceness(weight: u32) -> i32 {
    let steps = (100.0 / f64::from(weight.max(1))).ln() / 1.25_f64.ln();
    (steps.round() as i32).clamp(0, 19)
}

/// Ends a process group, as long as somebody in it shows that it is still this one.
fn kill_group(leader: ProcessRef) {
    let Some(group) = i32::try_from(leader.pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    let alive = proc::life(leader) == proc::Life::Alive;
    if alive && rustix::process::getpgid(Some(group)) == Ok(group) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
}

/// Whether a program can be found in `PATH`.
fn is_program(name: &str) -> bool {
    which::which(name).is_ok()
}

/// Where a program is found in the shim's own `PATH`; its name where it is not.
fn full_path(name: &str) -> String {
    which::which(name).map_or_else(|_| name.to_owned(), |path| path.display().to_string())
}

/// Runs a short command to its end and returns what it printed.
fn ask(command: &mut Command, time: Duration) -> Result<Output, Absent> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let deadline = Instant::now() + time;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Absent::Silent(time.as_millis()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(child.wait_with_output()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_weight_is_a_greater_niceness() {
        let table = [(100, 0), (1_000, 0), (80, 1), (50, 3), (10, 10), (1, 19), (0, 19)];
        for (weight, nice) in table {
            assert_eq!(niceness(weight), nice, "{weight}");
        }
    }

    #[test]
    fn a_run_without_a_record_is_a_session_and_a_record_is_read_back() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(Arrangement::read(run.path()).unwrap(), Arrangement::default());
        let arrangement = Arrangement {
            supervision: Supervision::Cgroup,
            cgroup: Some(Cgroup::at("/sys/fs/cgroup/x".into())),
            held: HeldLimits { memory: true, ..HeldLimits::default() },
        };
        arrangement.write(run.path()).unwrap();
        assert_eq!(Arrangement::read(run.path()).unwrap(), arrangement);
    }

    #[test]
    fn a_name_of_a_group_is_a_name_whatever_the_run_is_called() {
        let name = group_name(Path::new("/x/../%a b$c.d"));
        assert!(name.starts_with("run-abcd-"), "{name}");
    }
}
