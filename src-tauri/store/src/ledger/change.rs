//! What goes into the ledger in one transaction, and what comes back.

use std::sync::Arc;

use model::Timestamp;
use model::effect::OutboxEntry;
use model::event::{Event, NewEvent};
use model::id::{EffectId, LoginId, TokenId};

/// The most events of one change.
pub const CHANGE_EVENTS_MAX: usize = 1024;
/// How long an answer is kept under its idempotency key, in hours.
pub const ANSWER_KEPT_H: i64 = 24;

/// Everything one decision writes; it is there as a whole or not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// What happened, in order. At most [`CHANGE_EVENTS_MAX`].
    pub events: Vec<NewEvent>,
    /// What is to be done because of it.
    pub effects: Vec<OutboxEntry>,
    /// Effects that are done; each can be marked once, a second time is a conflict.
    pub delivered: Vec<EffectId>,
    /// The answer to give again when the same request comes again.
    pub answer: Option<StoredAnswer>,
    /// The new position of a follower; it only moves forward.
    pub cursor: Option<(String, u64)>,
    /// When access tokens were used. It is in no event: a use changes nothing.
    pub token_uses: Vec<(TokenId, Timestamp)>,
    /// When logins were used; likewise.
    pub login_uses: Vec<(LoginId, Timestamp)>,
}

impl Change {
    /// A change that records only these events.
    #[must_use]
    pub fn events(events: Vec<NewEvent>) -> Self {
        Self { events, ..Self::default() }
    }
}

/// An answer kept under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The key the client chose.
    pub key: String,
    /// A hash of the request; the same key with another one is refused.
    pub fingerprint: [u8; 32],
    /// What was answered.
    pub body: serde_json::Value,
}

/// A change that is on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// Its events with their places in the log.
    pub events: Vec<Arc<Event>>,
    /// The answer given before under the same key and fingerprint; then nothing was written.
    pub replayed: Option<StoredAnswer>,
}
