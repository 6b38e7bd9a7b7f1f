//! Agents: configured workers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::AgentId;
use crate::inbox::PermissionPolicy;
use crate::process::{Limits, Sandbox};

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 60;
/// The most agents in one workspace.
pub const AGENTS_MAX: usize = 5_000;
/// Grace between TERM and KILL, in seconds, unless the agent says otherwise.
pub const GRACE_S_DEFAULT: u32 = 10;
/// The shortest and longest grace that can be set, in seconds.
pub const GRACE_S_RANGE: std::ops::RangeInclusive<u32> = 1..=120;
/// The longest rules, in bytes.
pub const RULES_BYTES_MAX: usize = 32 * 1024;
/// How full a context is when that is said, in percent.
pub const CONTEXT_WARN_PERCENT: [u8; 2] = [70, 90];
/// After how much silence an agent that runs elsewhere is lost, in seconds, unless it says otherwise.
pub const LOST_AFTER_S_DEFAULT: u32 = 60;
/// The shortest and longest silence that can be set for that, in seconds.
pub const LOST_AFTER_S_RANGE: std::ops::RangeInclusive<u32> = 2..=3_600;
/// Stands for the value of a variable wherever an agent is told.
pub const HIDDEN: &str = "«hidden»";
/// What a value begins with that names a secret and is none itself.
const NAMED: &str = "secret:";
/// The variables of what has none.
static NO_VARIABLES: BTreeMap<String, String> = BTreeMap::new();
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
        /// Whether it has a terminal; it then gets what is typed there, and no brief on standard input.
        #[serde(default)]
        terminal: bool,
    },
    /// A program that speaks the Agent Client Protocol on standard input and output.
    Acp {
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables set on top of the inherited environment.
        env: BTreeMap<String, String>,
        /// The preset whose ways it has; `custom` has none.
        preset: String,
    },
    /// A program that does one mission and tells of it as lines of JSON, or of text.
    Headless {
        /// The program.
        program: String,
        /// Its arguments, with `{brief}` where the brief goes.
        args: Vec<String>,
        /// Variables set on top of the inherited environment.
        env: BTreeMap<String, String>,
        /// The preset whose ways and format it has.
        preset: String,
    },
    /// A program that was started elsewhere and asks for its missions itself. It has no process of
    /// ours: that it lives is known by its heartbeat alone.
    Attached {
        /// After how much silence it is lost, in seconds.
        lost_after_s: u32,
    },
}

impl Runtime {
    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
            Self::Acp { .. } => "acp",
            Self::Headless { .. } => "headless",
            Self::Attached { .. } => "attached",
        }
    }

    /// The program it starts; empty where nothing is started.
    #[must_use]
    pub fn program(&self) -> &str {
        match self {
            Self::Command { program, .. }
            | Self::Acp { program, .. }
            | Self::Headless { program, .. } => program,
            Self::Attached { .. } => "",
        }
    }

    /// The arguments of its program.
    #[must_use]
    pub fn args(&self) -> &[String] {
        match self {
            Self::Command { args, .. } | Self::Acp { args, .. } | Self::Headless { args, .. } => {
                args
            }
            Self::Attached { .. } => &[],
        }
    }

    /// The variables its program gets on top of the inherited ones.
    #[must_use]
    pub const fn env(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Command { env, .. } | Self::Acp { env, .. } | Self::Headless { env, .. } => env,
            Self::Attached { .. } => &NO_VARIABLES,
        }
    }

    /// The runtime as it is told to whoever may see agents: without the values of its variables, which
    /// may be secrets. Names of secrets stay.
    #[must_use]
    pub fn told(mut self) -> Self {
        if let Self::Command { env, .. } | Self::Acp { env, .. } | Self::Headless { env, .. } =
            &mut self
        {
            let hidden = |value: &&mut String| !value.is_empty() && !value.starts_with(NAMED);
            env.values_mut().filter(hidden).for_each(|value| HIDDEN.clone_into(value));
        }
        self
    }

    /// The preset whose ways it has.
    #[must_use]
    pub fn preset(&self) -> Option<&str> {
        match self {
            Self::Command { .. } | Self::Attached { .. } => None,
            Self::Acp { preset, .. } | Self::Headless { preset, .. } => Some(preset),
        }
    }

    /// After how much silence it is lost, in seconds, where it runs elsewhere.
    #[must_use]
    pub const fn lost_after_s(&self) -> Option<u32> {
        match self {
            Self::Attached { lost_after_s } => Some(*lost_after_s),
            _ => None,
        }
    }

    /// Whether its program has a terminal.
    #[must_use]
    pub const fn has_terminal(&self) -> bool {
        matches!(self, Self::Command { terminal: true, .. })
    }
}

/// What an agent may do, and what it is told beside its missions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Conduct {
    /// Who answers its permission requests.
    pub permissions: PermissionPolicy,
    /// Limits of its processes.
    pub limits: Limits,
    /// What its processes cannot reach; nothing means they can reach what the captain can.
    pub sandbox: Option<Sandbox>,
    /// Rules it is told with every mission.
    pub rules: String,
    /// Whether what it is told is also written into its worktree, as `AGENTS.md` where there is none.
    pub files: bool,
    /// Of how full its context must be, in percent, for it to hand over; nothing never does.
    pub handover_at_percent: Option<u8>,
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
    /// What it may do.
    #[serde(default)]
    pub conduct: Conduct,
    /// Held back by the captain: gets no new mission.
    pub paused: bool,
    /// Made by the demo swarm; removed with it.
    pub demo: bool,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}
