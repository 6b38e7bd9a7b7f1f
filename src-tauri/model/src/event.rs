//! Events: the append-only log that every row is computed from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::agent::Agent;
use crate::attempt::{Attempt, AttemptState, Work, Workplace};
use crate::devlog::Devlog;
use crate::gate::{GateResult, Grade};
use crate::id::{AgentId, AttemptId, CorrelationId, DevlogId, EventId, MissionId};
use crate::mission::{Mission, MissionState};
use crate::process::{ExitRecord, ProcessIdentity};

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// The human in charge.
    Captain,
    /// The engine itself.
    Engine,
    /// An agent.
    Agent {
        /// Which one.
        id: AgentId,
    },
}

/// What happened. Replaying the facts in order gives every row of the ledger again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "facts are moved once, into the ledger; a box buys nothing"
)]
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
            Self::MissionCreated { .. } => "mission_created",
            Self::MissionMoved { .. } => "mission_moved",
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
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::ResultLate { .. } => "result_late",
            Self::DevlogWritten { .. } => "devlog_written",
            Self::DevlogRemoved { .. } => "devlog_removed",
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
