//! One listener: what it has heard, what it is owed, and how it changes its mind.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use model::refusal::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::frame::{Payload, SentFrame, Snapshot};
use super::hub::{Hub, Next};
use super::topic::{LiveTopic, TOPICS_MAX, Wish, too_many};

/// How long a listener waits for room for its snapshot, while others take theirs.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// What a listener begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveFrom {
    /// What it wants to be told about.
    pub topics: Vec<LiveTopic>,
    /// The epoch of the last frame it saw.
    pub epoch: Option<String>,
    /// The number of the last frame it saw.
    pub since: Option<u64>,
}

/// Where snapshots come from.
pub trait Source: Send + Sync + 'static {
    /// Everything about a topic, and the number of the last frame that it includes.
    fn snapshot(&self, topic: LiveTopic) -> impl Future<Output = Result<Snapshot, Refusal>> + Send;
}

/// A snapshot as it is sent, with the room it takes.
struct Prepared {
    seq: u64,
    parts: Vec<SentFrame>,
    room: OwnedSemaphorePermit,
}

struct Listener<S: Source> {
    hub: Arc<Hub>,
    source: S,
    wishes: mpsc::Receiver<Wish>,
    /// Whether somebody can still send wishes.
    hears_wishes: bool,
    end: CancellationToken,
    news: watch::Receiver<u64>,
    /// Everything up to this number was told.
    seen: u64,
    /// What is listened to, and the number from which on.
    topics: HashMap<LiveTopic, u64>,
    /// Topics that begin with a snapshot, which is still to come.
    owed: VecDeque<LiveTopic>,
    /// A snapshot that waits for what other topics told before it.
    held_back: Option<(LiveTopic, Prepared)>,
    /// Frames on their way.
    ready: VecDeque<SentFrame>,
    /// The room of a snapshot that is on its way.
    room: Option<OwnedSemaphorePermit>,
    over: bool,
}

impl<S: Source> Drop for Listener<S> {
    fn drop(&mut self) {
        for topic in self.topics.keys().chain(&self.owed) {
            self.hub.leave(*topic);
        }
        if let Some((topic, _)) = &self.held_back {
            self.hub.leave(*topic);
        }
    }
}

impl Hub {
    /// Listens to topics, from where the listener was or from a snapshot on, until `end` or until
    /// the listener is too slow. Wishes change what it listens to; nobody has to send any.
    pub fn listen<S: Source>(
        self: &Arc<Self>,
        from: LiveFrom,
        source: S,
        wishes: mpsc::Receiver<Wish>,
        end: CancellationToken,
    ) -> impl Stream<Item = SentFrame> + Send + use<S> {
        let latest = self.latest();
        let since = from
            .since
            .filter(|since| from.epoch.as_deref() == Some(self.epoch()) && *since <= latest);
        let mut listener = Listener {
            hub: Arc::clone(self),
            source,
            wishes,
            hears_wishes: true,
            end,
            news: self.news(),
            seen: since.unwrap_or(latest),
            topics: HashMap::new(),
            owed: VecDeque::new(),
            held_back: None,
            ready: VecDeque::new(),
            room: None,
            over: false,
        };
        for topic in &from.topics {
            if listener.listens_to(topic) {
                continue;
            }
            match (self.join(*topic, since), since) {
                (true, Some(since)) => drop(listener.topics.insert(*topic, since)),
                _ => listener.owed.push_back(*topic),
            }
        }
        listener.aside(None, None, None, Payload::Hello { topics: from.topics });
        let new = listener.owed.iter().copied().collect();
        listener.announce(new);
        futures::stream::unfold(listener, Listener::next)
    }
}

impl<S: Source> Listener<S> {
    async fn next(mut self) -> Option<(SentFrame, Self)> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some((frame, self));
            }
            self.room = None;
            if self.over || self.end.is_cancelled() {
                return None;
            }
            if self.hears_wishes
                && let Ok(wish) = self.wishes.try_recv()
            {
                self.grant(wish);
                continue;
            }
            if self.held_back.is_none()
                && let Some(topic) = self.owed.front().copied()
            {
                // It stays owed while it is read: who is gone by then has left it all the same.
                let read = tokio::select! {
                    read = self.prepare(topic) => read,
                    () = self.end.cancelled() => return None,
                };
                self.owed.pop_front();
                self.hold_back(topic, read);
                continue;
            }
            self.news.mark_unchanged();
            if let Some(frame) = self.hear() {
                return Some((frame, self));
            }
            if self.ready.is_empty() && !self.over {
                self.wait().await;
            }
        }
    }

    /// The next frame, or what there is to say instead.
    fn hear(&mut self) -> Option<SentFrame> {
        let until = self.held_back.as_ref().map(|(_, snapshot)| snapshot.seq);
        match self.hub.after(self.seen, &self.topics) {
            Next::Frame(frame) if until.is_none() || frame.seq <= until => {
                self.seen = frame.seq.unwrap_or(self.seen);
                let whole = self.owed.is_empty() && self.held_back.is_none();
                return Some(SentFrame { whole, ..frame });
            }
            Next::Frame(_) => self.tell_held_back(),
            Next::Nothing(latest) => match until {
                Some(_) => self.tell_held_back(),
                None => self.seen = latest,
            },
            Next::Lost(missed) => {
                self.over = true;
                self.aside(None, None, None, Payload::Lagging { missed });
            }
        }
        None
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = self.end.cancelled() => self.over = true,
            changed = self.news.changed() => self.over |= changed.is_err(),
            wish = self.wishes.recv(), if self.hears_wishes => match wish {
                Some(wish) => self.grant(wish),
                None => self.hears_wishes = false,
            },
        }
    }

    fn aside(
        &mut self,
        topic: Option<LiveTopic>,
        seq: Option<u64>,
        correlation_id: Option<String>,
        payload: Payload,
    ) {
        self.ready.extend(self.hub.aside(topic, seq, correlation_id, payload));
    }

    /// Reads the snapshot of a topic and waits for the room it takes: so many listeners as there may
    /// be do not each hold one at once.
    async fn prepare(&self, topic: LiveTopic) -> Result<Prepared, Refusal> {
        let made = async {
            let ended = |_| Refusal::new(Code::Busy, "the engine ends");
            // What was waited for, where there was no room for what was read.
            let mut waited: Option<OwnedSemaphorePermit> = None;
            loop {
                let place = self.hub.making.acquire().await.map_err(ended)?;
                let snapshot = self.source.snapshot(topic).await?;
                let told = |part| self.hub.aside(Some(topic), None, None, part);
                let parts: Vec<SentFrame> = snapshot.parts.into_iter().filter_map(told).collect();
                let bytes = parts.iter().map(|part| part.json.len()).sum::<usize>();
                if bytes > self.hub.snapshot_bytes_max() {
                    return Err(too_large(topic, bytes));
                }
                let kib = bytes.div_ceil(1024);
                let fits = |room: &OwnedSemaphorePermit| room.num_permits() >= kib;
                if let Some(room) = waited.take().filter(fits).or_else(|| self.room_now(kib)) {
                    return Ok(Prepared { seq: snapshot.seq, parts, room });
                }
                // It is read again later, with room for what is added meanwhile: whoever waits does not
                // keep others from reading theirs, nor in memory what has no room.
                drop((parts, place));
                let more = u32::try_from(kib + kib / 8).unwrap_or(u32::MAX);
                let room = Arc::clone(&self.hub.room);
                waited = Some(room.acquire_many_owned(more).await.map_err(ended)?);
            }
        };
        tokio::time::timeout(ROOM_WAIT, made).await.unwrap_or_else(|_| Err(no_room(topic)))
    }

    fn room_now(&self, kib: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(kib).ok()?;
        Arc::clone(&self.hub.room).try_acquire_many_owned(kib).ok()
    }

    /// Keeps what was read until everything is told that other topics told before it, so that one
    /// number says what the listener has.
    fn hold_back(&mut self, topic: LiveTopic, read: Result<Prepared, Refusal>) {
        match read {
            Ok(prepared) => self.held_back = Some((topic, prepared)),
            Err(refusal) => {
                self.hub.leave(topic);
                self.refuse(None, &refusal, Some(topic));
            }
        }
    }

    fn tell_held_back(&mut self) {
        let Some((topic, snapshot)) = self.held_back.take() else {
            return;
        };
        self.ready.extend(snapshot.parts);
        self.room = Some(snapshot.room);
        self.seen = self.seen.max(snapshot.seq);
        self.topics.insert(topic, snapshot.seq);
        self.aside(Some(topic), Some(self.seen), None, Payload::CaughtUp { topics: vec![topic] });
        let whole = self.owed.is_empty();
        for frame in &mut self.ready {
            frame.whole = whole;
        }
    }

    fn listens_to(&self, topic: &LiveTopic) -> bool {
        self.topics.contains_key(topic)
            || self.owed.contains(topic)
            || self.held_back.as_ref().is_some_and(|(held, _)| held == topic)
    }

    fn all(&self) -> Vec<LiveTopic> {
        let held = self.held_back.iter().map(|(topic, _)| topic);
        let mut all: Vec<_> = self.topics.keys().chain(&self.owed).chain(held).copied().collect();
        all.sort_unstable();
        all
    }

    /// Changes what is listened to, and says so.
    fn grant(&mut self, wish: Wish) {
        let Wish { subscribe, unsubscribe, correlation_id, refused } = wish;
        if let Some(refusal) = refused {
            self.refuse(correlation_id, &refusal, None);
            return;
        }
        for topic in unsubscribe {
            let held = self.held_back.as_ref().is_some_and(|(held, _)| *held == topic);
            if held {
                self.held_back = None;
            }
            let known = self.topics.remove(&topic).is_some();
            let owed = self.owed.len();
            self.owed.retain(|owed| *owed != topic);
            if held || known || owed != self.owed.len() {
                self.hub.leave(topic);
            }
        }
        let new: Vec<_> = subscribe.into_iter().filter(|topic| !self.listens_to(topic)).collect();
        if self.all().len() + new.len() > TOPICS_MAX {
            self.refuse(correlation_id, &too_many(), None);
            return;
        }
        for topic in &new {
            self.hub.join(*topic, None);
            self.owed.push_back(*topic);
        }
        let topics = self.all();
        self.aside(None, None, correlation_id, Payload::Topics { topics });
        self.announce(new);
    }

    /// Says that these topics begin anew.
    fn announce(&mut self, topics: Vec<LiveTopic>) {
        if !topics.is_empty() {
            self.aside(None, None, None, Payload::Reset { topics });
        }
    }

    fn refuse(
        &mut self,
        correlation_id: Option<String>,
        refusal: &Refusal,
        topic: Option<LiveTopic>,
    ) {
        let payload = Payload::Refused {
            problem: refusal.message.clone(),
            hint: refusal.hint.clone(),
            allowed: refusal.allowed.clone(),
        };
        self.aside(topic, None, correlation_id, payload);
    }
}

fn too_large(topic: LiveTopic, bytes: usize) -> Refusal {
    let message =
        format!("what there is to tell about '{topic}' is too much at once: {bytes} bytes");
    Refusal::new(Code::InvalidInput, message).hint("read it by requests, a page at a time")
}

fn no_room(topic: LiveTopic) -> Refusal {
    let message = format!(
        "too many listeners are being told about their topics; '{topic}' had to wait for more than {} s",
        ROOM_WAIT.as_secs()
    );
    Refusal::new(Code::Busy, message).hint("subscribe to it again in a while")
}
