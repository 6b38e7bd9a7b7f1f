//! Reports as files: an agent that has no other way to us puts them into its inbox directory, one
//! JSON object a file.
//!
//! Invariant: what an agent writes is only read, bounded, and never followed: no links, no
//! directories, no devices.

mod inbox;

use serde::{Deserialize, Serialize};

pub use self::inbox::{ERROR_SUFFIX, InboxError, QUIET_MS, Waiting, archive, quarantine, waiting};

/// The largest report, in bytes.
pub const REPORT_BYTES_MAX: usize = 256 * 1024;
/// The longest text of a report, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The longest note of a progress report, in characters.
pub const NOTE_CHARS_MAX: usize = 500;
/// The most answers a question offers.
pub const OPTIONS_MAX: usize = 20;
/// The longest answer a question offers, in characters.
pub const OPTION_CHARS_MAX: usize = 500;
/// The kinds of reports.
const KINDS: &[&str] =
    &["progress", "devlog", "criterion", "message", "question", "handoff", "done"];

/// What an agent reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// How far it is.
    Progress {
        /// From 0 to 100.
        #[serde(default)]
        percent: Option<u8>,
        /// In one line.
        #[serde(default)]
        note: Option<String>,
    },
    /// A line for the devlog.
    Devlog {
        /// What.
        text: String,
    },
    /// Whether one of the mission's criteria is met.
    Criterion {
        /// Which one, from 1.
        n: u32,
        /// Whether it is.
        met: bool,
    },
    /// A message to another agent.
    Message {
        /// The agent's name.
        to: String,
        /// What it is told.
        text: String,
        /// Whether it is to be read before others.
        #[serde(default)]
        urgent: bool,
    },
    /// A question to the captain.
    Question {
        /// The question.
        text: String,
        /// Answers to choose from.
        #[serde(default)]
        options: Vec<String>,
    },
    /// What the next attempt needs to know.
    Handoff {
        /// What.
        text: String,
    },
    /// It is done.
    Done {
        /// What it did.
        #[serde(default)]
        summary: Option<String>,
    },
}

/// Why a file is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// It is larger than any report.
    #[error("it is larger than {REPORT_BYTES_MAX} bytes")]
    TooLarge,
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    NotJson(String),
    /// It is JSON, but no object.
    #[error("it is no JSON object such as {{\"kind\":\"progress\",\"percent\":40,\"note\":\"…\"}}")]
    NotAnObject,
    /// It does not say what it is.
    #[error("{}", kind_in_words(.0.as_deref()))]
    Kind(Option<String>),
    /// A field is missing, unknown or of another type.
    #[error("as a report of the kind '{kind}': {why}")]
    Fields {
        /// What it says it is.
        kind: String,
        /// What is wrong.
        why: String,
    },
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

fn kind_in_words(kind: Option<&str>) -> String {
    let known = KINDS.join(", ");
    match kind {
        Some(kind) => {
            let kind = model::conversation::cut(kind, 60);
            format!("'{kind}' is no kind of report: it is one of {known}")
        }
        None => format!("its field 'kind' is missing: it is one of {known}"),
    }
}

impl Report {
    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Progress { .. } => "progress",
            Self::Devlog { .. } => "devlog",
            Self::Criterion { .. } => "criterion",
            Self::Message { .. } => "message",
            Self::Question { .. } => "question",
            Self::Handoff { .. } => "handoff",
            Self::Done { .. } => "done",
        }
    }

    /// Reads a report.
    ///
    /// # Errors
    /// Says what is wrong with it, and what it should be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(ReportError::TooLarge);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|err| ReportError::NotJson(err.to_string()))?;
        let object = value.as_object().ok_or(ReportError::NotAnObject)?;
        let kind = match object.get("kind") {
            Some(serde_json::Value::String(kind)) if KINDS.contains(&kind.as_str()) => kind.clone(),
            Some(serde_json::Value::String(kind)) => {
                return Err(ReportError::Kind(Some(kind.clone())));
            }
            _ => return Err(ReportError::Kind(None)),
        };
        let fields = |why: String| ReportError::Fields { kind: kind.clone(), why };
        let report: Self = serde_json::from_value(value).map_err(|err| fields(err.to_string()))?;
        report.check().map_err(|Wrong(why)| fields(why))?;
        Ok(report)
    }

    fn check(&self) -> Result<(), Wrong> {
        let wrong = |why: String| Err(Wrong(why));
        match self {
            Self::Progress { percent: None, note: None } => {
                wrong("it says neither 'percent' nor 'note'".to_owned())
            }
            Self::Progress { percent: Some(percent), .. } if *percent > 100 => {
                wrong(format!("'percent' is {percent}, more than 100"))
            }
            Self::Progress { note: Some(note), .. } if note.chars().count() > NOTE_CHARS_MAX => {
                wrong(format!("'note' is longer than {NOTE_CHARS_MAX} characters"))
            }
            Self::Criterion { n: 0, .. } => wrong("'n' is 0: the first criterion is 1".to_owned()),
            Self::Message { to, .. } if to.trim().is_empty() => {
                wrong("'to' names nobody".to_owned())
            }
            Self::Question { options, .. } if options.len() > OPTIONS_MAX => {
                wrong(format!("it offers more than {OPTIONS_MAX} answers"))
            }
            Self::Question { options, .. }
                if options.iter().any(|it| it.chars().count() > OPTION_CHARS_MAX) =>
            {
                wrong(format!("an answer is longer than {OPTION_CHARS_MAX} characters"))
            }
            Self::Devlog { text }
            | Self::Message { text, .. }
            | Self::Question { text, .. }
            | Self::Handoff { text } => check_text("text", text, true),
            Self::Done { summary: Some(text) } => check_text("summary", text, false),
            _ => Ok(()),
        }
    }
}

/// What is wrong with a report's fields, in words.
struct Wrong(String);

fn check_text(name: &str, text: &str, needed: bool) -> Result<(), Wrong> {
    if needed && text.trim().is_empty() {
        return Err(Wrong(format!("'{name}' is empty")));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(Wrong(format!("'{name}' is longer than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(())
}
