//! Writes a conversation down: messages that grow, tools that begin and end, each under its own id.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::conversation::{
    Body, Entry, PlanStep, TEXT_BYTES_MAX, TOOL_BYTES_MAX, ToolCall, ToolKind, ToolState,
    UNSUPPORTED_BYTES_MAX, cut,
};
use serde::{Deserialize, Serialize};

use super::heard::Call;
use super::tools;
use crate::runtime::Act;

/// The most tool calls that are open at once; of more, the oldest are no longer followed.
const OPEN_CALLS_MAX: usize = 200;
/// The most lines that are kept as not understood.
const UNSUPPORTED_MAX: u64 = 500;
/// The most that is kept of the last text, in bytes.
const SAID_BYTES_MAX: usize = 2000;

/// What text is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Voice {
    /// It says something.
    Message,
    /// It thinks.
    Thought,
}

/// What has been written down, as far as it may still change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Scribe {
    messages: u64,
    thoughts: u64,
    states: u64,
    unsupported: u64,
    called: bool,
    growing: Option<Growing>,
    calls: BTreeMap<String, Entry>,
    order: Vec<String>,
    plan_at: Option<Timestamp>,
    said: String,
    #[serde(skip)]
    acts: Vec<Act>,
}

/// A text that may go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Growing {
    voice: Voice,
    source: String,
    entry: String,
    at: Timestamp,
    text: String,
    /// When it grew last, where it has grown since it was put last.
    #[serde(default)]
    grown_at: Option<Timestamp>,
}

/// What became of a call.
pub(super) struct Ended {
    /// Whether it was known to be open.
    pub(super) known: bool,
    /// The tool that is still open, the newest.
    pub(super) open: Option<String>,
}

impl Scribe {
    /// Everything to be done since the last time, in order.
    pub(super) fn take(&mut self) -> Vec<Act> {
        self.flush();
        std::mem::take(&mut self.acts)
    }

    /// Puts the growing text as it is now. It is not put with each piece: a text that comes line by
    /// line would be copied as often as it has lines.
    fn flush(&mut self) {
        let Some(growing) = self.growing.as_mut() else { return };
        let Some(at) = growing.grown_at.take() else { return };
        let text = growing.text.clone();
        let (id, began, voice) = (growing.entry.clone(), growing.at, growing.voice);
        let body = match voice {
            Voice::Message => {
                self.said = end_of(&text);
                Body::Message { text }
            }
            Voice::Thought => Body::Thought { text },
        };
        self.push(Act::Put(Entry { id, at: began, updated_at: at, body }));
    }

    /// The growing text is over.
    fn settle(&mut self) {
        self.flush();
        self.growing = None;
    }

    /// Adds something to be done, behind the text that grows.
    pub(super) fn act(&mut self, act: Act) {
        self.flush();
        self.push(act);
    }

    /// An entry takes the place of the same one right before it.
    fn push(&mut self, act: Act) {
        if let (Act::Put(new), Some(Act::Put(old))) = (&act, self.acts.last_mut())
            && new.id == old.id
        {
            *old = new.clone();
            return;
        }
        self.acts.push(act);
    }

    pub(super) fn put(&mut self, id: &str, began: Timestamp, at: Timestamp, body: Body) {
        self.act(Act::Put(Entry { id: id.to_owned(), at: began, updated_at: at, body }));
    }

    /// The last text it said, shortened.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    /// Whether it said anything or used a tool.
    pub(super) const fn has_content(&self) -> bool {
        self.messages > 0 || self.called
    }

    /// A text goes on: what comes under the same id from the same voice is one text.
    pub(super) fn grow(&mut self, voice: Voice, source: &str, text: &str, at: Timestamp) {
        let same = self
            .growing
            .as_ref()
            .is_some_and(|growing| growing.voice == voice && growing.source == source);
        if !same {
            self.begin(voice, source, at);
        }
        let mut rest = text;
        while !rest.is_empty() {
            let Some(growing) = self.growing.as_mut() else { return };
            let room = TEXT_BYTES_MAX - growing.text.len();
            let fits = rest.floor_char_boundary(room);
            let (now, later) = rest.split_at(fits);
            growing.text.push_str(now);
            growing.grown_at = Some(at);
            rest = later;
            if !rest.is_empty() {
                self.begin(voice, source, at);
            }
        }
    }

    /// A whole text. One whose parts came under the same id is known already.
    pub(super) fn text(&mut self, voice: Voice, source: Option<&str>, text: &str, at: Timestamp) {
        let known = self.growing.as_ref().is_some_and(|growing| {
            growing.voice == voice && Some(growing.source.as_str()) == source
        });
        self.settle();
        if known || text.is_empty() {
            return;
        }
        self.grow(voice, "", text, at);
        self.settle();
    }

    fn begin(&mut self, voice: Voice, source: &str, at: Timestamp) {
        self.settle();
        let entry = match voice {
            Voice::Message => {
                self.messages += 1;
                format!("m{}", self.messages)
            }
            Voice::Thought => {
                self.thoughts += 1;
                format!("t{}", self.thoughts)
            }
        };
        let source = source.to_owned();
        self.growing =
            Some(Growing { voice, source, entry, at, text: String::new(), grown_at: None });
    }

    /// A tool is used, or its input became known. Gives whether it is a new call.
    pub(super) fn call(&mut self, call: &Call, own: bool, at: Timestamp) -> bool {
        self.settle();
        let id = cut(&format!("call:{}", call.id), 200);
        let new = !self.calls.contains_key(&id);
        let name = call.name.clone().unwrap_or_else(|| "tool".to_owned());
        let tool = match (own, call.kind) {
            (true, _) => ToolKind::Own,
            (false, Some(kind)) => kind,
            (false, None) => tools::kind(&name),
        };
        let mut changes = call.changes.clone();
        if changes.is_empty() && tool == ToolKind::Edit {
            changes = tools::changes(&call.input);
        }
        let began = self.calls.get(&id).map_or(at, |entry| entry.at);
        let title = call.title.clone().unwrap_or_else(|| tools::title(&name, &call.input));
        let body = Body::ToolCall {
            call: ToolCall {
                title: cut(&title, 200),
                name: call.name.as_deref().map(|name| cut(name, 200)),
                tool,
                state: ToolState::Running,
                input: tools::input(&call.input),
                output: None,
                changes,
                places: tools::places(&call.input),
                started_at: Some(began),
                ended_at: None,
                slow: false,
            },
        };
        let entry = Entry { id: id.clone(), at: began, updated_at: at, body };
        self.act(Act::Put(entry.clone()));
        self.calls.insert(id.clone(), entry);
        self.called = true;
        if new {
            self.order.push(id);
            if self.order.len() > OPEN_CALLS_MAX {
                let oldest = self.order.remove(0);
                self.calls.remove(&oldest);
            }
        }
        new
    }

    /// A tool has come to its end.
    pub(super) fn call_ended(
        &mut self,
        id: &str,
        output: Option<&str>,
        failed: bool,
        (at, slow_s): (Timestamp, u32),
    ) -> Ended {
        let id = cut(&format!("call:{id}"), 200);
        let Some(mut entry) = self.calls.remove(&id) else {
            return Ended { known: false, open: self.open() };
        };
        self.order.retain(|open| *open != id);
        if let Body::ToolCall { call } = &mut entry.body {
            call.state = if failed { ToolState::Failed } else { ToolState::Completed };
            call.output = output.map(|text| cut(text, TOOL_BYTES_MAX));
            call.ended_at = Some(at);
            call.slow |= is_slow(entry.at, at, slow_s);
        }
        entry.updated_at = at;
        self.act(Act::Put(entry));
        Ended { known: true, open: self.open() }
    }

    /// The tool that is open, the newest.
    fn open(&self) -> Option<String> {
        self.order.iter().rev().find_map(|id| match &self.calls.get(id)?.body {
            Body::ToolCall { call } => Some(call.title.clone()),
            _ => None,
        })
    }

    /// Calls that take longer than they should are said to be slow.
    pub(super) fn mark_slow(&mut self, at: Timestamp, slow_s: u32) {
        let mut slow = Vec::new();
        for entry in self.calls.values_mut() {
            let began = entry.at;
            if let Body::ToolCall { call } = &mut entry.body
                && !call.slow
                && is_slow(began, at, slow_s)
            {
                call.slow = true;
                entry.updated_at = at;
                slow.push(entry.clone());
            }
        }
        for entry in slow {
            self.act(Act::Put(entry));
        }
    }

    /// Nothing goes on: what is open is given up. Gives whether a tool was.
    pub(super) fn give_up(&mut self, at: Timestamp) -> bool {
        self.settle();
        let open = std::mem::take(&mut self.calls);
        self.order.clear();
        let any = !open.is_empty();
        for mut entry in open.into_values() {
            if let Body::ToolCall { call } = &mut entry.body {
                call.state = ToolState::Abandoned;
                call.ended_at = Some(at);
            }
            entry.updated_at = at;
            self.act(Act::Put(entry));
        }
        any
    }

    pub(super) fn plan(&mut self, steps: Vec<PlanStep>, at: Timestamp) {
        let began = *self.plan_at.get_or_insert(at);
        let steps = steps.into_iter().take(200);
        let steps = steps.map(|step| PlanStep { text: cut(&step.text, 2000), ..step }).collect();
        self.put("plan", began, at, Body::Plan { steps });
    }

    pub(super) fn state(&mut self, text: &str, problem: bool, at: Timestamp) {
        self.settle();
        self.states += 1;
        let id = format!("s{}", self.states);
        self.put(&id, at, at, Body::State { text: cut(text, 4000), problem });
    }

    /// A line that was not understood; of very many only the first.
    pub(super) fn unsupported(&mut self, line: &str, why: &str, at: Timestamp) {
        self.unsupported += 1;
        if self.unsupported == UNSUPPORTED_MAX + 1 {
            let text = "More lines were not understood; they are in the output only.";
            self.state(text, true, at);
        }
        if self.unsupported > UNSUPPORTED_MAX {
            return;
        }
        let id = format!("u{}", self.unsupported);
        let text = cut(line, UNSUPPORTED_BYTES_MAX);
        self.put(&id, at, at, Body::Unsupported { text, why: cut(why, 500) });
    }
}

fn is_slow(began: Timestamp, at: Timestamp, slow_s: u32) -> bool {
    at.duration_since(began).as_secs() >= i64::from(slow_s)
}

/// The end of a text, where the last words are.
fn end_of(text: &str) -> String {
    let text = text.trim();
    let from = text.len().saturating_sub(SAID_BYTES_MAX);
    text[text.ceil_char_boundary(from)..].to_owned()
}
