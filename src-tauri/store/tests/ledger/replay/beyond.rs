//! Facts beyond the life of a mission: what the captain edits, reviews, checkpoints, the workspace.

use std::collections::BTreeMap;

use model::attempt::{AttemptState, Checkpoint};
use model::event::{Fact, NewEvent, Subject};
use model::gate::Grade;
use model::id::{AgentId, AttemptId, CheckpointId, MissionId, TopicId, TrashId};
use model::mission::{Criterion, Estimate, Handoff, Merge, MergeHow, Progress};
use model::policy::Policy;
use model::settings::{Settings, Template};
use model::topic::{Decided, Topic, Vote};
use model::trash::{TrashEnd, TrashItem, TrashKind};
use store::{Halted, TrashFilter};

use super::{World, pick};
use crate::support::*;

/// What the ledger must say beside missions and attempts.
#[derive(Default)]
pub(super) struct Beyond {
    settings: Settings,
    halted: Option<Halted>,
    policies: BTreeMap<String, Policy>,
    templates: BTreeMap<String, Template>,
    trash: BTreeMap<TrashId, TrashItem>,
    topics: BTreeMap<TopicId, Topic>,
    votes: BTreeMap<(TopicId, AgentId), Vote>,
    checkpoints: BTreeMap<CheckpointId, Checkpoint>,
    reviews: BTreeMap<(AttemptId, u32), AgentId>,
}

impl Beyond {
    /// Nobody is awaited any more for a gate.
    pub(super) fn answered(&mut self, attempt_id: AttemptId, index: u32) {
        self.reviews.remove(&(attempt_id, index));
    }

    /// Nobody is awaited any more for an attempt.
    pub(super) fn over(&mut self, attempt_id: AttemptId) {
        self.reviews.retain(|(of, _), _| *of != attempt_id);
    }
}

fn handoff(b: u8) -> Handoff {
    Handoff {
        from: 1,
        agent_id: agent("x").id,
        commit: None,
        text: format!("try {b}, again"),
        at: now(),
    }
}

impl World {
    /// The captain, an import or an agent says something about a mission.
    pub(super) fn say(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        if b % 6 == 5 {
            let mission_id = pick(&self.removed, a)?;
            let mission = self.removed.remove(&mission_id)?;
            self.missions.insert(mission_id, mission);
            return Some(event(about(mission_id), Fact::MissionRestored { mission_id }));
        }
        let other = pick(&self.missions, b);
        let mission_id = pick(&self.missions, a)?;
        let mission = self.missions.get_mut(&mission_id)?;
        let fact = match b % 6 {
            0 | 1 => {
                mission.title = format!("Renamed \"{b}\"");
                mission.policy = format!("p-{}", b % 3);
                mission.proof = b.is_multiple_of(2).then_some(Grade::Independent);
                mission.labels = (0..b % 4).map(|n| format!("label {n}")).collect();
                mission.depends_on = other.into_iter().collect();
                mission.skills = vec!["rust".into()];
                mission.links = vec!["node_modules".into()];
                mission.target = Some("main".into());
                mission.deadline = b.is_multiple_of(3).then(now);
                mission.estimate =
                    Some(Estimate { seconds: 9, samples: Some(3), because: "…".into() });
                mission.external_id = Some(format!("{mission_id}-{b}"));
                mission.unattended = b.is_multiple_of(2);
                mission.hand_over = b.is_multiple_of(3);
                mission.backoff_s = u32::from(b);
                // What the captain does not edit is not taken from there.
                let mut said = mission.clone();
                said.state = model::mission::MissionState::Done;
                said.note = Some("not mine to say".into());
                said.handoff = Some(handoff(b));
                (said.attempts, said.tries, said.recoveries, said.grade) =
                    (90, 91, 92, Grade::Human);
                let brief = b.is_multiple_of(2).then(|| format!("do it {b} times"));
                self.briefs.extend(brief.clone().map(|brief| (mission_id, brief)));
                Fact::MissionChanged { mission: said, brief }
            }
            2 => {
                let progress = Progress { percent: Some(b % 100), text: "half".into(), at: now() };
                let criteria = vec![Criterion { text: "it builds".into(), met: true }];
                mission.progress = Some(progress.clone());
                mission.criteria.clone_from(&criteria);
                Fact::MissionProgressed { mission_id, progress, criteria }
            }
            3 => {
                mission.handoff = a.is_multiple_of(3).then(|| handoff(b));
                Fact::HandoffWritten { mission_id, handoff: mission.handoff.clone() }
            }
            _ => {
                let merge = Merge {
                    attempt: 1,
                    reviewed: "abc".into(),
                    target: "main".into(),
                    commit: "def".into(),
                    how: MergeHow::Squash,
                    at: now(),
                };
                mission.merged = Some(merge.clone());
                Fact::WorkMerged { mission_id, merge }
            }
        };
        let event = event(about(mission_id), fact);
        mission.updated_at = event.at;
        Some(event)
    }

    /// Something about a live attempt beside its state.
    pub(super) fn attend(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        let agent_id = pick(&self.agents, b)?;
        let attempt_id = pick(&self.attempts, a)?;
        let attempt = self.attempts.get_mut(&attempt_id)?;
        if attempt.state.is_final() {
            return None;
        }
        let fact = match b % 5 {
            0 => {
                attempt.frozen = a.is_multiple_of(2);
                Fact::AttemptFrozen { attempt_id, frozen: attempt.frozen }
            }
            1 | 2 if attempt.state == AttemptState::Verifying => {
                attempt.in_review = true;
                Fact::AttemptReviewing { attempt_id }
            }
            1 | 2 => return None,
            3 => {
                let index = u32::from(a % 3);
                self.beyond.reviews.insert((attempt_id, index), agent_id);
                Fact::ReviewAssigned { attempt_id, index, agent_id }
            }
            _ => {
                let of = self.beyond.checkpoints.values();
                let n = 1 + of.filter(|known| known.attempt_id == attempt_id).count();
                let checkpoint = Checkpoint {
                    id: CheckpointId::draw(now(), &mut Rising),
                    mission_id: attempt.mission_id,
                    attempt_id,
                    n: u32::try_from(n).unwrap(),
                    commit: "abc".into(),
                    tree: "def".into(),
                    uncommitted_files: 1,
                    output_bytes: u64::from(b),
                    note: "before the pause".into(),
                    at: now(),
                };
                self.beyond.checkpoints.insert(checkpoint.id, checkpoint.clone());
                Fact::CheckpointMade { checkpoint }
            }
        };
        Some(event(Subject { attempt_id: Some(attempt_id), ..Subject::default() }, fact))
    }

    /// Something about the workspace as a whole.
    pub(super) fn decide(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        let mission_id = pick(&self.missions, a);
        let agent_id = pick(&self.agents, a);
        let beyond = &mut self.beyond;
        let fact = match b % 10 {
            0 if beyond.halted.take().is_some() => Fact::SwarmResumed,
            0 => {
                let halted = Halted { since: now(), note: Some(format!("stop {a}")) };
                beyond.halted = Some(halted.clone());
                Fact::SwarmHalted { note: halted.note, at: halted.since }
            }
            1 => {
                beyond.settings.running_max = Some(u32::from(a));
                Fact::SettingsChanged { settings: beyond.settings.clone() }
            }
            2 => {
                let name = format!("policy-{}", a % 4);
                let policy = Policy {
                    name: name.clone(),
                    retries: u32::from(a),
                    ..model::policy::builtin().remove(2)
                };
                beyond.policies.insert(name, policy.clone());
                Fact::PolicySaved { policy }
            }
            3 => {
                let name = beyond.policies.pop_first()?.0;
                Fact::PolicyRemoved { name }
            }
            4 if a.is_multiple_of(3) => {
                Fact::TemplateRemoved { name: beyond.templates.pop_last()?.0 }
            }
            4 => {
                let template = template(a);
                beyond.templates.insert(template.name.clone(), template.clone());
                Fact::TemplateSaved { template }
            }
            5 | 6 => {
                let item = item(mission_id?, a);
                beyond.trash.insert(item.id, item.clone());
                Fact::Trashed { item }
            }
            7 => {
                let trash_id = pick(&beyond.trash, a)?;
                beyond.trash.remove(&trash_id);
                let end = if a > 99 { TrashEnd::Restored } else { TrashEnd::Purged };
                Fact::TrashEmptied { trash_id, end }
            }
            8 => return self.vote(a, b, agent_id),
            _ => {
                let topic = Topic {
                    id: TopicId::draw(now(), &mut Rising),
                    title: format!("topic {a}?"),
                    text: "…".into(),
                    options: vec!["yes".into(), "no".into()],
                    opened_at: now(),
                    decision: None,
                };
                beyond.topics.insert(topic.id, topic.clone());
                Fact::TopicOpened { topic }
            }
        };
        Some(event(Subject::default(), fact))
    }

    fn vote(&mut self, a: u8, b: u8, agent_id: Option<AgentId>) -> Option<NewEvent> {
        let beyond = &mut self.beyond;
        let topic_id = pick(&beyond.topics, a)?;
        let topic = beyond.topics.get_mut(&topic_id)?;
        if topic.decision.is_some() {
            return None;
        }
        let fact = if b > 200 {
            let decision = Decided { option: None, because: "nobody".into(), at: now() };
            topic.decision = Some(decision.clone());
            Fact::TopicClosed { topic_id, decision }
        } else {
            let agent_id = agent_id?;
            let (option, rationale) = (topic.options[0].clone(), format!("because {b}"));
            let vote = Vote { topic_id, agent_id, option, rationale, at: now() };
            beyond.votes.insert((topic_id, agent_id), vote.clone());
            Fact::VoteCast { vote }
        };
        Some(event(Subject::default(), fact))
    }

    /// Compares what the ledger says with all of this.
    pub(super) async fn compare_beyond(&self, place: &Place) {
        let (ledger, beyond) = (&place.ledger, &self.beyond);
        assert_eq!(ledger.settings().await.unwrap(), beyond.settings);
        assert_eq!(ledger.halted().await.unwrap(), beyond.halted);
        assert!(ledger.policies().await.unwrap().iter().eq(beyond.policies.values()));
        assert!(ledger.templates().await.unwrap().iter().eq(beyond.templates.values()));
        let trash = ledger.trash(TrashFilter { limit: 500, ..TrashFilter::default() }).await;
        assert!(trash.unwrap().items.iter().eq(beyond.trash.values().rev()));
        assert!(ledger.topics(500).await.unwrap().iter().eq(beyond.topics.values().rev()));
        for id in beyond.topics.keys() {
            let votes = ledger.votes_of(*id).await.unwrap();
            let expected = beyond.votes.iter().filter(|((topic, _), _)| topic == id);
            assert!(votes.iter().eq(expected.map(|(_, vote)| vote)));
        }
        for (id, checkpoint) in &beyond.checkpoints {
            assert_eq!(ledger.checkpoint(*id).await.unwrap().as_ref(), Some(checkpoint));
        }
        let mut pending = ledger.pending_reviews().await.unwrap();
        pending.sort_unstable();
        let expected = beyond.reviews.iter().map(|((of, index), agent)| (*of, *index, *agent));
        assert!(pending.into_iter().eq(expected));
        for (id, brief) in &self.briefs {
            let found = ledger.mission_ever(*id).await.unwrap();
            assert_eq!(&found.unwrap().1, brief);
        }
    }
}

fn template(a: u8) -> Template {
    Template {
        name: format!("template-{}", a % 4),
        about: format!("for {a}"),
        title: "Fix {{what}}".into(),
        brief: "…".into(),
        gates: vec!["diff".into()],
        labels: vec!["bug".into()],
        skills: Vec::new(),
        policy: None,
        repository: None,
    }
}

fn item(mission_id: MissionId, a: u8) -> TrashItem {
    TrashItem {
        id: TrashId::draw(now(), &mut Rising),
        kind: if a.is_multiple_of(2) { TrashKind::Mission } else { TrashKind::Worktree },
        mission_id,
        attempt: (!a.is_multiple_of(2)).then_some(1),
        title: "old".into(),
        path: None,
        repository: None,
        branch: None,
        bytes: u64::from(a),
        at: now(),
        until: now(),
    }
}
