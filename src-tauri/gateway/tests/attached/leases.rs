//! Agents that run elsewhere, by plain HTTP: what holds for every agent holds for them.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::view::{Ask, MissionDetail, NewMessage};
use http::HeaderMap;
use model::attempt::{Attempt, AttemptState};
use model::event::Fact;
use model::message::MessageState;
use model::mission::MissionState;
use model::process::Exit;
use model::status::{AgentState, Confidence};
use model::transition::MissionInput;
use serde_json::{Value, json};

use crate::{House, PATIENCE, caller};

/// An agent that runs elsewhere, as its program sees it.
struct Far {
    token: String,
    name: String,
}

/// A lease as its agent knows it.
struct Lease {
    attempt: String,
    fence: u64,
    all: Value,
}

impl Lease {
    /// What is said of the attempt, with the lease's number.
    fn with(&self, more: Value) -> Value {
        let mut all = json!({"attempt": self.attempt, "fence": self.fence});
        let (Some(all_map), Value::Object(more)) = (all.as_object_mut(), more) else {
            panic!("is no object");
        };
        all_map.extend(more);
        all
    }
}

impl House {
    async fn far(&self, name: &str) -> Far {
        self.far_lost_after(name, 60).await
    }

    /// Registers an agent that is lost after so many seconds, and given one to stop.
    async fn far_lost_after(&self, name: &str, seconds: u32) -> Far {
        let new = json!({"name": name, "lost_after_s": seconds, "grace_s": 1});
        let (status, made) = self.say(&self.captain(), "/api/v1/attached", &new).await;
        assert_eq!(status, 201, "{made}");
        Far { token: made["token"].as_str().unwrap().to_owned(), name: name.to_owned() }
    }

    async fn beat(&self, far: &Far, body: Value) -> Value {
        let (status, word) = self.say(&far.token, "/api/v1/attached/heartbeat", &body).await;
        assert_eq!(status, 200, "{word}");
        word
    }

    /// Waits for a mission with one request.
    async fn lease(&self, far: &Far) -> Lease {
        let ask = json!({"wait_s": 25});
        let (status, offer) = self.say(&far.token, "/api/v1/attached/lease", &ask).await;
        assert_eq!(status, 200, "{offer}");
        let all = offer["lease"].clone();
        let attempt = all["attempt"].as_str().unwrap_or_else(|| panic!("{offer}")).to_owned();
        Lease { attempt, fence: all["fence"].as_u64().unwrap(), all }
    }

    async fn finish(&self, far: &Far, lease: &Lease, completed: bool) -> (u16, Value) {
        let said = lease.with(json!({"completed": completed, "summary": "what I did"}));
        self.say(&far.token, "/api/v1/attached/finish", &said).await
    }

    /// Sends heartbeats until one is answered like this.
    async fn until_told(&self, far: &Far, lease: &Lease, say: &str) -> Value {
        let begun = Instant::now();
        loop {
            let word = self.beat(far, json!({"attempt": lease.attempt})).await;
            if word["say"] == say {
                return word;
            }
            assert!(begun.elapsed() < PATIENCE, "{word}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn wish(&self, mission: &str, input: MissionInput, keep: bool) {
        let ask = Ask { keep_processes: keep, ..Ask::default() };
        self.engine.ask_mission(&caller(), mission, input, ask).await.unwrap();
    }
}

fn last(detail: &MissionDetail) -> &Attempt {
    &detail.attempts[0].attempt
}

fn repository(place: &Path) -> String {
    let path = place.join("repo");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("README.md"), "# Test\n").unwrap();
    for line in ["init -q -b main", "add -A", "-c user.name=T -c user.email=t@x commit -qm first"] {
        let mut git = std::process::Command::new("git");
        assert!(git.current_dir(&path).args(line.split(' ')).status().unwrap().success());
    }
    path.display().to_string()
}

#[tokio::test]
async fn an_agent_elsewhere_takes_a_mission_works_in_its_worktree_and_the_gates_decide() {
    let house = House::open().await;
    let far = house.far("far").await;
    let (repo, name) = (repository(house.place.path()), far.name.clone());
    let mission = house
        .work("Far work", |new| {
            new.repository = Some(repo);
            new.agent = Some(name);
            new.gates = vec!["file: out.txt".into(), "diff: not empty".into()];
            new.policy = None;
        })
        .await;
    let lease = house.lease(&far).await;
    assert_eq!((lease.all["mission"].as_str(), lease.fence), (Some(mission.as_str()), 1));
    assert_eq!(lease.all["brief"], "The brief of Far work.");
    let prompt = lease.all["prompt"].as_str().unwrap();
    assert!(
        prompt.contains("You are the agent far") && prompt.contains("The brief of"),
        "{prompt}"
    );
    let detail = house.engine.mission(&mission).await.unwrap();
    assert_eq!(detail.view.mission.state, MissionState::Running);
    assert_eq!((last(&detail).state, &last(&detail).process), (AttemptState::Running, &None));
    let view = house.engine.agent("far").await.unwrap();
    assert_eq!(
        (view.status.state, view.status.signal.as_str()),
        (AgentState::Working, "heartbeat")
    );

    let directory = lease.all["directory"].as_str().unwrap().to_owned();
    assert!(lease.all["branch"].as_str().unwrap().starts_with("hive/"));
    std::fs::write(Path::new(&directory).join("out.txt"), "done\n").unwrap();
    let said = lease.with(json!({"percent": 40, "note": "half\nway"}));
    assert_eq!(house.say(&far.token, "/api/v1/attached/progress", &said).await.0, 204);
    let said = lease.with(json!({"name": "test run", "text": "3 passed"}));
    let (status, kept) = house.say(&far.token, "/api/v1/attached/evidence", &said).await;
    assert_eq!(status, 201, "{kept}");
    let devlog = house.engine.devlog(kept["devlog_id"].as_str().unwrap().parse().unwrap());
    let devlog = devlog.await.unwrap();
    assert!(devlog.title.contains("evidence: test run") && devlog.markdown.contains("3 passed"));
    let said = lease.with(json!({
        "model": "m-1", "tokens": {"uncached_input": 400, "output": 20}, "turns": 2, "tool_calls": 5,
    }));
    for _ in 0..2 {
        assert_eq!(house.say(&far.token, "/api/v1/attached/usage", &said).await.0, 204);
    }
    let detail = house.engine.mission(&mission).await.unwrap();
    let said = lease.with(json!({"tokens": {"output": 9_000_000_000_000_000_000_u64}}));
    let (status, refused) = house.say(&far.token, "/api/v1/attached/usage", &said).await;
    assert_eq!(status, 422, "{refused}");
    let progress = detail.view.mission.progress.clone().unwrap();
    assert_eq!((progress.percent, progress.text.as_str()), (Some(40), "half way"));
    assert_eq!(detail.view.mission.state, MissionState::Running, "it proves nothing by itself");

    let (status, end) = house.finish(&far, &lease, true).await;
    assert_eq!(status, 200, "{end}");
    let detail = house
        .until_detail(&mission, |detail| detail.view.mission.state == MissionState::Done)
        .await;
    let work = last(&detail).work.as_ref().unwrap();
    assert_eq!((work.diff.files, work.rescued_files), (1, 1));
    let usage = house.engine.usage(last(&detail).id).await.unwrap().best.unwrap();
    assert_eq!((usage.tokens.output, usage.tool_calls), (Some(20), 5), "never added up");
    assert_eq!(house.finish(&far, &lease, true).await.0, 200, "an answer that was lost");
    assert_eq!(house.finish(&far, &lease, false).await.0, 409, "another result");
    house.close().await;
}

#[tokio::test]
async fn a_lease_lives_on_over_restarts_of_the_engine_and_of_the_agent() {
    let house = House::open().await;
    let far = house.far("far").await;
    let mission = house.work("Long work", |_| {}).await;
    let lease = house.lease(&far).await;
    let house = house.reopen().await;
    // It is known a moment after the engine listens.
    let begun = Instant::now();
    loop {
        let word = house.beat(&far, json!({"attempt": lease.attempt})).await;
        assert_ne!(word["say"], "stop", "{word}");
        if word["attempt"] == lease.attempt.as_str() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{word}");
    }
    // The program was started again: it registers, and asks for what it has.
    let again = json!({"name": "far", "lost_after_s": 60, "grace_s": 1});
    let (status, made) = house.say(&far.token, "/api/v1/attached", &again).await;
    assert_eq!((status, &made["token"]), (201, &Value::Null), "{made}");
    let same = house.lease(&far).await;
    assert_eq!((&same.attempt, same.fence), (&lease.attempt, lease.fence));
    assert_eq!(house.finish(&far, &lease, true).await.0, 200);
    let detail = house
        .until_detail(&mission, |detail| detail.view.mission.state == MissionState::Done)
        .await;
    assert_eq!(detail.attempts.len(), 1);
    house.close().await;
}

#[tokio::test]
async fn an_agent_without_heartbeats_is_lost_and_what_it_says_later_is_refused_and_kept_as_late() {
    let house = House::open().await;
    let far = house.far_lost_after("far", 2).await;
    let mission = house.work("Lost work", |new| new.backoff_s = Some(0)).await;
    let lease = house.lease(&far).await;
    let status = house
        .until("the state of a lost agent", async |engine| {
            let status = engine.agent("far").await.unwrap().status;
            (status.state == AgentState::LostSignal).then_some(status)
        })
        .await;
    assert_eq!((status.confidence, status.signal.as_str()), (Confidence::Likely, "heartbeat"));
    let detail =
        house.until_detail(&mission, |detail| last(detail).state == AttemptState::Lost).await;
    assert!(
        matches!(last(&detail).exit(), Some(Exit::Lost { reason }) if reason.contains("heartbeat"))
    );
    // It is queued again, and not offered to one that is not heard of.
    let detail = house.engine.mission(&mission).await.unwrap();
    assert_eq!(detail.view.mission.state, MissionState::Queued);
    assert_eq!((detail.view.mission.tries, detail.view.mission.recoveries), (0, 1));

    let other = house.far("other").await;
    let second = house.lease(&other).await;
    assert_eq!(second.fence, 2);
    let word = house.beat(&far, json!({"attempt": lease.attempt})).await;
    assert_eq!(word["say"], "stop", "its lease has ended");
    let (status, problem) = house.finish(&far, &lease, true).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("stale_lease")));
    let said = lease.with(json!({"percent": 99}));
    let (status, problem) = house.say(&far.token, "/api/v1/attached/progress", &said).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("stale_lease")));
    let wrong = json!({"attempt": second.attempt, "fence": 1, "percent": 1});
    let (status, problem) = house.say(&other.token, "/api/v1/attached/progress", &wrong).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("stale_lease")));
    let events = house.engine.events(engine::EventQuery {
        mission: Some(mission.clone()),
        kind: Some("result_late".into()),
        ..Default::default()
    });
    let late = events.await.unwrap().items;
    assert!(
        matches!(&late[0].fact, Fact::ResultLate { attempt_id, .. } if attempt_id.to_string() == lease.attempt),
        "{late:#?}"
    );
    assert_eq!(house.finish(&other, &second, true).await.0, 200);
    let detail = house
        .until_detail(&mission, |detail| detail.view.mission.state == MissionState::Done)
        .await;
    assert_eq!(detail.attempts.len(), 2);
    house.close().await;
}

#[tokio::test]
async fn an_agent_elsewhere_is_told_to_stop_with_its_next_heartbeat_and_says_when_it_has() {
    let house = House::open().await;
    let far = house.far("far").await;
    let mission = house.work("Stopped work", |_| {}).await;
    let lease = house.lease(&far).await;
    house.wish(&mission, MissionInput::Cancel, false).await;
    house.until_told(&far, &lease, "stop").await;
    let said = lease.with(json!({"percent": 1}));
    let (status, problem) = house.say(&far.token, "/api/v1/attached/progress", &said).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("stale_lease")));
    assert_eq!(house.finish(&far, &lease, false).await.0, 200);
    let detail =
        house.until_detail(&mission, |detail| last(detail).state == AttemptState::Stopped).await;
    let note = last(&detail).note.clone().unwrap();
    assert!(!note.contains("may still"), "{note}");

    // One that does not say so is ended after its grace, and that is not called certain.
    let mission = house.work("Stubborn work", |_| {}).await;
    let lease = house.lease(&far).await;
    house.wish(&mission, MissionInput::Cancel, false).await;
    house.until_told(&far, &lease, "stop").await;
    let detail =
        house.until_detail(&mission, |detail| last(detail).state == AttemptState::Stopped).await;
    let note = last(&detail).note.clone().unwrap();
    assert!(note.contains("did not say within 1 s") && note.contains("may still write"), "{note}");
    let (status, problem) = house.finish(&far, &lease, true).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("stale_lease")));
    house.close().await;
}

#[tokio::test]
async fn the_emergency_stop_reaches_agents_elsewhere_and_a_restart_between_loses_nothing() {
    let house = House::open().await;
    let far = house.far("far").await;
    let mission = house.work("Halted work", |_| {}).await;
    let lease = house.lease(&far).await;
    house.engine.halt_swarm(&caller(), Default::default()).await;
    let house = house.reopen().await;
    house.until_told(&far, &lease, "stop").await;
    assert_eq!(house.finish(&far, &lease, false).await.0, 200);
    house.until_detail(&mission, |detail| last(detail).state == AttemptState::Stopped).await;
    let (_, offer) = house.say(&far.token, "/api/v1/attached/lease", &json!({})).await;
    assert_eq!(offer["lease"], Value::Null, "nothing is begun");
    house.engine.resume_swarm(&caller()).await.unwrap();
    let again = house.lease(&far).await;
    assert_eq!(again.fence, 2);
    house.close().await;
}

#[tokio::test]
async fn who_obeys_an_emergency_stop_before_it_is_recorded_has_lost_no_try() {
    let house = House::open().await;
    let far = house.far("far").await;
    let mission = house.work("Halted work", |_| {}).await;
    let lease = house.lease(&far).await;
    let caller = caller();
    tokio::join!(house.engine.halt_swarm(&caller, Default::default()), async {
        house.until_told(&far, &lease, "stop").await;
        assert_eq!(house.finish(&far, &lease, false).await.0, 200);
    });
    let detail = house.until_detail(&mission, |detail| last(detail).state.is_final()).await;
    assert_eq!(last(&detail).state, AttemptState::Stopped);
    let note = last(&detail).note.clone().unwrap();
    assert!(!note.contains("may still"), "{note}");
    house.engine.resume_swarm(&caller).await.unwrap();
    assert_eq!(house.lease(&far).await.fence, 2);
    house.close().await;
}

#[tokio::test]
async fn a_lease_that_is_asked_for_again_has_the_same_tools_and_ends_no_token() {
    let house = House::open().await;
    let far = house.far("far").await;
    house.work("Asked work", |_| {}).await;
    let lease = house.lease(&far).await;
    assert!(lease.all["tools"]["token"].is_string(), "{:#}", lease.all);
    for _ in 0..3 {
        assert_eq!(house.lease(&far).await.all["tools"], lease.all["tools"]);
    }
    house.close().await;
}

#[tokio::test]
async fn a_program_that_registers_again_keeps_what_it_does_not_name() {
    let house = House::open().await;
    let new = json!({"name": "far", "role": "reads", "skills": ["night"], "lost_after_s": 300});
    let (_, made) = house.say(&house.captain(), "/api/v1/attached", &new).await;
    let token = made["token"].as_str().unwrap();
    let edit = engine::view::EditAgent { role: Some("reviews".into()), ..Default::default() };
    house.engine.edit_agent(&caller(), "far", edit).await.unwrap();
    let (status, again) = house.say(token, "/api/v1/attached", &json!({"name": "far"})).await;
    assert_eq!(status, 201, "{again}");
    assert_eq!(again["heartbeat_every_s"], 100);
    let agent = house.engine.agent("far").await.unwrap().agent;
    assert_eq!((agent.role.as_str(), agent.runtime.lost_after_s()), ("reviews", Some(300)));
    assert_eq!(agent.skills, ["night"]);
    let named = json!({"name": "far", "role": "", "skills": [], "lost_after_s": 60});
    let (_, again) = house.say(token, "/api/v1/attached", &named).await;
    assert_eq!(again["heartbeat_every_s"], 20, "{again}");
    let agent = house.engine.agent("far").await.unwrap().agent;
    assert_eq!((agent.role.as_str(), agent.skills.len()), ("", 0));
    house.close().await;
}

#[tokio::test]
async fn a_request_that_finds_too_many_waiting_is_answered_at_once() {
    let house = House::open().await;
    let far = house.far("far").await;
    let ask = async || {
        let ask = json!({"wait_s": 25});
        let (status, offer) = house.say(&far.token, "/api/v1/attached/lease", &ask).await;
        assert_eq!((status, &offer["lease"]), (200, &Value::Null), "{offer}");
    };
    let began = Instant::now();
    tokio::select! { () = ask() => {}, () = ask() => {}, () = ask() => {} }
    assert!(began.elapsed() < Duration::from_secs(20));
    house.close().await;
}

#[tokio::test]
async fn a_paused_mission_is_held_or_handed_over_as_with_every_agent() {
    let house = House::open().await;
    let far = house.far("far").await;
    let repo = repository(house.place.path());
    let mission = house.work("Paused work", |new| new.repository = Some(repo)).await;
    let lease = house.lease(&far).await;
    house.until_told(&far, &lease, "nothing").await;
    house.wish(&mission, MissionInput::Pause, true).await;
    house.until_told(&far, &lease, "hold").await;
    let status = house.engine.agent("far").await.unwrap().status;
    assert_eq!((status.state, status.confidence), (AgentState::Paused, Confidence::Likely));
    let house = house.reopen().await;
    house.until_told(&far, &lease, "hold").await;
    house.wish(&mission, MissionInput::Resume, false).await;
    house.until_told(&far, &lease, "nothing").await;

    let directory = lease.all["directory"].as_str().unwrap();
    std::fs::write(Path::new(directory).join("begun.txt"), "begun\n").unwrap();
    house.wish(&mission, MissionInput::Pause, false).await;
    house.until_told(&far, &lease, "stop").await;
    assert_eq!(house.finish(&far, &lease, false).await.0, 200);
    let detail =
        house.until_detail(&mission, |detail| last(detail).state == AttemptState::Stopped).await;
    assert_eq!(detail.view.mission.state, MissionState::Paused);
    assert_eq!(detail.checkpoints.len(), 1);
    house.wish(&mission, MissionInput::Resume, false).await;
    let next = house.lease(&far).await;
    assert_eq!(next.fence, 2);
    assert!(next.all["handoff"].as_str().unwrap().contains("go on from there"), "{:#}", next.all);
    let directory = next.all["directory"].as_str().unwrap();
    assert!(Path::new(directory).join("begun.txt").exists(), "it goes on from the work before");
    house.close().await;
}

#[tokio::test]
async fn messages_and_questions_reach_an_agent_elsewhere_and_its_answers_come_back() {
    let house = House::open().await;
    let far = house.far("far").await;
    let mission = house.work("Talked work", |_| {}).await;
    let lease = house.lease(&far).await;
    house.until_told(&far, &lease, "nothing").await;
    let new = NewMessage { text: "mind the gap".into(), ..NewMessage::default() };
    let sent = house.engine.send_message(&caller(), "far", new).await.unwrap().message.id;
    let word = house.until_told(&far, &lease, "messages").await;
    assert_eq!(word["messages_waiting"], 1);
    let read = async |done: Value| {
        let said = lease.with(json!({"done": done}));
        house.say(&far.token, "/api/v1/attached/messages", &said).await.1
    };
    let inbox = read(json!([])).await;
    assert_eq!(inbox["messages"][0]["text"], "mind the gap", "{inbox}");
    assert_eq!(read(json!([])).await, inbox, "an answer that was lost is given again");
    assert_eq!(read(json!([sent])).await, json!({"messages": []}));
    let message = house.engine.message(sent).await.unwrap();
    assert_eq!(message.state, MessageState::Acknowledged);

    // Its tools are those of every agent, by the token of its lease.
    let tools = &lease.all["tools"];
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "ask_captain", "arguments": {"question": "A or B?", "wait_s": 0}},
    });
    let client = house.client(tools["token"].as_str().unwrap());
    let mut answer = client.mcp(call.to_string().into_bytes(), HeaderMap::new()).await.unwrap();
    let said = answer.next().await.unwrap().unwrap();
    assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(&said));
    let detail = house.engine.mission(&mission).await.unwrap();
    assert_eq!(detail.view.mission.state, MissionState::NeedsInput);
    let status = house.engine.agent("far").await.unwrap().status;
    assert_eq!(status.state, AgentState::WaitingForCaptain, "{status:?}");
    house.close().await;
}

#[tokio::test]
async fn a_mission_waits_for_an_agent_that_is_not_heard_of_and_is_offered_as_soon_as_it_is() {
    let house = House::open().await;
    let far = house.far("far").await;
    let name = far.name.clone();
    let mission = house.work("Waiting work", |new| new.agent = Some(name)).await;
    let detail = house.engine.mission(&mission).await.unwrap();
    assert_eq!(detail.view.mission.state, MissionState::Queued);
    let reason = detail.view.reason.clone().unwrap();
    assert!(reason.contains("runs elsewhere and is not heard of"), "{reason}");
    let status = house.engine.agent("far").await.unwrap().status;
    assert_eq!(status.state, AgentState::Offline, "{status:?}");
    // Who waits for a mission is there.
    let (lease, ()) = tokio::join!(house.lease(&far), async {
        house.until_detail(&mission, |it| it.view.mission.state == MissionState::Running).await;
    });
    assert_eq!(lease.fence, 1);
    let (_, offer) = house.say(&far.token, "/api/v1/attached/lease", &json!({"wait_s": 26})).await;
    assert_eq!(offer["status"], 422, "{offer}");
    house.close().await;
}

#[tokio::test]
async fn an_agent_elsewhere_speaks_for_itself_alone_and_its_token_opens_nothing_else() {
    let house = House::open().await;
    let (far, other) = (house.far("far").await, house.far("other").await);
    let name = far.name.clone();
    house.work("Own work", |new| new.agent = Some(name)).await;
    let lease = house.lease(&far).await;
    let said = lease.with(json!({"percent": 1}));
    let (status, _) = house.say(&other.token, "/api/v1/attached/progress", &said).await;
    assert_eq!(status, 404, "another agent's attempt");
    let (status, problem) =
        house.say(&house.captain(), "/api/v1/attached/heartbeat", &json!({})).await;
    assert_eq!(status, 403, "{problem}");
    let own = house.client(&far.token);
    for (method, path, rule) in gateway::rights::RULES {
        use gateway::rights::{Right, Rule};
        if matches!(rule, Rule::Anybody | Rule::Needs(Right::Lend | Right::Know)) {
            continue;
        }
        let answer = own.request(method.clone(), path, None).await.unwrap();
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    let taken = json!({"name": "FAR"});
    let (status, problem) = house.say(&house.captain(), "/api/v1/attached", &taken).await;
    assert_eq!(status, 409, "{problem}");
    let (status, problem) = house.say(&other.token, "/api/v1/attached", &taken).await;
    assert_eq!(status, 409, "{problem}");
    // A lost token is replaced, and the one before opens nothing.
    let lost = json!({"name": "far", "new_token": true});
    let (status, made) = house.say(&house.captain(), "/api/v1/attached", &lost).await;
    assert_eq!(status, 201, "{made}");
    let new = Far { token: made["token"].as_str().unwrap().to_owned(), name: "far".into() };
    let (status, _) = house.say(&far.token, "/api/v1/attached/heartbeat", &json!({})).await;
    assert_eq!(status, 401);
    assert_eq!(house.finish(&new, &lease, true).await.0, 200);
    house.engine.remove_agent(&caller(), "other").await.unwrap();
    let (status, _) = house.say(&other.token, "/api/v1/attached/heartbeat", &json!({})).await;
    assert_eq!(status, 401, "the agent was removed");
    house.close().await;
}
