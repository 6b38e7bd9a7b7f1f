//! The live stream: numbered frames about topics in a bounded ring, for any number of listeners.
//!
//! A frame's number belongs to an *epoch*, one run of the engine. A listener that comes back with
//! the epoch and number it saw last gets everything about its topics after it, once; what cannot be
//! told without a gap begins with a snapshot. Frames are made and serialised once for all. Nobody
//! has a queue of its own, so that a slow listener costs nothing but its place in the ring.

mod frame;
mod hub;
mod listener;
mod ring;
mod schema;
mod topic;

pub use frame::{FRAME_BYTES_AIM, FRAME_VERSION, Frame, Payload, SentFrame, Snapshot};
pub use hub::{BYTES_KEPT, FRAMES_KEPT, Hub};
pub use listener::{LiveFrom, Source};
pub use schema::{schema, schema_text};
pub use topic::{CORRELATION_BYTES_MAX, LiveAsk, LiveTopic, TOPICS_MAX, Wish, not_yours};

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod histories;
