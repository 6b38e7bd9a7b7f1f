//! Conversations: what passes between an attempt and its agent, the same for every runtime.
//!
//! A conversation is a list of entries. An entry that comes again under the same id takes the place
//! of what was there, so that a message may grow and a tool call may come to its end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::RequestId;
use crate::message::Source;
use crate::usage::{Context, Tokens};

/// The longest text of one entry, in bytes; a longer message goes on in the next entry.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The most kept of what a tool was given or gave back, in bytes.
pub const TOOL_BYTES_MAX: usize = 32 * 1024;
/// The most kept of a line that was not understood, in bytes.
pub const UNSUPPORTED_BYTES_MAX: usize = 16 * 1024;
/// Stands at the end of a text that was cut.
pub const CUT_MARKER: &str = " … [cut]";
/// A tool call that takes longer is called slow, in seconds, unless the preset says otherwise.
pub const SLOW_TOOL_S: u32 = 60;

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its identity within the attempt.
    pub id: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// What it says.
    pub body: Body,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// Text that was given to the agent: the brief, a message.
    Prompt {
        /// Who said it.
        from: Source,
        /// What.
        text: String,
    },
    /// Text of the agent.
    Message {
        /// What it said.
        text: String,
    },
    /// What the agent thought before it spoke.
    Thought {
        /// What it thought.
        text: String,
    },
    /// A tool the agent used.
    ToolCall {
        /// The call.
        call: ToolCall,
    },
    /// What the agent means to do.
    Plan {
        /// Its steps, in order.
        steps: Vec<PlanStep>,
    },
    /// The agent asked for something and waits for the answer.
    Request {
        /// The item of the inbox; nothing where a policy or a rule answered at once.
        request_id: Option<RequestId>,
        /// What it asked for.
        title: String,
        /// The answer and who gave it, in words; nothing while it is awaited.
        answer: Option<String>,
    },
    /// What the conversation has used so far, as the agent says.
    Usage {
        /// Tokens.
        tokens: Tokens,
        /// How full its context is.
        context: Option<Context>,
        /// What it has cost, as the agent says, in millionths of a US dollar.
        reported_cost_micros: Option<u64>,
    },
    /// Something about the conversation itself: a turn began or ended, the agent was reached again.
    State {
        /// What, in words a person reads.
        text: String,
        /// Whether it is something that went wrong.
        problem: bool,
    },
    /// Plain output, which is read from its file.
    Output {
        /// The stream.
        stream: Stream,
        /// Its first byte in the stream's file.
        from: u64,
        /// The byte after its last one.
        to: u64,
    },
    /// A line that was not understood, as it was.
    Unsupported {
        /// The line.
        text: String,
        /// Why it was not understood, in words a person reads.
        why: String,
    },
}

impl Body {
    /// The word for its kind, as in the serialised form.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Prompt { .. } => "prompt",
            Self::Message { .. } => "message",
            Self::Thought { .. } => "thought",
            Self::ToolCall { .. } => "tool_call",
            Self::Plan { .. } => "plan",
            Self::Request { .. } => "request",
            Self::Usage { .. } => "usage",
            Self::State { .. } => "state",
            Self::Output { .. } => "output",
            Self::Unsupported { .. } => "unsupported",
        }
    }
}

/// A stream of a program's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output; everything, where the program has a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The use of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolCall {
    /// What it does, in a few words.
    pub title: String,
    /// The tool's own name, where it is known.
    pub name: Option<String>,
    /// What kind of tool it is.
    pub tool: ToolKind,
    /// How far it is.
    pub state: ToolState,
    /// What it was given, cut to [`TOOL_BYTES_MAX`].
    pub input: Option<String>,
    /// What it gave back, cut to [`TOOL_BYTES_MAX`].
    pub output: Option<String>,
    /// Files it changes.
    pub changes: Vec<FileChange>,
    /// Files it is about, at most 20.
    pub places: Vec<String>,
    /// When it began to run.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Whether it took longer than such a call should.
    pub slow: bool,
}

/// What kind of tool a call uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Reads files.
    Read,
    /// Changes files.
    Edit,
    /// Removes files.
    Delete,
    /// Moves files.
    Move,
    /// Looks for something.
    Search,
    /// Runs a command.
    Execute,
    /// Thinks.
    Think,
    /// Fetches something from the network.
    Fetch,
    /// One of our own tools, such as reporting progress.
    Own,
    /// Anything else.
    #[default]
    Other,
}

/// How far a tool call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// It has not begun, or waits for a permission.
    Pending,
    /// It runs.
    Running,
    /// It is over.
    Completed,
    /// It failed, or was not allowed.
    Failed,
    /// The turn ended before it did.
    Abandoned,
}

impl ToolState {
    /// Whether nothing more is to be expected of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Abandoned)
    }
}

/// A change of a file, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileChange {
    /// The file.
    pub path: String,
    /// What was there, cut to [`TOOL_BYTES_MAX`]; nothing for a new file.
    pub before: Option<String>,
    /// What is there then, cut to [`TOOL_BYTES_MAX`].
    pub after: String,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanStep {
    /// What is to be done.
    pub text: String,
    /// How far it is.
    pub state: PlanState,
}

/// How far a step of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// Not begun.
    Pending,
    /// Under way.
    InProgress,
    /// Done.
    Completed,
}

/// Cuts a text to at most `max` bytes, at a character, with [`CUT_MARKER`] where it was longer.
#[must_use]
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max.saturating_sub(CUT_MARKER.len()));
    format!("{}{CUT_MARKER}", &text[..end])
}

/// A text in one line, for a reason or a title: whatever would begin another one, or steer what shows
/// it, is a space.
#[must_use]
pub fn one_line(text: &str) -> String {
    let words = text.split(|ch: char| ch.is_whitespace() || ch.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_text_is_never_longer_and_says_that_it_was_cut(text: String, max in 16usize..64) {
            let short = cut(&text, max);
            prop_assert!(short.len() <= max);
            prop_assert_eq!(short == text, text.len() <= max);
            prop_assert_eq!(short.ends_with(CUT_MARKER), text.len() > max || text.ends_with(CUT_MARKER));
        }
    }
}
