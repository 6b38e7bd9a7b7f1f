//! What the captain does on the walks of an agent that is talked to, and what must hold of it in the end.

use std::path::Path;

use engine::view::{MissionDetail, NewMessage};
use engine::{Engine, EventQuery, MessageQuery};
use model::attempt::AttemptState;
use model::event::Fact;
use model::message::MessageState;
use model::process::Exit;
use model::transition::MissionInput;

use crate::hive::{self, Hive};
use crate::{lines, said, steps};

/// Allows everything that is asked.
pub(crate) async fn allow_all(engine: &Engine) {
    for open in engine.inbox().await.unwrap().requests {
        let once = serde_json::from_str(r#"{"answer":"once"}"#).unwrap();
        // Its agent may have been stopped meanwhile.
        drop(engine.answer_request(&hive::caller(), open.request.id, once).await);
    }
}

/// Whether the agent has said something.
pub(crate) async fn has_begun(engine: &Engine, detail: &MissionDetail) -> bool {
    match detail.attempts.first() {
        Some(view) if view.attempt.state == AttemptState::Running => {
            said(engine, view.attempt.id).await.contains("first words")
        }
        _ => false,
    }
}

/// Sends the agent a message, and lets its turn end.
pub(crate) async fn send(engine: &Engine, place: &Path) {
    let new = NewMessage { text: "@say second words".into(), ..NewMessage::default() };
    engine.send_message(&hive::caller(), "ann", new).await.unwrap();
    std::fs::write(place.join("go"), "").unwrap();
}

/// How many events there are like this.
async fn events(hive: &Hive, wanted: impl Fn(&Fact) -> bool) -> usize {
    let query = EventQuery { limit: Some(500), ..EventQuery::default() };
    let found = hive.engine.events(query).await.unwrap().items;
    found.iter().filter(|event| wanted(&event.fact)).count()
}

/// The permission was asked for once, the answer told once, and the command run once.
pub(crate) async fn asked_once(at: &str, hive: &Hive, sent: &str) {
    assert_eq!(lines(&hive.place.path().join("ran")), 1, "{at}: the command ran once");
    assert_eq!(sent.matches("optionId").count(), 1, "{at}: {sent}");
    let asked = events(hive, |fact| matches!(fact, Fact::RequestAsked { .. })).await;
    let told = events(hive, |fact| matches!(fact, Fact::RequestTold { .. })).await;
    assert_eq!((asked, told), (1, 1), "{at}");
    assert_eq!(hive.engine.inbox().await.unwrap().requests.len(), 0, "{at}");
}

/// The message was delivered once and done.
pub(crate) async fn told_once(at: &str, hive: &Hive, said: &str) {
    assert_eq!(said.matches("second words").count(), 1, "{at}: {said}");
    let messages = hive.engine.messages(MessageQuery::default()).await.unwrap().items;
    let states: Vec<MessageState> = messages.iter().map(|view| view.state).collect();
    assert_eq!(states, [MessageState::Acknowledged], "{at}");
    let delivered = events(hive, |fact| matches!(fact, Fact::MessagesDelivered { .. })).await;
    assert_eq!(delivered, 1, "{at}");
}

/// The first attempt handed over what it said, and another one goes on with that.
pub(crate) async fn handed_over(at: &str, hive: Hive, id: &str) {
    let went_on = |detail: &MissionDetail| {
        let is_over = |n: u32, over: bool| {
            let mut attempts = detail.attempts.iter().map(|view| &view.attempt);
            attempts.any(|attempt| attempt.n == n && attempt.state.is_final() == over)
        };
        is_over(1, true) && (is_over(2, false) || is_over(2, true))
    };
    let detail = hive.until_detail(id, went_on).await;
    let first = detail.attempts.iter().find(|view| view.attempt.n == 1).unwrap();
    let Some(Exit::HandedOver { text }) = first.attempt.exit() else {
        panic!("{at}: {:?}", first.attempt.exit());
    };
    assert_eq!(text.matches("You said").count(), 1, "{at}: {text}");
    let second = detail.attempts.iter().find(|view| view.attempt.n == 2).unwrap();
    let handoff = second.attempt.handoff.as_ref().unwrap();
    assert_eq!((handoff.from, handoff.text.contains(text.trim())), (1, true), "{at}: {handoff:?}");
    hive.ask(id, MissionInput::Cancel).await.unwrap();
    let over = hive.until_over(id).await;
    for view in &over.attempts {
        let id = view.attempt.id.to_string();
        assert_eq!(hive::processes_of(&id), Vec::<String>::new(), "{at}");
    }
    let first = first.attempt.id.to_string();
    steps::nothing_is_left(at, hive, &first).await;
}
