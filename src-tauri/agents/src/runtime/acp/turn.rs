//! Turns: from a prompt to the agent's word that it is done.

use jiff::{SignedDuration, Timestamp};
use model::conversation::{Body, cut};
use model::id::MessageId;
use model::message::Source;
use model::process::Exit;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::opening::Answered;
use super::{AcpDriver, Phase, Sent, read, wire};
use crate::runtime::{Happening, Stop, Told};

/// The code of an error that means: too many requests.
const TOO_MANY_REQUESTS: i64 = 429;

/// A turn under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Turn {
    n: u32,
    messages: Vec<MessageId>,
    /// Whether it is the one that began the conversation.
    opening: bool,
    /// Whether the agent has begun to act.
    pub(super) started: bool,
    /// Whether it has said anything.
    pub(super) spoke: bool,
    pub(super) cancelled_at: Option<Timestamp>,
}

impl AcpDriver {
    /// The first turn.
    pub(super) fn open_turn(&mut self, prompt: String, messages: Vec<MessageId>, at: Timestamp) {
        let id = self.state.script.id(&format!("prompt:{}", self.state.turns + 1));
        let body = Body::Prompt { from: Source::System, text: kept(&prompt) };
        self.state.script.put(id, (at, at), body, &mut self.out);
        self.start_turn(&prompt, messages, true, at);
    }

    /// A turn of messages.
    pub(super) fn tell_messages(&mut self, messages: Vec<Told>, at: Timestamp) {
        let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
        let ready = self.state.phase == Phase::Ready && self.state.turn.is_none();
        if messages.is_empty() || !ready {
            if !ids.is_empty() {
                let why = "the agent does not take messages now".to_owned();
                self.out.tell(Happening::NotDelivered { messages: ids, why });
            }
            return;
        }
        let turn = self.state.turns + 1;
        let mut prompt = Vec::new();
        for (n, message) in (1..).zip(&messages) {
            let name = if messages.len() == 1 {
                format!("prompt:{turn}")
            } else {
                format!("prompt:{turn}.{n}")
            };
            let body = Body::Prompt { from: message.from.clone(), text: kept(&message.text) };
            self.state.script.put(self.state.script.id(&name), (at, at), body, &mut self.out);
            prompt.push(format!("{}\n{}", sender(&message.from), message.text));
        }
        self.start_turn(&prompt.join("\n\n"), ids, false, at);
    }

    fn start_turn(&mut self, prompt: &str, messages: Vec<MessageId>, opening: bool, at: Timestamp) {
        let state = &mut self.state;
        state.turns = state.turns.saturating_add(1);
        state.login_sign = false;
        state.since = Some(at);
        let n = state.turns;
        state.turn =
            Some(Turn { n, messages, opening, started: false, spoke: false, cancelled_at: None });
        let session = state.session.clone().unwrap_or_default();
        self.out.tell(Happening::TurnStarted { n });
        self.ask(Sent::Prompt, |id| wire::prompt(id, &session, prompt));
    }

    /// The agent does something in the turn under way.
    pub(super) fn acts(&mut self) {
        if let Some(turn) = self.state.turn.as_mut().filter(|turn| !turn.started) {
            turn.started = true;
            if !turn.messages.is_empty() {
                self.out.tell(Happening::Started(turn.messages.clone()));
            }
        }
    }

    /// The prompt is answered: the turn is over.
    pub(super) fn prompt_answered(&mut self, answer: Answered<'_>, at: Timestamp) {
        let Some(turn) = self.state.turn.take() else { return };
        if let Ok(result) = answer {
            self.state.meter.result(result);
        }
        let stop = if turn.cancelled_at.is_some() {
            Stop::Cancelled
        } else {
            match answer {
                Ok(result) => self.stop(&turn, result, at),
                Err((code, why)) => self.failure(code, why, at),
            }
        };
        self.end_turn(turn, stop, true, at);
    }

    fn stop(&mut self, turn: &Turn, result: &Value, at: Timestamp) -> Stop {
        let limit = |what: &str| Stop::Limit { what: what.to_owned() };
        match read::text(result, "stopReason") {
            Some("end_turn") => self.done(turn, result, at),
            Some("max_tokens") => limit("the model's limit of tokens in one answer"),
            Some("max_turn_requests") => limit("the agent's limit of requests in one turn"),
            Some("refusal") => Stop::Refused,
            Some("cancelled") => Stop::Cancelled,
            Some(other) => Stop::Unknown { reason: cut(other, 200) },
            None => Stop::Unknown { reason: "none was given".to_owned() },
        }
    }

    /// The agent says it is done. Some say so too when their provider refused them, and tell the
    /// error as if the model had said it: then no model wrote anything and no tool was used.
    fn done(&mut self, turn: &Turn, result: &Value, at: Timestamp) -> Stop {
        let told =
            result.pointer("/usage/outputTokens").and_then(crate::runtime::usage::whole_number);
        let output = self.state.meter.turn_output().max(told);
        if self.state.meter.used_tools() || output.is_some_and(|output| output > 0) {
            return Stop::Done;
        }
        let said = self.state.script.said().to_owned();
        if !turn.spoke && self.state.login_sign {
            let why = "the agent has to be logged in".to_owned();
            return Stop::Failed { why, login: true };
        }
        // What a model wrote may well be about errors. It is one only where none wrote anything, where
        // this agent tells errors so, or where its standard error says the same.
        let none_wrote = output == Some(0) || self.signs.told_error(&said);
        let login = self.signs.login(&said) && (none_wrote || self.state.login_sign);
        let complained = self.state.limited_at.zip(self.state.since).is_some_and(|(l, s)| l >= s);
        let limited = self.signs.limit(&said, at).is_some() && complained;
        if turn.spoke && (none_wrote || login || limited) {
            self.look_for_signs(&said, at);
            return Stop::Failed { why: said, login };
        }
        if turn.spoke { Stop::Done } else { Stop::Empty }
    }

    fn failure(&mut self, code: Option<i64>, why: String, at: Timestamp) -> Stop {
        if code == Some(TOO_MANY_REQUESTS) {
            self.out.tell(Happening::Limited { until: None, said: why.clone() });
        } else {
            self.look_for_signs(&why, at);
        }
        let login = self.is_login(code, &why);
        Stop::Failed { why, login }
    }

    /// The turn is over. `alive` is whether the agent still listens.
    fn end_turn(&mut self, turn: Turn, stop: Stop, alive: bool, at: Timestamp) {
        self.withdraw_all("the turn ended", alive, at);
        let state = &mut self.state;
        let measure = state.judge.measure(state.turns, at);
        let failed = state.calls.end_turn(measure, &mut state.script, &mut self.out);
        for _ in 0..failed {
            state.meter.tool_failed();
        }
        state.meter.turn_ended();
        let said = state.script.end_turn(&mut self.out);
        state.awaited.retain(|_, sent| *sent != Sent::Prompt);
        state.last_stop = Some(stop.clone());
        self.tool_changed();
        self.put_usage(turn.n, at);
        self.used_changed();
        if let Some((text, problem)) = in_words(&stop) {
            self.state.script.state(&text, problem, at, &mut self.out);
        }
        self.messages_ended(&turn, &stop, &said);
        self.out.tell(Happening::TurnEnded { n: turn.n, stop, said });
    }

    /// What the agent could not act on is to be handed over again.
    fn messages_ended(&mut self, turn: &Turn, stop: &Stop, said: &str) {
        let why = match stop {
            Stop::Failed { why, .. } => Some(why.clone()),
            Stop::Empty => Some("the agent ended its turn without a word".to_owned()),
            Stop::Cancelled if !turn.started => Some("the turn was called off".to_owned()),
            _ => None,
        };
        let messages = turn.messages.clone();
        let Some(why) = why else {
            if turn.opening && !messages.is_empty() {
                let said = said.to_owned();
                self.out.tell(Happening::Acknowledged { messages: Vec::new(), said });
            }
            self.out.tell(Happening::Acknowledged { messages, said: said.to_owned() });
            return;
        };
        if !messages.is_empty() {
            self.out.tell(Happening::NotDelivered { messages, why });
        }
    }

    fn put_usage(&mut self, turn: u32, at: Timestamp) {
        let usage = self.state.meter.usage();
        let known = usage.tokens.total().is_some() || usage.reported_cost_micros.is_some();
        if known || usage.context.is_some() {
            let id = self.state.script.id(&format!("usage:{turn}"));
            let body = Body::Usage {
                tokens: usage.tokens,
                context: usage.context,
                reported_cost_micros: usage.reported_cost_micros,
            };
            self.state.script.put(id, (at, at), body, &mut self.out);
        }
    }

    /// Calls off the turn under way. Every open request is answered first: some agents never end a
    /// turn whose request nobody answers.
    pub(super) fn cancel_turn(&mut self, at: Timestamp) {
        let Some(turn) = &mut self.state.turn else {
            self.cancel_opening(at);
            return;
        };
        if turn.cancelled_at.is_some() {
            return;
        }
        turn.cancelled_at = Some(at);
        self.withdraw_all("the turn was called off", true, at);
        let session = self.state.session.clone().unwrap_or_default();
        self.out.send(wire::cancel(&session));
    }

    /// An opening that is called off is not said when the agent is ready.
    fn cancel_opening(&mut self, at: Timestamp) {
        let Some(kept) = self.state.opening.as_mut().filter(|kept| !kept.prompt.is_empty()) else {
            return;
        };
        kept.prompt.clear();
        let messages = std::mem::take(&mut kept.messages);
        self.state.turns = self.state.turns.saturating_add(1);
        let n = self.state.turns;
        self.state.last_stop = Some(Stop::Cancelled);
        self.state.script.state(
            "The work was called off before it began.",
            false,
            at,
            &mut self.out,
        );
        if !messages.is_empty() {
            let why = "the work was called off before it began".to_owned();
            self.out.tell(Happening::NotDelivered { messages, why });
        }
        self.out.tell(Happening::TurnEnded { n, stop: Stop::Cancelled, said: String::new() });
    }

    /// A turn that was called off and does not end is given up.
    pub(super) fn tick_turn(&mut self, at: Timestamp) {
        let within = SignedDuration::from_secs(i64::from(self.state.judge.ways.cancel_within_s));
        let called_off = self.state.turn.as_ref().and_then(|turn| turn.cancelled_at);
        if called_off.is_some_and(|since| at.duration_since(since) >= within)
            && let Some(turn) = self.state.turn.take()
        {
            self.end_turn(turn, Stop::Cancelled, true, at);
            self.close_input();
        }
    }

    /// The program has ended, and with it everything that is open.
    pub(super) fn program_ended(&mut self, exit: &Exit, at: Timestamp) -> Option<Stop> {
        let login = self.state.login_sign;
        self.state.script.settle(&mut self.out);
        if let Some((why, login)) = self.state.broken.clone() {
            return Some(Stop::Failed { why, login });
        }
        if let Some(turn) = self.state.turn.take() {
            let why = format!("the agent's program {exit} in the middle of its turn");
            let stop = match turn.cancelled_at {
                Some(_) => Stop::Cancelled,
                None => Stop::Failed { why, login },
            };
            self.end_turn(turn, stop, false, at);
        } else if matches!(self.state.phase, Phase::Hello | Phase::Session | Phase::Modes) {
            let why = format!("the agent's program {exit} before it had answered");
            self.state.script.state(&why, true, at, &mut self.out);
            self.not_opened(&why);
            self.state.last_stop.get_or_insert(Stop::Failed { why, login });
        }
        self.withdraw_all("the program ended", false, at);
        self.state.phase = Phase::Over;
        self.state.last_stop.clone()
    }
}

fn kept(text: &str) -> String {
    cut(text, model::conversation::TEXT_BYTES_MAX)
}

fn sender(from: &Source) -> String {
    match from {
        Source::Captain => "From the captain:".to_owned(),
        Source::Agent { name, .. } => format!("From agent {name}:"),
        Source::System => "From Hivekeeper:".to_owned(),
    }
}

/// What is written down of an end, and whether it is a problem; nothing where all is well.
fn in_words(stop: &Stop) -> Option<(String, bool)> {
    Some(match stop {
        Stop::Done => return None,
        Stop::Empty => {
            ("The agent ended its turn without having said or done anything.".to_owned(), true)
        }
        Stop::Cancelled => ("The turn was called off.".to_owned(), false),
        Stop::Limit { what } => (format!("The agent reached {what}."), true),
        Stop::Refused => ("The model refused.".to_owned(), true),
        Stop::Failed { why, .. } => (format!("The turn failed: {why}"), true),
        Stop::Unknown { reason } => {
            (format!("The turn ended for a reason that is not known: {reason}"), true)
        }
    })
}
