//! What the agent tells while it works: updates of the session, and notices of its own.

use jiff::Timestamp;
use model::usage::Context;
use serde_json::Value;

use super::script::Voice;
use super::{AcpDriver, Sent, read};
use crate::runtime::Happening;
use crate::runtime::usage::whole_number;
use crate::runtime::ways::UsagePlace;

/// Updates that change nothing here.
const ABSORBED: [&str; 6] = [
    "user_message_chunk",
    "available_commands_update",
    "current_mode_update",
    "config_option_update",
    "session_info_update",
    "compaction_summary_chunk",
];
/// Updates of which an agent that loads a session repeats the history.
const HISTORY: [&str; 6] = [
    "user_message_chunk",
    "agent_message_chunk",
    "agent_thought_chunk",
    "tool_call",
    "tool_call_update",
    "plan",
];

impl AcpDriver {
    pub(super) fn notification(&mut self, method: &str, message: &Value, raw: &str, at: Timestamp) {
        let params = message.get("params").unwrap_or(&Value::Null);
        match method {
            "session/update" => self.session_update(params, raw, at),
            "$/cancel_request" => {
                if let Some(id) = params.get("requestId") {
                    self.taken_back(id, at);
                }
            }
            "elicitation/complete" => {}
            _ if self.has_rule(method) => {
                if self.state.meter.update(method, params) && !self.is_loading() {
                    self.used_changed();
                }
            }
            _ => {
                let why = format!("a notification that is not known: {}", short(method));
                self.odd(&why, raw, at);
            }
        }
    }

    /// Whether a rule of the agent's usage reads notifications, or updates, of this kind.
    fn has_rule(&self, kind: &str) -> bool {
        let rules = &self.state.judge.ways.usage;
        rules
            .iter()
            .any(|rule| rule.place == UsagePlace::Update && rule.of.as_deref() == Some(kind))
    }

    fn session_update(&mut self, params: &Value, raw: &str, at: Timestamp) {
        let update = params.get("update").unwrap_or(&Value::Null);
        let Some(kind) = read::text(update, "sessionUpdate") else {
            self.odd("an update without a kind", raw, at);
            return;
        };
        let ours = self.state.session.as_deref();
        if let (Some(ours), Some(theirs)) = (ours, read::text(params, "sessionId"))
            && ours != theirs
        {
            self.odd("an update of another session", raw, at);
            return;
        }
        let loading = self.is_loading();
        if loading && HISTORY.contains(&kind) {
            return;
        }
        let counted = self.state.meter.update(kind, update);
        if !self.known_update(kind, update, at) && !counted {
            let why = match kind {
                known if is_known(known) => format!("an update that cannot be read: {known}"),
                other => format!("an update that is not known: {}", short(other)),
            };
            self.odd(&why, raw, at);
        }
        if counted && !loading {
            self.used_changed();
        }
    }

    /// Whether an earlier session is being loaded: what is told until then is about what was before.
    fn is_loading(&self) -> bool {
        self.state.awaited.values().any(|sent| *sent == Sent::Load)
    }

    /// Gives whether the update was understood.
    fn known_update(&mut self, kind: &str, update: &Value, at: Timestamp) -> bool {
        match kind {
            "agent_message_chunk" => self.chunk(Voice::Message, update, at),
            "agent_thought_chunk" => self.chunk(Voice::Thought, update, at),
            "tool_call" | "tool_call_update" => self.tool_call(update, at),
            "plan" => {
                let Some(steps) = read::steps(update) else { return false };
                self.acts();
                self.state.script.plan(steps, at, &mut self.out);
                true
            }
            "usage_update" => self.context(update),
            "notice" => self.notice(update, at),
            "compaction_update" => self.compaction(update, at),
            _ => ABSORBED.contains(&kind),
        }
    }

    fn chunk(&mut self, voice: Voice, update: &Value, at: Timestamp) -> bool {
        let Some(text) = update.get("content").and_then(read::block) else { return false };
        self.acts();
        if voice == Voice::Message
            && !text.trim().is_empty()
            && let Some(turn) = &mut self.state.turn
        {
            turn.spoke = true;
        }
        let theirs = read::text(update, "messageId");
        self.state.script.say(voice, (&text, theirs), at, &mut self.out);
        true
    }

    /// A call, or a change of one, was told. Gives whether it could be read.
    pub(super) fn tool_call(&mut self, update: &Value, at: Timestamp) -> bool {
        let state = &mut self.state;
        let measure = state.judge.measure(state.turns, at);
        let Some(came) = state.calls.update(update, measure, &mut state.script, &mut self.out)
        else {
            return false;
        };
        if came.new {
            // A model that uses tools is one that the agent is logged in to.
            state.login_sign = false;
            state.meter.tool_called();
        }
        if came.failed {
            state.meter.tool_failed();
        }
        self.acts();
        self.tool_changed();
        true
    }

    fn context(&mut self, update: &Value) -> bool {
        let number = |key: &str| update.get(key).and_then(whole_number);
        let (Some(used), Some(size)) = (number("used"), number("size")) else { return false };
        let context = Context { used, size };
        self.state.meter.context(context);
        if self.state.context != Some(context) {
            self.state.context = Some(context);
            self.out.tell(Happening::Context(context));
        }
        let cost = update.get("cost").unwrap_or(&Value::Null);
        if read::text(cost, "currency").is_none_or(|currency| currency == "USD")
            && let Some(amount) = cost.get("amount").and_then(Value::as_f64)
        {
            self.state.meter.cost_usd(amount);
            self.used_changed();
        }
        true
    }

    fn notice(&mut self, update: &Value, at: Timestamp) -> bool {
        let Some(title) = read::title(update, "title") else { return false };
        let text = match read::title(update, "description") {
            Some(more) => format!("{title}: {more}"),
            None => title,
        };
        let problem = matches!(read::text(update, "severity"), Some("warning" | "error"));
        self.look_for_signs(&text, at);
        self.state.script.state(&text, problem, at, &mut self.out);
        true
    }

    fn compaction(&mut self, update: &Value, at: Timestamp) -> bool {
        let (text, problem) = match read::text(update, "status") {
            Some("completed") => ("The agent has summed up its conversation to make room.", false),
            Some("failed") => ("The agent could not sum up its conversation.", true),
            Some("in_progress" | "cancelled") => return true,
            _ => return false,
        };
        self.state.script.state(text, problem, at, &mut self.out);
        true
    }
}

fn is_known(kind: &str) -> bool {
    let read = ["usage_update", "notice", "compaction_update"];
    HISTORY.contains(&kind) || ABSORBED.contains(&kind) || read.contains(&kind)
}

fn short(word: &str) -> String {
    model::conversation::cut(word, 80)
}
