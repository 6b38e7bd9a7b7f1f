//! What the orchestrator knows: the unfinished part of the ledger, folded from its facts.

use std::collections::BTreeMap;

use model::agent::Agent;
use model::attempt::{Attempt, AttemptState};
use model::event::{Fact, Subject};
use model::id::{AgentId, AttemptId, MissionId};
use model::mission::{Mission, MissionState};

/// The unfinished missions, their attempts, and all agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Missions that are not final, and those just asked for.
    pub missions: BTreeMap<MissionId, Mission>,
    /// Attempts that are not over.
    pub attempts: BTreeMap<AttemptId, Attempt>,
    /// Every agent.
    pub agents: BTreeMap<AgentId, Agent>,
    /// How many attempts may run at once.
    pub running_max: u32,
}

impl State {
    /// The unfinished attempt of an agent.
    #[must_use]
    pub fn attempt_of_agent(&self, id: AgentId) -> Option<&Attempt> {
        self.attempts.values().find(|attempt| attempt.agent_id == id)
    }

    /// The unfinished attempt of a mission.
    #[must_use]
    pub fn attempt_of_mission(&self, id: MissionId) -> Option<&Attempt> {
        self.attempts.values().find(|attempt| attempt.mission_id == id)
    }

    /// What an event about an attempt is about.
    #[must_use]
    pub fn subject_of_attempt(&self, id: AttemptId) -> Subject {
        let attempt = self.attempts.get(&id);
        Subject {
            mission_id: attempt.map(|attempt| attempt.mission_id),
            attempt_id: Some(id),
            agent_id: attempt.map(|attempt| attempt.agent_id),
        }
    }

    /// Forgets what is final; the ledger keeps it.
    pub fn forget_finished(&mut self) {
        self.attempts.retain(|_, attempt| !attempt.state.is_final());
        let attempts = &self.attempts;
        self.missions.retain(|id, mission| {
            !mission.state.is_final() || attempts.values().any(|attempt| attempt.mission_id == *id)
        });
    }

    /// Folds one fact in.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::AgentAdded { agent } | Fact::AgentChanged { agent } => {
                self.agents.insert(agent.id, agent.clone());
            }
            Fact::AgentRemoved { agent_id } => {
                self.agents.remove(agent_id);
            }
            Fact::MissionCreated { mission, .. } => {
                self.missions.insert(mission.id, mission.clone());
            }
            Fact::MissionMoved { mission_id, to, note, grade, tries, .. } => {
                if let Some(mission) = self.missions.get_mut(mission_id) {
                    mission.state = *to;
                    mission.note.clone_from(note);
                    mission.grade = *grade;
                    mission.tries = *tries;
                }
            }
            Fact::MissionAssigned { mission_id, agent_id } => {
                if let Some(mission) = self.missions.get_mut(mission_id) {
                    mission.agent = *agent_id;
                }
            }
            Fact::MissionRemoved { mission_id } => {
                self.missions.remove(mission_id);
            }
            Fact::AttemptLeased { attempt } => {
                if let Some(mission) = self.missions.get_mut(&attempt.mission_id) {
                    mission.attempts = attempt.n;
                }
                self.attempts.insert(attempt.id, attempt.clone());
            }
            other => self.apply_to_attempt(other),
        }
    }

    fn apply_to_attempt(&mut self, fact: &Fact) {
        let Some(attempt) = attempt_id(fact).and_then(|id| self.attempts.get_mut(&id)) else {
            return;
        };
        match fact {
            Fact::AttemptPrepared { workplace, .. } => {
                attempt.workplace = Some(workplace.clone());
                attempt.state = AttemptState::Starting;
            }
            Fact::AttemptStarted { process, .. } => {
                attempt.process = Some(process.clone());
                attempt.state = AttemptState::Running;
            }
            Fact::AttemptAdopted { process, .. } => attempt.process = Some(process.clone()),
            Fact::AttemptStopping { .. } => attempt.stopping = true,
            Fact::AttemptExited { record, .. } => {
                attempt.exit = Some(record.clone());
                attempt.state = AttemptState::Exited;
            }
            Fact::AttemptVerifying { .. } => attempt.state = AttemptState::Verifying,
            Fact::WorkRecorded { work, .. } => attempt.work = Some(work.clone()),
            Fact::AttemptEnded { state, note, .. } => {
                attempt.state = *state;
                attempt.note.clone_from(note);
                attempt.stopping = false;
            }
            _ => {}
        }
    }
}

/// The attempt a fact is about.
fn attempt_id(fact: &Fact) -> Option<AttemptId> {
    match fact {
        Fact::AttemptPrepared { attempt_id, .. }
        | Fact::AttemptStarted { attempt_id, .. }
        | Fact::AttemptAdopted { attempt_id, .. }
        | Fact::AttemptStopping { attempt_id }
        | Fact::AttemptExited { attempt_id, .. }
        | Fact::AttemptVerifying { attempt_id }
        | Fact::WorkRecorded { attempt_id, .. }
        | Fact::GateFinished { attempt_id, .. }
        | Fact::AttemptEnded { attempt_id, .. }
        | Fact::ResultLate { attempt_id, .. } => Some(*attempt_id),
        _ => None,
    }
}

/// Whether a mission in this state waits to be leased.
#[must_use]
pub fn is_waiting(mission: &Mission) -> bool {
    mission.state == MissionState::Queued
}
