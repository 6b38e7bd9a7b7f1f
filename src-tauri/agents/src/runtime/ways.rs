//! Ways: how one kind of agent behaves, as data of its preset.

use serde::{Deserialize, Serialize};

/// How one kind of agent behaves. An agent without a preset has the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ways {
    /// What puts the agent into a mode in which it asks before it acts.
    pub ask_mode: Vec<Setting>,
    /// Whether it asks before it acts without being put into a mode: by what its preset adds for the
    /// policy, or always.
    pub asks_by_itself: bool,
    /// What puts it into a mode in which it asks nothing.
    pub unattended_mode: Vec<Setting>,
    /// How it names our tools: `{tool}` stands for the tool's own name.
    pub tool_names: Vec<String>,
    /// What is said under `_meta` of our abilities: some agents tell more to a client that asks for it.
    pub client_meta: serde_json::Map<String, serde_json::Value>,
    /// Whether it ends by itself when its standard input is closed; one that does not is not waited for.
    pub ends_on_eof: bool,
    /// Whether an earlier ACP session can be loaded after its program was killed.
    pub loads_after_kill: bool,
    /// Where its usage is, and what that means.
    pub usage: Vec<UsageRule>,
    /// The file it writes of a session, where that says what it used.
    pub session_file: Option<SessionFile>,
    /// A tool call that takes longer is slow, in seconds.
    pub slow_tool_s: u32,
    /// Silence that is still normal, in seconds.
    pub quiet_after_s: u32,
    /// Silence after which it is stalled, in seconds.
    pub stalled_after_s: u32,
    /// How long it may take to answer the first time, in seconds.
    pub open_within_s: u32,
    /// How long a cancelled turn may take to end, in seconds.
    pub cancel_within_s: u32,
    /// Texts (regular expressions) of its messages and standard error that mean: the provider makes it wait.
    pub limit_signs: Vec<String>,
    /// Texts (regular expressions) that mean: it has to be logged in.
    pub login_signs: Vec<String>,
    /// How an answer begins (regular expressions) that no model wrote: the agent tells an error of its
    /// provider as if the model had said it.
    pub error_signs: Vec<String>,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            ask_mode: Vec::new(),
            asks_by_itself: false,
            unattended_mode: Vec::new(),
            tool_names: vec!["{tool}".to_owned()],
            client_meta: serde_json::Map::new(),
            ends_on_eof: true,
            loads_after_kill: true,
            usage: Vec::new(),
            session_file: None,
            slow_tool_s: model::conversation::SLOW_TOOL_S,
            quiet_after_s: 120,
            stalled_after_s: 600,
            open_within_s: 60,
            cancel_within_s: 10,
            limit_signs: Vec::new(),
            login_signs: Vec::new(),
            error_signs: Vec::new(),
        }
    }
}

impl Ways {
    /// Whether it is known how such an agent is made to ask before it acts.
    #[must_use]
    pub fn can_be_asked(&self) -> bool {
        self.asks_by_itself || !self.ask_mode.is_empty()
    }
}

/// A file that an agent itself writes of each session: a JSON object a line. It is only read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFile {
    /// Where the agent keeps its data: the first of these whose variable it has.
    pub roots: Vec<SessionRoot>,
    /// The file, from there: `*` stands for any part of a name, `{session}` for the id of the session.
    pub path: String,
    /// JSON pointers to what tells the kind of a line; the kind is what they lead to, joined by `/`.
    pub kind: Vec<String>,
    /// Which kinds of lines (`in = "update"`) say what was used. What covers the `conversation` is the
    /// total of the session so far; what covers a `request` is added up.
    pub usage: Vec<UsageRule>,
}

/// Where an agent may keep its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRoot {
    /// A variable that names a directory.
    pub env: String,
    /// The place below that.
    #[serde(default)]
    pub below: String,
}

/// One step into a mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// `session/set_mode`.
    Mode {
        /// The mode's id.
        mode: String,
    },
    /// `session/set_config_option`.
    Option {
        /// The option's id.
        option: String,
        /// Its value.
        value: String,
    },
}

/// Where an agent says what it used, and how that is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRule {
    /// A JSON pointer, from the message that holds it.
    pub at: String,
    /// Which message: `result`, `update` (its `sessionUpdate` or event type is `of`).
    #[serde(rename = "in")]
    pub place: UsagePlace,
    /// The kind of update or event, where `in` is `update`.
    #[serde(default)]
    pub of: Option<String>,
    /// What the figures are about.
    pub covers: Covers,
    /// Names of the figures below `at`.
    pub fields: UsageFields,
    /// Whether the input includes what came from the cache.
    #[serde(default)]
    pub input_includes_cache: bool,
    /// Whether reasoning is not part of the output, and so has to be added to it.
    #[serde(default)]
    pub output_excludes_reasoning: bool,
}

/// Which message says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsagePlace {
    /// The answer to the prompt, or the last line of a headless program.
    Result,
    /// An update, or a line, of one kind.
    Update,
}

/// What figures are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// The whole conversation so far: it takes the place of what was said before.
    Conversation,
    /// The turn: turns are summed up.
    Turn,
    /// One model request: requests are summed up.
    Request,
    /// Only the last request of the turn: a lower bound.
    LastRequest,
}

/// Names of figures; a JSON pointer each, from the rule's place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageFields {
    /// Input tokens.
    pub input: Option<String>,
    /// Tokens read from the cache.
    pub cache_read: Option<String>,
    /// Tokens written to the cache.
    pub cache_write: Option<String>,
    /// Output tokens.
    pub output: Option<String>,
    /// Reasoning tokens.
    pub reasoning: Option<String>,
    /// Cost in US dollars.
    pub cost_usd: Option<String>,
    /// The model's name.
    pub model: Option<String>,
    /// Requests.
    pub requests: Option<String>,
    /// Time of the requests, in milliseconds.
    pub model_ms: Option<String>,
}
