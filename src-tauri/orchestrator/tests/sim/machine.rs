//! The fake machine: processes with a script, worktrees, and boots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::attempt::Work;
use model::id::AttemptId;
use model::process::{Exit, ExitRecord, ProcessIdentity, ProcessRef};

use crate::dice::Dice;

/// A run: the program of an attempt, or of one of its gates.
pub(crate) type RunId = (AttemptId, Option<u32>);

/// How a program behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Ends by itself with this code.
    Ends(i32),
    /// Never ends by itself: it is silent, or prints forever.
    Endless,
    /// Never ends by itself, and has to be killed.
    IgnoresTerm,
    /// Is killed from outside, frozen or not.
    Killed,
    /// Its supervisor vanishes and leaves it running.
    Vanishes,
}

/// What became of a run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) identity: ProcessIdentity,
    pub(crate) manner: Manner,
    /// Ticks until it does what its manner says.
    pub(crate) left: u64,
    /// Whether a process of it is alive.
    pub(crate) alive: bool,
    pub(crate) frozen: bool,
    /// Whether its supervisor is gone without a record.
    pub(crate) orphaned: bool,
    pub(crate) record: Option<ExitRecord>,
    terms: u32,
}

/// What is seen of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    NotStarted,
    Running(ProcessIdentity),
    Ended(ExitRecord),
    Gone(ProcessIdentity),
}

/// The machine.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) runs: BTreeMap<RunId, Run>,
    /// The last commit of each attempt's branch.
    heads: BTreeMap<AttemptId, u64>,
    boot: u32,
    pids: u32,
}

pub(crate) fn record(exit: Exit, now: Timestamp) -> ExitRecord {
    ExitRecord { cpu_ms: 1, memory_peak_bytes: 1, ..ExitRecord::bare(exit, now) }
}

impl Machine {
    /// Starts a program, or finds the one that was started before.
    pub(crate) fn start(
        &mut self,
        id: RunId,
        dice: &mut Dice,
        calm: bool,
        now: Timestamp,
    ) -> Result<ProcessIdentity, String> {
        if let Some(run) = self.runs.get(&id) {
            return Ok(run.identity.clone());
        }
        let manner = if calm {
            Manner::Ends(0)
        } else {
            match dice.below(100) {
                0..=59 => Manner::Ends(0),
                60..=71 => Manner::Ends(1),
                72..=79 => Manner::Endless,
                80..=84 => Manner::IgnoresTerm,
                85..=89 => Manner::Killed,
                90..=94 => Manner::Vanishes,
                _ => return Err("no such program".to_owned()),
            }
        };
        self.pids += 1;
        let one = ProcessRef { pid: self.pids, start_ticks: 1 };
        let identity = ProcessIdentity {
            shim: one,
            program: one,
            boot_id: format!("boot {}", self.boot),
            marker: format!("{} {:?}", id.0, id.1),
            started_at: now,
        };
        let left = if calm { 1 } else { 1 + dice.below(12) };
        let run = Run {
            identity: identity.clone(),
            manner,
            left,
            alive: true,
            frozen: false,
            orphaned: false,
            record: None,
            terms: 0,
        };
        self.runs.insert(id, run);
        *self.heads.entry(id.0).or_default() += u64::from(id.1.is_none());
        Ok(identity)
    }

    /// Lets every program go on a little.
    pub(crate) fn tick(&mut self, calm: bool, now: Timestamp) {
        for run in self.runs.values_mut().filter(|run| run.alive && !run.orphaned) {
            if run.frozen && run.manner != Manner::Killed {
                continue;
            }
            run.left = run.left.saturating_sub(1);
            if run.left > 0 {
                continue;
            }
            let exit = match run.manner {
                Manner::Ends(code) => Exit::Code { code },
                Manner::Endless | Manner::IgnoresTerm if calm => Exit::Code { code: 0 },
                Manner::Endless | Manner::IgnoresTerm => continue,
                Manner::Killed => Exit::Signal { signal: 9 },
                Manner::Vanishes => {
                    run.orphaned = true;
                    continue;
                }
            };
            run.alive = false;
            run.record = Some(record(exit, now));
        }
    }

    pub(crate) fn look(&self, id: RunId, now: Timestamp) -> Seen {
        let Some(run) = self.runs.get(&id) else {
            return Seen::NotStarted;
        };
        if let Some(record) = &run.record {
            return Seen::Ended(record.clone());
        }
        if run.identity.boot_id != format!("boot {}", self.boot) {
            return Seen::Ended(record(Exit::Rebooted, now));
        }
        if run.orphaned {
            return Seen::Gone(run.identity.clone());
        }
        Seen::Running(run.identity.clone())
    }

    /// Asks a run to stop, or kills it; gives its record once nothing of it is left.
    pub(crate) fn stop(&mut self, id: RunId, now: Timestamp) -> Option<ExitRecord> {
        let seen = self.look(id, now);
        let run = self.runs.get_mut(&id)?;
        if run.manner == Manner::IgnoresTerm
            && run.terms == 0
            && seen == Seen::Running(run.identity.clone())
        {
            run.terms += 1;
            return None;
        }
        run.alive = false;
        let found = match seen {
            Seen::Ended(found) => found,
            Seen::Gone(_) => record(Exit::Stopped { killed: true }, now),
            _ => record(Exit::Stopped { killed: run.terms > 0 }, now),
        };
        run.record = Some(found.clone());
        Some(found)
    }

    /// Ends everything at once: the emergency stop.
    pub(crate) fn halt(&mut self, now: Timestamp) {
        let ids: Vec<RunId> =
            self.runs.iter().filter(|(_, run)| run.alive).map(|(id, _)| *id).collect();
        for id in ids {
            while self.stop(id, now).is_none() {}
        }
    }

    /// The machine restarts: no process is left.
    pub(crate) fn reboot(&mut self) {
        self.boot += 1;
        for run in self.runs.values_mut() {
            run.alive = false;
        }
    }

    pub(crate) fn freeze(&mut self, id: AttemptId, frozen: bool) {
        if let Some(run) = self.runs.get_mut(&(id, None)).filter(|run| run.alive) {
            run.frozen = frozen;
        }
    }

    /// Whether a process of an attempt, or of one of its gates, is alive.
    pub(crate) fn lives(&self, id: AttemptId) -> bool {
        self.runs.range((id, None)..=(id, Some(u32::MAX))).any(|(_, run)| run.alive)
    }

    /// Gates that ran on other work are not taken for having run on this.
    pub(crate) fn set_gates_aside(&mut self, id: AttemptId) {
        self.runs.retain(|(attempt, gate), run| *attempt != id || gate.is_none() || run.alive);
    }

    /// Somebody commits to the branch of an attempt.
    pub(crate) fn commit(&mut self, id: AttemptId) {
        *self.heads.entry(id).or_default() += 1;
    }

    /// What an attempt left.
    pub(crate) fn work(&self, id: AttemptId) -> Work {
        let head = self.heads.get(&id).copied().unwrap_or(0);
        Work {
            head_commit: format!("commit {head} of {id}"),
            commits: Vec::new(),
            // Two commits in a row may hold the same files.
            tree: Some(format!("tree {} of {id}", head / 2)),
            diff: Default::default(),
            rescued_files: 0,
        }
    }
}
