//! Messages to agents: kept, ordered, delivered once, and seen for how far they are.

use std::sync::Arc;
use std::time::Duration;

use engine::view::{BroadcastResult, MessageView, NewBroadcast, NewMessage};
use engine::{ConversationQuery, MessageQuery};
use model::conversation::Body;
use model::id::{AttemptId, MessageId};
use model::message::{MessageState, Source, Urgency};
use model::mission::MissionState;
use model::refusal::Code;
use tokio::sync::Mutex;

use crate::hive::{self, Hive, acp, agent, mission};

fn say(text: &str) -> NewMessage {
    NewMessage { text: text.into(), ..NewMessage::default() }
}

fn at_once(text: &str) -> NewMessage {
    NewMessage { urgent: true, ..say(text) }
}

impl Hive {
    async fn say(&self, agent: &str, new: NewMessage) -> MessageId {
        self.engine.send_message(&self.caller(), agent, new).await.unwrap().message.id
    }

    async fn until_message(&self, id: MessageId, state: MessageState) -> MessageView {
        self.until_some(&format!("the message is {state:?}"), async |engine| {
            Some(engine.message(id).await.unwrap()).filter(|view| view.state == state)
        })
        .await
    }

    /// The texts an attempt's agent was given.
    async fn prompts(&self, id: AttemptId) -> Vec<String> {
        let query = ConversationQuery { after: Some(0), ..ConversationQuery::default() };
        let page = self.engine.conversation(id, query).await.unwrap();
        let prompt = |body| match body {
            Body::Prompt { text, .. } => Some(text),
            _ => None,
        };
        page.entries.into_iter().filter_map(|at| prompt(at.entry.body)).collect()
    }

    /// What an attempt's program was given turn by turn, as it was written to it.
    fn turns(&self, id: AttemptId) -> Vec<String> {
        let log = self.engine.data_dir().join("runs").join(id.to_string()).join("stdin.log");
        let text = std::fs::read_to_string(log).unwrap();
        text.lines().filter(|line| line.contains("session/prompt")).map(str::to_owned).collect()
    }

    /// An agent that talks, in the middle of a turn that ends when the file is there.
    async fn in_a_turn(&self, name: &str) -> (String, AttemptId, std::path::PathBuf) {
        self.add(acp(name)).await;
        let go = self.place.path().join(format!("{name}-go"));
        let brief = format!("@say working\n@until {}\n@say done", go.display());
        let new = engine::view::NewMission {
            agent: Some(name.into()),
            policy: Some("trusting".into()),
            ..mission("Talk", &brief)
        };
        let id = self.mission(new).await;
        let detail = self.until(&id, |state| state == MissionState::Running).await;
        let attempt = detail.attempts[0].attempt.id;
        self.until_some("it says something", async |engine| {
            let query = ConversationQuery::default();
            let page = engine.conversation(attempt, query).await.unwrap();
            let said = page.entries.iter().any(
                |at| matches!(&at.entry.body, Body::Message { text } if text.contains("working")),
            );
            said.then_some(())
        })
        .await;
        (id, attempt, go)
    }
}

#[tokio::test]
async fn the_message_view_shows_queued_delivered_agent_started_and_acknowledged_as_separate_timestamps()
 {
    let hive = Hive::open().await;
    let (id, attempt, go) = hive.in_a_turn("ann").await;
    let sent = hive.say("ann", say("and then?\n@say then this")).await;
    let queued = hive.engine.message(sent).await.unwrap();
    assert_eq!(queued.state, MessageState::Queued, "its turn is not over");
    let it = &queued.message;
    assert_eq!((it.delivered_at, it.started_at, it.acknowledged_at), (None, None, None));
    assert_eq!(hive.engine.agent("ann").await.unwrap().messages_waiting, 1);
    std::fs::write(&go, "").unwrap();
    let read = hive.until_message(sent, MessageState::Acknowledged).await.message;
    let times = [read.delivered_at, read.started_at, read.acknowledged_at].map(Option::unwrap);
    assert!(
        read.queued_at <= times[0] && times[0] <= times[1] && times[1] <= times[2],
        "{times:?}"
    );
    assert_eq!(read.attempt_id, Some(attempt));
    hive.until_over(&id).await;
}

#[tokio::test]
async fn a_message_typed_into_a_terminal_is_delivered_and_begun_with_once() {
    let hive = Hive::open().await;
    let shell = "sh -c 'read line; echo \"got $line\"; read end'";
    let tty = engine::view::NewAgent { terminal: true, ..agent("tty", shell) };
    hive.add(tty).await;
    let new = engine::view::NewMission { agent: Some("tty".into()), ..mission("Type", "x") };
    let id = hive.mission(new).await;
    hive.until(&id, |state| state == MissionState::Running).await;
    let sent = hive.say("tty", say("hello there")).await;
    let view = hive.until_message(sent, MessageState::Started).await;
    assert!(view.message.delivered_at <= view.message.started_at, "{view:?}");
    hive.ask(&id, model::transition::MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
    let state = hive.engine.message(sent).await.unwrap().state;
    assert_ne!(state, MessageState::Queued, "the next attempt is not told again");
}

#[tokio::test]
async fn a_message_to_a_working_agent_is_delivered_at_the_next_possible_moment_and_shows_when_it_was_read()
 {
    let hive = Hive::open().await;
    let (id, attempt, go) = hive.in_a_turn("ann").await;
    let sent = hive.say("ann", say("one more thing\n@write more.txt yes\n@say written")).await;
    std::fs::write(&go, "").unwrap();
    hive.until_message(sent, MessageState::Acknowledged).await;
    let detail = hive.until_over(&id).await;
    assert_eq!(detail.attempts.len(), 1, "the same attempt went on");
    let prompts = hive.prompts(attempt).await;
    assert_eq!(prompts.len(), 2, "{prompts:#?}");
    assert!(prompts[1].contains("one more thing"), "{prompts:#?}");
    // Nobody gets it a second time.
    let second = engine::view::NewMission {
        agent: Some("ann".into()),
        policy: Some("trusting".into()),
        ..mission("Next", "@say fine")
    };
    let second = hive.mission(second).await;
    let detail = hive.until_over(&second).await;
    let prompts = hive.prompts(detail.attempts[0].attempt.id).await;
    assert!(prompts.iter().all(|text| !text.contains("one more thing")), "{prompts:#?}");
}

#[tokio::test]
async fn several_updates_to_one_recipient_within_the_window_arrive_as_one_message_listing_all() {
    let hive = Hive::open().await;
    let (id, attempt, go) = hive.in_a_turn("ann").await;
    let mut sent = Vec::new();
    for text in ["first update", "second update", "third update"] {
        sent.push(hive.say("ann", say(text)).await);
    }
    std::fs::write(&go, "").unwrap();
    for message in sent {
        hive.until_message(message, MessageState::Acknowledged).await;
    }
    hive.until_over(&id).await;
    let turns = hive.turns(attempt);
    assert_eq!(turns.len(), 2, "the brief, and one for all three: {turns:#?}");
    let places = ["first", "second", "third"].map(|word| turns[1].find(word).unwrap());
    assert!(places.is_sorted(), "{turns:#?}");
}

#[tokio::test]
async fn urgent_messages_leave_the_queue_before_regular_ones_and_each_shows_its_source() {
    let hive = Hive::open().await;
    let (id, attempt, go) = hive.in_a_turn("ann").await;
    hive.add(agent("bob", "true")).await;
    let regular = hive.say("ann", say("when you can")).await;
    let urgent = hive.say("ann", at_once("drop everything")).await;
    let bob = hive.engine.agent("bob").await.unwrap().agent.id;
    let report = r#"{"kind":"message","to":"ann","text":"greetings from a friend"}"#;
    let inbox = hive.engine.data_dir().join("agents").join(bob.to_string()).join("inbox");
    hive.until_some("its inbox", async |_| inbox.is_dir().then_some(())).await;
    std::fs::write(inbox.join("hello.json"), report).unwrap();
    let query = MessageQuery { agent: Some("ann".into()), ..MessageQuery::default() };
    let all = hive
        .until_some("three messages wait", async |engine| {
            Some(engine.messages(query.clone()).await.unwrap().items).filter(|it| it.len() == 3)
        })
        .await;
    let of = |id| all.iter().find(|view| view.message.id == id).unwrap().message.clone();
    assert_eq!((of(urgent).urgency, of(urgent).from), (Urgency::Urgent, Source::Captain));
    assert_eq!(of(regular).urgency, Urgency::Regular);
    let from_bob =
        |it: &MessageView| it.message.from == Source::Agent { id: bob, name: "bob".into() };
    let friend = all.iter().find(|it| from_bob(it)).unwrap().message.id;
    std::fs::write(&go, "").unwrap();
    for message in [urgent, regular, friend] {
        hive.until_message(message, MessageState::Acknowledged).await;
    }
    hive.until_over(&id).await;
    let told = hive.turns(attempt)[1..].concat();
    let at = |text: &str| told.find(text).unwrap_or_else(|| panic!("{text}: {told}"));
    assert!(at("drop everything") < at("when you can"), "{told}");
    assert!(at("captain") < at("drop everything"), "{told}");
    assert!(at("bob") < at("greetings") && at("when you can") < at("greetings"), "{told}");
}

#[tokio::test]
async fn broadcasting_to_n_agents_shows_n_individual_results_including_failures() {
    let hive = Hive::open().await;
    for name in ["ann", "bob", "cid"] {
        hive.add(agent(name, "true")).await;
    }
    let new = NewBroadcast {
        agents: vec!["ann".into(), "BOB".into(), "nobody".into()],
        text: "pull first".into(),
        urgent: false,
    };
    let view = hive.engine.broadcast(&hive.keyed("once", 1), new.clone()).await.unwrap();
    let shown = |it: &BroadcastResult| (it.name.clone(), it.message_id.is_some());
    let results: Vec<_> = view.results.iter().map(shown).collect();
    let expected = [("ann", true), ("bob", true), ("nobody", false)];
    assert_eq!(results, expected.map(|(name, told)| (name.to_owned(), told)));
    assert!(view.results[2].problem.as_ref().unwrap().contains("'nobody'"));
    // The same request again says the same and sends nothing.
    let again = hive.engine.broadcast(&hive.keyed("once", 1), new).await.unwrap();
    assert_eq!(again, view);
    let id = view.broadcast_id.unwrap();
    let state = hive.engine.broadcast_state(id).await.unwrap();
    let names: Vec<_> = state.results.iter().filter_map(|it| it.name.as_deref()).collect();
    assert_eq!(names, ["ann", "bob"]);
    assert!(state.results.iter().all(|it| it.message.state == MessageState::Queued));
    let all = NewBroadcast { agents: vec!["all".into()], text: "all of you".into(), urgent: true };
    let view = hive.engine.broadcast(&hive.caller(), all).await.unwrap();
    assert_eq!(view.results.len(), 3);
    // One that did not reach everybody, and is sent again, goes on under the same name.
    hive.add(agent("zoe", "true")).await;
    let late = ["amy", "zoe"].map(str::to_owned).to_vec();
    let late = NewBroadcast { agents: late, text: "late".into(), urgent: false };
    let first = hive.engine.broadcast(&hive.keyed("late", 2), late.clone()).await.unwrap();
    hive.add(agent("amy", "true")).await;
    let again = hive.engine.broadcast(&hive.keyed("late", 2), late).await.unwrap();
    assert_eq!(again.broadcast_id, first.broadcast_id);
    let state = hive.engine.broadcast_state(again.broadcast_id.unwrap()).await.unwrap();
    assert_eq!(state.results.len(), 2, "one message each");
    let nobody = NewBroadcast { agents: vec![], text: "x".into(), urgent: false };
    let refused = hive.engine.broadcast(&hive.caller(), nobody).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidInput);
}

#[test]
fn queued_messages_are_still_there_in_order_and_once_after_a_crash_during_write() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = hive::open(&data).await;
        let caller = hive::caller();
        engine.add_agent(&caller, agent("ann", "true")).await.unwrap();
        for writer in 0..4_u8 {
            let (engine, acknowledged) = (engine.clone(), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for n in 0.. {
                    let text = format!("{writer}-{n}");
                    let caller = hive::keyed(&text, writer);
                    let sent = engine.send_message(&caller, "ann", say(&text)).await.unwrap();
                    acknowledged.lock().await.push((text, sent.message.id));
                }
            });
        }
        while acknowledged.lock().await.len() < 40 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    // In the middle of it, without a word.
    runtime.shutdown_background();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = hive::open_when_free(&data).await;
        let known = acknowledged.lock().await.clone();
        for (text, id) in &known {
            assert_eq!(&engine.message(*id).await.unwrap().message.text, text);
            // Who did not hear the answer asks again, and gets the same message.
            let writer = text[..1].parse().unwrap();
            let caller = hive::keyed(text, writer);
            let again = engine.send_message(&caller, "ann", say(text)).await.unwrap();
            assert_eq!(again.message.id, *id);
        }
        let query = MessageQuery { limit: Some(500), ..MessageQuery::default() };
        let mut all: Vec<String> = engine
            .messages(query)
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|it| it.message.text)
            .collect();
        all.reverse();
        for writer in 0..4 {
            let own: Vec<u32> = all
                .iter()
                .filter_map(|text| text.strip_prefix(&format!("{writer}-"))?.parse().ok())
                .collect();
            let expected: Vec<u32> = (0..u32::try_from(own.len()).unwrap()).collect();
            assert_eq!(own, expected, "in order, and none twice");
        }
        engine.shutdown().await;
    });
}
