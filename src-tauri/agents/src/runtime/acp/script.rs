//! The conversation as it is written down: growing texts, plans, what happened, what was not understood.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use model::conversation::{Body, Entry, TEXT_BYTES_MAX, UNSUPPORTED_BYTES_MAX, cut};
use serde::{Deserialize, Serialize};

use crate::runtime::{Act, Happening};

/// The most that is repeated of what the agent said, in bytes.
pub(super) const SAID_BYTES_MAX: usize = 2000;
/// How many lines are kept that were not understood for one reason; of further ones the last.
const ODD_MAX: u32 = 20;
/// The most reasons that are told apart.
const REASONS_MAX: usize = 50;

/// What is to be done, in order. An entry that is put again before anybody took it is put once.
#[derive(Debug, Default)]
pub(super) struct Out {
    acts: Vec<Act>,
    puts: HashMap<String, usize>,
}

impl Out {
    pub(super) fn send(&mut self, line: String) {
        self.acts.push(Act::Send(line));
    }

    pub(super) fn close(&mut self) {
        self.acts.push(Act::CloseInput);
    }

    pub(super) fn tell(&mut self, happening: Happening) {
        self.acts.push(Act::Tell(happening));
    }

    pub(super) fn put(&mut self, entry: Entry) {
        if let Some(place) = self.puts.get(&entry.id).and_then(|at| self.acts.get_mut(*at)) {
            *place = Act::Put(entry);
        } else {
            self.puts.insert(entry.id.clone(), self.acts.len());
            self.acts.push(Act::Put(entry));
        }
    }

    pub(super) fn take(&mut self) -> Vec<Act> {
        self.puts.clear();
        std::mem::take(&mut self.acts)
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Voice {
    Message,
    Thought,
}

/// What has been written so far, as far as it can still change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Script {
    /// Stands before every id; a second program of an attempt must not write over the first one's.
    pub(super) prefix: String,
    messages: u32,
    thoughts: u32,
    states: u32,
    growing: Option<Growing>,
    plan_at: Option<Timestamp>,
    odd: BTreeMap<String, u32>,
    /// The last text said in the turn under way.
    said: String,
}

/// A text that may go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Growing {
    voice: Voice,
    id: String,
    /// The agent's own name for the message, where it has one.
    theirs: Option<String>,
    text: String,
    at: Timestamp,
    updated_at: Timestamp,
    /// Whether it has grown since it was put last.
    grown: bool,
}

impl Growing {
    fn entry(&self) -> Entry {
        let text = self.text.clone();
        let body = match self.voice {
            Voice::Message => Body::Message { text },
            Voice::Thought => Body::Thought { text },
        };
        Entry { id: self.id.clone(), at: self.at, updated_at: self.updated_at, body }
    }
}

impl Script {
    pub(super) fn id(&self, of: &str) -> String {
        format!("{}{of}", self.prefix)
    }

    /// A piece of text: it goes on with the last one where nothing else came between.
    pub(super) fn say(
        &mut self,
        voice: Voice,
        piece: (&str, Option<&str>),
        at: Timestamp,
        out: &mut Out,
    ) {
        let (mut rest, theirs) = piece;
        let goes_on = self.growing.as_ref().is_some_and(|growing| {
            growing.voice == voice && (theirs.is_none() || growing.theirs.as_deref() == theirs)
        });
        if !goes_on {
            self.settle(out);
        }
        while !rest.is_empty() {
            let mut growing = self.growing.take().unwrap_or_else(|| self.begin(voice, theirs, at));
            let room = TEXT_BYTES_MAX.saturating_sub(growing.text.len());
            let (now, later) = rest.split_at(rest.floor_char_boundary(room));
            growing.text.push_str(now);
            growing.updated_at = at;
            growing.grown = true;
            if voice == Voice::Message {
                self.said = cut(&growing.text, SAID_BYTES_MAX);
            }
            self.growing = Some(growing);
            rest = later;
            if !rest.is_empty() {
                self.settle(out);
            }
        }
    }

    fn begin(&mut self, voice: Voice, theirs: Option<&str>, at: Timestamp) -> Growing {
        let id = match voice {
            Voice::Message => {
                self.messages += 1;
                self.id(&format!("m{}", self.messages))
            }
            Voice::Thought => {
                self.thoughts += 1;
                self.id(&format!("t{}", self.thoughts))
            }
        };
        let theirs = theirs.map(|theirs| cut(theirs, 200));
        Growing { voice, id, theirs, text: String::new(), at, updated_at: at, grown: false }
    }

    /// The growing text is over: something else comes.
    pub(super) fn settle(&mut self, out: &mut Out) {
        self.flush(out);
        self.growing = None;
    }

    /// Puts the growing text as it is now.
    pub(super) fn flush(&mut self, out: &mut Out) {
        if let Some(growing) = self.growing.as_mut().filter(|growing| growing.grown) {
            growing.grown = false;
            out.put(growing.entry());
        }
    }

    /// Puts an entry of its own, after the growing text.
    pub(super) fn put(
        &mut self,
        id: String,
        at: (Timestamp, Timestamp),
        body: Body,
        out: &mut Out,
    ) {
        self.settle(out);
        out.put(Entry { id, at: at.0, updated_at: at.1, body });
    }

    /// Something about the conversation itself.
    pub(super) fn state(&mut self, text: &str, problem: bool, at: Timestamp, out: &mut Out) {
        self.states += 1;
        let id = self.id(&format!("state:{}", self.states));
        let text = cut(text, SAID_BYTES_MAX);
        self.put(id, (at, at), Body::State { text, problem }, out);
    }

    pub(super) fn plan(
        &mut self,
        steps: Vec<model::conversation::PlanStep>,
        at: Timestamp,
        out: &mut Out,
    ) {
        let began = *self.plan_at.get_or_insert(at);
        self.put(self.id("plan"), (began, at), Body::Plan { steps }, out);
    }

    /// A line that was not understood. Many for one reason are counted, and the last one is kept.
    pub(super) fn odd(&mut self, why: &str, line: &str, at: Timestamp, out: &mut Out) {
        let why = cut(why, 200);
        let known = self.odd.contains_key(&why) || self.odd.len() < REASONS_MAX;
        let reason = if known { why.clone() } else { "something else".to_owned() };
        let count = self.odd.entry(reason.clone()).or_default();
        *count = count.saturating_add(1);
        let (id, why) = if *count <= ODD_MAX {
            let all: u32 = self.odd.values().map(|count| (*count).min(ODD_MAX)).sum();
            (format!("odd:{all}"), why)
        } else {
            (format!("odd:more:{reason}"), format!("{why}: {} like this so far", *count))
        };
        let text = cut(line, UNSUPPORTED_BYTES_MAX);
        self.put(self.id(&id), (at, at), Body::Unsupported { text, why }, out);
    }

    /// The last text of the turn that ends here.
    pub(super) fn end_turn(&mut self, out: &mut Out) -> String {
        self.settle(out);
        std::mem::take(&mut self.said)
    }

    /// The last text of the turn under way, shortened.
    pub(super) fn said(&self) -> &str {
        &self.said
    }
}
