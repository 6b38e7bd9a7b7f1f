//! Everything that can come in to the orchestrator: a closed set.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::agent::Agent;
use model::attempt::{Checkpoint, Work, Workplace};
use model::devlog::Devlog;
use model::event::Fact;
use model::gate::GateResult;
use model::id::{
    AgentId, AttemptId, CheckpointId, MessageId, MissionId, RequestId, RuleId, TopicId, TrashId,
};
use model::inbox::{Request, Rule, Scope};
use model::message::Message;
use model::mission::{Merge, Mission, Progress};
use model::policy::Policy;
use model::process::{ExitRecord, ProcessIdentity};
use model::rescue::RescueStep;
use model::settings::{Settings, Template};
use model::topic::{Topic, Vote};
use model::transition::MissionInput;
use model::trash::{TrashEnd, TrashItem};
use model::usage::{Context, Usage};

use crate::streaks::Held;

/// What the captain asks of a mission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What.
    pub input: MissionInput,
    /// Why, in the captain's words.
    pub note: Option<String>,
    /// A pause keeps the processes, held where they are; otherwise they are stopped at a checkpoint.
    pub keep_processes: bool,
    /// A retry starts anew instead of going on from the work of the attempt before.
    pub fresh: bool,
    /// Where the work that is accepted was merged.
    pub merge: Option<Merge>,
    /// The commit that was reviewed, where the captain said which; another one is not accepted.
    pub reviewed: Option<String>,
}

impl Wish {
    /// A plain wish.
    #[must_use]
    pub const fn new(input: MissionInput) -> Self {
        Self { input, note: None, keep_processes: false, fresh: false, merge: None, reviewed: None }
    }
}

/// How the captain answers what an agent asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Allowed, this time.
    Once,
    /// Allowed, and so is everything that fits the pattern from now on.
    Always {
        /// How far the rule reaches.
        scope: Scope,
        /// What it fits.
        pattern: String,
    },
    /// Not allowed.
    Deny {
        /// Why, for the agent.
        note: Option<String>,
    },
    /// The answer to a question.
    Text(String),
    /// Later.
    NotNow,
}

/// A report that came as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose inbox it came into.
    pub agent_id: AgentId,
    /// What makes it one report, however often it is read.
    pub key: String,
    /// What is wrong with it; nothing where it is applied.
    pub problem: Option<String>,
    /// What it asks for, in order; nothing of it is carried out where one of them is refused.
    pub inputs: Vec<Input>,
}

/// A step towards an agent that shows no sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescue {
    /// Its attempt.
    pub id: AttemptId,
    /// What is done.
    pub step: RescueStep,
    /// How long it has been silent, in seconds.
    pub silent_s: u64,
    /// What it is told.
    pub message: Option<Box<Message>>,
}

/// What the scheduler must know beside the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cycle {
    /// Agents that failed again and again, and until when they get nothing.
    pub held: Held,
    /// Agents that run elsewhere and are not heard of.
    pub absent: Arc<BTreeSet<AgentId>>,
    /// How much of the machine's memory is free, in percent; nothing when it was not measured.
    pub memory_free_percent: Option<u8>,
}

/// Everything that can come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The captain creates an agent.
    AddAgent(Agent),
    /// The captain removes an agent.
    RemoveAgent(AgentId),
    /// The captain holds an agent back, or lets it go on.
    HoldAgent {
        /// Which one.
        id: AgentId,
        /// Whether it is held back.
        paused: bool,
    },
    /// The captain lets an agent start again that is held back because it failed again and again.
    ClearAgent(AgentId),
    /// The captain creates a mission.
    AddMission {
        /// The mission, as a draft.
        mission: Mission,
        /// What is to be done.
        brief: String,
        /// Whether it is offered to the agents at once.
        queue: bool,
    },
    /// The captain changes a mission that is not under way.
    EditMission {
        /// The mission as it is to be; what the captain cannot set is taken from what is there.
        mission: Mission,
        /// The new brief; nothing leaves it.
        brief: Option<String>,
    },
    /// The captain asks something of a mission.
    Ask {
        /// Which one.
        id: MissionId,
        /// What.
        wish: Wish,
    },
    /// The captain chooses the agent of a mission.
    Assign {
        /// Which one.
        id: MissionId,
        /// The agent; nothing means any that is free.
        agent: Option<AgentId>,
    },
    /// It is said how far a mission is.
    Progress {
        /// Which one.
        id: MissionId,
        /// How far.
        progress: Progress,
        /// Criteria that are met, or no longer, by their place.
        criteria: Vec<(usize, bool)>,
    },
    /// A finished mission leaves the lists.
    RemoveMission {
        /// Which one.
        id: MissionId,
        /// Where it can be restored from; nothing when it is not to be.
        trash: Option<TrashItem>,
    },
    /// A removed mission comes back.
    RestoreMission {
        /// Which one.
        id: MissionId,
        /// What it was in the trash.
        trash_id: TrashId,
    },
    /// Look for missions and free agents.
    Schedule(Cycle),
    /// The place to work in is ready.
    Prepared {
        /// The attempt.
        id: AttemptId,
        /// The place.
        workplace: Workplace,
    },
    /// The program runs.
    Started {
        /// The attempt.
        id: AttemptId,
        /// Its processes.
        process: ProcessIdentity,
    },
    /// An agent that runs elsewhere took its attempt.
    Taken {
        /// The attempt.
        id: AttemptId,
    },
    /// A program started by an earlier run of the engine is taken over.
    Adopted {
        /// The attempt.
        id: AttemptId,
        /// Its processes.
        process: ProcessIdentity,
    },
    /// The program ended, or never ran.
    Exited {
        /// The attempt.
        id: AttemptId,
        /// How.
        record: ExitRecord,
    },
    /// What the attempt left is secured.
    Secured {
        /// The attempt.
        id: AttemptId,
        /// What it left.
        work: Work,
    },
    /// A gate has decided: one of the engine, a reviewing agent, or a build server.
    GateFinished {
        /// The attempt.
        id: AttemptId,
        /// What it found.
        result: GateResult,
    },
    /// Every gate of the engine has decided.
    Verified {
        /// The attempt.
        id: AttemptId,
        /// What could not be secured, if anything.
        problem: Option<String>,
    },
    /// The process tree of an attempt that was asked to stop is empty.
    Stopped {
        /// The attempt.
        id: AttemptId,
        /// How its program ended.
        record: ExitRecord,
        /// What could not be secured, if anything.
        problem: Option<String>,
    },
    /// The processes of an attempt are held, or go on.
    Froze {
        /// The attempt.
        id: AttemptId,
        /// Whether they are held.
        frozen: bool,
    },
    /// The work is not as it was reviewed.
    Changed {
        /// The mission.
        id: MissionId,
        /// What is different, in words a person reads.
        note: String,
    },
    /// A checkpoint was made.
    Checkpointed(Checkpoint),
    /// A worktree was taken back to a checkpoint.
    Restored {
        /// The attempt.
        id: AttemptId,
        /// The checkpoint.
        checkpoint_id: CheckpointId,
        /// The commit that holds what was there before.
        before: String,
    },
    /// The captain stops everything.
    Halt {
        /// Why.
        note: Option<String>,
    },
    /// The captain lets the swarm go on.
    ResumeSwarm,
    /// Several at once: all of them, or none.
    Several(Vec<Input>),
    /// Something about the house that changes nothing the orchestrator decides on: hooks, secrets,
    /// backups.
    Record(Fact),
    /// The captain changes the settings.
    Configure(Settings),
    /// The captain creates or changes a policy.
    SavePolicy(Policy),
    /// The captain removes a policy.
    RemovePolicy(String),
    /// The captain creates or changes a template.
    SaveTemplate(Template),
    /// The captain removes a template.
    RemoveTemplate(String),
    /// Something is about to be moved into the trash.
    Trash(TrashItem),
    /// Something left the trash.
    EmptyTrash {
        /// What.
        id: TrashId,
        /// How.
        end: TrashEnd,
    },
    /// The captain changes an agent; who it is and what it did stays.
    EditAgent(Agent),
    /// Somebody has something to say to an agent.
    QueueMessage(Message),
    /// An agent's program got messages.
    Delivered {
        /// Which ones.
        messages: Vec<MessageId>,
        /// To which attempt.
        id: AttemptId,
    },
    /// An agent has begun to act on messages.
    Begun {
        /// Which ones.
        messages: Vec<MessageId>,
    },
    /// An agent has answered to messages.
    Answered {
        /// Which ones.
        messages: Vec<MessageId>,
    },
    /// A message could not be delivered.
    NotDelivered {
        /// Which one.
        id: MessageId,
        /// Why, in words a person reads.
        problem: String,
    },
    /// The captain wants a message delivered again.
    RetryMessage(MessageId),
    /// The captain does not want a message delivered any more.
    DiscardMessage(MessageId),
    /// An agent asks and waits.
    Asked(Box<Request>),
    /// The captain answers what an agent asks.
    Reply {
        /// What it asked.
        id: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// The agent no longer waits for the answer.
    Withdrawn {
        /// What it asked.
        id: RequestId,
        /// Why, in words a person reads.
        why: String,
    },
    /// The agent has been told the answer.
    ReplyTold(RequestId),
    /// The captain makes a permission rule.
    AddRule(Rule),
    /// The captain removes a permission rule.
    RemoveRule(RuleId),
    /// An attempt's use was measured.
    Measured {
        /// The attempt.
        id: AttemptId,
        /// What it has used, according to one source.
        usage: Box<Usage>,
    },
    /// An agent's context became fuller than a threshold.
    ContextCrossed {
        /// The attempt.
        id: AttemptId,
        /// The threshold, in percent.
        percent: u8,
        /// How full it is.
        context: Context,
    },
    /// An attempt's agent says that it knows what it is to do.
    Acknowledged {
        /// The attempt.
        id: AttemptId,
        /// What it said, shortened.
        said: String,
    },
    /// An agent wrote down what the next attempt needs to know.
    WriteHandoff {
        /// Its attempt.
        id: AttemptId,
        /// What.
        text: String,
    },
    /// Something is done for an agent that shows no sign of life.
    Rescue(Rescue),
    /// An agent wrote something into its mission's devlog.
    Note(Devlog),
    /// A report came as a file.
    Report(Report),
    /// The agents are asked a question.
    OpenTopic(Topic),
    /// An agent votes.
    Vote(Vote),
    /// A question is decided.
    CloseTopic {
        /// Which one.
        id: TopicId,
        /// The option the captain takes; nothing takes the one with most votes.
        option: Option<String>,
        /// Why, in the captain's words.
        note: Option<String>,
    },
}

impl Input {
    /// The mission that must be known to decide on this.
    #[must_use]
    pub fn mission_id(&self) -> Option<MissionId> {
        match self {
            Self::Ask { id, .. }
            | Self::Assign { id, .. }
            | Self::Progress { id, .. }
            | Self::Changed { id, .. }
            | Self::RemoveMission { id, .. }
            | Self::RestoreMission { id, .. } => Some(*id),
            Self::EditMission { mission, .. } => Some(mission.id),
            Self::Report(Report { inputs, .. }) => inputs.iter().find_map(Self::mission_id),
            _ => None,
        }
    }

    /// The attempt that must be known to decide on this.
    #[must_use]
    pub fn attempt_id(&self) -> Option<AttemptId> {
        match self {
            Self::Prepared { id, .. }
            | Self::Started { id, .. }
            | Self::Taken { id }
            | Self::Adopted { id, .. }
            | Self::Exited { id, .. }
            | Self::Secured { id, .. }
            | Self::GateFinished { id, .. }
            | Self::Verified { id, .. }
            | Self::Stopped { id, .. }
            | Self::Froze { id, .. }
            | Self::Measured { id, .. }
            | Self::ContextCrossed { id, .. }
            | Self::Acknowledged { id, .. }
            | Self::WriteHandoff { id, .. }
            | Self::Restored { id, .. } => Some(*id),
            Self::Checkpointed(checkpoint) => Some(checkpoint.attempt_id),
            Self::Asked(request) => Some(request.attempt_id),
            Self::Rescue(rescue) => Some(rescue.id),
            Self::Report(Report { inputs, .. }) => inputs.iter().find_map(Self::attempt_id),
            _ => None,
        }
    }

    /// The messages that must be known to decide on this.
    #[must_use]
    pub fn message_ids(&self) -> &[MessageId] {
        match self {
            Self::Delivered { messages, .. }
            | Self::Begun { messages }
            | Self::Answered { messages } => messages,
            Self::NotDelivered { id, .. } => std::slice::from_ref(id),
            Self::RetryMessage(id) | Self::DiscardMessage(id) => std::slice::from_ref(id),
            // At most one of them is about messages.
            Self::Report(Report { inputs, .. }) => {
                inputs.iter().map(Self::message_ids).find(|ids| !ids.is_empty()).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// The request that must be known to decide on this, although it has ended.
    #[must_use]
    pub const fn ended_request_id(&self) -> Option<RequestId> {
        match self {
            Self::ReplyTold(id) => Some(*id),
            _ => None,
        }
    }

    /// Missions that the input makes another one depend on.
    #[must_use]
    pub fn depends_on(&self) -> &[MissionId] {
        match self {
            Self::AddMission { mission, .. } | Self::EditMission { mission, .. } => {
                &mission.depends_on
            }
            _ => &[],
        }
    }
}
