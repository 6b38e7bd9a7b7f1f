//! The emergency stop, and the grade of the swarm.

use std::time::{Duration, Instant};

use engine::view::{HaltRequest, NewMission};
use model::mission::MissionState;
use model::status::Waiting;
use model::swarm::{SwarmGrade, SwarmState};

use crate::hive::{Hive, agent, fake_agent, mission, processes_of};

async fn at_work(hive: &Hive, names: &[&str]) -> Vec<(String, String)> {
    let mut running = Vec::new();
    for name in names {
        hive.add(agent(name, &format!("{} ignore-term child 300000 say on forever", fake_agent())))
            .await;
        let new =
            NewMission { agent: Some((*name).into()), ..mission(&format!("For {name}"), name) };
        running.push(hive.mission(new).await);
    }
    let mut known = Vec::new();
    for id in running {
        let detail = hive.until_printed(&id, "on\n").await;
        known.push((id, detail.attempts[0].attempt.process.clone().unwrap().marker));
    }
    known
}

#[tokio::test]
async fn the_emergency_stop_ends_every_tree_within_seconds_and_starts_nothing_until_resumed() {
    let hive = Hive::open().await;
    let known = at_work(&hive, &["ann", "bob", "cid"]).await;
    let began = Instant::now();
    let note = Some("smoke".into());
    let halted = hive.engine.halt_swarm(&hive.caller(), HaltRequest { note }).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(halted.recorded, "{halted:?}");
    assert_eq!(halted.survivors, []);
    assert!(halted.trees >= 3, "{halted:?}");
    for (id, marker) in &known {
        assert_eq!(processes_of(marker), Vec::<String>::new());
        let detail = hive.engine.mission(id).await.unwrap();
        assert_eq!(detail.view.mission.state, MissionState::Queued);
        assert_eq!(detail.view.waiting, Some(Waiting::Halted));
    }
    let swarm = hive.engine.overview().await.unwrap().swarm;
    assert_eq!(swarm.state, SwarmState::Halted);
    assert!(swarm.halted_since.is_some());
    let hive = hive.reopen().await;
    let plan = hive.engine.plan().await.unwrap();
    assert!(plan.halted, "{plan:?}");
    assert_eq!(plan.starts.len(), 3, "they would go on");
    let running = engine::MissionQuery {
        states: vec![MissionState::Assigned, MissionState::Running],
        ..engine::MissionQuery::default()
    };
    assert!(hive.engine.missions(running).await.unwrap().items.is_empty());
    hive.engine.resume_swarm(&hive.caller()).await.unwrap();
    assert!(hive.engine.resume_swarm(&hive.caller()).await.is_err());
    hive.until(&known[0].0, |state| state == MissionState::Running).await;
    hive.engine.halt_swarm(&hive.caller(), HaltRequest::default()).await;
}

#[tokio::test]
async fn the_emergency_stop_works_while_nothing_can_be_recorded_and_holds_after_a_restart() {
    let hive = Hive::open().await;
    let known = at_work(&hive, &["ann", "bob"]).await;
    let Hive { engine, ending, place } = hive;
    let data = engine.data_dir().to_owned();
    // Its ledger takes nothing any more, and its loop is gone; the agents go on.
    engine.shutdown().await;
    assert!(known.iter().all(|(_, marker)| !processes_of(marker).is_empty()));
    let caller = engine::Caller {
        actor: model::event::Actor::Captain,
        correlation_id: model::id::CorrelationId::from_uuid(uuid::Uuid::now_v7()),
        key: None,
        fingerprint: [0; 32],
    };
    let began = Instant::now();
    let halted = engine.halt_swarm(&caller, HaltRequest::default()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!halted.recorded && halted.problem.is_some(), "{halted:?}");
    assert!(halted.trees >= 2 && halted.survivors.is_empty(), "{halted:?}");
    assert!(known.iter().all(|(_, marker)| processes_of(marker).is_empty()));
    drop(engine);
    let hive = Hive { engine: crate::hive::open(&data).await, ending, place };
    let swarm = hive.engine.overview().await.unwrap().swarm;
    assert_eq!(swarm.state, SwarmState::Halted, "nothing is started after a restart either");
    hive.engine.resume_swarm(&hive.caller()).await.unwrap();
    let swarm = hive.engine.overview().await.unwrap().swarm;
    assert_ne!(swarm.state, SwarmState::Halted);
    hive.engine.halt_swarm(&hive.caller(), HaltRequest::default()).await;
}

#[tokio::test]
async fn the_grade_is_computed_only_from_live_agents_and_changes_when_one_of_four_is_killed() {
    let hive = Hive::open().await;
    assert_eq!(hive.engine.overview().await.unwrap().swarm.grade, None, "no agent, no grade");
    hive.add(agent("idle", "no-such-program-anywhere")).await;
    let known = at_work(&hive, &["ann", "bob", "cid", "dot"]).await;
    let until = async |wanted: &dyn Fn(&engine::view::SwarmView) -> bool| {
        let began = Instant::now();
        loop {
            let swarm = hive.engine.overview().await.unwrap().swarm;
            if wanted(&swarm) {
                return swarm;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{swarm:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let four = until(&|swarm| swarm.live == 4).await;
    assert_eq!((four.grade, four.state), (Some(SwarmGrade::A), SwarmState::Active));
    let detail = hive.engine.mission(&known[0].0).await.unwrap();
    let pid = detail.attempts[0].attempt.process.clone().unwrap().program.pid;
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
    let three = until(&|swarm| swarm.live == 3).await;
    assert_eq!((three.grade, three.state), (Some(SwarmGrade::C), SwarmState::Degraded));
    assert_eq!(three.because[0], "1 died in the last 15 minutes");
    assert!(three.advice.is_some());
    hive.engine.halt_swarm(&hive.caller(), HaltRequest::default()).await;
}

#[tokio::test]
async fn a_stop_that_died_on_its_way_is_finished_at_the_next_start() {
    let hive = Hive::open().await;
    let known = at_work(&hive, &["ann"]).await;
    let (id, marker) = known[0].clone();
    // As it is when the engine is killed between its mark and the end of the processes.
    std::fs::write(hive.engine.data_dir().join("HALTED"), "stopped").unwrap();
    let hive = hive.reopen().await;
    assert_eq!(processes_of(&marker), Vec::<String>::new());
    let detail = hive.until(&id, |state| state == MissionState::Queued).await;
    assert_eq!(detail.view.waiting, Some(Waiting::Halted));
    hive.engine.resume_swarm(&hive.caller()).await.unwrap();
    hive.until(&id, |state| state == MissionState::Running).await;
}
