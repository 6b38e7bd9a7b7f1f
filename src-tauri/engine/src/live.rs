//! The live stream: numbered frames in a bounded ring, for any number of listeners.
//!
//! A frame's number belongs to an *epoch*, one run of the engine. A listener that comes back with
//! the epoch and number it saw last gets everything after it, or is told to read afresh.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use model::event::Event;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::view::{AgentView, Overview};

/// The version of the frame format.
pub const FRAME_VERSION: u32 = 1;
/// Frames kept for listeners that come back or fall behind.
pub const FRAMES_KEPT: usize = 2_048;
/// Bytes of frames kept; whichever limit is reached first holds.
pub const BYTES_KEPT: usize = 4 * 1024 * 1024;

/// What a listener is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a payload is made once and serialised at once")]
pub enum Payload {
    /// Something was recorded in the ledger. Long texts in it are cut to 1 KiB.
    Event {
        /// The event.
        event: Event,
    },
    /// The swarm as it is now, about once a second and after every change.
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

/// A frame, serialised once for all listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentFrame {
    /// Its number.
    pub seq: u64,
    /// The [`Frame`] as JSON.
    pub json: Arc<str>,
}

/// Where a listener wants to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveFrom {
    /// The epoch of the last frame it saw.
    pub epoch: Option<String>,
    /// The number of the last frame it saw.
    pub since: Option<u64>,
}

/// Numbers frames and hands them to listeners.
#[derive(Debug)]
pub struct Hub {
    epoch: Arc<str>,
    ring: Mutex<Ring>,
    latest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    frames: VecDeque<SentFrame>,
    bytes: usize,
    latest: u64,
}

impl Hub {
    /// Starts an epoch.
    #[must_use]
    pub fn new(epoch: String) -> Arc<Self> {
        Arc::new(Self {
            epoch: epoch.into(),
            ring: Mutex::new(Ring::default()),
            latest: watch::Sender::new(0),
        })
    }

    /// This run of the engine.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.latest.receiver_count()
    }

    /// Numbers a payload and hands it to everybody who listens.
    pub fn publish(&self, payload: Payload) {
        let seq = {
            let mut ring = self.ring();
            let seq = ring.latest + 1;
            let Some(frame) = self.frame(seq, payload) else {
                return;
            };
            ring.latest = seq;
            ring.bytes += frame.json.len();
            ring.frames.push_back(frame);
            while ring.frames.len() > FRAMES_KEPT || ring.bytes > BYTES_KEPT {
                let Some(old) = ring.frames.pop_front() else {
                    break;
                };
                ring.bytes -= old.json.len();
            }
            seq
        };
        self.latest.send_replace(seq);
    }

    fn frame(&self, seq: u64, payload: Payload) -> Option<SentFrame> {
        let frame = Frame { version: FRAME_VERSION, epoch: self.epoch.to_string(), seq, payload };
        match serde_json::to_string(&frame) {
            Ok(json) => Some(SentFrame { seq, json: json.into() }),
            Err(err) => {
                tracing::error!(%err, "a frame could not be serialised");
                None
            }
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame after `seen`, or a reset when it is no longer there.
    fn after(&self, seen: u64) -> Option<SentFrame> {
        let ring = self.ring();
        if ring.latest <= seen {
            return None;
        }
        let first = ring.frames.front().map_or(ring.latest + 1, |frame| frame.seq);
        if first > seen + 1 {
            return self.frame(ring.latest, Payload::Reset);
        }
        let index = usize::try_from(seen + 1 - first).ok()?;
        ring.frames.get(index).cloned()
    }

    /// Listens from where the listener was, or from now on.
    ///
    /// A listener that cannot be served without a gap gets a [`Payload::Reset`] first.
    pub fn listen(self: &Arc<Self>, from: &LiveFrom) -> impl Stream<Item = SentFrame> + use<> {
        let latest = self.ring().latest;
        let same_epoch = from.epoch.as_deref().is_none_or(|epoch| epoch == &*self.epoch);
        let (seen, reset) = match from.since {
            Some(since) if same_epoch && since <= latest => (since, false),
            Some(_) => (latest, true),
            None => (latest, from.epoch.is_some() && !same_epoch),
        };
        let first = if reset { self.frame(seen, Payload::Reset) } else { None };
        let listener =
            Listener { hub: Arc::clone(self), news: self.latest.subscribe(), seen, first };
        futures::stream::unfold(listener, Listener::next)
    }
}

struct Listener {
    hub: Arc<Hub>,
    news: watch::Receiver<u64>,
    seen: u64,
    first: Option<SentFrame>,
}

impl Listener {
    async fn next(mut self) -> Option<(SentFrame, Self)> {
        if let Some(frame) = self.first.take() {
            return Some((frame, self));
        }
        loop {
            self.news.mark_unchanged();
            if let Some(frame) = self.hub.after(self.seen) {
                self.seen = frame.seq;
                return Some((frame, self));
            }
            self.news.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn seqs(frames: &[SentFrame]) -> Vec<u64> {
        frames.iter().map(|frame| frame.seq).collect()
    }

    fn is_reset(frame: &SentFrame) -> bool {
        let frame: Frame = serde_json::from_str(&frame.json).unwrap();
        frame.payload == Payload::Reset
    }

    async fn take(hub: &Arc<Hub>, from: LiveFrom, n: usize) -> Vec<SentFrame> {
        Box::pin(hub.listen(&from)).take(n).collect().await
    }

    fn from(epoch: &str, since: u64) -> LiveFrom {
        LiveFrom { epoch: Some(epoch.to_owned()), since: Some(since) }
    }

    #[tokio::test]
    async fn a_listener_that_comes_back_gets_everything_after_its_last_frame_once() {
        let hub = Hub::new("e".to_owned());
        for _ in 0..5 {
            hub.publish(Payload::Reset);
        }
        assert_eq!(seqs(&take(&hub, from("e", 2), 3).await), [3, 4, 5]);
    }

    #[tokio::test]
    async fn a_listener_whose_frames_are_gone_is_told_to_read_afresh() {
        let hub = Hub::new("e".to_owned());
        for _ in 0..FRAMES_KEPT + 10 {
            hub.publish(Payload::Reset);
        }
        let latest = (FRAMES_KEPT + 10) as u64;
        let frames = take(&hub, from("e", 3), 1).await;
        assert_eq!(seqs(&frames), [latest]);
        assert!(is_reset(&frames[0]));
    }

    #[tokio::test]
    async fn a_listener_from_another_run_or_the_future_is_told_to_read_afresh() {
        let hub = Hub::new("e".to_owned());
        hub.publish(Payload::Reset);
        for from in [from("other", 1), from("e", 9)] {
            let frames = take(&hub, from, 1).await;
            assert!(is_reset(&frames[0]));
            assert_eq!(seqs(&frames), [1]);
        }
    }

    #[tokio::test]
    async fn a_listener_without_a_past_hears_what_comes_from_now_on() {
        let hub = Hub::new("e".to_owned());
        hub.publish(Payload::Reset);
        let mut listener = Box::pin(hub.listen(&LiveFrom::default()));
        assert_eq!(hub.listeners(), 1);
        hub.publish(Payload::Reset);
        assert_eq!(listener.next().await.map(|frame| frame.seq), Some(2));
        drop(listener);
        assert_eq!(hub.listeners(), 0);
    }
}
