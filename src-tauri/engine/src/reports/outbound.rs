//! Messages and answers as files, for agents that can be told no other way while they work.

use model::agent::{Agent, Runtime};
use model::attempt::AttemptState;
use model::id::AttemptId;
use model::inbox::{Request, RequestEnd};
use model::message::{BATCH_MAX, Message, Urgency};
use model::refusal::Refusal;
use orchestrator::Input;
use serde_json::json;

use super::said::QUESTION;
use crate::Engine;
use crate::resolve::unreadable;

impl Engine {
    /// Hands over what waits for agents at work that are told by files. It counts as delivered when
    /// the file is there.
    pub(super) async fn deliver_files(&self) -> Result<(), Refusal> {
        let unfinished = self.0.ledger.unfinished_attempts().await.map_err(unreadable)?;
        for attempt in unfinished {
            let at_work = attempt.state == AttemptState::Running && attempt.process.is_some();
            if !at_work || attempt.stopping {
                continue;
            }
            let agent = self.0.ledger.agent(attempt.agent_id).await.map_err(unreadable)?;
            if let Some(agent) = agent {
                self.deliver_answers(&agent, attempt.id).await?;
                if reads_files(&agent) {
                    self.deliver_messages(&agent, attempt.id).await?;
                }
            }
        }
        Ok(())
    }

    async fn deliver_messages(&self, agent: &Agent, id: AttemptId) -> Result<(), Refusal> {
        let limit = u32::try_from(BATCH_MAX).unwrap_or(u32::MAX);
        let waiting = self.0.ledger.waiting_messages(agent.id, limit).await.map_err(unreadable)?;
        let place = self.place(agent.id);
        let mut messages = Vec::with_capacity(waiting.len());
        for message in waiting {
            let text = format!("{:#}\n", of_message(&message));
            match place.write(message.id.as_uuid(), text.as_bytes()) {
                Ok(()) => messages.push(message.id),
                Err(err) => {
                    tracing::warn!(error = &err as &dyn std::error::Error, agent = %agent.id, "a message could not be written");
                    let problem = format!("its file cannot be written: {err}");
                    self.own(Input::NotDelivered { id: message.id, problem }).await?;
                }
            }
        }
        if messages.is_empty() {
            return Ok(());
        }
        self.own(Input::Delivered { messages, id }).await
    }

    /// Writes the answers to questions that came as files.
    async fn deliver_answers(&self, agent: &Agent, id: AttemptId) -> Result<(), Refusal> {
        let untold = self.0.ledger.untold_requests_of(id).await.map_err(unreadable)?;
        for request in untold.iter().filter(|request| request.key.starts_with(QUESTION)) {
            let Some(answer) = of_answer(request) else {
                continue;
            };
            let text = format!("{answer:#}\n");
            match self.place(agent.id).write(request.id.as_uuid(), text.as_bytes()) {
                Ok(()) => self.own(Input::ReplyTold(request.id)).await?,
                Err(err) => {
                    tracing::warn!(error = &err as &dyn std::error::Error, agent = %agent.id, "an answer could not be written");
                }
            }
        }
        Ok(())
    }
}

/// Whether a message reaches the agent as a file and in no other way: it is no conversation, and
/// nobody can type.
const fn reads_files(agent: &Agent) -> bool {
    matches!(agent.runtime, Runtime::Command { terminal: false, .. })
}

/// A message as the agent reads it.
fn of_message(message: &Message) -> serde_json::Value {
    json!({
        "kind": "message",
        "id": message.id,
        "from": message.from,
        "text": message.text,
        "urgent": message.urgency == Urgency::Urgent,
        "mission_id": message.mission_id,
        "queued_at": message.queued_at,
        "to_acknowledge": {"kind": "acknowledge", "message": message.id},
    })
}

/// An answer as the agent reads it; nothing where it does not wait for one.
fn of_answer(request: &Request) -> Option<serde_json::Value> {
    let (answer, note) = match request.end.as_ref()? {
        RequestEnd::Answered { text } => (Some(text), None),
        RequestEnd::Denied { note } => (None, note.as_ref()),
        _ => return None,
    };
    Some(json!({
        "kind": "answer",
        "report": request.key.strip_prefix(QUESTION).and_then(|key| key.split_once(':')).map(|it| it.0),
        "question": request.ask.title(),
        "answer": answer,
        "note": note,
    }))
}
