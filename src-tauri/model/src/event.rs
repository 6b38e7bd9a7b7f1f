//! Events: the append-only log that every row is computed from.

mod kind;
mod log;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::actor::Actor;
use crate::agent::Agent;
use crate::attempt::{Attempt, AttemptState, Checkpoint, Work, Workplace};
use crate::devlog::Devlog;
use crate::gate::{GateResult, Grade};
use crate::health::{CheckChange, HealthCheck, Maintenance, Report};
use crate::hook::Hook;
use crate::id::{
    AgentId, AttemptId, CheckId, CheckpointId, DevlogId, HookId, LoginId, MaintenanceId, MessageId,
    MissionId, RequestId, RuleId, TokenId, TopicId, TrashId,
};
use crate::inbox::{Request, RequestEnd, Rule};
use crate::login::{Login, LoginEnd};
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
pub use log::{Event, NewEvent, Subject};

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
    /// An agent that runs elsewhere took the attempt; no process of ours works on it.
    AttemptTaken {
        /// Which one.
        attempt_id: AttemptId,
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
    /// A hook was made, changed, or switched on or off.
    HookSaved {
        /// The hook as it is from now on.
        hook: Hook,
    },
    /// A hook was removed.
    HookRemoved {
        /// Which one.
        hook_id: HookId,
    },
    /// A run of a hook failed, or was ended at a limit.
    HookFailed {
        /// Which one.
        hook_id: HookId,
        /// Its name.
        name: String,
        /// The event it ran on.
        event_seq: u64,
        /// How it ended, in words a person reads.
        reason: String,
    },
    /// A health check of the captain's was made, changed, or switched on or off.
    CheckSaved {
        /// The check as it is from now on.
        check: HealthCheck,
    },
    /// A health check was removed, with its history.
    CheckRemoved {
        /// Which one.
        check_id: CheckId,
    },
    /// Something that is waited for has reported by itself.
    CheckReported {
        /// The check that waits for it.
        check_id: CheckId,
        /// What it said.
        report: Report,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// Checks found that something is no longer as it was.
    ChecksChanged {
        /// What is different, in order; at most 500.
        changes: Vec<CheckChange>,
    },
    /// A time of maintenance was set.
    MaintenanceSaved {
        /// The time, and what it is for.
        maintenance: Maintenance,
    },
    /// A time of maintenance was called off, or ended by the captain.
    MaintenanceRemoved {
        /// Which one.
        maintenance_id: MaintenanceId,
    },
    /// A secret was kept, or another value was kept under its name. The value is nowhere in the ledger.
    SecretKept {
        /// Its name.
        name: String,
    },
    /// A secret was removed.
    SecretRemoved {
        /// Its name.
        name: String,
    },
    /// A backup was made and verified.
    BackupMade {
        /// The name of its file.
        file: String,
        /// How many events it holds.
        events: u64,
    },
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
    /// An access token was revoked, and browsers that were signed in with it are so no longer.
    TokenRevoked {
        /// Which one.
        token_id: TokenId,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// A browser signed in.
    LoggedIn {
        /// Its login.
        login: Login,
        /// The SHA-256 of what its cookie holds, as 64 hexadecimal digits.
        cookie_hash: String,
        /// The SHA-256 of what its page holds, likewise.
        page_hash: String,
    },
    /// A browser is signed in no longer.
    LoggedOut {
        /// Which login.
        login_id: LoginId,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// Why.
        why: LoginEnd,
    },
}
