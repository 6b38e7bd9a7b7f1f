//! Reads a growing file line by line, with the place of each line, in bounded memory.
//!
//! What a line is depends on the file and the offset alone: an engine that starts again at the
//! offset it remembers reads the same lines. A line longer than [`LINE_BYTES_MAX`] comes in pieces
//! that say so, and so does what begins in the middle of a line, or in a part that was given up.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::transcript::{TranscriptError, kept_from};

/// The longest line that is read whole, in bytes.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much is read at a time, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// How much memory is kept for the next line, in bytes.
const SPARE_BYTES: usize = 1024 * 1024;

/// A line, or a piece of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLine {
    /// Where it begins in the file.
    pub offset: u64,
    /// Where the next one begins.
    pub next_offset: u64,
    /// Its bytes without the line end; of a line that is too long the first [`LINE_BYTES_MAX`],
    /// and nothing for its other pieces.
    pub bytes: Vec<u8>,
    /// Whether this is not a whole line: it was too long, its beginning was given up, or reading
    /// began inside it.
    pub cut: bool,
}

/// Reads the lines of one file.
#[derive(Debug)]
pub struct LineReader {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    start: u64,
    /// Where in the buffer the next line begins.
    head: usize,
    /// Up to where in the buffer there is known to be no line end.
    scanned: usize,
    /// Whether the buffer begins inside a line.
    start_inside: bool,
    /// Whether the next line is the rest of one.
    inside: bool,
}

impl LineReader {
    /// Reads `path`, which need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let path = path.to_owned();
        Self {
            path,
            file: None,
            buffer: Vec::new(),
            start: 0,
            head: 0,
            scanned: 0,
            start_inside: false,
            inside: false,
        }
    }

    /// The line that begins at `from`; nothing as long as its end is not there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_line(&mut self, from: u64) -> Result<Option<RawLine>, TranscriptError> {
        self.next(from, false)
    }

    /// As [`LineReader::next_line`], of a file that no longer grows: what stands after the last line
    /// end is a line too.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_line(&mut self, from: u64) -> Result<Option<RawLine>, TranscriptError> {
        self.next(from, true)
    }

    fn next(&mut self, from: u64, ended: bool) -> Result<Option<RawLine>, TranscriptError> {
        let failed = |path: &Path, source| TranscriptError::Read { path: path.to_owned(), source };
        if !self.open().map_err(|source| failed(&self.path, source))? {
            return Ok(None);
        }
        self.go_to(from).map_err(|source| failed(&self.path, source))?;
        loop {
            let new = &self.buffer[self.scanned..];
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                let end = self.scanned + end;
                return Ok(Some(self.line(from, end, 1)));
            }
            self.scanned = self.buffer.len();
            if self.scanned - self.head >= LINE_BYTES_MAX {
                return Ok(Some(self.line(from, self.head + LINE_BYTES_MAX, 0)));
            }
            if !self.fill().map_err(|source| failed(&self.path, source))? {
                let end = self.buffer.len();
                let some = self.start + end as u64 > from;
                return Ok((ended && some).then(|| self.line(from, end, 0)));
            }
        }
    }

    fn line(&self, offset: u64, end: usize, line_end: usize) -> RawLine {
        let too_long = end - self.head >= LINE_BYTES_MAX && line_end == 0;
        let bytes = if self.inside { Vec::new() } else { self.buffer[self.head..end].to_vec() };
        let next_offset = self.start + (end + line_end) as u64;
        RawLine { offset, next_offset, bytes, cut: self.inside || too_long }
    }

    /// Closes the file where others need its descriptor more; the next line opens it again. What
    /// was read ahead stays.
    pub fn close(&mut self) {
        self.file = None;
    }

    fn open(&mut self) -> std::io::Result<bool> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.file.is_some())
    }

    /// Lets the buffer begin at `from`, or after it where that was given up.
    fn go_to(&mut self, from: u64) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let skip = from.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        match skip {
            Some(skip) if skip <= self.buffer.len() => {
                self.inside = match skip {
                    0 => self.start_inside,
                    _ => self.buffer[skip - 1] != b'\n',
                };
                self.scanned = if skip < self.head { skip } else { self.scanned.max(skip) };
                self.head = skip;
            }
            _ => {
                self.start = kept_from(file, from)?;
                self.buffer.clear();
                (self.head, self.scanned) = (0, 0);
                self.inside = self.start > 0 && !line_ends_before(file, self.start)?;
                self.start_inside = self.inside;
            }
        }
        Ok(())
    }

    /// Reads a piece more; says whether there was one.
    fn fill(&mut self) -> std::io::Result<bool> {
        loop {
            let at = self.start + self.buffer.len() as u64;
            let read = self.fill_from(at)?;
            // What was given up meanwhile, or before, was read as a hole: it is not text.
            let Some(file) = self.file.as_ref().filter(|_| read) else {
                return Ok(read);
            };
            let kept = kept_from(file, at)?;
            if kept <= at {
                return Ok(true);
            }
            self.skip_to(kept)?;
        }
    }

    /// Goes on where something is still there; what is between is part of a line that is cut.
    fn skip_to(&mut self, kept: u64) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        self.inside = !line_ends_before(file, kept)?;
        self.start_inside = self.inside;
        (self.start, self.head, self.scanned) = (kept, 0, 0);
        self.buffer.clear();
        Ok(())
    }

    fn fill_from(&mut self, at: u64) -> std::io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        if self.head > 0 {
            self.buffer.drain(..self.head);
            self.start += self.head as u64;
            self.scanned -= self.head;
            (self.head, self.start_inside) = (0, self.inside);
            if self.buffer.len() + READ_BYTES < SPARE_BYTES && self.buffer.capacity() > SPARE_BYTES
            {
                self.buffer.shrink_to(SPARE_BYTES);
            }
        }
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let read = file.read_at(&mut self.buffer[before..], at);
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Whether a line begins at `offset`.
fn line_ends_before(file: &File, offset: u64) -> std::io::Result<bool> {
    let mut byte = [0];
    Ok(file.read_at(&mut byte, offset - 1)? == 1 && byte[0] == b'\n')
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn all(path: &Path, mut from: u64) -> Vec<RawLine> {
        let mut reader = LineReader::new(path);
        let mut lines = Vec::new();
        while let Some(line) = reader.last_line(from).unwrap() {
            assert!(line.next_offset > from);
            assert_eq!(line.offset, from);
            from = line.next_offset;
            lines.push(line);
        }
        lines
    }

    #[test]
    fn a_line_is_told_when_its_end_is_there() {
        let mut file = file_of(b"one\ntw");
        let mut reader = LineReader::new(file.path());
        let one = reader.next_line(0).unwrap().unwrap();
        assert_eq!((one.bytes.as_slice(), one.next_offset, one.cut), (&b"one"[..], 4, false));
        assert_eq!(reader.next_line(4).unwrap(), None);
        assert_eq!(reader.next_line(0).unwrap(), Some(one), "again, as an engine may ask");
        std::fs::OpenOptions::new()
            .append(true)
            .open(file.path())
            .unwrap()
            .write_all(b"o\nthree")
            .unwrap();
        file.flush().unwrap();
        let two = reader.next_line(4).unwrap().unwrap();
        assert_eq!((two.bytes.as_slice(), two.next_offset), (&b"two"[..], 8));
        assert_eq!(reader.next_line(8).unwrap(), None);
        assert_eq!(reader.last_line(8).unwrap().unwrap().bytes, b"three");
        assert_eq!(LineReader::new(Path::new("/nowhere/x")).next_line(0).unwrap(), None);
    }

    #[test]
    fn a_line_of_eight_mebibytes_is_whole_and_one_of_forty_is_cut_and_says_so() {
        let mut bytes = vec![b'x'; 8 << 20];
        bytes.push(b'\n');
        bytes.extend(vec![b'y'; 40 << 20]);
        bytes.extend_from_slice(b"\nlast\n");
        let file = file_of(&bytes);
        let lines = all(file.path(), 0);
        let shape: Vec<_> = lines.iter().map(|line| (line.bytes.len(), line.cut)).collect();
        let most = LINE_BYTES_MAX;
        assert_eq!(shape, [(8 << 20, false), (most, true), (0, true), (0, true), (4, false)]);
        let inside = all(file.path(), lines[1].next_offset);
        assert_eq!(inside[..], lines[2..], "a reader that starts again in the middle knows it");
    }

    #[test]
    fn a_reader_that_was_closed_goes_on_where_it_was() {
        let file = file_of(b"one\ntwo\nthree\n");
        let mut reader = LineReader::new(file.path());
        assert_eq!(reader.next_line(0).unwrap().unwrap().bytes, b"one");
        reader.close();
        assert_eq!(reader.next_line(4).unwrap().unwrap().bytes, b"two");
        assert_eq!(reader.next_line(8).unwrap().unwrap().bytes, b"three");
        reader.close();
        assert_eq!(reader.next_line(14).unwrap(), None);
    }

    fn give_up(file: &tempfile::NamedTempFile, bytes: u64) {
        let handle = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
        let mode = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&handle, mode, 0, bytes).unwrap();
    }

    #[test]
    fn what_is_given_up_before_or_while_it_is_read_is_no_text() {
        let line = b"0123456789abcde\n";
        let file = file_of(&line.repeat(16 * 1024));
        let mut reader = LineReader::new(file.path());
        let first = reader.next_line(0).unwrap().unwrap();
        assert_eq!(first.bytes, line[..15]);
        // It has read a piece ahead; the next one is gone before it comes to it.
        give_up(&file, 192 * 1024);
        let readers = [(reader, first.next_offset), (LineReader::new(file.path()), 0)];
        for (mut reader, mut from) in readers {
            let mut cut = 0;
            while let Some(read) = reader.next_line(from).unwrap() {
                cut += usize::from(read.cut);
                assert!(read.cut && read.bytes.is_empty() || read.bytes == line[..15], "{read:?}");
                from = read.next_offset;
            }
            assert_eq!((from, cut), (256 * 1024, 1));
        }
    }

    #[test]
    fn what_was_given_up_is_one_cut_line() {
        let mut bytes = b"0123456789abcde\n".repeat(4096);
        bytes.extend_from_slice(b"tail\n");
        let file = file_of(&bytes);
        give_up(&file, 15 * 4096);
        let lines = all(file.path(), 32);
        assert!(lines[0].cut && lines[0].bytes.is_empty(), "{:?}", lines[0]);
        assert_eq!(lines.last().unwrap().bytes, b"tail");
        assert_eq!(lines.len(), 4096 / 16 + 1);
        assert!(lines[1..].iter().all(|line| !line.cut && !line.bytes.contains(&0)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn lines_join_to_the_file(parts in prop::collection::vec("[a-z\n]{0,9}", 0..40)) {
            let text = parts.concat();
            let file = file_of(text.as_bytes());
            let lines = all(file.path(), 0);
            let read: Vec<&[u8]> = lines.iter().map(|line| line.bytes.as_slice()).collect();
            let expect: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
            prop_assert_eq!(read, expect);
            prop_assert!(lines.iter().all(|line| !line.cut));
        }

        #[test]
        fn any_offset_can_be_asked_for(bytes: Vec<u8>, from in prop::collection::vec(0u64..300, 1..5)) {
            let file = file_of(&bytes);
            let mut reader = LineReader::new(file.path());
            for from in from {
                if let Some(line) = reader.next_line(from).unwrap() {
                    prop_assert!(line.next_offset > from);
                }
            }
        }
    }
}
