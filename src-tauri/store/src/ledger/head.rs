//! `ledger.head`: how many events there must be and the hash of the last, kept outside of the
//! database so that a lost end of its log is noticed.
//!
//! Two lines of constant width are written in turn, each with a checksum: a torn write spoils one
//! of them and leaves the other.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::chain::{Hash, Tail, hex, unhex};

const WORD: &str = "hivekeeper-head-1";
/// Bytes of one line: word, 20 digits, 64 digits, 16 digits, three blanks, the line's end.
const LINE_BYTES: usize = WORD.len() + 20 + 64 + 16 + 4;

/// What a head file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// There is no file, or nothing in it.
    Missing,
    /// Neither line can be read.
    Unreadable,
    /// The log ends at least here.
    At(Tail),
}

/// Reads a head file.
pub(crate) fn read(path: &Path) -> io::Result<Head> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(4 * LINE_BYTES as u64).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Head::Missing),
        Err(error) => return Err(error),
    };
    // A power cut right after the file was made leaves it empty: nothing was stated yet.
    if bytes.is_empty() {
        return Ok(Head::Missing);
    }
    let newest = bytes.chunks(LINE_BYTES).filter_map(parse).max_by_key(|tail| tail.seq);
    Ok(newest.map_or(Head::Unreadable, Head::At))
}

fn line(tail: &Tail) -> String {
    let front = format!("{WORD} {:020} {}", tail.seq, hex(&tail.hash));
    format!("{front} {}\n", checksum(&front))
}

fn parse(chunk: &[u8]) -> Option<Tail> {
    let text = std::str::from_utf8(chunk).ok()?.strip_suffix('\n')?;
    let (front, sum) = text.rsplit_once(' ')?;
    let mut words = front.split(' ');
    let (word, seq, hash) = (words.next()?, words.next()?, words.next()?);
    let sound = word == WORD && words.next().is_none() && checksum(front) == sum;
    if !sound {
        return None;
    }
    let hash: Hash = unhex(hash)?;
    let seq = seq.parse().ok()?;
    Some(Tail { seq, hash })
}

fn checksum(front: &str) -> String {
    let hash: Hash = Sha256::digest(front.as_bytes()).into();
    hex(&hash)[..16].to_owned()
}

/// The open head file; the writer owns it.
#[derive(Debug)]
pub(crate) struct HeadFile {
    file: File,
    second: bool,
}

impl HeadFile {
    /// Opens the file, making it where it is missing, and states `tail` in both lines.
    pub(crate) fn open(path: &Path, tail: &Tail) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut head = Self { file: options.open(path)?, second: false };
        // The line that holds the older statement goes first, so that one is sound at any moment.
        let mut bytes = Vec::new();
        (&head.file).take(LINE_BYTES as u64).read_to_end(&mut bytes)?;
        head.second = parse(&bytes).is_some();
        head.write(tail)?;
        head.sync()?;
        head.write(tail)?;
        head.sync()?;
        Ok(head)
    }

    /// States a new end in the line that is not the newest. Survives the end of this process.
    pub(crate) fn write(&mut self, tail: &Tail) -> io::Result<()> {
        let place = if self.second { LINE_BYTES as u64 } else { 0 };
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(line(tail).as_bytes())?;
        self.second = !self.second;
        Ok(())
    }

    /// Makes what was stated survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(seq: u64) -> Tail {
        let hash = Sha256::digest(seq.to_be_bytes()).into();
        Tail { seq, hash }
    }

    #[test]
    fn the_newest_statement_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.head");
        assert_eq!(read(&path).unwrap(), Head::Missing);
        let mut head = HeadFile::open(&path, &tail(0)).unwrap();
        for seq in 1..=5 {
            head.write(&tail(seq)).unwrap();
            assert_eq!(read(&path).unwrap(), Head::At(tail(seq)));
        }
        drop(head);
        HeadFile::open(&path, &tail(5)).unwrap();
        assert_eq!(read(&path).unwrap(), Head::At(tail(5)));
    }

    #[test]
    fn a_torn_write_leaves_the_statement_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.head");
        let mut head = HeadFile::open(&path, &tail(7)).unwrap();
        head.write(&tail(8)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 2 * LINE_BYTES);
        let newest =
            whole.chunks(LINE_BYTES).position(|chunk| parse(chunk) == Some(tail(8))).unwrap();
        for at in 0..LINE_BYTES {
            let mut torn = whole.clone();
            torn[newest * LINE_BYTES + at] ^= 0x10;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(read(&path).unwrap(), Head::At(tail(7)), "byte {at}");
        }
        std::fs::write(&path, b"nothing of ours").unwrap();
        assert_eq!(read(&path).unwrap(), Head::Unreadable);
    }
}
