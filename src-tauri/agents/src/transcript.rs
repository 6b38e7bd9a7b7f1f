//! Reads what a program printed: a bounded piece at a time, whatever the bytes are.
//!
//! A piece is a pure function of the file's bytes and the offset, so pieces of any size, read by
//! anybody in any order, join to the same text. Invalid UTF-8 shows as U+FFFD; a line longer than
//! [`LINE_BYTES_MAX`] is cut with a visible [`CUT_MARKER`]. The file itself stays as it was printed,
//! but its beginning may have been given up: it is a hole then, offsets stay what they are, and
//! what is asked for before [`Chunk::kept_from`] begins there.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The longest part of a line that is shown, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Stands where the rest of a line was left out.
pub const CUT_MARKER: &str = "…[cut: this line is longer than 65536 bytes]…";
/// The smallest piece, in bytes: a character must fit.
pub const PIECE_BYTES_MIN: usize = 16;

/// A piece of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where the piece begins, in bytes of the file; later than asked for where that was given up.
    pub offset: u64,
    /// Everything before this offset was given up.
    pub kept_from: u64,
    /// Where the next piece begins. At the end of a growing file this may stand up to three bytes
    /// before `size`, when the last character is not complete yet.
    pub next_offset: u64,
    /// The file's size, in bytes.
    pub size: u64,
    /// The text; empty where the piece lies wholly in the left-out part of a line.
    pub text: String,
}

/// What keeps a transcript from being read.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// The file cannot be read.
    #[error("read the transcript '{}'", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl TranscriptError {
    /// Whether there was no descriptor to read with: trying again helps.
    #[must_use]
    pub fn is_want(&self) -> bool {
        let Self::Read { source, .. } = self;
        crate::is_want(source)
    }
}

/// Whether bytes may still follow the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Growing,
    Final,
}

/// Reads at most `max_bytes` (and at least [`PIECE_BYTES_MIN`]) from `offset` of a file that may be
/// growing. A file that is not there yet is empty.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path, offset: u64, max_bytes: usize) -> Result<Chunk, TranscriptError> {
    read_as(path, offset, max_bytes, End::Growing)
}

/// Reads as [`read`] does, from a file that has stopped growing: an incomplete last character is
/// shown as U+FFFD instead of being waited for.
///
/// # Errors
/// When the file cannot be read.
pub fn read_ended(path: &Path, offset: u64, max_bytes: usize) -> Result<Chunk, TranscriptError> {
    read_as(path, offset, max_bytes, End::Final)
}

fn read_as(path: &Path, offset: u64, max_bytes: usize, end: End) -> Result<Chunk, TranscriptError> {
    let failed = |source| TranscriptError::Read { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(nothing(0, 0)),
        Err(error) => return Err(failed(error)),
    };
    let max_bytes = max_bytes.max(PIECE_BYTES_MIN);
    loop {
        let kept = kept_from(&file, 0).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let offset = offset.max(kept);
        if offset >= size {
            return Ok(nothing(size, kept));
        }
        let column = column(&mut file, kept, offset).map_err(failed)?;
        let bytes = read_at(&mut file, offset, max_bytes).map_err(failed)?;
        // What was given up while it was read is not text but the hole.
        if kept_from(&file, 0).map_err(failed)? > offset {
            continue;
        }
        let reaches_end = offset + bytes.len() as u64 >= size;
        let end = if reaches_end { end } else { End::Growing };
        let (text, used) = show(&bytes, column, end);
        let next_offset = offset + used as u64;
        return Ok(Chunk { offset, kept_from: kept, next_offset, size, text });
    }
}

const fn nothing(size: u64, kept_from: u64) -> Chunk {
    Chunk { offset: size, kept_from, next_offset: size, size, text: String::new() }
}

/// Where what is still there begins, not before `from`: the end of the file where nothing is.
pub(crate) fn kept_from(file: &File, from: u64) -> std::io::Result<u64> {
    let size = file.metadata()?.len();
    if from >= size {
        return Ok(size);
    }
    match seek_data(file, from) {
        Ok(found) => Ok(found),
        Err(rustix::io::Errno::NXIO) => Ok(size),
        // A file system that knows nothing of holes has none.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOTSUP) => Ok(from),
        Err(error) => Err(error.into()),
    }
}

#[cfg(target_os = "linux")]
fn seek_data(file: &File, from: u64) -> rustix::io::Result<u64> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from))
}

#[cfg(not(target_os = "linux"))]
fn seek_data(_: &File, from: u64) -> rustix::io::Result<u64> {
    Ok(from)
}

/// Where to begin in order to read about the last `bytes` of the file: at the start of a line where
/// one begins there, else at least not inside a character. 0 for a file that is not there.
#[must_use]
pub fn tail_offset(path: &Path, bytes: u64) -> u64 {
    let Ok(mut file) = File::open(path) else {
        return 0;
    };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let kept = kept_from(&file, 0).unwrap_or(0);
    let from = size.saturating_sub(bytes);
    if from <= kept {
        return kept;
    }
    // One byte earlier: where a line ends there, the tail begins exactly at a line.
    let Ok(head) = read_at(&mut file, from - 1, LINE_BYTES_MAX) else {
        return from;
    };
    if let Some(line_end) = head.iter().position(|byte| *byte == b'\n') {
        let start = from + line_end as u64;
        if start < size {
            return start;
        }
    }
    let inside =
        head.iter().skip(1).take(3).take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count();
    from + inside as u64
}

/// How many bytes of its line stand before `offset`, as far as they were kept; more than
/// [`LINE_BYTES_MAX`] are not counted.
fn column(file: &mut File, kept: u64, offset: u64) -> std::io::Result<usize> {
    let back = (offset - kept).min(LINE_BYTES_MAX as u64 + 1);
    let length = usize::try_from(back).unwrap_or(LINE_BYTES_MAX + 1);
    let before = read_at(file, offset - back, length)?;
    Ok(match before.iter().rposition(|byte| *byte == b'\n') {
        Some(line_end) => before.len() - line_end - 1,
        None => before.len(),
    })
}

fn read_at(file: &mut File, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Turns bytes that begin at `column` of a line into text, and says how many of them it used.
fn show(bytes: &[u8], mut column: usize, end: End) -> (String, usize) {
    let mut text = String::new();
    let mut used = 0;
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, ended) = match piece.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (piece, false),
        };
        let room = LINE_BYTES_MAX.saturating_sub(column);
        if line.len() > room {
            if column <= LINE_BYTES_MAX {
                let shown = &line[..room];
                push_lossy(&mut text, &shown[..complete(shown)]);
                text.push_str(CUT_MARKER);
            }
            used += line.len();
        } else {
            let known = if ended || end == End::Final { line.len() } else { complete(line) };
            push_lossy(&mut text, &line[..known]);
            used += known;
        }
        if ended {
            text.push('\n');
            used += 1;
            column = 0;
        }
    }
    (text, used)
}

fn push_lossy(text: &mut String, bytes: &[u8]) {
    text.push_str(&String::from_utf8_lossy(bytes));
}

/// The length without a last character of which only the beginning is there.
fn complete(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    for start in (from..bytes.len()).rev() {
        let byte = bytes[start];
        if byte & 0b1100_0000 == 0b1000_0000 {
            continue;
        }
        let unfinished = match std::str::from_utf8(&bytes[start..]) {
            Ok(_) => false,
            Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
        };
        return if unfinished { start } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn in_pieces(path: &Path, max_bytes: usize) -> String {
        let mut text = String::new();
        let mut offset = 0;
        loop {
            let chunk = read_ended(path, offset, max_bytes).unwrap();
            text.push_str(&chunk.text);
            if chunk.next_offset == chunk.size {
                return text;
            }
            assert!(chunk.next_offset > offset, "no progress at {offset}");
            offset = chunk.next_offset;
        }
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_empty() {
        let chunk = read(Path::new("/nowhere/stdout.log"), 7, 100).unwrap();
        assert_eq!((chunk.next_offset, chunk.size), (0, 0));
        assert_eq!(tail_offset(Path::new("/nowhere/stdout.log"), 100), 0);
    }

    #[test]
    fn invalid_bytes_are_visible_and_lose_nothing_around_them() {
        let file = file_of(b"a\xff\xfeb\n\xe2\x82c\n");
        assert_eq!(read(file.path(), 0, 100).unwrap().text, "a\u{fffd}\u{fffd}b\n\u{fffd}c\n");
    }

    #[test]
    fn a_character_still_being_written_is_waited_for_and_shown_when_none_comes() {
        let file = file_of(b"price: \xe2\x82");
        let chunk = read(file.path(), 0, 100).unwrap();
        assert_eq!((chunk.text.as_str(), chunk.next_offset), ("price: ", 7));
        assert_eq!(
            read_ended(file.path(), 7, 100).unwrap().text,
            "\u{fffd}",
            "the program has ended"
        );
        std::fs::write(file.path(), "price: €\n").unwrap();
        assert_eq!(read(file.path(), 7, 100).unwrap().text, "€\n");
    }

    #[test]
    fn a_line_of_eight_megabytes_is_cut_visibly_and_the_next_line_is_whole() {
        let mut bytes = vec![b'x'; 8 << 20];
        bytes.extend_from_slice(b"\nnext\n");
        let file = file_of(&bytes);
        let whole = read(file.path(), 0, bytes.len()).unwrap();
        let expect = format!("{}{CUT_MARKER}\nnext\n", "x".repeat(LINE_BYTES_MAX));
        assert!(whole.text == expect, "{} bytes", whole.text.len());
        assert!(in_pieces(file.path(), 100_000) == expect);
    }

    #[test]
    fn what_was_given_up_is_left_out_and_offsets_stay() {
        let file = file_of(&b"0123456789abcde\n".repeat(1024));
        let handle = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
        let mode = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&handle, mode, 0, 8192).unwrap();
        let chunk = read(file.path(), 5, 32).unwrap();
        assert_eq!((chunk.offset, chunk.kept_from, chunk.next_offset), (8192, 8192, 8224));
        assert_eq!(chunk.text, "0123456789abcde\n".repeat(2));
        let later = read(file.path(), 16_384 - 16, 32).unwrap();
        assert_eq!((later.kept_from, later.text.as_str()), (8192, "0123456789abcde\n"));
        assert_eq!(tail_offset(file.path(), 1 << 20), 8192);
        rustix::fs::fallocate(&handle, mode, 0, 16_384).unwrap();
        let nothing = read(file.path(), 5, 32).unwrap();
        assert_eq!(
            (nothing.next_offset, nothing.kept_from, nothing.size),
            (16_384, 16_384, 16_384)
        );
    }

    #[test]
    fn a_piece_is_never_larger_than_asked_for() {
        let file = file_of(&b"line\n".repeat(100_000));
        let chunk = read(file.path(), 3, 1000).unwrap();
        assert_eq!((chunk.text.len(), chunk.next_offset), (1000, 1003));
    }

    #[test]
    fn the_tail_begins_at_a_line_or_at_least_at_a_character() {
        let check = |bytes: &[u8], tail: u64, expect: u64| {
            let file = file_of(bytes);
            assert_eq!(tail_offset(file.path(), tail), expect, "{bytes:?} {tail}");
        };
        check(b"one\ntwo\nthree\n", 100, 0);
        check(b"one\ntwo\nthree\n", 6, 8);
        check(b"one\ntwo\nthree\n", 8, 8);
        check("ääää".as_bytes(), 3, 6);
        check(b"", 10, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pieces_of_any_size_join_to_the_text_of_the_whole(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-zä€𝄞\n]{0,40}".prop_map(String::into_bytes),
                    prop::collection::vec(any::<u8>(), 0..20),
                    (LINE_BYTES_MAX - 5..LINE_BYTES_MAX + 5).prop_map(|n| vec![b'y'; n]),
                    Just(b"\n".to_vec()),
                ],
                0..8,
            ),
            size in prop_oneof![Just(0usize), 1usize..200, 60_000usize..70_000],
        ) {
            let bytes = parts.concat();
            let file = file_of(&bytes);
            let size = if bytes.len() > 20_000 { size.max(5_000) } else { size };
            let whole = read_ended(file.path(), 0, bytes.len()).unwrap().text;
            prop_assert!(in_pieces(file.path(), size) == whole);
            if bytes.len() < LINE_BYTES_MAX {
                prop_assert_eq!(whole, String::from_utf8_lossy(&bytes));
            }
        }

        #[test]
        fn any_offset_can_be_read_without_a_panic(
            bytes: Vec<u8>, offset: u64, size: usize, tail: u64,
        ) {
            let file = file_of(&bytes);
            let chunk = read(file.path(), offset % 300, size % 4096).unwrap();
            prop_assert!(chunk.next_offset <= chunk.size);
            prop_assert!(tail_offset(file.path(), tail % 300) <= chunk.size);
        }
    }
}
