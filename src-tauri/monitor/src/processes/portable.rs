//! The process table as sysinfo reads it.

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

use super::Details;
use crate::tree::{Row, Table};

/// Reads through sysinfo.
#[derive(Debug)]
pub(super) struct Reader(System);

impl Reader {
    pub(super) fn open() -> Result<Self, sysinfo::Error> {
        Ok(Self(System::new()?))
    }

    /// The whole table: which processes belong to a tree is known only then. Without a tree to look
    /// for, the single ones are enough.
    pub(super) fn scan(&mut self, roots: &[u32], singles: &[u32]) -> Table {
        if roots.is_empty() {
            return Table::new(self.again(singles));
        }
        self.0.refresh_processes_specifics(ProcessesToUpdate::All, true, figures());
        Table::new(self.0.processes().values().map(row))
    }

    pub(super) fn again(&mut self, pids: &[u32]) -> Vec<Row> {
        let pids: Vec<_> = pids.iter().copied().map(Pid::from_u32).collect();
        self.0.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, figures());
        pids.iter().filter_map(|pid| self.0.process(*pid)).map(row).collect()
    }

    pub(super) fn details(&mut self, pid: u32) -> Details {
        let pid = Pid::from_u32(pid);
        let asked = ProcessRefreshKind::nothing().with_disk_usage().without_tasks();
        self.0.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, asked);
        let Some(process) = self.0.process(pid) else {
            return Details::default();
        };
        let disk = process.disk_usage();
        Details {
            read_bytes: Some(disk.total_read_bytes),
            written_bytes: Some(disk.total_written_bytes),
            open_files: process.open_files().and_then(|count| u64::try_from(count).ok()),
        }
    }
}

fn figures() -> ProcessRefreshKind {
    ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks()
}

fn row(process: &Process) -> Row {
    let ended = matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead);
    Row {
        pid: process.pid().as_u32(),
        parent: process.parent().map(Pid::as_u32),
        started: process.start_time(),
        cpu_ms: process.accumulated_cpu_time(),
        children_ms: 0,
        memory_bytes: if ended { 0 } else { process.memory() },
        threads: 0,
        held: process.status() == ProcessStatus::Stop,
        ended,
    }
}
