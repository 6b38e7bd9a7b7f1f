//! Facts about what passes between agents and the captain: messages, requests, rules, usage.

use std::collections::{BTreeMap, BTreeSet};

use model::conversation::ToolKind;
use model::event::{Fact, NewEvent, Subject};
use model::id::{
    AgentId, AttemptId, BroadcastId, MessageId, MissionId, RequestId, RuleId, SystemDraw,
};
use model::inbox::{Ask, PermissionAsk, Request, RequestEnd, Risk, RiskLevel, Rule, Scope};
use model::message::{Message, MessageState, Source, Urgency};
use model::usage::{Context, Usage, UsageSource};
use store::{MessageFilter, RequestFilter};

use super::{World, pick};
use crate::support::*;

/// What the ledger must say about conversations.
#[derive(Default)]
pub(super) struct Talk {
    messages: BTreeMap<MessageId, Message>,
    requests: BTreeMap<RequestId, Request>,
    rules: BTreeMap<RuleId, Rule>,
    usage: BTreeMap<(AttemptId, UsageSource), Usage>,
    missions: BTreeMap<AttemptId, MissionId>,
    reports: BTreeSet<(AgentId, String)>,
}

impl Talk {
    /// An agent is gone, and what it alone was for.
    pub(super) fn removed(&mut self, id: AgentId) {
        let waits = |message: &&mut Message| {
            message.to == id
                && matches!(message.state(), MessageState::Queued | MessageState::Quarantined)
        };
        self.messages.values_mut().filter(waits).for_each(|message| message.discarded = true);
        self.rules.retain(|_, rule| rule.scope != Scope::Agent { id });
        self.reports.retain(|(agent, _)| *agent != id);
    }

    fn in_state(&self, states: &[MessageState], n: u8) -> Vec<MessageId> {
        let found = self.messages.values().filter(|message| states.contains(&message.state()));
        found.skip(usize::from(n) % 3).take(1 + usize::from(n) % 4).map(|it| it.id).collect()
    }

    fn each(&mut self, ids: &[MessageId], change: impl Fn(&mut Message)) {
        for id in ids {
            change(self.messages.get_mut(id).unwrap());
        }
    }
}

impl World {
    /// Something about a message.
    pub(super) fn write(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        use MessageState::{Delivered, Quarantined, Queued, Started};
        let some = |ids: Vec<MessageId>| (!ids.is_empty()).then_some(ids);
        let talk = &mut self.talk;
        let at = now();
        let fact = match b % 9 {
            0..3 => {
                let mut message = Message::queued(
                    MessageId::draw(at, &mut Rising),
                    pick(&self.agents, a)?,
                    Source::Captain,
                    format!("do {a} 'now' \u{202e}"),
                    at,
                );
                message.mission_id = pick(&self.missions, b);
                message.broadcast_id = b.is_multiple_of(2).then(|| broadcast(a));
                if a.is_multiple_of(3) {
                    message.urgency = Urgency::Urgent;
                    message.from =
                        Source::Agent { id: pick(&self.agents, b)?, name: "bee".to_owned() };
                }
                talk.messages.insert(message.id, message.clone());
                Fact::MessageQueued { message }
            }
            3 => {
                let attempt_id = pick(&self.attempts, a)?;
                let message_ids = some(talk.in_state(&[Queued], a))?;
                talk.each(&message_ids, |message| {
                    (message.delivered_at, message.attempt_id) = (Some(at), Some(attempt_id));
                });
                Fact::MessagesDelivered { message_ids, attempt_id, at }
            }
            4 => {
                let message_ids = some(talk.in_state(&[Delivered], a))?;
                talk.each(&message_ids, |message| message.started_at = Some(at));
                Fact::MessagesStarted { message_ids, at }
            }
            5 => {
                let message_ids = some(talk.in_state(&[Delivered, Started], a))?;
                talk.each(&message_ids, |message| message.acknowledged_at = Some(at));
                Fact::MessagesAcknowledged { message_ids, at }
            }
            6 => {
                let message_id = *talk.in_state(&[Queued, Delivered, Started], a).first()?;
                let (problem, tries) = (format!("no {b}"), u32::from(a % 4));
                let quarantined = tries == 3;
                talk.each(&[message_id], |message| {
                    waits_again(message);
                    (message.tries, message.quarantined) = (tries, quarantined);
                    message.problem = Some(problem.clone());
                });
                Fact::MessageFailed { message_id, problem, tries, quarantined }
            }
            7 => {
                let message_id = *talk.in_state(&[Quarantined, Delivered, Started], a).first()?;
                talk.each(&[message_id], |message| {
                    waits_again(message);
                    (message.tries, message.quarantined) = (0, false);
                });
                Fact::MessageRetried { message_id }
            }
            _ => {
                let message_id = *talk.in_state(&[Queued, Quarantined], a).first()?;
                talk.each(&[message_id], |message| message.discarded = true);
                Fact::MessageDiscarded { message_id }
            }
        };
        Some(event(Subject::default(), fact))
    }

    /// Something about a request or a rule.
    pub(super) fn ask(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        let talk = &mut self.talk;
        let mut open = talk.requests.values_mut().filter(|request| request.waits());
        let fact = match b % 8 {
            0..3 => {
                let attempt = self.attempts.get(&pick(&self.attempts, a)?)?;
                let request = Request {
                    id: RequestId::draw(now(), &mut Rising),
                    attempt_id: attempt.id,
                    mission_id: attempt.mission_id,
                    agent_id: attempt.agent_id,
                    key: format!("key {a}"),
                    ask: ask(a),
                    asked_at: now(),
                    not_before: None,
                    end: None,
                    ended_at: None,
                    told: false,
                };
                talk.requests.insert(request.id, request.clone());
                Fact::RequestAsked { request }
            }
            3 => {
                let request = open.nth(usize::from(a) % 3)?;
                let (end, at) = (end(a), now());
                (request.end, request.ended_at) = (Some(end.clone()), Some(at));
                Fact::RequestEnded { request_id: request.id, end, at }
            }
            4 => {
                let request = open.nth(usize::from(a) % 3)?;
                let not_before = now();
                request.not_before = Some(not_before);
                Fact::RequestDeferred { request_id: request.id, not_before }
            }
            5 => {
                let mut over = talk.requests.values_mut().filter(|it| !it.waits() && !it.told);
                let request = over.nth(usize::from(a) % 3)?;
                request.told = true;
                Fact::RequestTold { request_id: request.id }
            }
            6 => {
                let scope = match a % 3 {
                    0 => Scope::Workspace,
                    1 => Scope::Mission { id: pick(&self.missions, b)? },
                    _ => Scope::Agent { id: pick(&self.agents, b)? },
                };
                let rule = Rule {
                    id: RuleId::draw(now(), &mut Rising),
                    pattern: format!("run: git {a} *"),
                    allow: b.is_multiple_of(2),
                    scope,
                    created_at: now(),
                };
                talk.rules.insert(rule.id, rule.clone());
                Fact::RuleAdded { rule }
            }
            _ => {
                let rule_id = pick(&talk.rules, a)?;
                talk.rules.remove(&rule_id);
                Fact::RuleRemoved { rule_id }
            }
        };
        Some(event(Subject::default(), fact))
    }

    /// Something an agent says of itself.
    pub(super) fn report(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        let attempt_id = pick(&self.attempts, a)?;
        let agent_id = pick(&self.agents, a);
        let attempt = self.attempts.get_mut(&attempt_id)?;
        let at = now();
        let fact = match b % 4 {
            0 if attempt.acknowledged_at.is_none() => {
                attempt.acknowledged_at = Some(at);
                Fact::AttemptAcknowledged { attempt_id, at, said: "I know".to_owned() }
            }
            0 | 1 => {
                let source = UsageSource::ALL[usize::from(a) % UsageSource::ALL.len()];
                let mut usage = Usage::none(source);
                (usage.turns, usage.tokens.output) = (b.into(), Some(a.into()));
                self.talk.usage.insert((attempt_id, source), usage.clone());
                self.talk.missions.insert(attempt_id, attempt.mission_id);
                Fact::UsageMeasured { attempt_id, usage }
            }
            2 => {
                let context = Context { used: 7, size: 10 };
                Fact::ContextCrossed { attempt_id, percent: 70, context }
            }
            _ => {
                let (agent_id, key) = (agent_id?, format!("report-{b}.json {a}"));
                if !self.talk.reports.insert((agent_id, key.clone())) {
                    return None;
                }
                let problem = a.is_multiple_of(2).then(|| "it is no JSON".to_owned());
                Fact::ReportTaken { agent_id, key, problem }
            }
        };
        Some(event(Subject::default(), fact))
    }
}

fn waits_again(message: &mut Message) {
    (message.delivered_at, message.started_at, message.attempt_id) = (None, None, None);
}

fn broadcast(a: u8) -> BroadcastId {
    BroadcastId::from_uuid(
        MessageId::draw(model::Timestamp::from_second(a.into()).unwrap(), &mut SystemDraw)
            .as_uuid(),
    )
}

/// A question, or something to be allowed.
pub(crate) fn ask(a: u8) -> Ask {
    if a.is_multiple_of(2) {
        return Ask::Question { text: format!("{a}?"), options: vec!["yes".into(), "no".into()] };
    }
    Ask::Permission {
        permission: PermissionAsk {
            title: format!("run {a}"),
            tool: ToolKind::Execute,
            name: None,
            command: Some("git push".to_owned()),
            directory: Some("/elsewhere".to_owned()),
            changes: Vec::new(),
            places: vec!["src".to_owned()],
            input: None,
            why: None,
            risk: Risk { level: RiskLevel::High, reasons: vec!["it publishes".to_owned()] },
            pattern: "run: git push".to_owned(),
            agent_remembers: false,
        },
    }
}

fn end(a: u8) -> RequestEnd {
    match a % 4 {
        0 => RequestEnd::Once,
        1 => RequestEnd::Denied { note: Some("no".to_owned()) },
        2 => RequestEnd::Answered { text: "yes".to_owned() },
        _ => RequestEnd::Withdrawn { why: "it is over".to_owned() },
    }
}

impl Talk {
    /// Compares what the ledger says with all of this.
    pub(super) async fn compare(&self, place: &Place) {
        self.compare_messages(place).await;
        self.compare_requests(place).await;
        let ledger = &place.ledger;
        assert!(ledger.rules().await.unwrap().iter().eq(self.rules.values().rev()));
        for ((attempt_id, _), usage) in &self.usage {
            let all = ledger.usage_of(*attempt_id).await.unwrap();
            assert!(all.contains(usage), "{all:?}");
            let of_mission = ledger.usage_of_mission(self.missions[attempt_id]).await.unwrap();
            assert!(of_mission.contains(&(*attempt_id, all)));
        }
        for (agent_id, key) in &self.reports {
            assert!(ledger.report_seen(*agent_id, key).await.unwrap());
            assert!(!ledger.report_seen(*agent_id, "another").await.unwrap());
        }
    }

    async fn compare_messages(&self, place: &Place) {
        let ledger = &place.ledger;
        let filter = MessageFilter { limit: 500, ..MessageFilter::default() };
        let all = ledger.messages(filter.clone()).await.unwrap().items;
        assert!(all.iter().eq(self.messages.values().rev()), "{all:#?} {:#?}", self.messages);
        let agents: BTreeSet<AgentId> = self.messages.values().map(|it| it.to).collect();
        for agent_id in agents {
            let mut waiting: Vec<_> =
                self.messages.values().filter(|it| it.to == agent_id && it.waits()).collect();
            waiting.sort_by_key(|message| (message.urgency, message.id));
            let found = ledger.waiting_messages(agent_id, 500).await.unwrap();
            assert!(found.iter().eq(waiting.iter().copied()));
            let count = ledger.waiting_count(agent_id).await.unwrap();
            assert_eq!(count as usize, waiting.len());
        }
        let states = vec![MessageState::Quarantined, MessageState::Started];
        let listed = ledger.messages(MessageFilter { states: states.clone(), ..filter }).await;
        let expected = self.messages.values().rev().filter(|it| states.contains(&it.state()));
        assert!(listed.unwrap().items.iter().eq(expected));
    }

    async fn compare_requests(&self, place: &Place) {
        let ledger = &place.ledger;
        let open: Vec<_> = self.requests.values().filter(|it| it.waits()).collect();
        assert!(ledger.open_requests().await.unwrap().iter().eq(open.iter().copied()));
        let filter = RequestFilter { limit: 500, open: Some(false), ..RequestFilter::default() };
        let over = ledger.requests(filter).await.unwrap().items;
        assert!(over.iter().eq(self.requests.values().rev().filter(|it| !it.waits())));
        let attempts: BTreeSet<AttemptId> =
            self.requests.values().map(|it| it.attempt_id).collect();
        for id in attempts {
            let of = open.iter().copied().filter(|it| it.attempt_id == id);
            assert!(ledger.open_requests_of(id).await.unwrap().iter().eq(of));
            let untold = self.requests.values().filter(|it| {
                let withdrawn = matches!(it.end, None | Some(RequestEnd::Withdrawn { .. }));
                it.attempt_id == id && !it.told && !withdrawn
            });
            assert!(ledger.untold_requests_of(id).await.unwrap().iter().eq(untold));
        }
        let counts = ledger.inbox_counts().await.unwrap();
        let questions = open.iter().filter(|it| matches!(it.ask, Ask::Question { .. })).count();
        assert_eq!(counts.requests, open.len() as u64);
        assert_eq!(counts.questions, questions as u64);
        let quarantined = |it: &&Message| it.state() == MessageState::Quarantined;
        assert_eq!(counts.quarantined, self.messages.values().filter(quarantined).count() as u64);
    }
}
