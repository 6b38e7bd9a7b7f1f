//! One run of the simulation: everything follows from its seed.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use model::event::Actor;
use model::mission::MissionState;
use orchestrator::Input;

use crate::captain::Request;
use crate::dice::Dice;
use crate::engine::Engine;
use crate::ledger::Book;
use crate::machine::Machine;

/// Steps of a run in which anything may happen.
pub(crate) const STEPS: u32 = 300;
/// Rounds after which nothing may be left to do.
const QUIET_ROUNDS: u32 = 400;
/// Steps of a trace that are shown.
const SHOWN: usize = 40;

/// What was counted over one run, or many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) steps: u64,
    pub(crate) events: u64,
    pub(crate) commits: u64,
    pub(crate) failed_commits: u64,
    pub(crate) crashes: u64,
    pub(crate) reboots: u64,
    pub(crate) missions: u64,
    pub(crate) attempts: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) in_review: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.events += other.events;
        self.commits += other.commits;
        self.failed_commits += other.failed_commits;
        self.crashes += other.crashes;
        self.reboots += other.reboots;
        self.missions += other.missions;
        self.attempts += other.attempts;
        self.done += other.done;
        self.failed += other.failed;
        self.in_review += other.in_review;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seeds, steps, events, commits, failed_commits, crashes, reboots, .. } = self;
        write!(
            f,
            "{seeds} seeds, {steps} steps, {events} events, {commits} commits of which \
             {failed_commits} failed, {crashes} crashes, {reboots} reboots; {} missions, {} attempts: \
             {} done, {} failed, {} in review",
            self.missions, self.attempts, self.done, self.failed, self.in_review
        )
    }
}

/// A promise that was broken.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) seed: u64,
    pub(crate) what: String,
    pub(crate) step: u32,
}

/// The simulated world.
pub(crate) struct Sim {
    pub(crate) dice: Dice,
    pub(crate) ids: Dice,
    pub(crate) now: Timestamp,
    pub(crate) book: Book,
    pub(crate) machine: Machine,
    pub(crate) engine: Engine,
    /// Which run of the engine.
    pub(crate) epoch: u64,
    /// The file that stands for the emergency stop.
    pub(crate) halt_mark: bool,
    /// Steps for which the disk stays full.
    pub(crate) full_for: u32,
    pub(crate) memory_free_percent: Option<u8>,
    /// Whether nothing goes wrong any more.
    pub(crate) calm: bool,
    pub(crate) requests: Vec<Request>,
    pub(crate) tally: Tally,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) step: u32,
    /// How much of the log was compared with the state.
    pub(crate) compared: usize,
    bad: Option<String>,
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        let mut sim = Self {
            dice: Dice::new(seed),
            ids: Dice::new(!seed),
            now: Timestamp::from_second(1_700_000_000).unwrap_or(Timestamp::UNIX_EPOCH),
            book: Book::default(),
            machine: Machine::default(),
            engine: Engine::default(),
            epoch: 0,
            halt_mark: false,
            full_for: 0,
            memory_free_percent: None,
            calm: false,
            requests: Vec::new(),
            tally: Tally { seeds: 1, ..Tally::default() },
            trace: None,
            step: 0,
            compared: 0,
            bad: None,
        };
        sim.start_engine();
        sim
    }

    /// Keeps the first promise that was broken.
    pub(crate) fn violate(&mut self, what: String) {
        self.note(|_| format!("BROKEN: {what}"));
        self.bad.get_or_insert(what);
    }

    /// Writes a line of the trace, where there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>4} {} {}", self.step, self.now, line(self));
            self.trace.get_or_insert_default().push(line);
        }
    }

    /// Runs to the end, or to the first promise that is broken.
    pub(crate) fn run(&mut self, steps: u32) -> Option<String> {
        while self.step < steps && self.bad.is_none() {
            self.step += 1;
            self.step_on();
            self.check_all();
        }
        if self.bad.is_none() {
            self.quieten();
        }
        self.count();
        self.bad.take()
    }

    fn step_on(&mut self) {
        self.full_for = self.full_for.saturating_sub(1);
        match self.dice.below(1000) {
            0..=519 => {
                if !self.step_floor() {
                    self.captain_asks();
                }
            }
            520..=639 => {
                self.machine.tick(false, self.now);
                self.note(|_| "programs go on".to_owned());
            }
            640..=849 => self.captain_asks(),
            850..=909 => self.schedule(),
            910..=969 => self.pass_time(),
            970..=977 => {
                self.full_for = 3 + u32::try_from(self.dice.below(15)).unwrap_or(0);
                self.note(|_| "the disk is full".to_owned());
            }
            978..=983 => self.halt(),
            984..=993 => self.crash(),
            994..=997 => {
                self.tally.reboots += 1;
                self.note(|_| "the machine restarts".to_owned());
                self.machine.reboot();
                self.crash();
            }
            _ => self.memory_free_percent = self.dice.one(&[None, Some(1), Some(60)]).flatten(),
        }
    }

    /// Everything is stopped: the processes first, and then it is told.
    fn halt(&mut self) {
        self.engine.thrown = true;
        self.machine.halt(self.now);
        self.halt_mark = true;
        self.note(|_| "the emergency stop is thrown".to_owned());
        self.tell(Input::Halt { note: None }, None, Actor::Captain);
    }

    /// The clock goes on: a little, far, or back.
    fn pass_time(&mut self) {
        let seconds = match self.dice.below(10) {
            0 => -i64::try_from(self.dice.below(120)).unwrap_or(0),
            1 => i64::try_from(self.dice.below(40 * 24 * 3600)).unwrap_or(0),
            _ => i64::try_from(self.dice.below(240)).unwrap_or(0),
        };
        self.now += SignedDuration::from_secs(seconds);
        self.note(|_| "the clock was moved".to_owned());
    }

    /// Nothing goes wrong any more: whatever can end must end.
    fn quieten(&mut self) {
        self.calm = true;
        self.full_for = 0;
        self.note(|_| "everything is quiet from here on".to_owned());
        self.captain_resumes_everything();
        for _ in 0..QUIET_ROUNDS {
            self.step += 1;
            let before = self.book.events.len();
            self.now += SignedDuration::from_secs(400);
            self.machine.tick(true, self.now);
            self.step_whole_floor();
            self.schedule();
            self.check_all();
            let idle = self.engine.slots.is_empty() && self.engine.freezes.is_empty();
            if self.bad.is_some() || idle && before == self.book.events.len() {
                break;
            }
        }
        if self.bad.is_none() {
            self.check_quiet();
        }
    }

    fn count(&mut self) {
        self.tally.steps = u64::from(self.step);
        self.tally.events = self.book.events.len() as u64;
        self.tally.missions = self.book.rows.missions.len() as u64;
        self.tally.attempts = self.book.rows.attempts.len() as u64;
        for row in self.book.rows.missions.values() {
            self.tally.done += u64::from(row.mission.state == MissionState::Done);
            self.tally.failed += u64::from(row.mission.state == MissionState::Failed);
            self.tally.in_review += u64::from(row.mission.state == MissionState::InReview);
        }
    }

    /// A number that stands for everything that happened.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for event in &self.book.events {
            for byte in format!("{event:?}").bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }
}

/// Runs one seed.
pub(crate) fn run(seed: u64, steps: u32) -> Result<Tally, Violation> {
    let mut sim = Sim::new(seed);
    match sim.run(steps) {
        None => Ok(sim.tally),
        Some(what) => Err(Violation { seed, what, step: sim.step }),
    }
}

/// Runs one seed again and tells what happened; all of it, or the end.
pub(crate) fn tell(seed: u64, steps: u32, all: bool) -> String {
    let mut sim = Sim::new(seed);
    sim.trace = Some(Vec::new());
    let broken = sim.run(steps);
    let lines = sim.trace.unwrap_or_default();
    let skipped = if all { 0 } else { lines.len().saturating_sub(SHOWN) };
    let mut text = format!("seed {seed}\n");
    for line in &lines[skipped..] {
        let _ = writeln!(text, "{line}");
    }
    let _ = match broken {
        Some(what) => write!(text, "broken: {what}\nagain: SEED={seed} make sim"),
        None => write!(text, "kept every promise: {}", sim.tally),
    };
    text
}
