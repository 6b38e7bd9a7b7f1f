//! Measures one decision of the scheduler on 10,000 queued missions and 2,000 agents, with every
//! agent free and with every agent at work.

use std::time::{Duration, Instant};

use model::attempt::{Attempt, AttemptState};
use model::clock::{Clock as _, SystemClock};
use model::event::Fact;
use model::id::{AttemptId, SystemDraw};
use model::mission::{Mission, MissionState, Priority};
use orchestrator::decide::decide;
use orchestrator::state::State;
use orchestrator::{Cycle, Input};

use crate::figures;
use crate::world::{self, agent};

const MISSIONS: usize = 10_000;
const AGENTS: usize = 2_000;
const DECISIONS: usize = 500;
const PRIORITIES: [Priority; 4] =
    [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];

/// How many agents are at work.
#[derive(Clone, Copy)]
struct Busy(usize);

fn queued(n: usize) -> Mission {
    Mission {
        state: MissionState::Queued,
        priority: PRIORITIES[n % PRIORITIES.len()],
        ..world::mission()
    }
}

/// What is known with that many agents at work.
fn state(Busy(busy): Busy) -> State {
    let now = SystemClock.now();
    let mut state = State::default();
    state.running_max = u32::MAX;
    for n in 0..AGENTS {
        let agent = agent(n);
        if n < busy {
            let mission = Mission { state: MissionState::Running, ..world::mission() };
            let id = AttemptId::draw(now, &mut SystemDraw);
            let attempt = Attempt {
                state: AttemptState::Running,
                ..Attempt::leased(id, mission.id, agent.id, 1, now)
            };
            state.admit_mission(mission);
            state.admit_attempt(attempt, Vec::new());
        }
        state.apply(&Fact::AgentAdded { agent });
    }
    for mission in (0..MISSIONS).map(queued) {
        state.admit_mission(mission);
    }
    state
}

fn measure(what: &str, busy: Busy) {
    let state = state(busy);
    let (took, leases): (Vec<Duration>, Vec<usize>) =
        (0..DECISIONS).map(|_| decision(&state)).unzip();
    println!("{what}, {} leases each: {}", leases[0], figures::spread(took));
}

/// Decides once; gives how long it took and how many missions were leased.
fn decision(state: &State) -> (Duration, usize) {
    let input = Input::Schedule(Cycle::default());
    let begun = Instant::now();
    let decision = decide(state, input, SystemClock.now(), &mut SystemDraw).unwrap();
    let took = begun.elapsed();
    let lease = |fact: &Fact| matches!(fact, Fact::AttemptLeased { .. });
    (took, decision.facts.iter().filter(|(_, fact)| lease(fact)).count())
}

/// Measures, and prints what was found.
pub(crate) fn run() {
    println!("one decision on {MISSIONS} queued missions and {AGENTS} agents:");
    measure("all agents free", Busy(0));
    measure("all agents at work but one", Busy(AGENTS - 1));
    measure("all agents at work", Busy(AGENTS));
}
