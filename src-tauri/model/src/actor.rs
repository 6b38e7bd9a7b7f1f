//! Who causes what happens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{AgentId, TokenId};

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// The human in charge.
    Captain,
    /// The engine itself.
    Engine,
    /// An agent.
    Agent {
        /// Which one.
        id: AgentId,
    },
    /// A program or a paired browser that showed an access token.
    Token {
        /// Which one.
        id: TokenId,
        /// Its name.
        name: String,
    },
}
