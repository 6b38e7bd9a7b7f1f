//! The process table, of the trees that are watched.
//!
//! On Linux it is read from `/proc` by hand, which costs a third of what sysinfo takes
//! (`cargo bench -p monitor`); elsewhere sysinfo reads it.

#[cfg(target_os = "linux")]
mod by_hand;
mod portable;

use crate::tree::{Row, Table};

/// Bytes and files of one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Details {
    /// Bytes it, and those of its children that have ended, had read from disks; nothing where that
    /// is not told.
    pub read_bytes: Option<u64>,
    /// Bytes likewise written to disks.
    pub written_bytes: Option<u64>,
    /// Files it holds open; nothing where that is not told.
    pub open_files: Option<u64>,
}

/// Reads the process table.
#[derive(Debug)]
pub struct Processes(Kind);

#[derive(Debug)]
enum Kind {
    #[cfg(target_os = "linux")]
    ByHand(by_hand::Reader),
    Portable(Box<portable::Reader>),
}

impl Processes {
    /// The cheapest way this system has.
    ///
    /// # Errors
    /// When the process table cannot be read.
    pub fn native() -> std::io::Result<Self> {
        #[cfg(target_os = "linux")]
        return by_hand::Reader::open(std::path::Path::new("/proc")).map(Kind::ByHand).map(Self);
        #[cfg(not(target_os = "linux"))]
        return Self::portable();
    }

    /// The way that works everywhere.
    ///
    /// # Errors
    /// When the process table cannot be read.
    pub fn portable() -> std::io::Result<Self> {
        let reader = portable::Reader::open().map_err(std::io::Error::other)?;
        Ok(Self(Kind::Portable(Box::new(reader))))
    }

    /// The trees under `roots` and, without what is below them, `singles`. Others may be there, too.
    ///
    /// # Errors
    /// When the table cannot be read; a process that has just gone is no error.
    pub fn scan(&mut self, roots: &[u32], singles: &[u32]) -> std::io::Result<Table> {
        match &mut self.0 {
            #[cfg(target_os = "linux")]
            Kind::ByHand(reader) => reader.scan(roots, singles),
            Kind::Portable(reader) => Ok(reader.scan(roots, singles)),
        }
    }

    /// The lines of these processes as they are now; those that are gone are left out.
    pub fn again(&mut self, pids: &[u32]) -> Vec<Row> {
        match &mut self.0 {
            #[cfg(target_os = "linux")]
            Kind::ByHand(reader) => reader.again(pids),
            Kind::Portable(reader) => reader.again(pids),
        }
    }

    /// What costs more to read of one process than its line.
    pub fn details(&mut self, pid: u32) -> Details {
        match &mut self.0 {
            #[cfg(target_os = "linux")]
            Kind::ByHand(reader) => reader.details(pid),
            Kind::Portable(reader) => reader.details(pid),
        }
    }
}
