//! Process trees by parent links, from one scan of the process table.

use std::collections::{HashMap, HashSet};

/// The most processes counted in one tree; a fork bomb must not stop the measuring.
pub(crate) const TREE_MAX: usize = 20_000;

/// One line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pid: u32,
    pub(crate) parent: Option<u32>,
    /// When it was started, in seconds; tells it from an earlier process of the same number.
    pub(crate) started_s: u64,
    /// Processor time so far, in milliseconds.
    pub(crate) cpu_ms: u64,
    /// Resident memory, in bytes.
    pub(crate) memory_bytes: u64,
    /// Whether it is held where it is by a signal.
    pub(crate) held: bool,
}

/// The process table at one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: HashMap<u32, Row>,
    children: HashMap<u32, Vec<u32>>,
}

impl Table {
    pub(crate) fn new(rows: impl IntoIterator<Item = Row>) -> Self {
        let mut table = Self::default();
        for row in rows {
            if let Some(parent) = row.parent {
                table.children.entry(parent).or_default().push(row.pid);
            }
            table.rows.insert(row.pid, row);
        }
        table
    }

    pub(crate) fn row(&self, pid: u32) -> Option<&Row> {
        self.rows.get(&pid)
    }

    /// The root and everything below it, at most [`TREE_MAX`]; nothing when the root is not there.
    /// Each process counts once, whatever the parent links say.
    pub(crate) fn tree(&self, root: u32) -> Vec<Row> {
        let mut found = Vec::new();
        let mut seen = HashSet::from([root]);
        let mut next = vec![root];
        while let Some(pid) = next.pop() {
            let Some(row) = self.rows.get(&pid) else {
                continue;
            };
            found.push(*row);
            if found.len() == TREE_MAX {
                break;
            }
            let children = self.children.get(&pid).map_or(&[][..], Vec::as_slice);
            next.extend(children.iter().filter(|child| seen.insert(**child)));
        }
        found
    }
}

/// The processor time of processes at the last measurement, to tell what was used since.
#[derive(Debug, Default)]
pub(crate) struct CpuBefore(HashMap<(u32, u64), u64>);

impl CpuBefore {
    /// Remembers these processes.
    pub(crate) fn remember(&mut self, rows: &[Row]) {
        self.0.extend(rows.iter().map(|row| ((row.pid, row.started_s), row.cpu_ms)));
    }

    /// Processor time these processes used since, in milliseconds. One that was not there before
    /// was born since, so all its time counts; what a process used that was born and died in
    /// between is not seen.
    pub(crate) fn used_ms(&self, rows: &[Row]) -> u64 {
        rows.iter()
            .map(|row| {
                let before = self.0.get(&(row.pid, row.started_s)).copied().unwrap_or(0);
                row.cpu_ms.saturating_sub(before)
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: u32, parent: u32, cpu_ms: u64) -> Row {
        Row { pid, parent: Some(parent), started_s: 100, cpu_ms, memory_bytes: 10, held: false }
    }

    #[test]
    fn a_tree_is_its_root_and_what_descends_from_it() {
        let check = |links: &[(u32, u32)], root: u32, expect: &[u32]| {
            let table = Table::new(links.iter().map(|(pid, parent)| row(*pid, *parent, 0)));
            let mut pids: Vec<_> = table.tree(root).iter().map(|row| row.pid).collect();
            pids.sort_unstable();
            assert_eq!(pids, expect, "{links:?}");
        };
        check(&[(1, 0), (10, 1), (11, 10), (12, 11), (20, 1)], 10, &[10, 11, 12]);
        check(&[(1, 0), (10, 1)], 10, &[10]);
        check(&[(1, 0)], 10, &[]);
        // The root is gone: what is left of its tree is not this attempt's any more.
        check(&[(1, 0), (11, 10)], 10, &[]);
        // Links that no operating system should report.
        check(&[(10, 10)], 10, &[10]);
        check(&[(10, 12), (11, 10), (12, 11)], 10, &[10, 11, 12]);
    }

    #[test]
    fn a_fork_bomb_is_counted_up_to_the_limit() {
        let table = Table::new((1..=30_000).map(|pid| row(pid, pid - 1, 0)));
        assert_eq!(table.tree(1).len(), TREE_MAX);
    }

    #[test]
    fn processor_time_counts_from_the_last_look_and_from_birth() {
        let mut before = CpuBefore::default();
        before.remember(&[row(1, 0, 500), row(2, 1, 100)]);
        assert_eq!(before.used_ms(&[row(1, 0, 700), row(2, 1, 100)]), 200);
        assert_eq!(before.used_ms(&[row(1, 0, 500), row(3, 1, 40)]), 40);
        let reused = Row { started_s: 200, ..row(2, 1, 30) };
        assert_eq!(before.used_ms(&[reused]), 30);
        assert_eq!(before.used_ms(&[row(1, 0, 400)]), 0);
    }
}
