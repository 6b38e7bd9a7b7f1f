//! What a listener is told: the frames of the live stream, version 2.

use std::sync::Arc;

use model::event::Event;
use model::id::{AgentId, AttemptId, MissionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LiveTopic;
use crate::view::{
    AgentView, ConversationPage, EntryAt, InboxTotals, MissionView, Overview, RequestView,
};

/// The version of the frame format.
pub const FRAME_VERSION: u32 = 2;
/// The size of a frame that is aimed at, in bytes; what is more goes into the next one.
pub const FRAME_BYTES_AIM: usize = 768 * 1024;

/// What a listener is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a payload is made once and serialised at once")]
pub enum Payload {
    /// The first frame of every connection.
    Hello {
        /// What it listens to.
        #[schema(value_type = Vec<String>)]
        topics: Vec<LiveTopic>,
    },
    /// A wish was granted.
    Topics {
        /// What the connection listens to now.
        #[schema(value_type = Vec<String>)]
        topics: Vec<LiveTopic>,
    },
    /// A wish was not granted; the connection goes on as it was.
    Refused {
        /// What happened.
        problem: String,
        /// What to do.
        hint: Option<String>,
        /// What would have been understood.
        allowed: Vec<String>,
    },
    /// What was known of these topics does not hold any more: a snapshot of each follows.
    Reset {
        /// The topics.
        #[schema(value_type = Vec<String>)]
        topics: Vec<LiveTopic>,
    },
    /// The snapshot of these topics is complete; what follows are changes of it.
    CaughtUp {
        /// The topics.
        #[schema(value_type = Vec<String>)]
        topics: Vec<LiveTopic>,
    },
    /// The connection was too slow for what happens. It ends here; come back to be told afresh.
    Lagging {
        /// How many frames are gone, those about other topics included.
        missed: u64,
    },
    /// Agents as they are now.
    Agents {
        /// Those that are new or different.
        agents: Vec<AgentView>,
        /// Those that are gone.
        removed: Vec<AgentId>,
    },
    /// Missions as they are now, as a list shows them.
    Missions {
        /// Those that are new or different.
        missions: Vec<MissionView>,
        /// Those that are gone.
        removed: Vec<MissionId>,
        /// Whether there are older ones that this snapshot leaves out; the list has them.
        more: bool,
    },
    /// What is measured and counted, about once a second and after every change.
    Signals {
        /// The whole at a glance.
        overview: Overview,
    },
    /// What was recorded in the ledger, oldest first. Long texts in it are cut to 1 KiB.
    Events {
        /// The events.
        events: Vec<Event>,
    },
    /// What agents ask.
    Inbox {
        /// Requests that are new or different; one that is not open any more is to be taken out.
        requests: Vec<RequestView>,
        /// How much waits.
        counts: InboxTotals,
    },
    /// The end of a conversation.
    Conversation {
        /// The attempt.
        attempt_id: AttemptId,
        /// Its last entries, as many as fit into a frame.
        page: ConversationPage,
    },
    /// What is new or different in a conversation.
    Transcript {
        /// The attempt.
        attempt_id: AttemptId,
        /// Entries as they are now, in the order they changed.
        entries: Vec<EntryAt>,
        /// The revision this reaches to.
        revision: u64,
    },
}

/// A message of the live stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Frame {
    /// The version of this format.
    pub version: u32,
    /// The run of the engine the number belongs to.
    pub epoch: String,
    /// Where to go on after this frame; nothing where nobody can go on from, such as inside of a
    /// snapshot. Numbers grow; those in between belong to other topics.
    pub seq: Option<u64>,
    /// What it is about; nothing where it is about the connection itself.
    #[schema(value_type = Option<String>)]
    pub topic: Option<LiveTopic>,
    /// The request that led to it, the latest where several did; in an answer to a wish, what the
    /// listener called it.
    pub correlation_id: Option<String>,
    /// What there is to tell.
    pub payload: Payload,
}

/// A frame, serialised once for all listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentFrame {
    /// Where to go on after it; nothing where nobody can go on from.
    pub seq: Option<u64>,
    /// What it is about.
    pub topic: Option<LiveTopic>,
    /// Whether everything that was asked for up to here has been told, so that a listener that
    /// knows no more than this number can come back with it.
    pub whole: bool,
    /// The [`Frame`] as JSON.
    pub json: Arc<str>,
}

/// A part of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The number of the last frame about the topic that it includes.
    pub seq: u64,
    /// Its parts, in order.
    pub parts: Vec<Payload>,
}
