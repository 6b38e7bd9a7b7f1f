//! Decisions walked by hand.

use model::effect::Effect;
use model::event::Fact;
use model::gate::{GateResult, Grade, Verdict};
use model::mission::{MissionState, Priority};
use model::policy::{STANDARD, STRICT, TRUSTING};
use model::process::Exit;
use model::refusal::Code;
use model::transition::MissionInput;
use orchestrator::Input;
use orchestrator::decide::Decision;

use crate::world::{World, gate, process, record, workplace};

#[test]
fn what_an_attempt_came_to_follows_from_its_exit_its_gates_and_the_policy() {
    use MissionState::{Done, Failed, InReview};
    let check = |policy: &str, gates: &[Verdict], exit, state, grade| {
        let mut world = World::new();
        world.agent("ann");
        let id = world.mission(|mission| {
            mission.policy = String::from(policy);
            mission.gates.resize(gates.len(), mission.gates[0].clone());
        });
        let (_, attempt) = world.lease().unwrap();
        world.work(attempt, exit);
        let gates = (0..).zip(gates).map(|(index, it)| GateResult { index, ..gate(*it) });
        world.verify(attempt, gates.collect());
        let mission = &world.state.missions[&id];
        assert_eq!((mission.state, mission.grade), (state, grade), "{policy:?} {:?}", mission.note);
    };
    let ok = Exit::Code { code: 0 };
    let (yes, no) = (Verdict::Passed, Verdict::Failed);
    check(STANDARD, &[yes], ok.clone(), Done, Grade::Observed);
    check(STANDARD, &[yes, yes], ok.clone(), Done, Grade::Observed);
    check(STANDARD, &[], ok.clone(), InReview, Grade::SelfReport);
    check(TRUSTING, &[], ok.clone(), Done, Grade::SelfReport);
    check(TRUSTING, &[no], ok.clone(), Failed, Grade::None);
    check(STRICT, &[yes], ok.clone(), InReview, Grade::Observed);
    check(STANDARD, &[yes, no], ok.clone(), Failed, Grade::None);
    check(STANDARD, &[Verdict::TimedOut], ok.clone(), Failed, Grade::None);
    check(STANDARD, &[Verdict::Broken], ok, Failed, Grade::None);
    check(TRUSTING, &[], Exit::Code { code: 1 }, Failed, Grade::None);
    check(TRUSTING, &[], Exit::Signal { signal: 9 }, Failed, Grade::None);
    let lost = Exit::Lost { reason: "gone".to_owned() };
    check(TRUSTING, &[], lost, MissionState::Queued, Grade::None);
}

#[test]
fn what_is_told_twice_is_recorded_once() {
    let mut world = World::new();
    world.agent("a");
    world.mission(|_| {});
    let (_, id) = world.lease().unwrap();
    world.tell(Input::Prepared { id, workplace: workplace() }).unwrap();
    for input in [
        Input::Started { id, process: process() },
        Input::Exited { id, record: record(Exit::Code { code: 0 }) },
    ] {
        assert_ne!(world.tell(input.clone()).unwrap(), Decision::default());
        assert_eq!(world.tell(input).unwrap(), Decision::default());
    }
}

#[test]
fn gates_that_were_not_all_run_are_not_enough() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|mission| mission.gates.push(mission.gates[0].clone()));
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    world.verify(attempt, vec![gate(Verdict::Passed)]);
    assert_eq!(world.stands(id), MissionState::Failed);
}

#[test]
fn the_more_urgent_mission_goes_first_then_the_older() {
    let mut world = World::new();
    let older = world.mission(|_| {});
    let newer = world.mission(|_| {});
    let urgent = world.mission(|mission| mission.priority = Priority::Urgent);
    let mut order = Vec::new();
    for name in ["a", "b", "c"] {
        world.agent(name);
        order.push(world.lease().unwrap().0);
    }
    assert_eq!(order, [urgent, older, newer]);
}

#[test]
fn an_agent_works_on_one_mission_at_a_time_and_only_on_its_own() {
    let mut world = World::new();
    let ann = world.agent("ann");
    let bob = world.agent("bob");
    let first = world.mission(|mission| mission.agent = Some(bob));
    let second = world.mission(|mission| mission.agent = Some(bob));
    assert_eq!(world.lease().unwrap().0, first);
    assert_eq!(world.lease(), None, "bob is busy and ann was not chosen");
    assert_eq!(world.stands(second), MissionState::Queued);
    let refused = world.tell(Input::RemoveAgent(bob)).unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    world.tell(Input::RemoveAgent(ann)).unwrap();
}

#[test]
fn cancelling_a_running_mission_stops_its_attempt_once_and_keeps_the_agent_until_it_is_gone() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|_| {});
    let (_, attempt) = world.lease().unwrap();
    world.start(attempt);
    let decision = world.ask(id, MissionInput::Cancel).unwrap();
    assert_eq!(decision.effects, [Effect::Stop { attempt_id: attempt }]);
    assert_eq!(world.stands(id), MissionState::Cancelled);
    let other = world.mission(|_| {});
    assert_eq!(world.lease(), None, "the agent is still being stopped");
    assert_eq!(world.ask(id, MissionInput::Retry).unwrap_err().code, Code::Conflict);
    let late = world.tell(Input::Exited { id: attempt, record: record(Exit::Code { code: 0 }) });
    assert_eq!(late.unwrap(), Decision::default(), "its exit is the stop's to tell");
    let stopped = record(Exit::Stopped { killed: true });
    let problem = Some("its work is kept in /x but not committed".to_owned());
    let decision = world.tell(Input::Stopped { id: attempt, record: stopped, problem }).unwrap();
    let said = decision.facts.iter().find_map(|(_, fact)| match fact {
        Fact::AttemptEnded { note, .. } => note.clone(),
        _ => None,
    });
    assert!(said.unwrap().ends_with("; its work is kept in /x but not committed"));
    world.state.forget_finished();
    assert_eq!(world.lease().map(|leased| leased.0), Some(other));
}

#[test]
fn a_late_result_is_kept_as_late_and_never_applied() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|mission| mission.gates.clear());
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    world.verify(attempt, Vec::new());
    world.ask(id, MissionInput::Accept).unwrap();
    let late = Input::Exited { id: attempt, record: record(Exit::Code { code: 7 }) };
    let decision = world.tell(late).unwrap();
    assert!(matches!(decision.facts[..], [(_, Fact::ResultLate { .. })]));
    let result = Input::GateFinished { id: attempt, result: gate(Verdict::Failed) };
    let decision = world.tell(result).unwrap();
    assert!(matches!(decision.facts[..], [(_, Fact::ResultLate { .. })]));
    assert_eq!(world.stands(id), MissionState::Done);
    world.state.forget_finished();
    let late = Input::Verified { id: attempt, problem: None };
    let decision = world.tell(late).unwrap();
    assert!(matches!(decision.facts[..], [(_, Fact::ResultLate { .. })]));
}
