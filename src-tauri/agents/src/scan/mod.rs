//! Looks through a directory for files that are too long and for blocks of lines that are there
//! more than once.
//!
//! Invariant: reads, and never writes. What git would ignore is left out, links are not followed,
//! and whatever the directory holds, time and memory are bounded; what was left out for that is said
//! in the report. Two scans of the same files give the same report.

pub(crate) mod blocks;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use blocks::{Block, Corpus};

/// The largest file that is read, in bytes; larger ones are not written by hand.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The most lines that are compared with one another.
pub const LINES_COMPARED_MAX: usize = 2_000_000;
/// The most entries in each list of a report.
pub const LISTED_MAX: usize = 1_000;
/// The most places listed of one block.
pub const PLACES_MAX: usize = 200;
/// A file with a NUL byte in its first so many bytes is not text, as for git.
pub(crate) const BINARY_BYTES: usize = 8_000;

/// What is looked for, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ScanOptions {
    /// How many lines a file may have.
    pub lines_max: u32,
    /// How many equal lines make a block; blank ones do not count.
    pub block_lines: u32,
    /// How many files are read at most.
    pub files_max: u64,
    /// How much is read at most, in bytes.
    pub bytes_max: u64,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            lines_max: model::gate_line::FILE_LINES_DEFAULT,
            block_lines: model::gate_line::DUPLICATE_LINES_DEFAULT,
            files_max: 100_000,
            bytes_max: 512 * 1024 * 1024,
        }
    }
}

/// What a scan found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanReport {
    /// How many text files were read.
    pub files: u64,
    /// How many lines they have.
    pub lines: u64,
    /// How many files were left out because they are not text.
    pub binary_files: u64,
    /// The files with too many lines, the longest first.
    pub oversize: Vec<Oversize>,
    /// The blocks that are there more than once, the longest first.
    pub duplicates: Vec<Duplicate>,
    /// What could not be read, by path.
    pub skipped: Vec<Skipped>,
    /// Why the report is not complete, where it is not.
    pub truncated: Option<String>,
}

/// A file with too many lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Oversize {
    /// The file, relative to the scanned directory.
    pub path: String,
    /// How many lines it has.
    pub lines: u64,
}

/// A block of lines that is there more than once, white space around each line not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Duplicate {
    /// How many lines are equal; blank ones between them do not count.
    pub lines: u32,
    /// In how many places it is.
    pub places_total: u64,
    /// The places, by path and line; of many, the first.
    pub places: Vec<Place>,
}

/// Where a block begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// The file, relative to the scanned directory.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
}

/// What was not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Skipped {
    /// The file or directory, relative to the scanned directory.
    pub path: String,
    /// Why, in words a person reads.
    pub why: String,
}

/// How far a scan has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many files were looked at.
    pub files: u64,
    /// How many bytes were read.
    pub bytes: u64,
}

/// What keeps a directory from being scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is nothing at the path.
    #[error("scan '{}': it does not exist", .0.display())]
    Missing(PathBuf),
    /// The path leads to something else.
    #[error("scan '{}': it is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The directory may not be read.
    #[error("scan '{}': {source}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A limit that nothing could keep.
    #[error("scan with {0} = {1}: it must be at least {2}")]
    Option(&'static str, u32, u32),
    /// It was cancelled; nothing was changed.
    #[error("scan to the end: it was cancelled")]
    Cancelled,
}

/// Scans a directory and tells `progress` after each file. Blocks the thread.
///
/// # Errors
/// When the directory cannot be read at all, an option makes no sense, or `cancel` fires. A file or
/// directory inside that cannot be read is listed in the report instead.
pub fn scan(
    root: &Path,
    options: &ScanOptions,
    cancel: &CancellationToken,
    progress: &mut dyn FnMut(Progress),
) -> Result<ScanReport, ScanError> {
    scan_while(root, options, cancel, &mut |come| {
        progress(come);
        true
    })
}

/// As [`scan`], and reads no further once `go_on`, which is asked after each file, says no: the
/// report is then about what was read, and says so.
///
/// # Errors
/// As [`scan`].
pub fn scan_while(
    root: &Path,
    options: &ScanOptions,
    cancel: &CancellationToken,
    go_on: &mut dyn FnMut(Progress) -> bool,
) -> Result<ScanReport, ScanError> {
    for (name, value, least) in
        [("lines_max", options.lines_max, 1), ("block_lines", options.block_lines, 3)]
    {
        if value < least {
            return Err(ScanError::Option(name, value, least));
        }
    }
    let root = open_root(root)?;
    let mut found = Findings::new(*options);
    let mut on = true;
    for entry in walk(&root).build() {
        if cancel.is_cancelled() {
            return Err(ScanError::Cancelled);
        }
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                if !found.room(on) {
                    break;
                }
                let name = relative(&root, entry.path());
                found.look_at(entry.path(), name);
                on = go_on(found.progress);
            }
            Ok(_) => {}
            Err(error) => {
                let path = path_of(&error).map_or_else(String::new, |path| relative(&root, path));
                let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                found.skip(path, why);
            }
        }
    }
    found.report(cancel)
}

fn open_root(root: &Path) -> Result<PathBuf, ScanError> {
    let unreadable = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => ScanError::Missing(root.to_owned()),
        ErrorKind::NotADirectory => ScanError::NotADirectory(root.to_owned()),
        _ => ScanError::Unreadable { path: root.to_owned(), source },
    };
    let real = root.canonicalize().map_err(unreadable)?;
    std::fs::read_dir(&real).map_err(unreadable)?;
    Ok(real)
}

/// A walk in the order of names, without what git ignores and without git's own files.
fn walk(root: &Path) -> WalkBuilder {
    let mut walk = WalkBuilder::new(root);
    walk.hidden(false)
        .ignore(false)
        .require_git(false)
        .follow_links(false)
        .sort_by_file_name(std::cmp::Ord::cmp)
        .filter_entry(|entry| entry.file_name() != ".git");
    walk
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithLineNumber { err, .. } | ignore::Error::WithDepth { err, .. } => {
            path_of(err)
        }
        _ => None,
    }
}

fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    printable(&inside)
}

/// A name without characters that would do something to a terminal.
pub(crate) fn printable(name: &str) -> String {
    name.chars().map(|ch| if ch.is_control() { char::REPLACEMENT_CHARACTER } else { ch }).collect()
}

/// Whether a file is none of text, by its beginning.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(BINARY_BYTES)].contains(&0)
}

/// How many lines a text has; a last one without an end counts.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    let ends = text.iter().filter(|byte| **byte == b'\n').count();
    let open = text.last().is_some_and(|byte| *byte != b'\n');
    (ends + usize::from(open)) as u64
}

/// What is known while a scan runs.
struct Findings {
    options: ScanOptions,
    report: ScanReport,
    progress: Progress,
    truncated: Vec<String>,
    corpus: Corpus,
    /// The names of the files of the corpus.
    names: Vec<String>,
}

impl Findings {
    fn new(options: ScanOptions) -> Self {
        Self {
            options,
            report: ScanReport::default(),
            progress: Progress::default(),
            truncated: Vec::new(),
            corpus: Corpus::default(),
            names: Vec::new(),
        }
    }

    /// Whether one more file may be read; says so in the report where not.
    fn room(&mut self, on: bool) -> bool {
        let limit = if !on {
            format!("only the first {} files were read in the time there was", self.progress.files)
        } else if self.progress.files >= self.options.files_max {
            format!("only the first {} files were read", self.options.files_max)
        } else if self.progress.bytes >= self.options.bytes_max {
            format!("only the first {} bytes were read", self.options.bytes_max)
        } else {
            return true;
        };
        self.truncated.push(limit);
        false
    }

    fn skip(&mut self, path: String, why: String) {
        self.report.skipped.push(Skipped { path, why });
    }

    fn look_at(&mut self, path: &Path, name: String) {
        self.progress.files += 1;
        let bytes = match read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let limit = FILE_BYTES_MAX / (1024 * 1024);
                return self.skip(name, format!("it is larger than {limit} MiB"));
            }
            Err(error) => return self.skip(name, error.to_string()),
        };
        self.progress.bytes += bytes.len() as u64;
        if is_binary(&bytes) {
            self.report.binary_files += 1;
            return;
        }
        let lines = count_lines(&bytes);
        self.report.files += 1;
        self.report.lines += lines;
        if lines > u64::from(self.options.lines_max) {
            self.report.oversize.push(Oversize { path: name.clone(), lines });
        }
        if self.corpus.add(&bytes, LINES_COMPARED_MAX) {
            self.names.push(name);
        } else {
            let limit = format!("only the first {LINES_COMPARED_MAX} lines were compared");
            if !self.truncated.contains(&limit) {
                self.truncated.push(limit);
            }
        }
    }

    fn report(mut self, cancel: &CancellationToken) -> Result<ScanReport, ScanError> {
        let mut stop = || cancel.is_cancelled();
        let (blocks, complete) = self
            .corpus
            .duplicates(self.options.block_lines as usize, &mut stop)
            .ok_or(ScanError::Cancelled)?;
        if !complete {
            self.truncated.push("not all repetitions were followed to their ends".to_owned());
        }
        let mut report = self.report;
        report.duplicates = blocks.iter().map(|block| named(block, &self.names)).collect();
        report.duplicates.sort_by(|a, b| (b.lines, &a.places).cmp(&(a.lines, &b.places)));
        report.oversize.sort_by(|a, b| (b.lines, &a.path).cmp(&(a.lines, &b.path)));
        report.skipped.sort();
        shorten(&mut report.duplicates, "repeated blocks", &mut self.truncated);
        shorten(&mut report.oversize, "files that are too long", &mut self.truncated);
        shorten(&mut report.skipped, "files that were not read", &mut self.truncated);
        report.truncated = (!self.truncated.is_empty()).then(|| self.truncated.join("; "));
        Ok(report)
    }
}

fn named(block: &Block, names: &[String]) -> Duplicate {
    let mut places: Vec<Place> = block
        .spots
        .iter()
        .map(|spot| Place { path: names[spot.file].clone(), line: spot.line })
        .collect();
    places.sort();
    let places_total = places.len() as u64;
    places.truncate(PLACES_MAX);
    Duplicate { lines: u32::try_from(block.lines).unwrap_or(u32::MAX), places_total, places }
}

fn shorten<T>(list: &mut Vec<T>, what: &str, truncated: &mut Vec<String>) {
    if list.len() > LISTED_MAX {
        truncated.push(format!("only the first {LISTED_MAX} of {} {what} are listed", list.len()));
        list.truncate(LISTED_MAX);
    }
}

/// Reads a regular file, and nothing of one that is too large.
fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    // What was a file when it was listed may be a link or a pipe by now.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no longer a file"));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= FILE_BYTES_MAX).then_some(bytes))
}
