//! The rows of the fake ledger, as its facts give them, and what the orchestrator reads of them at
//! its start.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::agent::Agent;
use model::attempt::{Attempt, AttemptState};
use model::event::Fact;
use model::gate::GateResult;
use model::id::{AgentId, AttemptId, CheckpointId, MissionId, TopicId, TrashId};
use model::mission::{Mission, MissionState};
use model::settings::Settings;
use model::topic::Topic;
use orchestrator::state::{Elsewhere, State, Track};

/// A mission's row.
#[derive(Debug, Clone)]
pub(crate) struct MissionRow {
    pub(crate) mission: Mission,
    pub(crate) removed: bool,
    /// The most retries that were ever asked for.
    pub(crate) retries_max: u32,
}

/// The rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) missions: BTreeMap<MissionId, MissionRow>,
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    pub(crate) live: BTreeSet<AttemptId>,
    pub(crate) results: BTreeMap<AttemptId, BTreeMap<u32, GateResult>>,
    pub(crate) reviews: BTreeMap<(AttemptId, u32), AgentId>,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    tracks: BTreeMap<AgentId, Track>,
    pub(crate) topics: BTreeMap<TopicId, Topic>,
    votes: BTreeMap<(TopicId, AgentId), String>,
    pub(crate) settings: Settings,
    pub(crate) halted: Option<Timestamp>,
    policies: BTreeSet<String>,
    templates: BTreeSet<String>,
    pub(crate) checkpoints: BTreeSet<CheckpointId>,
    /// What was ever in the trash, and whether it still is.
    pub(crate) trash: BTreeMap<TrashId, bool>,
}

impl Rows {
    /// Whether a fact that a request can bring about fits what is there.
    pub(crate) fn takes(&self, fact: &Fact) -> bool {
        match fact {
            Fact::PolicyRemoved { name } => self.policies.contains(name),
            Fact::TemplateRemoved { name } => self.templates.contains(name),
            Fact::TrashEmptied { trash_id, .. } => self.trash.get(trash_id) == Some(&true),
            Fact::Trashed { item } => !self.trash.contains_key(&item.id),
            Fact::CheckpointRestored { checkpoint_id, .. } => {
                self.checkpoints.contains(checkpoint_id)
            }
            Fact::MissionRestored { mission_id } => {
                self.missions.get(mission_id).is_some_and(|row| row.removed)
            }
            _ => true,
        }
    }

    /// The mission a fact belongs to.
    pub(crate) fn mission_of(&self, fact: &Fact) -> Option<MissionId> {
        let of = |id: &AttemptId| self.attempts.get(id).map(|attempt| attempt.mission_id);
        match fact {
            Fact::MissionCreated { mission, .. } | Fact::MissionChanged { mission, .. } => {
                Some(mission.id)
            }
            Fact::MissionMoved { mission_id, .. }
            | Fact::MissionProgressed { mission_id, .. }
            | Fact::HandoffWritten { mission_id, .. }
            | Fact::WorkMerged { mission_id, .. }
            | Fact::MissionAssigned { mission_id, .. }
            | Fact::MissionRemoved { mission_id }
            | Fact::MissionRestored { mission_id } => Some(*mission_id),
            Fact::AttemptLeased { attempt } => Some(attempt.mission_id),
            Fact::CheckpointMade { checkpoint } => Some(checkpoint.mission_id),
            Fact::ResultLate { attempt_id, .. } | Fact::GateFinished { attempt_id, .. } => {
                of(attempt_id)
            }
            other => attempt_of(other).as_ref().and_then(of),
        }
    }

    /// Changes the rows as a fact says.
    pub(crate) fn project(&mut self, fact: &Fact, at: Timestamp) -> Result<(), String> {
        match fact {
            Fact::AgentAdded { agent } | Fact::AgentChanged { agent } => {
                self.agents.insert(agent.id, agent.clone());
            }
            Fact::AgentRemoved { agent_id } => {
                self.agents.remove(agent_id).ok_or("there is no such agent")?;
            }
            Fact::SettingsChanged { settings } => self.settings = settings.clone(),
            Fact::SwarmHalted { at, .. } => match self.halted.replace(*at) {
                None => {}
                Some(_) => return Err("the swarm is halted twice".to_owned()),
            },
            Fact::SwarmResumed => self.halted = None,
            Fact::PolicySaved { policy } => {
                self.policies.insert(policy.name.clone());
            }
            Fact::PolicyRemoved { name } => {
                self.policies.remove(name);
            }
            Fact::TemplateSaved { template } => {
                self.templates.insert(template.name.clone());
            }
            Fact::TemplateRemoved { name } => {
                self.templates.remove(name);
            }
            Fact::Trashed { item } => {
                self.trash.insert(item.id, true);
            }
            Fact::TrashEmptied { trash_id, .. } => {
                self.trash.insert(*trash_id, false);
            }
            Fact::TopicOpened { topic } => {
                self.topics.insert(topic.id, topic.clone());
            }
            Fact::VoteCast { vote } => {
                self.votes.insert((vote.topic_id, vote.agent_id), vote.option.clone());
            }
            Fact::TopicClosed { topic_id, decision } => {
                let topic = self.topics.get_mut(topic_id).ok_or("there is no such topic")?;
                topic.decision = Some(decision.clone());
            }
            other => return self.project_work(other, at),
        }
        Ok(())
    }

    fn project_work(&mut self, fact: &Fact, at: Timestamp) -> Result<(), String> {
        match fact {
            Fact::MissionCreated { mission, .. } => {
                let retries_max = mission.retries_max;
                let row = MissionRow { mission: mission.clone(), removed: false, retries_max };
                match self.missions.insert(mission.id, row) {
                    None => Ok(()),
                    Some(_) => Err("a mission is created twice".to_owned()),
                }
            }
            Fact::AttemptLeased { attempt } => {
                let row = self.missions.get_mut(&attempt.mission_id).ok_or("no such mission")?;
                if row.mission.attempts + 1 != attempt.n {
                    return Err(format!("attempt {} follows {}", attempt.n, row.mission.attempts));
                }
                row.mission.attempts = attempt.n;
                row.mission.updated_at = at;
                self.live.insert(attempt.id);
                self.attempts.insert(attempt.id, attempt.clone());
                Ok(())
            }
            Fact::GateFinished { attempt_id, result } => {
                let results = self.results.entry(*attempt_id).or_default();
                results.insert(result.index, result.clone());
                self.reviews.remove(&(*attempt_id, result.index));
                Ok(())
            }
            Fact::ReviewAssigned { attempt_id, index, agent_id } => {
                if !self.live.contains(attempt_id) {
                    return Err("a review is asked for of an attempt that is over".to_owned());
                }
                self.reviews.insert((*attempt_id, *index), *agent_id);
                Ok(())
            }
            Fact::CheckpointMade { checkpoint } => {
                self.checkpoints.insert(checkpoint.id);
                Ok(())
            }
            other => {
                if let Some(id) = attempt_of(other) {
                    return self.project_attempt(id, other, at);
                }
                self.project_mission(other, at)
            }
        }
    }

    fn project_mission(&mut self, fact: &Fact, at: Timestamp) -> Result<(), String> {
        let Some(row) = self.mission_of(fact).and_then(|id| self.missions.get_mut(&id)) else {
            return Ok(());
        };
        let mission = &mut row.mission;
        mission.updated_at = at;
        match fact {
            Fact::MissionMoved { from, to, note, grade, tries, recoveries, not_before, .. } => {
                if mission.state != *from {
                    return Err(format!("the mission is {}, not {from}", mission.state));
                }
                mission.state = *to;
                mission.note.clone_from(note);
                mission.grade = *grade;
                mission.tries = *tries;
                mission.recoveries = *recoveries;
                mission.not_before = *not_before;
            }
            Fact::MissionChanged { mission: changed, .. } => {
                *mission = Mission { updated_at: at, ..changed.clone() };
                row.retries_max = row.retries_max.max(changed.retries_max);
            }
            Fact::MissionProgressed { progress, criteria, .. } => {
                mission.progress = Some(progress.clone());
                mission.criteria.clone_from(criteria);
            }
            Fact::HandoffWritten { handoff, .. } => mission.handoff.clone_from(handoff),
            Fact::WorkMerged { merge, .. } => mission.merged = Some(merge.clone()),
            Fact::MissionAssigned { agent_id, .. } => mission.agent = *agent_id,
            Fact::MissionRemoved { .. } => row.removed = true,
            Fact::MissionRestored { .. } => row.removed = false,
            _ => {}
        }
        Ok(())
    }

    fn project_attempt(&mut self, id: AttemptId, fact: &Fact, at: Timestamp) -> Result<(), String> {
        let attempt = self.attempts.get_mut(&id).ok_or("there is no such attempt")?;
        if attempt.state.is_final() && !matches!(fact, Fact::WorkRecorded { .. }) {
            return Err(format!("the attempt is already {}", attempt.state.as_str()));
        }
        match fact {
            Fact::AttemptPrepared { workplace, .. } => {
                attempt.state = AttemptState::Starting;
                attempt.workplace = Some(workplace.clone());
            }
            Fact::AttemptStarted { process, .. } | Fact::AttemptAdopted { process, .. } => {
                attempt.state = AttemptState::Running;
                attempt.process = Some(process.clone());
            }
            Fact::AttemptStopping { .. } => attempt.stopping = true,
            Fact::AttemptExited { record, .. } => {
                attempt.state = AttemptState::Exited;
                attempt.exit = Some(record.clone());
                attempt.frozen = false;
            }
            Fact::AttemptVerifying { .. } => {
                attempt.state = AttemptState::Verifying;
                attempt.in_review = false;
                self.reviews.retain(|(of, _), _| *of != id);
            }
            Fact::AttemptReviewing { .. } => {
                if attempt.state != AttemptState::Verifying {
                    return Err("what is reviewed was not verified".to_owned());
                }
                attempt.in_review = true;
            }
            Fact::AttemptFrozen { frozen, .. } => attempt.frozen = *frozen,
            Fact::WorkRecorded { work, .. } => attempt.work = Some(work.clone()),
            Fact::AttemptEnded { state, note, .. } => {
                attempt.state = *state;
                attempt.note.clone_from(note);
                attempt.stopping = false;
                attempt.in_review = false;
                attempt.frozen = false;
                attempt.ended_at = Some(at);
                let track = self.tracks.entry(attempt.agent_id).or_default();
                let counts = u64::from(*state != AttemptState::Stopped);
                track.ended += counts;
                track.accepted += u64::from(*state == AttemptState::Accepted);
                self.live.remove(&id);
                self.reviews.retain(|(of, _), _| *of != id);
            }
            _ => {}
        }
        Ok(())
    }

    /// The state as the orchestrator reads it at its start.
    pub(crate) fn recall(&self, running_max: u32) -> State {
        let mut state = State::new(running_max);
        state.settings = self.settings.clone();
        state.halted = self.halted;
        state.agents.clone_from(&self.agents);
        for row in self.missions.values() {
            if !row.removed && !row.mission.state.is_final() {
                state.admit_mission(row.mission.clone());
            }
        }
        for id in &self.live {
            let attempt = self.attempts[id].clone();
            if !state.missions.contains_key(&attempt.mission_id) {
                state.admit_mission(self.missions[&attempt.mission_id].mission.clone());
            }
            state.admit_attempt(attempt, self.results_of(*id));
        }
        state.reviews.clone_from(&self.reviews);
        let tracks =
            self.tracks.iter().filter(|(id, it)| self.agents.contains_key(id) && it.ended > 0);
        state.tracks = tracks.map(|(id, track)| (*id, *track)).collect();
        for topic in self.topics.values().filter(|topic| topic.decision.is_none()) {
            let votes = self.votes.iter().filter(|((of, _), _)| *of == topic.id);
            state.votes.extend(votes.map(|(key, option)| (*key, option.clone())));
            state.topics.insert(topic.id, topic.clone());
        }
        let wanted: Vec<MissionId> =
            state.missions.values().flat_map(|mission| mission.depends_on.clone()).collect();
        self.recall_dependencies(&mut state, wanted);
        state
    }

    pub(crate) fn results_of(&self, id: AttemptId) -> Vec<GateResult> {
        self.results.get(&id).into_iter().flat_map(|all| all.values().cloned()).collect()
    }

    /// Reads the missions that others depend on, and what those depend on themselves.
    pub(crate) fn recall_dependencies(&self, state: &mut State, mut wanted: Vec<MissionId>) {
        while let Some(id) = wanted.pop() {
            if state.dependency(id).is_some() {
                continue;
            }
            if let Some(row) = self.missions.get(&id) {
                wanted.extend(&row.mission.depends_on);
                let elsewhere = Elsewhere {
                    short_id: row.mission.short_id.as_str().to_owned(),
                    state: row.mission.state,
                    depends_on: row.mission.depends_on.clone(),
                };
                state.elsewhere.insert(id, elsewhere);
            }
        }
    }

    /// Where a mission stands.
    pub(crate) fn stands(&self, id: MissionId) -> Option<MissionState> {
        self.missions.get(&id).map(|row| row.mission.state)
    }
}

/// The attempt a fact is about, for facts that change its row.
pub(crate) const fn attempt_of(fact: &Fact) -> Option<AttemptId> {
    match fact {
        Fact::AttemptPrepared { attempt_id, .. }
        | Fact::AttemptStarted { attempt_id, .. }
        | Fact::AttemptAdopted { attempt_id, .. }
        | Fact::AttemptStopping { attempt_id }
        | Fact::AttemptExited { attempt_id, .. }
        | Fact::AttemptVerifying { attempt_id }
        | Fact::AttemptReviewing { attempt_id }
        | Fact::AttemptFrozen { attempt_id, .. }
        | Fact::WorkRecorded { attempt_id, .. }
        | Fact::ReviewAssigned { attempt_id, .. }
        | Fact::AttemptEnded { attempt_id, .. } => Some(*attempt_id),
        _ => None,
    }
}
