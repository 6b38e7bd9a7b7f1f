//! The process table from `/proc`, read by hand.
//!
//! The table is listed at every scan, but only what belongs to a watched tree is read anew. Of every
//! other process its parent is remembered, which changes only when that parent ends; such a process is
//! then looked at again. A number that is given to another process between two scans is noticed at the
//! next scan of everything.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, openat};

use super::Details;
use crate::tree::{Row, TREE_MAX, Table};

/// Every so many scans everything is looked at.
const WHOLE_EVERY: u64 = 60;
/// The most lines that are read in one scan; the rest comes with the next one.
const READS_MAX: usize = 2 * TREE_MAX;
/// The longest line of a process that is read; the kernel writes about 300 bytes.
const LINE_BYTES: usize = 1_024;
/// The most entries of a process's directory of open files that are counted.
const FILES_MAX: u64 = 65_536;
/// Room for the names that one system call lists.
const LISTING_BYTES: usize = 32 * 1_024;

/// What is remembered of a process.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Nothing as long as it was not read.
    parent: Option<u32>,
    /// The line that was read last, where it belongs to a watched tree.
    row: Option<Row>,
    listed: u64,
    read: u64,
    judged: u64,
    member: bool,
}

/// Reads `/proc`.
#[derive(Debug)]
pub(super) struct Reader {
    proc: OwnedFd,
    page_bytes: u64,
    tick_ms: u64,
    listing: Vec<u8>,
    path: String,
    known: HashMap<u32, Known>,
    scans: u64,
}

impl Reader {
    pub(super) fn open(proc: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            proc: rustix::fs::open(proc, flags, Mode::empty())?,
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4_096),
            tick_ms: 1_000 / rustix::param::clock_ticks_per_second().max(1),
            listing: Vec::with_capacity(LISTING_BYTES),
            path: String::new(),
            known: HashMap::new(),
            scans: 0,
        })
    }

    pub(super) fn scan(&mut self, roots: &[u32], singles: &[u32]) -> io::Result<Table> {
        if roots.is_empty() {
            self.known.clear();
            return Ok(Table::new(self.again(singles)));
        }
        self.scans += 1;
        let now = self.scans;
        self.list()?;
        self.known.retain(|_, known| known.listed == now);
        let whole = now % WHOLE_EVERY == 1;
        let is_there = |pid: u32| pid == 0 || self.known.contains_key(&pid);
        let again =
            |known: &Known| whole || known.row.is_some() || !known.parent.is_some_and(is_there);
        let stale = self.known.iter().filter(|(_, known)| again(known));
        let stale: Vec<u32> = stale.map(|(pid, _)| *pid).take(READS_MAX).collect();
        for pid in stale {
            self.refresh(pid);
        }
        self.judge(&roots.iter().copied().collect());
        let unread = |(_, known): &(&u32, &Known)| known.member && known.read != now;
        let unread: Vec<u32> = self.known.iter().filter(unread).map(|(pid, _)| *pid).collect();
        for pid in unread.into_iter().take(READS_MAX) {
            self.refresh(pid);
        }
        for known in self.known.values_mut().filter(|known| !known.member) {
            known.row = None;
        }
        let mut rows: Vec<Row> = self.known.values().filter_map(|known| known.row).collect();
        rows.extend(self.again(singles));
        Ok(Table::new(rows))
    }

    pub(super) fn again(&mut self, pids: &[u32]) -> Vec<Row> {
        pids.iter().filter_map(|pid| self.read(*pid)).collect()
    }

    /// Notes which processes there are.
    fn list(&mut self) -> io::Result<()> {
        rustix::fs::seek(&self.proc, SeekFrom::Start(0))?;
        self.listing.clear();
        let mut entries = RawDir::new(&self.proc, self.listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if let Some(pid) = number(name).and_then(|pid| u32::try_from(pid).ok()) {
                self.known.entry(pid).or_default().listed = self.scans;
            }
        }
        Ok(())
    }

    fn refresh(&mut self, pid: u32) {
        let (row, now) = (self.read(pid), self.scans);
        match row {
            None => drop(self.known.remove(&pid)),
            Some(row) => {
                let known = self.known.entry(pid).or_default();
                *known = Known {
                    parent: Some(row.parent.unwrap_or(0)),
                    row: Some(row),
                    read: now,
                    ..*known
                };
            }
        }
    }

    /// Finds out what belongs to a tree, by the links upwards.
    fn judge(&mut self, roots: &HashSet<u32>) {
        let (now, most) = (self.scans, self.known.len());
        let mut way = Vec::new();
        for pid in self.known.keys().copied().collect::<Vec<_>>() {
            way.clear();
            let mut at = pid;
            let member = loop {
                let Some(known) = self.known.get(&at) else {
                    break false;
                };
                if known.judged == now {
                    break known.member;
                }
                way.push(at);
                if roots.contains(&at) {
                    break true;
                }
                match known.parent {
                    Some(parent) if way.len() <= most => at = parent,
                    _ => break false,
                }
            };
            for at in &way {
                if let Some(known) = self.known.get_mut(at) {
                    (known.judged, known.member) = (now, member);
                }
            }
        }
    }

    fn read(&mut self, pid: u32) -> Option<Row> {
        let mut line = [0_u8; LINE_BYTES];
        let length = self.file(pid, "stat", &mut line)?;
        let mut row = parse(&line[..length], self.tick_ms)?;
        row.pid = pid;
        row.memory_bytes = row.memory_bytes.saturating_mul(self.page_bytes);
        Some(row)
    }

    pub(super) fn details(&mut self, pid: u32) -> Details {
        let mut text = [0_u8; LINE_BYTES];
        let length = self.file(pid, "io", &mut text).unwrap_or(0);
        let (read_bytes, written_bytes) = traffic(&text[..length]);
        Details { read_bytes, written_bytes, open_files: self.open_files(pid) }
    }

    /// The beginning of a file about a process; nothing where the process is gone, or keeps it to
    /// itself.
    fn file(&mut self, pid: u32, name: &str, into: &mut [u8]) -> Option<usize> {
        self.path.clear();
        write!(self.path, "{pid}/{name}").ok()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.proc, self.path.as_str(), flags, Mode::empty()).ok()?;
        rustix::io::read(&file, into).ok()
    }

    /// Since Linux 6.2 the directory's size tells how many there are; before, they are counted.
    fn open_files(&mut self, pid: u32) -> Option<u64> {
        self.path.clear();
        write!(self.path, "{pid}/fd").ok()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(&self.proc, self.path.as_str(), flags, Mode::empty()).ok()?;
        let told = u64::try_from(rustix::fs::fstat(&folder).ok()?.st_size).ok()?;
        if told > 0 {
            return Some(told);
        }
        self.listing.clear();
        let mut entries = RawDir::new(&folder, self.listing.spare_capacity_mut());
        let mut count = 0;
        while let Some(entry) = entries.next() {
            if number(entry.ok()?.file_name().to_bytes()).is_some() {
                count += 1;
            }
            if count > FILES_MAX {
                return None;
            }
        }
        Some(count)
    }
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// A line of `/proc/<pid>/stat` (proc_pid_stat(5)); memory is still in pages. The name in the second
/// field may hold anything, closing parentheses as well.
fn parse(line: &[u8], tick_ms: u64) -> Option<Row> {
    let name_end = line.iter().rposition(|byte| *byte == b')')?;
    let mut fields = line.get(name_end + 2..)?.split(|byte| *byte == b' ');
    // Field 3; `nth` below counts from the one after the last that was taken.
    let state = fields.next()?.first()?;
    let parent = u32::try_from(number(fields.next()?)?).ok()?;
    let own = number(fields.nth(9)?)?.checked_add(number(fields.next()?)?)?;
    // Signed, although nothing subtracts from them.
    let of_children = number(fields.next()?)?.checked_add(number(fields.next()?)?)?;
    let threads = number(fields.nth(2)?)?;
    let started = number(fields.nth(1)?)?;
    let pages = number(fields.nth(1)?)?;
    Some(Row {
        pid: 0,
        parent: (parent > 0).then_some(parent),
        started,
        cpu_ms: own.saturating_mul(tick_ms),
        children_ms: of_children.saturating_mul(tick_ms),
        memory_bytes: pages,
        threads: u32::try_from(threads).unwrap_or(u32::MAX),
        held: *state == b'T',
        ended: matches!(state, b'Z' | b'X' | b'x'),
    })
}

/// Bytes read from and written to disks, in the text of `/proc/<pid>/io`.
fn traffic(text: &[u8]) -> (Option<u64>, Option<u64>) {
    let of = |name: &[u8]| {
        let mut lines = text.split(|byte| *byte == b'\n');
        lines.find_map(|line| number(line.strip_prefix(name)?))
    };
    (of(b"read_bytes: "), of(b"write_bytes: "))
}

#[cfg(test)]
#[path = "by_hand_tests.rs"]
mod tests;
