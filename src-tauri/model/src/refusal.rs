//! Refusals: why a request was not carried out, and what would have been allowed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The reason of a refusal. A code exists only if somebody acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// What was sent cannot be understood or is out of bounds.
    InvalidInput,
    /// There is nothing by that name.
    NotFound,
    /// Several things go by that name.
    Ambiguous,
    /// The transition is not in the published table.
    TransitionRefused,
    /// Something else is in the way: a name that is taken, an agent that works.
    Conflict,
    /// The lease this was done under has ended; the attempt belongs to somebody else, or to nobody.
    StaleLease,
    /// There is a mission that says nearly the same.
    NearDuplicate,
    /// The same idempotency key came with another body.
    IdempotencyMismatch,
    /// Somebody else changed it since it was read.
    ChangedMeanwhile,
    /// A queue or limit is full; trying again later may succeed.
    Busy,
    /// The caller did not prove who it is.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// The engine could not do it; nothing was changed.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::Ambiguous,
        Self::TransitionRefused,
        Self::Conflict,
        Self::StaleLease,
        Self::ChangedMeanwhile,
        Self::NearDuplicate,
        Self::IdempotencyMismatch,
        Self::Busy,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Internal,
    ];

    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::TransitionRefused => "transition_refused",
            Self::Conflict => "conflict",
            Self::StaleLease => "stale_lease",
            Self::NearDuplicate => "near_duplicate",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::ChangedMeanwhile => "changed_meanwhile",
            Self::Busy => "busy",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Internal => "internal",
        }
    }
}

/// A request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What programs act on.
    pub code: Code,
    /// What happened, in words a person reads.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What would have been accepted instead: inputs, or candidates.
    pub allowed: Vec<String>,
    /// The character of what was sent that is at fault, counted from 1, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
}

impl Refusal {
    /// A refusal with nothing but its reason.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, allowed: Vec::new(), position: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the character that is at fault, counted from 1.
    #[must_use]
    pub fn at(mut self, position: u32) -> Self {
        self.position = Some(position);
        self
    }

    /// Adds what would have been accepted.
    #[must_use]
    pub fn allowed(mut self, allowed: Vec<String>) -> Self {
        self.allowed = allowed;
        self
    }
}
