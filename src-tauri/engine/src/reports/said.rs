//! What a report asks for: inputs of the agent it came from, and of nobody else.

use agents::reports::{REPORT_BYTES_MAX, Report, ReportError, Waiting};
use jiff::Timestamp;
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
use crate::missions::{legible, text_line};
use crate::resolve::{self, unreadable};
use crate::tools::{clean, note};

/// What begins the key of a question that came as a file: its answer goes out as one.
pub(super) const QUESTION: &str = "report:";
/// The longest line about progress, in bytes.
const LINE_BYTES_MAX: usize = 300;
/// The longest line about progress, in characters.
const LINE_CHARS_MAX: usize = 300;
/// The attempts of an agent among which the one is looked for that put a report down, the newest.
const ATTEMPTS_MAX: u32 = 5;
/// How long after the end of an attempt's program a report is still taken for one of it, in seconds.
const LATE_S: i64 = 60;

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

/// A report as it came.
#[derive(Debug)]
pub(super) struct Came<'a> {
    /// Whose it is.
    pub(super) agent: &'a Agent,
    /// What it is known by.
    pub(super) key: &'a str,
    /// When it was put down.
    pub(super) at: Timestamp,
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
    /// What a report asks for, in order.
    pub(super) async fn asked_for(
        &self,
        came: &Came<'_>,
        said: Said,
    ) -> Result<Vec<Input>, Refusal> {
        let agent = came.agent;
        match said {
            Said::Read(Reading::Started { message }) => {
                self.message_of(agent, message).await?;
                Ok(vec![Input::Begun { messages: vec![message] }])
            }
            Said::Read(Reading::Acknowledge { message }) => {
                self.message_of(agent, message).await?;
                Ok(vec![Input::Answered { messages: vec![message] }])
            }
            Said::Report(Report::Message { to, text, urgent }) => {
                let to = resolve::agent(&self.0.ledger, &to).await?;
                let now = self.0.clock.now();
                let id = MessageId::draw(now, &mut SystemDraw);
                let from = Source::Agent { id: agent.id, name: agent.name.clone() };
                let urgency = if urgent { Urgency::Urgent } else { Urgency::Regular };
                self.room_for(&to, &from).await?;
                let message = Message::queued(id, to.id, from, clean(&text), now);
                Ok(vec![Input::QueueMessage(Message { urgency, ..message })])
            }
            Said::Report(report) => {
                let attempt = self.attempt_that_said(came).await?;
                self.about_work(came, &attempt, report).await
            }
        }
    }

    /// What a report about an agent's work asks for.
    async fn about_work(
        &self,
        came: &Came<'_>,
        attempt: &Attempt,
        report: Report,
    ) -> Result<Vec<Input>, Refusal> {
        match report {
            Report::Progress { percent, note } => {
                let said = percent.map(|percent| format!("{percent} %"));
                self.progress(attempt, percent, &note.or(said).unwrap_or_default(), Vec::new())
            }
            Report::Criterion { n, met } => {
                let text = format!("criterion {n} is {}", if met { "met" } else { "not met" });
                let marks = vec![(n.saturating_sub(1) as usize, met)];
                self.progress(attempt, None, &text, marks)
            }
            Report::Devlog { text } => Ok(vec![self.note(came.agent, attempt, &text).await?]),
            Report::Done { summary } => {
                let summary = summary.unwrap_or_default();
                let line = format!("says that it is done: {summary}");
                let line = line.trim_end_matches([' ', ':']);
                let mut inputs = self.progress(attempt, Some(100), line, Vec::new())?;
                if !summary.trim().is_empty() {
                    inputs.insert(0, self.note(came.agent, attempt, &summary).await?);
                }
                Ok(inputs)
            }
            Report::Handoff { text } if attempt.state.is_final() => {
                // The next attempt may be under way: it is kept where it can be read.
                Ok(vec![self.note(came.agent, attempt, &text).await?])
            }
            Report::Handoff { text } => {
                Ok(vec![Input::WriteHandoff { id: attempt.id, text: clean(&text) }])
            }
            Report::Question { text, options } => self.question(came, attempt, &text, &options),
            Report::Message { .. } => Err(Refusal::new(Code::Internal, "a message is no work")),
        }
    }

    /// How far it is; nothing where the attempt is over, since its mission has gone on without it.
    fn progress(
        &self,
        attempt: &Attempt,
        percent: Option<u8>,
        text: &str,
        criteria: Vec<(usize, bool)>,
    ) -> Result<Vec<Input>, Refusal> {
        if attempt.state.is_final() {
            return Ok(Vec::new());
        }
        let words: Vec<String> = clean(text).split_whitespace().map(shown).collect();
        let text = text_line("progress", &cut(&words.join(" "), LINE_BYTES_MAX), LINE_CHARS_MAX)?;
        let progress = Progress { percent, text, at: self.0.clock.now() };
        Ok(vec![Input::Progress { id: attempt.mission_id, progress, criteria }])
    }

    async fn note(&self, agent: &Agent, attempt: &Attempt, text: &str) -> Result<Input, Refusal> {
        let mission = self.0.ledger.mission(attempt.mission_id).await.map_err(unreadable)?;
        let (mission, _) = mission.ok_or_else(|| {
            Refusal::new(Code::Conflict, "the mission was removed: there is nothing to report on")
        })?;
        Ok(Input::Note(note(&agent.name, attempt, &mission, text, self.0.clock.now())))
    }

    fn question(
        &self,
        came: &Came<'_>,
        attempt: &Attempt,
        text: &str,
        options: &[String],
    ) -> Result<Vec<Input>, Refusal> {
        if attempt.state != AttemptState::Running {
            let why = "its program has ended: nobody waits for an answer";
            return Err(Refusal::new(Code::Conflict, why));
        }
        let now = self.0.clock.now();
        let options = options.iter().map(|it| clean(it)).collect();
        Ok(vec![Input::Asked(Box::new(Request {
            id: RequestId::draw(now, &mut SystemDraw),
            attempt_id: attempt.id,
            mission_id: attempt.mission_id,
            agent_id: attempt.agent_id,
            key: format!("{QUESTION}{}", came.key),
            ask: Ask::Question { text: clean(text), options },
            asked_at: now,
            not_before: None,
            end: None,
            ended_at: None,
            told: false,
        }))])
    }

    /// The attempt that put a report down: the newest whose program had been started by then. What a
    /// program says last is looked at after its end, and maybe after the start of the next one.
    async fn attempt_that_said(&self, came: &Came<'_>) -> Result<Attempt, Refusal> {
        let agent = came.agent;
        let newest = self.0.ledger.attempts_of_agent(agent.id, ATTEMPTS_MAX).await;
        let newest = newest.map_err(unreadable)?;
        said_by(&newest, came.at).ok_or_else(|| {
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

/// Of an agent's attempts, newest first, the one that said something at a moment.
fn said_by(newest: &[Attempt], at: Timestamp) -> Option<Attempt> {
    let begun = |attempt: &Attempt| {
        attempt.process.as_ref().is_some_and(|process| process.started_at <= at)
    };
    let ended = |attempt: &Attempt| {
        attempt.exit.as_ref().map(|record| record.ended_at).or(attempt.ended_at)
    };
    let long_over = |attempt: &Attempt| {
        ended(attempt).is_some_and(|ended| at.duration_since(ended).as_secs() > LATE_S)
    };
    // Where the clock was set back, nothing had begun by then.
    let runs = |attempt: &&Attempt| attempt.state == AttemptState::Running;
    let found = newest.iter().find(|attempt| begun(attempt)).or_else(|| newest.iter().find(runs));
    found.filter(|attempt| !long_over(attempt)).cloned()
}

/// A word as it may stand in a line.
fn shown(word: &str) -> String {
    let harmless = |ch: char| match legible("word", ch.encode_utf8(&mut [0; 4])) {
        Ok(()) => ch,
        Err(_) => '\u{fffd}',
    };
    word.chars().map(harmless).collect()
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

    #[test]
    fn what_a_program_says_last_is_not_taken_for_the_word_of_the_next_one() {
        let draw = &mut SystemDraw;
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let (mission, agent) =
            (model::id::MissionId::draw(at(0), draw), model::id::AgentId::draw(at(0), draw));
        let mut attempt = |n: u32, state, began: Option<i64>, ended: Option<i64>| {
            let id = model::id::AttemptId::draw(at(0), draw);
            let process = began.map(|began| {
                serde_json::json!({
                    "shim": {"pid": 1, "start_ticks": 1}, "program": {"pid": 2, "start_ticks": 1},
                    "boot_id": "b", "marker": "m", "started_at": at(began).to_string(),
                })
            });
            let exit = ended.map(|ended| {
                serde_json::json!({
                    "exit": {"kind": "code", "code": 0}, "ended_at": at(ended).to_string(),
                    "cpu_ms": 0, "memory_peak_bytes": 0, "survivors": [],
                })
            });
            Attempt {
                state,
                process: process.map(|it| serde_json::from_value(it).unwrap()),
                exit: exit.map(|it| serde_json::from_value(it).unwrap()),
                ..Attempt::leased(id, mission, agent, n, at(0))
            }
        };
        let newest = [
            attempt(3, AttemptState::Leased, None, None),
            attempt(2, AttemptState::Running, Some(20), None),
            attempt(1, AttemptState::Verifying, Some(10), Some(19)),
        ];
        let said = |s| said_by(&newest, at(s)).map(|attempt| attempt.n);
        assert_eq!(said(18), Some(1), "looked at after the second has begun");
        assert_eq!(said(19), Some(1));
        assert_eq!(said(20), Some(2));
        assert_eq!(said(5), Some(2), "the clock was set back");
        assert_eq!(said_by(&newest[2..], at(19 + LATE_S)).map(|it| it.n), Some(1));
        assert_eq!(said_by(&newest[2..], at(20 + LATE_S)), None, "it works on nothing now");
    }

    #[test]
    fn a_line_about_progress_shows_what_would_deceive_and_keeps_the_rest() {
        assert_eq!(shown("caf\u{e9}"), "caf\u{e9}");
        assert_eq!(shown("a\u{202e}b\u{1b}"), "a\u{fffd}b\u{fffd}");
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
