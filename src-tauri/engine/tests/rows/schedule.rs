//! Who works on what next, and what a mission waits for.

use std::time::Duration;

use engine::MissionQuery;
use engine::view::{Assign, NewMission};
use model::attempt::AttemptState;
use model::event::Fact;
use model::gate::Grade;
use model::mission::MissionState;
use model::refusal::Code;
use model::settings::Settings;
use model::status::{AgentState, Waiting};

use crate::hive::{Hive, agent, fake_agent, mission, processes_of};

fn trusting(title: &str, brief: &str) -> NewMission {
    NewMission { policy: Some("trusting".into()), ..mission(title, brief) }
}

fn until(file: &std::path::Path) -> String {
    format!("{} until {}", fake_agent(), file.display())
}

#[tokio::test]
async fn a_paused_agent_gets_no_new_mission_until_resumed_also_after_a_restart() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    hive.engine.pause_agent(&hive.caller(), "ann").await.unwrap();
    let id = hive.mission(NewMission { agent: Some("ann".into()), ..trusting("Go", "x") }).await;
    let hive = hive.reopen().await;
    let waiting = hive.engine.mission(&id).await.unwrap();
    assert_eq!(waiting.view.mission.state, MissionState::Queued);
    assert_eq!(waiting.view.waiting, Some(Waiting::AgentPaused { agent: "ann".into() }));
    hive.engine.resume_agent(&hive.caller(), "ann").await.unwrap();
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done);
}

#[tokio::test]
async fn each_agent_works_in_its_own_worktree_and_branch_and_two_never_share_one() {
    let hive = Hive::open().await;
    let go = hive.place.path().join("go");
    let repository = hive.repository("work").display().to_string();
    let mut ids = Vec::new();
    for name in ["ann", "bob"] {
        hive.add(agent(name, &until(&go))).await;
        let new = NewMission {
            agent: Some(name.into()),
            repository: Some(repository.clone()),
            ..trusting(&format!("Work of {name}"), name)
        };
        ids.push(hive.mission(new).await);
    }
    let mut places = Vec::new();
    for id in &ids {
        let running = hive.until(id, |state| state == MissionState::Running).await;
        assert_eq!(running.view.mission.target.as_deref(), Some("main"));
        places.push(running.attempts[0].attempt.workplace.clone().unwrap());
    }
    assert_ne!(places[0].directory, places[1].directory);
    assert_ne!(places[0].branch, places[1].branch);
    assert!(places.iter().all(|place| place.directory != repository));
    std::fs::write(&go, "").unwrap();
}

#[tokio::test]
async fn a_start_over_the_limit_waits_in_a_visible_queue_and_begins_when_a_slot_frees() {
    let hive = Hive::open().await;
    let settings = Settings { running_max: Some(1), ..Settings::default() };
    hive.engine.configure(&hive.caller(), settings).await.unwrap();
    let go = hive.place.path().join("go");
    hive.add(agent("ann", &until(&go))).await;
    hive.add(agent("bob", "true")).await;
    let first =
        hive.mission(NewMission { agent: Some("ann".into()), ..trusting("First", "one") }).await;
    hive.until(&first, |state| state == MissionState::Running).await;
    let second =
        hive.mission(NewMission { agent: Some("bob".into()), ..trusting("Second", "two") }).await;
    let queued = MissionQuery { states: vec![MissionState::Queued], ..MissionQuery::default() };
    let page = hive.engine.missions(queued).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].waiting, Some(Waiting::Limit { running_max: 1 }));
    std::fs::write(&go, "").unwrap();
    let done = hive.until(&second, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done);
}

#[tokio::test]
async fn the_chosen_agent_and_its_score_can_be_explained_and_are_reproducible() {
    let hive = Hive::open().await;
    hive.engine.halt_swarm(&hive.caller(), Default::default()).await;
    let mut tester = agent("tess", "true");
    tester.skills = vec!["tests".into()];
    hive.add(tester).await;
    hive.add(agent("ann", "true")).await;
    let new = NewMission { skills: vec!["tests".into()], ..trusting("Test it", "x") };
    let id = hive.mission(new).await;
    let (one, two) = (hive.engine.why(&id).await.unwrap(), hive.engine.why(&id).await.unwrap());
    assert_eq!(one.waiting, Some(Waiting::Halted));
    let (one, two) = (one.now.unwrap(), two.now.unwrap());
    assert_eq!((&one.candidates, one.points), (&two.candidates, two.points));
    assert_eq!(one.candidates[0].name, "tess");
    assert_eq!(one.candidates[1].refused.as_deref(), Some("it cannot tests"));
    hive.engine.resume_swarm(&hive.caller()).await.unwrap();
    hive.until(&id, MissionState::is_final).await;
    let why = hive.engine.why(&id).await.unwrap();
    let decision = &why.decisions[0];
    assert_eq!(decision.agent_name.as_deref(), Some("tess"));
    let choice = decision.choice.as_ref().unwrap();
    assert_eq!(choice.candidates[0].name, "tess");
    assert_eq!(choice.candidates[0].points, one.candidates[0].points);
}

#[tokio::test]
async fn an_assigned_missions_text_appears_in_the_agents_transcript() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "cat")).await;
    let new = NewMission { draft: true, ..trusting("Say it", "the very words of the brief") };
    let id = hive.mission(new).await;
    let assign = Assign { agent: Some("ANN".into()) };
    hive.engine.assign_mission(&hive.caller(), &id, assign).await.unwrap();
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(hive.printed(&done).await, "the very words of the brief\n");
}

#[tokio::test]
async fn a_mission_whose_dependency_is_not_done_is_never_offered_and_a_cycle_is_refused_on_entry() {
    let hive = Hive::open().await;
    let go = hive.place.path().join("go");
    hive.add(agent("ann", &until(&go))).await;
    hive.add(agent("bob", "true")).await;
    let first =
        hive.mission(NewMission { agent: Some("ann".into()), ..trusting("First", "one") }).await;
    let new = NewMission { depends_on: vec![first.to_lowercase()], ..trusting("Second", "two") };
    let second = hive.mission(new).await;
    hive.until(&first, |state| state == MissionState::Running).await;
    let waiting = hive.engine.mission(&second).await.unwrap();
    assert_eq!(waiting.view.mission.state, MissionState::Queued);
    assert_eq!(
        waiting.view.waiting,
        Some(Waiting::Dependencies { missions: vec![first.clone()], stuck: vec![] })
    );
    assert_eq!(waiting.dependencies[0].short_id.as_str(), first);
    let known = hive.engine.mission(&first).await.unwrap();
    assert_eq!(known.dependents[0].short_id.as_str(), second);

    let third =
        NewMission { draft: true, depends_on: vec![second.clone()], ..trusting("Third", "three") };
    let third = hive.mission(third).await;
    let edit =
        engine::view::EditMission { depends_on: Some(vec![third.clone()]), ..Default::default() };
    let refused = hive.engine.edit_mission(&hive.caller(), &second, edit).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert!(refused.message.contains("circle"), "{}", refused.message);
    assert!(refused.message.contains(&third), "{}", refused.message);
    std::fs::write(&go, "").unwrap();
    let done = hive.until(&second, MissionState::is_final).await;
    let first = hive.engine.mission(&first).await.unwrap();
    assert_eq!(done.view.mission.state, MissionState::Done);
    assert!(done.attempts[0].attempt.leased_at >= first.attempts[0].attempt.ended_at.unwrap());
}

#[tokio::test]
async fn a_failed_mission_is_retried_at_most_n_times_with_growing_delays_then_fails_visibly() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "sh -c 'exit 3'")).await;
    let new = NewMission { retries: Some(2), backoff_s: Some(1), ..mission("Fail", "x") };
    let id = hive.mission(new).await;
    let waiting = hive
        .until_detail(&id, |detail| matches!(detail.view.waiting, Some(Waiting::Until { .. })))
        .await;
    assert_eq!(waiting.view.mission.state, MissionState::Queued);
    let failed = hive.until(&id, MissionState::is_final).await;
    assert_eq!(failed.view.mission.state, MissionState::Failed);
    assert_eq!(failed.attempts.len(), 3);
    let query = engine::EventQuery { mission: Some(id), ..engine::EventQuery::default() };
    let events = hive.engine.events(query).await.unwrap().items;
    let pauses: Vec<Duration> = events
        .iter()
        .rev()
        .filter_map(|event| match &event.fact {
            Fact::MissionMoved { to: MissionState::Queued, not_before: Some(at), .. } => {
                Some(Duration::try_from(at.duration_since(event.at)).unwrap())
            }
            _ => None,
        })
        .collect();
    let [first, second] = pauses[..] else { panic!("{pauses:?}") };
    assert!(second > first && first >= Duration::from_millis(800), "{pauses:?}");
    for (later, earlier, pause) in [(1, 2, first), (0, 1, second)] {
        let began = failed.attempts[later].attempt.leased_at;
        let ended = failed.attempts[earlier].attempt.ended_at.unwrap();
        assert!(Duration::try_from(began.duration_since(ended)).unwrap() >= pause);
    }
    assert!(failed.view.reason.unwrap().contains("exit code 3"));
}

#[tokio::test]
async fn an_agent_that_fails_five_times_in_ten_minutes_is_held_back_until_the_captain_lets_it_go_on()
 {
    let hive = Hive::open().await;
    hive.add(agent("ann", "sh -c 'test -e go || exit 3'")).await;
    for n in 0..5 {
        let new = NewMission {
            agent: Some("ann".into()),
            retries: Some(0),
            ..mission(&format!("Fail {n}"), "x")
        };
        let id = hive.mission(new).await;
        let failed = hive.until(&id, MissionState::is_final).await;
        assert_eq!(failed.view.mission.state, MissionState::Failed);
    }
    let held = hive
        .until_some("it is held back", async |engine| {
            let status = engine.agent("ann").await.unwrap().status;
            (status.state == AgentState::CrashLooping).then_some(status)
        })
        .await;
    assert!(
        held.reason.contains("failed 5 times") && held.reason.contains("resume it"),
        "{held:?}"
    );
    let next = NewMission { agent: Some("ann".into()), retries: Some(0), ..mission("Next", "x") };
    let id = hive.mission(next).await;
    let waits = hive
        .until_detail(&id, |detail| matches!(detail.view.waiting, Some(Waiting::AgentHeld { .. })))
        .await;
    assert!(waits.attempts.is_empty(), "nothing is started");
    // It is what the ledger says, and so holds after a restart too.
    let hive = hive.reopen().await;
    let status = hive.engine.agent("ann").await.unwrap().status;
    assert_eq!(status.state, AgentState::CrashLooping, "{status:?}");
    assert!(hive.engine.mission(&id).await.unwrap().attempts.is_empty());
    hive.engine.resume_agent(&hive.caller(), "ann").await.unwrap();
    let tried = hive.until(&id, MissionState::is_final).await;
    assert_eq!(tried.attempts.len(), 1, "it is started at once");
    let hive = hive.reopen().await;
    let status = hive.engine.agent("ann").await.unwrap().status;
    assert_ne!(status.state, AgentState::CrashLooping, "what was cleared stays so: {status:?}");
}

#[tokio::test]
async fn a_dry_run_lists_everything_it_would_start_and_touches_nothing() {
    let hive = Hive::open().await;
    hive.engine.halt_swarm(&hive.caller(), Default::default()).await;
    for name in ["ann", "bob"] {
        hive.add(agent(name, &format!("{} say ran forever", fake_agent()))).await;
    }
    let mut ids = Vec::new();
    for (title, priority) in [("Low", "low"), ("Urgent", "urgent"), ("High", "high")] {
        let priority = serde_json::from_value(priority.into()).unwrap();
        ids.push(hive.mission(NewMission { priority, ..trusting(title, title) }).await);
    }
    let before = hive.happened().await;
    let runs = || std::fs::read_dir(hive.engine.data_dir().join("runs")).unwrap().count();
    let places = runs();
    let plan = hive.engine.plan().await.unwrap();
    let starts: Vec<_> =
        plan.starts.iter().map(|it| (it.short_id.as_str(), it.agent_name.as_str())).collect();
    assert_eq!(starts, [(ids[1].as_str(), "ann"), (ids[2].as_str(), "bob")]);
    let waits: Vec<_> =
        plan.waiting.iter().map(|it| (it.short_id.as_str(), it.reason.as_str())).collect();
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].0, ids[0]);
    assert!(waits[0].1.contains("stopped everything"), "{}", waits[0].1);
    assert_eq!(hive.happened().await, before, "nothing was recorded");
    assert_eq!(runs(), places, "nothing was started");
    hive.engine.resume_swarm(&hive.caller()).await.unwrap();
    for (id, agent) in [(&ids[1], "ann"), (&ids[2], "bob")] {
        let running = hive.until(id, |state| state == MissionState::Running).await;
        assert_eq!(running.owner.as_deref(), Some(agent), "as it was planned");
    }
    hive.engine.halt_swarm(&hive.caller(), Default::default()).await;
}

#[tokio::test]
async fn each_suggestion_names_the_measured_history_or_says_that_there_is_none_yet() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    let labelled = |title: &str| NewMission {
        labels: vec!["docs".into()],
        agent: Some("ann".into()),
        ..trusting(title, title)
    };
    let check = hive.engine.check_mission(labelled("Probe")).await.unwrap();
    let suggestion = check.suggestion.unwrap();
    assert_eq!(suggestion.agent_name.as_deref(), Some("ann"));
    assert_eq!(suggestion.candidates[0].because, "no history yet");
    assert!(suggestion.candidates[0].success.is_none(), "no number without samples");
    assert!(check.estimate.is_none());
    for title in ["Explain the inputs", "Describe the outputs", "Draw the machine"] {
        let id = hive.mission(labelled(title)).await;
        hive.until(&id, MissionState::is_final).await;
    }
    hive.add(agent("bob", "true")).await;
    let check = hive.engine.check_mission(labelled("Probe")).await.unwrap();
    let suggestion = check.suggestion.unwrap();
    let ann = &suggestion.candidates[0];
    assert_eq!(ann.name, "ann");
    assert!(ann.because.starts_with("accepted 3 of 3 missions labelled 'docs'"), "{}", ann.because);
    assert_eq!(ann.success.unwrap().n, 3);
    assert_eq!(ann.duration_s.unwrap().n, 3);
    assert!(ann.cost_usd.is_none());
    assert_eq!(suggestion.candidates[1].because, "no history yet");
    assert_eq!(check.estimate.unwrap().samples, Some(3));
}

#[tokio::test]
async fn a_mission_shows_its_estimate_before_assignment_and_the_error_afterwards() {
    let hive = Hive::open().await;
    let new = NewMission { estimate_min: Some(2), ..trusting("Estimate", "x") };
    let id = hive.mission(new).await;
    let before = hive.engine.mission(&id).await.unwrap();
    assert_eq!(before.view.mission.estimate.as_ref().unwrap().seconds, 120);
    assert_eq!((before.actual_s, before.estimate_error_percent), (None, None));
    hive.add(agent("ann", "true")).await;
    let done = hive.until(&id, MissionState::is_final).await;
    let actual = done.actual_s.unwrap();
    let error = done.estimate_error_percent.unwrap();
    assert!((0.0..60.0).contains(&actual), "{actual}");
    assert!((error - (actual - 120.0) / 1.2).abs() < 1e-6, "{error}");
}

#[tokio::test]
async fn a_dead_agents_mission_returns_to_the_queue_with_its_history_at_most_twice_by_itself() {
    let hive = Hive::open().await;
    hive.add(agent("ann", &format!("{} say half forever", fake_agent()))).await;
    let id = hive.mission(mission("Survive", "x")).await;
    for n in 1..=3 {
        let running = hive
            .until_detail(&id, |detail| {
                detail.view.mission.state == MissionState::Running
                    && detail.attempts[0].attempt.n == n
                    && detail.attempts[0].attempt.process.is_some()
            })
            .await;
        let process = running.attempts[0].attempt.process.clone().unwrap();
        kill_all(process.shim.pid, &process.marker);
        hive.until_detail(&id, |detail| {
            detail
                .attempts
                .iter()
                .any(|view| view.attempt.n == n && view.attempt.state == AttemptState::Lost)
        })
        .await;
    }
    let failed = hive.until(&id, MissionState::is_final).await;
    assert_eq!(failed.view.mission.state, MissionState::Failed);
    assert_eq!(failed.attempts.len(), 3);
    let handed = failed.attempts[0].attempt.handoff.as_ref().unwrap();
    assert_eq!(handed.from, 2);
    assert_eq!(failed.evidence.grade, Grade::None);
}

/// Kills the supervisor of an attempt and every process of it, so that nobody can tell of the end.
fn kill_all(shim: u32, marker: &str) {
    let others = processes_of(marker);
    let others = others.iter().filter_map(|line| line.split(' ').next().map(str::to_owned));
    for pid in std::iter::once(shim.to_string()).chain(others) {
        let _ = std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    }
}

#[tokio::test]
async fn a_mission_that_depends_on_a_removed_draft_says_that_waiting_does_not_help() {
    let hive = Hive::open().await;
    let draft = NewMission { draft: true, ..mission("First", "one thing") };
    let first = hive.mission(draft).await;
    let second = NewMission { depends_on: vec![first.clone()], ..mission("Then", "another") };
    let second = hive.mission(second).await;
    let reason = async || hive.engine.mission(&second).await.unwrap().view.reason.unwrap();
    assert_eq!(reason().await, format!("waiting for {first} to be done"));
    hive.engine.remove_mission(&hive.caller(), &first).await.unwrap();
    assert_eq!(reason().await, format!("waiting for {first}, which will not be done by itself"));
}
