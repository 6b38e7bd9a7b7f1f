//! The swarm as a whole: what it is doing, and how well its live agents do.
//!
//! The grade is the mean of points over the agents that have a live program, and over the programs
//! that died without being asked to in the last [`LOST_COUNTS_S`] seconds. Agents that are idle,
//! paused or offline count neither for nor against it; where none is live there is no grade.
//!
//! | who | points |
//! |---|---|
//! | starting, working | 100 |
//! | quiet, waiting for the captain | 60 |
//! | stalled | 20 |
//! | lost signal, crash looping, died | 0 |
//!
//! A is 95 and above with nothing lost, B 85, C 70, D 50, E 25, F below.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::status::AgentState;

/// How long a program that died counts against the grade, in seconds.
pub const LOST_COUNTS_S: i64 = 15 * 60;

/// What the swarm is doing as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SwarmState {
    /// No agent has a live program.
    Idle,
    /// Agents work.
    Active,
    /// Something is wrong with at least one of them.
    Degraded,
    /// The captain stopped everything.
    Halted,
}

/// How well the live agents do, best first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub enum SwarmGrade {
    /// All work.
    A,
    /// Nearly all work.
    B,
    /// Most work.
    C,
    /// Half of them work.
    D,
    /// Few work.
    E,
    /// Hardly any works.
    F,
}

/// What is known of the swarm.
#[derive(Debug, Clone, Copy)]
pub struct SwarmFacts<'a> {
    /// The state of every agent.
    pub agents: &'a [AgentState],
    /// Programs that died without being asked to in the last [`LOST_COUNTS_S`] seconds.
    pub lost: u64,
    /// Whether the captain stopped everything.
    pub halted: bool,
}

/// The state of the swarm with what it was derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmHealth {
    /// What it is doing.
    pub state: SwarmState,
    /// How well; nothing when no agent is live.
    pub grade: Option<SwarmGrade>,
    /// Agents with a live program.
    pub live: u64,
    /// What the grade is made from, worst first.
    pub because: Vec<String>,
    /// What to do about it; nothing when nothing needs doing.
    pub advice: Option<String>,
}

/// Derives the state and the grade of the swarm.
#[must_use]
pub fn swarm_health(facts: &SwarmFacts<'_>) -> SwarmHealth {
    let count = |state: AgentState| facts.agents.iter().filter(|it| **it == state).count() as u64;
    let live: Vec<u64> = facts.agents.iter().filter_map(|state| points(*state)).collect();
    let signal_lost = count(AgentState::LostSignal);
    let looping = count(AgentState::CrashLooping);
    let stalled = count(AgentState::Stalled);
    let because: Vec<String> = [
        (facts.lost, "died in the last 15 minutes"),
        (signal_lost, "not in the process table"),
        (looping, "failing at once, again and again"),
        (stalled, "stalled"),
        (count(AgentState::WaitingForCaptain), "waiting for you"),
        (count(AgentState::Quiet), "quiet"),
        (count(AgentState::Working) + count(AgentState::Starting), "at work"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    let wrong = facts.lost + signal_lost + looping + stalled > 0;
    let state = match (facts.halted, wrong, live.is_empty()) {
        (true, ..) => SwarmState::Halted,
        (_, true, _) => SwarmState::Degraded,
        (_, _, true) => SwarmState::Idle,
        _ => SwarmState::Active,
    };
    let count = live.len() as u64;
    SwarmHealth {
        state,
        grade: grade(&live, facts.lost),
        live: count,
        because,
        advice: advice(facts),
    }
}

/// What a live agent counts; nothing for one that has no live program, or is held or ended by wish.
const fn points(state: AgentState) -> Option<u64> {
    match state {
        AgentState::Starting | AgentState::Working => Some(100),
        AgentState::Quiet | AgentState::WaitingForCaptain => Some(60),
        AgentState::Stalled => Some(20),
        AgentState::LostSignal | AgentState::CrashLooping => Some(0),
        AgentState::Offline | AgentState::Idle | AgentState::Paused | AgentState::Stopping => None,
    }
}

fn grade(live: &[u64], lost: u64) -> Option<SwarmGrade> {
    if live.is_empty() {
        return None;
    }
    let mean = live.iter().sum::<u64>() / (live.len() as u64 + lost);
    Some(match mean {
        95.. if lost == 0 => SwarmGrade::A,
        85.. => SwarmGrade::B,
        70.. => SwarmGrade::C,
        50.. => SwarmGrade::D,
        25.. => SwarmGrade::E,
        _ => SwarmGrade::F,
    })
}

/// What to do about the worst of it.
fn advice(facts: &SwarmFacts<'_>) -> Option<String> {
    let any = |state: AgentState| facts.agents.contains(&state);
    let text = if facts.halted {
        "everything is stopped; resume the swarm when it may go on"
    } else if facts.lost > 0 {
        "look at what died: its last output is with the attempt; then restart what failed"
    } else if any(AgentState::LostSignal) {
        "compare with the process table: use 'reconcile' in the recovery controls"
    } else if any(AgentState::CrashLooping) {
        "check the command line of the agent that fails again and again"
    } else if any(AgentState::Stalled) {
        "look at the last output of the stalled agent; cancel or pause its mission"
    } else if any(AgentState::WaitingForCaptain) {
        "answer what your agents ask"
    } else {
        return None;
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(agents: &[AgentState], lost: u64) -> SwarmHealth {
        swarm_health(&SwarmFacts { agents, lost, halted: false })
    }

    #[test]
    fn the_grade_is_computed_only_from_live_agents_and_changes_when_one_of_four_is_killed() {
        use AgentState::{Idle, Offline, Paused, Working};
        let four = health(&[Working; 4], 0);
        assert_eq!((four.grade, four.live), (Some(SwarmGrade::A), 4));
        assert_eq!(four.state, SwarmState::Active);
        let with_others = health(&[Working, Working, Working, Working, Idle, Offline, Paused], 0);
        assert_eq!((with_others.grade, with_others.live), (Some(SwarmGrade::A), 4));
        let killed = health(&[Working, Working, Working, Idle], 1);
        assert_eq!((killed.grade, killed.live), (Some(SwarmGrade::C), 3));
        assert_eq!(killed.state, SwarmState::Degraded);
        assert_eq!(killed.because, ["1 died in the last 15 minutes", "3 at work"]);
        assert!(killed.advice.is_some());
    }

    #[test]
    fn where_no_agent_is_live_there_is_no_grade() {
        let check = |agents: &[AgentState], state: SwarmState| {
            let seen = health(agents, 0);
            assert_eq!((seen.grade, seen.live, seen.state), (None, 0, state), "{agents:?}");
        };
        check(&[], SwarmState::Idle);
        check(&[AgentState::Idle, AgentState::Paused, AgentState::Offline], SwarmState::Idle);
        assert_eq!(health(&[AgentState::Idle], 1).state, SwarmState::Degraded);
    }

    #[test]
    fn each_state_weighs_as_it_is_published() {
        use AgentState::{LostSignal, Quiet, Stalled, Starting, WaitingForCaptain, Working};
        let check = |agents: &[AgentState], grade: SwarmGrade| {
            assert_eq!(health(agents, 0).grade, Some(grade), "{agents:?}");
        };
        check(&[Working, Starting], SwarmGrade::A);
        check(&[Working, Working, Working, Quiet], SwarmGrade::B);
        check(&[Working, WaitingForCaptain], SwarmGrade::C);
        check(&[Working, LostSignal], SwarmGrade::D);
        check(&[Quiet, Stalled], SwarmGrade::E);
        check(&[Stalled], SwarmGrade::F);
        let many = vec![Working; 99];
        assert_eq!(health(&many, 1).grade, Some(SwarmGrade::B), "a loss is never an A");
    }

    #[test]
    fn a_halted_swarm_says_so_whatever_else_is_wrong() {
        let facts = SwarmFacts { agents: &[AgentState::LostSignal], lost: 3, halted: true };
        let seen = swarm_health(&facts);
        assert_eq!(seen.state, SwarmState::Halted);
        assert!(seen.advice.is_some_and(|text| text.contains("resume")));
    }
}
