//! Headless programs: one mission, told of in lines. They take no messages while they run.
//!
//! The program gets its brief where its arguments say, or on standard input, before this driver sees
//! anything; it only listens.

mod aider;
mod chat;
mod claude;
mod codex;
mod copilot;
mod gemini;
mod goose;
mod heard;
mod opencode;
mod scribe;
mod tools;

use jiff::Timestamp;
use model::conversation::{Body, cut};
use model::id::{MessageId, RequestId};
use model::message::Source;
use model::process::Exit;
use model::usage::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::heard::Format;
use self::heard::{End, Heard};
use self::scribe::{Scribe, Voice};
use super::signs::Signs;
use super::usage::Meter;
use super::ways::Ways;
use super::{Act, Answer, Driver, Happening, Line, Opening, Stop, Told};

/// The most that is repeated of a text, in bytes.
const SAID_BYTES_MAX: usize = 2000;
/// The most kept of standard error's last line, in bytes.
const LAST_BYTES_MAX: usize = 500;

/// Listens to one headless program.
#[derive(Debug)]
pub struct HeadlessDriver {
    format: Format,
    ways: Ways,
    signs: Signs,
    state: State,
}

/// What it knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    scribe: Scribe,
    meter: Meter,
    messages: Vec<MessageId>,
    heard_anything: bool,
    opened: bool,
    model: Option<String>,
    told: Option<Usage>,
    end: Option<End>,
    problem: Option<String>,
    last_error: Option<String>,
    login: bool,
    cancelled: bool,
    over: bool,
}

/// A snapshot that cannot be gone on from.
#[derive(Debug, thiserror::Error)]
#[error("what was known of the conversation cannot be read: {0}")]
pub struct RestoreError(#[from] serde_json::Error);

impl HeadlessDriver {
    /// A driver for a program that has just been started.
    #[must_use]
    pub fn new(format: Format, ways: &Ways) -> Self {
        let state = State {
            scribe: Scribe::default(),
            meter: Meter::new(&ways.usage),
            messages: Vec::new(),
            heard_anything: false,
            opened: false,
            model: None,
            told: None,
            end: None,
            problem: None,
            last_error: None,
            login: false,
            cancelled: false,
            over: false,
        };
        Self { format, ways: ways.clone(), signs: Signs::of(ways), state }
    }

    /// A driver that goes on from a snapshot.
    ///
    /// # Errors
    /// When the snapshot is not one of this driver.
    pub fn restore(format: Format, ways: &Ways, snapshot: Value) -> Result<Self, RestoreError> {
        let state = serde_json::from_value(snapshot)?;
        Ok(Self { format, ways: ways.clone(), signs: Signs::of(ways), state })
    }

    fn happened(&mut self, happening: Happening) {
        self.state.scribe.act(Act::Tell(happening));
    }

    /// The first line means that the program has its brief. In a form without a greeting it is the
    /// greeting too: others may start.
    fn heard_something(&mut self) {
        if !self.state.heard_anything {
            self.state.heard_anything = true;
            let messages = self.state.messages.clone();
            self.happened(Happening::Started(messages));
            if !self.format.greets() {
                self.opened(None, None, None);
            }
        }
    }

    fn take_in(&mut self, heard: Heard, raw: &str, at: Timestamp) {
        // A model that answers is one that the agent is logged in to, whatever was complained of before.
        let answers = matches!(heard, Heard::Call(_) | Heard::Text { .. } | Heard::Grow { .. });
        if self.format.is_json() && answers {
            self.state.login = false;
        }
        let scribe = &mut self.state.scribe;
        match heard {
            Heard::Opened { conversation, agent, model } => self.opened(conversation, agent, model),
            Heard::Grow { id, text } => scribe.grow(Voice::Message, &id, &text, at),
            Heard::Text { id, text } => scribe.text(Voice::Message, id.as_deref(), &text, at),
            Heard::GrowThought { id, text } => scribe.grow(Voice::Thought, &id, &text, at),
            Heard::Thought { id, text } => scribe.text(Voice::Thought, id.as_deref(), &text, at),
            Heard::Call(call) => {
                let name = call.name.as_deref().unwrap_or_default();
                let own = call.own || tools::is_own(name, &self.ways.tool_names);
                let title = call.title.clone().unwrap_or_else(|| tools::title(name, &call.input));
                if scribe.call(&call, own, at) {
                    self.state.meter.tool_called();
                    self.happened(Happening::Tool(Some(title)));
                }
            }
            Heard::CallEnded { id, output, failed } => {
                let when = (at, self.ways.slow_tool_s);
                let ended = scribe.call_ended(&id, output.as_deref(), failed, when);
                if ended.known {
                    if failed {
                        self.state.meter.tool_failed();
                    }
                    self.happened(Happening::Tool(ended.open));
                }
            }
            Heard::Plan(steps) => scribe.plan(steps, at),
            Heard::Problem(text) => self.problem(&text, at),
            Heard::Note(text) => scribe.state(&text, false, at),
            Heard::Limited { until, said } => self.limited(until, &said, at),
            Heard::Figures { kind, value } => {
                self.state.meter.update(&kind, &value);
                self.used(at);
            }
            Heard::Result { end, figures } => self.ended_by_itself(end, &figures, at),
            Heard::Nothing => {}
            Heard::Unknown(why) => scribe.unsupported(raw, &why, at),
        }
    }

    fn opened(
        &mut self,
        conversation: Option<String>,
        agent: Option<String>,
        model: Option<String>,
    ) {
        self.state.model = model.map(|name| cut(&name, 100)).or(self.state.model.take());
        if !self.state.opened {
            self.state.opened = true;
            // Such a program cannot take an earlier conversation up again: nothing is offered.
            let _ = conversation;
            self.happened(Happening::Opened { session: None, agent });
        }
    }

    fn problem(&mut self, text: &str, at: Timestamp) {
        self.state.scribe.state(text, true, at);
        self.state.problem = Some(cut(text, LAST_BYTES_MAX));
        self.look_for_signs(text, at);
    }

    fn look_for_signs(&mut self, text: &str, at: Timestamp) {
        if let Some(wait) = self.signs.limit(text, at) {
            self.limited(wait.until, &wait.said, at);
        }
        self.state.login |= self.signs.login(text);
    }

    fn limited(&mut self, until: Option<Timestamp>, said: &str, _at: Timestamp) {
        self.happened(Happening::Limited { until, said: cut(said, LAST_BYTES_MAX) });
    }

    /// Tells what has been used, where that has changed.
    fn used(&mut self, at: Timestamp) {
        let mut usage = self.state.meter.usage();
        usage.model = usage.model.or_else(|| self.state.model.clone());
        let says = usage.tokens.total().is_some()
            || usage.reported_cost_micros.is_some()
            || usage.model_ms.is_some();
        if !says || self.state.told.as_ref() == Some(&usage) {
            return;
        }
        self.state.told = Some(usage.clone());
        let body = Body::Usage {
            tokens: usage.tokens,
            context: usage.context,
            reported_cost_micros: usage.reported_cost_micros,
        };
        self.state.scribe.put("usage:1", at, at, body);
        self.happened(Happening::Used(Box::new(usage)));
    }

    fn ended_by_itself(&mut self, end: End, figures: &Value, at: Timestamp) {
        self.state.meter.result(figures);
        if let End::Failed { why } = &end {
            self.problem(why, at);
        }
        self.used(at);
        self.state.end = Some(end);
    }

    /// How the work ended, by what the program said and its exit code.
    fn stop(&self, exit: &Exit) -> Stop {
        let state = &self.state;
        let failed = |why: String| Stop::Failed { why, login: state.login };
        if state.cancelled {
            return Stop::Cancelled;
        }
        match (&state.end, exit) {
            (Some(End::Failed { why }), _) => failed(cut(why, SAID_BYTES_MAX)),
            (Some(End::Limit { what }), _) => Stop::Limit { what: what.clone() },
            (Some(End::Refused), _) => Stop::Refused,
            (_, Exit::Stopped { .. }) => Stop::Cancelled,
            (_, Exit::Code { code: 0 }) => self.stop_of_success(),
            (_, exit) => failed(self.why(exit)),
        }
    }

    fn stop_of_success(&self) -> Stop {
        let state = &self.state;
        let said_at_the_end =
            matches!(&state.end, Some(End::Done { said: Some(said) }) if !said.trim().is_empty());
        if !state.scribe.has_content() && !said_at_the_end {
            let unheard =
                state.problem.as_ref().or(state.last_error.as_ref().filter(|_| state.login));
            return match unheard {
                Some(why) => Stop::Failed { why: why.clone(), login: state.login },
                None => Stop::Empty,
            };
        }
        if state.end.is_none() && self.format.has_result() {
            let why = "it ended without saying that it was done".to_owned();
            return Stop::Failed { why, login: state.login };
        }
        Stop::Done
    }

    fn why(&self, exit: &Exit) -> String {
        let state = &self.state;
        let said = state.problem.as_ref().or(state.last_error.as_ref());
        let how = in_words(exit);
        said.map_or_else(|| how.clone(), |said| format!("{how}: {said}"))
    }
}

/// How a program ended, in words a person reads.
pub(super) fn in_words(exit: &Exit) -> String {
    match exit {
        Exit::Code { code } => format!("it ended with the code {code}"),
        Exit::Signal { signal } => format!("it was ended by the signal {signal}"),
        Exit::Stopped { .. } => "it was asked to stop".to_owned(),
        Exit::Rebooted => "the machine was restarted".to_owned(),
        Exit::NotStarted { reason }
        | Exit::Lost { reason }
        | Exit::OverLimit { reason }
        | Exit::Answered { reason, .. } => reason.clone(),
        Exit::NoLogin { reason } => format!("it has to be logged in: {reason}"),
        Exit::CalledOff => "its turn was called off".to_owned(),
        Exit::HandedOver { .. } => "its context became too full".to_owned(),
    }
}

impl Driver for HeadlessDriver {
    fn open(&mut self, opening: Opening, at: Timestamp) {
        let text = cut(&opening.prompt, model::conversation::TEXT_BYTES_MAX);
        self.state.messages = opening.messages;
        let body = Body::Prompt { from: Source::System, text };
        self.state.scribe.put("prompt:1", at, at, body);
        self.happened(Happening::TurnStarted { n: 1 });
    }

    fn stdout(&mut self, line: Line<'_>) {
        let text = String::from_utf8_lossy(line.bytes);
        if !self.format.is_json() {
            self.heard_something();
            for heard in self.format.hear_text(text.trim_end_matches('\r')) {
                self.take_in(heard, &text, line.at);
            }
            return;
        }
        if text.trim().is_empty() {
            return;
        }
        if line.cut {
            let why = "the line was longer than is read of one line";
            self.state.scribe.unsupported(&text, why, line.at);
            return;
        }
        let value = serde_json::from_slice::<Value>(line.bytes);
        match value {
            Ok(value) if value.is_object() => {
                self.heard_something();
                for heard in self.format.hear(&value) {
                    self.take_in(heard, &text, line.at);
                }
            }
            _ => {
                self.state.scribe.unsupported(&text, "it is not a JSON object", line.at);
                self.look_for_signs(&text, line.at);
            }
        }
    }

    fn stderr(&mut self, line: Line<'_>) {
        let text = String::from_utf8_lossy(line.bytes);
        if text.trim().is_empty() {
            return;
        }
        self.state.last_error = Some(cut(text.trim(), LAST_BYTES_MAX));
        self.look_for_signs(&text, line.at);
    }

    fn takes_messages(&self) -> bool {
        false
    }

    fn tell(&mut self, messages: Vec<Told>, _at: Timestamp) {
        let messages = messages.into_iter().map(|told| told.id).collect();
        let why = "this agent takes no messages while it works".to_owned();
        self.happened(Happening::NotDelivered { messages, why });
    }

    fn answer(&mut self, _: &str, _: Option<RequestId>, _: &Answer, _: Timestamp) {}

    fn cancel(&mut self, at: Timestamp) {
        if !self.state.cancelled && !self.state.over {
            self.state.cancelled = true;
            let text = "Called off. This agent can only be stopped by ending its program.";
            self.state.scribe.state(text, false, at);
        }
    }

    fn finish(&mut self, _at: Timestamp) {
        self.state.scribe.act(Act::CloseInput);
    }

    fn tick(&mut self, at: Timestamp) {
        self.state.scribe.mark_slow(at, self.ways.slow_tool_s);
    }

    fn ended(&mut self, exit: &Exit, at: Timestamp) -> Option<Stop> {
        if self.state.over {
            return None;
        }
        self.state.over = true;
        if self.state.scribe.give_up(at) {
            self.happened(Happening::Tool(None));
        }
        self.state.meter.turn_ended();
        self.used(at);
        let stop = self.stop(exit);
        let said = match &self.state.end {
            Some(End::Done { said: Some(said) }) => cut(said, SAID_BYTES_MAX),
            _ => self.state.scribe.said().to_owned(),
        };
        let messages = self.state.messages.clone();
        match &stop {
            Stop::Done | Stop::Limit { .. } | Stop::Refused => {
                self.happened(Happening::Acknowledged { messages, said: said.clone() });
            }
            _ if messages.is_empty() => {}
            stop => {
                // Nobody answered to them: the next attempt is told again.
                let why = match stop {
                    _ if !self.state.heard_anything => "the agent ended before it read anything",
                    Stop::Cancelled => "the agent was stopped before it answered",
                    _ => "the agent ended without having answered",
                };
                self.happened(Happening::NotDelivered { messages, why: why.to_owned() });
            }
        }
        self.happened(Happening::TurnEnded { n: 1, stop: stop.clone(), said });
        Some(stop)
    }

    fn take(&mut self) -> Vec<Act> {
        self.state.scribe.take()
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&self.state).unwrap_or_default()
    }
}
