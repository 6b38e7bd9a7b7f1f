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

impl Caller {
    /// Who an agent is told this from.
    pub(crate) fn source(&self, name: Option<String>) -> Source {
        match (&self.actor, name) {
            (Actor::Captain, _) => Source::Captain,
            (Actor::Agent { id }, Some(name)) => Source::Agent { id: *id, name },
            _ => Source::System,
        }
    }
}
