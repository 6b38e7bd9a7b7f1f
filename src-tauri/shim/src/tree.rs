//! Ends a tree of processes: TERM, a grace, KILL, and a look whether anything is left.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use model::process::ProcessRef;
use rustix::process::Signal;

use crate::proc;

/// How often new processes are looked for while a tree is being signalled, before giving it time.
const ROUNDS_MAX: usize = 50;
/// How long after the first KILL a process may still be there.
const KILL_TIME: Duration = Duration::from_secs(5);

/// What is seen of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The processes that are alive.
    pub living: Vec<ProcessRef>,
    /// Whether there may be more: not every process could be looked at.
    pub unsure: bool,
}

impl Seen {
    /// Whether it is known that nothing is left.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.living.is_empty() && !self.unsure
    }
}

/// A tree of processes, as far as it can be seen.
pub trait Tree {
    /// What is alive now; notices the ended ones first where that is its task.
    fn living(&mut self) -> Seen;
    /// Waits a little before the next look, and at most `time`.
    fn pause(&mut self, time: Duration);
    /// Whether TERM is not for this process: it only holds the tree together, and ends with it.
    fn is_spared(&self, _process: ProcessRef) -> bool {
        false
    }
    /// Ends all of it at once, as far as what keeps it together can.
    fn strike(&mut self) {}
}

/// How a tree came to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Whether TERM was not enough.
    pub killed: bool,
    /// How many processes were signalled.
    pub signalled: usize,
    /// What is still alive; empty unless the system refuses to end it.
    pub survivors: Vec<ProcessRef>,
    /// Whether there may be more: not every process could be looked at.
    pub unsure: bool,
}

/// Ends every process of `tree` and returns when none is left.
///
/// Processes that appear during the grace are left to it: a program may need helpers to tidy up.
pub fn end(tree: &mut dyn Tree, grace: Duration) -> Ended {
    let mut signalled = HashSet::new();
    let mut seen = signal_until_stable(tree, Signal::TERM, &mut signalled);
    let deadline = Instant::now() + grace;
    while !seen.is_over() && Instant::now() < deadline {
        tree.pause(deadline.saturating_duration_since(Instant::now()));
        seen = tree.living();
    }
    let killed = !seen.living.is_empty();
    if !seen.is_over() {
        seen = kill_until_empty(tree, &mut signalled);
    }
    let Seen { living: survivors, unsure } = seen;
    Ended { killed, signalled: signalled.len(), survivors, unsure }
}

/// Ends every process of `tree` at once, without TERM and without a grace: one that takes more than
/// it may would only use the time to take more.
pub fn kill(tree: &mut dyn Tree) -> Ended {
    let mut signalled = HashSet::new();
    let Seen { living: survivors, unsure } = kill_until_empty(tree, &mut signalled);
    Ended { killed: true, signalled: signalled.len(), survivors, unsure }
}

/// KILL, by what keeps the tree together and then one by one, until nothing is left or time is up.
/// Returns what is left.
fn kill_until_empty(tree: &mut dyn Tree, signalled: &mut HashSet<ProcessRef>) -> Seen {
    let deadline = Instant::now() + KILL_TIME;
    tree.strike();
    let mut seen = tree.living();
    while !seen.is_over() && Instant::now() < deadline {
        // Held first: what starts new processes faster than they are ended would go on for ever.
        signal_until_stable(tree, Signal::STOP, &mut HashSet::new());
        let mut killing = HashSet::new();
        signal_until_stable(tree, Signal::KILL, &mut killing);
        signalled.extend(killing);
        tree.pause(deadline.saturating_duration_since(Instant::now()));
        seen = tree.living();
    }
    seen
}

/// Signals each process once, and again what was forked meanwhile, until nothing new appears.
fn signal_until_stable(
    tree: &mut dyn Tree,
    signal: Signal,
    signalled: &mut HashSet<ProcessRef>,
) -> Seen {
    let mut seen = tree.living();
    for _ in 0..ROUNDS_MAX {
        let mut new = false;
        for process in &seen.living {
            if signal == Signal::TERM && tree.is_spared(*process) {
                continue;
            }
            if signalled.insert(*process) {
                new = true;
                // What is gone is as it should be; what refuses is found among the survivors.
                let _ = proc::signal(*process, signal);
                if signal == Signal::TERM {
                    // A process that is held would only heed it once it is let go.
                    let _ = proc::signal(*process, Signal::CONT);
                }
            }
        }
        if !new {
            break;
        }
        seen = tree.living();
    }
    seen
}

/// A tree whose shim is gone, seen from outside: what carries the marker, and what is below that.
#[derive(Debug)]
pub struct Orphans<'a> {
    marker: &'a str,
    known: HashSet<ProcessRef>,
}

impl<'a> Orphans<'a> {
    /// Everything marked with `marker`, and below or equal to the `known` processes.
    #[must_use]
    pub fn new(marker: &'a str, known: impl IntoIterator<Item = ProcessRef>) -> Self {
        Self { marker, known: known.into_iter().collect() }
    }
}

impl Tree for Orphans<'_> {
    fn living(&mut self) -> Seen {
        self.known.retain(|process| proc::is_alive(*process));
        let looked = proc::table().and_then(|table| {
            let marked = proc::carrying(self.marker, &table)?;
            Ok((marked, table))
        });
        let unsure = looked.is_err();
        if let Ok((marked, table)) = looked {
            self.known.extend(marked);
            let below = |process: &ProcessRef| proc::below(process.pid, &table);
            let below: Vec<ProcessRef> = self.known.iter().flat_map(below).collect();
            self.known.extend(below);
        }
        Seen { living: self.known.iter().copied().collect(), unsure }
    }

    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time.min(Duration::from_millis(20)));
    }
}
