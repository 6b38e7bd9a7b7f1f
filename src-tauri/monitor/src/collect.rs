//! Measures everything once: one look at the process table for all agents.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::id::{AgentId, AttemptId};
use model::process::file;

use crate::identity::Boot;
use crate::machine::{Machine, MachineUsage};
use crate::processes::Processes;
use crate::roster::Watched;
use crate::snapshot::{AgentUsage, CloseUsage, EngineUsage, Snapshot};
use crate::totals::{AgentTotals, Growing, Totals, add};
use crate::tree::{CpuBefore, Row, Table, whole_ms};

/// Below this a difference of processor times (10 ms ticks) says too little.
const CPU_SPAN_MIN: Duration = Duration::from_millis(150);
/// From how much of a core on an attempt is said to compute, in percent.
const CPU_BUSY_PERCENT: f64 = 5.0;
/// Every so many measurements files and bytes of a process are read; agents take turns.
const DETAILS_EVERY: u64 = 5;
/// The most processes of one tree whose files and bytes are read; a larger tree's are not told.
const DETAILS_MAX: usize = 500;

/// What one measurement found, before it gets its time and number.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) machine: MachineUsage,
    pub(crate) engine: Option<EngineUsage>,
    pub(crate) agents: HashMap<AgentId, AgentUsage>,
    pub(crate) took: Duration,
}

impl Measured {
    pub(crate) fn into_snapshot(self, at: Timestamp, tick: u64, missed_ticks: u64) -> Snapshot {
        Snapshot {
            at,
            tick,
            missed_ticks,
            took: self.took,
            machine: self.machine,
            engine: self.engine,
            agents: self.agents,
            work: BTreeMap::new(),
        }
    }
}

/// A tree at an earlier look.
#[derive(Debug)]
struct Look {
    at: Instant,
    cpu: CpuBefore,
}

impl Look {
    /// Percent of one core that `rows`, a tree under the first of them, used since. Nothing where it
    /// is another tree, or too little time has passed to tell.
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds between two measurements are far below 2^53"
    )]
    fn percent(&self, rows: &[Row], now: Instant) -> Option<f64> {
        let span = now.saturating_duration_since(self.at);
        if span < CPU_SPAN_MIN || !rows.first().is_some_and(|root| self.cpu.had(root)) {
            return None;
        }
        Some(100.0 * self.cpu.used_ms(rows) as f64 / (span.as_secs_f64() * 1_000.0))
    }
}

/// What is remembered of an attempt from one measurement to the next.
#[derive(Debug)]
struct Followed {
    agent_id: AgentId,
    /// Whether it was there before these measurements began.
    taken_over: bool,
    before: Option<Look>,
    close: Option<Look>,
    /// Its processes that were alive, the root first.
    members: Vec<u32>,
    /// When its processes last computed.
    busy: Instant,
    /// Processor time of it that is in its agent's total, and what was before.
    cpu_seen_ms: u64,
    cpu: Growing,
    read: Growing,
    written: Growing,
    output: Growing,
}

/// Holds what must be kept from one measurement to the next.
#[derive(Debug)]
pub(crate) struct Collector {
    processes: Processes,
    machine: Machine,
    boot: Boot,
    own_pid: u32,
    own: Option<Look>,
    runs: PathBuf,
    followed: HashMap<AttemptId, Followed>,
    totals: Totals,
    looks: u64,
}

impl Collector {
    pub(crate) fn open(data_dir: &Path, runs: &Path, totals: Totals) -> std::io::Result<Self> {
        Ok(Self {
            processes: Processes::native()?,
            machine: Machine::open(data_dir),
            boot: Boot::read(),
            own_pid: std::process::id(),
            own: None,
            runs: runs.to_owned(),
            followed: HashMap::new(),
            totals,
            looks: 0,
        })
    }

    /// Measures everything once. `now` is when the scan begins.
    ///
    /// # Errors
    /// When the process table cannot be read.
    pub(crate) fn collect(
        &mut self,
        watched: &[Watched],
        now: Instant,
    ) -> std::io::Result<Measured> {
        let machine = self.machine.look();
        let roots: Vec<u32> = watched
            .iter()
            .filter(|it| self.boot.is_of(&it.process))
            .map(|it| it.process.shim.pid)
            .collect();
        let table = self.processes.scan(&roots, &[self.own_pid])?;
        let engine = self.engine(&table, now);
        let running: HashSet<AttemptId> = watched.iter().map(|it| it.attempt_id).collect();
        self.followed.retain(|id, _| running.contains(id));
        let mut agents = HashMap::with_capacity(watched.len());
        for watched in watched {
            if let Some(usage) = self.agent(watched, &table, now) {
                agents.insert(watched.agent_id, usage);
            }
        }
        self.looks += 1;
        Ok(Measured { machine, engine, agents, took: now.elapsed() })
    }

    fn engine(&mut self, table: &Table, now: Instant) -> Option<EngineUsage> {
        let row = [*table.row(self.own_pid)?];
        let cpu_percent = self.own.as_ref().and_then(|before| before.percent(&row, now));
        // Programs it has waited for are not itself.
        let row = Row { children_ms: 0, ..row[0] };
        self.own = Some(Look { at: now, cpu: CpuBefore::of(&[row]) });
        let detailed = self.looks.is_multiple_of(DETAILS_EVERY);
        Some(EngineUsage {
            cpu_percent,
            memory_bytes: row.memory_bytes,
            threads: (row.threads > 0).then_some(row.threads),
            open_files: detailed.then(|| self.processes.details(row.pid).open_files).flatten(),
        })
    }

    fn agent(&mut self, watched: &Watched, table: &Table, now: Instant) -> Option<AgentUsage> {
        let run = self.runs.join(watched.attempt_id.to_string());
        let alive = self.boot.root_alive(&watched.process, table);
        if !alive && run.join(file::EXIT).exists() {
            return None;
        }
        let rows = if alive { table.tree(watched.process.shim.pid) } else { Vec::new() };
        let (output_bytes, last_output_at) = output(&run);
        let first = self.looks == 0;
        let followed = self.followed.entry(watched.attempt_id).or_insert_with(|| Followed {
            agent_id: watched.agent_id,
            taken_over: first,
            before: None,
            close: None,
            members: Vec::new(),
            busy: now,
            cpu_seen_ms: 0,
            cpu: Growing::default(),
            read: Growing::default(),
            written: Growing::default(),
            output: Growing::default(),
        });
        let totals = self.totals.of(watched.agent_id);
        let cpu_percent = followed.tree(&rows, now, totals);
        let printed = followed.output.more(output_bytes, !followed.taken_over);
        totals.output_bytes = totals.output_bytes.saturating_add(printed);
        if cpu_percent.is_none_or(|percent| percent >= CPU_BUSY_PERCENT) {
            followed.busy = now;
        }
        let turn = u64::from(watched.attempt_id.as_uuid().as_bytes()[15]);
        let detailed = (self.looks + turn).is_multiple_of(DETAILS_EVERY);
        let living: Vec<&Row> = rows.iter().filter(|row| !row.ended).collect();
        let open_files = if detailed && (1..=DETAILS_MAX).contains(&living.len()) {
            followed.details(&mut self.processes, totals)
        } else {
            None
        };
        // The shim itself is not held with its tree.
        let program = living.get(1..).unwrap_or_default();
        let threads = living.iter().fold(0_u32, |sum, row| sum.saturating_add(row.threads));
        Some(AgentUsage {
            attempt_id: watched.attempt_id,
            cpu_percent,
            cpu_idle_s: alive.then(|| now.saturating_duration_since(followed.busy).as_secs()),
            held: !program.is_empty() && program.iter().all(|row| row.held),
            memory_bytes: living.iter().map(|row| row.memory_bytes).sum(),
            processes: u32::try_from(living.len()).unwrap_or(u32::MAX),
            threads: (threads > 0).then_some(threads),
            open_files,
            totals: *totals,
            alive,
            output_bytes,
            last_output_at,
        })
    }

    /// Looks once more at the agents on somebody's screen; only at processes that are known.
    pub(crate) fn close_up(
        &mut self,
        agents: &[AgentId],
        now: Instant,
    ) -> HashMap<AgentId, CloseUsage> {
        let mut found = HashMap::new();
        for followed in self.followed.values_mut() {
            if !agents.contains(&followed.agent_id) || followed.members.is_empty() {
                continue;
            }
            let rows = self.processes.again(&followed.members);
            if rows.first().is_none_or(|root| root.ended || root.pid != followed.members[0]) {
                continue;
            }
            let long_ago = |look: &&Look| now.saturating_duration_since(look.at) >= CPU_SPAN_MIN;
            let looks = [&followed.close, &followed.before].into_iter().flatten();
            let before = looks.filter(long_ago).max_by_key(|look| look.at);
            let cpu_percent = before.and_then(|before| before.percent(&rows, now));
            let living = rows.iter().filter(|row| !row.ended);
            let usage = CloseUsage {
                cpu_percent,
                memory_bytes: living.clone().map(|row| row.memory_bytes).sum(),
                processes: u32::try_from(living.count()).unwrap_or(u32::MAX),
            };
            found.insert(followed.agent_id, usage);
            followed.close = Some(Look { at: now, cpu: CpuBefore::of(&rows) });
        }
        found
    }

    /// An attempt has ended, having used this much processor time as its own record says: what it
    /// used after the last look is added.
    pub(crate) fn ended(&mut self, attempt: AttemptId, cpu_ms: u64) {
        if let Some(followed) = self.followed.get_mut(&attempt) {
            let totals = self.totals.of(followed.agent_id);
            let more = cpu_ms.saturating_sub(followed.cpu_seen_ms);
            totals.cpu_ms = totals.cpu_ms.saturating_add(more);
            followed.cpu_seen_ms = followed.cpu_seen_ms.max(cpu_ms);
        }
    }
}

impl Followed {
    /// Takes a look at its tree; gives its processor use since the one before.
    fn tree(&mut self, rows: &[Row], now: Instant, totals: &mut AgentTotals) -> Option<f64> {
        if rows.is_empty() {
            (self.before, self.close) = (None, None);
            self.members.clear();
            return None;
        }
        let whole = whole_ms(rows);
        let (percent, more) = match &self.before {
            Some(before) if before.cpu.had(&rows[0]) => {
                (before.percent(rows, now), before.cpu.used_ms(rows))
            }
            _ => (None, self.cpu.more(whole, !self.taken_over)),
        };
        totals.cpu_ms = totals.cpu_ms.saturating_add(more);
        self.cpu_seen_ms = self.cpu_seen_ms.saturating_add(more).max(whole);
        self.before = Some(Look { at: now, cpu: CpuBefore::of(rows) });
        self.members.clear();
        self.members.extend(rows.iter().filter(|row| !row.ended).map(|row| row.pid));
        percent
    }

    /// Adds what its processes moved to and from disks; gives how many files they hold open.
    fn details(&mut self, processes: &mut Processes, totals: &mut AgentTotals) -> Option<u64> {
        let (mut read, mut written, mut files) = (None, None, None);
        for pid in &self.members {
            let found = processes.details(*pid);
            add(&mut read, found.read_bytes);
            add(&mut written, found.written_bytes);
            add(&mut files, found.open_files);
        }
        let from_the_start = !self.taken_over;
        add(&mut totals.read_bytes, self.read.more_of(read, from_the_start));
        add(&mut totals.written_bytes, self.written.more_of(written, from_the_start));
        files
    }
}

/// How much the run has printed, and when it last did.
fn output(run: &Path) -> (u64, Option<Timestamp>) {
    let mut bytes = 0;
    let mut last = None;
    for name in [file::STDOUT, file::STDERR] {
        let Ok(meta) = std::fs::metadata(run.join(name)) else {
            continue;
        };
        if meta.len() > 0 {
            bytes += meta.len();
            let changed = meta.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
            last = last.max(changed);
        }
    }
    (bytes, last)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[path = "collect_tests.rs"]
mod tests;
