//! The published table, walked state by state: what is not in it is refused, what is in it lasts.

use model::agent::{Agent, Runtime};
use model::attempt::Workplace;
use model::event::Actor;
use model::gate::GateSpec;
use model::id::{AgentId, AttemptId, MissionId};
use model::mission::{Mission, MissionState};
use model::process::Exit;
use model::refusal::Code;
use model::transition::{MISSION_TABLE, MissionInput, mission_next};
use orchestrator::{Input, Wish};

use crate::engine::{RUNNING_MAX, Told};
use crate::machine::record;
use crate::sim::Sim;

fn told(sim: &mut Sim, input: Input) {
    let told = sim.tell(input, None, Actor::Captain);
    assert!(matches!(told, Told::Kept(_)), "{told:?}");
}

fn ask(sim: &mut Sim, id: MissionId, input: MissionInput, keep_processes: bool) -> Told {
    let note = Some("so".to_owned());
    let wish = Wish { note, keep_processes, ..Wish::new(input) };
    sim.tell(Input::Ask { id, wish }, None, Actor::Captain)
}

/// A calm world with one mission in a state; held means that its processes are held.
fn world(state: MissionState, held: bool) -> (Sim, MissionId) {
    let mut sim = Sim::new(1);
    sim.calm = true;
    let id = MissionId::draw(sim.now, &mut sim.ids);
    let gate = GateSpec::parse("human: ok?").unwrap();
    let mission = Mission { gates: vec![gate], ..Mission::draft(id, "a mission", sim.now) };
    let queue = state != MissionState::Draft;
    told(&mut sim, Input::AddMission { mission, brief: "b".to_owned(), queue });
    if state == MissionState::Cancelled {
        assert!(matches!(ask(&mut sim, id, MissionInput::Cancel, false), Told::Kept(_)));
    }
    if !matches!(state, MissionState::Draft | MissionState::Queued | MissionState::Cancelled) {
        lead_to(&mut sim, id, state, held);
    }
    assert_eq!(sim.book.rows.stands(id), Some(state));
    (sim, id)
}

fn lead_to(sim: &mut Sim, mission: MissionId, state: MissionState, held: bool) {
    let agent = Agent {
        id: AgentId::draw(sim.now, &mut sim.ids),
        name: "ann".to_owned(),
        role: String::new(),
        skills: Vec::new(),
        runtime: Runtime::Command {
            terminal: false,
            program: "true".to_owned(),
            args: Vec::new(),
            env: Default::default(),
        },
        directory: None,
        grace_s: 1,
        conduct: model::agent::Conduct::default(),
        paused: false,
        demo: false,
        created_at: sim.now,
    };
    told(sim, Input::AddAgent(agent));
    let id: AttemptId = *sim.book.rows.live.first().unwrap();
    let workplace = Workplace {
        directory: "/work".to_owned(),
        branch: None,
        base_commit: None,
        uncommitted_files: 0,
    };
    if state == MissionState::Assigned {
        return;
    }
    told(sim, Input::Prepared { id, workplace });
    let process = sim.machine.start((id, None), &mut sim.dice, true, sim.now).unwrap();
    told(sim, Input::Started { id, process });
    if state == MissionState::Paused {
        assert!(matches!(ask(sim, mission, MissionInput::Pause, held), Told::Kept(_)));
        return;
    }
    if state == MissionState::Running {
        return;
    }
    sim.machine.tick(true, sim.now);
    told(sim, Input::Exited { id, record: record(Exit::Code { code: 0 }, sim.now) });
    if state == MissionState::Verifying {
        return;
    }
    told(sim, Input::Verified { id, problem: None });
    let last = match state {
        MissionState::Done => MissionInput::Accept,
        MissionState::Failed => MissionInput::Reject,
        _ => return,
    };
    assert!(matches!(ask(sim, mission, last, false), Told::Kept(_)));
}

#[test]
fn every_transition_outside_the_published_table_is_refused_with_a_reason_and_accepted_ones_survive_a_crash()
 {
    let (mut accepted, mut refused, mut by_table) = (Vec::new(), 0, 0);
    // Nothing leads to a mission that asks the captain yet.
    let states = MissionState::ALL.into_iter().filter(|state| *state != MissionState::NeedsInput);
    for (state, held) in states.map(|state| (state, false)).chain([(MissionState::Paused, true)]) {
        for input in MissionInput::ALL {
            let (mut sim, id) = world(state, held);
            let facts = sim.book.events.len();
            let listed = input.is_captains()
                && MISSION_TABLE.iter().any(|rule| rule.from == state && rule.input == input);
            let told = ask(&mut sim, id, input, false);
            if !listed {
                let Told::Refused(refusal) = told else { panic!("{state}, {input:?}: {told:?}") };
                // An attempt that is under way may be in the way before the table is looked at.
                match refusal.code {
                    Code::TransitionRefused => {
                        assert!(refusal.message.contains(input.as_str()), "{}", refusal.message);
                        by_table += 1;
                    }
                    code => assert_eq!(code, Code::Conflict, "{state}, {input:?}"),
                }
                assert!(!refusal.message.is_empty(), "{state}, {input:?}");
                assert_eq!(sim.book.events.len(), facts, "a refusal records nothing");
                refused += 1;
                continue;
            }
            assert!(matches!(told, Told::Kept(1..)), "{state}, {input:?}: {told:?}");
            // Letting a mission go on whose processes are held is its own line of the table.
            let taken =
                if held && input == MissionInput::Resume { MissionInput::Continue } else { input };
            let next = mission_next(state, taken).unwrap();
            // The free agent may have taken what was queued at once.
            let moved = sim.book.events[facts..].iter().find_map(|event| match &event.fact {
                model::event::Fact::MissionMoved { from, to, .. } => Some((*from, *to)),
                _ => None,
            });
            assert_eq!(moved, Some((state, next)), "{state}, {input:?}");
            let stands = sim.book.rows.stands(id);
            sim.crash();
            assert_eq!(sim.book.rows.stands(id), stands);
            let recalled = sim.book.rows.recall(RUNNING_MAX);
            let known = recalled.missions.get(&id).map(|it| it.state);
            let open = stands.filter(|state| !state.is_final());
            assert_eq!(known.filter(|state| !state.is_final()), open, "{state}, {input:?}");
            sim.check_all();
            accepted.push((state, input));
        }
    }
    let captains = MISSION_TABLE.iter().filter(|rule| rule.input.is_captains());
    for rule in captains.filter(|rule| rule.from != MissionState::NeedsInput) {
        assert!(accepted.contains(&(rule.from, rule.input)), "{rule:?} was not tried");
    }
    assert!(refused > 100 && by_table > refused * 9 / 10, "{by_table} of {refused} by the table");
}
