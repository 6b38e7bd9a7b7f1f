//! Missions from a text: Markdown with headings, JSON, CSV, or the text of an issue.
//!
//! Reading is pure: text in, missions with stable external ids out, so that the same document read
//! again names the same missions. All faults of a document are told at once, each with its line and
//! what to do about it.
//!
//! Invariant: nothing is imported by halves. [`read`] gives every mission of a document or none.

mod csv;
mod entry;
mod faults;
mod json;
mod markdown;
mod order;

use serde::Serialize;

pub use faults::{ImportError, Problem};
pub use order::{Ordered, Unresolved, order};

use faults::Faults;

/// The largest document, in bytes.
pub const TEXT_BYTES_MAX: usize = 5 * 1024 * 1024;
/// The most missions of one document.
pub const MISSIONS_MAX: usize = 1_000;
/// How many problems of one document are told.
pub const PROBLEMS_MAX: usize = 50;
/// The most labels, skills, criteria or dependencies of one mission.
pub const LIST_MAX: usize = 50;
/// The longest external id, in characters.
pub const ID_CHARS_MAX: usize = 100;
/// The longest label, skill, criterion or name, in characters.
pub const WORDS_CHARS_MAX: usize = 200;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFormat {
    /// Headings or check-boxes; the rules stand in `import/markdown.rs`.
    Markdown,
    /// A list of objects, or `{"missions": […]}`, with the names of [`Imported`]'s fields.
    Json,
    /// A header row with those names; `;` separates what is a list, `\;` is a semicolon in it.
    Csv,
}

/// What a document holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    /// The missions in the order of the document, those that are done already among them.
    pub missions: Vec<Imported>,
    /// What the captain should know before anything is made of it.
    pub warnings: Vec<ImportWarning>,
}

impl Import {
    /// The missions that are to be made: all but those that are done already.
    pub fn open(&self) -> impl Iterator<Item = &Imported> {
        self.missions.iter().filter(|mission| !mission.done)
    }
}

/// Something in a document that is not taken over, or not as it may be meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportWarning {
    /// The line, from one.
    pub line: usize,
    /// What it is.
    pub message: String,
}

/// A mission as a document describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// What names it in the document, written there or derived from its headings or title.
    pub external_id: String,
    /// One line of text.
    pub title: String,
    /// What is to be done; the title again where the document says no more.
    pub brief: String,
    /// Of which kinds it is.
    pub labels: Vec<String>,
    /// What the agent must be able to do.
    pub skills: Vec<String>,
    /// The lines of its gates as written; each is known to describe a gate.
    pub gates: Vec<String>,
    /// What is looked at when the work is judged.
    pub criteria: Vec<Criterion>,
    /// `low`, `normal`, `high` or `urgent`.
    pub priority: Option<String>,
    /// The name of its policy, not known to exist.
    pub policy: Option<String>,
    /// The name of its agent, not known to exist.
    pub agent: Option<String>,
    /// The directory of the repository, not known to exist.
    pub repository: Option<String>,
    /// A date, a date with time, or a point in time, by RFC 3339.
    pub deadline: Option<String>,
    /// External ids of this document, or ids of missions there are.
    pub depends_on: Vec<String>,
    /// How often a failed attempt is followed by another one.
    pub retries: Option<u32>,
    /// How long it is expected to take, in minutes.
    pub estimate_min: Option<u32>,
    /// Whether the document says that it is done; nothing is to be made of it then.
    pub done: bool,
    /// Where it stands in the document, from one.
    #[serde(skip)]
    pub line: usize,
}

/// One thing that is looked at when the work is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Criterion {
    /// What must hold.
    pub text: String,
    /// Whether the document says that it holds already.
    pub done: bool,
}

/// Reads a document.
///
/// A byte order mark and Windows line ends are accepted.
///
/// # Errors
/// All problems of the document, up to [`PROBLEMS_MAX`] of them told in full.
pub fn read(format: ImportFormat, text: &str) -> Result<Import, ImportError> {
    let mut faults = Faults::default();
    let text = cleaned(text, &mut faults)?;
    let document = Document::new(&text);
    let (entries, mut warnings) = match format {
        ImportFormat::Markdown => markdown::read(&document, &mut faults),
        ImportFormat::Json => (json::read(&document, &mut faults), Vec::new()),
        ImportFormat::Csv => (csv::read(&document, &mut faults), Vec::new()),
    };
    let missions = entry::settle(entries, &mut faults);
    faults.end()?;
    let done = missions.iter().filter(|mission| mission.done).map(|mission| ImportWarning {
        line: mission.line,
        message: format!("'{}' is done already; no mission is made of it", mission.title),
    });
    warnings.extend(done);
    warnings.sort_by_key(|warning| warning.line);
    Ok(Import { missions, warnings })
}

/// Writes missions as JSON that [`read`] reads back.
#[must_use]
pub fn to_json(missions: &[Imported]) -> String {
    let document = serde_json::json!({ "missions": missions });
    serde_json::to_string_pretty(&document).expect("texts, numbers and lists are valid JSON")
}

/// Checks the text as a whole and gives it with plain line ends.
fn cleaned(text: &str, faults: &mut Faults) -> Result<String, ImportError> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the document has {} bytes, more than {TEXT_BYTES_MAX}", text.len());
        faults.add(1, message, "split it into several documents");
        faults.end()?;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    for (index, line) in text.split('\n').enumerate() {
        if let Some(found) = line.chars().find(|c| c.is_control() && *c != '\t') {
            let message = format!("there is a control character (U+{:04X})", u32::from(found));
            faults.add(index + 1, message, "remove it, or save the document as plain UTF-8 text");
        }
    }
    faults.end()?;
    Ok(text)
}

/// A text with a table of its lines.
struct Document<'a> {
    text: &'a str,
    breaks: Vec<usize>,
}

impl<'a> Document<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, breaks: text.match_indices('\n').map(|(at, _)| at).collect() }
    }

    /// The line of a byte offset, from one.
    fn line_of(&self, offset: usize) -> usize {
        self.breaks.partition_point(|at| *at < offset) + 1
    }
}
