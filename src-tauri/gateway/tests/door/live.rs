//! The live stream over real sockets: the same frames either way, each as the published schema says.

use std::collections::{BTreeMap, BTreeSet};

use engine::live::{Frame, LiveTopic, Payload};
use futures::{SinkExt as _, Stream, StreamExt as _};
use http::{Request, StatusCode};
use jsonschema::Validator;
use model::event::{Event, Fact};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::api::agent;
use crate::{House, PATIENCE};

/// A listener over a WebSocket that holds each frame against the schema.
struct Listening {
    socket: WebSocketStream<TcpStream>,
    schema: Validator,
}

impl House {
    async fn schema(&self) -> Validator {
        let (status, _, schema) = self.ask("GET", "/api/v1/live/schema.json", "").await;
        assert_eq!(status, StatusCode::OK);
        jsonschema::draft202012::new(&schema).unwrap()
    }

    async fn socket(
        &self,
        path: &str,
        token: Option<&str>,
        origin: Option<&str>,
    ) -> Result<WebSocketStream<TcpStream>, Error> {
        let mut request = format!("ws://{}{path}", self.address()).into_client_request().unwrap();
        let mut set = |name: &'static str, value: &str| {
            request.headers_mut().insert(name, value.parse().unwrap());
        };
        if let Some(token) = token {
            set("authorization", &format!("Bearer {token}"));
        }
        if let Some(origin) = origin {
            set("origin", origin);
        }
        let request: Request<()> = request;
        let stream = TcpStream::connect(self.address()).await.unwrap();
        client_async(request, stream).await.map(|(socket, _)| socket)
    }

    async fn listen_to(&self, query: &str) -> Listening {
        let path = format!("/api/v1/live?{query}");
        let socket = self.socket(&path, Some(&self.captain()), None).await.unwrap();
        Listening { socket, schema: self.schema().await }
    }
}

impl Listening {
    async fn next(&mut self) -> Frame {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("something is told").expect("it goes on").unwrap() {
                Message::Text(text) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    let faults: Vec<_> =
                        self.schema.iter_errors(&value).map(|fault| fault.to_string()).collect();
                    assert!(faults.is_empty(), "{faults:?}\n{value:#}");
                    assert!(value.get("correlation_id").is_some(), "{value}");
                    let frame: Frame = serde_json::from_value(value).unwrap();
                    assert_eq!(frame.version, engine::live::FRAME_VERSION);
                    return frame;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn until(&mut self, is: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().await;
            if is(&frame) {
                return frame;
            }
        }
    }

    async fn send(&mut self, ask: Value) {
        self.socket.send(Message::text(ask.to_string())).await.unwrap();
    }
}

fn kind(frame: &Frame) -> String {
    serde_json::to_value(&frame.payload).unwrap()["kind"].as_str().unwrap().to_owned()
}

/// Reads frames until one tells of an agent of that name; gives the events with their numbers.
async fn until_added(
    frames: &mut (impl Stream<Item = Result<Frame, gateway::ClientError>> + Unpin),
    name: &str,
) -> (Vec<Event>, Frame) {
    let mut seen = Vec::new();
    let wait = async {
        while let Some(frame) = frames.next().await {
            let frame = frame.unwrap();
            if let Payload::Events { events } = &frame.payload {
                seen.extend(events.iter().cloned());
            }
            let added = |event: &Event| matches!(&event.fact, Fact::AgentAdded { agent } if agent.name == name);
            if seen.iter().any(added) && frame.seq.is_some() {
                return frame;
            }
        }
        panic!("the stream ended");
    };
    let last = tokio::time::timeout(PATIENCE, wait).await.expect("it is told");
    (seen, last)
}

#[tokio::test]
async fn frames_validate_against_published_schemas_and_carry_version_and_correlation_id() {
    let house = House::open().await;
    let mut live = house.listen_to("").await;
    assert_eq!(kind(&live.next().await), "hello");
    for _ in LiveTopic::STANDING {
        live.until(|frame| kind(frame) == "caught_up").await;
    }
    let added = |event: &&Event| matches!(&event.fact, Fact::AgentAdded { .. });
    let (mut asked, mut event, mut changed) = (None, None, None);
    // A frame that tells of what else happened in the same moment names no request.
    for name in ["ann", "cid", "dan", "eve", "fay"] {
        let (status, _, _) = house.ask("POST", "/api/v1/agents", &agent(name)).await;
        assert_eq!(status, StatusCode::CREATED);
        (asked, event, changed) = (None, None, None);
        let mut alone = true;
        // What was recorded and what it changed are told by themselves, in either order.
        while asked.is_none() || alone && changed.is_none() {
            let told = live.next().await;
            match &told.payload {
                Payload::Events { events } if events.iter().any(|event| added(&event)) => {
                    asked = events.iter().find(added).and_then(|made| made.correlation_id);
                    alone = events.iter().all(|event| event.correlation_id == asked);
                    event = told.correlation_id;
                }
                // An agent is told again, by nobody's request, when it is looked at.
                Payload::Agents { agents, .. }
                    if agents.iter().any(|view| view.agent.name == name) =>
                {
                    changed = changed.or(told.correlation_id);
                }
                _ => {}
            }
        }
        if alone {
            break;
        }
    }
    let asked = asked.map(|id| id.to_string());
    assert!(asked.is_some(), "the request is named");
    assert_eq!(event, asked, "the frame names the request");
    assert_eq!(changed, asked, "and so does what it changed");
    let work = house.at_work("bob").await;
    let topic = format!("transcript:{}", work.attempt.id);
    live.send(json!({"subscribe": [topic], "correlation_id": "mine"})).await;
    // What was done with the mission was told before or after the answer, and not for ever.
    let missions = std::cell::Cell::new(false);
    let answer = live
        .until(|frame| {
            missions.set(missions.get() || kind(frame) == "missions");
            kind(frame) == "topics"
        })
        .await;
    assert_eq!(answer.correlation_id.as_deref(), Some("mine"));
    let seen = |frame: &Frame| missions.set(missions.get() || kind(frame) == "missions");
    live.until(|frame| {
        seen(frame);
        kind(frame) == "conversation"
    })
    .await;
    live.until(|frame| {
        seen(frame);
        kind(frame) == "signals" && missions.get()
    })
    .await;
    house.close().await;
}

#[tokio::test]
async fn what_a_listener_may_not_or_cannot_have_is_refused_and_it_goes_on() {
    let house = House::open().await;
    let mut live = house.listen_to("topics=events").await;
    live.until(|frame| kind(frame) == "caught_up").await;
    for ask in [
        json!({"subscribe": ["alerts"], "correlation_id": "1"}),
        json!({"subscribe": ["transcript:0"], "correlation_id": "1"}),
        json!({"subscribe": [format!("transcript:{}", uuid::Uuid::now_v7())]}),
        json!([1]),
        json!({"subscribe": vec!["x".repeat(100); 100]}),
    ] {
        live.send(ask.clone()).await;
        let refused = live.until(|frame| kind(frame) == "refused").await;
        let Payload::Refused { problem, .. } = refused.payload else { panic!("{ask}") };
        assert!(!problem.is_empty());
    }
    live.socket.send(Message::binary(vec![0_u8, 1])).await.unwrap();
    live.until(|frame| kind(frame) == "refused").await;
    house.ask("POST", "/api/v1/agents", &agent("ann")).await;
    live.until(|frame| kind(frame) == "events").await;
    // What is longer than any wish ends the connection.
    let long = Message::text("x".repeat(20 * 1024));
    drop(live.socket.send(long).await);
    let ended = async { while let Some(Ok(_)) = live.socket.next().await {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("it is dropped");
    house.close().await;
}

#[tokio::test]
async fn a_socket_is_opened_to_this_engines_own_page_or_a_token_and_to_nobody_else() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let captain = house.captain();
    let own = format!("http://{}", house.address());
    let check = async |token: Option<&str>, origin: Option<&str>, status: u16| match house
        .socket("/api/v1/live", token, origin)
        .await
    {
        Ok(_) => assert_eq!(status, 101, "{token:?} {origin:?}"),
        Err(Error::Http(answer)) => {
            assert_eq!(answer.status().as_u16(), status, "{token:?} {origin:?}");
        }
        Err(error) => panic!("{error}"),
    };
    check(Some(&captain), None, 101).await;
    check(Some(&captain), Some(&own), 101).await;
    check(Some(&captain), Some("http://attacker.example"), 403).await;
    check(Some(&captain), Some("null"), 403).await;
    check(None, Some(&own), 401).await;
    check(Some("hk_wrong"), None, 401).await;
    check(Some(&work.token), None, 403).await;
    let unknown = house.socket("/api/v1/live?topics=alerts", Some(&captain), None).await;
    assert!(matches!(unknown, Err(Error::Http(answer)) if answer.status() == 422));
    house.close().await;
}

#[tokio::test]
async fn a_listener_that_comes_back_gets_every_event_once() {
    let house = House::open().await;
    let client = house.client();
    let topics = [LiveTopic::Events, LiveTopic::Agents];
    let mut frames = Box::pin(client.live(None, &topics).await.unwrap());
    house.ask("POST", "/api/v1/agents", &agent("ann")).await;
    let (seen, last) = until_added(&mut frames, "ann").await;
    drop(frames);
    for name in ["bob", "cid", "dot"] {
        house.ask("POST", "/api/v1/agents", &agent(name)).await;
    }
    let from = Some((last.epoch.as_str(), last.seq.unwrap()));
    let mut frames = Box::pin(client.live(from, &topics).await.unwrap());
    let (rest, _) = until_added(&mut frames, "dot").await;
    let numbers: Vec<u64> = seen.iter().chain(&rest).map(|event| event.seq).collect();
    let expected: Vec<u64> = (numbers[0]..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "gap or duplicate");
    house.close().await;
}

/// Numbers that look thrown, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What a listener that is cut off again and again has heard.
#[derive(Default)]
struct Heard {
    /// Where it goes on.
    place: Option<(String, u64)>,
    events: Vec<u64>,
    names: BTreeMap<String, String>,
    /// Topics of which the snapshot is whole: only then is there something to go on from.
    whole: usize,
    done: bool,
}

impl Heard {
    /// What is asked for to go on.
    fn query(&self) -> String {
        let from = self.place.as_ref().map(|(epoch, seq)| format!("&epoch={epoch}&since={seq}"));
        format!("topics=events,agents{}", from.unwrap_or_default())
    }

    fn take(&mut self, frame: Frame, last: &str) {
        match frame.payload {
            Payload::Events { events } => {
                for event in events {
                    self.events.push(event.seq);
                    if let Fact::AgentAdded { agent } = &event.fact {
                        self.done |= agent.name == last;
                    }
                }
            }
            Payload::Agents { agents, removed } => {
                removed.iter().for_each(|id| drop(self.names.remove(&id.to_string())));
                let named = agents.into_iter().map(|it| (it.agent.id.to_string(), it.agent.name));
                self.names.extend(named);
            }
            Payload::Reset { .. } if self.place.is_some() => panic!("it began anew"),
            Payload::CaughtUp { topics } => self.whole += topics.len(),
            _ => {}
        }
        if let Some(seq) = frame.seq.filter(|_| self.whole >= 2) {
            self.place = Some((frame.epoch, seq));
        }
    }
}

/// Reads so many frames over one connection, one way or the other, and breaks off.
async fn hear(house: &House, heard: &mut Heard, frames: u64, socket: bool, last: &str) {
    let topics = [LiveTopic::Events, LiveTopic::Agents];
    if heard.place.is_none() {
        // Inside of a snapshot is nothing to go on from.
        *heard = Heard::default();
    }
    if socket {
        let mut live = house.listen_to(&heard.query()).await;
        for _ in 0..frames {
            heard.take(live.next().await, last);
            if heard.done {
                return;
            }
        }
    } else {
        let client = house.client();
        let from = heard.place.clone();
        let from = from.as_ref().map(|(epoch, seq)| (epoch.as_str(), *seq));
        let mut live = Box::pin(client.live(from, &topics).await.unwrap());
        for _ in 0..frames {
            let next = tokio::time::timeout(PATIENCE, live.next()).await;
            heard.take(next.expect("something is told").unwrap().unwrap(), last);
            if heard.done {
                return;
            }
        }
    }
}

#[tokio::test]
async fn who_is_cut_off_at_random_moments_has_neither_gap_nor_duplicate_either_way() {
    let one = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = one.map_or_else(|| (1..=2).collect(), |seed: u64| vec![seed]);
    for seed in seeds {
        let house = House::open().await;
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let changes = async {
            for n in 0..40 {
                let added = house.ask("POST", "/api/v1/agents", &agent(&format!("a{n}"))).await;
                assert_eq!(added.0, StatusCode::CREATED);
                if n % 4 == 3 {
                    house.ask("DELETE", &format!("/api/v1/agents/a{}", n - 1), "").await;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            house.ask("POST", "/api/v1/agents", &agent("the last")).await;
        };
        let mut heard = Heard::default();
        let listening = async {
            let mut cuts = 0;
            while !heard.done {
                // To break off before anything was read, or with something unread, is one way, too.
                let (frames, socket) = (dice.below(6), dice.below(2) == 0);
                hear(&house, &mut heard, frames, socket, "the last").await;
                cuts += 1;
            }
            cuts
        };
        let ((), cuts) = tokio::join!(changes, listening);
        assert!(cuts > 5, "{cuts}");
        let first = heard.events[0];
        let expected: Vec<u64> = (first..).take(heard.events.len()).collect();
        assert_eq!(heard.events, expected, "gap or duplicate with SEED={seed}");
        // What it knows of the agents in the end is what is true.
        let (_, _, listed) = house.ask("GET", "/api/v1/agents", "").await;
        let is: BTreeSet<String> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect();
        let mut live = house.listen_to(&heard.query()).await;
        while heard.names.values().cloned().collect::<BTreeSet<_>>() != is {
            heard.take(live.next().await, "the last");
        }
        house.close().await;
    }
}

#[tokio::test]
async fn a_listener_of_another_run_begins_with_a_snapshot() {
    let house = House::open().await;
    house.ask("POST", "/api/v1/agents", &agent("ann")).await;
    let mut live = house.listen_to("topics=agents&epoch=another&since=7").await;
    let kinds = [live.next().await, live.next().await, live.next().await, live.next().await];
    assert_eq!(kinds.each_ref().map(kind), ["hello", "reset", "agents", "caught_up"]);
    let Payload::Agents { agents, .. } = &kinds[2].payload else { panic!("{kinds:?}") };
    assert_eq!(agents.len(), 1);
    assert_eq!((kinds[1].seq, kinds[2].seq), (None, None), "inside of it is nothing to go on from");
    assert!(kinds[3].seq.is_some());
    house.close().await;
}

/// What a window on another engine hears until it is told this.
async fn heard_until(
    frames: &mut (impl Stream<Item = String> + Unpin),
    is: impl Fn(&Frame) -> bool,
) -> Frame {
    loop {
        let text = tokio::time::timeout(PATIENCE, frames.next()).await.expect("something is told");
        let frame: Frame = serde_json::from_str(&text.expect("it goes on")).unwrap();
        if is(&frame) {
            return frame;
        }
    }
}

#[tokio::test]
async fn a_window_on_another_engine_has_one_stream_that_goes_on_or_ends_as_a_whole() {
    use engine::live::{LiveFrom, Wish};
    let house = House::open().await;
    let client = gateway::Client::for_data_dir(house.engine.data_dir()).unwrap();
    let (wishes, asked) = tokio::sync::mpsc::channel(4);
    let from = LiveFrom { topics: vec![LiveTopic::Events], ..LiveFrom::default() };
    let mut frames = Box::pin(client.converse(&from, asked).await.unwrap());
    heard_until(&mut frames, |frame| kind(frame) == "caught_up").await;

    // What is asked for later comes over the same connection, in one order.
    let wish = |text: &str| Wish::read(text, |_| true);
    let ask = r#"{"subscribe":["agents"],"correlation_id":"more"}"#;
    wishes.send(wish(ask)).await.unwrap();
    let answer = heard_until(&mut frames, |frame| kind(frame) == "topics").await;
    assert_eq!(answer.correlation_id.as_deref(), Some("more"));
    let caught_up = heard_until(&mut frames, |frame| kind(frame) == "caught_up").await;
    assert_eq!(caught_up.topic, Some(LiveTopic::Agents));
    assert_eq!(house.engine.listeners(), 1, "one connection for all");

    // What cannot be had is said, whoever finds out.
    let ask = r#"{"subscribe":["nothing"],"correlation_id":"none"}"#;
    wishes.send(wish(ask)).await.unwrap();
    let refused = heard_until(&mut frames, |frame| kind(frame) == "refused").await;
    assert_eq!(refused.correlation_id.as_deref(), Some("none"));
    assert_eq!(refused.epoch, house.engine.epoch());

    // It comes back with the number of the last frame and misses nothing of either topic.
    let (status, _, _) = house.ask("POST", "/api/v1/agents", &agent("ann")).await;
    assert_eq!(status, StatusCode::CREATED);
    let told = heard_until(&mut frames, |frame| kind(frame) == "agents" && frame.seq.is_some());
    let since = told.await.seq;
    drop((frames, wishes));
    let (status, _, _) = house.ask("POST", "/api/v1/agents", &agent("bob")).await;
    assert_eq!(status, StatusCode::CREATED);
    let topics = vec![LiveTopic::Events, LiveTopic::Agents];
    let epoch = Some(house.engine.epoch().to_owned());
    let (_wishes, asked) = tokio::sync::mpsc::channel(4);
    let from = LiveFrom { topics, epoch, since };
    let mut frames = Box::pin(client.converse(&from, asked).await.unwrap());
    let is_bob = |frame: &Frame| match &frame.payload {
        Payload::Agents { agents, .. } => agents.iter().any(|view| view.agent.name == "bob"),
        Payload::Reset { .. } => panic!("it began anew: {frame:?}"),
        _ => false,
    };
    heard_until(&mut frames, is_bob).await;

    // When the engine ends, the whole stream does: no topic stands still in silence.
    house.host.close().await;
    house.engine.shutdown().await;
    let end = async { while frames.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, end).await.expect("it ends");
}
