//! What a line of a headless program says, the same for every format.

use jiff::Timestamp;
use model::conversation::{FileChange, PlanStep, ToolKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{aider, chat, claude, codex, copilot, gemini, goose, opencode};

/// How the lines of a headless program are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `stream-json` of Claude Code and of those that took it over.
    Claude,
    /// `codex exec --json`.
    Codex,
    /// `stream-json` of Gemini CLI.
    Gemini,
    /// `opencode run --format json`.
    Opencode,
    /// `stream-json` of goose.
    Goose,
    /// `--output-format json` of Copilot CLI.
    Copilot,
    /// Messages as in the chat interface of OpenAI, one a line.
    Chat,
    /// The text of aider, with its figures.
    Aider,
    /// Text: what is printed is what the agent says.
    Text,
}

/// One thing a line says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// The program is there.
    Opened { conversation: Option<String>, agent: Option<String>, model: Option<String> },
    /// More of the message with this id.
    Grow { id: String, text: String },
    /// A whole message; already known where its parts came under the same id.
    Text { id: Option<String>, text: String },
    /// More of what it thought, under this id.
    GrowThought { id: String, text: String },
    /// A whole thought; already known where its parts came under the same id.
    Thought { id: Option<String>, text: String },
    /// It uses a tool, or goes on using it.
    Call(Box<Call>),
    /// A tool has come to its end.
    CallEnded { id: String, output: Option<String>, failed: bool },
    /// What it means to do.
    Plan(Vec<PlanStep>),
    /// Something went wrong that is not the end.
    Problem(String),
    /// Something about the conversation.
    Note(String),
    /// Its provider makes it wait.
    Limited { until: Option<Timestamp>, said: String },
    /// Figures, for the meter: a line of this kind.
    Figures { kind: String, value: Value },
    /// Its last words: how it says it ended.
    Result { end: End, figures: Value },
    /// Something that needs no entry.
    Nothing,
    /// A line that is not known.
    Unknown(String),
}

/// The use of a tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) title: Option<String>,
    pub(super) kind: Option<ToolKind>,
    pub(super) own: bool,
    pub(super) input: Value,
    pub(super) changes: Vec<FileChange>,
}

/// How a program says it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum End {
    /// It is done, and may have said this in the end.
    Done { said: Option<String> },
    /// It reached a limit.
    Limit { what: String },
    /// The model refused.
    Refused,
    /// It failed.
    Failed { why: String },
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 9] = [
        Self::Claude,
        Self::Codex,
        Self::Gemini,
        Self::Opencode,
        Self::Goose,
        Self::Copilot,
        Self::Chat,
        Self::Aider,
        Self::Text,
    ];

    /// The word for it, as in files and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::Goose => "goose",
            Self::Copilot => "copilot",
            Self::Chat => "chat",
            Self::Aider => "aider",
            Self::Text => "text",
        }
    }

    /// What such lines are, in words that follow *prints*.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Claude => "as Claude Code does with stream-json",
            Self::Codex => "as 'codex exec --json' does",
            Self::Gemini => "as Gemini CLI does with stream-json",
            Self::Opencode => "as 'opencode run --format json' does",
            Self::Goose => "as goose does with stream-json",
            Self::Copilot => "as Copilot CLI does with json",
            Self::Chat => "messages of a chat as JSON, one a line",
            Self::Aider => "as aider does",
            Self::Text => "plain text",
        }
    }

    /// The form of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// Whether its lines are JSON objects.
    pub(super) const fn is_json(self) -> bool {
        !matches!(self, Self::Aider | Self::Text)
    }

    /// Whether its first line says who it is.
    pub(super) const fn greets(self) -> bool {
        matches!(self, Self::Claude | Self::Codex | Self::Gemini | Self::Copilot)
    }

    /// Whether a program that worked to its end says so.
    pub(super) const fn has_result(self) -> bool {
        matches!(self, Self::Claude | Self::Codex | Self::Gemini | Self::Goose | Self::Copilot)
    }

    /// What a line of JSON says.
    pub(super) fn hear(self, line: &Value) -> Vec<Heard> {
        match self {
            Self::Claude => claude::hear(line),
            Self::Codex => codex::hear(line),
            Self::Gemini => gemini::hear(line),
            Self::Opencode => opencode::hear(line),
            Self::Goose => goose::hear(line),
            Self::Copilot => copilot::hear(line),
            Self::Chat => chat::hear(line),
            Self::Aider | Self::Text => Vec::new(),
        }
    }

    /// What a line of text says.
    pub(super) fn hear_text(self, line: &str) -> Vec<Heard> {
        let more = Heard::Grow { id: "text".to_owned(), text: format!("{line}\n") };
        match self {
            Self::Aider => aider::figures(line).into_iter().chain([more]).collect(),
            _ => vec![more],
        }
    }
}

/// The text below a pointer; nothing where it is empty.
pub(super) fn text(value: &Value, at: &str) -> Option<String> {
    value.pointer(at).and_then(Value::as_str).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// The text below a pointer, or nothing but an empty one.
pub(super) fn text_or_empty(value: &Value, at: &str) -> String {
    text(value, at).unwrap_or_default()
}

/// What a tool gave back, as people read it: a text, the texts of a list of parts, or JSON.
pub(super) fn readable(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Array(parts) if parts.iter().all(|part| part.get("text").is_some()) => {
            let texts: Vec<&str> =
                parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            let text = texts.join("\n");
            (!text.is_empty()).then_some(text)
        }
        other => Some(other.to_string()),
    }
}

/// An error in words, however it is wrapped.
pub(super) fn error_in_words(value: &Value) -> String {
    for at in ["/error/data/message", "/error/message", "/error", "/message", "/data/message"] {
        if let Some(said) = text(value, at) {
            return said;
        }
    }
    value.get("error").map_or_else(|| "it said that something failed".to_owned(), Value::to_string)
}
