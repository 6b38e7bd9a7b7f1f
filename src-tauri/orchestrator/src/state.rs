//! What the orchestrator knows: the unfinished part of the ledger, folded from its facts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::agent::Agent;
use model::attempt::{Attempt, AttemptState};
use model::event::{Fact, Subject};
use model::gate::GateResult;
use model::id::{AgentId, AttemptId, MessageId, MissionId, RequestId, TopicId};
use model::inbox::Request;
use model::message::Message;
use model::mission::{Mission, MissionState};
use model::settings::Settings;
use model::topic::Topic;
use uuid::Uuid;

/// How much of a gate's output is remembered, for the handoff, in bytes.
const OUTPUT_KEPT_BYTES: usize = 2 * 1024;

/// A mission that others depend on and that is not among the unfinished ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its readable id.
    pub short_id: String,
    /// Where it stands.
    pub state: MissionState,
    /// What it depends on itself.
    pub depends_on: Vec<MissionId>,
}

/// What an agent's attempts came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Track {
    /// Attempts whose work counted.
    pub accepted: u64,
    /// Attempts that came to an end by themselves.
    pub ended: u64,
}

/// The unfinished missions, their attempts, and all agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Missions that are not final, and those just asked for.
    pub missions: BTreeMap<MissionId, Mission>,
    /// Attempts that are not over, and those just asked for.
    pub attempts: BTreeMap<AttemptId, Attempt>,
    /// Every agent.
    pub agents: BTreeMap<AgentId, Agent>,
    /// Missions that unfinished ones depend on.
    pub elsewhere: BTreeMap<MissionId, Elsewhere>,
    /// What the gates of unfinished attempts found, by their place.
    pub results: BTreeMap<AttemptId, BTreeMap<u32, GateResult>>,
    /// Agents that review the work of others, by attempt and gate.
    pub reviews: BTreeMap<(AttemptId, u32), AgentId>,
    /// What agents ask and wait for.
    pub requests: BTreeMap<RequestId, Request>,
    /// Messages just asked for.
    pub messages: BTreeMap<MessageId, Message>,
    /// Requests that have ended and were just asked for.
    pub answered: BTreeMap<RequestId, Request>,
    /// What the attempts of each agent came to.
    pub tracks: BTreeMap<AgentId, Track>,
    /// Questions that are not decided.
    pub topics: BTreeMap<TopicId, Topic>,
    /// What was voted for.
    pub votes: BTreeMap<(TopicId, AgentId), String>,
    /// Since when everything is stopped, by the captain.
    pub halted: Option<Timestamp>,
    /// The settings of the workspace.
    pub settings: Settings,
    /// How many attempts may run at once where the settings do not say.
    pub running_max: u32,
    /// Missions that wait to be leased.
    queued: BTreeSet<MissionId>,
    /// Those of them that wait for a time.
    delayed: BTreeMap<MissionId, Timestamp>,
    /// Agents with the attempts that occupy them: one they work on, and those that are verified
    /// again after their review.
    occupied: BTreeSet<(AgentId, AttemptId)>,
    /// The unfinished attempt of each mission.
    leases: BTreeMap<MissionId, AttemptId>,
    /// What may be forgotten.
    finished: BTreeSet<MissionId>,
}

impl State {
    /// Nothing known yet; as many attempts as this may run at once.
    #[must_use]
    pub fn new(running_max: u32) -> Self {
        Self { running_max, ..Self::default() }
    }

    /// The attempt an agent is occupied with; the first, where an older one is verified again.
    #[must_use]
    pub fn attempt_of_agent(&self, id: AgentId) -> Option<&Attempt> {
        self.occupied_by(id).next().and_then(|id| self.attempts.get(&id))
    }

    fn occupied_by(&self, id: AgentId) -> impl Iterator<Item = AttemptId> {
        let first = AttemptId::from_uuid(Uuid::nil());
        let last = AttemptId::from_uuid(Uuid::max());
        self.occupied.range((id, first)..=(id, last)).map(|(_, attempt)| *attempt)
    }

    /// Whether an agent is occupied, with an attempt or a review.
    #[must_use]
    pub fn is_busy(&self, id: AgentId) -> bool {
        self.occupied_by(id).next().is_some() || self.reviews.values().any(|agent| *agent == id)
    }

    /// Agents that are occupied with an attempt or a review.
    #[must_use]
    pub fn busy(&self) -> BTreeSet<AgentId> {
        let occupied = self.occupied.iter().map(|(agent, _)| agent);
        occupied.chain(self.reviews.values()).copied().collect()
    }

    /// How many attempts and reviews are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.occupied.len() + self.reviews.len()
    }

    /// The unfinished attempt of a mission.
    #[must_use]
    pub fn attempt_of_mission(&self, id: MissionId) -> Option<&Attempt> {
        self.leases.get(&id).and_then(|id| self.attempts.get(id))
    }

    /// Missions that wait to be leased.
    pub fn queued(&self) -> impl Iterator<Item = &Mission> {
        self.queued.iter().filter_map(|id| self.missions.get(id))
    }

    /// How many attempts may run at once.
    #[must_use]
    pub fn running_max(&self) -> u32 {
        self.settings.running_max.unwrap_or(self.running_max)
    }

    /// Where a mission stands that another one depends on, with its readable id.
    #[must_use]
    pub fn dependency(&self, id: MissionId) -> Option<(&str, MissionState)> {
        let known = self.missions.get(&id).map(|it| (it.short_id.as_str(), it.state));
        known.or_else(|| self.elsewhere.get(&id).map(|it| (it.short_id.as_str(), it.state)))
    }

    /// What an attempt asks and waits for.
    pub fn requests_of(&self, id: AttemptId) -> impl Iterator<Item = &Request> + Clone {
        self.requests.values().filter(move |request| request.attempt_id == id)
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

    /// Takes in a mission read from the ledger.
    pub fn admit_mission(&mut self, mission: Mission) {
        if mission.state.is_final() {
            self.finished.insert(mission.id);
        }
        self.put_mission(mission);
    }

    /// Takes in an attempt read from the ledger, with what its gates found.
    pub fn admit_attempt(&mut self, attempt: Attempt, results: Vec<GateResult>) {
        for result in results {
            self.put_result(attempt.id, &result);
        }
        if attempt.state.is_final() {
            self.finished.insert(attempt.mission_id);
        }
        self.put_attempt(Attempt { choice: None, ..attempt });
    }

    /// Forgets what is final; the ledger keeps it.
    pub fn forget_finished(&mut self) {
        self.messages.clear();
        self.answered.clear();
        for id in std::mem::take(&mut self.finished) {
            self.attempts
                .retain(|_, attempt| attempt.mission_id != id || !attempt.state.is_final());
            let attempts = &self.attempts;
            self.results.retain(|attempt, _| attempts.contains_key(attempt));
            let over = self.missions.get(&id).is_some_and(|mission| mission.state.is_final());
            if over && !self.leases.contains_key(&id) {
                self.set_aside(id);
            }
        }
    }

    /// Forgets missions that were looked at for a circle and that no unfinished one depends on.
    pub fn forget_ancestors(&mut self) {
        let missions = self.missions.values();
        let needed: BTreeSet<MissionId> =
            missions.flat_map(|mission| mission.depends_on.iter().copied()).collect();
        self.elsewhere.retain(|id, _| needed.contains(id));
    }

    /// Keeps of a finished mission what those that depend on it need.
    fn set_aside(&mut self, id: MissionId) {
        let Some(mission) = self.missions.remove(&id) else {
            return;
        };
        if self.missions.values().any(|other| other.depends_on.contains(&id)) {
            self.elsewhere.insert(
                id,
                Elsewhere {
                    short_id: mission.short_id.as_str().to_owned(),
                    state: mission.state,
                    depends_on: mission.depends_on.clone(),
                },
            );
        }
        for id in mission.depends_on {
            let needed = |other: &Mission| other.depends_on.contains(&id);
            if self.elsewhere.contains_key(&id) && !self.missions.values().any(needed) {
                self.elsewhere.remove(&id);
            }
        }
    }

    /// The times queued missions wait for.
    pub fn delays(&self) -> impl Iterator<Item = Timestamp> {
        self.delayed.values().copied()
    }

    fn put_mission(&mut self, mission: Mission) {
        self.forget_queued(mission.id);
        if is_waiting(&mission) {
            self.queued.insert(mission.id);
            self.delayed.extend(mission.not_before.map(|at| (mission.id, at)));
        }
        self.elsewhere.remove(&mission.id);
        // The facts do not say when a row was written: a state that was read is as one that was folded.
        let mission = Mission { updated_at: mission.created_at, ..mission };
        self.missions.insert(mission.id, mission);
    }

    fn forget_queued(&mut self, id: MissionId) {
        self.queued.remove(&id);
        self.delayed.remove(&id);
    }

    fn put_attempt(&mut self, attempt: Attempt) {
        let (id, agent, mission) = (attempt.id, attempt.agent_id, attempt.mission_id);
        if attempt.occupies_agent() {
            self.occupied.insert((agent, id));
        } else {
            self.occupied.remove(&(agent, id));
        }
        if attempt.state.is_final() {
            if self.leases.get(&mission) == Some(&id) {
                self.leases.remove(&mission);
            }
            self.reviews.retain(|(attempt, _), _| *attempt != id);
            self.finished.insert(mission);
        } else {
            self.leases.insert(mission, id);
        }
        self.attempts.insert(id, attempt);
    }

    fn put_result(&mut self, id: AttemptId, result: &GateResult) {
        let mut kept = result.clone();
        if kept.output.len() > OUTPUT_KEPT_BYTES {
            let mut from = kept.output.len() - OUTPUT_KEPT_BYTES;
            while !kept.output.is_char_boundary(from) {
                from += 1;
            }
            kept.output.drain(..from);
        }
        self.results.entry(id).or_default().insert(kept.index, kept);
    }

    /// Folds one fact in.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::AgentAdded { agent } | Fact::AgentChanged { agent } => {
                self.agents.insert(agent.id, agent.clone());
            }
            Fact::AgentRemoved { agent_id } => {
                self.agents.remove(agent_id);
                self.tracks.remove(agent_id);
            }
            Fact::AttemptLeased { attempt } => {
                if let Some(mission) = self.missions.get_mut(&attempt.mission_id) {
                    mission.attempts = attempt.n;
                }
                self.put_attempt(Attempt { choice: None, ..attempt.clone() });
            }
            Fact::GateFinished { attempt_id, result } => {
                if self.attempts.contains_key(attempt_id) {
                    self.put_result(*attempt_id, result);
                }
                self.reviews.remove(&(*attempt_id, result.index));
            }
            Fact::ReviewAssigned { attempt_id, index, agent_id } => {
                self.reviews.insert((*attempt_id, *index), *agent_id);
            }
            Fact::SettingsChanged { settings } => self.settings = settings.clone(),
            other => self.apply_further(other),
        }
    }

    fn apply_further(&mut self, fact: &Fact) {
        match fact {
            Fact::TopicOpened { topic } => {
                self.topics.insert(topic.id, topic.clone());
            }
            Fact::VoteCast { vote } => {
                self.votes.insert((vote.topic_id, vote.agent_id), vote.option.clone());
            }
            Fact::TopicClosed { topic_id, .. } => {
                self.topics.remove(topic_id);
                self.votes.retain(|(topic, _), _| topic != topic_id);
            }
            Fact::RequestAsked { request } => {
                self.requests.insert(request.id, request.clone());
            }
            Fact::RequestEnded { request_id, .. } => {
                self.requests.remove(request_id);
            }
            Fact::RequestTold { request_id } => {
                self.answered.remove(request_id);
            }
            Fact::RequestDeferred { request_id, not_before } => {
                if let Some(request) = self.requests.get_mut(request_id) {
                    request.not_before = Some(*not_before);
                }
            }
            Fact::SwarmHalted { at, .. } => self.halted = Some(*at),
            Fact::SwarmResumed => self.halted = None,
            _ => {
                self.apply_to_messages(fact);
                self.apply_to_mission(fact);
                self.apply_to_attempt(fact);
            }
        }
    }

    fn apply_to_messages(&mut self, fact: &Fact) {
        let mut each = |ids: &[MessageId], change: &dyn Fn(&mut Message)| {
            for id in ids {
                self.messages.get_mut(id).map(change).unwrap_or_default();
            }
        };
        match fact {
            Fact::MessagesDelivered { message_ids, at, .. } => {
                each(message_ids, &|message| message.delivered_at = Some(*at));
            }
            Fact::MessagesStarted { message_ids, at } => {
                each(message_ids, &|message| message.started_at = Some(*at));
            }
            Fact::MessagesAcknowledged { message_ids, at } => {
                each(message_ids, &|message| message.acknowledged_at = Some(*at));
            }
            Fact::MessageFailed { message_id, quarantined, tries, .. } => {
                each(&[*message_id], &|message| {
                    (message.delivered_at, message.started_at) = (None, None);
                    (message.quarantined, message.tries) = (*quarantined, *tries);
                });
            }
            Fact::MessageRetried { message_id } => each(&[*message_id], &|message| {
                (message.delivered_at, message.started_at) = (None, None);
                (message.quarantined, message.tries) = (false, 0);
            }),
            Fact::MessageDiscarded { message_id } => {
                each(&[*message_id], &|message| message.discarded = true);
            }
            _ => {}
        }
    }

    fn apply_to_mission(&mut self, fact: &Fact) {
        let id = match fact {
            Fact::MissionCreated { mission, .. } => {
                self.put_mission(mission.clone());
                return;
            }
            Fact::MissionRemoved { mission_id } => {
                self.forget_queued(*mission_id);
                self.set_aside(*mission_id);
                return;
            }
            Fact::MissionChanged { mission, .. } => mission.id,
            Fact::MissionMoved { mission_id, .. }
            | Fact::MissionProgressed { mission_id, .. }
            | Fact::MissionAssigned { mission_id, .. }
            | Fact::HandoffWritten { mission_id, .. }
            | Fact::WorkMerged { mission_id, .. } => *mission_id,
            _ => return,
        };
        if let Some(mut mission) = self.missions.remove(&id) {
            change(&mut mission, fact);
            if mission.state.is_final() {
                self.finished.insert(id);
            }
            self.put_mission(mission);
        }
    }

    fn apply_to_attempt(&mut self, fact: &Fact) {
        let Some(mut attempt) = attempt_id(fact).and_then(|id| self.attempts.remove(&id)) else {
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
            Fact::AttemptTaken { .. } => attempt.state = AttemptState::Running,
            Fact::AttemptAdopted { process, .. } => attempt.process = Some(process.clone()),
            Fact::AttemptStopping { .. } => attempt.stopping = true,
            Fact::AttemptFrozen { frozen, .. } => attempt.frozen = *frozen,
            Fact::AttemptExited { record, .. } => {
                attempt.exit = Some(record.clone());
                attempt.state = AttemptState::Exited;
                attempt.frozen = false;
            }
            Fact::AttemptVerifying { .. } => {
                attempt.state = AttemptState::Verifying;
                attempt.in_review = false;
                self.reviews.retain(|(id, _), _| *id != attempt.id);
            }
            Fact::AttemptReviewing { .. } => attempt.in_review = true,
            Fact::AttemptAcknowledged { at, .. } => attempt.acknowledged_at = Some(*at),
            Fact::WorkRecorded { work, .. } => attempt.work = Some(work.clone()),
            Fact::AttemptEnded { state, note, .. } => {
                self.count(&attempt, *state);
                attempt.state = *state;
                attempt.note.clone_from(note);
                attempt.stopping = false;
                attempt.in_review = false;
                attempt.frozen = false;
            }
            _ => {}
        }
        self.put_attempt(attempt);
    }

    /// Counts what an attempt came to for its agent; one that was stopped says nothing of it.
    fn count(&mut self, attempt: &Attempt, state: AttemptState) {
        if state == AttemptState::Stopped || !self.agents.contains_key(&attempt.agent_id) {
            return;
        }
        let track = self.tracks.entry(attempt.agent_id).or_default();
        track.ended += 1;
        track.accepted += u64::from(state == AttemptState::Accepted);
    }
}

/// Changes a mission as a fact about it says.
fn change(mission: &mut Mission, fact: &Fact) {
    match fact {
        Fact::MissionMoved { to, note, grade, tries, recoveries, not_before, .. } => {
            mission.state = *to;
            mission.note.clone_from(note);
            mission.grade = *grade;
            mission.tries = *tries;
            mission.recoveries = *recoveries;
            mission.not_before = *not_before;
        }
        Fact::MissionChanged { mission: changed, .. } => mission.clone_from(changed),
        Fact::MissionProgressed { progress, criteria, .. } => {
            mission.progress = Some(progress.clone());
            mission.criteria.clone_from(criteria);
        }
        Fact::MissionAssigned { agent_id, .. } => mission.agent = *agent_id,
        Fact::HandoffWritten { handoff, .. } => mission.handoff.clone_from(handoff),
        Fact::WorkMerged { merge, .. } => mission.merged = Some(merge.clone()),
        _ => {}
    }
}

/// The attempt a fact is about.
fn attempt_id(fact: &Fact) -> Option<AttemptId> {
    match fact {
        Fact::AttemptPrepared { attempt_id, .. }
        | Fact::AttemptStarted { attempt_id, .. }
        | Fact::AttemptTaken { attempt_id }
        | Fact::AttemptAdopted { attempt_id, .. }
        | Fact::AttemptStopping { attempt_id }
        | Fact::AttemptFrozen { attempt_id, .. }
        | Fact::AttemptExited { attempt_id, .. }
        | Fact::AttemptVerifying { attempt_id }
        | Fact::AttemptReviewing { attempt_id }
        | Fact::AttemptAcknowledged { attempt_id, .. }
        | Fact::WorkRecorded { attempt_id, .. }
        | Fact::AttemptEnded { attempt_id, .. } => Some(*attempt_id),
        _ => None,
    }
}

/// Whether a mission in this state waits to be leased.
#[must_use]
pub fn is_waiting(mission: &Mission) -> bool {
    mission.state == MissionState::Queued
}
