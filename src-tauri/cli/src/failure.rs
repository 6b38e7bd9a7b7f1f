//! Why a command was not carried out, in words a person reads.

use std::fmt::{self, Display};
use std::io;

use gateway::{ClientError, Problem};

use crate::out::quotable;

/// Refused or failed.
const FAILED: u8 = 1;
/// No engine runs.
const NO_ENGINE: u8 = 3;

/// A command that was not carried out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something did not work; `what` follows "failed to".
    Failed {
        /// The operation, and why it failed.
        what: String,
        /// What to do about it.
        hint: Option<String>,
        /// What would have been accepted instead.
        allowed: Vec<String>,
        /// What programs act on.
        kind: &'static str,
        /// The exit code.
        code: u8,
    },
    /// Whoever read the output has gone.
    PipeClosed,
}

impl Failure {
    /// A failed operation.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self::Failed {
            what: what.into(),
            hint: None,
            allowed: Vec::new(),
            kind: "failed",
            code: FAILED,
        }
    }

    /// Words that make no command.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(what).kind("usage")
    }

    /// Ends the process with another exit code than 1.
    pub(crate) fn exit(mut self, with: u8) -> Self {
        if let Self::Failed { code, .. } = &mut self {
            *code = with;
        }
        self
    }

    /// Adds what would have been accepted instead.
    pub(crate) fn allowed(mut self, possible: Vec<String>) -> Self {
        if let Self::Failed { allowed, .. } = &mut self {
            *allowed = possible;
        }
        self
    }

    /// Names what programs act on.
    pub(crate) fn kind(mut self, word: &'static str) -> Self {
        if let Self::Failed { kind, .. } = &mut self {
            *kind = word;
        }
        self
    }

    /// An operation that the error itself names.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(with_sources(error))
    }

    /// Adds why, with everything behind it.
    pub(crate) fn because(self, error: &(dyn std::error::Error + 'static)) -> Self {
        self.map(|what| format!("{what}: {}", with_sources(error)))
    }

    /// Adds why, in words.
    pub(crate) fn since(self, why: impl Display) -> Self {
        self.map(|what| format!("{what}: {why}"))
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Failed { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Failed { what, hint, allowed, kind, code } => {
                Self::Failed { what: change(what), hint, allowed, kind, code }
            }
            Self::PipeClosed => Self::PipeClosed,
        }
    }

    /// An operation the engine refused.
    pub(crate) fn refused(operation: &str, problem: Problem) -> Self {
        let mut failure = Self::new(operation).since(&problem.detail).kind(problem.code.as_str());
        if let Self::Failed { hint, allowed, .. } = &mut failure {
            *hint = problem.hint.map(String::from);
            *allowed = problem.allowed;
        }
        failure
    }

    /// An operation for which the engine could not be asked.
    pub(crate) fn unasked(operation: &str, error: &ClientError) -> Self {
        if error.is_no_engine() {
            return Self::Failed {
                what: format!("{operation}: {error}"),
                hint: Some(
                    "start one with 'hivekeeper serve', or name another workspace with --data-dir"
                        .to_owned(),
                ),
                allowed: Vec::new(),
                kind: "no_engine",
                code: NO_ENGINE,
            };
        }
        Self::new(operation).because(error)
    }

    /// As programs read it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Failed { what, hint, allowed, kind, .. } => serde_json::json!({"error": {
                "code": kind, "message": what, "hint": hint, "allowed": allowed,
            }}),
            Self::PipeClosed => serde_json::Value::Null,
        }
    }

    /// The exit code of the process.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { code, .. } => *code,
            Self::PipeClosed => 0,
        }
    }
}

fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = source.source();
    }
    text
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::PipeClosed;
        }
        Self::new("write the output").because(&error)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { what, hint, allowed, .. } => {
                write!(f, "hivekeeper: failed to {}", quotable(what))?;
                let mut hints: Vec<String> = hint.iter().cloned().collect();
                if !allowed.is_empty() {
                    hints.push(format!("possible now: {}", allowed.join(", ")));
                }
                match hints.is_empty() {
                    true => Ok(()),
                    false => write!(f, "\n  hint: {}", quotable(&hints.join("; "))),
                }
            }
            Self::PipeClosed => f.write_str("hivekeeper: the reader of the output has gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_refusal_says_what_failed_why_and_what_to_do() {
        let mut problem = Problem::new(
            http::StatusCode::CONFLICT,
            model::refusal::Code::TransitionRefused,
            "a mission that is running cannot take 'accept'",
        );
        problem.allowed = vec!["cancel".into()];
        let failure = Failure::refused("accept M-7K2P", problem);
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(
            failure.to_string(),
            "hivekeeper: failed to accept M-7K2P: a mission that is running cannot take 'accept'\n  \
             hint: possible now: cancel"
        );
        let json = failure.to_json();
        assert_eq!(json["error"]["code"], "transition_refused");
        assert_eq!(json["error"]["allowed"][0], "cancel");
    }

    #[test]
    fn a_missing_engine_has_an_exit_code_of_its_own() {
        let error = ClientError::NoEngine(PathBuf::from("/data"));
        let failure = Failure::unasked("show the swarm", &error);
        assert_eq!(failure.exit_code(), 3);
        assert!(failure.to_string().contains("hivekeeper serve"));
        assert!(failure.to_string().contains("/data"));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure, Failure::PipeClosed);
    }
}
