//! The file a stream is kept in: its offsets never change, its beginning is given up when it grows
//! beyond its limit, and an index says when which part was written.
//!
//! Giving up punches a hole: the file keeps its size, and offsets written down anywhere stay right.
//! Where the file system has no holes nothing can be given up; what comes after the limit is then
//! not kept but counted.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use model::clock::{Clock, SystemClock};
use model::process::INDEX_RECORD_BYTES;
use rustix::fs::FallocateFlags;

/// Holes begin and end at multiples of this, in bytes.
const BLOCK_BYTES: u64 = 4096;
/// The smallest limit, in bytes.
const LIMIT_BYTES_MIN: u64 = 64 * 1024;
/// How much more than its limit a conversation may take where the file system has no holes.
const GROWTH_MAX: u64 = 16;
/// The least time between two records of the index.
const INDEX_TIME_MIN: Duration = Duration::from_millis(100);
/// After so many bytes a record is due, and after so much time.
const INDEX_BYTES: u64 = 64 * 1024;
const INDEX_TIME: Duration = Duration::from_secs(1);

/// A stream's file.
#[derive(Debug)]
pub struct Kept {
    file: File,
    index: Option<Index>,
    limit: u64,
    /// How much was read by the engine, where nothing unread may be given up.
    read: Option<u64>,
    written: u64,
    /// Everything before was given up.
    hole: u64,
    holes: bool,
    dropped: u64,
}

impl Kept {
    /// Opens or makes the file `name` of the run, for its owner only.
    ///
    /// With `conversation`, nothing is given up that [`Kept::read_up_to`] was not told of.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(
        run: &Path,
        name: &str,
        index: Option<&str>,
        limit: u64,
        conversation: bool,
    ) -> std::io::Result<Self> {
        let file = append(&run.join(name))?;
        let written = file.metadata()?.len();
        let index = index.map(|name| Index::open(&run.join(name))).transpose()?;
        Ok(Self {
            file,
            index,
            limit: limit.max(LIMIT_BYTES_MIN),
            read: conversation.then_some(0),
            written,
            hole: 0,
            holes: true,
            dropped: 0,
        })
    }

    /// How much was written so far, in bytes.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Whether nothing may be given up that was not read.
    #[must_use]
    pub const fn is_conversation(&self) -> bool {
        self.read.is_some()
    }

    /// How much was not kept, in bytes.
    #[must_use]
    pub const fn given_up(&self) -> u64 {
        self.hole + self.dropped
    }

    /// Whether more can be taken without giving up what was not read.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.read.is_none_or(|read| self.written.saturating_sub(read) < self.limit)
    }

    /// The engine has read up to here.
    pub fn read_up_to(&mut self, offset: u64) {
        if let Some(read) = &mut self.read {
            *read = offset.min(self.written).max(*read);
            self.give_up();
        }
    }

    /// Appends `bytes`; those that the disk cannot take remain in it.
    ///
    /// # Errors
    /// What the system said, when not everything was written.
    pub fn append(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let room = self.room();
        if (bytes.len() as u64) > room {
            let kept = usize::try_from(room).unwrap_or(usize::MAX);
            self.dropped += (bytes.len() - kept) as u64;
            bytes.truncate(kept);
        }
        if let Some(index) = self.index.as_mut().filter(|_| !bytes.is_empty()) {
            index.note(self.written);
        }
        let mut result = Ok(());
        let mut at = 0;
        while at < bytes.len() && result.is_ok() {
            match self.file.write(&bytes[at..]) {
                Ok(0) => result = Err(std::io::ErrorKind::WriteZero.into()),
                Ok(count) => at += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        self.written += at as u64;
        bytes.drain(..at);
        self.give_up();
        result
    }

    /// Counts what will never be written.
    pub const fn lose(&mut self, bytes: usize) {
        self.dropped += bytes as u64;
    }

    fn room(&self) -> u64 {
        match (self.holes, self.read) {
            (true, _) => u64::MAX,
            (false, None) => self.limit.saturating_sub(self.written),
            (false, Some(_)) => (self.limit * GROWTH_MAX).saturating_sub(self.written),
        }
    }

    /// Gives up the beginning when enough of it is more than the limit.
    fn give_up(&mut self) {
        let surplus = self.written.saturating_sub(self.limit);
        let to = surplus.min(self.read.unwrap_or(u64::MAX)) / BLOCK_BYTES * BLOCK_BYTES;
        // Rarely and much at a time: a hole costs as much as a write.
        if !self.holes || to < self.hole + self.limit / 16 {
            return;
        }
        match punch(&self.file, self.hole, to - self.hole) {
            Ok(()) => self.hole = to,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => self.holes = false,
        }
    }
}

#[cfg(target_os = "linux")]
fn punch(file: &File, from: u64, length: u64) -> rustix::io::Result<()> {
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(file, mode, from, length)
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: u64, _: u64) -> rustix::io::Result<()> {
    Err(rustix::io::Errno::NOTSUP)
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// When which part of a stream was written.
#[derive(Debug)]
struct Index {
    file: File,
    last: Option<(Instant, u64)>,
}

impl Index {
    fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: append(path)?, last: None })
    }

    /// Writes down that what stands at `offset` comes now, where that is not known well enough.
    fn note(&mut self, offset: u64) {
        let now = Instant::now();
        let due = self.last.is_none_or(|(at, from)| {
            let gone = now.duration_since(at);
            gone >= INDEX_TIME || gone >= INDEX_TIME_MIN && offset - from >= INDEX_BYTES
        });
        if !due {
            return;
        }
        let mut record = [0; INDEX_RECORD_BYTES];
        let millis = u64::try_from(SystemClock.now().as_millisecond()).unwrap_or(0);
        record[..8].copy_from_slice(&offset.to_le_bytes());
        record[8..].copy_from_slice(&millis.to_le_bytes());
        // Without a record the moment is known less well; the output is what matters.
        let _ = self.file.write(&record);
        self.last = Some((now, offset));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const LIMIT: u64 = 256 * 1024;

    fn kept(conversation: bool) -> (tempfile::TempDir, Kept) {
        let run = tempfile::tempdir().unwrap();
        let kept = Kept::open(run.path(), "out", Some("idx"), LIMIT, conversation).unwrap();
        (run, kept)
    }

    fn fill(kept: &mut Kept, bytes: u64) {
        for _ in 0..bytes / 4096 {
            kept.append(&mut vec![b'x'; 4096]).unwrap();
        }
    }

    #[test]
    fn the_beginning_is_given_up_and_offsets_stay() {
        let (run, mut kept) = kept(false);
        fill(&mut kept, 4 << 20);
        let found = run.path().join("out").metadata().unwrap();
        assert_eq!(found.len(), 4 << 20);
        assert!(found.blocks() * 512 <= LIMIT + LIMIT / 8, "{} blocks", found.blocks());
        assert!(kept.given_up() >= (4 << 20) - LIMIT - LIMIT / 8, "{}", kept.given_up());
    }

    #[test]
    fn where_there_are_no_holes_what_comes_after_the_limit_is_counted() {
        let (run, mut kept) = kept(false);
        kept.holes = false;
        fill(&mut kept, 4 << 20);
        assert_eq!(run.path().join("out").metadata().unwrap().len(), LIMIT);
        assert_eq!((kept.written(), kept.given_up()), (LIMIT, (4 << 20) - LIMIT));
    }

    #[test]
    fn nothing_unread_of_a_conversation_is_given_up() {
        let (_run, mut kept) = kept(true);
        fill(&mut kept, LIMIT);
        assert!(!kept.has_room());
        fill(&mut kept, LIMIT);
        assert_eq!(kept.given_up(), 0, "the end of a pipe may come after its limit");
        kept.read_up_to(LIMIT + 4096);
        assert!(kept.has_room());
        assert_eq!(kept.given_up(), LIMIT);
        kept.read_up_to(7);
        assert!(kept.has_room(), "what was read stays read");
    }

    #[test]
    fn the_index_says_when_without_a_record_for_every_line() {
        let (run, mut kept) = kept(false);
        for _ in 0..1000 {
            kept.append(&mut b"line\n".to_vec()).unwrap();
        }
        let index = std::fs::read(run.path().join("idx")).unwrap();
        assert_eq!(index.len() % INDEX_RECORD_BYTES, 0);
        assert!((1..=30).contains(&(index.len() / INDEX_RECORD_BYTES)), "{}", index.len());
        assert_eq!(index[..8], 0_u64.to_le_bytes());
        let millis = u64::from_le_bytes(index[8..16].try_into().unwrap());
        let now = u64::try_from(SystemClock.now().as_millisecond()).unwrap();
        assert!(now - millis < 60_000);
    }
}
