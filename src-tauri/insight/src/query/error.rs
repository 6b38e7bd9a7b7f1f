//! Why a question is not answered.

use std::ops::Range;

/// A part of an expression, in bytes.
pub(super) type Span = Range<usize>;

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at character {position})")]
pub struct Fault {
    /// The character the fault is at, counted from 1.
    pub position: usize,
    /// How many characters it is about; 0 at the end of the expression.
    pub length: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault of a part of `text`.
    pub(super) fn new(text: &str, span: &Span, what: impl Into<String>) -> Self {
        let chars = |upto: usize| text.get(..upto).map_or(0, |part| part.chars().count());
        let start = chars(span.start);
        Self {
            position: start + 1,
            length: chars(span.end).saturating_sub(start),
            what: what.into(),
            hint: None,
        }
    }

    /// Adds what to write instead.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Why an evaluation was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// Nobody waits for the answer any more, or somebody ended it.
    #[error("it was cancelled")]
    Cancelled,
    /// It took too long.
    #[error("it took longer than {deadline_ms} ms")]
    Deadline {
        /// How long it had, in milliseconds.
        deadline_ms: u64,
    },
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The expression is not of the language, or not with these series.
    #[error("read the expression: {0}")]
    Fault(#[from] Fault),
    /// The answer needs more than is allowed.
    #[error("answer the expression: it needs {found} {what}, and {max} are allowed")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many it needs, as far as was counted.
        found: u64,
        /// How many it may need.
        max: u64,
    },
    /// The range of time is empty, or its ends cannot be used.
    #[error("answer the expression: {0}")]
    BadRange(&'static str),
    /// It was ended from outside.
    #[error("answer the expression: {0}")]
    Stopped(#[from] Stop),
    /// What was measured could not be read.
    #[error("read what was measured")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}
