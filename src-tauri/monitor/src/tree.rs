//! Process trees by parent links, from one scan of the process table.

use std::collections::{HashMap, HashSet};

/// The most processes counted in one tree; a fork bomb must not stop the measuring.
pub(crate) const TREE_MAX: usize = 20_000;

/// One line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub pid: u32,
    /// The number of the process it belongs to.
    pub parent: Option<u32>,
    /// When it was started, in clock ticks since the boot on Linux and in seconds elsewhere; tells it
    /// from an earlier process of the same number.
    pub started: u64,
    /// Processor time so far, in milliseconds.
    pub cpu_ms: u64,
    /// Processor time of its children that have ended, in milliseconds; zero where that is not told.
    pub children_ms: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Its threads; zero where that is not told.
    pub threads: u32,
    /// Whether it is held where it is by a signal.
    pub held: bool,
    /// Whether it is dead and only waits to be collected.
    pub ended: bool,
}

/// The process table at one moment, as far as it was asked for.
#[derive(Debug, Default)]
pub struct Table {
    rows: HashMap<u32, Row>,
    children: HashMap<u32, Vec<u32>>,
}

impl Table {
    /// A table of these lines.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Row>) -> Self {
        let mut table = Self::default();
        for row in rows {
            if let Some(parent) = row.parent {
                table.children.entry(parent).or_default().push(row.pid);
            }
            table.rows.insert(row.pid, row);
        }
        table
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The line of a process that is alive.
    #[must_use]
    pub fn row(&self, pid: u32) -> Option<&Row> {
        self.rows.get(&pid).filter(|row| !row.ended)
    }

    /// The root and everything below it, at most 20,000, the dead included; nothing when the root is
    /// not there. Each process counts once, whatever the parent links say.
    #[must_use]
    pub fn tree(&self, root: u32) -> Vec<Row> {
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

/// What a tree had used at the last measurement, to tell what was used since.
#[derive(Debug, Default)]
pub(crate) struct CpuBefore {
    /// Of all its processes and their ended children.
    whole_ms: u64,
    own: Vec<((u32, u64), u64)>,
}

impl CpuBefore {
    /// Remembers these processes, the root of the tree first.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut own: Vec<_> = rows.iter().map(|row| ((row.pid, row.started), row.cpu_ms)).collect();
        own.sort_unstable();
        Self { whole_ms: whole_ms(rows), own }
    }

    /// Whether the process was there.
    pub(crate) fn had(&self, row: &Row) -> bool {
        self.find(row).is_some()
    }

    fn find(&self, row: &Row) -> Option<u64> {
        let key = (row.pid, row.started);
        let at = self.own.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(self.own[at].1)
    }

    /// Processor time these processes used since, in milliseconds.
    ///
    /// Where ended children are added to their parent, the whole tree tells it, those included that
    /// were born and died in between. Where a process left the tree, or its end was told to nobody,
    /// the tree as a whole knows less than before: then what is still there tells how much at least.
    pub(crate) fn used_ms(&self, rows: &[Row]) -> u64 {
        let each = rows.iter().map(|row| row.cpu_ms.saturating_sub(self.find(row).unwrap_or(0)));
        let least: u64 = each.sum();
        whole_ms(rows).saturating_sub(self.whole_ms).max(least)
    }
}

/// Processor time of a tree and of all that has ended in it, in milliseconds.
pub(crate) fn whole_ms(rows: &[Row]) -> u64 {
    rows.iter().map(|row| row.cpu_ms.saturating_add(row.children_ms)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: u32, parent: u32, cpu_ms: u64) -> Row {
        Row {
            pid,
            parent: Some(parent),
            started: 100,
            cpu_ms,
            children_ms: 0,
            memory_bytes: 10,
            threads: 1,
            held: false,
            ended: false,
        }
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
    fn a_dead_process_is_not_alive_and_its_time_still_counts() {
        let dead = Row { ended: true, ..row(2, 1, 40) };
        let table = Table::new([row(1, 0, 10), dead]);
        assert!(table.row(1).is_some() && table.row(2).is_none());
        assert_eq!(whole_ms(&table.tree(1)), 50);
    }

    #[test]
    fn processor_time_counts_from_the_last_look_and_from_birth() {
        let before = CpuBefore::of(&[row(1, 0, 500), row(2, 1, 100)]);
        assert_eq!(before.used_ms(&[row(1, 0, 700), row(2, 1, 100)]), 200);
        let reused = Row { started: 200, ..row(2, 1, 30) };
        assert!(before.had(&row(2, 1, 0)) && !before.had(&reused));
        assert_eq!(before.used_ms(&[row(1, 0, 500), reused]), 30);
        // The child has left without being added to anybody.
        assert_eq!(before.used_ms(&[row(1, 0, 510), row(3, 1, 40)]), 50);
        assert_eq!(before.used_ms(&[row(1, 0, 400)]), 0);
    }

    #[test]
    fn what_was_born_and_died_between_two_looks_is_counted_through_its_parent() {
        let before = CpuBefore::of(&[row(1, 0, 500), row(2, 1, 100)]);
        // The child used 20 more and another one 300 in its whole life; both were collected.
        let after = Row { children_ms: 420, ..row(1, 0, 510) };
        assert_eq!(before.used_ms(&[after]), 330);
        // The child is dead and not collected yet: nothing counts twice.
        let dead = Row { ended: true, ..row(2, 1, 120) };
        assert_eq!(before.used_ms(&[row(1, 0, 510), dead]), 30);
    }
}
