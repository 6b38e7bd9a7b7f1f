//! The hub: numbers frames, keeps the last of them, and knows who listens to what.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::event::Event;
use model::id::AttemptId;
use model::refusal::{Code, Refusal};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::frame::{FRAME_VERSION, Frame, Payload, SentFrame};
use super::ring::Rings;
use super::topic::LiveTopic;

/// Frames kept for listeners that come back or fall behind.
pub const FRAMES_KEPT: usize = 4_096;
/// Bytes of frames kept; whichever limit is reached first holds.
pub const BYTES_KEPT: usize = 4 * 1024 * 1024;
/// Bytes of snapshots that are on their way to listeners at once; whoever needs one more waits.
const SNAPSHOTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Snapshots that are made at once.
const MAKING_MAX: usize = 2;
/// Conversations that are followed at once for listeners.
const FOLLOWED_MAX: usize = 512;
/// How long a topic goes on after its last listener has left, so that one that comes back finds no
/// gap.
const LINGER: Duration = Duration::from_secs(60);

/// Numbers frames and hands them to listeners.
#[derive(Debug)]
pub struct Hub {
    epoch: Arc<str>,
    limits: Limits,
    state: Mutex<State>,
    latest: watch::Sender<u64>,
    events_through: Mutex<u64>,
    /// Frames that listeners were too slow for.
    dropped: AtomicU64,
    /// Wakes those who make frames: there is somebody to make them for.
    pub(crate) wanted: Notify,
    /// Wakes the one who follows conversations.
    pub(crate) to_follow: Notify,
    /// Places to make snapshots.
    pub(super) making: Semaphore,
    /// Room for snapshots that are on their way, in KiB.
    pub(super) room: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) frames: usize,
    pub(super) bytes: usize,
    pub(super) linger: Duration,
    /// Bytes of snapshots that are on their way.
    pub(super) snapshots: usize,
}

#[derive(Debug, Default)]
struct State {
    rings: Rings,
    latest: u64,
    standing: HashMap<LiveTopic, Standing>,
    followed: HashMap<AttemptId, Followed>,
}

/// Who listens to a topic.
#[derive(Debug, Default)]
struct Standing {
    listeners: usize,
    left_at: Option<Instant>,
}

impl Standing {
    fn is_wanted(&self, linger: Duration) -> bool {
        self.listeners > 0 || self.left_at.is_some_and(|left| left.elapsed() < linger)
    }
}

/// A conversation that somebody listens to.
#[derive(Debug)]
struct Followed {
    /// What was told so far.
    revision: u64,
    /// Whether there may be more than that.
    news: bool,
}

/// What there is for a listener after the number it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A frame.
    Frame(SentFrame),
    /// Frames it should have got are gone: so many.
    Lost(u64),
    /// Nothing yet, up to this number.
    Nothing(u64),
}

impl Hub {
    /// Starts an epoch.
    #[must_use]
    pub fn new(epoch: String) -> Arc<Self> {
        let limits = Limits {
            frames: FRAMES_KEPT,
            bytes: BYTES_KEPT,
            linger: LINGER,
            snapshots: SNAPSHOTS_BYTES_MAX,
        };
        Self::with_limits(epoch, limits)
    }

    pub(super) fn with_limits(epoch: String, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            epoch: epoch.into(),
            limits,
            state: Mutex::default(),
            latest: watch::Sender::new(0),
            dropped: AtomicU64::new(0),
            events_through: Mutex::default(),
            wanted: Notify::new(),
            to_follow: Notify::new(),
            making: Semaphore::new(MAKING_MAX),
            room: Arc::new(Semaphore::new(limits.snapshots.div_ceil(1024))),
        })
    }

    /// The most bytes that one snapshot may have.
    pub(super) const fn snapshot_bytes_max(&self) -> usize {
        self.limits.snapshots / 2
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

    /// Frames that listeners were too slow for, since the start.
    pub(crate) fn frames_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a frame about a topic and hands it to everybody who listens to it.
    pub fn publish(&self, topic: LiveTopic, correlation_id: Option<String>, payload: Payload) {
        let seq = {
            let mut state = self.state();
            if let LiveTopic::Transcript(id) = topic
                && !state.followed.contains_key(&id)
            {
                // Followed no more since it was read: whoever comes back begins with a snapshot.
                return;
            }
            let seq = state.latest + 1;
            let frame =
                Frame { seq: Some(seq), topic: Some(topic), ..self.blank(correlation_id, payload) };
            let Some(frame) = sent(&frame) else {
                return;
            };
            state.latest = seq;
            state.rings.push(topic, seq, frame);
            state.rings.trim(self.limits.frames, self.limits.bytes);
            seq
        };
        self.latest.send_replace(seq);
    }

    /// Tells events, the last of which has this place in the ledger. Where nobody listens, it is
    /// noted only that they are past.
    pub(crate) fn publish_events(
        &self,
        through: u64,
        correlation_id: Option<String>,
        events: Vec<Event>,
    ) {
        let mut told = self.events();
        if self.is_wanted(LiveTopic::Events) {
            self.publish(LiveTopic::Events, correlation_id, Payload::Events { events });
        }
        *told = through;
    }

    /// The number of the last frame, and the place in the ledger of the last event told by then.
    pub(crate) fn events_through(&self) -> (u64, u64) {
        let told = self.events();
        (self.latest(), *told)
    }

    /// Notes that events up to a place in the ledger are past.
    pub(crate) fn told_events_through(&self, through: u64) {
        *self.events() = through;
    }

    fn events(&self) -> MutexGuard<'_, u64> {
        self.events_through.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame about the connection itself or a part of a snapshot: it has no number of its own.
    pub(super) fn aside(
        &self,
        topic: Option<LiveTopic>,
        seq: Option<u64>,
        correlation_id: Option<String>,
        payload: Payload,
    ) -> Option<SentFrame> {
        sent(&Frame { seq, topic, ..self.blank(correlation_id, payload) })
    }

    fn blank(&self, correlation_id: Option<String>, payload: Payload) -> Frame {
        Frame {
            version: FRAME_VERSION,
            epoch: self.epoch.to_string(),
            seq: None,
            topic: None,
            correlation_id,
            payload,
        }
    }

    /// The number of the last frame.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.state().latest
    }

    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// The next frame after `seen` about topics of which a listener has everything up to a number.
    pub(super) fn after(&self, seen: u64, topics: &HashMap<LiveTopic, u64>) -> Next {
        let state = self.state();
        if let Some(lost) = state.rings.lost(seen, topics) {
            self.dropped.fetch_add(lost, Ordering::Relaxed);
            return Next::Lost(lost);
        }
        let next = state.rings.next(seen, topics);
        next.cloned().map_or(Next::Nothing(state.latest), Next::Frame)
    }

    /// Notes that somebody listens to a topic, and says whether it can go on from a number up to
    /// which it has everything. One step: in between, the topic could lapse.
    pub(super) fn join(&self, topic: LiveTopic, since: Option<u64>) -> bool {
        let goes_on = {
            let mut state = self.state();
            let wanted = state.is_wanted(topic, self.limits);
            let goes_on = wanted && since.is_some_and(|since| state.can_go_on(topic, since));
            if !wanted {
                state.begin(topic);
            }
            let standing = state.standing.entry(topic).or_default();
            standing.listeners += 1;
            standing.left_at = None;
            goes_on
        };
        self.wanted.notify_one();
        goes_on
    }

    /// Notes that somebody listens to a topic no more.
    pub(super) fn leave(&self, topic: LiveTopic) {
        let mut state = self.state();
        let Some(standing) = state.standing.get_mut(&topic) else {
            return;
        };
        standing.listeners = standing.listeners.saturating_sub(1);
        if standing.listeners > 0 {
            return;
        }
        standing.left_at = Some(Instant::now());
        if let LiveTopic::Transcript(id) = topic
            && !state.followed.contains_key(&id)
        {
            // Nobody ever had its snapshot, so nobody comes back to it.
            state.forget(topic);
        }
    }

    /// Whether frames about a topic are made for anybody. Where they are not, whoever comes back
    /// begins with a snapshot.
    pub(crate) fn is_wanted(&self, topic: LiveTopic) -> bool {
        let mut state = self.state();
        let wanted = state.is_wanted(topic, self.limits);
        if !wanted {
            state.forget(topic);
        }
        wanted
    }

    /// Whether somebody else listens to a topic than the one who has just begun to. Where nobody
    /// does, what is not told now is told to nobody: who comes back begins with a snapshot.
    pub(crate) fn others_listen(&self, topic: LiveTopic) -> bool {
        let mut state = self.state();
        let others = state.standing.get(&topic).is_some_and(|it| it.listeners > 1);
        if !others {
            state.begin(topic);
        }
        others
    }

    /// Follows a conversation from a revision on, unless it is followed already.
    ///
    /// # Errors
    /// When too many are followed.
    pub(crate) fn follow(&self, id: AttemptId, revision: u64) -> Result<(), Refusal> {
        {
            let mut state = self.state();
            if !state.followed.contains_key(&id) {
                state.forget_unwanted(self.limits);
                if state.followed.len() >= FOLLOWED_MAX {
                    return Err(Refusal::new(
                        Code::Busy,
                        format!("{FOLLOWED_MAX} conversations are listened to already"),
                    )
                    .hint("listen to fewer at once, or read this one by requests"));
                }
                // What came between the reading of that revision and now is looked for.
                state.followed.insert(id, Followed { revision, news: true });
            }
        }
        self.to_follow.notify_one();
        Ok(())
    }

    /// Notes that a conversation changed; whether anybody follows it.
    pub(crate) fn changed(&self, id: AttemptId) -> bool {
        let mut state = self.state();
        let followed = state.followed.get_mut(&id);
        followed.map(|followed| followed.news = true).is_some()
    }

    /// Notes that any conversation may have changed.
    pub(crate) fn all_changed(&self) {
        self.state().followed.values_mut().for_each(|followed| followed.news = true);
    }

    /// The conversations with news, each with the revision that was told so far. Those that nobody
    /// has listened to for a while are followed no more.
    pub(crate) fn with_news(&self) -> Vec<(AttemptId, u64)> {
        let mut state = self.state();
        state.forget_unwanted(self.limits);
        let news = state.followed.iter().filter(|(_, it)| it.news);
        news.map(|(id, it)| (*id, it.revision)).collect()
    }

    /// Notes up to which revision a conversation was told, and whether there is more.
    pub(crate) fn told(&self, id: AttemptId, revision: u64, more: bool) {
        if let Some(followed) = self.state().followed.get_mut(&id) {
            followed.revision = followed.revision.max(revision);
            followed.news |= more;
        }
    }

    /// Notes that the news of a conversation are being looked for.
    pub(crate) fn looking(&self, id: AttemptId) {
        if let Some(followed) = self.state().followed.get_mut(&id) {
            followed.news = false;
        }
    }
}

impl State {
    fn is_wanted(&self, topic: LiveTopic, limits: Limits) -> bool {
        self.standing.get(&topic).is_some_and(|it| it.is_wanted(limits.linger))
    }

    /// Whether a listener that has everything about a wanted topic up to a number can go on there.
    fn can_go_on(&self, topic: LiveTopic, since: u64) -> bool {
        let told = match topic {
            LiveTopic::Transcript(id) => self.followed.contains_key(&id),
            _ => true,
        };
        told && since <= self.latest && self.rings.gone(topic) <= since
    }

    /// Begins a topic anew: something about it was told to nobody. That takes a number of its own,
    /// so that whoever heard the last frame before it is told from those who come after.
    fn begin(&mut self, topic: LiveTopic) {
        self.latest += 1;
        self.rings.begin(topic, self.latest);
    }

    fn forget(&mut self, topic: LiveTopic) {
        self.standing.remove(&topic);
        self.rings.forget(topic);
    }

    /// Follows conversations no more that nobody has listened to for a while.
    fn forget_unwanted(&mut self, limits: Limits) {
        let Self { followed, standing, rings, .. } = self;
        followed.retain(|id, _| {
            let topic = LiveTopic::Transcript(*id);
            let wanted = standing.get(&topic).is_some_and(|it| it.is_wanted(limits.linger));
            if !wanted {
                standing.remove(&topic);
                rings.forget(topic);
            }
            wanted
        });
    }
}

fn sent(frame: &Frame) -> Option<SentFrame> {
    match serde_json::to_string(frame) {
        Ok(json) => {
            Some(SentFrame { seq: frame.seq, topic: frame.topic, whole: true, json: json.into() })
        }
        Err(error) => {
            tracing::error!(%error, "a frame could not be serialised");
            None
        }
    }
}

#[cfg(test)]
impl Hub {
    /// Topics that something is remembered of, and frames that are kept.
    pub(super) fn remembers(&self) -> (usize, usize) {
        let state = self.state();
        (state.standing.len().max(state.rings.topics()), state.rings.frames())
    }
}
