//! What a report asks for: an input of the agent it came from, and of nobody else.

use agents::reports::{REPORT_BYTES_MAX, Report, ReportError, Waiting};
use model::agent::Agent;
use model::attempt::{Attempt, AttemptState};
use model::conversation::cut;
use model::id::{MessageId, RequestId, SystemDraw};
use model::inbox::{Ask, Request};
use model::message::{Message, Source, Urgency};
use model::mission::Progress;
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use serde::Deserialize;

use super::files;
use crate::Engine;
use crate::missions::text_line;
use crate::resolve::{self, unreadable};

/// What begins the key of a question that came as a file: its answer goes out as one.
pub(super) const QUESTION: &str = "report:";
/// The longest line about progress, in bytes.
const LINE_BYTES_MAX: usize = 300;
/// The longest line about progress, in characters.
const LINE_CHARS_MAX: usize = 300;

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A report.
    Report(Report),
    /// How far the agent is with a message.
    Read(Reading),
}

/// How far an agent is with a message it got as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Reading {
    /// It has begun to act on it.
    Started {
        /// Which one.
        message: MessageId,
    },
    /// It has done with it.
    Acknowledge {
        /// Which one.
        message: MessageId,
    },
}

impl Said {
    /// What a file says.
    pub(super) fn of(file: &Waiting) -> Result<Self, ReportError> {
        match &file.report {
            Ok(report) => Ok(Self::Report(report.clone())),
            Err(ReportError::Kind(Some(kind))) if Reading::KINDS.contains(&kind.as_str()) => {
                let text = files::beginning(&file.path, REPORT_BYTES_MAX);
                Reading::parse(kind, &text).map(Self::Read)
            }
            Err(err) => Err(err.clone()),
        }
    }
}

impl Reading {
    const KINDS: [&str; 2] = ["started", "acknowledge"];

    fn parse(kind: &str, text: &str) -> Result<Self, ReportError> {
        serde_json::from_str(text)
            .map_err(|err| ReportError::Fields { kind: kind.to_owned(), why: err.to_string() })
    }
}

impl Engine {
    /// What a report of this agent asks for. `key` is what it is known by.
    pub(super) async fn asked_for(
        &self,
        agent: &Agent,
        key: &str,
        said: Said,
    ) -> Result<Input, Refusal> {
        match said {
            Said::Read(Reading::Started { message }) => {
                self.message_of(agent, message).await?;
                Ok(Input::Begun { messages: vec![message] })
            }
            Said::Read(Reading::Acknowledge { message }) => {
                self.message_of(agent, message).await?;
                Ok(Input::Answered { messages: vec![message] })
            }
            Said::Report(Report::Message { to, text, urgent }) => {
                let to = resolve::agent(&self.0.ledger, &to).await?;
                let now = self.0.clock.now();
                let id = MessageId::draw(now, &mut SystemDraw);
                let from = Source::Agent { id: agent.id, name: agent.name.clone() };
                let urgency = if urgent { Urgency::Urgent } else { Urgency::Regular };
                let message = Message::queued(id, to.id, from, text.replace('\0', "\u{fffd}"), now);
                self.room_for(&to).await?;
                Ok(Input::QueueMessage(Message { urgency, ..message }))
            }
            Said::Report(report) => {
                let attempt = self.attempt_at_work(agent).await?;
                self.about_work(&attempt, key, report)
            }
        }
    }

    /// What a report about an agent's work asks for.
    fn about_work(&self, attempt: &Attempt, key: &str, report: Report) -> Result<Input, Refusal> {
        let id = attempt.mission_id;
        let progress = |percent, text: &str, criteria| {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let text = text_line("progress", &cut(&line, LINE_BYTES_MAX), LINE_CHARS_MAX)?;
            let progress = Progress { percent, text, at: self.0.clock.now() };
            Ok(Input::Progress { id, progress, criteria })
        };
        match report {
            Report::Progress { percent, note } => {
                let said = percent.map(|percent| format!("{percent} %"));
                progress(percent, &note.or(said).unwrap_or_default(), Vec::new())
            }
            Report::Devlog { text } => progress(None, &text, Vec::new()),
            Report::Criterion { n, met } => {
                let text = format!("criterion {n} is {}", if met { "met" } else { "not met" });
                progress(None, &text, vec![(n.saturating_sub(1) as usize, met)])
            }
            Report::Done { summary } => {
                let text = summary.unwrap_or_else(|| "it says that it is done".to_owned());
                progress(Some(100), &text, Vec::new())
            }
            Report::Handoff { text } => Ok(Input::WriteHandoff { id: attempt.id, text }),
            Report::Question { text, options } => {
                let now = self.0.clock.now();
                Ok(Input::Asked(Box::new(Request {
                    id: RequestId::draw(now, &mut SystemDraw),
                    attempt_id: attempt.id,
                    mission_id: id,
                    agent_id: attempt.agent_id,
                    key: format!("{QUESTION}{key}"),
                    ask: Ask::Question { text, options },
                    asked_at: now,
                    not_before: None,
                    end: None,
                    ended_at: None,
                    told: false,
                })))
            }
            Report::Message { .. } => Err(Refusal::new(Code::Internal, "a message is no work")),
        }
    }

    /// The attempt whose program is at work.
    async fn attempt_at_work(&self, agent: &Agent) -> Result<Attempt, Refusal> {
        let unfinished = self.0.ledger.unfinished_attempts_of(agent.id).await;
        let mut unfinished = unfinished.map_err(unreadable)?.into_iter();
        unfinished.find(|attempt| attempt.state == AttemptState::Running).ok_or_else(|| {
            let why = format!("{} works on nothing now: there is nothing to report on", agent.name);
            Refusal::new(Code::Conflict, why)
        })
    }

    async fn message_of(&self, agent: &Agent, id: MessageId) -> Result<Message, Refusal> {
        let known = self.0.ledger.message(id).await.map_err(unreadable)?;
        known.filter(|message| message.to == agent.id).ok_or_else(|| {
            let why = format!("there is no message '{id}' to {}", agent.name);
            Refusal::new(Code::NotFound, why)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn how_far_a_message_is_can_be_said_beside_what_any_report_says() {
        let read = |text: &str| {
            let report = Report::parse(text.as_bytes());
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("a.json");
            std::fs::write(&path, text).unwrap();
            Said::of(&Waiting { path, name: "a.json".into(), key: "k".into(), report })
        };
        let said = read(r#"{"kind":"progress","note":"half","percent":50}"#).unwrap();
        assert!(matches!(said, Said::Report(Report::Progress { percent: Some(50), .. })));
        let id = "01980000-0000-7000-8000-000000000000";
        for kind in Reading::KINDS {
            let said = read(&format!(r#"{{"kind":"{kind}","message":"{id}"}}"#)).unwrap();
            assert!(matches!(said, Said::Read(_)));
        }
        for wrong in [
            "",
            "{}",
            r#"{"kind":"finished"}"#,
            r#"{"kind":"acknowledge"}"#,
            r#"{"kind":"acknowledge","message":"7"}"#,
            r#"{"kind":"started","message":7,"more":1}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, id: String) {
            let _ = Reading::parse("started", &text);
            let text = serde_json::json!({"kind": "acknowledge", "message": id}).to_string();
            let read = Reading::parse("acknowledge", &text);
            prop_assert_eq!(read.is_ok(), id.parse::<MessageId>().is_ok());
        }
    }
}
