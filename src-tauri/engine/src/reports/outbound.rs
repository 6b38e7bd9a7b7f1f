//! Messages and answers as files, for agents that can be told no other way while they work.

use futures::{StreamExt as _, stream};
use model::agent::{Agent, Runtime};
use model::attempt::{Attempt, AttemptState};
use model::id::{AgentId, AttemptId};
use model::inbox::{Request, RequestEnd};
use model::message::{BATCH_MAX, Message, Urgency};
use model::refusal::Refusal;
use orchestrator::Input;
use serde_json::json;
use uuid::Uuid;

use super::SIDE_BY_SIDE;
use super::said::QUESTION;
use crate::Engine;
use crate::resolve::unreadable;

impl Engine {
    /// Hands over what waits for agents at work that are told by files. It counts as delivered when
    /// the file is there.
    pub(super) async fn deliver_files(&self) -> Result<(), Refusal> {
        let ledger = &self.0.ledger;
        let waiting = ledger.waiting_by_agent().await.map_err(unreadable)?;
        let untold = ledger.untold_attempts().await.map_err(unreadable)?;
        let has_messages =
            |id: &AgentId| waiting.get(id).is_some_and(|waiting| waiting.messages > 0);
        if untold.is_empty() && !waiting.keys().any(has_messages) {
            return Ok(());
        }
        let unfinished = ledger.unfinished_attempts().await.map_err(unreadable)?;
        let at_work = unfinished.into_iter().filter(|attempt| {
            let running = attempt.state == AttemptState::Running && attempt.process.is_some();
            let owed = has_messages(&attempt.agent_id) || untold.contains(&attempt.id);
            running && !attempt.stopping && owed
        });
        let handed = stream::iter(at_work).map(|attempt| self.deliver_to(attempt));
        let handed: Vec<_> = handed.buffer_unordered(SIDE_BY_SIDE).collect().await;
        handed.into_iter().collect()
    }

    async fn deliver_to(&self, attempt: Attempt) -> Result<(), Refusal> {
        let agent = self.0.ledger.agent(attempt.agent_id).await.map_err(unreadable)?;
        if let Some(agent) = agent {
            self.deliver_answers(&agent, attempt.id).await?;
            if reads_files(&agent) {
                self.deliver_messages(&agent, attempt.id).await?;
            }
        }
        Ok(())
    }

    async fn deliver_messages(&self, agent: &Agent, id: AttemptId) -> Result<(), Refusal> {
        let limit = u32::try_from(BATCH_MAX).unwrap_or(u32::MAX);
        let waiting = self.0.ledger.waiting_messages(agent.id, limit).await.map_err(unreadable)?;
        let mut messages = Vec::with_capacity(waiting.len());
        for message in waiting {
            let text = format!("{:#}\n", of_message(&message));
            match self.put_down(agent, message.id.as_uuid(), text).await {
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
            match self.put_down(agent, request.id.as_uuid(), text).await {
                Ok(()) => self.own(Input::ReplyTold(request.id)).await?,
                Err(err) => {
                    tracing::warn!(error = &err as &dyn std::error::Error, agent = %agent.id, "an answer could not be written");
                }
            }
        }
        Ok(())
    }

    /// Writes something for an agent to read; it waits for the disk.
    async fn put_down(&self, agent: &Agent, id: Uuid, text: String) -> std::io::Result<()> {
        let place = self.place(agent.id);
        let written = tokio::task::spawn_blocking(move || place.write(id, text.as_bytes())).await;
        written.unwrap_or_else(|err| Err(std::io::Error::other(err)))
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
        "report": report_of(request),
        "question": request.ask.title(),
        "answer": answer,
        "note": note,
    }))
}

/// The name of the file in which something was asked: its key holds it before a checksum and a time.
fn report_of(request: &Request) -> Option<&str> {
    request.key.strip_prefix(QUESTION)?.rsplitn(3, ':').nth(2)
}

#[cfg(test)]
mod tests {
    use model::id::{AgentId, MissionId, RequestId, SystemDraw};
    use model::inbox::Ask;

    use super::*;

    #[test]
    fn an_answer_names_the_file_in_which_was_asked_whatever_is_in_its_name() {
        let (now, draw) = (model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let mut request = |key: &str| Request {
            id: RequestId::draw(now, draw),
            attempt_id: AttemptId::draw(now, draw),
            mission_id: MissionId::draw(now, draw),
            agent_id: AgentId::draw(now, draw),
            key: key.to_owned(),
            ask: Ask::Question { text: "left?".to_owned(), options: Vec::new() },
            asked_at: now,
            not_before: None,
            end: Some(RequestEnd::Answered { text: "yes".to_owned() }),
            ended_at: None,
            told: false,
        };
        let asked = request("report:at 10:30.json:ab12:1700");
        assert_eq!(of_answer(&asked).unwrap()["report"], "at 10:30.json");
        assert_eq!(report_of(&request("mcp:1")), None);
    }
}
