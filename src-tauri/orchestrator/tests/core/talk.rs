//! What agents ask and are told.

use model::event::Fact;
use model::id::{AttemptId, MessageId, MissionId, RequestId};
use model::inbox::{Ask, Request, RequestEnd, Scope};
use model::message::{Message, Source, TRIES_MAX};
use model::mission::MissionState;
use model::process::Exit;
use model::refusal::{Code, Refusal};
use model::rescue::RescueStep;
use model::status::HeldUntil;
use model::transition::MissionInput;
use orchestrator::input::{Reply, Report, Rescue};
use orchestrator::{Cycle, Held, Input, Wish};

use crate::world::World;

/// A world with an agent at work.
fn at_work() -> (World, MissionId, AttemptId) {
    let mut world = World::new();
    world.agent("ada");
    let mission = world.mission(|_| {});
    let (_, attempt) = world.lease().unwrap();
    world.start(attempt);
    (world, mission, attempt)
}

fn question(world: &mut World, attempt: AttemptId, key: &str) -> RequestId {
    let id = RequestId::draw(world.now, &mut world.draw);
    let known = &world.state.attempts[&attempt];
    let request = Request {
        id,
        attempt_id: attempt,
        mission_id: known.mission_id,
        agent_id: known.agent_id,
        key: key.to_owned(),
        ask: Ask::Question { text: format!("which {key}?"), options: Vec::new() },
        asked_at: world.now,
        not_before: None,
        end: None,
        ended_at: None,
        told: false,
    };
    world.tell(Input::Asked(Box::new(request))).unwrap();
    id
}

fn answer(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

#[test]
fn a_mission_whose_agent_asks_needs_input_until_the_last_answer() {
    let (mut world, mission, attempt) = at_work();
    let (one, two) = (question(&mut world, attempt, "one"), question(&mut world, attempt, "two"));
    assert_eq!(world.state.missions[&mission].state, MissionState::NeedsInput);
    world.tell(Input::Reply { id: one, reply: answer("this") }).unwrap();
    assert_eq!(world.state.missions[&mission].state, MissionState::NeedsInput);
    world.tell(Input::Reply { id: two, reply: answer("that") }).unwrap();
    assert_eq!(world.state.missions[&mission].state, MissionState::Running);
    assert!(world.state.requests.is_empty());
}

#[test]
fn two_requests_at_once_do_not_overwrite_each_other() {
    let (mut world, _, attempt) = at_work();
    let (one, two) = (question(&mut world, attempt, "one"), question(&mut world, attempt, "two"));
    let ended = |world: &mut World, id, reply| {
        let decision = world.tell(Input::Reply { id, reply }).unwrap();
        let end = decision.facts.into_iter().find_map(|(_, fact)| match fact {
            Fact::RequestEnded { request_id, end, .. } => Some((request_id, end)),
            _ => None,
        });
        end.unwrap()
    };
    let text = |text: &str| RequestEnd::Answered { text: text.to_owned() };
    assert_eq!(ended(&mut world, two, answer("second")), (two, text("second")));
    assert_eq!(ended(&mut world, one, answer("first")), (one, text("first")));
    let again = world.tell(Input::Reply { id: one, reply: answer("other") }).unwrap_err();
    assert_eq!(again.code, Code::Conflict);
}

#[test]
fn the_same_question_told_twice_is_asked_once() {
    let (mut world, _, attempt) = at_work();
    question(&mut world, attempt, "one");
    question(&mut world, attempt, "one");
    assert_eq!(world.state.requests.len(), 1);
}

#[test]
fn always_makes_a_rule_and_not_now_leaves_the_request_open() {
    let (mut world, _, attempt) = at_work();
    let id = question(&mut world, attempt, "one");
    let later = world.tell(Input::Reply { id, reply: Reply::NotNow }).unwrap();
    assert!(matches!(later.facts[..], [(_, Fact::RequestDeferred { .. })]));
    assert!(world.state.requests[&id].not_before.is_some());
    let wrong = Reply::Always { scope: Scope::Workspace, pattern: "run: *".to_owned() };
    let refused = world.tell(Input::Reply { id, reply: wrong }).unwrap_err();
    assert_eq!(refused.allowed, ["text", "deny", "not_now"], "it is a question");
}

#[test]
fn what_ends_withdraws_what_it_asked() {
    for end in 0..3 {
        let (mut world, mission, attempt) = at_work();
        question(&mut world, attempt, "one");
        match end {
            0 => world.ask(mission, MissionInput::Cancel).map(drop).unwrap(),
            1 => world.ask(mission, MissionInput::Pause).map(drop).unwrap(),
            _ => {
                let record = crate::world::record(Exit::Code { code: 0 });
                world.tell(Input::Exited { id: attempt, record }).unwrap();
                assert_eq!(world.state.missions[&mission].state, MissionState::Verifying);
            }
        }
        assert!(world.state.requests.is_empty(), "{end}");
    }
}

fn wake(world: &mut World, id: AttemptId, step: RescueStep) -> Result<Vec<Fact>, Refusal> {
    let message = (step == RescueStep::Nudge).then(|| {
        let to = world.state.attempts[&id].agent_id;
        let id = MessageId::draw(world.now, &mut world.draw);
        Box::new(Message::queued(id, to, Source::System, "Go on.".to_owned(), world.now))
    });
    let decision = world.tell(Input::Rescue(Rescue { id, step, silent_s: 600, message }))?;
    Ok(decision.facts.into_iter().map(|(_, fact)| fact).collect())
}

#[test]
fn each_step_for_a_stalled_agent_is_recorded_with_what_it_sets_off() {
    let mut world = World::new();
    world.agent("ada");
    let mission = world.mission(|mission| mission.retries_max = 1);
    let (_, attempt) = world.lease().unwrap();
    world.start(attempt);
    let facts = wake(&mut world, attempt, RescueStep::Nudge).unwrap();
    assert!(
        matches!(facts[..], [Fact::AttemptRescued { .. }, Fact::MessageQueued { .. }]),
        "{facts:?}"
    );
    let facts = wake(&mut world, attempt, RescueStep::Rescue).unwrap();
    assert!(matches!(facts[..], [Fact::AttemptRescued { .. }]), "{facts:?}");
    let facts = wake(&mut world, attempt, RescueStep::Restart).unwrap();
    assert!(facts.iter().any(|fact| matches!(fact, Fact::AttemptStopping { .. })), "{facts:?}");
    assert_eq!(world.state.missions[&mission].state, MissionState::Queued);
    assert!(world.state.missions[&mission].not_before.is_some(), "not at once");
    assert!(wake(&mut world, attempt, RescueStep::Nudge).is_err(), "it is being stopped");
}

#[test]
fn a_stalled_agent_is_started_again_only_as_often_as_there_are_tries() {
    let mut world = World::new();
    world.agent("ada");
    let mission = world.mission(|mission| mission.retries_max = 0);
    let (_, attempt) = world.lease().unwrap();
    world.start(attempt);
    wake(&mut world, attempt, RescueStep::Restart).unwrap();
    assert_eq!(world.state.missions[&mission].state, MissionState::Failed);
}

#[test]
fn an_agent_that_is_held_back_or_waits_for_the_captain_is_not_woken() {
    let (mut world, _, attempt) = at_work();
    question(&mut world, attempt, "one");
    assert!(wake(&mut world, attempt, RescueStep::Nudge).is_err(), "it waits for an answer");
    let (mut world, _, attempt) = at_work();
    let id = world.state.attempts[&attempt].agent_id;
    world.tell(Input::HoldAgent { id, paused: true }).unwrap();
    assert!(wake(&mut world, attempt, RescueStep::Nudge).is_err(), "it is paused");
}

#[test]
fn an_answer_that_was_withdrawn_is_not_said_to_have_been_told() {
    let (mut world, _, attempt) = at_work();
    let id = question(&mut world, attempt, "one");
    let mut request = world.state.requests[&id].clone();
    world.tell(Input::Withdrawn { id, why: "the turn ended".to_owned() }).unwrap();
    request.end = Some(RequestEnd::Withdrawn { why: "the turn ended".to_owned() });
    world.state.answered.insert(id, request.clone());
    assert_eq!(world.tell(Input::ReplyTold(id)).unwrap().facts, []);
    request.end = Some(RequestEnd::Answered { text: "left".to_owned() });
    world.state.answered.insert(id, request);
    assert_eq!(world.tell(Input::ReplyTold(id)).unwrap().facts.len(), 1);
}

#[test]
fn an_agent_that_fails_again_and_again_gets_nothing_until_its_time_or_until_it_is_cleared() {
    let mut world = World::new();
    let ann = world.agent("ann");
    world.mission(|_| {});
    let until = world.now + jiff::SignedDuration::from_mins(10);
    let held = Held::new([(ann, HeldUntil::At(until))].into());
    let cycle = Cycle { held, ..Cycle::default() };
    assert_eq!(world.tell(Input::Schedule(cycle)).unwrap().effects, []);
    let cleared = world.tell(Input::ClearAgent(ann)).unwrap();
    assert!(matches!(cleared.facts[..], [(_, Fact::AgentCleared { .. })]));
    assert_eq!(world.tell(Input::Schedule(Cycle::default())).unwrap().effects.len(), 1);
}

#[test]
fn a_mission_whose_turn_the_captain_called_off_is_held_without_a_lost_try() {
    let (mut world, mission, attempt) = at_work();
    let record = crate::world::record(Exit::CalledOff);
    world.tell(Input::Exited { id: attempt, record }).unwrap();
    world.verify(attempt, Vec::new());
    let held = &world.state.missions[&mission];
    assert_eq!((held.state, held.tries), (MissionState::Paused, 0));
    let note = held.note.as_deref().unwrap();
    assert!(note.starts_with("you called its turn off") && note.contains("resume it"), "{note}");
    assert!(held.handoff.is_some());
    world.tell(Input::Ask { id: mission, wish: Wish::new(MissionInput::Resume) }).unwrap();
    assert!(world.lease().is_some(), "another attempt goes on");
}

#[test]
fn an_agent_that_handed_over_has_lost_no_try_and_the_next_one_knows_what_it_wrote() {
    let (mut world, mission, attempt) = at_work();
    let record =
        crate::world::record(Exit::HandedOver { text: "the parser is half done".to_owned() });
    world.tell(Input::Exited { id: attempt, record }).unwrap();
    world.verify(attempt, Vec::new());
    let mission = &world.state.missions[&mission];
    assert_eq!((mission.state, mission.tries), (MissionState::Queued, 0));
    let handoff = mission.handoff.as_ref().unwrap();
    assert!(handoff.text.starts_with("the parser is half done\n\n"), "{}", handoff.text);
}

fn message(world: &mut World, attempt: AttemptId) -> MessageId {
    let id = MessageId::draw(world.now, &mut world.draw);
    let to = world.state.attempts[&attempt].agent_id;
    let message = Message::queued(id, to, Source::Captain, "hello".to_owned(), world.now);
    world.tell(Input::QueueMessage(message.clone())).unwrap();
    world.state.messages.insert(id, message);
    id
}

#[test]
fn a_message_is_delivered_started_and_acknowledged_once_each() {
    let (mut world, _, attempt) = at_work();
    let id = message(&mut world, attempt);
    let mut facts = |input: Input| world.tell(input).unwrap().facts.len();
    let messages = || vec![id];
    assert_eq!(facts(Input::Begun { messages: messages() }), 0, "it was not delivered");
    assert_eq!(facts(Input::Delivered { messages: messages(), id: attempt }), 1);
    assert_eq!(facts(Input::Delivered { messages: messages(), id: attempt }), 0);
    assert_eq!(facts(Input::Begun { messages: messages() }), 1);
    assert_eq!(facts(Input::Answered { messages: messages() }), 1);
    assert_eq!(facts(Input::Answered { messages: messages() }), 0);
}

#[test]
fn a_message_that_was_discarded_is_not_delivered_and_the_others_are() {
    let (mut world, _, attempt) = at_work();
    let (one, two) = (message(&mut world, attempt), message(&mut world, attempt));
    world.tell(Input::DiscardMessage(one)).unwrap();
    let delivered = world.tell(Input::Delivered { messages: vec![one, two], id: attempt }).unwrap();
    let Fact::MessagesDelivered { message_ids, .. } = &delivered.facts[0].1 else { panic!() };
    assert_eq!(message_ids, &[two]);
    let refused = world.tell(Input::DiscardMessage(two)).unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
}

#[test]
fn a_message_whose_delivery_failed_three_times_waits_for_the_captain_until_it_is_retried() {
    let (mut world, _, attempt) = at_work();
    let id = message(&mut world, attempt);
    for n in 1..=TRIES_MAX {
        let failed = Input::NotDelivered { id, problem: "no terminal".to_owned() };
        let decision = world.tell(failed).unwrap();
        let Fact::MessageFailed { tries, quarantined, .. } = &decision.facts[0].1 else { panic!() };
        assert_eq!((*tries, *quarantined), (n, n == TRIES_MAX));
    }
    let late = world.tell(Input::Delivered { messages: vec![id], id: attempt }).unwrap();
    assert!(late.facts.is_empty(), "what is in quarantine is not delivered");
    world.tell(Input::RetryMessage(id)).unwrap();
    assert!(world.state.messages[&id].waits());
}

#[test]
fn a_report_and_what_it_asks_for_are_recorded_together_or_not_at_all() {
    let (mut world, _, attempt) = at_work();
    let agent_id = world.state.attempts[&attempt].agent_id;
    let report = |input| {
        Input::Report(Report {
            agent_id,
            key: "r1.json".to_owned(),
            problem: None,
            inputs: vec![input],
        })
    };
    let text = "half done".to_owned();
    let taken = world.tell(report(Input::WriteHandoff { id: attempt, text })).unwrap();
    let kinds: Vec<_> = taken.facts.iter().map(|(_, fact)| fact.kind()).collect();
    assert_eq!(kinds, ["handoff_written", "report_taken"]);
    let unknown = AttemptId::draw(world.now, &mut world.draw);
    let text = "late".to_owned();
    assert!(world.tell(report(Input::WriteHandoff { id: unknown, text })).is_err());
}
