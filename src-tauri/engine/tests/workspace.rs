//! Workspaces: taking up work after an end, refusing what cannot be used, and the demo swarm.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod hive;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use engine::live::{Frame, LiveFrom, LiveTopic, Payload};
use engine::view::{NewAgent, NewMission, OutputStream};
use engine::{Config, Engine, OpenError, SignalQuery, TranscriptQuery};
use futures::StreamExt as _;
use hive::{Hive, agent, fake_agent, mission, processes_of};
use jiff::SignedDuration;
use model::agent::Conduct;
use model::event::Fact;
use model::mission::MissionState;
use model::process::Limits;
use model::refusal::Code;
use model::status::AgentState;

#[tokio::test]
async fn a_running_agent_goes_on_while_the_engine_is_away_and_is_adopted() {
    let hive = Hive::open().await;
    let go = hive.place.path().join("go");
    let command = format!("{} say one until {} say two", fake_agent(), go.display());
    hive.add(agent("ann", &command)).await;
    let id =
        hive.mission(NewMission { policy: Some("trusting".into()), ..mission("Wait", "x") }).await;
    hive.until_printed(&id, "one\n").await;
    let before = hive.until(&id, |state| state == MissionState::Running).await;
    let hive = hive.reopen().await;
    let after = hive.until(&id, |state| state == MissionState::Running).await;
    assert_eq!(
        before.attempts[0].attempt.process.as_ref().map(|process| process.program),
        after.attempts[0].attempt.process.as_ref().map(|process| process.program),
        "it is the same process"
    );
    std::fs::write(&go, "").unwrap();
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done);
    assert_eq!(hive.printed(&done).await, "one\ntwo\n");
    let events = hive.engine.events(engine::EventQuery::default()).await.unwrap().items;
    assert!(events.iter().any(|event| matches!(event.fact, Fact::AttemptAdopted { .. })));
}

#[tokio::test]
async fn an_agent_that_ended_while_the_engine_was_away_is_judged_at_the_next_start() {
    let hive = Hive::open().await;
    let go = hive.place.path().join("go");
    let command = format!("{} until {} say bye", fake_agent(), go.display());
    hive.add(agent("ann", &command)).await;
    let id =
        hive.mission(NewMission { policy: Some("trusting".into()), ..mission("Wait", "x") }).await;
    let running = hive.until(&id, |state| state == MissionState::Running).await;
    let marker = running.attempts[0].attempt.process.clone().unwrap().marker;
    let Hive { engine, ending, place } = hive;
    let data = engine.data_dir().to_owned();
    engine.shutdown().await;
    drop(engine);
    std::fs::write(&go, "").unwrap();
    let start = Instant::now();
    while !processes_of(&marker).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let hive = Hive { engine: hive::open(&data).await, ending, place };
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done);
    assert_eq!(hive.printed(&done).await, "bye\n");
}

#[tokio::test]
async fn a_second_engine_on_the_same_directory_is_refused_and_names_the_first() {
    let hive = Hive::open().await;
    let config = Config::new(hive.engine.data_dir().to_owned(), "0.0.0-test");
    match Engine::open(config).await {
        Err(OpenError::DataDir(err)) => {
            assert!(err.to_string().contains(&std::process::id().to_string()), "{err}");
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_damaged_or_foreign_ledger_is_refused_by_name_and_left_byte_for_byte() {
    for content in [b"not a database at all, but long enough to look at".to_vec(), vec![0; 8192]] {
        let place = tempfile::tempdir().unwrap();
        std::fs::set_permissions(place.path(), Permissions::from_mode(0o700)).unwrap();
        let file = place.path().join("ledger.db");
        std::fs::write(&file, &content).unwrap();
        let config = Config::new(place.path().to_owned(), "0.0.0-test");
        let err = Engine::open(config).await.expect_err("it must be refused");
        assert!(err.to_string().contains("ledger.db"), "{err}");
        assert!(err.to_string().contains("nothing was changed"), "{err}");
        assert_eq!(std::fs::read(&file).unwrap(), content);
    }
}

#[tokio::test]
async fn an_agent_that_prints_200_mb_and_bytes_that_are_no_text_loses_nothing_that_it_may_keep() {
    let hive = Hive::open().await;
    let size: u64 = 200 * 1024 * 1024;
    let command = format!("{} garbage flood {size} say end", fake_agent());
    let limits = Limits { output_bytes: Some(2 * size), ..Limits::default() };
    let conduct = Conduct { limits, ..Conduct::default() };
    hive.add(NewAgent { conduct, ..agent("ann", &command) }).await;
    let id =
        hive.mission(NewMission { policy: Some("trusting".into()), ..mission("Flood", "x") }).await;
    let done = hive.until(&id, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{:?}", done.view.reason);
    assert!(done.attempts[0].stdout_bytes >= size);
    let read = |offset| {
        let query =
            TranscriptQuery { stream: OutputStream::Stdout, offset, max_bytes: 4096, wait_ms: 0 };
        hive.engine.transcript(done.attempts[0].attempt.id, query)
    };
    assert!(read(0).await.unwrap().text.contains("before \u{fffd}"));
    assert!(read(-64).await.unwrap().text.ends_with("end\n"));
}

#[tokio::test]
async fn a_waiting_reader_gets_new_output_as_soon_as_there_is_some() {
    let hive = Hive::open().await;
    let go = hive.place.path().join("go");
    let command = format!("{} until {} say now", fake_agent(), go.display());
    hive.add(agent("ann", &command)).await;
    let id = hive.mission(mission("Wait", "x")).await;
    let running = hive.until(&id, |state| state == MissionState::Running).await;
    let query = TranscriptQuery {
        stream: OutputStream::Stdout,
        offset: 0,
        max_bytes: 4096,
        wait_ms: 10_000,
    };
    let waiting = hive.engine.transcript(running.attempts[0].attempt.id, query);
    let (chunk, written) = tokio::join!(waiting, async { std::fs::write(&go, "") });
    written.unwrap();
    let chunk = chunk.unwrap();
    assert_eq!((chunk.text.as_str(), chunk.next_offset), ("now\n", 4));
}

#[tokio::test]
async fn an_agents_state_says_what_it_does_since_when_and_which_fact_says_so() {
    let hive = Hive::open().await;
    hive.add(agent("ann", &format!("{} say hello forever", fake_agent()))).await;
    let idle = hive.engine.agent("ann").await.unwrap();
    assert_eq!((idle.status.state, idle.status.signal.as_str()), (AgentState::Idle, "attempt"));
    let id = hive.mission(mission("Stay", "x")).await;
    hive.until_printed(&id, "hello\n").await;
    let start = Instant::now();
    let busy = loop {
        let busy = hive.engine.agent("ann").await.unwrap();
        if busy.usage.as_ref().is_some_and(|usage| usage.cpu_percent.is_some()) {
            break busy;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{busy:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(busy.status.state, AgentState::Working);
    assert_eq!(busy.last_line.as_deref(), Some("hello"));
    assert_eq!(busy.current.unwrap().short_id.to_string(), id);
    assert!(busy.usage.unwrap().processes >= 1);
    hive.add(agent("bob", "no-such-program")).await;
    let bob = hive.engine.agent("bob").await.unwrap();
    assert_eq!(bob.status.state, AgentState::Offline);
    assert!(bob.status.reason.contains("no-such-program"));
    hive.ask(&id, model::transition::MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
}

#[tokio::test]
async fn what_is_measured_can_be_asked_for_and_unknown_signals_are_refused() {
    let hive = Hive::open().await;
    let start = Instant::now();
    loop {
        let now = hive.engine.clock().now();
        let query = SignalQuery {
            name: "machine_memory_used_bytes".into(),
            labels: BTreeMap::new(),
            from: now.checked_sub(SignedDuration::from_secs(60)).unwrap(),
            to: now,
            points: 10,
        };
        let found = hive.engine.range(query.clone()).await.unwrap();
        if let Some(bucket) = found.first().and_then(|series| series.buckets.last()) {
            assert!(bucket.min > 0.0 && bucket.max >= bucket.mean && bucket.mean >= bucket.min);
            let unknown = SignalQuery { name: "no_such".into(), ..query };
            assert_eq!(hive.engine.range(unknown).await.unwrap_err().code, Code::NotFound);
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "nothing was measured");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn every_event_and_the_changed_swarm_reach_a_listener_in_order() {
    let hive = Hive::open().await;
    let topics = vec![LiveTopic::Events, LiveTopic::Agents];
    let from = LiveFrom { topics, ..LiveFrom::default() };
    let mut live = Box::pin(hive.engine.live(from, tokio::sync::mpsc::channel(1).1));
    hive.add(agent("ann", "true")).await;
    let id =
        hive.mission(NewMission { policy: Some("trusting".into()), ..mission("Go", "x") }).await;
    let (mut last, mut kinds, mut seen_ann, mut at) = (None, Vec::new(), false, None);
    while !(kinds.contains(&"attempt_ended") && seen_ann) {
        let next = tokio::time::timeout(Duration::from_secs(30), live.next()).await;
        let frame: Frame = serde_json::from_str(&next.unwrap().unwrap().json).unwrap();
        assert_eq!(frame.version, engine::live::FRAME_VERSION);
        assert!(frame.seq.is_none() || frame.seq >= last, "the numbers grow");
        last = frame.seq.or(last);
        match frame.payload {
            Payload::Events { events } => {
                for event in events {
                    assert!(at.is_none_or(|at| event.seq == at + 1), "no gap and no duplicate");
                    at = Some(event.seq);
                    // What the health checks find comes when it comes.
                    if event.fact.kind() != "checks_changed" {
                        kinds.push(event.fact.kind());
                    }
                }
            }
            Payload::Agents { agents, .. } => {
                seen_ann |= agents.iter().any(|view| view.agent.name == "ann");
            }
            Payload::Lagging { .. } => panic!("nothing was missed"),
            _ => {}
        }
    }
    let added = kinds.iter().position(|kind| *kind == "agent_added").unwrap();
    assert_eq!(
        kinds[added..added + 4],
        ["agent_added", "mission_created", "mission_moved", "mission_moved"],
        "{id}"
    );
}

#[tokio::test]
async fn the_demo_swarm_does_real_work_and_is_removed_by_one_request() {
    let hive = Hive::open().await;
    let demo = hive.engine.start_demo(&hive.caller()).await.unwrap();
    assert_eq!(hive.engine.start_demo(&hive.caller()).await.unwrap_err().code, Code::Conflict);
    let counted = demo.missions[2].to_string();
    let done = hive.until(&counted, MissionState::is_final).await;
    assert_eq!(done.view.mission.state, MissionState::Done, "{:?}", done.view.reason);
    assert_eq!(done.attempts[0].attempt.work.as_ref().unwrap().commits.len(), 1);
    hive.devlog(&counted).await;
    assert!(hive.engine.overview().await.unwrap().demo);
    hive.engine.remove_demo(&hive.caller()).await.unwrap();
    let after = hive.engine.overview().await.unwrap();
    assert!(!after.demo && after.missions.is_empty() && after.agents.is_empty(), "{after:#?}");
    let devlogs = hive.engine.devlogs(engine::DevlogQuery::default()).await.unwrap();
    assert_eq!(devlogs.items, []);
    assert!(!std::path::Path::new(&demo.repository).exists());
    let left = std::fs::read_dir(hive.engine.data_dir().join("runs")).unwrap().count();
    assert_eq!(left, 0, "its runs are gone");
}

#[tokio::test]
async fn the_doctor_names_what_is_missing_and_what_to_do() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "no-such-program")).await;
    let checks = hive.engine.doctor().await;
    let missing = checks.iter().find(|check| check.name == "program no-such-program").unwrap();
    assert!(missing.fix.as_ref().unwrap().contains("install no-such-program"));
    let ledger = checks.iter().find(|check| check.name == "ledger").unwrap();
    assert_eq!(ledger.fix, None, "{}", ledger.found);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_hides_no_other_check() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    // Takes the place of the scratch database, which then cannot be made.
    let scratch = hive.engine.data_dir().join("ledger.verify.db");
    std::fs::create_dir(scratch).unwrap();
    let checks = hive.engine.doctor().await;
    let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
    let keeping = ["supervision", "limits", "sandbox", "network", "secrets"];
    assert_eq!(names, [&["ledger", "disk", "git"], &keeping[..], &["program true"]].concat());
    assert_eq!(checks[0].grade, engine::view::CheckGrade::Failed);
    assert!(checks[0].found.contains("failed to verify the ledger"), "{:?}", checks[0]);
}
