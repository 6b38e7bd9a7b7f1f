//! Messages to agents, and what agents report of themselves.

use model::agent::Agent;
use model::devlog::Devlog;
use model::event::{Fact, Subject};
use model::id::{AttemptId, MessageId};
use model::message::{Message, MessageState, TRIES_MAX};
use model::mission::Handoff;
use model::refusal::{Code, Refusal};
use model::usage::Usage;

use super::{Desk, of_agent};
use crate::input::Report;

impl Desk<'_> {
    pub(super) fn edit_agent(&mut self, agent: Agent) -> Result<(), Refusal> {
        let known = self.agent(agent.id)?;
        let taken = |other: &&Agent| {
            other.id != agent.id && other.name.to_lowercase() == agent.name.to_lowercase()
        };
        if self.state.agents.values().find(taken).is_some() {
            let message = format!("there is already an agent named '{}'", agent.name);
            return Err(Refusal::new(Code::Conflict, message).hint("choose another name"));
        }
        if self.state.is_busy(agent.id) && known.runtime != agent.runtime {
            let message =
                format!("{} is at work; how it is started cannot be changed now", known.name);
            return Err(Refusal::new(Code::Conflict, message)
                .hint("wait until its mission has ended; everything else can be changed"));
        }
        let agent =
            Agent { paused: known.paused, demo: known.demo, created_at: known.created_at, ..agent };
        if agent != *known {
            self.fact(of_agent(agent.id), Fact::AgentChanged { agent });
        }
        Ok(())
    }

    pub(super) fn queue_message(&mut self, message: Message) -> Result<(), Refusal> {
        self.agent(message.to)?;
        let subject = Subject { mission_id: message.mission_id, ..of_agent(message.to) };
        self.fact(subject, Fact::MessageQueued { message });
        Ok(())
    }

    pub(super) fn delivered_messages(&mut self, ids: &[MessageId], id: AttemptId) {
        let message_ids = self.in_state(ids, &[MessageState::Queued]);
        if !message_ids.is_empty() {
            let at = self.now;
            let subject = self.state.subject_of_attempt(id);
            self.fact(subject, Fact::MessagesDelivered { message_ids, attempt_id: id, at });
        }
    }

    pub(super) fn begun(&mut self, ids: &[MessageId]) {
        let message_ids = self.in_state(ids, &[MessageState::Delivered]);
        if !message_ids.is_empty() {
            let at = self.now;
            self.fact(Subject::default(), Fact::MessagesStarted { message_ids, at });
        }
    }

    pub(super) fn answered(&mut self, ids: &[MessageId]) {
        let with_it = [MessageState::Delivered, MessageState::Started];
        let message_ids = self.in_state(ids, &with_it);
        if !message_ids.is_empty() {
            let at = self.now;
            self.fact(Subject::default(), Fact::MessagesAcknowledged { message_ids, at });
        }
    }

    pub(super) fn not_delivered(&mut self, id: MessageId, problem: String) {
        let on_its_way = [MessageState::Queued, MessageState::Delivered, MessageState::Started];
        if self.in_state(&[id], &on_its_way).is_empty() {
            return;
        }
        let Some(message) = self.state.messages.get(&id) else {
            return;
        };
        let tries = message.tries + 1;
        let quarantined = tries >= TRIES_MAX;
        let fact = Fact::MessageFailed { message_id: id, problem, tries, quarantined };
        self.fact(of_agent(message.to), fact);
    }

    pub(super) fn retry_message(&mut self, id: MessageId) -> Result<(), Refusal> {
        let stuck = [MessageState::Quarantined, MessageState::Delivered, MessageState::Started];
        self.must_be(id, &stuck, "waits already, or was answered to")?;
        self.fact(Subject::default(), Fact::MessageRetried { message_id: id });
        Ok(())
    }

    pub(super) fn discard_message(&mut self, id: MessageId) -> Result<(), Refusal> {
        let waits = [MessageState::Queued, MessageState::Quarantined];
        self.must_be(id, &waits, "is with the agent already, or is discarded")?;
        self.fact(Subject::default(), Fact::MessageDiscarded { message_id: id });
        Ok(())
    }

    /// Of these messages, those that stand in one of these states.
    fn in_state(&self, ids: &[MessageId], states: &[MessageState]) -> Vec<MessageId> {
        let stands = |id: &&MessageId| {
            self.state.messages.get(*id).is_some_and(|message| states.contains(&message.state()))
        };
        let mut found: Vec<MessageId> = ids.iter().filter(stands).copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn must_be(
        &self,
        id: MessageId,
        states: &[MessageState],
        otherwise: &str,
    ) -> Result<(), Refusal> {
        if !self.state.messages.contains_key(&id) {
            return Err(Refusal::new(Code::NotFound, "there is no such message"));
        }
        if self.in_state(&[id], states).is_empty() {
            return Err(Refusal::new(Code::Conflict, format!("the message {otherwise}"))
                .hint("look at the message as it is now"));
        }
        Ok(())
    }

    pub(super) fn measured(&mut self, id: AttemptId, usage: Usage) {
        let subject = self.state.subject_of_attempt(id);
        // Whatever a source says: one attempt must not break the sums of all.
        let usage = usage.bounded();
        self.fact(subject, Fact::UsageMeasured { attempt_id: id, usage });
    }

    pub(super) fn acknowledged(&mut self, id: AttemptId, said: String) {
        let known = self.state.attempts.get(&id);
        if known.is_some_and(|attempt| attempt.acknowledged_at.is_none()) {
            let at = self.now;
            let subject = self.state.subject_of_attempt(id);
            self.fact(subject, Fact::AttemptAcknowledged { attempt_id: id, at, said });
        }
    }

    /// Keeps what the agent itself wrote for the next attempt; what the engine knows is added when
    /// the attempt ends.
    pub(super) fn write_handoff(&mut self, id: AttemptId, text: String) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        let handoff = Handoff {
            from: attempt.n,
            agent_id: attempt.agent_id,
            commit: attempt.handoff.as_ref().and_then(|before| before.commit.clone()),
            text: text.replace('\0', "\u{fffd}"),
            at: self.now,
        };
        let fact = Fact::HandoffWritten { mission_id: attempt.mission_id, handoff: Some(handoff) };
        self.fact(self.state.subject_of_attempt(id), fact);
        Ok(())
    }

    /// Keeps what an agent wrote into its mission's devlog.
    pub(super) fn noted(&mut self, devlog: Devlog) {
        let subject = Subject {
            mission_id: Some(devlog.mission_id),
            attempt_id: devlog.attempt_id,
            agent_id: devlog.agent_id,
        };
        self.fact(subject, Fact::DevlogWritten { devlog });
    }

    /// Carries out what a report asks for and notes the report in the same transaction, so that it
    /// is applied once.
    pub(super) fn report(&mut self, report: Report) -> Result<(), Refusal> {
        let Report { agent_id, key, problem, inputs } = report;
        self.agent(agent_id)?;
        for input in inputs {
            self.take(input)?;
        }
        self.fact(of_agent(agent_id), Fact::ReportTaken { agent_id, key, problem });
        Ok(())
    }
}
