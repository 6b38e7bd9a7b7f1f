//! Reads the operating system's figures, one scan of the process table for all agents.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::id::{AgentId, AttemptId};
use model::process::file;
use sysinfo::{
    CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, Networks, Pid, Process,
    ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System,
};

use crate::identity::Boot;
use crate::roster::Watched;
use crate::snapshot::{AgentUsage, EngineUsage, MachineUsage, Snapshot};
use crate::tree::{CpuBefore, Row, Table};

/// Below this a difference of processor times (10 ms ticks) says too little.
const CPU_SPAN_MIN: Duration = Duration::from_millis(150);

/// From how much of a core on an attempt is said to compute, in percent.
const CPU_BUSY_PERCENT: f64 = 5.0;

/// What one measurement found, before it gets its time and number.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) machine: MachineUsage,
    pub(crate) engine: Option<EngineUsage>,
    pub(crate) agents: HashMap<AgentId, AgentUsage>,
}

impl Measured {
    pub(crate) fn into_snapshot(self, at: Timestamp, tick: u64, missed_ticks: u64) -> Snapshot {
        Snapshot {
            at,
            tick,
            missed_ticks,
            machine: self.machine,
            engine: self.engine,
            agents: self.agents,
            work: BTreeMap::new(),
        }
    }
}

/// The processor times of the measurement before.
#[derive(Debug)]
struct Before {
    at: Instant,
    cpu: CpuBefore,
    roots: Vec<(u32, u64)>,
}

impl Before {
    /// Percent of one core that `rows`, a tree under the first of them, used since.
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds between two measurements are far below 2^53"
    )]
    fn percent(&self, rows: &[Row], now: Instant) -> Option<f64> {
        let root = rows.first()?;
        let span = now.saturating_duration_since(self.at);
        if span < CPU_SPAN_MIN || !self.roots.contains(&(root.pid, root.started_s)) {
            return None;
        }
        Some(100.0 * self.cpu.used_ms(rows) as f64 / (span.as_secs_f64() * 1_000.0))
    }
}

/// Holds what must be kept from one measurement to the next.
#[derive(Debug)]
pub(crate) struct Collector {
    system: System,
    disks: Disks,
    networks: Networks,
    boot: Boot,
    own_pid: u32,
    data_dir: PathBuf,
    runs: PathBuf,
    cpu_known: bool,
    before: Option<Before>,
    /// When the processes of an attempt last computed.
    busy: HashMap<AttemptId, Instant>,
}

impl Collector {
    pub(crate) fn open(data_dir: &Path, runs: &Path) -> Result<Self, sysinfo::Error> {
        Ok(Self {
            system: System::new()?,
            disks: Disks::new()?,
            networks: Networks::new()?,
            boot: Boot::read(),
            own_pid: std::process::id(),
            data_dir: data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned()),
            runs: runs.to_owned(),
            cpu_known: false,
            before: None,
            busy: HashMap::new(),
        })
    }

    /// Measures everything once. `now` is when the scan begins.
    pub(crate) fn collect(&mut self, watched: &[Watched], now: Instant) -> Measured {
        let machine = self.machine();
        let table = self.scan(!watched.is_empty());
        let mut next = Before { at: now, cpu: CpuBefore::default(), roots: Vec::new() };
        let mut usage_of = |rows: &[Row]| {
            let percent = self.before.as_ref().and_then(|before| before.percent(rows, now));
            next.cpu.remember(rows);
            next.roots.extend(rows.first().map(|root| (root.pid, root.started_s)));
            percent
        };
        let engine = table.row(self.own_pid).map(|row| EngineUsage {
            cpu_percent: usage_of(&[*row]),
            memory_bytes: row.memory_bytes,
        });
        let mut agents = HashMap::with_capacity(watched.len());
        let mut busy = std::mem::take(&mut self.busy);
        busy.retain(|id, _| watched.iter().any(|watched| watched.attempt_id == *id));
        for watched in watched {
            let run = self.runs.join(watched.attempt_id.to_string());
            let alive = self.boot.root_alive(&watched.process, &table);
            if !alive && run.join(file::EXIT).exists() {
                continue;
            }
            let rows = if alive { table.tree(watched.process.shim.pid) } else { Vec::new() };
            let (output_bytes, last_output_at) = output(&run);
            let cpu_percent = usage_of(&rows);
            let busy = busy.entry(watched.attempt_id).or_insert(now);
            if cpu_percent.is_none_or(|percent| percent >= CPU_BUSY_PERCENT) {
                *busy = now;
            }
            // The shim itself is not held with its tree.
            let program = rows.get(1..).unwrap_or_default();
            let usage = AgentUsage {
                attempt_id: watched.attempt_id,
                cpu_percent,
                cpu_idle_s: alive.then(|| now.saturating_duration_since(*busy).as_secs()),
                held: !program.is_empty() && program.iter().all(|row| row.held),
                memory_bytes: rows.iter().map(|row| row.memory_bytes).sum(),
                processes: u32::try_from(rows.len()).unwrap_or(u32::MAX),
                alive,
                output_bytes,
                last_output_at,
            };
            agents.insert(watched.agent_id, usage);
        }
        self.before = Some(next);
        self.busy = busy;
        Measured { machine, engine, agents }
    }

    /// The process table, or only the engine's own line of it when nothing else is asked for.
    fn scan(&mut self, whole: bool) -> Table {
        let own = [Pid::from_u32(self.own_pid)];
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        if whole {
            self.system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
            Table::new(self.system.processes().values().filter_map(row))
        } else {
            self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&own), true, kind);
            Table::new(self.system.process(own[0]).and_then(row))
        }
    }

    fn machine(&mut self) -> MachineUsage {
        self.system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        let cpu_percent = self.cpu_known.then(|| f64::from(self.system.global_cpu_usage()));
        self.cpu_known = true;
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        self.disks.refresh_specifics(true, disk_figures());
        self.networks.refresh(true);
        let (disk_read_bytes, disk_written_bytes) = disk_totals(&self.disks);
        let (network_received_bytes, network_sent_bytes) = network_totals(&self.networks);
        MachineUsage {
            cpu_percent,
            memory_used_bytes: self.system.used_memory(),
            memory_total_bytes: self.system.total_memory(),
            disk_free_bytes: disk_free(&self.disks, &self.data_dir),
            disk_read_bytes,
            disk_written_bytes,
            network_received_bytes,
            network_sent_bytes,
        }
    }
}

/// A line of the table; a process that is dead and only waits to be collected is none.
fn row(process: &Process) -> Option<Row> {
    if matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead) {
        return None;
    }
    Some(Row {
        pid: process.pid().as_u32(),
        parent: process.parent().map(Pid::as_u32),
        started_s: process.start_time(),
        cpu_ms: process.accumulated_cpu_time(),
        memory_bytes: process.memory(),
        held: process.status() == ProcessStatus::Stop,
    })
}

/// What is asked of every disk; on Unix the space is asked of the data directory itself.
fn disk_figures() -> DiskRefreshKind {
    let figures = DiskRefreshKind::nothing().with_io_usage();
    if cfg!(unix) { figures } else { figures.with_storage() }
}

/// Space that this user may fill in the file system that holds the data directory.
///
/// The table of disks lists only some file systems, so that the directory itself is asked.
#[cfg(unix)]
fn disk_free(_: &Disks, data_dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(data_dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Space on the disk mounted closest above the data directory.
#[cfg(not(unix))]
fn disk_free(disks: &Disks, data_dir: &Path) -> Option<u64> {
    disks
        .iter()
        .filter(|disk| data_dir.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().components().count())
        .map(sysinfo::Disk::available_space)
}

/// Bytes read and written; a disk mounted at several places counts once.
fn disk_totals(disks: &Disks) -> (Option<u64>, Option<u64>) {
    let by_name: HashMap<_, _> = disks.iter().map(|disk| (disk.name(), disk.usage())).collect();
    if by_name.is_empty() {
        return (None, None);
    }
    let read = by_name.values().map(|usage| usage.total_read_bytes).sum();
    let written = by_name.values().map(|usage| usage.total_written_bytes).sum();
    (Some(read), Some(written))
}

/// Bytes received and sent on everything but loopback.
fn network_totals(networks: &Networks) -> (Option<u64>, Option<u64>) {
    let outside: Vec<_> = networks
        .iter()
        .filter(|(name, _)| *name != "lo" && *name != "lo0")
        .map(|(_, data)| data)
        .collect();
    if outside.is_empty() {
        return (None, None);
    }
    let received = outside.iter().map(|data| data.total_received()).sum();
    let sent = outside.iter().map(|data| data.total_transmitted()).sum();
    (Some(received), Some(sent))
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
