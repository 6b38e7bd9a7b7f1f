//! Random histories of publishing, listening, breaking off and coming back: no gap, no duplicate.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use jiff::Timestamp;
use model::event::{Actor, Event, Fact, Subject};
use model::id::{EventId, SystemDraw};
use model::refusal::Refusal;
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hub::Limits;
use super::*;

/// Frames the hub of a history keeps: few, so that many come back too late.
const KEPT: usize = 4;
/// The topics of a history; on each, numbers are told in order.
const TOPICS: [LiveTopic; 3] = [LiveTopic::Events, LiveTopic::Inbox, LiveTopic::Agents];

fn event(seq: u64) -> Event {
    Event {
        seq,
        id: EventId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw),
        at: Timestamp::UNIX_EPOCH,
        actor: Actor::Engine,
        correlation_id: None,
        subject: Subject::default(),
        mission_seq: None,
        fact: Fact::EngineStopped,
    }
}

/// What was told on each topic: the numbers 1 to `n`. A snapshot is all of them.
#[derive(Clone)]
struct World {
    hub: Arc<Hub>,
    told: Arc<Mutex<BTreeMap<LiveTopic, u64>>>,
}

impl World {
    fn new() -> Self {
        Self::lingering(Duration::from_secs(60))
    }

    fn lingering(linger: Duration) -> Self {
        let limits = Limits { frames: KEPT, bytes: 1 << 20, linger, snapshots: 1 << 20 };
        let hub = Hub::with_limits("e".to_owned(), limits);
        Self { hub, told: Arc::default() }
    }

    fn publish(&self, topic: LiveTopic, how_many: u64) {
        let mut told = self.told.lock().unwrap();
        let last = told.entry(topic).or_default();
        let events = (*last + 1..=*last + how_many).map(event).collect();
        *last += how_many;
        // As the engine does: nothing is made for topics that nobody listens to.
        if self.hub.is_wanted(topic) {
            self.hub.publish(topic, None, Payload::Events { events });
        }
    }
}

impl Source for World {
    async fn snapshot(&self, topic: LiveTopic) -> Result<Snapshot, Refusal> {
        let told = self.told.lock().unwrap();
        let n = told.get(&topic).copied().unwrap_or(0);
        let parts = (1..=n)
            .collect::<Vec<_>>()
            .chunks(7)
            .map(|part| Payload::Events { events: part.iter().copied().map(event).collect() })
            .collect();
        Ok(Snapshot { seq: self.hub.latest(), parts })
    }
}

/// A mistake that a client or a hub could make; a history has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// It comes back with the number before the one it saw last.
    OneTooEarly,
    /// It comes back with the number after it.
    OneTooLate,
    /// It takes a snapshot that broke off for a whole one.
    HalfASnapshot,
    /// Frames are lost on their way.
    LosesFrames,
}

/// A client that keeps exactly to what the frames say.
struct Listening {
    world: World,
    mistake: Mistake,
    stream: Option<Pin<Box<dyn Stream<Item = SentFrame> + Send>>>,
    wishes: Option<mpsc::Sender<Wish>>,
    wanted: Vec<LiveTopic>,
    /// Topics whose snapshot is complete, with the last number told on them.
    has: BTreeMap<LiveTopic, u64>,
    /// A snapshot under way.
    building: BTreeMap<LiveTopic, u64>,
    since: Option<u64>,
    heard: usize,
    lagged: usize,
}

impl Listening {
    fn connect(&mut self) {
        let (wishes, asked) = mpsc::channel(16);
        self.building.clear();
        let since = self.since.map(|since| match self.mistake {
            Mistake::OneTooEarly => since.saturating_sub(1),
            Mistake::OneTooLate => since + 1,
            _ => since,
        });
        let topics = self.has.keys().copied().collect();
        let from = LiveFrom { topics, epoch: Some("e".to_owned()), since };
        let end = CancellationToken::new();
        let stream = self.world.hub.listen(from, self.world.clone(), asked, end);
        self.stream = Some(Box::pin(stream));
        self.wishes = Some(wishes);
        let rest = self.wanted.iter().copied().filter(|it| !self.has.contains_key(it)).collect();
        self.wish(rest, Vec::new());
    }

    fn wish(&self, subscribe: Vec<LiveTopic>, unsubscribe: Vec<LiveTopic>) {
        let wish = Wish { subscribe, unsubscribe, correlation_id: None, refused: None };
        if let Some(wishes) = &self.wishes {
            wishes.try_send(wish).unwrap();
        }
    }

    /// Takes what is there, at most so many frames.
    fn hear(&mut self, most: usize) -> Result<(), TestCaseError> {
        for _ in 0..most {
            let Some(Some(next)) = self.stream.as_mut().map(|it| it.next().now_or_never()) else {
                return Ok(());
            };
            let Some(frame) = next else {
                self.stream = None;
                return Ok(());
            };
            self.heard += 1;
            if self.mistake == Mistake::LosesFrames && self.heard.is_multiple_of(9) {
                continue;
            }
            self.take(&serde_json::from_str(&frame.json).unwrap())?;
        }
        Ok(())
    }

    fn take(&mut self, frame: &Frame) -> Result<(), TestCaseError> {
        prop_assert!(frame.seq.is_none() || frame.seq >= self.since, "the numbers grow");
        self.since = frame.seq.or(self.since);
        if let Payload::Reset { topics } = &frame.payload {
            for topic in topics.iter().filter(|topic| self.wanted.contains(topic)) {
                self.has.remove(topic);
                self.building.insert(*topic, 0);
                if self.mistake == Mistake::HalfASnapshot {
                    self.has.insert(*topic, 0);
                }
            }
        }
        let Some(topic) = frame.topic else {
            self.lagged += usize::from(matches!(frame.payload, Payload::Lagging { .. }));
            return Ok(());
        };
        match &frame.payload {
            Payload::CaughtUp { .. } => {
                // One that was unsubscribed from meanwhile is not being built any more.
                if let Some(n) = self.building.remove(&topic) {
                    self.has.insert(topic, n);
                }
            }
            Payload::Events { events } => {
                let last = match self.building.get_mut(&topic) {
                    Some(last) => Some(last),
                    None => self.has.get_mut(&topic),
                };
                let Some(last) = last else {
                    // Unsubscribed while it was on its way.
                    return Ok(());
                };
                for event in events {
                    prop_assert_eq!(event.seq, *last + 1, "gap or duplicate on {}", topic);
                    *last = event.seq;
                }
                if self.mistake == Mistake::HalfASnapshot {
                    let n = *last;
                    self.has.insert(topic, n);
                }
            }
            other => prop_assert!(false, "{other:?}"),
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Publish(usize, u64),
    Hear(usize),
    BreakOff,
    Subscribe(usize),
    Unsubscribe(usize),
    /// Somebody else listens to everything, or does so no more.
    Another(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..TOPICS.len(), 1..4u64).prop_map(|(topic, n)| Step::Publish(topic, n)),
        6 => (1..6usize).prop_map(Step::Hear),
        2 => Just(Step::BreakOff),
        1 => (0..TOPICS.len()).prop_map(Step::Subscribe),
        1 => (0..TOPICS.len()).prop_map(Step::Unsubscribe),
        2 => any::<bool>().prop_map(Step::Another),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A clock for what waits, in tests that run to their end at once.
fn clock() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn play(steps: &[Step], mistake: Mistake, linger: Duration) -> Result<usize, TestCaseError> {
    let clock = clock();
    let _entered = clock.enter();
    let world = World::lingering(linger);
    let mut others = Vec::new();
    let mut client = Listening {
        world: world.clone(),
        mistake,
        stream: None,
        wishes: None,
        wanted: vec![LiveTopic::Events],
        has: BTreeMap::new(),
        building: BTreeMap::new(),
        since: None,
        heard: 0,
        lagged: 0,
    };
    for step in steps {
        if client.stream.is_none() {
            client.connect();
        }
        match *step {
            Step::Publish(topic, n) => world.publish(TOPICS[topic], n),
            Step::Hear(most) => client.hear(most)?,
            Step::BreakOff => (client.stream, client.wishes) = (None, None),
            Step::Subscribe(topic) if !client.wanted.contains(&TOPICS[topic]) => {
                client.wanted.push(TOPICS[topic]);
                client.wish(vec![TOPICS[topic]], Vec::new());
                client.hear(1)?;
            }
            Step::Unsubscribe(topic) => {
                let topic = TOPICS[topic];
                client.wanted.retain(|known| *known != topic);
                client.wish(Vec::new(), vec![topic]);
                client.has.remove(&topic);
                client.building.remove(&topic);
                client.hear(1)?;
            }
            Step::Subscribe(_) => {}
            Step::Another(true) => others.push(listen_to(&world, TOPICS.to_vec(), None)),
            Step::Another(false) => others.clear(),
        }
    }
    // Quiet, and everything there is time for: the client has all that was told.
    for _ in 0..20 {
        if client.stream.is_none() {
            client.connect();
        }
        client.hear(10_000)?;
    }
    let told = world.told.lock().unwrap().clone();
    for topic in &client.wanted {
        let has = client.has.get(topic).copied();
        prop_assert_eq!(has, Some(told.get(topic).copied().unwrap_or(0)), "{}", topic);
    }
    Ok(client.lagged)
}

proptest! {
    #[test]
    fn whoever_breaks_off_and_comes_back_has_neither_gap_nor_duplicate(steps in steps()) {
        play(&steps, Mistake::None, Duration::from_secs(60))?;
        // Where topics lapse at once, whoever comes back must not go on because of somebody else.
        play(&steps, Mistake::None, Duration::ZERO)?;
    }
}

#[test]
fn the_histories_notice_every_mistake_and_see_listeners_that_are_too_slow() {
    let histories = |mistake| {
        let config = ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() };
        let mut runner = proptest::test_runner::TestRunner::new_with_rng(
            config,
            proptest::test_runner::TestRng::deterministic_rng(
                proptest::test_runner::RngAlgorithm::ChaCha,
            ),
        );
        let lagged = std::cell::Cell::new(0);
        let result = runner.run(&steps(), |steps| {
            lagged.set(lagged.get() + play(&steps, mistake, Duration::from_secs(60))?);
            Ok(())
        });
        (result.is_ok(), lagged.get())
    };
    let (sound, lagged) = histories(Mistake::None);
    assert!(sound && lagged > 0, "{sound} {lagged}");
    for mistake in
        [Mistake::OneTooEarly, Mistake::OneTooLate, Mistake::HalfASnapshot, Mistake::LosesFrames]
    {
        assert!(!histories(mistake).0, "{mistake:?} is not noticed");
    }
}

#[tokio::test]
async fn a_listener_is_greeted_answered_and_told_when_it_was_too_slow() {
    let world = World::new();
    let (wishes, asked) = mpsc::channel(4);
    let from = LiveFrom { topics: vec![LiveTopic::Events], ..LiveFrom::default() };
    let end = CancellationToken::new();
    let mut stream = Box::pin(world.hub.listen(from, world.clone(), asked, end.clone()));
    let mut next = async || {
        let sent = stream.next().await?;
        Some((sent.whole, serde_json::from_str::<Frame>(&sent.json).unwrap()))
    };
    let kinds = [next().await, next().await, next().await].map(|it| it.unwrap().1.payload);
    assert!(matches!(kinds[0], Payload::Hello { .. }));
    assert!(matches!(kinds[1], Payload::Reset { .. }));
    assert!(matches!(kinds[2], Payload::CaughtUp { .. }));
    let wish = |text: &str| Wish::read(text, |_| true);
    wishes.send(wish(r#"{"subscribe":["inbox"],"correlation_id":"a"}"#)).await.unwrap();
    let answer = next().await.unwrap().1;
    assert_eq!(answer.correlation_id.as_deref(), Some("a"));
    let topics = vec![LiveTopic::Events, LiveTopic::Inbox];
    assert_eq!(answer.payload, Payload::Topics { topics });
    assert!(matches!(next().await.unwrap().1.payload, Payload::Reset { .. }));
    assert!(matches!(next().await.unwrap().1.payload, Payload::CaughtUp { .. }));
    wishes.send(wish(r#"{"subscribe":["nothing"],"correlation_id":"b"}"#)).await.unwrap();
    let answer = next().await.unwrap().1;
    assert_eq!(answer.correlation_id.as_deref(), Some("b"));
    assert!(matches!(answer.payload, Payload::Refused { .. }));
    for _ in 0..KEPT + 1 {
        world.publish(LiveTopic::Inbox, 1);
    }
    assert!(matches!(next().await.unwrap().1.payload, Payload::Lagging { missed: 1 }));
    assert!(next().await.is_none(), "it is dropped");
    drop(stream);
    assert_eq!(world.hub.listeners(), 0);
}

type Told = Pin<Box<dyn Stream<Item = SentFrame> + Send>>;

fn listen_to(world: &World, topics: Vec<LiveTopic>, since: Option<u64>) -> Told {
    let from = LiveFrom { topics, epoch: Some("e".to_owned()), since };
    let (_, wishes) = mpsc::channel(1);
    Box::pin(world.hub.listen(from, world.clone(), wishes, CancellationToken::new()))
}

/// Listens to events only.
fn listen(world: &World, since: Option<u64>) -> Told {
    listen_to(world, vec![LiveTopic::Events], since)
}

async fn next(told: &mut Told) -> Frame {
    serde_json::from_str(&told.next().await.unwrap().json).unwrap()
}

/// The number with which the snapshot of a new listener ends.
async fn caught_up(told: &mut Told) -> Option<u64> {
    loop {
        let frame = next(told).await;
        if matches!(frame.payload, Payload::CaughtUp { .. }) {
            return frame.seq;
        }
    }
}

/// What comes after the greeting to one who has come back with the number it had.
async fn told_after(linger: Duration) -> (Payload, usize) {
    let world = World::lingering(linger);
    let mut first = listen(&world, None);
    let since = caught_up(&mut first).await;
    drop(first);
    world.publish(LiveTopic::Events, 1);
    let kept = world.hub.remembers().1;
    let mut again = listen(&world, since);
    next(&mut again).await;
    (next(&mut again).await.payload, kept)
}

#[tokio::test]
async fn a_topic_goes_on_for_a_while_after_its_last_listener_has_left() {
    let (told, kept) = told_after(Duration::from_secs(60)).await;
    assert!(matches!(told, Payload::Events { .. }) && kept == 1, "what came meanwhile: {told:?}");
    let (told, kept) = told_after(Duration::ZERO).await;
    assert!(matches!(told, Payload::Reset { .. }), "{told:?}");
    assert_eq!(kept, 0, "nothing is made for nobody");
}
