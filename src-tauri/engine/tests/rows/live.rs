//! The live stream: what is said and what changes reaches whoever listens, as the schema says.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use engine::ConversationQuery;
use engine::live::{Frame, LiveFrom, LiveTopic, Payload, SentFrame, Wish};
use engine::view::{EntryAt, NewMission};
use futures::{Stream, StreamExt as _};
use jsonschema::Validator;
use model::mission::MissionState;
use tokio::sync::mpsc;

use crate::hive::{Hive, acp, agent, fake_agent, mission};

/// A listener in the same process, as the window is one.
struct Listening {
    frames: Pin<Box<dyn Stream<Item = SentFrame> + Send>>,
    wishes: mpsc::Sender<Wish>,
    schema: Validator,
}

impl Hive {
    fn listen_to(&self, topics: &[LiveTopic]) -> Listening {
        let (wishes, asked) = mpsc::channel(8);
        let from = LiveFrom { topics: topics.to_vec(), ..LiveFrom::default() };
        let schema = engine::live::schema().unwrap();
        Listening {
            frames: Box::pin(self.engine.live(from, asked)),
            wishes,
            schema: jsonschema::draft202012::new(&schema).unwrap(),
        }
    }
}

impl Listening {
    async fn next(&mut self) -> Frame {
        let next = tokio::time::timeout(Duration::from_secs(60), self.frames.next()).await;
        let value = serde_json::from_str(&next.unwrap().unwrap().json).unwrap();
        let faults: Vec<_> = self.schema.iter_errors(&value).map(|it| it.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}\n{value:#}");
        serde_json::from_value(value).unwrap()
    }

    async fn until_caught_up(&mut self) {
        while !matches!(self.next().await.payload, Payload::CaughtUp { .. }) {}
    }
}

#[tokio::test]
async fn what_an_agent_says_reaches_a_listener_as_it_is_said_and_nothing_is_missing() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    let go = hive.place.path().join("go");
    let brief = format!("@say one\n@until {}\n@say two\n@say three", go.display());
    let new = NewMission { policy: Some("trusting".into()), ..mission("Talk", &brief) };
    let id = hive.mission(new).await;
    let attempt =
        hive.until(&id, |state| state == MissionState::Running).await.attempts[0].attempt.id;
    let mut live = hive.listen_to(&[]);
    let wish = Wish::read(&format!(r#"{{"subscribe":["transcript:{attempt}"]}}"#), |_| true);
    live.wishes.send(wish).await.unwrap();
    let mut known: BTreeMap<u64, EntryAt> = BTreeMap::new();
    let mut gone_on = false;
    let mut take = |known: &mut BTreeMap<u64, EntryAt>, frame: Frame| {
        let entries = match frame.payload {
            Payload::Conversation { page, .. } => page.entries,
            Payload::Transcript { entries, .. } => entries,
            _ => return,
        };
        for one in entries {
            let newer = known.get(&one.ordinal).is_none_or(|it| it.revision < one.revision);
            assert!(newer, "nothing is told twice: {one:?}");
            known.insert(one.ordinal, one);
        }
        let said = serde_json::to_string(&known).unwrap();
        if said.contains("one") && !gone_on {
            std::fs::write(&go, "").unwrap();
            gone_on = true;
        }
    };
    while !serde_json::to_string(&known).unwrap().contains("three") {
        let frame = live.next().await;
        take(&mut known, frame);
    }
    hive.until(&id, MissionState::is_final).await;
    let query = ConversationQuery { after: Some(0), ..ConversationQuery::default() };
    let page = hive.engine.conversation(attempt, query).await.unwrap();
    let began = Instant::now();
    while known.len() < page.entries.len() || known.values().ne(page.entries.iter()) {
        assert!(began.elapsed() < Duration::from_secs(30), "something is missing");
        let frame = live.next().await;
        take(&mut known, frame);
    }
}

#[tokio::test]
async fn whoever_listens_knows_the_same_agents_and_missions_as_whoever_asks() {
    let hive = Hive::open().await;
    let mut live = hive.listen_to(&[LiveTopic::Agents, LiveTopic::Missions]);
    live.until_caught_up().await;
    live.until_caught_up().await;
    for name in ["ann", "bob", "cid"] {
        hive.add(agent(name, &format!("{} say hello", fake_agent()))).await;
    }
    let new = NewMission { policy: Some("trusting".into()), ..mission("Go", "x") };
    let id = hive.mission(new).await;
    hive.until(&id, MissionState::is_final).await;
    hive.engine.remove_agent(&hive.caller(), "cid").await.unwrap();
    let asked = hive.engine.agents().await.unwrap().items;
    let missions = hive.engine.missions(engine::MissionQuery::default()).await.unwrap().items;
    let (mut agents, mut told) = (BTreeMap::new(), BTreeMap::new());
    let began = Instant::now();
    loop {
        let same = asked.iter().all(|view| {
            agents.get(&view.agent.id).is_some_and(|it: &engine::view::AgentView| {
                (&it.agent, it.status.state) == (&view.agent, view.status.state)
            })
        });
        if same && agents.len() == asked.len() && told.values().eq(missions.iter()) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{agents:#?}\n{told:#?}");
        match live.next().await.payload {
            Payload::Agents { agents: changed, removed } => {
                agents.extend(changed.into_iter().map(|view| (view.agent.id, view)));
                agents.retain(|id, _| !removed.contains(id));
            }
            Payload::Missions { missions, .. } => {
                told.extend(missions.into_iter().map(|view| (view.mission.id, view)));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn about_one_topic_comes_at_most_one_frame_in_a_tenth_of_a_second() {
    let hive = Hive::open().await;
    let mut live = hive.listen_to(&[LiveTopic::Events]);
    live.until_caught_up().await;
    let began = Instant::now();
    let adding = async {
        for n in 0..60 {
            hive.add(agent(&format!("a{n}"), "true")).await;
        }
    };
    let hearing = async {
        let (mut frames, mut added) = (0_u128, 0);
        while added < 60 {
            if let Payload::Events { events } = live.next().await.payload {
                frames += 1;
                added += events.iter().filter(|it| it.fact.kind() == "agent_added").count();
            }
        }
        frames
    };
    let ((), frames) = tokio::join!(adding, hearing);
    let tenths = began.elapsed().as_millis() / 100;
    assert!(frames <= tenths + 1, "{frames} frames in {tenths} tenths of a second");
}
