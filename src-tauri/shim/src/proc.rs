//! Reads the process table and signals processes that were identified beyond doubt.
//!
//! A process is its number and the moment the kernel started it: numbers are used again within
//! minutes on a busy machine. Everything here reads Linux's `/proc`; elsewhere nothing is found, and
//! the shim refuses to start what it could not end.
//!
//! Who has no descriptor left cannot look: that is told from there being nothing to see. What cannot
//! be looked at is not signalled, and is not taken for gone.

use std::io;

use model::process::{MARKER_VARIABLE, ProcessRef};
use rustix::process::{Pid, Signal};

/// One line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The process id.
    pub pid: u32,
    /// The parent's process id.
    pub parent: u32,
    /// When the kernel started it, in clock ticks since boot.
    pub start_ticks: u64,
    /// Whether it has ended and only waits to be noticed by its parent.
    pub ended: bool,
    /// Whether it is held: it does nothing until it is told to go on, or killed.
    pub held: bool,
}

impl Stat {
    /// What tells it from later processes of the same number.
    #[must_use]
    pub const fn process(&self) -> ProcessRef {
        ProcessRef { pid: self.pid, start_ticks: self.start_ticks }
    }
}

/// Reads the text of `/proc/PID/stat` (proc(5)).
#[must_use]
pub fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The name stands in brackets and may hold anything, brackets and line ends included.
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let pid = std::str::from_utf8(text.get(..open)?).ok()?.trim();
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let threads: u32 = fields.get(17)?.parse().ok()?;
    Some(Stat {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
        // A first thread that has ended is shown as a zombie while the others still work.
        ended: matches!(*fields.first()?, "Z" | "X" | "x") && threads <= 1,
        held: matches!(*fields.first()?, "T" | "t"),
    })
}

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It is running.
    Alive,
    /// It has ended; whoever has its number now is somebody else.
    Gone,
    /// It cannot be looked at: no more files can be opened.
    Unknown,
}

/// The process of that number, if there is one.
///
/// # Errors
/// When it cannot be looked at, because this process or the system has no descriptor left.
pub fn look(pid: u32) -> io::Result<Option<Stat>> {
    Ok(read(pid, "stat")?.and_then(|text| parse_stat(&text)))
}

/// The process of that number, if there is one and it can be looked at.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    look(pid).ok().flatten()
}

/// A file about a process; nothing where there is no such process, or it is another user's.
fn read(pid: u32, name: &str) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(format!("/proc/{pid}/{name}")) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_want(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Whether something could not be looked at for want of descriptors or memory.
#[must_use]
pub fn is_want(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let wants = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| wants.iter().any(|it| it.raw_os_error() == code))
}

/// What is known of this very process.
#[must_use]
pub fn life(process: ProcessRef) -> Life {
    match look(process.pid) {
        Ok(Some(stat)) if stat.process() == process && !stat.ended => Life::Alive,
        Ok(_) => Life::Gone,
        Err(_) => Life::Unknown,
    }
}

/// Whether this very process, and not a later one of its number, is running as far as is known: one
/// that cannot be looked at has not ended.
#[must_use]
pub fn is_alive(process: ProcessRef) -> bool {
    life(process) != Life::Gone
}

/// What tells this boot of the machine from others.
///
/// # Errors
/// When the kernel does not say.
pub fn boot_id() -> io::Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}

/// Every process there is, in no order.
///
/// # Errors
/// When not all of them can be looked at.
pub fn table() -> io::Result<Vec<Stat>> {
    let entries = match std::fs::read_dir("/proc") {
        Ok(entries) => entries,
        Err(error) if is_want(&error) => return Err(error),
        Err(_) => return Ok(Vec::new()),
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| look(pid).transpose()).collect()
}

/// The value of [`MARKER_VARIABLE`] in a process's environment; nothing where it has none, or is
/// another user's.
///
/// # Errors
/// When it cannot be looked at.
pub fn marker(pid: u32) -> io::Result<Option<String>> {
    let environment = read(pid, "environ")?.unwrap_or_default();
    Ok(environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(MARKER_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    }))
}

/// What a process was started with, its own name first; empty where it cannot be read.
#[must_use]
pub fn arguments(pid: u32) -> Vec<Vec<u8>> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// What a process is called, as far as the kernel keeps it.
#[must_use]
pub fn name(pid: u32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end().to_owned())
}

/// Every living process below `root` in a table, not `root` itself.
#[must_use]
pub fn below(root: u32, table: &[Stat]) -> Vec<ProcessRef> {
    let mut found = Vec::new();
    let mut seen = std::collections::HashSet::from([root]);
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for stat in table.iter().filter(|stat| stat.parent == parent) {
            if seen.insert(stat.pid) {
                parents.push(stat.pid);
                if !stat.ended {
                    found.push(stat.process());
                }
            }
        }
    }
    found
}

/// Every living process of a table whose environment carries this run's marker.
///
/// A process that cannot be read, because it is another user's, is not ours. Its identity is older
/// than the look at its environment: if the number changed hands in between, no signal is sent.
///
/// # Errors
/// When not all of them can be looked at.
pub fn carrying(marker: &str, table: &[Stat]) -> io::Result<Vec<ProcessRef>> {
    let wanted = format!("{MARKER_VARIABLE}={marker}");
    let carries = |environment: Vec<u8>| {
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    let mut found = Vec::new();
    for stat in table.iter().filter(|stat| !stat.ended) {
        if read(stat.pid, "environ")?.is_some_and(carries) {
            found.push(stat.process());
        }
    }
    Ok(found)
}

/// Every living process whose environment carries this run's marker, as far as can be seen.
#[must_use]
pub fn marked(marker: &str) -> Vec<ProcessRef> {
    table().and_then(|table| carrying(marker, &table)).unwrap_or_default()
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The process has it.
    Sent,
    /// The process is gone; whoever has its number now was left alone.
    Gone,
    /// The system does not allow it.
    Refused,
}

/// Signals this very process: holds on to it first, then compares its identity, then sends.
#[must_use]
pub fn signal(process: ProcessRef, signal: Signal) -> Delivery {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Delivery::Gone;
    };
    if pid.is_init() {
        return Delivery::Refused;
    }
    outcome(send(process, pid, signal))
}

fn outcome(result: Result<(), rustix::io::Errno>) -> Delivery {
    match result {
        Ok(()) => Delivery::Sent,
        Err(rustix::io::Errno::SRCH) => Delivery::Gone,
        Err(_) => Delivery::Refused,
    }
}

/// Holds on to this very process: the descriptor becomes readable when it ends (pidfd_open(2)).
///
/// Nothing where it has ended already, or where the system has no such thing.
#[must_use]
pub fn hold(process: ProcessRef) -> Option<std::os::fd::OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let held = open(pid)?;
    // Compared after it is held: from here on the number cannot change hands unnoticed.
    (life(process) == Life::Alive).then_some(held)
}

#[cfg(target_os = "linux")]
fn open(pid: Pid) -> Option<std::os::fd::OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn open(_: Pid) -> Option<std::os::fd::OwnedFd> {
    None
}

#[cfg(target_os = "linux")]
fn send(process: ProcessRef, pid: Pid, signal: Signal) -> rustix::io::Result<()> {
    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(held) => match life(process) {
            Life::Alive => pidfd_send_signal(held, signal),
            Life::Gone => Err(Errno::SRCH),
            // Nobody is signalled who may be somebody else.
            Life::Unknown => Err(Errno::MFILE),
        },
        // Kernels before 5.3: compare and send, as close together as it gets.
        Err(Errno::NOSYS | Errno::PERM) if life(process) == Life::Alive => {
            kill_process(pid, signal)
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn send(_: ProcessRef, _: Pid, _: Signal) -> rustix::io::Result<()> {
    Err(rustix::io::Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_brackets_does_not_confuse_the_reader() {
        let line = b"42 (a) b (c\n) R 7 42 42 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 3 0 9876 1 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.start_ticks), (42, 7, 9876));
        assert_eq!((stat.ended, stat.held), (false, false));
    }

    #[test]
    fn text_that_is_no_process_line_is_refused_without_a_panic() {
        for text in [&b""[..], b"42", b"42 (x", b")(", b"42 (x) R", b"x (y) R 1 2 3"] {
            assert_eq!(parse_stat(text), None);
        }
    }

    #[test]
    fn a_process_of_the_same_number_started_at_another_time_is_not_trusted() {
        let own = stat(std::process::id()).unwrap().process();
        assert!(is_alive(own));
        let other = ProcessRef { start_ticks: own.start_ticks + 1, ..own };
        assert!(!is_alive(other));
        assert_eq!(signal(other, Signal::KILL), Delivery::Gone);
    }

    #[test]
    fn descendants_are_found_through_every_generation_and_without_their_root() {
        let line = |pid, parent| {
            let start_ticks = u64::from(pid);
            Stat { pid, parent, start_ticks, ended: false, held: false }
        };
        let table = [line(2, 1), line(3, 2), line(4, 3), line(5, 1), line(6, 6)];
        let mut found: Vec<u32> = below(2, &table).iter().map(|found| found.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
        assert!(below(6, &table).is_empty());
    }
}
