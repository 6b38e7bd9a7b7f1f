//! Status: derived from facts when it is read, never stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::agent::Agent;
use crate::attempt::{Attempt, AttemptState};

/// Silence after which a working agent is called quiet, in seconds.
pub const QUIET_AFTER_S: i64 = 120;

/// What an agent is doing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// It cannot be started: its program is not there.
    Offline,
    /// Its workplace and process are being made.
    Starting,
    /// It has nothing to do.
    Idle,
    /// Its process runs and prints.
    Working,
    /// It asks the captain.
    WaitingForCaptain,
    /// Held back by the captain.
    Paused,
    /// Its process runs and has printed nothing for a while.
    Quiet,
    /// Its process runs and shows no activity at all.
    Stalled,
    /// Its process should run, and the operating system does not know it.
    LostSignal,
    /// It fails again and again at once.
    CrashLooping,
    /// Its process tree is being ended.
    Stopping,
}

impl AgentState {
    /// Every state.
    pub const ALL: [Self; 11] = [
        Self::Offline,
        Self::Starting,
        Self::Idle,
        Self::Working,
        Self::WaitingForCaptain,
        Self::Paused,
        Self::Quiet,
        Self::Stalled,
        Self::LostSignal,
        Self::CrashLooping,
        Self::Stopping,
    ];
}

/// An agent's state with what it was derived from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentStatus {
    /// The state.
    pub state: AgentState,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Why, in words a person reads.
    pub reason: String,
    /// The fact that says so, such as `attempt`, `process table`, `output`.
    pub signal: String,
}

/// What is known of an agent.
#[derive(Debug, Clone, Copy)]
pub struct AgentFacts<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// Why its program cannot be started, where that is known.
    pub missing: Option<&'a str>,
    /// The unfinished attempt it is occupied with.
    pub attempt: Option<&'a Attempt>,
    /// Whether it was asked to review the work of another agent.
    pub reviewing: bool,
    /// Whether the operating system knows the attempt's processes; nothing before the first look.
    pub alive: Option<bool>,
    /// When it last printed something.
    pub last_output_at: Option<Timestamp>,
    /// When it last became free.
    pub free_since: Timestamp,
}

/// Derives the state of an agent.
#[must_use]
pub fn agent_status(facts: &AgentFacts<'_>, now: Timestamp) -> AgentStatus {
    match facts.attempt {
        Some(attempt) => busy_status(facts, attempt, now),
        None => free_status(facts),
    }
}

fn free_status(facts: &AgentFacts<'_>) -> AgentStatus {
    let status = |state, reason: &str, signal: &str| AgentStatus {
        state,
        since: facts.free_since,
        reason: reason.to_owned(),
        signal: signal.to_owned(),
    };
    if facts.reviewing {
        return status(AgentState::Working, "reviews the work of another agent", "review");
    }
    if facts.agent.paused {
        return status(AgentState::Paused, "held back by the captain", "agent");
    }
    match facts.missing {
        Some(why) => status(AgentState::Offline, why, "program"),
        None => status(AgentState::Idle, "no mission", "attempt"),
    }
}

fn busy_status(facts: &AgentFacts<'_>, attempt: &Attempt, now: Timestamp) -> AgentStatus {
    let status = |state, since, reason: String, signal: &str| AgentStatus {
        state,
        since,
        reason,
        signal: signal.to_owned(),
    };
    let started = attempt.process.as_ref().map_or(attempt.leased_at, |process| process.started_at);
    if attempt.stopping {
        return status(
            AgentState::Stopping,
            started,
            "its processes are being ended".into(),
            "attempt",
        );
    }
    if attempt.frozen && facts.alive != Some(false) {
        return status(AgentState::Paused, started, "its processes are held".into(), "attempt");
    }
    match attempt.state {
        AttemptState::Leased | AttemptState::Starting => {
            status(AgentState::Starting, attempt.leased_at, "being started".into(), "attempt")
        }
        AttemptState::Running if facts.alive == Some(false) => status(
            AgentState::LostSignal,
            started,
            "its process is not in the process table".into(),
            "process table",
        ),
        AttemptState::Running => running_status(facts, started, now),
        _ => {
            let since = attempt.exit.as_ref().map_or(started, |record| record.ended_at);
            status(AgentState::Working, since, "the gates run on its work".into(), "attempt")
        }
    }
}

fn running_status(facts: &AgentFacts<'_>, started: Timestamp, now: Timestamp) -> AgentStatus {
    let last = facts.last_output_at.unwrap_or(started).max(started);
    let silent_s = now.duration_since(last).as_secs();
    if silent_s >= QUIET_AFTER_S {
        return AgentStatus {
            state: AgentState::Quiet,
            since: last,
            reason: format!("printed nothing for {silent_s} s"),
            signal: "output".to_owned(),
        };
    }
    AgentStatus {
        state: AgentState::Working,
        since: started,
        reason: "its process runs".to_owned(),
        signal: "process table".to_owned(),
    }
}

/// Why a queued mission has not started; computed from facts when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Waiting {
    /// There is no agent at all.
    NoAgent,
    /// Every agent is busy or paused.
    NoFreeAgent,
    /// The chosen agent works on something else.
    AgentBusy {
        /// The agent's name.
        agent: String,
    },
    /// The chosen agent is paused.
    AgentPaused {
        /// The agent's name.
        agent: String,
    },
    /// The chosen agent was removed.
    AgentRemoved,
    /// Missions it depends on are not done.
    Dependencies {
        /// Their short ids.
        missions: Vec<String>,
        /// Those of them that failed, were cancelled or are gone, so that waiting alone does not help.
        stuck: Vec<String>,
    },
    /// No agent has the skills it needs.
    Skills {
        /// Those that no single agent has all of.
        skills: Vec<String>,
    },
    /// It is too early.
    Until {
        /// When it can start.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// The captain stopped everything.
    Halted,
    /// Too little memory is free.
    Memory {
        /// How much is free, in percent.
        free_percent: u8,
        /// How much must be.
        needed_percent: u8,
    },
    /// As many attempts run as are allowed at once.
    Limit {
        /// How many that is.
        running_max: u32,
    },
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dependencies { missions, stuck } if stuck.is_empty() => {
                write!(f, "waiting for {} to be done", missions.join(", "))
            }
            Self::Dependencies { stuck, .. } => write!(
                f,
                "waiting for {}, which will not be done by {}",
                stuck.join(", "),
                if stuck.len() == 1 { "itself" } else { "themselves" }
            ),
            Self::Skills { skills } => {
                write!(f, "waiting for an agent that can {}", skills.join(", "))
            }
            Self::Until { at } => write!(f, "waiting until {at:.0}"),
            Self::Halted => f.write_str("waiting: you stopped everything; resume the swarm"),
            Self::Memory { free_percent, needed_percent } => write!(
                f,
                "waiting for memory: {free_percent} % is free, {needed_percent} % must be"
            ),
            Self::NoAgent => f.write_str("waiting for an agent: there is none yet"),
            Self::NoFreeAgent => f.write_str("waiting for a free agent"),
            Self::AgentBusy { agent } => write!(f, "waiting for {agent} to be free"),
            Self::AgentPaused { agent } => write!(f, "waiting: {agent} is paused"),
            Self::AgentRemoved => f.write_str("waiting: the chosen agent was removed"),
            Self::Limit { running_max } => {
                write!(f, "waiting: {running_max} attempts run, which is the limit")
            }
        }
    }
}
