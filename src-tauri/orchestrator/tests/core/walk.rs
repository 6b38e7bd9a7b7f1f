//! The pure core walked at random.

use model::attempt::AttemptState;
use model::event::Fact;
use model::gate::Verdict;
use model::mission::MissionState;
use model::policy::{STANDARD, STRICT, TRUSTING};
use model::process::Exit;
use model::transition::{MISSION_TABLE, MissionInput};
use orchestrator::decide::{Decision, decide};
use orchestrator::state::State;
use orchestrator::{Cycle, Input, Wish};
use proptest::prelude::*;

use crate::world::{Count, World, gate, process, record, workplace};

/// What a random walk does next; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Agent,
    Mission(u32, u8),
    Schedule,
    Ask(usize, usize),
    Prepared(usize),
    Started(usize),
    Exited(usize, i32),
    Gate(usize, bool),
    Verified(usize),
    Changed(usize),
    Halt,
    Resume,
    Later(i64),
    Stopped(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Agent),
        2 => (0..3u32, 0..3u8).prop_map(|(retries, policy)| Step::Mission(retries, policy)),
        4 => Just(Step::Schedule),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(which, input)| Step::Ask(which, input)),
        3 => any::<usize>().prop_map(Step::Prepared),
        3 => any::<usize>().prop_map(Step::Started),
        3 => (any::<usize>(), 0..2i32).prop_map(|(which, code)| Step::Exited(which, code)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, pass)| Step::Gate(which, pass)),
        3 => any::<usize>().prop_map(Step::Verified),
        1 => any::<usize>().prop_map(Step::Changed),
        1 => Just(Step::Halt),
        2 => Just(Step::Resume),
        2 => (0..400i64).prop_map(Step::Later),
        2 => any::<usize>().prop_map(Step::Stopped),
    ]
}

fn input(world: &mut World, step: &Step) -> Option<Input> {
    fn pick<T: Copy>(all: &[T], which: usize) -> Option<T> {
        (!all.is_empty()).then(|| all[which % all.len()])
    }
    let attempts: Vec<_> = world.state.attempts.keys().copied().collect();
    let missions: Vec<_> = world.state.missions.keys().copied().collect();
    Some(match step {
        Step::Later(seconds) => {
            world.pass_time(*seconds);
            return None;
        }
        Step::Agent => {
            let name = format!("agent {}", world.draw.0);
            world.agent(&name);
            return None;
        }
        Step::Mission(retries, policy) => {
            world.mission(|mission| {
                mission.retries_max = *retries;
                mission.policy = [TRUSTING, STANDARD, STRICT][usize::from(*policy)].to_owned();
            });
            return None;
        }
        Step::Schedule => Input::Schedule(Cycle::default()),
        Step::Ask(which, input) => {
            let wish = Wish {
                note: Some("so".to_owned()),
                keep_processes: input % 2 == 0,
                ..Wish::new(MissionInput::ALL[input % MissionInput::ALL.len()])
            };
            Input::Ask { id: pick(&missions, *which)?, wish }
        }
        Step::Prepared(which) => {
            Input::Prepared { id: pick(&attempts, *which)?, workplace: workplace() }
        }
        Step::Started(which) => Input::Started { id: pick(&attempts, *which)?, process: process() },
        Step::Exited(which, code) => {
            let record = record(Exit::Code { code: *code });
            Input::Exited { id: pick(&attempts, *which)?, record }
        }
        Step::Gate(which, pass) => {
            let verdict = if *pass { Verdict::Passed } else { Verdict::Failed };
            Input::GateFinished { id: pick(&attempts, *which)?, result: gate(verdict) }
        }
        Step::Verified(which) => Input::Verified { id: pick(&attempts, *which)?, problem: None },
        Step::Changed(which) => {
            Input::Changed { id: pick(&missions, *which)?, note: "it moved".to_owned() }
        }
        Step::Halt => Input::Halt { note: None },
        Step::Resume => Input::ResumeSwarm,
        Step::Stopped(which) => {
            let record = record(Exit::Stopped { killed: false });
            Input::Stopped { id: pick(&attempts, *which)?, record, problem: None }
        }
    })
}

/// The invariants that hold whatever came in.
fn check(before: &State, world: &World, decision: &Decision) {
    for (_, fact) in &decision.facts {
        if let Fact::MissionMoved { mission_id, from, to, grade, .. } = fact {
            let listed = MISSION_TABLE.iter().any(|rule| rule.from == *from && rule.to == *to);
            assert!(listed, "{from} to {to} is not in the table");
            if *to == MissionState::Done {
                let needed = before.missions[mission_id].grade_needed();
                assert!(*grade >= needed, "done without the evidence it needs");
            }
        }
    }
    for agent in world.state.agents.keys() {
        // One whose work changed under review is verified again beside what its agent works on.
        let busy = world.state.attempts.values().filter(|a| {
            a.agent_id == *agent && a.occupies_agent() && a.state != AttemptState::Verifying
        });
        assert!(busy.count() <= 1, "an agent has two attempts");
    }
    for mission in world.state.missions.values() {
        let live = world
            .state
            .attempts
            .values()
            .filter(|a| a.mission_id == mission.id && !a.state.is_final());
        let live: Vec<_> = live.collect();
        assert!(live.len() <= 1, "a mission has two live leases");
        assert!(mission.tries <= mission.retries_max + 1, "more tries than were asked for");
        if mission.state.has_live_attempt() {
            assert_eq!(live.len(), 1, "{} without an attempt", mission.state);
            assert!(!live[0].stopping, "{} with an attempt being stopped", mission.state);
        }
        if mission.state == MissionState::Running {
            assert_eq!(live[0].state, AttemptState::Running);
            assert!(!live[0].frozen, "running with its processes held");
        }
        // One that was cancelled under review is so until its reviewers are gone.
        let reviewed = live.iter().any(|attempt| attempt.in_review && !attempt.stopping);
        assert_eq!(reviewed, mission.state == MissionState::InReview, "{:?}", mission.state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_in_the_invariants_hold_and_replaying_the_facts_gives_the_same_state(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new();
        let mut replayed = State::new(100);
        for step in steps {
            let draws = world.draw.0;
            let before = world.state.clone();
            let Some(input) = input(&mut world, &step) else {
                replayed = world.state.clone();
                continue;
            };
            let again = decide(&world.state, input.clone(), world.now, &mut Count(draws));
            let Ok(decision) = world.tell(input) else {
                prop_assert!(again.is_err());
                prop_assert_eq!(&before, &world.state, "a refusal changes nothing");
                continue;
            };
            prop_assert_eq!(&again.unwrap(), &decision, "the same input gives the same decision");
            check(&before, &world, &decision);
            for (_, fact) in &decision.facts {
                replayed.apply(fact);
            }
            prop_assert_eq!(&replayed, &world.state);
            world.state.forget_finished();
            replayed.forget_finished();
        }
    }
}
