//! Watches what a run uses where the kernel does not hold its limits itself.
//!
//! Memory is the sum of the processes' proportional set sizes (PSS): what several of them share is
//! counted once, so that a program with many helpers is not charged for the same pages many times.
//! Where that cannot be read, the resident size stands in, which counts shared pages with everybody
//! who has them. A look costs a few milliseconds and happens twice a second: a run that fills the
//! memory faster than that is ended late, and files it writes to a file system in memory are not
//! counted; only a control group holds both.

use std::time::{Duration, Instant};

use model::process::{Limits, OPEN_FILES_VARIABLE, ProcessRef};

use crate::confine::cgroup::HeldLimits;

/// How long there is between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Gives this process, and so the program, the limit of open files its engine had before it raised its
/// own: a program that goes through all of them, or uses select(2), expects the usual one.
pub(crate) fn lower_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let usual = std::env::var(OPEN_FILES_VARIABLE).ok().and_then(|text| text.parse::<u64>().ok());
    let Some(usual) = usual else {
        return;
    };
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(usual, |maximum| usual.min(maximum)));
    // Where it cannot be lowered it is merely larger than usual.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

/// The limits that are watched, and when they are looked at next.
#[derive(Debug)]
pub struct Watch {
    memory_bytes: Option<u64>,
    processes: Option<u32>,
    next: Instant,
}

impl Watch {
    /// Watches what the kernel does not hold; nothing where nothing is left to watch.
    #[must_use]
    pub fn over(limits: &Limits, held: HeldLimits) -> Option<Self> {
        let memory_bytes = limits.memory_bytes.filter(|_| !held.memory);
        let processes = limits.processes.filter(|_| !held.processes);
        let next = Instant::now();
        (memory_bytes.is_some() || processes.is_some()).then_some(Self {
            memory_bytes,
            processes,
            next,
        })
    }

    /// How long it is until the next look; at least a millisecond.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Whether it is time for a look, and if so sets the time of the next one.
    pub fn is_due(&mut self) -> bool {
        let due = Instant::now() >= self.next;
        if due {
            self.next = Instant::now() + INTERVAL;
        }
        due
    }

    /// Which limit these processes exceed, in words a person reads.
    #[must_use]
    pub fn exceeded(&self, living: &[ProcessRef]) -> Option<String> {
        if let Some(limit) = self.processes
            && living.len() > limit as usize
        {
            return Some(format!("it had {} processes, the limit is {limit}", living.len()));
        }
        let limit = self.memory_bytes?;
        let used: u64 = living.iter().filter_map(|process| memory(process.pid)).sum();
        (used > limit).then(|| over_memory(used, limit))
    }
}

/// Says that the memory of a run was exceeded.
#[must_use]
pub fn over_memory(used: u64, limit: u64) -> String {
    format!("its processes used {}, the limit is {}", amount(used), amount(limit))
}

/// Says that the kernel ended a run for its memory.
#[must_use]
pub fn held_memory(limit: u64) -> String {
    format!("its processes used more memory than the limit of {}", amount(limit))
}

/// An amount of memory in the unit that fits, with one decimal where it is needed.
fn amount(bytes: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let found = units.iter().find(|(size, _)| bytes >= *size);
    let Some((size, unit)) = found else {
        return format!("{bytes} B");
    };
    let tenths = bytes.saturating_mul(10) / size;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

/// The memory of one process, in bytes; nothing where it is gone.
fn memory(pid: u32) -> Option<u64> {
    let read = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    read("smaps_rollup")
        .and_then(|text| kilobytes(&text, "Pss"))
        .or_else(|| kilobytes(&read("status")?, "VmRSS"))
}

/// A line `KEY: 12 kB` of a file of the kernel, in bytes.
#[must_use]
pub fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let number: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proc;

    #[test]
    fn amounts_are_said_in_the_unit_that_fits() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (64 << 20, "64 MiB"),
            (2 << 30, "2 GiB"),
            ((2 << 30) + (154 << 20), "2.1 GiB"),
        ];
        for (bytes, said) in table {
            assert_eq!(amount(bytes), said);
        }
        assert_eq!(
            over_memory((2 << 30) + (154 << 20), 2 << 30),
            "its processes used 2.1 GiB, the limit is 2 GiB"
        );
    }

    #[test]
    fn only_what_the_kernel_does_not_hold_is_watched() {
        let limits = Limits { memory_bytes: Some(1), processes: Some(1), ..Limits::default() };
        let all = HeldLimits { memory: true, processes: true, cpu: true };
        assert!(Watch::over(&limits, all).is_none());
        assert!(Watch::over(&Limits::default(), HeldLimits::default()).is_none());
        let memory = HeldLimits { memory: true, ..HeldLimits::default() };
        let mut watch = Watch::over(&limits, memory).unwrap();
        assert_eq!(watch.memory_bytes, None);
        assert!(watch.is_due() && !watch.is_due());
        assert!(watch.pause() <= INTERVAL);
    }

    #[test]
    fn a_limit_is_exceeded_only_above_it() {
        let own = proc::stat(std::process::id()).unwrap().process();
        let watch = |memory_bytes, processes| {
            let limits = Limits { memory_bytes, processes, ..Limits::default() };
            Watch::over(&limits, HeldLimits::default()).unwrap()
        };
        assert_eq!(watch(Some(u64::MAX), Some(1)).exceeded(&[own]), None);
        let said = watch(None, Some(1)).exceeded(&[own, own]).unwrap();
        assert_eq!(said, "it had 2 processes, the limit is 1");
        let said = watch(Some(1), None).exceeded(&[own]).unwrap();
        assert!(said.ends_with("the limit is 1 B"), "{said}");
    }

    proptest! {
        #[test]
        fn a_number_of_the_kernel_is_read_back_and_no_text_panics(
            number in 0..u64::MAX / 1024, text in "\\PC*",
        ) {
            let line = format!("Name: x\nPss:  {number} kB\nPss_Anon: 1 kB\n");
            prop_assert_eq!(kilobytes(&line, "Pss"), Some(number * 1024));
            let _ = kilobytes(&text, "Pss");
        }
    }
}
