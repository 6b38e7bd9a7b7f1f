//! What becomes of an agent whose turn the captain calls off, that has to be logged in, or whose work
//! is in review.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::view::{NewAgent, NewMessage, NewMission};
use engine::{ConversationQuery, EventQuery};
use model::activity::Phase;
use model::attempt::AttemptState;
use model::conversation::Body;
use model::event::{Event, Fact};
use model::id::AttemptId;
use model::mission::MissionState;
use model::process::Exit;
use model::refusal::Code;
use model::status::{AgentState, Waiting};
use model::transition::MissionInput;

use crate::hive::{Hive, acp, agent, fake_acp, mission};

fn of(agent: &str, brief: &str) -> NewMission {
    NewMission {
        agent: Some(agent.into()),
        policy: Some("trusting".into()),
        retries: Some(0),
        ..mission("Turn", brief)
    }
}

/// A kind of agent with these arguments.
fn kind(args: &str) -> String {
    format!(
        "[[runtime]]\nname = \"own\"\ntitle = \"Own\"\nkind = \"acp\"\nprogram = \"{}\"\nargs = [{args}]\n\
         [runtime.ways]\ncancel_within_s = 3\n",
        fake_acp()
    )
}

fn own(name: &str) -> NewAgent {
    let preset = Some("own".to_owned());
    NewAgent { preset, command: None, runtime: None, ..acp(name) }
}

impl Hive {
    async fn bodies(&self, id: AttemptId) -> Vec<Body> {
        let query = ConversationQuery { after: Some(0), ..ConversationQuery::default() };
        let page = self.engine.conversation(id, query).await.unwrap();
        page.entries.into_iter().map(|at| at.entry.body).collect()
    }

    async fn speaks(&self, id: &str) -> AttemptId {
        self.until_some("its agent speaks", async |engine| {
            let attempt = engine.mission(id).await.ok()?.attempts.first()?.attempt.id;
            let said = |body: &Body| matches!(body, Body::Message { .. });
            self.bodies(attempt).await.iter().any(said).then_some(attempt)
        })
        .await
    }

    async fn until_it_says(&self, id: AttemptId, words: &str) {
        let says = |body: &Body| matches!(body, Body::Message { text } if text.contains(words));
        self.until_some(words, async |_| self.bodies(id).await.iter().any(says).then_some(()))
            .await;
    }

    async fn tells(&self, agent: &str, text: &str) {
        let new = NewMessage { text: text.into(), ..NewMessage::default() };
        self.engine.send_message(&self.caller(), agent, new).await.unwrap();
    }
}

#[tokio::test]
async fn a_turn_that_is_called_off_with_nothing_waiting_holds_its_mission_and_costs_no_try() {
    let hive = Hive::open_with("runtimes.toml", &kind("")).await;
    hive.add(own("ada")).await;
    let id = hive.mission(of("ada", "@say on\n@ignore-cancel\n@forever")).await;
    let attempt = hive.speaks(&id).await;
    hive.engine.cancel_turn(&hive.caller(), attempt).await.unwrap();
    hive.until_some("its phase says so", async |engine| {
        let activity = engine.agent("ada").await.ok()?.activity?;
        (activity.phase == Phase::Cancelling).then_some(())
    })
    .await;
    let held = hive.until(&id, |state| state == MissionState::Paused).await;
    let mission = &held.view.mission;
    assert_eq!(mission.tries, 0, "it is no failure");
    let note = mission.note.as_deref().unwrap();
    assert!(note.contains("you called its turn off") && note.contains("resume"), "{note}");
    let ended = &held.attempts[0].attempt;
    assert_eq!((ended.state, ended.exit()), (AttemptState::Stopped, Some(&Exit::CalledOff)));
    assert_eq!(hive.engine.agent("ada").await.unwrap().status.state, AgentState::Idle);
    hive.ask(&id, MissionInput::Resume).await.unwrap();
    hive.until_detail(&id, |detail| detail.attempts.iter().any(|view| view.attempt.n == 2)).await;
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
}

#[tokio::test]
async fn a_turn_that_is_called_off_with_a_message_waiting_goes_on_with_it() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    let id = hive.mission(of("ada", "@usage 10 5\n@say on\n@hang")).await;
    let attempt = hive.speaks(&id).await;
    hive.tells("ada", "Stop what you do.").await;
    hive.engine.cancel_turn(&hive.caller(), attempt).await.unwrap();
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
}

/// Says so once it is called off, and ends its turn when the file is there.
fn winding_down(file: &Path) -> String {
    format!("@say on\n@wind-down {}", file.display())
}

#[tokio::test]
async fn a_nudge_that_a_turn_was_called_off_for_is_told_although_its_agent_moves_again_before() {
    let slow = kind("").replace("cancel_within_s = 3", "cancel_within_s = 60");
    let kind = format!("{slow}quiet_after_s = 1\nstalled_after_s = 2\n");
    let hive = Hive::open_with("runtimes.toml", &kind).await;
    hive.add(own("ada")).await;
    hive.add(own("bob")).await;
    let go = hive.place.path().join("go");
    let id = hive.mission(of("ada", &winding_down(&go))).await;
    let attempt = hive.speaks(&id).await;
    hive.until_it_says(attempt, "winding down").await;
    hive.until_some("it is at work again", async |engine| {
        (engine.agent("ada").await.ok()?.status.state == AgentState::Working).then_some(())
    })
    .await;
    // Whoever nudges another agent later has looked at this one in between.
    let other = hive.mission(of("bob", "@say on\n@hang")).await;
    let its = hive.speaks(&other).await;
    hive.until_some("the other one is nudged", async |engine| {
        let kind = Some("attempt_rescued".to_owned());
        let events = engine.events(EventQuery { kind, ..EventQuery::default() }).await.ok()?;
        let of_it = |event: &Event| matches!(event.fact, Fact::AttemptRescued { attempt_id, .. } if attempt_id == its);
        events.items.iter().any(of_it).then_some(())
    })
    .await;
    std::fs::write(&go, "").unwrap();
    let done = hive.until(&id, MissionState::is_final).await;
    let bodies = hive.bodies(attempt).await;
    let nudge = |body: &Body| matches!(body, Body::Prompt { text, .. } if text.contains("no sign"));
    assert!(bodies.iter().any(nudge), "{bodies:#?}");
    assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
    hive.ask(&other, MissionInput::Cancel).await.unwrap();
    hive.until_over(&other).await;
}

#[tokio::test]
async fn a_turn_that_ended_in_time_is_not_given_up_by_an_engine_that_reads_it_late() {
    const WITHIN: Duration = Duration::from_secs(6);
    let kind = kind("").replace("cancel_within_s = 3", "cancel_within_s = 6");
    let hive = Hive::open_with("runtimes.toml", &kind).await;
    hive.add(own("ada")).await;
    let go = hive.place.path().join("go");
    let id = hive.mission(of("ada", &winding_down(&go))).await;
    let attempt = hive.speaks(&id).await;
    hive.tells("ada", "@say I heard you").await;
    hive.engine.cancel_turn(&hive.caller(), attempt).await.unwrap();
    hive.until_it_says(attempt, "winding down").await;
    // Nothing of this engine runs while its only thread is held here.
    let held = Instant::now();
    std::fs::write(&go, "").unwrap();
    let run = hive.engine.data_dir().join("runs").join(attempt.to_string());
    let printed = || std::fs::read_to_string(run.join("stdout.log")).unwrap();
    while !printed().contains("stopReason") || held.elapsed() < WITHIN {
        assert!(held.elapsed() < 10 * WITHIN, "{}", printed());
        std::thread::sleep(Duration::from_millis(20));
    }
    let done = hive.until(&id, MissionState::is_final).await;
    hive.until_it_says(attempt, "I heard you").await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{done:#?}");
}

#[tokio::test]
async fn what_has_no_turns_says_so_when_its_turn_is_called_off() {
    let hive = Hive::open().await;
    hive.add(agent("ada", "sh -c 'echo on; sleep 600'")).await;
    let id = hive.mission(of("ada", "x")).await;
    let detail = hive.until_printed(&id, "on\n").await;
    let attempt = detail.attempts[0].attempt.id;
    let refused = hive.engine.cancel_turn(&hive.caller(), attempt).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert!(refused.message.contains("has no turns"), "{refused:?}");
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
}

#[tokio::test]
async fn an_agent_that_has_to_be_logged_in_gets_nothing_until_the_captain_says_or_it_was_tested_well()
 {
    let hive = Hive::open_with("runtimes.toml", &kind("\"--login\"")).await;
    hive.add(own("ada")).await;
    let first = hive.mission(of("ada", "@say hello")).await;
    let failed = hive.until(&first, MissionState::is_final).await;
    assert!(matches!(failed.attempts[0].attempt.exit(), Some(Exit::NoLogin { .. })), "{failed:#?}");
    let next = hive.mission(of("ada", "@say hello")).await;
    let is_held = async |hive: &Hive| {
        let agent = hive.engine.agent("ada").await.unwrap();
        assert_eq!(agent.status.state, AgentState::WaitingForCaptain, "{:?}", agent.status);
        assert!(agent.status.reason.contains("fake login"), "{:?}", agent.status);
        let waits = hive.engine.mission(&next).await.unwrap();
        assert_eq!(waits.view.waiting, Some(Waiting::AgentLogin { agent: "ada".to_owned() }));
        assert_eq!(waits.attempts.len(), 0);
    };
    is_held(&hive).await;
    let hive = hive.reopen().await;
    is_held(&hive).await;

    // Somebody says that it is logged in, and it is not: it is tried once.
    hive.engine.resume_agent(&hive.caller(), "ada").await.unwrap();
    let failed = hive.until(&next, MissionState::is_final).await;
    assert_eq!(failed.attempts.len(), 1);

    // A test that opens a conversation says so as well.
    std::fs::write(hive.engine.data_dir().join("runtimes.toml"), kind("")).unwrap();
    hive.until_some("it is tested well", async |engine| {
        engine.try_preset("own").await.ok().filter(|tried| tried.ok)
    })
    .await;
    hive.until_some("it may be given work", async |engine| {
        let agent = engine.agent("ada").await.ok()?;
        (agent.status.state == AgentState::Idle).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_agent_is_idle_since_its_program_ended_although_its_work_is_in_review() {
    let hive = Hive::open().await;
    hive.add(agent("ada", "sh -c true")).await;
    let made = hive.engine.agent("ada").await.unwrap().agent.created_at;
    let new = NewMission { agent: Some("ada".into()), policy: None, ..mission("Review", "x") };
    let id = hive.mission(new).await;
    let reviewed = hive.until(&id, |state| state == MissionState::InReview).await;
    let ended = reviewed.attempts[0].attempt.exit.as_ref().unwrap().ended_at;
    let status = hive.engine.agent("ada").await.unwrap().status;
    assert_eq!(status.state, AgentState::Idle);
    assert!(ended > made);
    assert_eq!(status.since, ended);
}

#[tokio::test]
async fn a_request_that_waits_leads_to_the_inbox_from_the_conversation() {
    let hive = Hive::open().await;
    hive.add(acp("ada")).await;
    let id = hive.mission(of("ada", "@ask make test")).await;
    let request = hive
        .until_some("it asks", async |engine| engine.inbox().await.ok()?.requests.first().cloned())
        .await;
    let attempt = request.request.attempt_id;
    hive.until_some("its entry says which request it is", async |_| {
        self::asked(&hive.bodies(attempt).await).filter(|id| *id == request.request.id)
    })
    .await;
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
}

/// The request of the only entry that waits for an answer.
fn asked(bodies: &[Body]) -> Option<model::id::RequestId> {
    bodies.iter().find_map(|body| match body {
        Body::Request { request_id, answer: None, .. } => *request_id,
        _ => None,
    })
}
