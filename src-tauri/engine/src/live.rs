//! The live stream: numbered frames in a bounded ring, for any number of listeners.
//!
//! A frame's number belongs to an *epoch*, one run of the engine. A listener that comes back with
//! the epoch and number it saw last gets everything after it, or is told to read afresh.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::event::Event;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::view::{AgentView, Overview};

/// Frames kept for listeners that come back or fall behind.
pub const FRAMES_KEPT: usize = 2_048;

/// What a listener is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "frames are shared behind an Arc")]
pub enum Payload {
    /// Something was recorded in the ledger.
    Event {
        /// The event.
        event: Event,
    },
    /// The swarm as it is now, about once a second.
    Swarm {
        /// The whole at a glance.
        overview: Overview,
        /// The agents whose view differs from the frame before.
        agents: Vec<AgentView>,
    },
    /// Frames are missing before this one: read everything afresh.
    Reset,
}

/// A numbered message of the live stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Frame {
    /// The version of this format.
    pub version: u32,
    /// The run of the engine the number belongs to.
    pub epoch: String,
    /// The number, from 1 without gaps.
    pub seq: u64,
    /// What there is to tell.
    pub payload: Payload,
}
