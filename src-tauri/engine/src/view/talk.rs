//! Messages, the inbox, rules, conversations and usage, as they are shown and asked for.

use jiff::Timestamp;
use model::conversation::Entry;
use model::id::{AgentId, AttemptId, BroadcastId, MessageId, MissionId, ShortId};
use model::inbox::Request;
use model::message::{Message, MessageState};
use model::usage::Usage;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message with how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// The name of the agent it is for; nothing where that was removed.
    pub agent: Option<String>,
    /// How far it is.
    pub state: MessageState,
}

/// What is said to one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// What.
    pub text: String,
    /// Whether it goes before all regular ones, and at once where the agent can be told while it
    /// works.
    #[serde(default)]
    pub urgent: bool,
    /// The mission it is about: its id, short id or a unique prefix of it.
    #[serde(default)]
    pub mission: Option<String>,
}

/// What is said to several agents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBroadcast {
    /// Ids or names; `all` means every agent.
    pub agents: Vec<String>,
    /// What.
    pub text: String,
    /// Whether it goes before all regular messages.
    #[serde(default)]
    pub urgent: bool,
}

/// What became of a broadcast, agent by agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BroadcastView {
    /// Its identity; nothing where nobody could be told.
    pub broadcast_id: Option<BroadcastId>,
    /// One result for each agent that was named.
    pub results: Vec<BroadcastResult>,
}

/// Whether one agent's message is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BroadcastResult {
    /// The agent; nothing where there is none by that name.
    pub agent_id: Option<AgentId>,
    /// Its name, or what was written instead of one.
    pub name: String,
    /// Its message; nothing where it could not be queued.
    pub message_id: Option<MessageId>,
    /// Why it could not be queued.
    pub problem: Option<String>,
}

/// How far the messages of a broadcast are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BroadcastState {
    /// One for each agent that got a message.
    pub results: Vec<BroadcastMessage>,
}

/// One agent's message of a broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BroadcastMessage {
    /// The agent.
    pub agent_id: AgentId,
    /// Its name; nothing where it was removed.
    pub name: Option<String>,
    /// Its message.
    pub message: MessageView,
}

/// A page of messages, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// The messages.
    pub items: Vec<MessageView>,
    /// What to pass as `cursor` for the next page; nothing at the end.
    pub next_cursor: Option<String>,
}

/// A request with what the captain needs to answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// The request.
    #[serde(flatten)]
    pub request: Request,
    /// The agent's name; nothing where it was removed.
    pub agent: Option<String>,
    /// The mission's readable id; nothing where it was removed.
    pub short_id: Option<ShortId>,
    /// The mission's title; nothing where it was removed.
    pub mission_title: Option<String>,
    /// How long ago it was asked, in seconds.
    pub age_s: u64,
}

/// A page of requests, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestPage {
    /// The requests.
    pub items: Vec<RequestView>,
    /// What to pass as `cursor` for the next page; nothing at the end.
    pub next_cursor: Option<String>,
}

/// Everything that waits for the captain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxView {
    /// What agents ask, the oldest first; those that were put off come last.
    pub requests: Vec<RequestView>,
    /// Work that waits for the captain's review, the longest waiting first; at most 500.
    pub reviews: Vec<ReviewWaiting>,
    /// Messages and reports that could not be delivered or understood, the newest first; at most
    /// 500.
    pub quarantined: Vec<MessageView>,
    /// How many there are of each, those that are not listed included.
    pub counts: InboxTotals,
}

/// A mission whose work waits for the captain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewWaiting {
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// Since when it waits.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// How much waits for the captain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxTotals {
    /// Permissions.
    pub permissions: u64,
    /// Questions.
    pub questions: u64,
    /// Work to review.
    pub reviews: u64,
    /// Messages and reports in quarantine.
    pub quarantined: u64,
    /// All of these.
    pub total: u64,
}

/// The captain's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestAnswer {
    /// What kind of answer.
    pub answer: AnswerWord,
    /// For `always`: how far the rule reaches; the agent unless given.
    #[serde(default)]
    pub scope: Option<ScopeWord>,
    /// For `always`: what it fits; the pattern of the request unless given.
    #[serde(default)]
    pub pattern: Option<String>,
    /// For `deny`: why, for the agent.
    #[serde(default)]
    pub note: Option<String>,
    /// For `text`: the answer.
    #[serde(default)]
    pub text: Option<String>,
}

/// What kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerWord {
    /// Allowed, this time.
    Once,
    /// Allowed, and so is everything that fits the pattern from now on.
    Always,
    /// Not allowed.
    Deny,
    /// Later: it is kept out of the way for a quarter of an hour.
    NotNow,
    /// The answer to a question.
    Text,
}

/// How far a rule reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeWord {
    /// One mission.
    Mission,
    /// One agent.
    Agent,
    /// Every agent of the workspace.
    Workspace,
}

/// A permission rule that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// What it fits, such as `run: git status *`.
    pub pattern: String,
    /// Whether it allows; otherwise it forbids.
    pub allow: bool,
    /// How far it reaches.
    pub scope: NewScope,
}

/// How far a new rule reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScope {
    /// What it is about.
    pub kind: ScopeWord,
    /// Which mission or agent: its id, short id or name.
    #[serde(default)]
    pub id: Option<String>,
}

/// A part of a conversation, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationPage {
    /// The entries.
    pub entries: Vec<EntryAt>,
    /// The place of the first one of this page.
    pub first: Option<u64>,
    /// The place of the last one of this page.
    pub last: Option<u64>,
    /// How many there are in all.
    pub total: u64,
    /// The place of the oldest one there is; what came before was given up.
    pub kept_from: u64,
    /// How far the conversation has changed; what comes later has a higher one.
    pub revision: u64,
}

/// What has changed in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationChanges {
    /// Entries that are new or different, in the order they changed.
    pub entries: Vec<EntryAt>,
    /// From where to ask on.
    pub revision: u64,
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryAt {
    /// Its place in the conversation.
    pub ordinal: u64,
    /// When it last changed, as a count of changes.
    pub revision: u64,
    /// The entry.
    pub entry: Entry,
}

/// What was found in conversations, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationHits {
    /// The entries that were found.
    pub hits: Vec<ConversationHit>,
    /// What to pass as `cursor` for the next page; nothing at the end.
    pub next_cursor: Option<String>,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationHit {
    /// Its attempt.
    pub attempt_id: AttemptId,
    /// The mission; nothing where the attempt is not in the ledger any more.
    pub mission_id: Option<MissionId>,
    /// The mission's readable id; nothing where it was removed.
    pub short_id: Option<ShortId>,
    /// The agent.
    pub agent_id: Option<AgentId>,
    /// The agent's name; nothing where it was removed.
    pub agent: Option<String>,
    /// Its place in the conversation.
    pub ordinal: u64,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What kind of entry it is.
    pub kind: String,
    /// The part of it that was found.
    pub snippet: String,
}

/// What an attempt has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    /// According to the best source; nothing where nobody said anything.
    pub best: Option<Usage>,
    /// According to each source. They are never added up.
    pub sources: Vec<Usage>,
    /// The tools it used.
    pub tool_calls: ToolCallTotals,
}

/// How an attempt's tools did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToolCallTotals {
    /// All calls.
    pub total: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that took longer than such a call should.
    pub slow: u64,
    /// Those under way.
    pub running: u64,
}

/// What is typed into an attempt's terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminalInput {
    /// The characters, as they are.
    pub text: String,
}
