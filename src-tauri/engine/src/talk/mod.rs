//! Use cases about talking with agents: messages, the inbox, rules, conversations.

mod conversations;
mod inbox;
mod messages;
mod rules;

use model::event::Actor;
use model::message::Source;

use crate::Caller;

pub use conversations::{ConversationQuery, SearchQuery};
pub use inbox::RequestQuery;
pub use messages::MessageQuery;
pub(crate) use rules::checked_pattern;

impl Caller {
    /// Who an agent is told this from.
    pub(crate) fn source(&self, name: Option<String>) -> Source {
        match &self.actor {
            // Whoever holds a token speaks in the captain's name; which one is in the log.
            Actor::Captain | Actor::Token { .. } => Source::Captain,
            // An agent's words are never ours, even where its name is not known any more.
            Actor::Agent { id } => Source::Agent {
                id: *id,
                name: name.unwrap_or_else(|| "a removed agent".to_owned()),
            },
            _ => Source::System,
        }
    }
}
