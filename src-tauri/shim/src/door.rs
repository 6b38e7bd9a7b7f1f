//! `hivekeeper-shim enter RUN FD ARGS…`: the door between the shim and a program.
//!
//! What can only be set from inside a process before it becomes the program is set here: its session
//! and terminal, its control group, its limits, and the walls around it. Then it becomes the program;
//! nothing of it is left. It is used only where one of these is asked for.
//!
//! `RUN/door.json` says what to do; the program's arguments, which may hold what is to stand in no
//! file, come as the door's own. What became of it is said on the descriptor FD, a pipe to the
//! shim: a dot just before it becomes the program, and words where something failed. The pipe closes
//! by itself when the program runs. bubblewrap, where it is used, stands between two stages of the
//! door: walls of landlock keep it from making its own, so they are put up inside.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

use crate::confine::cgroup::Cgroup;
use crate::confine::landlock::{self, Rules};
use crate::confine::{namespace, write_quickly};
use crate::program::{self, NotStarted};
use crate::record;

/// The first word of the call.
pub const ENTER: &str = "enter";
/// The first word of the call behind bubblewrap.
pub const INSIDE: &str = "inside";
/// What the door is to do: [`Plan`].
const PLAN: &str = "door.json";
/// How long a program may take to come through: less than the engine waits for the shim.
const ANSWER_TIME: Duration = Duration::from_secs(8);
/// How much of an answer is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 8 * 1024;
/// What is said just before the program takes over.
const READY: u8 = b'.';

/// What the door is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whether standard input is a terminal to be its own.
    pub terminal: bool,
    /// The control group to join.
    pub cgroup: Option<Cgroup>,
    /// How many files it may have open.
    pub open_files: Option<u32>,
    /// How much it stands back for others.
    pub nice: Option<i32>,
    /// bubblewrap and its arguments; empty without it.
    pub wrap: Vec<String>,
    /// What is done last.
    pub inside: Inside,
    /// The program's file.
    pub program: PathBuf,
    /// What it is called.
    pub arg0: String,
}

impl Plan {
    /// Whether there is anything to do before the program is started.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.terminal
            || self.cgroup.is_some()
            || self.open_files.is_some()
            || self.nice.is_some()
            || !self.wrap.is_empty()
            || self.inside != Inside::default()
    }
}

/// What is done last, behind bubblewrap where it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Whether no program it starts may gain rights, as setuid programs do.
    pub sealed: bool,
    /// The walls to put up.
    pub rules: Option<Rules>,
}

/// The shim's side of the door.
#[derive(Debug)]
pub struct Door {
    call: Vec<String>,
    wrap: Vec<String>,
    answer: PipeReader,
    /// Open until the door is started, which has a copy of its own.
    ours: Option<PipeWriter>,
}

impl Door {
    /// Writes down what is to be done with a program of these `args` and makes the pipe. `before` is
    /// what the door is started through, such as systemd's scopes.
    ///
    /// # Errors
    /// When it cannot be written down, or the shim cannot find itself.
    pub(crate) fn build(
        run: &Path,
        before: Vec<String>,
        plan: &Plan,
        args: &[String],
    ) -> Result<Self, NotStarted> {
        let failed = |error| NotStarted::File { name: PLAN, error };
        let text = serde_json::to_vec(plan).map_err(|error| failed(error.into()))?;
        write_quickly(&run.join(PLAN), &text).map_err(failed)?;
        let (answer, ours) = std::io::pipe().map_err(failed)?;
        // The only descriptor that goes through besides 0, 1 and 2. No other program is started
        // before it is closed.
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::empty())
            .map_err(|error| failed(error.into()))?;
        let own = std::env::current_exe().map_err(failed)?;
        let mut call = before;
        call.push(own.display().to_string());
        call.push(ENTER.to_owned());
        call.push(run.display().to_string());
        call.push(ours.as_raw_fd().to_string());
        call.extend_from_slice(args);
        Ok(Self { call, wrap: plan.wrap.clone(), answer, ours: Some(ours) })
    }

    /// The command that opens it.
    pub(crate) fn command(&self) -> Command {
        let mut words = self.call.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words);
        command
    }

    /// Waits until the program runs.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn answer(&mut self) -> Result<(), NotStarted> {
        self.ours = None;
        match self.read().as_deref() {
            Some([READY]) => Ok(()),
            Some([]) => Err(self.unopened()),
            Some([READY, said @ ..] | said) => {
                Err(NotStarted::Door(String::from_utf8_lossy(said).into_owned()))
            }
            None => Err(NotStarted::Door(format!(
                "nothing was heard of it for {} s after it was to be walled in",
                ANSWER_TIME.as_secs()
            ))),
        }
    }

    /// What was said until the pipe was closed; nothing where it is still open.
    fn read(&mut self) -> Option<Vec<u8>> {
        let deadline = Instant::now() + ANSWER_TIME;
        let mut said = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let time = Timespec::try_from(left).ok()?;
            let mut asked = [PollFd::new(&self.answer, PollFlags::IN)];
            match poll(&mut asked, Some(&time)) {
                Ok(0) => return None,
                // A signal to the shim: it looks at what was asked of it when this is over.
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return None,
                Ok(_) => {}
            }
            let mut part = [0; 1024];
            match self.answer.read(&mut part) {
                Ok(0) => return Some(said),
                Ok(count) if (said.len() as u64) < ANSWER_BYTES_MAX => {
                    said.extend_from_slice(&part[..count]);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// Why the inner door was never reached.
    fn unopened(&self) -> NotStarted {
        match namespace::trial(&self.wrap) {
            Some(said) => NotStarted::Sandbox(said),
            None => NotStarted::Door(
                "what was to wall it in ended without a word; its error output may say why"
                    .to_owned(),
            ),
        }
    }
}

/// What the door says to the shim.
struct Answer(File);

impl Answer {
    /// Opens the pipe anew, so that it closes by itself when the program takes over.
    fn open(descriptor: &str) -> Result<Self, NotStarted> {
        let number: u32 = descriptor.parse().map_err(|_| not_a_call())?;
        let pipe = OpenOptions::new().write(true).open(format!("/proc/self/fd/{number}"));
        pipe.map(Self).map_err(|error| {
            NotStarted::Door(format!("its door could not reach the shim: {error}"))
        })
    }

    /// Says why the program does not run. Where nobody listens, the exit code has to do.
    fn refuse(mut self, why: &NotStarted) {
        let _ = self.0.write_all(why.to_string().as_bytes());
    }
}

fn not_a_call() -> NotStarted {
    NotStarted::Door("the door is opened by the shim only".to_owned())
}

/// Does what the plan in `run` says, and becomes the program with `args`. Returns only where that
/// failed.
pub fn enter(run: &Path, descriptor: &str, args: &[OsString]) -> NotStarted {
    let answer = match Answer::open(descriptor) {
        Ok(answer) => answer,
        Err(why) => return why,
    };
    let why = match through(run) {
        Ok(plan) if plan.wrap.is_empty() => {
            let Plan { inside, program, arg0, .. } = plan;
            let last = Last { inside, program, arg0: arg0.into(), args: args.to_vec() };
            return finish(&last, descriptor, answer);
        }
        Ok(plan) => wrapped(&plan, descriptor, args),
        Err(why) => why,
    };
    answer.refuse(&why);
    why
}

/// The part of the door behind bubblewrap: `inside FD WHAT PROGRAM NAME ARGS…`. Returns only where
/// it failed.
pub fn inside(descriptor: &str, what: &str, words: &[OsString]) -> NotStarted {
    let answer = match Answer::open(descriptor) {
        Ok(answer) => answer,
        Err(why) => return why,
    };
    let why = match (serde_json::from_str(what), words) {
        (Ok(inside), [program, arg0, args @ ..]) => {
            let (program, arg0) = (PathBuf::from(program), arg0.clone());
            let last = Last { inside, program, arg0, args: args.to_vec() };
            return finish(&last, descriptor, answer);
        }
        (Err(error), _) => NotStarted::Specification(error.into()),
        (Ok(_), _) => NotStarted::NoName,
    };
    answer.refuse(&why);
    why
}

/// What the last stage needs to know.
struct Last {
    inside: Inside,
    program: PathBuf,
    arg0: OsString,
    args: Vec<OsString>,
}

/// Everything that is done before bubblewrap.
fn through(run: &Path) -> Result<Plan, NotStarted> {
    let plan: Plan = record::read_json(&run.join(PLAN))
        .map_err(NotStarted::Specification)?
        .ok_or(NotStarted::NoSpecification)?;
    let system = |what: &str, error: std::io::Error| NotStarted::Door(format!("{what}: {error}"));
    if plan.terminal {
        rustix::process::setsid()
            .and_then(|_| rustix::process::ioctl_tiocsctty(std::io::stdin()))
            .map_err(|error| system("its terminal could not be made its own", error.into()))?;
    }
    if let Some(group) = &plan.cgroup {
        group.join().map_err(|error| system("its control group could not be joined", error))?;
    }
    if let Some(count) = plan.open_files {
        limit(Resource::Nofile, u64::from(count))
            .map_err(|error| system("its limit of open files could not be set", error))?;
    }
    limit(Resource::Core, 0).map_err(|error| system("core files could not be forbidden", error))?;
    if let Some(nice) = plan.nice {
        // A share that cannot be given is no reason not to start.
        let _ = rustix::process::setpriority_process(None, nice);
    }
    Ok(plan)
}

/// Sets a limit, or the system's own where that is lower and may not be raised.
fn limit(resource: Resource, most: u64) -> std::io::Result<()> {
    let allowed = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let most = Some(most.min(allowed));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: most, maximum: most })?)
}

/// Becomes bubblewrap, which becomes the last stage.
fn wrapped(plan: &Plan, descriptor: &str, args: &[OsString]) -> NotStarted {
    let inside = match serde_json::to_string(&plan.inside) {
        Ok(inside) => inside,
        Err(error) => return NotStarted::Specification(error.into()),
    };
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => return NotStarted::Specification(error),
    };
    let (first, rest) = plan.wrap.split_first().map_or(("", &[][..]), |(f, r)| (f.as_str(), r));
    let mut command = Command::new(first);
    command.args(rest).arg(own).args([INSIDE, descriptor, &inside]);
    command.arg(&plan.program).arg(&plan.arg0).args(args);
    program::refusal(Path::new(first), command.exec())
}

/// Puts the last walls up and becomes the program.
fn finish(last: &Last, descriptor: &str, mut answer: Answer) -> NotStarted {
    let why = become_program(last, descriptor, &mut answer);
    answer.refuse(&why);
    why
}

fn become_program(last: &Last, descriptor: &str, answer: &mut Answer) -> NotStarted {
    if last.inside.sealed
        && let Err(error) = seal()
    {
        return NotStarted::Sandbox(format!("rights could not be given up: {error}"));
    }
    if let Some(rules) = &last.inside.rules
        && let Err(why) = landlock::apply(rules)
    {
        return why;
    }
    // The copy that was handed down does not close by itself.
    if let Ok(number) = descriptor.parse::<i32>()
        && number != answer.0.as_raw_fd()
    {
        let _ = nix::unistd::close(number);
    }
    if answer.0.write_all(&[READY]).is_err() {
        return NotStarted::Door("its supervisor is gone".to_owned());
    }
    let error = Command::new(&last.program).arg0(&last.arg0).args(&last.args).exec();
    let sealed = last.inside != Inside::default();
    if sealed && !last.program.exists() {
        return NotStarted::Hidden(last.program.clone());
    }
    program::refusal(&last.program, error)
}

#[cfg(target_os = "linux")]
fn seal() -> std::io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

#[cfg(not(target_os = "linux"))]
fn seal() -> std::io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
