//! One listener: what it has heard, what it is owed, and how it changes its mind.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::Stream;
use model::refusal::Refusal;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::frame::{Payload, SentFrame, Snapshot};
use super::hub::{Hub, Next};
use super::topic::{LiveTopic, TOPICS_MAX, Wish, too_many};

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
    held_back: Option<(LiveTopic, Snapshot)>,
    /// Frames on their way.
    ready: VecDeque<SentFrame>,
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
        let since = from.since.filter(|since| {
            from.epoch.as_deref().is_none_or(|epoch| epoch == self.epoch()) && *since <= latest
        });
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
            over: false,
        };
        for topic in &from.topics {
            let going_on = since.filter(|since| self.can_go_on(*topic, *since));
            self.join(*topic);
            match going_on {
                Some(since) => drop(listener.topics.insert(*topic, since)),
                None => listener.owed.push_back(*topic),
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
                && let Some(topic) = self.owed.pop_front()
            {
                self.read(topic).await;
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

    /// Reads the snapshot of a topic. It is told after everything that other topics told before it,
    /// so that one number says what the listener has.
    async fn read(&mut self, topic: LiveTopic) {
        match self.source.snapshot(topic).await {
            Ok(snapshot) => self.held_back = Some((topic, snapshot)),
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
        for part in snapshot.parts {
            self.aside(Some(topic), None, None, part);
        }
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
            self.hub.join(*topic);
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
