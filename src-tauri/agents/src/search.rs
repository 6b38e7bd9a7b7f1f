//! Finds a text in what a program printed, and when something was printed.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::process::INDEX_RECORD_BYTES;
use regex::bytes::RegexBuilder;

use crate::ansi;
use crate::transcript::{TranscriptError, kept_from};

/// The longest text that is looked for, in bytes.
pub const NEEDLE_BYTES_MAX: usize = 1024;
/// How many places are told at most.
pub const HITS_MAX: usize = 1000;
/// How long a search may take.
const SEARCH_TIME: Duration = Duration::from_secs(2);
/// How much is looked through at a time, in bytes.
const PIECE_BYTES: usize = 1024 * 1024;
/// How much of its line is shown before and after a hit, in bytes.
const SHOWN_BYTES: usize = 160;
/// The most memory one search may take beside its piece, in bytes.
const PATTERN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A place where the text was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where it begins, in bytes of the file.
    pub offset: u64,
    /// Its line, or the part of it around the hit, without control sequences.
    pub line: String,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// The places, in their order.
    pub hits: Vec<Hit>,
    /// Where a next search goes on.
    pub next_offset: u64,
    /// Whether everything was looked through; otherwise there was more than fits an answer, or it
    /// would have taken too long.
    pub complete: bool,
}

/// Finds `needle` from `from` on: as it stands there, large and small letters alike. At most `limit`
/// places (and [`HITS_MAX`]), in two seconds and a few megabytes of memory however large the file is.
///
/// What a program coloured in the middle of the needle is not found.
///
/// # Errors
/// When the file cannot be read.
pub fn search(
    path: &Path,
    needle: &str,
    from: u64,
    limit: usize,
) -> Result<Searched, TranscriptError> {
    search_within(path, needle, from, limit, SEARCH_TIME)
}

fn search_within(
    path: &Path,
    needle: &str,
    from: u64,
    limit: usize,
    time: Duration,
) -> Result<Searched, TranscriptError> {
    let failed = |source| TranscriptError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Searched { complete: true, ..Searched::default() });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut found =
        Searched { next_offset: kept_from(&file, from).map_err(failed)?, ..Searched::default() };
    let cut = needle.floor_char_boundary(NEEDLE_BYTES_MAX);
    let pattern = RegexBuilder::new(&regex::escape(&needle[..cut]))
        .case_insensitive(true)
        .size_limit(PATTERN_BYTES_MAX)
        .build();
    let (Ok(pattern), false) = (pattern, needle.is_empty()) else {
        return Ok(Searched { complete: true, ..found });
    };
    let limit = limit.min(HITS_MAX);
    let begun = Instant::now();
    let mut piece = vec![0; PIECE_BYTES];
    // Letters of another case may be longer; no needle is longer than the overlap.
    let overlap = needle.len().min(NEEDLE_BYTES_MAX) * 3;
    while begun.elapsed() < time {
        let at = found.next_offset;
        let length = read_full(&file, &mut piece, at).map_err(failed)?;
        let last = length < piece.len();
        let seen = &piece[..length];
        let fresh = if last { length } else { length - overlap };
        let mut next = fresh;
        for hit in pattern.find_iter(seen).take_while(|hit| hit.start() < fresh) {
            if found.hits.len() == limit {
                found.next_offset = at + hit.start() as u64;
                return Ok(found);
            }
            let line = shown(seen, hit.start(), hit.end());
            found.hits.push(Hit { offset: at + hit.start() as u64, line });
            next = next.max(hit.end());
        }
        found.next_offset = at + next as u64;
        if last {
            found.complete = true;
            return Ok(found);
        }
    }
    Ok(found)
}

fn read_full(file: &File, piece: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match file.read_at(&mut piece[length..], at + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The line around a hit, as far as it is shown.
fn shown(bytes: &[u8], start: usize, end: usize) -> String {
    let from = start.saturating_sub(SHOWN_BYTES);
    let begin = bytes[from..start].iter().rposition(|byte| *byte == b'\n');
    let begin = begin.map_or(from, |line_end| from + line_end + 1);
    let to = bytes.len().min(end + SHOWN_BYTES);
    let stop = bytes[end..to].iter().position(|byte| *byte == b'\n');
    let stop = stop.map_or(to, |line_end| end + line_end);
    let line = ansi::plain(&String::from_utf8_lossy(&bytes[begin..stop]));
    line.trim_matches(['\r', '\u{fffd}']).to_owned()
}

/// When what stands at `offset` of a stream was printed, as its index (`stdout.idx`, `stderr.idx`)
/// says: to a second, or better while much is printed. Nothing before the first record, and where
/// there is no index.
///
/// # Errors
/// When the index cannot be read.
pub fn time_of(index: &Path, offset: u64) -> Result<Option<Timestamp>, TranscriptError> {
    let failed = |source| TranscriptError::Read { path: index.to_owned(), source };
    let file = match File::open(index) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let count = file.metadata().map_err(failed)?.len() / INDEX_RECORD_BYTES as u64;
    // The last record at or before the offset, by halves.
    let (mut low, mut high, mut found) = (0, count, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let (begins, millis) = record(&file, middle).map_err(failed)?;
        if begins <= offset {
            found = Some(millis);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let millis = found.and_then(|millis| i64::try_from(millis).ok());
    Ok(millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()))
}

fn record(index: &File, number: u64) -> std::io::Result<(u64, u64)> {
    let mut bytes = [0; INDEX_RECORD_BYTES];
    index.read_exact_at(&mut bytes, number * INDEX_RECORD_BYTES as u64)?;
    let (offset, millis) = bytes.split_at(8);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    Ok((number(offset), number(millis)))
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

    #[test]
    fn what_was_printed_is_found_with_its_line_and_without_its_colours() {
        let file = file_of(b"first\n\x1b[31mError:\x1b[0m no such FILE here\r\nlast");
        let found = search(file.path(), "no such file", 0, 10).unwrap();
        assert_eq!(found.hits, [Hit { offset: 22, line: "Error: no such FILE here".to_owned() }]);
        assert!(found.complete);
        assert_eq!(search(file.path(), "no such file", 23, 10).unwrap().hits, []);
        assert_eq!(search(file.path(), "", 0, 10).unwrap().hits, []);
        assert!(search(Path::new("/nowhere/x"), "a", 0, 10).unwrap().complete);
    }

    #[test]
    fn a_search_that_is_cut_short_goes_on_where_it_was() {
        let file = file_of(&b"needle in a line\n".repeat(1000));
        let first = search(file.path(), "needle", 0, 3).unwrap();
        assert_eq!(first.hits.iter().map(|hit| hit.offset).collect::<Vec<_>>(), [0, 17, 34]);
        assert!(!first.complete);
        let next = search(file.path(), "needle", first.next_offset, 2).unwrap();
        assert_eq!(next.hits[0].offset, 51);
        let none = search_within(file.path(), "needle", 7, 3, Duration::ZERO).unwrap();
        assert_eq!((none.hits.len(), none.next_offset, none.complete), (0, 7, false));
    }

    #[test]
    fn the_moment_is_that_of_the_last_record_before() {
        let mut index = Vec::new();
        for (offset, millis) in [(0_u64, 1_000_u64), (100, 2_000), (250, 3_000)] {
            index.extend(offset.to_le_bytes());
            index.extend(millis.to_le_bytes());
        }
        // The beginning of a record that is being written.
        index.extend([1, 2, 3]);
        let file = file_of(&index);
        let at = |offset| time_of(file.path(), offset).unwrap().map(|time| time.as_millisecond());
        assert_eq!(
            [at(0), at(99), at(100), at(249), at(9999)].map(Option::unwrap),
            [1_000, 1_000, 2_000, 2_000, 3_000]
        );
        assert_eq!(time_of(Path::new("/nowhere/x.idx"), 3).unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_needle_is_found_over_the_border_of_two_pieces(
            at in PIECE_BYTES - 40..PIECE_BYTES + 40, needle in "[a-zé]{1,12}",
        ) {
            let mut bytes = vec![b'.'; PIECE_BYTES * 2];
            bytes[at..at + needle.len()].copy_from_slice(needle.as_bytes());
            let file = file_of(&bytes);
            let found = search(file.path(), &needle, 0, 10).unwrap();
            prop_assert!(found.complete);
            let offsets: Vec<u64> = found.hits.iter().map(|hit| hit.offset).collect();
            prop_assert_eq!(offsets, [at as u64]);
        }

        #[test]
        fn any_bytes_can_be_searched(bytes: Vec<u8>, needle: String, from: u64) {
            let file = file_of(&bytes);
            let found = search(file.path(), &needle, from % 300, 5).unwrap();
            prop_assert!(found.hits.len() <= 5);
        }
    }
}
