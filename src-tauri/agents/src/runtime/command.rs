//! Any program: it gets the brief, prints what it prints, and its exit code says how it ended.
//!
//! Its output is not read line by line: it stays in its files, and the conversation says which part
//! of them it is.

use jiff::Timestamp;
use model::conversation::{Body, Entry, Stream, TEXT_BYTES_MAX, cut};
use model::id::{MessageId, RequestId};
use model::message::Source;
use model::process::Exit;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Act, Answer, Driver, Happening, Line, Opening, Stop, Told};

/// The most typed into a terminal in one message, in bytes.
const TYPED_BYTES_MAX: usize = 16 * 1024;

/// Watches one program.
#[derive(Debug, Default)]
pub struct CommandDriver {
    state: State,
    acts: Vec<Act>,
}

/// What it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    terminal: bool,
    messages: Vec<MessageId>,
    prompts: u64,
    stdout: Printed,
    stderr: Printed,
    over: bool,
}

/// What of a stream has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Printed {
    began: Option<Timestamp>,
    bytes: u64,
}

/// A snapshot that cannot be gone on from.
#[derive(Debug, thiserror::Error)]
#[error("what was known of the program cannot be read: {0}")]
pub struct RestoreError(#[from] serde_json::Error);

impl CommandDriver {
    /// A driver for a program that has just been started, with a terminal or without.
    #[must_use]
    pub fn new(terminal: bool) -> Self {
        Self { state: State { terminal, ..State::default() }, acts: Vec::new() }
    }

    /// A driver that goes on from a snapshot.
    ///
    /// # Errors
    /// When the snapshot is not one of this driver.
    pub fn restore(snapshot: Value) -> Result<Self, RestoreError> {
        Ok(Self { state: serde_json::from_value(snapshot)?, acts: Vec::new() })
    }

    /// The program has printed so many bytes on a stream in all. Puts the stream's one entry.
    pub fn printed(&mut self, stream: Stream, bytes: u64, at: Timestamp) {
        let (id, printed) = match stream {
            Stream::Stdout => ("output:stdout", &mut self.state.stdout),
            Stream::Stderr => ("output:stderr", &mut self.state.stderr),
        };
        if bytes <= printed.bytes {
            return;
        }
        printed.bytes = bytes;
        let began = *printed.began.get_or_insert(at);
        let body = Body::Output { stream, from: 0, to: bytes };
        self.acts.push(Act::Put(Entry { id: id.to_owned(), at: began, updated_at: at, body }));
    }

    fn prompt(&mut self, from: Source, text: &str, at: Timestamp) {
        self.state.prompts += 1;
        let id = format!("prompt:{}", self.state.prompts);
        let body = Body::Prompt { from, text: cut(text, TEXT_BYTES_MAX) };
        self.acts.push(Act::Put(Entry { id, at, updated_at: at, body }));
    }

    fn happened(&mut self, happening: Happening) {
        self.acts.push(Act::Tell(happening));
    }
}

/// A message as it is typed: in one line, because a terminal takes each line by itself, and without
/// characters that would steer the terminal or the program.
fn typed(text: &str) -> String {
    let text = cut(text, TYPED_BYTES_MAX);
    let words: Vec<&str> = text.split(|ch: char| ch.is_whitespace() || ch.is_control()).collect();
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

impl Driver for CommandDriver {
    fn open(&mut self, opening: Opening, at: Timestamp) {
        self.state.messages.clone_from(&opening.messages);
        self.prompt(Source::System, &opening.prompt, at);
        self.happened(Happening::TurnStarted { n: 1 });
        self.happened(Happening::Started(opening.messages));
    }

    fn stdout(&mut self, _line: Line<'_>) {}

    fn stderr(&mut self, _line: Line<'_>) {}

    fn takes_messages(&self) -> bool {
        self.state.terminal && !self.state.over
    }

    fn tell(&mut self, messages: Vec<Told>, at: Timestamp) {
        let ids: Vec<MessageId> = messages.iter().map(|told| told.id).collect();
        if !self.takes_messages() {
            let why = "this program has no terminal in which it could be told".to_owned();
            self.happened(Happening::NotDelivered { messages: ids, why });
            return;
        }
        for told in messages {
            self.acts.push(Act::Send(typed(&told.text)));
            self.prompt(told.from, &told.text, at);
        }
        // A terminal does not say when its program acts on what was typed.
        self.happened(Happening::Started(ids));
    }

    fn answer(&mut self, _: &str, _: Option<RequestId>, _: &Answer, _: Timestamp) {}

    fn cancel(&mut self, at: Timestamp) {
        let text = "Called off. This program can only be stopped by ending it.".to_owned();
        let body = Body::State { text, problem: false };
        let id = "cancelled".to_owned();
        self.acts.push(Act::Put(Entry { id, at, updated_at: at, body }));
    }

    fn finish(&mut self, _at: Timestamp) {
        self.acts.push(Act::CloseInput);
    }

    fn tick(&mut self, _at: Timestamp) {}

    fn ended(&mut self, exit: &Exit, _at: Timestamp) -> Option<Stop> {
        if self.state.over {
            return None;
        }
        self.state.over = true;
        let (stop, said) = match exit {
            Exit::Code { code: 0 } => (Stop::Done, String::new()),
            Exit::Stopped { .. } => (Stop::Cancelled, String::new()),
            other => failed(super::headless::in_words(other)),
        };
        let messages = self.state.messages.clone();
        if stop == Stop::Done {
            self.happened(Happening::Acknowledged { messages, said: said.clone() });
        } else if !messages.is_empty() {
            let why = "its program ended before it was done".to_owned();
            self.happened(Happening::NotDelivered { messages, why });
        }
        self.happened(Happening::TurnEnded { n: 1, stop, said });
        // The exit code says it all.
        None
    }

    fn take(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&self.state).unwrap_or_default()
    }
}

fn failed(why: String) -> (Stop, String) {
    (Stop::Failed { why, login: false }, String::new())
}
