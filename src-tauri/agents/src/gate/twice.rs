//! The gate that wants no block of lines twice of which an attempt added a copy.
//!
//! First the blocks of added lines are hashed; then every file of the commit is read once, and only
//! the files that hold a block with such a hash are compared line by line. So memory depends on
//! what the attempt changed, not on the repository's size.

use std::collections::{HashMap, HashSet};

use model::gate::Verdict;
use tokio_util::sync::CancellationToken;

use super::added::{Part, Patch};
use super::stream::{Entry, LookError, Span};
use super::{Finding, List, counted, some};
use crate::scan::blocks::{Block, Corpus, Spot, significant, window_hashes};
use crate::scan::{self, FILE_BYTES_MAX, LINES_COMPARED_MAX};

/// A file the attempt changed.
struct Changed {
    /// Its lines that are not blank, and whether each was added.
    lines: Vec<(u32, bool)>,
}

/// What is compared.
struct Sought {
    window: usize,
    /// The hashes of blocks of added lines.
    hashes: HashSet<u64>,
    corpus: Corpus,
    /// The names of the corpus' files.
    names: Vec<String>,
    /// The first of them: those the attempt changed.
    changed: Vec<Changed>,
    /// Files that are not compared.
    left_out: Vec<String>,
    /// Whether there was no room for a file that had to be compared.
    full: bool,
}

/// Looks for blocks of at least `window` added lines that are in the commit more than once.
///
/// # Errors
/// When git cannot be asked.
pub(super) async fn answer(
    span: Span<'_>,
    changed: Vec<Entry>,
    window: usize,
) -> Result<Finding, LookError> {
    let added = added_lines(span).await?;
    let paths: HashSet<Vec<u8>> = changed.iter().map(|entry| entry.path.clone()).collect();
    let mut sought = Sought {
        window,
        hashes: HashSet::new(),
        corpus: Corpus::default(),
        names: Vec::new(),
        changed: Vec::new(),
        left_out: Vec::new(),
        full: false,
    };
    let changed: Vec<Entry> = changed.into_iter().filter(|entry| entry.plain).collect();
    let mut whole = Whole::default();
    let take = &mut |index: usize, piece: &[u8]| {
        let entry: &Entry = &changed[index];
        if let Some(content) = whole.take(piece) {
            let ranges = added.get(&entry.path).map_or([].as_slice(), Vec::as_slice);
            sought.add_changed(entry, content, ranges);
        }
    };
    span.contents(&changed, take).await?;
    if sought.hashes.is_empty() {
        let reason = format!("no {window} lines were added one after the other");
        return Ok(sought.finding(Verdict::Passed, reason, List::default()));
    }
    let mut others = span.files().await?;
    others.retain(|entry| !paths.contains(&entry.path));
    let mut whole = Whole::default();
    let take = &mut |index: usize, piece: &[u8]| {
        if let Some(content) = whole.take(piece) {
            sought.add_other(&others[index], content);
        }
    };
    span.contents(&others, take).await?;
    sought.compared().await
}

/// The lines that were added to each file, as first line and how many.
async fn added_lines(span: Span<'_>) -> Result<HashMap<Vec<u8>, Vec<(u64, u64)>>, LookError> {
    let (mut patch, mut path) = (Patch::default(), Vec::new());
    let mut added: HashMap<Vec<u8>, Vec<(u64, u64)>> = HashMap::new();
    span.patch(&mut |piece| {
        patch.read(piece, &mut |part| match part {
            Part::File(file) => path = file.to_vec(),
            Part::Lines { first, count } => {
                added.entry(path.clone()).or_default().push((first, count));
            }
            Part::Added { .. } => {}
        });
    })
    .await?;
    Ok(added)
}

/// Puts the pieces of a file together, as long as it is not too large.
#[derive(Default)]
struct Whole {
    bytes: Vec<u8>,
    too_large: bool,
}

/// What became of the pieces of a file.
enum Content {
    Text(Vec<u8>),
    Binary,
    TooLarge,
}

impl Whole {
    /// Takes a piece; the empty one ends the file.
    fn take(&mut self, piece: &[u8]) -> Option<Content> {
        if piece.is_empty() {
            let bytes = std::mem::take(&mut self.bytes);
            return Some(match (std::mem::take(&mut self.too_large), scan::is_binary(&bytes)) {
                (_, true) => Content::Binary,
                (true, false) => Content::TooLarge,
                (false, false) => Content::Text(bytes),
            });
        }
        self.too_large |= (self.bytes.len() + piece.len()) as u64 > FILE_BYTES_MAX;
        if !self.too_large {
            self.bytes.extend_from_slice(piece);
        }
        None
    }
}

impl Sought {
    fn add_changed(&mut self, entry: &Entry, content: Content, added: &[(u64, u64)]) {
        let Some(text) = self.text(entry, content) else {
            return;
        };
        let is_added = |line: u32| {
            let line = u64::from(line);
            added
                .iter()
                .any(|(first, count)| (*first..first.saturating_add(*count)).contains(&line))
        };
        let lines: Vec<(u32, bool)> =
            significant(&text).map(|(line, _)| (line, is_added(line))).collect();
        let all_added = |at: usize| lines[at..at + self.window].iter().all(|(_, added)| *added);
        let hashes = window_hashes(&text, self.window);
        self.hashes.extend(
            hashes.into_iter().enumerate().filter(|(at, _)| all_added(*at)).map(|(_, hash)| hash),
        );
        if self.keep(entry, &text) {
            self.changed.push(Changed { lines });
        }
    }

    fn add_other(&mut self, entry: &Entry, content: Content) {
        let Some(text) = self.text(entry, content) else {
            return;
        };
        if window_hashes(&text, self.window).iter().any(|hash| self.hashes.contains(hash)) {
            self.keep(entry, &text);
        }
    }

    fn text(&mut self, entry: &Entry, content: Content) -> Option<Vec<u8>> {
        match content {
            Content::Text(text) => Some(text),
            Content::Binary => None,
            Content::TooLarge => {
                self.left_out.push(entry.name());
                None
            }
        }
    }

    fn keep(&mut self, entry: &Entry, text: &[u8]) -> bool {
        let kept = self.corpus.add(text, LINES_COMPARED_MAX);
        if kept {
            self.names.push(entry.name());
        }
        self.full |= !kept;
        kept
    }

    async fn compared(mut self) -> Result<Finding, LookError> {
        let stop = CancellationToken::new();
        let _stopped_when_nobody_waits = stop.clone().drop_guard();
        let (corpus, window) = (std::mem::take(&mut self.corpus), self.window);
        let compare = move || corpus.duplicates(window, &mut || stop.is_cancelled());
        let compared = tokio::task::spawn_blocking(compare).await?;
        let (blocks, complete) = compared.unwrap_or_default();
        let (mut list, mut found) = (List::default(), Vec::new());
        for block in &blocks {
            for spot in &block.spots {
                if let Some((line, lines)) = self.added_in(spot) {
                    let name = &self.names[spot.file];
                    let other = self.other(block, spot);
                    list.push(&format!("{name}:{line}: {lines} added lines are also at {other}"));
                    found.push(format!("{name}:{line}"));
                }
            }
        }
        if !found.is_empty() {
            let blocks = counted(found.len(), "block");
            let is = if found.len() == 1 { "is" } else { "are" };
            let reason = format!(
                "{blocks} of {window} or more added lines {is} there more than once: {}",
                some(&found)
            );
            return Ok(self.finding(Verdict::Failed, reason, list));
        }
        if self.full || !complete {
            let reason = "there is more to compare than is compared";
            return Ok(self.finding(Verdict::Broken, reason.to_owned(), list));
        }
        let reason = format!("no block of {window} added lines is there twice");
        Ok(self.finding(Verdict::Passed, reason, list))
    }

    /// The longest run of added lines in a place of a block, if it is a block itself: where it
    /// begins, and how many lines it has.
    fn added_in(&self, spot: &Spot) -> Option<(u32, usize)> {
        let lines = &self.changed.get(spot.file)?.lines;
        let begin = lines.partition_point(|(line, _)| *line < spot.line);
        let end = lines.partition_point(|(line, _)| *line <= spot.last_line);
        lines[begin..end]
            .chunk_by(|a, b| a.1 == b.1)
            .filter(|run| run[0].1 && run.len() >= self.window)
            .map(|run| (run[0].0, run.len()))
            .max_by_key(|(line, lines)| (*lines, std::cmp::Reverse(*line)))
    }

    /// Another place of the block.
    fn other(&self, block: &Block, spot: &Spot) -> String {
        let mut others = block.spots.iter().filter(|other| *other != spot);
        others
            .next()
            .map_or_else(String::new, |other| format!("{}:{}", self.names[other.file], other.line))
    }

    fn finding(&self, verdict: Verdict, reason: String, mut list: List) -> Finding {
        if self.left_out.is_empty() {
            return Finding::listing(verdict, reason, list);
        }
        let limit = FILE_BYTES_MAX / (1024 * 1024);
        for name in &self.left_out {
            list.push(&format!("{name}: not compared, it is larger than {limit} MiB"));
        }
        let files = counted(self.left_out.len(), "file");
        let reason = format!("{reason}; {files} larger than {limit} MiB not compared");
        Finding::listing(verdict, reason, list)
    }
}
