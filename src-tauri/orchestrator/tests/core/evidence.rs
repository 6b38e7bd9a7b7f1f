//! Evidence, reviews, and answers from outside.

use model::effect::Effect;
use model::event::Fact;
use model::gate::{GateSpec, Grade, Verdict};
use model::id::{AttemptId, MissionId};
use model::mission::{Merge, MergeHow, MissionState};
use model::process::Exit;
use model::refusal::Code;
use model::transition::MissionInput;
use orchestrator::{Cycle, Input, Wish};

use crate::world::{World, find, gate_at, work_at};

/// A mission with these gates whose agent has ended well at the commit `c1`.
fn ended(
    lines: &[&str],
    change: impl FnOnce(&mut model::mission::Mission),
) -> (World, MissionId, AttemptId) {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|mission| {
        mission.gates = lines.iter().map(|line| GateSpec::parse(line).unwrap()).collect();
        change(mission);
    });
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    world.tell(Input::Secured { id: attempt, work: work_at("c1") }).unwrap();
    (world, id, attempt)
}

fn accept(world: &mut World, id: MissionId) -> Result<(), Code> {
    world.ask(id, MissionInput::Accept).map(drop).map_err(|refusal| refusal.code)
}

#[test]
fn a_mission_cannot_enter_done_without_the_evidence_kinds_its_policy_requires() {
    let check = |line: &str, proof: Grade, state: MissionState| {
        let (mut world, id, attempt) = ended(&[line], |mission| mission.proof = Some(proof));
        world.verify(attempt, vec![gate_at(line, 0, Verdict::Passed, "c1")]);
        assert_eq!(world.stands(id), state, "{line} {proof:?}");
    };
    use MissionState::{Done, InReview};
    check("command: make", Grade::Observed, Done);
    check("command: make", Grade::Independent, InReview);
    check("no-secrets: diff", Grade::SelfReport, Done);
    check("no-secrets: diff", Grade::Observed, InReview);
    check("diff: not empty", Grade::Observed, InReview);
    check("file: out.txt", Grade::Human, InReview);
}

#[test]
fn a_completion_stays_in_review_until_its_verify_item_is_answered() {
    let lines = ["command: make", "ci: build", "reviewer: any", "human: well?"];
    let (mut world, id, attempt) = ended(&lines, |_| {});
    world.verify(attempt, vec![gate_at(lines[0], 0, Verdict::Passed, "c1")]);
    assert_eq!(world.stands(id), MissionState::InReview);
    assert!(
        world.attempt(attempt).in_review && !world.state.is_busy(world.attempt(attempt).agent_id)
    );
    let note = world.state.missions[&id].note.clone().unwrap();
    for part in ["CI 'build' is awaited", "another agent is to review it", "you are asked: well?"] {
        assert!(note.contains(part), "{note}");
    }
    // Nobody who could review it is there; its own agent does not count.
    assert_eq!(world.tell(Input::Schedule(Cycle::default())).unwrap().effects, []);
    let rex = world.agent_with("rex", &["review"]);
    let decision = world.tell(Input::Schedule(Cycle::default())).unwrap();
    let asked = Effect::Review { mission_id: id, attempt_id: attempt, index: 2, agent_id: rex };
    assert_eq!(decision.effects, [asked]);
    assert!(world.state.is_busy(rex));
    assert_eq!(accept(&mut world, id), Err(Code::Conflict), "two answers are missing");
    let answer = |world: &mut World, line: &str, index| {
        let result = gate_at(line, index, Verdict::Passed, "c1");
        world.tell(Input::GateFinished { id: attempt, result }).unwrap();
    };
    answer(&mut world, lines[2], 2);
    assert!(!world.state.is_busy(rex));
    assert_eq!(accept(&mut world, id), Err(Code::Conflict), "one answer is missing");
    answer(&mut world, lines[1], 99);
    assert_eq!(world.stands(id), MissionState::InReview, "the captain was asked too");
    assert_eq!(accept(&mut world, id), Ok(()));
    assert_eq!(world.stands(id), MissionState::Done);
    assert_eq!(world.state.missions[&id].grade, Grade::Human);
}

#[test]
fn the_last_answer_makes_a_mission_done_when_nobody_else_was_asked() {
    let (mut world, id, attempt) = ended(&["ci: build"], |_| {});
    world.verify(attempt, vec![]);
    assert_eq!(world.stands(id), MissionState::InReview);
    let result = gate_at("ci: build", 0, Verdict::Passed, "c1");
    world.tell(Input::GateFinished { id: attempt, result }).unwrap();
    assert_eq!(world.stands(id), MissionState::Done);
    assert_eq!(world.state.missions[&id].grade, Grade::Independent);
}

#[test]
fn a_ci_result_can_attach_to_a_mission_as_evidence_and_a_red_one_blocks_done() {
    // Nobody asked for it, and it came before the gates were through.
    let (mut world, id, attempt) = ended(&["command: make"], |_| {});
    let red = gate_at("ci: build", 0, Verdict::Failed, "c1");
    world.tell(Input::GateFinished { id: attempt, result: red }).unwrap();
    assert_eq!(world.state.results[&attempt][&1].gate.label(), "ci: build");
    world.verify(attempt, vec![gate_at("command: make", 0, Verdict::Passed, "c1")]);
    assert_eq!(world.stands(id), MissionState::InReview, "it would be done without it");
    assert_eq!(accept(&mut world, id), Err(Code::Conflict));
    // One for another commit changes nothing; a green one for this commit takes its place.
    let other = gate_at("ci: build", 0, Verdict::Passed, "c0");
    world.tell(Input::GateFinished { id: attempt, result: other }).unwrap();
    assert_eq!(world.stands(id), MissionState::InReview);
    let green = gate_at("ci: build", 0, Verdict::Passed, "c1");
    world.tell(Input::GateFinished { id: attempt, result: green }).unwrap();
    assert_eq!(world.stands(id), MissionState::Done);
}

#[test]
fn evidence_older_than_the_last_change_of_the_work_is_stale_and_no_longer_counts() {
    let (mut world, id, attempt) = ended(&["command: make"], |_| {});
    world
        .tell(Input::GateFinished {
            id: attempt,
            result: gate_at("command: make", 0, Verdict::Passed, "c1"),
        })
        .unwrap();
    world.tell(Input::Secured { id: attempt, work: work_at("c2") }).unwrap();
    world.tell(Input::Verified { id: attempt, problem: None }).unwrap();
    assert_eq!(world.stands(id), MissionState::Failed);
    let note = world.state.missions[&id].note.clone().unwrap();
    assert_eq!(note, "0 of 1 gates were run");
}

#[test]
fn a_change_made_after_the_review_sends_it_back_to_review() {
    let (mut world, id, attempt) = ended(&["command: make"], |it| it.proof = Some(Grade::Human));
    world.verify(attempt, vec![gate_at("command: make", 0, Verdict::Passed, "c1")]);
    assert_eq!(world.stands(id), MissionState::InReview);
    let note = "the worktree has 1 file that was not reviewed".to_owned();
    let decision = world.tell(Input::Changed { id, note }).unwrap();
    let verify = Effect::Verify { mission_id: id, attempt_id: attempt };
    assert_eq!(decision.effects, [verify]);
    assert_eq!(world.stands(id), MissionState::Verifying);
    world.tell(Input::Secured { id: attempt, work: work_at("c2") }).unwrap();
    world.verify(attempt, vec![gate_at("command: make", 0, Verdict::Passed, "c2")]);
    assert_eq!(world.stands(id), MissionState::InReview);
    let reviewed = |commit: &str| Input::Ask {
        id,
        wish: Wish { reviewed: Some(commit.to_owned()), ..Wish::new(MissionInput::Accept) },
    };
    assert_eq!(world.tell(reviewed("c1")).unwrap_err().code, Code::Conflict);
    world.tell(reviewed("c2")).unwrap();
    assert_eq!(world.stands(id), MissionState::Done);
}

#[test]
fn accepted_work_says_where_it_was_merged() {
    let (mut world, id, attempt) = ended(&[], |_| {});
    world.verify(attempt, vec![]);
    let merge = Merge {
        attempt: 1,
        reviewed: "c1".to_owned(),
        target: "main".to_owned(),
        commit: "m1".to_owned(),
        how: MergeHow::Merge,
        at: world.now,
    };
    let wish = Wish { merge: Some(merge.clone()), ..Wish::new(MissionInput::Accept) };
    let decision = world.tell(Input::Ask { id, wish }).unwrap();
    let merged = find(&decision, |fact| match fact {
        Fact::WorkMerged { merge, .. } => Some(merge.clone()),
        _ => None,
    });
    assert_eq!(merged, Some(merge));
}

#[test]
fn work_that_is_sent_back_goes_on_from_where_it_was_with_what_is_to_be_changed() {
    let (mut world, id, attempt) = ended(&[], |_| {});
    world.verify(attempt, vec![]);
    assert_eq!(world.ask(id, MissionInput::SendBack).unwrap_err().code, Code::InvalidInput);
    world.ask_saying(id, MissionInput::SendBack, "name it 'hive'").unwrap();
    let (again, next) = world.lease().unwrap();
    assert_eq!(again, id);
    let handoff = world.attempt(next).handoff.clone().unwrap();
    assert_eq!((handoff.from, handoff.commit.as_deref()), (1, Some("c1")));
    assert!(handoff.text.contains("name it 'hive'"), "{}", handoff.text);
}

#[test]
fn a_reviewing_agent_that_rejects_sends_the_work_back_while_tries_are_left() {
    let lines = ["reviewer: rex"];
    let (mut world, id, attempt) = ended(&lines, |mission| mission.retries_max = 1);
    world.agent("rex");
    world.verify(attempt, vec![]);
    world.tell(Input::Schedule(Cycle::default())).unwrap();
    let no = gate_at(lines[0], 0, Verdict::Failed, "c1");
    world.tell(Input::GateFinished { id: attempt, result: no }).unwrap();
    assert_eq!(world.stands(id), MissionState::Queued);
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    world.tell(Input::Secured { id: attempt, work: work_at("c2") }).unwrap();
    world.verify(attempt, vec![]);
    let no = gate_at(lines[0], 0, Verdict::Failed, "c2");
    world.tell(Input::GateFinished { id: attempt, result: no }).unwrap();
    assert_eq!(world.stands(id), MissionState::InReview, "no try is left: the captain decides");
}
