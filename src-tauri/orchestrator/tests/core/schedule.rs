//! Who gets what next, and why.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use model::id::MissionId;
use model::mission::{Mission, MissionState, Priority};
use model::process::Exit;
use model::refusal::Code;
use model::settings::Settings;
use model::status::Waiting;
use model::transition::MissionInput;
use orchestrator::schedule::{self, Around};
use orchestrator::{Cycle, Held, Input};

use crate::world::{World, gate};

fn waiting(world: &World, id: MissionId, memory_free_percent: Option<u8>) -> Option<Waiting> {
    let state = &world.state;
    let agents: Vec<_> = state.agents.values().cloned().collect();
    let dependencies: BTreeMap<_, _> = state
        .missions
        .keys()
        .chain(state.elsewhere.keys())
        .filter_map(|id| Some((*id, state.dependency(*id)?)))
        .map(|(id, (short, state))| (id, (short.to_owned(), state)))
        .collect();
    let busy: BTreeSet<_> = state.busy();
    let around = Around {
        agents: &agents,
        busy: &busy,
        held: &Held::default(),
        absent: &BTreeSet::new(),
        under_way: state.under_way(),
        running_max: state.running_max(),
        halted: state.halted.is_some(),
        memory_free_percent,
        memory_free_min_percent: state.settings.memory_free_min_percent,
        dependencies: &dependencies,
        now: world.now,
    };
    schedule::waiting(&state.missions[&id], &around)
}

fn short(world: &World, id: MissionId) -> String {
    world.state.dependency(id).unwrap().0.to_owned()
}

#[test]
fn a_mission_that_waits_says_for_what() {
    let mut world = World::new();
    let id = world.mission(|_| {});
    let check = |world: &World, expected: Option<Waiting>| {
        assert_eq!(waiting(world, id, None), expected);
    };
    check(&world, Some(Waiting::NoAgent));
    let ann = world.agent("ann");
    check(&world, None);
    world.tell(Input::HoldAgent { id: ann, paused: true }).unwrap();
    check(&world, Some(Waiting::NoFreeAgent));
    world.tell(Input::Assign { id, agent: Some(ann) }).unwrap();
    check(&world, Some(Waiting::AgentPaused { agent: "ann".to_owned() }));
    world.tell(Input::RemoveAgent(ann)).unwrap();
    check(&world, Some(Waiting::AgentRemoved));
    world.tell(Input::Assign { id, agent: None }).unwrap();
    world.agent("bob");
    assert_eq!(
        waiting(&world, id, Some(3)),
        Some(Waiting::Memory { free_percent: 3, needed_percent: 5 })
    );
    let settings = Settings { running_max: Some(1), ..Settings::default() };
    world.tell(Input::Configure(settings)).unwrap();
    let other = world.mission(|mission| mission.priority = Priority::Urgent);
    world.agent("eve");
    assert_eq!(world.lease().unwrap().0, other);
    check(&world, Some(Waiting::Limit { running_max: 1 }));
    world.tell(Input::Halt { note: None }).unwrap();
    check(&world, Some(Waiting::Halted));
}

#[test]
fn a_mission_whose_dependency_is_not_done_is_never_offered_and_a_cycle_is_refused_on_entry() {
    let mut world = World::new();
    world.agent("ann");
    world.agent("bob");
    let first = world.mission(|mission| mission.priority = Priority::Low);
    let second = world.mission(|mission| {
        mission.depends_on = vec![first];
        mission.priority = Priority::Urgent;
    });
    let (leased, attempt) = world.lease().unwrap();
    assert_eq!(leased, first, "the urgent one waits for it");
    assert_eq!(world.lease(), None);
    let missions = vec![short(&world, first)];
    assert_eq!(
        waiting(&world, second, None),
        Some(Waiting::Dependencies { missions: missions.clone(), stuck: vec![] })
    );
    // A circle is named, from the mission and back to it.
    let circle = Mission { depends_on: vec![second], ..world.state.missions[&first].clone() };
    world.ask(first, MissionInput::Pause).unwrap();
    let edit = Input::EditMission { mission: circle, brief: None };
    let refused = world.tell(edit).unwrap_err();
    let way = format!("{0} → {1} → {0}", short(&world, first), short(&world, second));
    assert_eq!(refused.code, Code::Conflict);
    assert!(refused.message.ends_with(&way), "{}", refused.message);
    // One that will never be done is named as stuck, and frees nothing.
    world.ask(first, MissionInput::Cancel).unwrap();
    let record = crate::world::record(Exit::Stopped { killed: false });
    world.tell(Input::Stopped { id: attempt, record, problem: None }).unwrap();
    world.state.forget_finished();
    assert_eq!(world.lease(), None);
    assert_eq!(
        waiting(&world, second, None),
        Some(Waiting::Dependencies { missions: missions.clone(), stuck: missions })
    );
    // Once it is done, the other follows.
    world.state.admit_mission(Mission {
        state: MissionState::Done,
        ..Mission::draft(first, "t", world.now)
    });
    world.state.forget_finished();
    assert_eq!(world.lease().unwrap().0, second);
}

#[test]
fn a_mission_cannot_depend_on_itself_or_on_what_is_not_there() {
    let mut world = World::new();
    let check = |world: &mut World, change: &dyn Fn(&mut Mission), code: Code| {
        let id = MissionId::draw(world.now, &mut world.draw);
        let mut mission = Mission::draft(id, "t", world.now);
        change(&mut mission);
        let add = Input::AddMission { mission, brief: "b".to_owned(), queue: true };
        assert_eq!(world.tell(add).unwrap_err().code, code);
    };
    let nobody = MissionId::from_uuid(Default::default());
    check(&mut world, &|mission| mission.depends_on = vec![mission.id], Code::Conflict);
    check(&mut world, &|mission| mission.depends_on = vec![nobody], Code::NotFound);
}

#[test]
fn for_a_given_snapshot_the_chosen_agent_and_its_score_can_be_explained_and_are_reproducible() {
    let mut world = World::new();
    let ann = world.agent("ann");
    let bob = world.agent("bob");
    // ann fails once, bob succeeds once.
    world.mission(|mission| mission.agent = Some(ann));
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 1 });
    world.verify(attempt, vec![]);
    world.mission(|mission| mission.agent = Some(bob));
    world.finish();
    let id = world.mission(|mission| mission.deadline = Some(world_deadline()));
    let plan = || schedule::plan(&world.state, Cycle::default(), world.now);
    let starts = plan();
    assert_eq!(starts, plan(), "the same snapshot gives the same choice");
    let [start] = &starts[..] else { panic!("{starts:?}") };
    assert_eq!((start.mission_id, start.agent_id), (id, bob));
    let said: Vec<_> = start
        .choice
        .candidates
        .iter()
        .map(|candidate| (candidate.name.as_str(), candidate.points, &candidate.reasons[0].because))
        .map(|(name, points, because)| (name, points, because.as_str()))
        .collect();
    let expected =
        [("bob", 666, "1 of 1 attempts accepted"), ("ann", 333, "0 of 1 attempts accepted")];
    assert_eq!(said, expected);
    let what: Vec<_> = start.choice.reasons.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(what, ["priority", "deadline", "age"]);
    let sum: i64 = start.choice.reasons.iter().map(|it| it.points).sum();
    assert_eq!(sum, start.choice.points, "the points are the sum of their reasons");
    let (_, attempt) = world.lease().unwrap();
    assert_eq!(world.attempt(attempt).agent_id, bob);
}

fn world_deadline() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24)
}

#[test]
fn the_lease_keeps_why_it_was_given() {
    let mut world = World::new();
    world.agent("ann");
    world.mission(|_| {});
    let decision = world.tell(Input::Schedule(Cycle::default())).unwrap();
    let choice = crate::world::find(&decision, |fact| match fact {
        model::event::Fact::AttemptLeased { attempt } => attempt.choice.clone(),
        _ => None,
    });
    assert_eq!(choice.unwrap().candidates[0].name, "ann");
}

#[test]
fn a_nearer_deadline_and_a_longer_wait_go_first_and_priority_before_both() {
    let mut world = World::new();
    let old = world.mission(|_| {});
    world.pass_time(3600);
    let hour = SignedDuration::from_hours(1);
    let due = world.now + hour * 24;
    let soon = world.mission(|mission| mission.deadline = Some(due));
    let sooner = world.mission(|mission| mission.deadline = Some(due - hour * 20));
    let high = world.mission(|mission| mission.priority = Priority::High);
    let plain = world.mission(|_| {});
    let mut order = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        world.agent(name);
        order.push(world.lease().unwrap().0);
    }
    assert_eq!(order, [high, sooner, soon, old, plain]);
}

#[test]
fn only_an_agent_with_every_skill_gets_a_mission_that_asks_for_them() {
    let mut world = World::new();
    world.agent("ann");
    let able = world.agent_with("zoe", &["Rust", "review"]);
    let id = world.mission(|mission| mission.skills = vec!["rust".to_owned()]);
    let rare = world.mission(|mission| mission.skills = vec!["cobol".to_owned()]);
    let (leased, attempt) = world.lease().unwrap();
    assert_eq!((leased, world.attempt(attempt).agent_id), (id, able));
    assert_eq!(world.lease(), None);
    let skills = vec!["cobol".to_owned()];
    assert_eq!(waiting(&world, rare, None), Some(Waiting::Skills { skills }));
}

#[test]
fn the_start_over_the_limit_waits_in_a_visible_queue_and_begins_when_a_slot_frees() {
    let mut world = World::new();
    let settings = Settings { running_max: Some(2), ..Settings::default() };
    world.tell(Input::Configure(settings)).unwrap();
    for name in ["a", "b", "c"] {
        world.agent(name);
    }
    let ids = [world.mission(|_| {}), world.mission(|_| {}), world.mission(|_| {})];
    let first = world.lease();
    let second = world.lease();
    let started: Vec<_> = world.state.attempts.values().map(|it| it.mission_id).collect();
    assert_eq!(started.len(), 2, "{first:?} {second:?}");
    assert_eq!(world.stands(ids[2]), MissionState::Queued);
    assert_eq!(waiting(&world, ids[2], None), Some(Waiting::Limit { running_max: 2 }));
    let attempt = *world.state.attempts.keys().next().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    world.verify(attempt, vec![gate(model::gate::Verdict::Passed)]);
    world.state.forget_finished();
    assert_eq!(world.lease().unwrap().0, ids[2]);
}

#[test]
fn one_cycle_starts_no_more_than_the_settings_allow_and_loses_none() {
    let mut world = World::new();
    let settings = Settings { starts_per_cycle: 3, ..Settings::default() };
    world.tell(Input::Configure(settings)).unwrap();
    for n in 0..10 {
        world.agent(&format!("agent {n}"));
        world.mission(|_| {});
    }
    let mut started = Vec::new();
    for _ in 0..10 {
        let decision = world.tell(Input::Schedule(Cycle::default())).unwrap();
        started.push(decision.effects.len());
        world.pass_time(1);
    }
    assert_eq!(started, [3, 3, 3, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(world.state.attempts.len(), 10);
}

#[test]
fn nothing_is_started_while_too_little_memory_is_free() {
    let mut world = World::new();
    world.agent("ann");
    world.mission(|_| {});
    let cycle =
        |percent| Input::Schedule(Cycle { memory_free_percent: Some(percent), ..Cycle::default() });
    assert_eq!(world.tell(cycle(4)).unwrap().effects, []);
    assert_eq!(world.tell(cycle(5)).unwrap().effects.len(), 1);
}

#[test]
fn a_dry_run_lists_everything_it_would_start_and_touches_nothing() {
    let mut world = World::new();
    world.agent("ann");
    world.agent("bob");
    let ids = BTreeSet::from([world.mission(|_| {}), world.mission(|_| {})]);
    world.mission(|_| {});
    let before = world.state.clone();
    let planned = schedule::plan(&world.state, Cycle::default(), world.now);
    let planned: BTreeSet<_> = planned.into_iter().map(|start| start.mission_id).collect();
    assert_eq!(planned, ids);
    assert_eq!(world.state, before);
    world.tell(Input::Schedule(Cycle::default())).unwrap();
    let started: BTreeSet<_> = world.state.attempts.values().map(|it| it.mission_id).collect();
    assert_eq!(started, planned, "what a dry run says is what happens");
}

#[test]
fn every_agent_is_explained_when_it_is_asked_why() {
    let mut world = World::new();
    let ann = world.agent("ann");
    world.agent_with("bob", &["rust"]);
    let eve = world.agent_with("eve", &["rust"]);
    world.tell(Input::HoldAgent { id: eve, paused: true }).unwrap();
    let _ = ann;
    let id = world.mission(|mission| mission.skills = vec!["rust".to_owned()]);
    let choice = schedule::explain(&world.state, id, &Cycle::default(), world.now).unwrap();
    let said: Vec<_> =
        choice.candidates.iter().map(|it| (it.name.as_str(), it.refused.as_deref())).collect();
    let expected = [("bob", None), ("ann", Some("it cannot rust")), ("eve", Some("it is paused"))];
    assert_eq!(said, expected);
}
