//! Sheets: what comes with the program and a file of the captain changes, read again when the file
//! has changed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How long a file is believed to be as it was.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most repeated of a line that is wrong, in bytes.
const LINE_BYTES_MAX: usize = 80;

/// What keeps a captain's file from being used. What was in force stays so.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// The file cannot be read.
    #[error("read '{}': {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any such file can be.
    #[error("use '{}': it is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what it should be.
    #[error("use '{}', {why}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, the field and what is wrong with it.
        why: String,
    },
}

impl SheetError {
    pub(super) fn form(path: &Path, why: impl Into<String>) -> Self {
        Self::Form { path: path.to_owned(), why: why.into() }
    }

    /// What the TOML reader says, in one line.
    pub(super) fn of_toml(path: &Path, text: &str, err: &toml::de::Error) -> Self {
        let said = err.message().replace('\n', " ");
        let Some(span) = err.span() else { return Self::form(path, said) };
        let line = line_at(text, span.start);
        let there = text.lines().nth(line - 1).unwrap_or_default().trim();
        let there = model::conversation::cut(there, LINE_BYTES_MAX);
        Self::form(path, format!("line {line} ({there}): {said}"))
    }
}

/// The line of a place in a text, from 1.
pub(super) fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// The text of a captain's file; nothing where it is not there.
pub(super) fn text_of(path: &Path) -> Result<Option<String>, SheetError> {
    let failed = |source| SheetError::Read { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(failed(err)),
        Ok(there) if there.len() > FILE_BYTES_MAX => {
            return Err(SheetError::TooLarge { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(failed)
}

/// Something that comes with the program and that a file of the captain changes.
pub trait Sheet: Sized + Send + Sync + 'static {
    /// The file's name in the data directory.
    const FILE: &'static str;
    /// What it is, in words that follow *your own*.
    const WHAT: &'static str;

    /// What comes with the program.
    fn built_in() -> Self;

    /// This, changed by a file; the same where it is not there.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be: its line and field are named. Nothing
    /// of it is taken then.
    fn with(&self, file: Option<&Path>) -> Result<Self, SheetError>;
}

/// A sheet as it is now: the captain's file is looked at again, at most each second, and read when it
/// has changed. A file that is wrong changes nothing, and what is wrong with it is told.
#[derive(Debug)]
pub struct Live<T> {
    file: Option<PathBuf>,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    looked: Instant,
    stamp: Option<Stamp>,
    now: Arc<T>,
    problem: Option<String>,
}

/// What tells one version of a file from another.
type Stamp = (u64, u64, i64, i64);

impl<T: Sheet> Live<T> {
    /// What comes with the program, and nothing else.
    #[must_use]
    pub fn built_in() -> Self {
        Self::new(None)
    }

    /// What comes with the program, changed by the captain's file in a directory.
    #[must_use]
    pub fn open(data: &Path) -> Self {
        Self::new(Some(data.join(T::FILE)))
    }

    fn new(file: Option<PathBuf>) -> Self {
        let now = Arc::new(T::built_in());
        let kept = Kept { looked: Instant::now(), stamp: None, now, problem: None };
        let this = Self { file, kept: Mutex::new(kept) };
        this.look(&mut this.kept());
        this
    }

    /// What is in force.
    #[must_use]
    pub fn now(&self) -> Arc<T> {
        let mut kept = self.kept();
        if kept.looked.elapsed() >= LOOK_EVERY {
            self.look(&mut kept);
        }
        Arc::clone(&kept.now)
    }

    /// What is wrong with the captain's file as it is, and what holds in its place.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        // The file is looked at first.
        drop(self.now());
        self.kept().problem.clone()
    }

    fn look(&self, kept: &mut Kept<T>) {
        kept.looked = Instant::now();
        let Some(file) = &self.file else { return };
        let stamp = stamp_of(file);
        if stamp == kept.stamp && kept.problem.is_none() {
            return;
        }
        let known = std::mem::replace(&mut kept.stamp, stamp);
        match T::built_in().with(Some(file)) {
            Ok(now) => {
                if known.is_some() || kept.problem.is_some() {
                    tracing::info!(file = %file.display(), "a file of the captain was read again");
                }
                (kept.now, kept.problem) = (Arc::new(now), None);
            }
            Err(err) => {
                let what = T::WHAT;
                let why = format!(
                    "your own {what} are not in force as they are in the file: failed to {err}; \
                     those from before hold until it is corrected"
                );
                if kept.problem.as_ref() != Some(&why) {
                    tracing::error!(
                        error = &err as &dyn std::error::Error,
                        "a file of the captain is not used"
                    );
                }
                kept.problem = Some(why);
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp_of(file: &Path) -> Option<Stamp> {
    let there = std::fs::metadata(file).ok()?;
    Some((there.ino(), there.size(), there.mtime(), there.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::super::prices::Prices;
    use super::*;

    fn costs(live: &Live<Prices>) -> Option<u64> {
        let tokens = model::usage::Tokens { output: Some(1_000_000), ..Default::default() };
        live.now().cost_micros("fake-model", &tokens)
    }

    fn until<T>(look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "it never came");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_changed_and_a_wrong_one_leaves_the_last_good_in_force() {
        let place = tempfile::tempdir().unwrap();
        let live = Live::<Prices>::open(place.path());
        assert_eq!((costs(&live), live.problem()), (None, None));
        let write = |text: &str| std::fs::write(place.path().join("prices.toml"), text).unwrap();
        write("as_of = \"2026-11-01\"\n[model]\n\"fake-model\" = { input = 1, output = 2 }\n");
        assert_eq!(until(|| costs(&live)), 2_000_000);
        write("as_of = \"2026-11-01\"\n[model]\n\"fake-model\" = { input = 1 }\n");
        let said = until(|| live.problem());
        assert!(said.contains("prices.toml") && said.contains("line 3"), "{said}");
        assert_eq!(costs(&live), Some(2_000_000), "what was good holds");
        write("as_of = \"2026-11-02\"\n[model]\n\"fake-model\" = { input = 1, output = 3 }\n");
        until(|| (costs(&live) == Some(3_000_000)).then_some(()));
        assert_eq!(live.problem(), None);
        std::fs::remove_file(place.path().join("prices.toml")).unwrap();
        until(|| costs(&live).is_none().then_some(()));
    }
}
