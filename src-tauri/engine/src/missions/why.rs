//! Why a mission waits, why it went to whom, and what would be started next.

use std::collections::HashMap;

use model::id::{AgentId, MissionId};
use model::refusal::Refusal;
use orchestrator::schedule;
use orchestrator::state::State;

use super::names;
use crate::Engine;
use crate::resolve::{self, unreadable};
use crate::view::{Plan, PlannedReview, PlannedStart, PlannedWait, Why, WhyAttempt};

/// The most waiting missions that a plan tells of.
const WAITING_MAX: usize = 500;

impl Engine {
    /// Why a mission waits, and why each of its attempts went to its agent.
    ///
    /// # Errors
    /// When there is no such mission, or the ledger cannot be read.
    pub async fn why(&self, text: &str) -> Result<Why, Refusal> {
        let ledger = &self.0.ledger;
        let (mission, _) = resolve::mission(ledger, text).await?;
        let id = mission.id;
        let around = self.surroundings(std::slice::from_ref(&mission)).await?;
        let waiting = schedule::waiting(&mission, &around.around());
        let names = names(&ledger.agents().await.map_err(unreadable)?);
        let now = match mission.state {
            model::mission::MissionState::Queued => {
                let explained = self
                    .0
                    .orchestrator
                    .look(move |state, cycle, now| schedule::explain(state, id, &cycle, now));
                explained.await?
            }
            _ => None,
        };
        let mut attempts = ledger.attempts_of(id).await.map_err(unreadable)?;
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.n));
        let decisions = attempts
            .into_iter()
            .map(|attempt| WhyAttempt {
                n: attempt.n,
                agent_name: names.get(&attempt.agent_id).cloned(),
                leased_at: attempt.leased_at,
                choice: attempt.choice,
            })
            .collect();
        let waiting_text = waiting.as_ref().map(ToString::to_string);
        Ok(Why { waiting, waiting_text, now, decisions })
    }

    /// What would be started if it were decided now; while everything is stopped, what would be
    /// started once it goes on. Touches nothing.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the engine is shutting down.
    pub async fn plan(&self) -> Result<Plan, Refusal> {
        let look = self.0.orchestrator.look(|state, cycle, now| {
            let halted = state.halted.is_some();
            // What would be started once everything goes on is worth knowing before.
            let resumed = halted.then(|| {
                let mut state = state.clone();
                state.halted = None;
                state
            });
            let state = resumed.as_ref().unwrap_or(state);
            let starts = schedule::plan(state, cycle.clone(), now);
            let starts: Vec<PlannedStart> =
                starts.into_iter().filter_map(|start| planned(state, start)).collect();
            let taken: Vec<MissionId> = starts.iter().map(|start| start.mission_id).collect();
            let mut waiting: Vec<_> =
                state.queued().filter(|mission| !taken.contains(&mission.id)).cloned().collect();
            waiting.sort_by_key(|mission| {
                (std::cmp::Reverse(mission.priority), mission.created_at, mission.id)
            });
            let waiting_count = waiting.len() as u64;
            waiting.truncate(WAITING_MAX);
            let names: HashMap<AgentId, String> =
                state.agents.values().map(|agent| (agent.id, agent.name.clone())).collect();
            let review =
                schedule::next_review(state, &cycle.held).map(|(attempt_id, index, agent_id)| {
                    let agent_name = names.get(&agent_id).cloned().unwrap_or_default();
                    PlannedReview { attempt_id, index, agent_id, agent_name }
                });
            let plan = Plan {
                halted,
                memory_free_percent: cycle.memory_free_percent,
                starts,
                waiting: Vec::new(),
                waiting_count,
                reviews: review.into_iter().collect(),
            };
            (plan, waiting)
        });
        let (plan, waiting) = look.await?;
        let around = self.surroundings(&waiting).await?;
        let reason = |mission: &model::mission::Mission| {
            let waits = schedule::waiting(mission, &around.around());
            waits.map_or_else(
                || "waiting for those before it in the queue".to_owned(),
                |waits| waits.to_string(),
            )
        };
        let waiting = waiting
            .iter()
            .map(|mission| PlannedWait {
                mission_id: mission.id,
                short_id: mission.short_id.clone(),
                title: mission.title.clone(),
                reason: reason(mission),
            })
            .collect();
        let halted = plan.halted || self.0.orchestrator.is_halted();
        Ok(Plan { halted, waiting, ..plan })
    }
}

fn planned(state: &State, start: schedule::Start) -> Option<PlannedStart> {
    let mission = state.missions.get(&start.mission_id)?;
    let agent = state.agents.get(&start.agent_id)?;
    Some(PlannedStart {
        mission_id: mission.id,
        short_id: mission.short_id.clone(),
        title: mission.title.clone(),
        agent_id: agent.id,
        agent_name: agent.name.clone(),
        choice: start.choice,
    })
}
