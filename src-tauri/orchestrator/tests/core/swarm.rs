//! Retries, pauses, the emergency stop, and questions to the agents.

use model::attempt::AttemptState;
use model::effect::Effect;
use model::event::Fact;
use model::gate::Verdict;
use model::id::TopicId;
use model::mission::{BACKOFF_S_MAX, MissionState};
use model::process::Exit;
use model::refusal::Code;
use model::topic::{Topic, Vote};
use model::transition::MissionInput;
use orchestrator::{Cycle, Input, Wish};

use crate::world::{World, find, gate, record, work_at};

#[test]
fn a_failed_mission_is_retried_at_most_n_times_with_growing_delays_then_fails_visibly() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|mission| {
        mission.retries_max = 4;
        mission.backoff_s = 10;
    });
    let mut delays = Vec::new();
    for _ in 0..4 {
        let (_, attempt) = world.lease().unwrap();
        world.work(attempt, Exit::Code { code: 1 });
        world.verify(attempt, vec![]);
        assert_eq!(world.stands(id), MissionState::Queued);
        assert_eq!(world.lease(), None, "it has to wait");
        let due = world.state.missions[&id].not_before.unwrap();
        delays.push(due.duration_since(world.now).as_secs());
        world.now = due;
    }
    for (n, delay) in delays.iter().enumerate() {
        let (low, high) = (8 * (1 << n), 12 * (1 << n));
        assert!((low..=high).contains(delay), "{delays:?}: a fifth more or less than doubled");
    }
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 1 });
    world.verify(attempt, vec![]);
    let mission = &world.state.missions[&id];
    assert_eq!((mission.state, mission.attempts), (MissionState::Failed, 5));
    assert_eq!(mission.note.as_deref(), Some("the agent's program ended with exit code 1"));
}

#[test]
fn no_pause_is_longer_than_the_limit() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|mission| {
        mission.retries_max = 20;
        mission.backoff_s = 3600;
    });
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 1 });
    world.verify(attempt, vec![]);
    let due = world.state.missions[&id].not_before.unwrap();
    let longest = i64::from(BACKOFF_S_MAX) * 12 / 10;
    assert!(due.duration_since(world.now).as_secs() <= longest);
}

#[test]
fn a_retry_goes_to_another_agent_where_the_policy_says_so() {
    let mut world = World::new();
    let ann = world.agent("ann");
    let bob = world.agent("bob");
    let id = world.mission(|mission| {
        mission.retries_max = 3;
        mission.hand_over = true;
        mission.agent = Some(ann);
    });
    let mut agents = Vec::new();
    for _ in 0..3 {
        let (_, attempt) = world.lease().unwrap();
        agents.push(world.attempt(attempt).agent_id);
        world.work(attempt, Exit::Code { code: 1 });
        world.verify(attempt, vec![]);
        world.pass_time(400);
        if agents.len() == 2 {
            world.state.forget_finished();
            world.tell(Input::RemoveAgent(ann)).unwrap();
        }
    }
    let _ = id;
    assert_eq!(agents, [ann, bob, bob], "where nobody else is left, the same one tries again");
}

#[test]
fn a_dead_agents_open_mission_returns_to_the_queue_with_its_history_at_most_twice_by_itself() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|_| {});
    for n in 1..=3u32 {
        let (_, attempt) = world.lease().unwrap();
        assert_eq!(world.attempt(attempt).n, n);
        let before = world.attempt(attempt).handoff.as_ref().map(|handoff| handoff.from);
        assert_eq!(before, (n > 1).then(|| n - 1), "it knows of the one before");
        world.work(attempt, Exit::Lost { reason: "gone".to_owned() });
        let decision = world.verify(attempt, vec![]);
        let ended = find(&decision, |fact| match fact {
            Fact::AttemptEnded { state, .. } => Some(*state),
            _ => None,
        });
        assert_eq!(ended, Some(AttemptState::Lost));
        world.pass_time(400);
    }
    assert_eq!(world.stands(id), MissionState::Failed);
    assert_eq!(world.state.missions[&id].recoveries, 2);
}

#[test]
fn a_paused_agent_gets_no_new_mission_until_resumed() {
    let mut world = World::new();
    let ann = world.agent("ann");
    world.mission(|_| {});
    world.tell(Input::HoldAgent { id: ann, paused: true }).unwrap();
    assert_eq!(world.lease(), None);
    world.tell(Input::HoldAgent { id: ann, paused: false }).unwrap();
    assert!(world.lease().is_some());
}

#[test]
fn a_pause_holds_the_processes_or_stops_them_at_a_checkpoint_as_chosen() {
    let running = || {
        let mut world = World::new();
        world.agent("ann");
        let id = world.mission(|_| {});
        let (_, attempt) = world.lease().unwrap();
        world.start(attempt);
        (world, id, attempt)
    };
    let (mut world, id, attempt) = running();
    let wish = Wish { keep_processes: true, ..Wish::new(MissionInput::Pause) };
    let decision = world.tell(Input::Ask { id, wish }).unwrap();
    assert_eq!(decision.effects, [Effect::Freeze { attempt_id: attempt }]);
    assert!(world.attempt(attempt).frozen);
    let decision = world.ask(id, MissionInput::Resume).unwrap();
    assert_eq!(decision.effects, [Effect::Freeze { attempt_id: attempt }]);
    assert_eq!(world.stands(id), MissionState::Running);
    assert!(!world.attempt(attempt).frozen);

    let (mut world, id, attempt) = running();
    let decision = world.ask(id, MissionInput::Pause).unwrap();
    assert_eq!(decision.effects, [Effect::Stop { attempt_id: attempt }]);
    world.tell(Input::Secured { id: attempt, work: work_at("c1") }).unwrap();
    let stopped = record(Exit::Stopped { killed: false });
    world.tell(Input::Stopped { id: attempt, record: stopped, problem: None }).unwrap();
    world.state.forget_finished();
    assert_eq!(world.stands(id), MissionState::Paused);
    assert_eq!(world.lease(), None);
    world.ask(id, MissionInput::Resume).unwrap();
    let (_, next) = world.lease().unwrap();
    let handoff = world.attempt(next).handoff.clone().unwrap();
    assert_eq!(handoff.commit.as_deref(), Some("c1"), "it goes on from the checkpoint");
    assert_eq!(world.state.missions[&id].tries, 1, "being held back is no failure");
}

#[test]
fn what_ends_while_it_is_held_leaves_its_mission_held() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|_| {});
    let (_, attempt) = world.lease().unwrap();
    world.start(attempt);
    let wish = Wish { keep_processes: true, ..Wish::new(MissionInput::Pause) };
    world.tell(Input::Ask { id, wish }).unwrap();
    let killed = record(Exit::Signal { signal: 9 });
    let decision = world.tell(Input::Exited { id: attempt, record: killed }).unwrap();
    assert_eq!(decision.effects, [Effect::Stop { attempt_id: attempt }]);
    let killed = record(Exit::Signal { signal: 9 });
    world.tell(Input::Stopped { id: attempt, record: killed, problem: None }).unwrap();
    assert_eq!(world.stands(id), MissionState::Paused);
}

#[test]
fn after_a_restart_of_the_machine_unattended_missions_go_on_and_others_wait_for_the_captain() {
    let check = |unattended: bool, expected: MissionState| {
        let mut world = World::new();
        world.agent("ann");
        let id = world.mission(|mission| mission.unattended = unattended);
        let (_, attempt) = world.lease().unwrap();
        world.work(attempt, Exit::Rebooted);
        world.tell(Input::Secured { id: attempt, work: work_at("c1") }).unwrap();
        world.verify(attempt, vec![]);
        let mission = &world.state.missions[&id];
        assert_eq!((mission.state, mission.tries), (expected, 0));
        assert_eq!(mission.handoff.as_ref().unwrap().commit.as_deref(), Some("c1"));
    };
    check(true, MissionState::Queued);
    check(false, MissionState::Paused);
}

#[test]
fn the_emergency_stop_ends_every_attempt_and_nothing_starts_until_the_swarm_is_resumed() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.agent(name);
    }
    let ids = [world.mission(|_| {}), world.mission(|_| {}), world.mission(|_| {})];
    let (_, first) = world.lease().unwrap();
    world.start(first);
    let live = world.state.attempts.len();
    let decision = world.tell(Input::Halt { note: Some("smoke".to_owned()) }).unwrap();
    assert_eq!(decision.effects.len(), live);
    assert!(decision.effects.iter().all(|effect| matches!(effect, Effect::Stop { .. })));
    for id in ids {
        assert_eq!(world.stands(id), MissionState::Queued);
        assert_eq!(world.state.missions[&id].tries, 0, "being stopped is no failure");
    }
    assert_eq!(world.tell(Input::Halt { note: None }).unwrap().facts, [], "once is enough");
    for id in world.state.attempts.keys().copied().collect::<Vec<_>>() {
        let stopped = record(Exit::Stopped { killed: true });
        world.tell(Input::Stopped { id, record: stopped, problem: None }).unwrap();
    }
    assert_eq!(world.tell(Input::Schedule(Cycle::default())).unwrap().effects, []);
    world.tell(Input::ResumeSwarm).unwrap();
    assert_eq!(world.tell(Input::ResumeSwarm).unwrap_err().code, Code::Conflict);
    assert_eq!(world.tell(Input::Schedule(Cycle::default())).unwrap().effects.len(), 3);
}

#[test]
fn a_program_that_was_ended_from_outside_did_not_fail() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|_| {});
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Stopped { killed: true });
    world.verify(attempt, vec![]);
    assert_eq!(world.stands(id), MissionState::Queued);
    assert_eq!(world.attempt(attempt).state, AttemptState::Stopped);
}

#[test]
fn a_topic_collects_one_vote_per_agent_with_rationale_and_closes_with_a_recorded_decision() {
    let mut world = World::new();
    let agents = [world.agent("a"), world.agent("b"), world.agent("c")];
    let id = TopicId::draw(world.now, &mut world.draw);
    let topic = Topic {
        id,
        title: "Tabs or spaces?".to_owned(),
        text: String::new(),
        options: vec!["tabs".to_owned(), "spaces".to_owned()],
        opened_at: world.now,
        decision: None,
    };
    world.tell(Input::OpenTopic(topic)).unwrap();
    let now = world.now;
    let vote = |agent, option: &str, rationale: &str| {
        let (option, rationale) = (option.to_owned(), rationale.to_owned());
        Input::Vote(Vote { topic_id: id, agent_id: agent, option, rationale, at: now })
    };
    let code = |refused: Result<_, model::refusal::Refusal>| refused.unwrap_err().code;
    assert_eq!(code(world.tell(vote(agents[0], "both", "why not"))), Code::InvalidInput);
    assert_eq!(code(world.tell(vote(agents[0], "tabs", " "))), Code::InvalidInput);
    world.tell(vote(agents[0], "tabs", "width")).unwrap();
    world.tell(vote(agents[1], "spaces", "same everywhere")).unwrap();
    let close = |option: Option<&str>| Input::CloseTopic {
        id,
        option: option.map(str::to_owned),
        note: None,
    };
    assert_eq!(code(world.tell(close(None))), Code::Conflict, "one vote each");
    world.tell(vote(agents[0], "spaces", "convinced")).unwrap();
    assert_eq!(world.state.votes.len(), 2, "a second vote replaces the first");
    let decision = world.tell(close(None)).unwrap();
    let decided = find(&decision, |fact| match fact {
        Fact::TopicClosed { decision, .. } => Some(decision.clone()),
        _ => None,
    });
    let decided = decided.unwrap();
    assert_eq!(decided.option.as_deref(), Some("spaces"));
    assert_eq!(decided.because, "it had most votes: 2");
    assert_eq!(code(world.tell(vote(agents[2], "tabs", "late"))), Code::Conflict);
}

#[test]
fn what_failed_and_what_its_gates_found_is_handed_to_the_next_attempt() {
    let mut world = World::new();
    world.agent("ann");
    world.mission(|mission| mission.retries_max = 1);
    let (_, attempt) = world.lease().unwrap();
    world.work(attempt, Exit::Code { code: 0 });
    let mut red = gate(Verdict::Failed);
    red.output = "test login ... FAILED".to_owned();
    world.verify(attempt, vec![red]);
    world.pass_time(10);
    let (_, next) = world.lease().unwrap();
    let text = world.attempt(next).handoff.clone().unwrap().text;
    assert!(text.contains("Gate 'command: true': said so\ntest login ... FAILED"), "{text}");
}

#[test]
fn an_attempt_that_never_began_hands_on_what_it_was_given() {
    let mut world = World::new();
    world.agent("ann");
    world.mission(|mission| mission.retries_max = 5);
    let (_, first) = world.lease().unwrap();
    world.work(first, Exit::Code { code: 1 });
    world.tell(Input::Secured { id: first, work: work_at("c1") }).unwrap();
    world.verify(first, vec![]);
    for _ in 0..2 {
        world.pass_time(400);
        let (_, id) = world.lease().unwrap();
        let handoff = world.attempt(id).handoff.clone().unwrap();
        assert_eq!(handoff.commit.as_deref(), Some("c1"));
        let not_started = record(Exit::NotStarted { reason: "no such program".to_owned() });
        world.tell(Input::Exited { id, record: not_started }).unwrap();
    }
}

#[test]
fn what_was_held_or_let_go_counts_only_where_it_is_what_is_asked_by_now() {
    let mut world = World::new();
    world.agent("ann");
    let id = world.mission(|_| {});
    let (_, attempt) = world.lease().unwrap();
    world.start(attempt);
    let wish = Wish { keep_processes: true, ..Wish::new(MissionInput::Pause) };
    world.tell(Input::Ask { id, wish }).unwrap();
    world.ask(id, MissionInput::Resume).unwrap();
    let mut told = |frozen| world.tell(Input::Froze { id: attempt, frozen }).unwrap().carried;
    assert_eq!(told(true), [], "they were to go on by then");
    assert_eq!(told(false), [(attempt, "freeze")]);
}
