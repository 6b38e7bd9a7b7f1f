//! Who works on what next: deterministic for a given snapshot.

use std::collections::BTreeSet;

use model::agent::Agent;
use model::attempt::Attempt;
use model::id::{AgentId, MissionId};
use model::mission::Mission;
use model::status::Waiting;

use crate::state::{State, is_waiting};

/// Chooses the next mission and agent, or nothing when no pair is free.
///
/// The more urgent mission goes first, then the older. Among free agents a mission without a
/// chosen one gets the agent that comes first by name.
#[must_use]
pub fn next(state: &State) -> Option<(MissionId, AgentId)> {
    if state.attempts.len() >= state.running_max as usize {
        return None;
    }
    let mut free: Vec<&Agent> = state
        .agents
        .values()
        .filter(|agent| !agent.paused && state.attempt_of_agent(agent.id).is_none())
        .collect();
    if free.is_empty() {
        return None;
    }
    free.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
    let busy: BTreeSet<MissionId> = state.attempts.values().map(|a| a.mission_id).collect();
    let mut waiting: Vec<&Mission> = state
        .missions
        .values()
        .filter(|mission| is_waiting(mission) && !busy.contains(&mission.id))
        .collect();
    waiting.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.id.cmp(&b.id)));
    waiting.into_iter().find_map(|mission| {
        let agent = match mission.agent {
            Some(chosen) => free.iter().find(|agent| agent.id == chosen),
            None => free.iter().find(|agent| agent.demo == mission.demo),
        };
        agent.map(|agent| (mission.id, agent.id))
    })
}

/// Why a queued mission has not started; nothing when it is not queued or about to start.
#[must_use]
pub fn waiting(
    mission: &Mission,
    agents: &[Agent],
    unfinished: &[Attempt],
    running_max: u32,
) -> Option<Waiting> {
    if !is_waiting(mission) {
        return None;
    }
    let busy = |id: AgentId| unfinished.iter().any(|attempt| attempt.agent_id == id);
    if let Some(chosen) = mission.agent {
        let Some(agent) = agents.iter().find(|agent| agent.id == chosen) else {
            return Some(Waiting::AgentRemoved);
        };
        let name = agent.name.clone();
        if agent.paused {
            return Some(Waiting::AgentPaused { agent: name });
        }
        if busy(chosen) {
            return Some(Waiting::AgentBusy { agent: name });
        }
    } else {
        let fitting = || agents.iter().filter(|agent| agent.demo == mission.demo);
        if fitting().next().is_none() {
            return Some(Waiting::NoAgent);
        }
        if !fitting().any(|agent| !agent.paused && !busy(agent.id)) {
            return Some(Waiting::NoFreeAgent);
        }
    }
    (unfinished.len() >= running_max as usize).then_some(Waiting::Limit { running_max })
}
