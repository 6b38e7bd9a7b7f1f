//! The mission, its progress, its devlog, and the agent's inbox, as its tools see them.

use agents::reports::TEXT_BYTES_MAX;
use model::conversation::cut;
use model::id::{DevlogId, MessageId, MissionId, ShortId};
use model::message::{BATCH_MAX, Message, MessageState, Source, Urgency};
use model::mission::{Criterion, Mission, MissionState, Progress};
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::note::note;
use super::{Speaker, ToolCall, no_mission};
use crate::missions::{invalid, text_line};
use crate::resolve::unreadable;
use crate::view::NewMessage;
use crate::{Caller, Engine};

/// The longest line about progress, in characters.
const LINE_CHARS_MAX: usize = 300;

/// A mission as its agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissionOfAgent {
    /// Its readable id.
    pub mission: ShortId,
    /// One line.
    pub title: String,
    /// What is to be done.
    pub brief: String,
    /// Where it stands.
    pub state: MissionState,
    /// What the work must do.
    pub criteria: Vec<Criterion>,
    /// How far it is, as was said last.
    pub progress: Option<Progress>,
    /// What decides that the work is done, in words.
    pub gates: Vec<String>,
    /// When it should be done.
    pub deadline: Option<jiff::Timestamp>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Where it works.
    pub directory: Option<String>,
    /// Its branch.
    pub branch: Option<String>,
    /// What the attempt before left behind.
    pub handoff: Option<String>,
    /// Messages that wait for the agent.
    pub messages_waiting: u32,
}

/// What was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoteTaken {
    /// The devlog.
    pub devlog_id: DevlogId,
}

/// A message as its agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnMessage {
    /// Its identity.
    pub id: MessageId,
    /// Who says it.
    pub from: String,
    /// What.
    pub text: String,
    /// Whether it is to be read before others.
    pub urgent: bool,
    /// When it was sent.
    #[schema(value_type = String, format = DateTime)]
    pub sent_at: jiff::Timestamp,
}

impl Engine {
    /// The speaker's own mission.
    ///
    /// # Errors
    /// When it was removed, or the attempt is over.
    pub async fn tool_mission(&self, who: &Speaker) -> Result<MissionOfAgent, Refusal> {
        let attempt = self.attempt_of(who).await?;
        let (mission, brief) = self.own_mission(who.mission).await?;
        let waiting = self.0.ledger.waiting_count(who.agent).await.map_err(unreadable)?;
        let place = attempt.workplace;
        Ok(MissionOfAgent {
            mission: mission.short_id,
            title: mission.title,
            brief,
            state: mission.state,
            criteria: mission.criteria,
            progress: mission.progress,
            gates: mission.gates.iter().map(model::gate::GateSpec::label).collect(),
            deadline: mission.deadline,
            attempt: attempt.n,
            directory: place.as_ref().map(|place| place.directory.clone()),
            branch: place.and_then(|place| place.branch),
            handoff: attempt.handoff.map(|handoff| handoff.text),
            messages_waiting: waiting,
        })
    }

    pub(super) async fn own_mission(&self, id: MissionId) -> Result<(Mission, String), Refusal> {
        self.0.ledger.mission(id).await.map_err(unreadable)?.ok_or_else(no_mission)
    }

    /// Keeps how far the speaker says it is.
    ///
    /// # Errors
    /// When nothing is said, or it is out of bounds.
    pub async fn tool_progress(
        &self,
        call: ToolCall<'_>,
        percent: Option<u8>,
        note: Option<&str>,
    ) -> Result<(), Refusal> {
        let line = progress_line(percent, note)?;
        let told = percent.map(|it| it.to_string()).unwrap_or_default();
        let caller = call.caller(&[&told, note.unwrap_or_default()])?;
        self.note_progress(&caller, call.who, percent, line).await
    }

    pub(crate) async fn note_progress(
        &self,
        caller: &Caller,
        who: &Speaker,
        percent: Option<u8>,
        text: String,
    ) -> Result<(), Refusal> {
        self.attempt_of(who).await?;
        let progress = Progress { percent, text, at: self.0.clock.now() };
        let input = Input::Progress { id: who.mission, progress, criteria: Vec::new() };
        self.tell(caller, input).await.map(drop)
    }

    /// Writes an entry of the speaker into its mission's devlog. It is shown as the agent's own
    /// words and never as anything but text.
    ///
    /// # Errors
    /// When the text is empty or too long, or the attempt is over.
    pub async fn tool_devlog(&self, call: ToolCall<'_>, text: &str) -> Result<NoteTaken, Refusal> {
        let text = checked_text(text)?;
        let caller = call.caller(&[&text])?;
        self.write_note(&caller, call.who, &text).await
    }

    pub(crate) async fn write_note(
        &self,
        caller: &Caller,
        who: &Speaker,
        text: &str,
    ) -> Result<NoteTaken, Refusal> {
        let attempt = self.attempt_of(who).await?;
        let (mission, _) = self.own_mission(who.mission).await?;
        let agent = self.0.ledger.agent(who.agent).await.map_err(unreadable)?;
        let name = agent.map_or_else(|| "The agent".to_owned(), |agent| agent.name);
        let devlog = note(&name, &attempt, &mission, text, self.0.clock.now());
        let id = devlog.id.as_uuid();
        let id = self.tell_creation(caller, Input::Note(devlog), id).await?;
        Ok(NoteTaken { devlog_id: DevlogId::from_uuid(id) })
    }

    /// Keeps that the speaker says that it is done. It decides nothing: the gates do, once its
    /// program has ended.
    ///
    /// # Errors
    /// When the summary is too long, or the attempt is over.
    pub async fn tool_done(&self, call: ToolCall<'_>, summary: &str) -> Result<NoteTaken, Refusal> {
        let summary = checked_text(summary)?;
        let caller = call.caller(&[&summary])?;
        let line = one_line(&format!("says that it is done: {summary}"))?;
        // Two facts under one call: each has a key of its own.
        let apart = |part: &str| Caller {
            key: caller.key.as_ref().map(|key| format!("{key}/{part}")),
            ..caller.clone()
        };
        let taken = self.write_note(&apart("note"), call.who, &summary).await?;
        self.note_progress(&apart("progress"), call.who, Some(100), line).await?;
        Ok(taken)
    }

    /// What waits for the speaker and what it has not acknowledged. It counts as delivered to it.
    ///
    /// # Errors
    /// When the attempt is over, or the ledger cannot be read.
    pub async fn tool_inbox(&self, call: ToolCall<'_>) -> Result<Vec<OwnMessage>, Refusal> {
        self.attempt_of(call.who).await?;
        let caller = call.caller(&[])?;
        self.messages_for(&caller, call.who).await
    }

    /// What waits for an agent and what it has not acknowledged; it counts as delivered from now on.
    pub(crate) async fn messages_for(
        &self,
        caller: &Caller,
        who: &Speaker,
    ) -> Result<Vec<OwnMessage>, Refusal> {
        let limit = u32::try_from(BATCH_MAX).unwrap_or(u32::MAX);
        let waiting = self.0.ledger.waiting_messages(who.agent, limit).await.map_err(unreadable)?;
        let got = self.0.ledger.messages_of_attempt(who.attempt).await.map_err(unreadable)?;
        let news: Vec<MessageId> = waiting.iter().map(|message| message.id).collect();
        if !news.is_empty() {
            let input = Input::Delivered { messages: news.clone(), id: who.attempt };
            self.tell(&caller.without_key(), input).await?;
        }
        let unread = |message: &Message| {
            let state = message.state();
            matches!(state, MessageState::Delivered | MessageState::Started)
                && !news.contains(&message.id)
        };
        let all = waiting.iter().chain(got.iter().filter(|message| unread(message)));
        Ok(all.take(BATCH_MAX).map(shown).collect())
    }

    /// Notes that the speaker has done with a message.
    ///
    /// # Errors
    /// When there is no such message to this agent.
    pub async fn tool_acknowledge(&self, call: ToolCall<'_>, id: MessageId) -> Result<(), Refusal> {
        self.attempt_of(call.who).await?;
        let caller = call.caller(&[&id.to_string()])?;
        self.acknowledge_for(&caller, call.who, vec![id]).await
    }

    /// Notes that an agent has done with messages to it.
    pub(crate) async fn acknowledge_for(
        &self,
        caller: &Caller,
        who: &Speaker,
        messages: Vec<MessageId>,
    ) -> Result<(), Refusal> {
        for id in &messages {
            let known = self.0.ledger.message(*id).await.map_err(unreadable)?;
            if known.is_none_or(|message| message.to != who.agent) {
                let message = format!("there is no message '{id}' to you");
                return Err(Refusal::new(Code::NotFound, message).hint("inbox_read lists them"));
            }
        }
        self.tell(caller, Input::Answered { messages }).await.map(drop)
    }

    /// Says something to another agent, from the speaker.
    ///
    /// # Errors
    /// When there is no such agent, the text is empty or too long, or too many wait for it.
    pub async fn tool_send(
        &self,
        call: ToolCall<'_>,
        to: &str,
        text: String,
        urgent: bool,
    ) -> Result<MessageId, Refusal> {
        self.attempt_of(call.who).await?;
        let caller = call.caller(&[to, &text, if urgent { "urgent" } else { "" }])?;
        let text = agents::secrets::redact(&text).into_owned();
        let new = NewMessage { text, urgent, ..NewMessage::default() };
        self.send_message(&caller, to, new).await.map(|view| view.message.id)
    }
}

/// How far it is, in one line.
pub(crate) fn progress_line(percent: Option<u8>, note: Option<&str>) -> Result<String, Refusal> {
    let note = note.map(str::trim).filter(|note| !note.is_empty());
    match (percent, note) {
        (Some(101..), _) => Err(invalid("there is no more than 100 %").hint("between 0 and 100")),
        (_, Some(note)) => one_line(note),
        (Some(percent), None) => Ok(format!("{percent} %")),
        (None, None) => Err(invalid("it says neither how far nor what")
            .hint("give 'percent' from 0 to 100, or a 'note'")),
    }
}

fn shown(message: &Message) -> OwnMessage {
    OwnMessage {
        id: message.id,
        from: match &message.from {
            Source::Captain => "captain".to_owned(),
            Source::System => "hivekeeper".to_owned(),
            Source::Agent { name, .. } => format!("agent {name}"),
        },
        text: message.text.clone(),
        urgent: message.urgency == Urgency::Urgent,
        sent_at: message.queued_at,
    }
}

pub(crate) fn checked_text(text: &str) -> Result<String, Refusal> {
    let text = text.trim().replace('\0', "\u{fffd}");
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(invalid(format!("the text has to have 1 to {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

pub(crate) fn one_line(text: &str) -> Result<String, Refusal> {
    let text = agents::secrets::redact(text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text_line("note", &cut(&line, LINE_CHARS_MAX), LINE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_panics_and_a_line_is_one_line(text: String) {
            let _ = checked_text(&text);
            if let Ok(line) = one_line(&text) {
                prop_assert!(line.lines().count() <= 1 && line.chars().count() <= LINE_CHARS_MAX);
            }
        }
    }
}
