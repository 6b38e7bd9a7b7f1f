//! Agents: configured workers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::AgentId;

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 60;
/// The most agents in one workspace.
pub const AGENTS_MAX: usize = 5_000;
/// Grace between TERM and KILL, in seconds, unless the agent says otherwise.
pub const GRACE_S_DEFAULT: u32 = 10;
/// The shortest and longest grace that can be set, in seconds.
pub const GRACE_S_RANGE: std::ops::RangeInclusive<u32> = 1..=120;
/// The placeholder in an argument that becomes the brief's text.
pub const BRIEF_PLACEHOLDER: &str = "{brief}";
/// The placeholder in an argument that becomes the path of a file with the brief.
pub const BRIEF_FILE_PLACEHOLDER: &str = "{brief_file}";

/// How an agent is driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Runtime {
    /// Any program. It gets the brief where an argument says `{brief}` or `{brief_file}`, and on
    /// standard input when none does; exit code 0 claims completion.
    Command {
        /// The program: a path, or a name looked up in `PATH`.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables set on top of the inherited environment.
        env: BTreeMap<String, String>,
    },
}

impl Runtime {
    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
        }
    }

    /// The program it starts.
    #[must_use]
    pub fn program(&self) -> &str {
        match self {
            Self::Command { program, .. } => program,
        }
    }
}

/// A configured worker, bound to at most one process tree at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// Its identity.
    pub id: AgentId,
    /// Its name, unique in the workspace whatever the case.
    pub name: String,
    /// What it is for, in a few words.
    pub role: String,
    /// What it can do, as words that missions may ask for.
    pub skills: Vec<String>,
    /// How it is driven.
    pub runtime: Runtime,
    /// Where it starts when a mission names no repository; nothing means a fresh directory per attempt.
    pub directory: Option<String>,
    /// Time between TERM and KILL, in seconds.
    pub grace_s: u32,
    /// Held back by the captain: gets no new mission.
    pub paused: bool,
    /// Made by the demo swarm; removed with it.
    pub demo: bool,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}
