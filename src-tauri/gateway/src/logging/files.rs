//! The files of the log: one is written, a new one is begun when it is full or a day is over, and the
//! oldest are removed before all of them together exceed what was set, or when they are too old.
//!
//! A file keeps its name, so that a place in the log stays a place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use model::clock::SharedClock;

/// How the names of the log's files begin.
const PREFIX: &str = "hivekeeper.";
/// How they end.
const SUFFIX: &str = ".log";
/// The most files that are looked at.
const FILES_MAX: usize = 10_000;

/// How much of the log is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// The largest file, in bytes.
    pub(super) file_bytes: u64,
    /// The most of all files together, in bytes.
    pub(super) total_bytes: u64,
    /// How long a file is kept, in days.
    pub(super) days: i64,
}

impl Default for Keep {
    /// 64 MiB in files of 8 MiB, for two weeks.
    fn default() -> Self {
        Self { file_bytes: 8 * 1024 * 1024, total_bytes: 64 * 1024 * 1024, days: 14 }
    }
}

/// What is written to.
pub(super) struct Files {
    directory: PathBuf,
    keep: Keep,
    clock: SharedClock,
    file: File,
    name: Name,
    bytes: u64,
}

/// The name of a file: its day, and which one of that day it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    day: Date,
    n: u32,
}

impl Name {
    fn text(self) -> String {
        format!("{PREFIX}{}.{:04}{SUFFIX}", self.day, self.n)
    }

    /// Reads a name; one of an older version has a day alone.
    fn read(text: &str) -> Option<Self> {
        let inner = text.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        match inner.split_once('.') {
            Some((day, n)) => Some(Self { day: day.parse().ok()?, n: n.parse().ok()? }),
            None => Some(Self { day: inner.parse().ok()?, n: 0 }),
        }
    }
}

/// The files of a log, the oldest first, with their sizes.
pub(super) fn list(directory: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)?.take(FILES_MAX) {
        let entry = entry?;
        let text = entry.file_name().to_string_lossy().into_owned();
        if let Some(name) = Name::read(&text)
            && entry.file_type()?.is_file()
        {
            // One that is removed meanwhile has no size.
            let bytes = entry.metadata().map_or(0, |data| data.len());
            found.push((name, text, bytes));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, text, bytes)| (text, bytes)).collect())
}

impl Files {
    /// Goes on with the newest file, if it is of today and not full.
    pub(super) fn open(directory: &Path, keep: Keep, clock: SharedClock) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let today = today(&clock);
        let newest = list(directory)?.pop().and_then(|(text, _)| Name::read(&text));
        let name = match newest {
            // A clock that was set back does not make the newest lines the oldest.
            Some(name) if name.day >= today => name,
            _ => Name { day: today, n: 1 },
        };
        let (file, bytes) = append(directory, name)?;
        let mut files = Self { directory: directory.to_owned(), keep, clock, file, name, bytes };
        files.tidy();
        Ok(files)
    }

    /// Begins a new file where this line does not fit into the one that is written, or is of another day.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let today = today(&self.clock).max(self.name.day);
        let full = self.bytes > 0 && self.bytes + bytes > self.keep.file_bytes;
        if !full && today == self.name.day {
            return Ok(());
        }
        let n = if today == self.name.day { self.name.n + 1 } else { 1 };
        let name = Name { day: today, n };
        (self.file, self.bytes) = append(&self.directory, name)?;
        self.name = name;
        self.tidy();
        Ok(())
    }

    /// Removes the oldest files, so that there is room for the one that is written to become full.
    fn tidy(&mut self) {
        let own = self.name.text();
        // What cannot be listed or removed now can be at the next turn.
        let Ok(mut others) = list(&self.directory) else {
            return;
        };
        others.retain(|(text, _)| *text != own);
        let room = self.keep.total_bytes.saturating_sub(self.keep.file_bytes.max(self.bytes));
        let mut total: u64 = others.iter().map(|(_, bytes)| bytes).sum();
        let oldest = self.name.day.checked_sub(jiff::Span::new().days(self.keep.days)).ok();
        for (text, bytes) in others {
            let old = Name::read(&text).zip(oldest).is_some_and(|(name, oldest)| name.day < oldest);
            if total <= room && !old {
                break;
            }
            if fs::remove_file(self.directory.join(&text)).is_ok() {
                total -= bytes;
            }
        }
    }
}

impl Write for Files {
    /// Takes a whole line at a time, which is never torn in two.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let bytes = line.len() as u64;
        self.make_room(bytes)?;
        self.file.write_all(line)?;
        self.bytes += bytes;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn today(clock: &SharedClock) -> Date {
    clock.now().to_zoned(TimeZone::UTC).date()
}

fn append(directory: &Path, name: Name) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(directory.join(name.text()))?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use jiff::{SignedDuration, Timestamp};
    use model::clock::Clock;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    struct Hand(Mutex<Timestamp>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    fn clock() -> Arc<Hand> {
        Arc::new(Hand(Mutex::new("2026-01-31T09:30:00Z".parse().unwrap())))
    }

    fn total(directory: &Path) -> u64 {
        list(directory).unwrap().iter().map(|(_, bytes)| bytes).sum()
    }

    const SMALL: Keep = Keep { file_bytes: 100, total_bytes: 350, days: 3 };

    #[test]
    fn the_log_never_takes_more_than_was_set_and_the_newest_lines_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(dir.path(), SMALL, clock()).unwrap();
        for n in 0..200 {
            files.write_all(format!("line number {n:04}\n").as_bytes()).unwrap();
            assert!(total(dir.path()) <= SMALL.total_bytes, "after line {n}");
        }
        let names = list(dir.path()).unwrap();
        assert!(names.len() > 1 && names[0].0 < names[1].0, "{names:?}");
        let last = fs::read_to_string(dir.path().join(&names.last().unwrap().0)).unwrap();
        assert!(last.ends_with("line number 0199\n"), "{last}");
    }

    #[test]
    fn another_day_begins_another_file_and_what_is_too_old_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock();
        let mut files = Files::open(dir.path(), SMALL, Arc::clone(&clock) as SharedClock).unwrap();
        for day in 0..6 {
            files.write_all(b"x\n").unwrap();
            let names: Vec<String> = list(dir.path()).unwrap().into_iter().map(|it| it.0).collect();
            assert!(names.len() <= 4, "after day {day}: {names:?}");
            *clock.0.lock().unwrap() += SignedDuration::from_hours(24);
        }
        let names = list(dir.path()).unwrap();
        assert_eq!(names.last().unwrap().0, "hivekeeper.2026-02-05.0001.log");
        assert_eq!(names.len(), 4);
        // A clock that is set back goes on in the newest file.
        *clock.0.lock().unwrap() -= SignedDuration::from_hours(24 * 30);
        files.write_all(b"back\n").unwrap();
        assert_eq!(list(dir.path()).unwrap().last().unwrap().0, names.last().unwrap().0);
    }

    #[test]
    fn the_next_engine_goes_on_in_the_same_file_and_finds_the_names_of_older_versions() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hivekeeper.2026-01-30.log"), "old\n").unwrap();
        fs::write(dir.path().join("other.txt"), "not ours\n").unwrap();
        for line in ["one\n", "two\n"] {
            let mut files = Files::open(dir.path(), SMALL, clock()).unwrap();
            files.write_all(line.as_bytes()).unwrap();
        }
        let names: Vec<String> = list(dir.path()).unwrap().into_iter().map(|it| it.0).collect();
        assert_eq!(names, ["hivekeeper.2026-01-30.log", "hivekeeper.2026-01-31.0001.log"]);
        let text = fs::read_to_string(dir.path().join(&names[1])).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    proptest! {
        #[test]
        fn no_name_panics_and_ours_are_read_back(text: String, n in 0..99_999_u32) {
            let _ = Name::read(&text);
            let name = Name { day: jiff::civil::date(2026, 1, 31), n };
            prop_assert_eq!(Name::read(&name.text()), Some(name));
        }

        #[test]
        fn whatever_is_written_the_set_size_is_kept(lines in prop::collection::vec(1..90_usize, 1..60)) {
            let dir = tempfile::tempdir().unwrap();
            let mut files = Files::open(dir.path(), SMALL, clock()).unwrap();
            for length in lines {
                files.write_all(&vec![b'x'; length]).unwrap();
                prop_assert!(total(dir.path()) <= SMALL.total_bytes);
            }
        }
    }
}
