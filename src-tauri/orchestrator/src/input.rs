//! Everything that can come in to the orchestrator: a closed set.

use model::agent::Agent;
use model::attempt::{Work, Workplace};
use model::gate::GateResult;
use model::id::{AgentId, AttemptId, MissionId};
use model::mission::Mission;
use model::process::{ExitRecord, ProcessIdentity};
use model::transition::MissionInput;

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
    /// The captain creates a mission.
    AddMission {
        /// The mission, as a draft.
        mission: Mission,
        /// What is to be done.
        brief: String,
        /// Whether it is offered to the agents at once.
        queue: bool,
    },
    /// The captain asks something of a mission.
    Ask {
        /// Which one.
        id: MissionId,
        /// What.
        input: MissionInput,
        /// Why, in the captain's words.
        note: Option<String>,
    },
    /// The captain chooses the agent of a mission.
    Assign {
        /// Which one.
        id: MissionId,
        /// The agent; nothing means any that is free.
        agent: Option<AgentId>,
    },
    /// A finished mission leaves the lists.
    RemoveMission(MissionId),
    /// Look for a mission and a free agent.
    Schedule,
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
    /// A gate has decided.
    GateFinished {
        /// The attempt.
        id: AttemptId,
        /// What it found.
        result: GateResult,
    },
    /// Every gate that was to run has decided.
    Verified {
        /// The attempt.
        id: AttemptId,
        /// What they found.
        gates: Vec<GateResult>,
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
}

impl Input {
    /// The mission that must be known to decide on this.
    #[must_use]
    pub const fn mission_id(&self) -> Option<MissionId> {
        match self {
            Self::Ask { id, .. } | Self::Assign { id, .. } | Self::RemoveMission(id) => Some(*id),
            _ => None,
        }
    }
}
