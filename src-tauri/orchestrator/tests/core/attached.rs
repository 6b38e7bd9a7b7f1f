//! Attempts of agents that run elsewhere: taken by them, and given back where they are not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::agent::Runtime;
use model::attempt::AttemptState;
use model::effect::Effect;
use model::event::Fact;
use model::id::AgentId;
use model::mission::MissionState;
use model::process::Exit;
use model::transition::MissionInput;
use orchestrator::{Cycle, Input};

use crate::world::{World, find, record, workplace};

fn far(world: &mut World) -> AgentId {
    let id = world.agent("far");
    let mut agent = world.state.agents[&id].clone();
    agent.runtime = Runtime::Attached { lost_after_s: 60 };
    world.tell(Input::EditAgent(agent)).unwrap();
    id
}

#[test]
fn an_agent_elsewhere_that_is_not_heard_of_gets_no_mission_and_reviews_nothing() {
    let mut world = World::new();
    let id = far(&mut world);
    world.mission(|_| {});
    let absent = Arc::new(BTreeSet::from([id]));
    let away = Cycle { absent, ..Cycle::default() };
    assert!(world.tell(Input::Schedule(away)).unwrap().facts.is_empty());
    assert!(world.lease().is_some(), "it is heard of");
}

#[test]
fn an_attempt_is_taken_once_however_often_it_is_asked_for_and_runs_without_a_process() {
    let mut world = World::new();
    far(&mut world);
    let mission = world.mission(|_| {});
    let (_, id) = world.lease().unwrap();
    assert!(world.tell(Input::Taken { id }).is_err(), "it has no place to work in yet");
    world.tell(Input::Prepared { id, workplace: workplace() }).unwrap();
    let taken = world.tell(Input::Taken { id }).unwrap();
    assert!(find(&taken, |fact| matches!(fact, Fact::AttemptTaken { .. }).then_some(())).is_some());
    assert_eq!(world.stands(mission), MissionState::Running);
    assert_eq!(world.attempt(id).state, AttemptState::Running);
    assert!(world.tell(Input::Taken { id }).unwrap().facts.is_empty(), "told again");
    let exit = Exit::Answered { completed: true, reason: "it says so".to_owned() };
    let ended = world.tell(Input::Exited { id, record: record(exit) }).unwrap();
    assert!(matches!(ended.effects[..], [Effect::Verify { .. }]));
}

#[test]
fn an_attempt_that_was_asked_to_stop_is_not_taken() {
    let mut world = World::new();
    far(&mut world);
    let mission = world.mission(|_| {});
    let (_, id) = world.lease().unwrap();
    world.tell(Input::Prepared { id, workplace: workplace() }).unwrap();
    world.ask(mission, MissionInput::Pause).unwrap();
    assert!(world.tell(Input::Taken { id }).is_err());
}

#[test]
fn a_mission_nobody_took_is_queued_again_and_has_lost_no_try() {
    let mut world = World::new();
    far(&mut world);
    let mission = world.mission(|_| {});
    let (_, id) = world.lease().unwrap();
    world.tell(Input::Prepared { id, workplace: workplace() }).unwrap();
    let exit = Exit::Lost { reason: "not heard of".to_owned() };
    world.tell(Input::Exited { id, record: record(exit) }).unwrap();
    assert_eq!(world.stands(mission), MissionState::Queued);
    let stands = &world.state.missions[&mission];
    assert_eq!((stands.tries, stands.recoveries), (0, 1));
    assert_eq!(world.attempt(id).state, AttemptState::Lost);
}
