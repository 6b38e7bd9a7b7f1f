//! Runtimes: how agents are talked to, one file each, behind one trait.
//!
//! A [`Driver`] is a state machine without I/O: lines of the program and wishes of the captain go in,
//! lines for the program, entries of the conversation and happenings come out. What it knows fits
//! into a snapshot, so that an engine that starts again goes on in the middle of a turn.
//!
//! Invariant: nothing here depends on which agent it is, except through [`ways`].

pub mod acp;
pub mod command;
pub mod headless;
pub mod presets;
pub mod prices;
pub mod session_file;
pub mod sheet;
pub mod signs;
pub mod usage;
pub mod ways;

use jiff::Timestamp;
use model::conversation::{Entry, FileChange, ToolKind};
use model::id::{MessageId, RequestId};
use model::message::Source;
use model::usage::{Context, Usage};
use serde::{Deserialize, Serialize};

/// The names of our own tools, in the order in which they are offered.
pub const OWN_TOOLS: [&str; 12] = [
    "mission_get",
    "report_progress",
    "devlog",
    "ask_captain",
    "ask_result",
    "inbox_read",
    "inbox_acknowledge",
    "message_send",
    "evidence_attach",
    "knowledge_search",
    "mission_propose",
    "mission_done",
];

/// What an agent is told at the beginning of its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Where it works.
    pub directory: String,
    /// Everything it is told: role, rules, brief, handoff.
    pub prompt: String,
    /// Messages that are part of the prompt.
    pub messages: Vec<MessageId>,
    /// Our own tools, as an MCP server on this machine; nothing where the engine does not listen.
    pub tools: Option<OwnTools>,
    /// An ACP session of an earlier program of the same attempt that is to be taken up again.
    pub session: Option<String>,
}

/// Our own MCP server as one agent sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnTools {
    /// Its address.
    pub url: String,
    /// The agent's token.
    pub token: String,
}

impl std::fmt::Debug for OwnTools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnTools").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A message on its way to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its identity.
    pub id: MessageId,
    /// Who says it.
    pub from: Source,
    /// What.
    pub text: String,
}

/// A line of the program's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its end.
    pub bytes: &'a [u8],
    /// Whether it was longer than is read of one line, and so is not whole.
    pub cut: bool,
    /// When it was read.
    pub at: Timestamp,
}

/// The answer to something the agent asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// Do it.
    Allow,
    /// Do not.
    Deny {
        /// Why, for the agent.
        note: Option<String>,
    },
    /// The answer to a question.
    Text {
        /// The answer.
        text: String,
    },
    /// The turn is called off.
    Cancelled,
}

/// What an agent wants to do, in its own words. How dangerous that is, and what *always* would mean,
/// is for [`crate::permission`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is, in a few words.
    pub title: String,
    /// What kind of tool it uses.
    pub tool: ToolKind,
    /// The tool's own name, where it is known.
    pub name: Option<String>,
    /// The exact command, where it runs one: with its arguments and variables.
    pub command: Option<String>,
    /// Where it runs that, where the agent says so.
    pub directory: Option<String>,
    /// The files it changes.
    pub changes: Vec<FileChange>,
    /// The files it is about.
    pub places: Vec<String>,
    /// What the tool is given besides its command; all of it, where it is neither a command nor a
    /// change.
    pub input: Option<String>,
    /// Why, as the agent says.
    pub why: Option<String>,
    /// Whether the agent knows an *always* of its own.
    pub agent_remembers: bool,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Stop {
    /// The agent says it is done.
    Done,
    /// The agent ended its turn without having said or done anything.
    Empty,
    /// It was cancelled.
    Cancelled,
    /// It reached a limit of its model or its own.
    Limit {
        /// Which one, in words a person reads.
        what: String,
    },
    /// The model refused.
    Refused,
    /// It could not go on.
    Failed {
        /// Why, in words a person reads.
        why: String,
        /// Whether the captain has to log it in first.
        login: bool,
    },
    /// It ended for a reason this version does not know.
    Unknown {
        /// The reason, as the agent named it.
        reason: String,
    },
}

/// Something that happened in a conversation and that others act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The agent answered the first time.
    Opened {
        /// What can be taken up again later, where the agent can.
        session: Option<String>,
        /// The agent's own name and version.
        agent: Option<String>,
    },
    /// A turn began.
    TurnStarted {
        /// Which one, from 1.
        n: u32,
    },
    /// The agent has begun to act on messages.
    Started(Vec<MessageId>),
    /// The agent has answered to messages: the turn that held them ended.
    Acknowledged {
        /// Which ones; none means the opening itself.
        messages: Vec<MessageId>,
        /// What it said, shortened.
        said: String,
    },
    /// Messages could not be handed over.
    NotDelivered {
        /// Which ones.
        messages: Vec<MessageId>,
        /// Why, in words a person reads.
        why: String,
    },
    /// The agent asks for a permission and waits.
    AskedPermission {
        /// What the driver knows it by.
        key: String,
        /// What it asks for.
        ask: Box<Wanted>,
    },
    /// The agent asks a question and waits.
    AskedQuestion {
        /// What the driver knows it by.
        key: String,
        /// The question.
        text: String,
        /// Answers to choose from.
        options: Vec<String>,
    },
    /// The agent no longer waits for an answer.
    Withdrawn {
        /// What the driver knows it by.
        key: String,
        /// Why, in words a person reads.
        why: String,
    },
    /// What the conversation has used so far; it takes the place of what the same source said before.
    Used(Box<Usage>),
    /// How full the context is.
    Context(Context),
    /// The agent began to use a tool, or none any more.
    Tool(Option<String>),
    /// The provider makes the agent wait.
    Limited {
        /// Until when, where that is known.
        until: Option<Timestamp>,
        /// What was said.
        said: String,
    },
    /// A turn ended.
    TurnEnded {
        /// Which one.
        n: u32,
        /// How.
        stop: Stop,
        /// The last text the agent said in it, shortened.
        said: String,
    },
    /// The conversation cannot go on.
    Broken {
        /// Why, in words a person reads.
        why: String,
        /// Whether the captain has to log it in first.
        login: bool,
    },
}

/// What a driver wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Write this line, without its end, to the program's standard input.
    Send(String),
    /// Close the program's standard input.
    CloseInput,
    /// Put an entry into the conversation, in place of the one with the same id.
    Put(Entry),
    /// Tell what happened.
    Tell(Happening),
}

/// A runtime's side of one conversation.
pub trait Driver: Send + Sync {
    /// The program runs: begin.
    fn open(&mut self, opening: Opening, at: Timestamp);
    /// The program printed a line on standard output.
    fn stdout(&mut self, line: Line<'_>);
    /// The program printed a line on standard error.
    fn stderr(&mut self, line: Line<'_>);
    /// Whether messages can be handed over now.
    fn takes_messages(&self) -> bool;
    /// Hands over messages; only when [`Driver::takes_messages`].
    fn tell(&mut self, messages: Vec<Told>, at: Timestamp);
    /// Answers what the agent asked under `key`; an unknown key is nothing.
    fn answer(&mut self, key: &str, request: Option<RequestId>, answer: &Answer, at: Timestamp);
    /// What the agent asked under `key` is in the captain's inbox by this name.
    fn asked_as(&mut self, _key: &str, _request: RequestId, _at: Timestamp) {}
    /// Whether the agent waits for an answer under `key`.
    fn asks(&self, _key: &str) -> bool {
        false
    }
    /// Calls off the turn under way: what is open is answered first.
    fn cancel(&mut self, at: Timestamp);
    /// Ends the conversation politely, as far as the protocol goes; ends in [`Act::CloseInput`].
    fn finish(&mut self, at: Timestamp);
    /// Whether the program ends by itself once its input is closed; there is no use in waiting for one
    /// that does not.
    fn ends_on_eof(&self) -> bool {
        true
    }
    /// Time has passed.
    fn tick(&mut self, at: Timestamp);
    /// The program has ended: whatever is open is given up. Gives how the work is claimed to have
    /// ended, where the runtime knows better than the exit code.
    fn ended(&mut self, exit: &model::process::Exit, at: Timestamp) -> Option<Stop>;
    /// Takes what is to be done since the last time, in order.
    fn take(&mut self) -> Vec<Act>;
    /// What it knows, to go on from.
    fn snapshot(&self) -> serde_json::Value;
}
