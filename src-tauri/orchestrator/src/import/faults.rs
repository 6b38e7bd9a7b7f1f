//! What is wrong with a document: all of it, not only the first.

use super::PROBLEMS_MAX;

/// One fault of a document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The line, from one.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {} ({})", self.line, self.message, self.hint)
    }
}

/// A document that cannot be imported; nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the document: {}", told(problems, *more))]
pub struct ImportError {
    /// The first problems in the order of their lines, at least one.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

fn told(problems: &[Problem], more: usize) -> String {
    let mut lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("; ")
}

/// Collects problems while a document is read.
#[derive(Debug, Default)]
pub(super) struct Faults {
    problems: Vec<Problem>,
    more: usize,
}

impl Faults {
    /// Notes a problem.
    pub(super) fn add(&mut self, line: usize, message: impl Into<String>, hint: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { line, message: message.into(), hint: hint.into() });
        } else {
            self.more += 1;
        }
    }

    /// Ends the reading where anything was noted.
    pub(super) fn end(&mut self) -> Result<(), ImportError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| problem.line);
        Err(ImportError { problems, more: self.more })
    }

    /// Whether anything was noted.
    pub(super) fn any(&self) -> bool {
        !self.problems.is_empty()
    }
}
