//! What the simulation found, each as the few steps it takes.

use model::attempt::AttemptState;
use model::gate::{GateSpec, Verdict};
use model::id::{AttemptId, MissionId};
use model::mission::{Mission, MissionState};
use model::process::Exit;
use model::refusal::Code;
use model::transition::MissionInput;
use orchestrator::state::State;
use orchestrator::{Input, Wish};

use crate::world::{World, gate_at, process, record, work_at};

/// A mission whose work is in review, with these gates; those of the engine have passed.
fn in_review(lines: &[&str]) -> (World, MissionId, AttemptId) {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|mission| {
        mission.gates = lines.iter().map(|line| GateSpec::parse(line).unwrap()).collect();
    });
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    world.tell(Input::Secured { id: attempt, work: work_at("c1") }).unwrap();
    world.verify(attempt, vec![gate_at(lines[0], 0, Verdict::Passed, "c1")]);
    assert_eq!(world.stands(id), MissionState::InReview);
    (world, id, attempt)
}

fn edit(world: &mut World, id: MissionId, lines: &[&str]) {
    let gates = lines.iter().map(|line| GateSpec::parse(line).unwrap()).collect();
    let mission = Mission { gates, ..world.state.missions[&id].clone() };
    world.tell(Input::EditMission { mission, brief: None }).unwrap();
}

#[test]
fn what_one_gate_found_never_counts_for_another_that_came_to_stand_in_its_place() {
    let (mut world, id, _) = in_review(&["command: make", "human: well?"]);
    edit(&mut world, id, &["command: make test", "human: well?"]);
    let refused = world.ask(id, MissionInput::Accept).unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    let reason = "gate 'command: make test' has not been answered";
    assert!(refused.message.contains(reason), "{}", refused.message);
}

#[test]
fn a_gate_that_is_taken_off_leaves_the_others_what_they_found() {
    let (mut world, id, attempt) =
        in_review(&["command: make", "ci: build", "reviewer: any", "human: well?"]);
    let result = gate_at("ci: build", 1, Verdict::Passed, "c1");
    world.tell(Input::GateFinished { id: attempt, result }).unwrap();
    let result = gate_at("reviewer: any", 2, Verdict::Broken, "c1");
    world.tell(Input::GateFinished { id: attempt, result }).unwrap();
    let refused = world.ask(id, MissionInput::Accept).unwrap_err();
    assert!(refused.message.contains("reviewer"), "{}", refused.message);
    edit(&mut world, id, &["human: well?", "ci: build", "command: make"]);
    world.ask(id, MissionInput::Accept).unwrap();
    assert_eq!(world.stands(id), MissionState::Done);
    let kept = &world.state.results[&attempt];
    for line in ["human: well?", "ci: build", "command: make"] {
        let gate = GateSpec::parse(line).unwrap();
        assert!(kept.values().any(|it| it.gate == gate), "the evidence of '{line}' is lost");
    }
}

#[test]
fn a_build_that_was_posted_before_its_gate_was_asked_for_has_one_place() {
    let (mut world, id, attempt) = in_review(&["command: make", "human: well?"]);
    let result = gate_at("ci: build", 0, Verdict::Failed, "c1");
    world.tell(Input::GateFinished { id: attempt, result }).unwrap();
    edit(&mut world, id, &["ci: build", "command: make"]);
    let result = gate_at("ci: build", 0, Verdict::Passed, "c1");
    world.tell(Input::GateFinished { id: attempt, result }).unwrap();
    let builds = world.state.results[&attempt].values().filter(|it| it.gate.kind() == "ci");
    assert_eq!(builds.map(|it| it.verdict).collect::<Vec<_>>(), [Verdict::Passed]);
    assert_eq!(world.stands(id), MissionState::Done);
}

#[test]
fn an_agent_whose_older_work_is_verified_again_stays_at_work_until_both_are_over() {
    let (mut world, id, older) = in_review(&["command: make", "human: well?"]);
    let second = world.mission(|_| {});
    let (leased, newer) = world.lease().unwrap();
    assert_eq!(leased, second);
    world.tell(Input::Changed { id, note: "it moved".to_owned() }).unwrap();
    assert_eq!(world.state.under_way(), 2);
    world.verify(older, vec![gate_at("command: make", 0, Verdict::Failed, "c1")]);
    assert!(world.attempt(older).state.is_final());
    assert!(world.state.is_busy(world.attempt(newer).agent_id), "it still works on the second");
    world.mission(|_| {});
    assert_eq!(world.lease(), None, "nobody is free");
}

#[test]
fn what_ended_while_it_was_held_costs_no_try_beyond_those_asked_for() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|_| {});
    let (_, attempt) = world.lease().unwrap();
    world.start(attempt);
    let wish = Wish { keep_processes: true, ..Wish::new(MissionInput::Pause) };
    world.tell(Input::Ask { id, wish }).unwrap();
    let killed = record(Exit::Signal { signal: 9 });
    world.tell(Input::Exited { id: attempt, record: killed.clone() }).unwrap();
    world.tell(Input::Stopped { id: attempt, record: killed, problem: None }).unwrap();
    world.state.forget_finished();
    world.ask(id, MissionInput::Resume).unwrap();
    world.lease().unwrap();
    assert_eq!(world.state.missions[&id].tries, 1, "no retries were asked for");
}

#[test]
fn only_a_program_that_is_said_to_run_can_be_taken_over() {
    let (mut world, _, attempt) = in_review(&["command: make", "human: well?"]);
    let refused = world.tell(Input::Adopted { id: attempt, process: process() }).unwrap_err();
    assert_eq!(refused.message, "the attempt is verifying, not running");
    assert_eq!(world.attempt(attempt).state, AttemptState::Verifying);
}

#[test]
fn a_state_that_was_read_back_is_as_the_one_that_was_folded() {
    let (world, id, _) = in_review(&["command: make", "human: well?"]);
    let mut read = State::new(100);
    let row = world.state.missions[&id].clone();
    // The ledger writes down when a row was changed last; the facts do not say it.
    read.admit_mission(Mission {
        updated_at: world.now + jiff::SignedDuration::from_secs(9),
        ..row
    });
    assert_eq!(read.missions, world.state.missions);
}
