//! Events: the append-only log that every row is computed from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::actor::Actor;
use crate::agent::Agent;
use crate::attempt::{Attempt, AttemptState, Checkpoint, Work, Workplace};
use crate::devlog::Devlog;
use crate::gate::{GateResult, Grade};
use crate::id::{
    AgentId, AttemptId, CheckpointId, CorrelationId, DevlogId, EventId, MessageId, MissionId,
    RequestId, RuleId, TokenId, TopicId, TrashId,
};
use crate::inbox::{Request, RequestEnd, Rule};
use crate::message::Message;
use crate::mission::{Criterion, Handoff, Merge, Mission, MissionState, Progress};
use crate::policy::Policy;
use crate::process::{ExitRecord, ProcessIdentity};
use crate::rescue::RescueStep;
use crate::settings::{Settings, Template};
use crate::token::AccessToken;
use crate::topic::{Decided, Topic, Vote};
use crate::trash::{TrashEnd, TrashItem};
use crate::usage::{Context, Usage};

/// What happened. Replaying the facts in order gives every row of the ledger again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// The engine opened the workspace.
    EngineStarted {
        /// Its version.
        version: String,
        /// Whether the run before ended in order.
        clean: bool,
    },
    /// The engine closed the workspace in order.
    EngineStopped,
    /// An agent was created.
    AgentAdded {
        /// The agent.
        agent: Agent,
    },
    /// An agent was changed.
    AgentChanged {
        /// The agent as it is from now on.
        agent: Agent,
    },
    /// An agent was removed.
    AgentRemoved {
        /// Which one.
        agent_id: AgentId,
    },
    /// The captain lets an agent start again that had failed again and again.
    AgentCleared {
        /// Which one.
        agent_id: AgentId,
    },
    /// A mission was created.
    MissionCreated {
        /// The mission.
        mission: Mission,
        /// What is to be done.
        brief: String,
    },
    /// A mission changed its state.
    MissionMoved {
        /// Which one.
        mission_id: MissionId,
        /// From here.
        from: MissionState,
        /// To here.
        to: MissionState,
        /// Why, in words a person reads.
        note: Option<String>,
        /// The strongest evidence there is now.
        grade: Grade,
        /// Attempts that count against the retries from now on.
        tries: u32,
        /// Vanished attempts that were followed by another one.
        #[serde(default)]
        recoveries: u32,
        /// Not leased before this time.
        #[serde(default)]
        #[schema(value_type = Option<String>, format = DateTime)]
        not_before: Option<Timestamp>,
    },
    /// A mission was changed by the captain, or by an import; its state is as it was.
    MissionChanged {
        /// The mission as it is from now on.
        mission: Mission,
        /// The new brief; nothing when it is as it was.
        brief: Option<String>,
    },
    /// It was said how far a mission is.
    MissionProgressed {
        /// Which one.
        mission_id: MissionId,
        /// How far.
        progress: Progress,
        /// Its criteria from now on.
        criteria: Vec<Criterion>,
    },
    /// It was written down what the next attempt needs to know.
    HandoffWritten {
        /// The mission.
        mission_id: MissionId,
        /// What it needs to know; nothing to start anew.
        handoff: Option<Handoff>,
    },
    /// Reviewed work was put onto its target branch.
    WorkMerged {
        /// The mission.
        mission_id: MissionId,
        /// Where it went.
        merge: Merge,
    },
    /// The captain chose the agent of a mission, or left it to the scheduler.
    MissionAssigned {
        /// Which one.
        mission_id: MissionId,
        /// The agent.
        agent_id: Option<AgentId>,
    },
    /// A mission was removed from the lists; its events stay.
    MissionRemoved {
        /// Which one.
        mission_id: MissionId,
    },
    /// A removed mission is back on the lists.
    MissionRestored {
        /// Which one.
        mission_id: MissionId,
    },
    /// An agent got the lease of a mission.
    AttemptLeased {
        /// The attempt.
        attempt: Attempt,
    },
    /// The place to work in is ready.
    AttemptPrepared {
        /// Which one.
        attempt_id: AttemptId,
        /// The place.
        workplace: Workplace,
    },
    /// The program runs.
    AttemptStarted {
        /// Which one.
        attempt_id: AttemptId,
        /// Its processes.
        process: ProcessIdentity,
    },
    /// The program, started by an earlier run of the engine, was found alive and taken over.
    AttemptAdopted {
        /// Which one.
        attempt_id: AttemptId,
        /// Its processes.
        process: ProcessIdentity,
    },
    /// The attempt was asked to stop.
    AttemptStopping {
        /// Which one.
        attempt_id: AttemptId,
    },
    /// The program ended.
    AttemptExited {
        /// Which one.
        attempt_id: AttemptId,
        /// How.
        record: ExitRecord,
    },
    /// The gates are about to run on what the attempt left.
    AttemptVerifying {
        /// Which one.
        attempt_id: AttemptId,
    },
    /// What the attempt left in its worktree is secured on its branch.
    WorkRecorded {
        /// Which one.
        attempt_id: AttemptId,
        /// What it left.
        work: Work,
    },
    /// A gate has decided.
    GateFinished {
        /// The attempt.
        attempt_id: AttemptId,
        /// What it found.
        result: GateResult,
    },
    /// The gates that the engine runs passed, and somebody's answer is awaited.
    AttemptReviewing {
        /// Which one.
        attempt_id: AttemptId,
    },
    /// An agent was asked to review the work of another.
    ReviewAssigned {
        /// The attempt to review.
        attempt_id: AttemptId,
        /// Which gate of the mission its answer decides.
        index: u32,
        /// The reviewing agent.
        agent_id: AgentId,
    },
    /// The attempt's processes are held where they are, or go on.
    AttemptFrozen {
        /// Which one.
        attempt_id: AttemptId,
        /// Whether they are held.
        frozen: bool,
    },
    /// A checkpoint was made.
    CheckpointMade {
        /// The checkpoint.
        checkpoint: Checkpoint,
    },
    /// A worktree was taken back to a checkpoint.
    CheckpointRestored {
        /// The checkpoint.
        checkpoint_id: CheckpointId,
        /// The commit that holds what was there before.
        before: String,
    },
    /// The attempt is over.
    AttemptEnded {
        /// Which one.
        attempt_id: AttemptId,
        /// Its final state.
        state: AttemptState,
        /// Why, in words a person reads.
        note: Option<String>,
    },
    /// A result came from an attempt that no longer holds the lease; it is kept and not applied.
    ResultLate {
        /// The attempt.
        attempt_id: AttemptId,
        /// What it said.
        note: String,
    },
    /// The captain stopped everything.
    SwarmHalted {
        /// Why, in the captain's words.
        note: Option<String>,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// The captain lets the swarm go on.
    SwarmResumed,
    /// The settings of the workspace were changed.
    SettingsChanged {
        /// The settings from now on.
        settings: Settings,
    },
    /// A policy was created or changed.
    PolicySaved {
        /// The policy.
        policy: Policy,
    },
    /// A policy was removed.
    PolicyRemoved {
        /// Its name.
        name: String,
    },
    /// A template was created or changed.
    TemplateSaved {
        /// The template.
        template: Template,
    },
    /// A template was removed.
    TemplateRemoved {
        /// Its name.
        name: String,
    },
    /// Something is on its way into the trash.
    Trashed {
        /// What.
        item: TrashItem,
    },
    /// Something left the trash.
    TrashEmptied {
        /// What.
        trash_id: TrashId,
        /// How.
        end: TrashEnd,
    },
    /// The agents were asked a question.
    TopicOpened {
        /// The question.
        topic: Topic,
    },
    /// An agent voted.
    VoteCast {
        /// The vote.
        vote: Vote,
    },
    /// A question was decided.
    TopicClosed {
        /// Which one.
        topic_id: TopicId,
        /// How.
        decision: Decided,
    },
    /// A message waits for an agent.
    MessageQueued {
        /// The message.
        message: Message,
    },
    /// An agent's program got messages.
    MessagesDelivered {
        /// Which ones.
        message_ids: Vec<MessageId>,
        /// To which attempt.
        attempt_id: AttemptId,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// An agent has begun to act on messages.
    MessagesStarted {
        /// Which ones.
        message_ids: Vec<MessageId>,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// An agent has answered to messages.
    MessagesAcknowledged {
        /// Which ones.
        message_ids: Vec<MessageId>,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// A message could not be delivered.
    MessageFailed {
        /// Which one.
        message_id: MessageId,
        /// Why, in words a person reads.
        problem: String,
        /// How often its delivery failed by now.
        tries: u32,
        /// Whether it waits for the captain from now on.
        quarantined: bool,
    },
    /// A message is to be delivered again.
    MessageRetried {
        /// Which one.
        message_id: MessageId,
    },
    /// A message is not to be delivered any more.
    MessageDiscarded {
        /// Which one.
        message_id: MessageId,
    },
    /// An agent asks and waits.
    RequestAsked {
        /// What.
        request: Request,
    },
    /// What an agent asked has come to an end.
    RequestEnded {
        /// Which one.
        request_id: RequestId,
        /// How.
        end: RequestEnd,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// The captain wants to answer later.
    RequestDeferred {
        /// Which one.
        request_id: RequestId,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        not_before: Timestamp,
    },
    /// The agent has been told the answer.
    RequestTold {
        /// Which one.
        request_id: RequestId,
    },
    /// A permission rule was made.
    RuleAdded {
        /// The rule.
        rule: Rule,
    },
    /// A permission rule was removed.
    RuleRemoved {
        /// Which one.
        rule_id: RuleId,
    },
    /// What an attempt has used so far.
    UsageMeasured {
        /// The attempt.
        attempt_id: AttemptId,
        /// What it has used, according to one source.
        usage: Usage,
    },
    /// An agent's context has become fuller than a threshold.
    ContextCrossed {
        /// The attempt.
        attempt_id: AttemptId,
        /// The threshold, in percent.
        percent: u8,
        /// How full it is.
        context: Context,
    },
    /// Something was done for an agent that showed no sign of life.
    AttemptRescued {
        /// The attempt.
        attempt_id: AttemptId,
        /// What.
        step: RescueStep,
        /// How long it had been silent, in seconds.
        silent_s: u64,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// An attempt's agent said that it knows what it is to do.
    AttemptAcknowledged {
        /// The attempt.
        attempt_id: AttemptId,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// What it said, shortened.
        said: String,
    },
    /// A report that came as a file was applied, or put into quarantine.
    ReportTaken {
        /// The agent.
        agent_id: AgentId,
        /// The file's name and the checksum of what was in it, which make it one report.
        key: String,
        /// What is wrong with it; nothing where it was applied.
        problem: Option<String>,
    },
    /// A devlog was written.
    DevlogWritten {
        /// The devlog.
        devlog: Devlog,
    },
    /// A devlog was removed from the lists; its events stay.
    DevlogRemoved {
        /// Which one.
        devlog_id: DevlogId,
    },
    /// An access token was made.
    TokenMade {
        /// The token.
        token: AccessToken,
        /// The SHA-256 of its secret, as 64 hexadecimal digits. Nobody finds 256 random bits by it.
        hash: String,
    },
    /// An access token was revoked.
    TokenRevoked {
        /// Which one.
        token_id: TokenId,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
}

impl Fact {
    /// The word for its kind, as in the serialised form.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::EngineStarted { .. } => "engine_started",
            Self::EngineStopped => "engine_stopped",
            Self::AgentAdded { .. } => "agent_added",
            Self::AgentChanged { .. } => "agent_changed",
            Self::AgentRemoved { .. } => "agent_removed",
            Self::AgentCleared { .. } => "agent_cleared",
            Self::MissionCreated { .. } => "mission_created",
            Self::MissionMoved { .. } => "mission_moved",
            Self::MissionChanged { .. } => "mission_changed",
            Self::MissionProgressed { .. } => "mission_progressed",
            Self::HandoffWritten { .. } => "handoff_written",
            Self::WorkMerged { .. } => "work_merged",
            Self::MissionRestored { .. } => "mission_restored",
            Self::MissionAssigned { .. } => "mission_assigned",
            Self::MissionRemoved { .. } => "mission_removed",
            Self::AttemptLeased { .. } => "attempt_leased",
            Self::AttemptPrepared { .. } => "attempt_prepared",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptAdopted { .. } => "attempt_adopted",
            Self::AttemptStopping { .. } => "attempt_stopping",
            Self::AttemptExited { .. } => "attempt_exited",
            Self::AttemptVerifying { .. } => "attempt_verifying",
            Self::WorkRecorded { .. } => "work_recorded",
            Self::GateFinished { .. } => "gate_finished",
            Self::AttemptReviewing { .. } => "attempt_reviewing",
            Self::ReviewAssigned { .. } => "review_assigned",
            Self::AttemptFrozen { .. } => "attempt_frozen",
            Self::CheckpointMade { .. } => "checkpoint_made",
            Self::CheckpointRestored { .. } => "checkpoint_restored",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::SwarmHalted { .. } => "swarm_halted",
            Self::SwarmResumed => "swarm_resumed",
            Self::SettingsChanged { .. } => "settings_changed",
            Self::PolicySaved { .. } => "policy_saved",
            Self::PolicyRemoved { .. } => "policy_removed",
            Self::TemplateSaved { .. } => "template_saved",
            Self::TemplateRemoved { .. } => "template_removed",
            Self::Trashed { .. } => "trashed",
            Self::TrashEmptied { .. } => "trash_emptied",
            Self::TopicOpened { .. } => "topic_opened",
            Self::VoteCast { .. } => "vote_cast",
            Self::TopicClosed { .. } => "topic_closed",
            Self::ResultLate { .. } => "result_late",
            Self::MessageQueued { .. } => "message_queued",
            Self::MessagesDelivered { .. } => "messages_delivered",
            Self::MessagesStarted { .. } => "messages_started",
            Self::MessagesAcknowledged { .. } => "messages_acknowledged",
            Self::MessageFailed { .. } => "message_failed",
            Self::MessageRetried { .. } => "message_retried",
            Self::MessageDiscarded { .. } => "message_discarded",
            Self::RequestAsked { .. } => "request_asked",
            Self::RequestEnded { .. } => "request_ended",
            Self::RequestDeferred { .. } => "request_deferred",
            Self::RequestTold { .. } => "request_told",
            Self::RuleAdded { .. } => "rule_added",
            Self::RuleRemoved { .. } => "rule_removed",
            Self::UsageMeasured { .. } => "usage_measured",
            Self::ContextCrossed { .. } => "context_crossed",
            Self::AttemptRescued { .. } => "attempt_rescued",
            Self::AttemptAcknowledged { .. } => "attempt_acknowledged",
            Self::ReportTaken { .. } => "report_taken",
            Self::DevlogWritten { .. } => "devlog_written",
            Self::DevlogRemoved { .. } => "devlog_removed",
            Self::TokenMade { .. } => "token_made",
            Self::TokenRevoked { .. } => "token_revoked",
        }
    }
}

/// What an event is about; any of them may be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Subject {
    /// The mission.
    pub mission_id: Option<MissionId>,
    /// The attempt.
    pub attempt_id: Option<AttemptId>,
    /// The agent.
    pub agent_id: Option<AgentId>,
}

/// A fact on its way into the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its identity.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The request it belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub fact: Fact,
}

/// A fact in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the log, from 1 without gaps; the order of everything.
    pub seq: u64,
    /// Its identity.
    pub id: EventId,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The request it belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// What it is about.
    pub subject: Subject,
    /// Its place among the events of its mission, from 1 without gaps.
    pub mission_seq: Option<u64>,
    /// What happened.
    pub fact: Fact,
}
