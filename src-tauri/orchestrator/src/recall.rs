//! What the ledger says about unfinished work, as the orchestrator's state.

use std::collections::BTreeSet;

use model::id::MissionId;
use store::ledger::{Ledger, ReadError};

use crate::input::Input;
use crate::state::{Elsewhere, State, Track};

/// The most missions that are read because others depend on them.
const DEPENDENCIES_MAX: usize = 10_000;
/// The most questions to the agents that are open at once.
const TOPICS_MAX: u32 = 500;

pub(crate) async fn read_state(ledger: &Ledger, running_max: u32) -> Result<State, ReadError> {
    let mut state = State::new(running_max);
    state.settings = ledger.settings().await?;
    state.halted = ledger.halted().await?.map(|halted| halted.since);
    for agent in ledger.agents().await? {
        state.agents.insert(agent.id, agent);
    }
    for mission in ledger.unfinished_missions().await? {
        state.admit_mission(mission);
    }
    for attempt in ledger.unfinished_attempts().await? {
        if !state.missions.contains_key(&attempt.mission_id)
            && let Some((mission, _)) = ledger.mission_ever(attempt.mission_id).await?
        {
            state.admit_mission(mission);
        }
        let results = ledger.gate_results(attempt.id).await?;
        state.admit_attempt(attempt, results);
    }
    for (attempt_id, index, agent_id) in ledger.pending_reviews().await? {
        state.reviews.insert((attempt_id, index), agent_id);
    }
    for request in ledger.open_requests().await? {
        state.requests.insert(request.id, request);
    }
    for counts in ledger.counts_by_agent().await? {
        if state.agents.contains_key(&counts.agent_id) {
            let track = Track { accepted: counts.accepted, ended: counts.ended };
            state.tracks.insert(counts.agent_id, track);
        }
    }
    for topic in ledger.topics(TOPICS_MAX).await? {
        if topic.decision.is_none() {
            for vote in ledger.votes_of(topic.id).await? {
                state.votes.insert((vote.topic_id, vote.agent_id), vote.option);
            }
            state.topics.insert(topic.id, topic);
        }
    }
    let wanted: Vec<MissionId> =
        state.missions.values().flat_map(|mission| mission.depends_on.clone()).collect();
    read_dependencies(&mut state, ledger, wanted).await?;
    state.forget_ancestors();
    Ok(state)
}

/// Reads the missions that others depend on, and what those depend on themselves, so that every
/// circle is seen.
pub(crate) async fn read_dependencies(
    state: &mut State,
    ledger: &Ledger,
    mut wanted: Vec<MissionId>,
) -> Result<(), ReadError> {
    let mut seen = BTreeSet::new();
    while let Some(id) = wanted.pop() {
        if seen.len() >= DEPENDENCIES_MAX {
            break;
        }
        if !seen.insert(id) {
            continue;
        }
        let known = state.missions.get(&id).map(|mission| &mission.depends_on);
        let known = known.or_else(|| state.elsewhere.get(&id).map(|it| &it.depends_on));
        if let Some(known) = known {
            wanted.extend(known);
        } else if let Some((mission, _)) = ledger.mission_ever(id).await? {
            wanted.extend(&mission.depends_on);
            let short_id = mission.short_id.as_str().to_owned();
            let (state_, depends_on) = (mission.state, mission.depends_on);
            state.elsewhere.insert(id, Elsewhere { short_id, state: state_, depends_on });
        }
    }
    Ok(())
}

/// Reads the messages and the request that an input is about, where they are not known.
pub(crate) async fn read_talk(
    state: &mut State,
    ledger: &Ledger,
    input: &Input,
) -> Result<(), ReadError> {
    for id in input.message_ids() {
        if !state.messages.contains_key(id)
            && let Some(message) = ledger.message(*id).await?
        {
            state.messages.insert(*id, message);
        }
    }
    if let Some(id) = input.ended_request_id()
        && let Some(request) = ledger.request(id).await?
    {
        state.answered.entry(id).or_insert(request);
    }
    Ok(())
}
