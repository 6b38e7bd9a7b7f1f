//! The words of `hivekeeper agent` and `hivekeeper preset`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use model::inbox::PermissionPolicy;
use model::process;

use super::given;
use crate::selector::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// List the agents.
    #[command(after_help = "Example: hivekeeper agent list")]
    List,
    /// Create an agent.
    #[command(
        after_help = "Example: hivekeeper agent add ann --command 'sh -c \"cat > out.txt\"'\n\
        With a preset: hivekeeper agent add bob --preset goose --permissions ask"
    )]
    Add(AddAgent),
    /// Change an agent; what is not named stays.
    #[command(after_help = "Example: hivekeeper agent edit ann --limit-memory 2G --sandbox")]
    Edit(EditAgent),
    /// Show an agent.
    #[command(after_help = "Example: hivekeeper agent show ann")]
    Show {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
    /// Show how well an agent works, or all of them: counted anew from the ledger.
    #[command(after_help = "Example: hivekeeper agent efficiency ann --last 30d")]
    Efficiency {
        /// Its name or id; all of them where none is given.
        #[arg(value_parser = given)]
        agent: Option<String>,
        /// How far back, such as 12h or 30d.
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
        last: Duration,
    },
    /// Hold an agent back: it gets no new mission.
    #[command(after_help = "Example: hivekeeper agent pause ann")]
    Pause {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
    /// Let an agent go on.
    #[command(after_help = "Example: hivekeeper agent resume ann")]
    Resume {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
    /// Stop an agent: it gets no new mission, and the one it works on is held back.
    #[command(after_help = "Example: hivekeeper agent stop ann\n\
        Its processes are stopped at a checkpoint; 'agent start' goes on from there.")]
    Stop {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
    /// Start an agent again, with the mission that was held back.
    #[command(after_help = "Example: hivekeeper agent start ann")]
    Start {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
    /// Remove an agent; what it did stays.
    #[command(after_help = "Example: hivekeeper agent remove ann")]
    Remove {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Preset {
    /// List the agents known by name, with where they are and what is missing.
    #[command(after_help = "Example: hivekeeper preset list")]
    List,
    /// Start one in a place of its own, greet it and end it; nothing is asked of its model.
    #[command(after_help = "Example: hivekeeper preset test goose\n\
        Exits with 1 when it did not answer.")]
    Test {
        /// Its name.
        #[arg(value_parser = given)]
        preset: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddAgent {
    /// Its name, unique whatever the case.
    pub(crate) name: String,
    /// How its command line is driven: command (unless given), acp or headless.
    #[arg(long, value_name = "command|acp|headless")]
    pub(crate) runtime: Option<String>,
    /// Its command line, quoted as in a shell; {brief} and {brief_file} are filled in.
    #[arg(long, value_name = "LINE", required_unless_present = "preset")]
    pub(crate) command: Option<String>,
    /// How the lines of a headless command line are read.
    #[arg(
        long,
        value_name = "claude|codex|gemini|opencode|goose|copilot|chat|aider|text",
        requires = "command"
    )]
    pub(crate) format: Option<String>,
    /// A known agent program; see 'hivekeeper preset list'.
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// Give a plain command a terminal, to be typed into.
    #[arg(long)]
    pub(crate) terminal: bool,
    /// What it is for.
    #[arg(long, default_value = "")]
    pub(crate) role: String,
    /// What it can do; may be repeated.
    #[arg(long = "skill", value_name = "SKILL")]
    pub(crate) skills: Vec<String>,
    /// A variable of its environment; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// Where it starts when a mission names no repository.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Seconds between TERM and KILL when it is stopped (1 to 120).
    #[arg(long, value_name = "SECONDS")]
    pub(crate) grace: Option<u32>,
    #[command(flatten)]
    pub(crate) conduct: ConductFlags,
}

#[derive(Debug, Args)]
pub(crate) struct EditAgent {
    /// Its name or id.
    #[arg(value_parser = given)]
    pub(crate) agent: String,
    /// Another name.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Another command line; only while it has no attempt under way.
    #[arg(long, value_name = "LINE")]
    pub(crate) command: Option<String>,
    /// What it is for.
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// What it can do, all of it; may be repeated.
    #[arg(long = "skill", value_name = "SKILL", conflicts_with = "no_skills")]
    pub(crate) skills: Vec<String>,
    /// It can do nothing in particular.
    #[arg(long)]
    pub(crate) no_skills: bool,
    /// A variable of its environment that is set or changed; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// A variable that is not set any more; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) unset_env: Vec<String>,
    /// Where it starts when a mission names no repository.
    #[arg(long, value_name = "DIR", conflicts_with = "no_dir")]
    pub(crate) dir: Option<PathBuf>,
    /// A fresh directory for each attempt.
    #[arg(long)]
    pub(crate) no_dir: bool,
    /// Seconds between TERM and KILL when it is stopped (1 to 120).
    #[arg(long, value_name = "SECONDS")]
    pub(crate) grace: Option<u32>,
    #[command(flatten)]
    pub(crate) conduct: ConductFlags,
    /// Take its limits away, before those that are given here.
    #[arg(long)]
    pub(crate) no_limits: bool,
    /// Take its sandbox away.
    #[arg(long, conflicts_with_all = ["sandbox", "sandbox_write", "sandbox_home", "sandbox_no_network"])]
    pub(crate) no_sandbox: bool,
    /// Do not write its rules into its worktrees.
    #[arg(long, conflicts_with = "rule_files")]
    pub(crate) no_rule_files: bool,
    /// Never hand over because of a full context.
    #[arg(long, conflicts_with = "hand_over_at")]
    pub(crate) no_hand_over: bool,
}

/// What an agent may do, and what it is told beside its missions.
#[derive(Debug, Default, Args)]
pub(crate) struct ConductFlags {
    /// Who answers what it asks for.
    #[arg(long, value_enum)]
    pub(crate) permissions: Option<Permissions>,
    /// The most memory of all its processes, such as 512M or 2G.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) limit_memory: Option<u64>,
    /// The most processes at a time.
    #[arg(long, value_name = "N")]
    pub(crate) limit_processes: Option<u32>,
    /// The most files one of its processes may have open.
    #[arg(long, value_name = "N")]
    pub(crate) limit_files: Option<u32>,
    /// The most that is kept of each of its outputs, such as 64M; the oldest goes first.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) limit_output: Option<u64>,
    /// Its share of the processor beside others (1 to 10000; 100 is the ordinary one).
    #[arg(long, value_name = "N")]
    pub(crate) cpu_weight: Option<u32>,
    /// Keep it in a sandbox: it writes where it works and nowhere else.
    #[arg(long)]
    pub(crate) sandbox: bool,
    /// What it may write besides; may be repeated; means a sandbox.
    #[arg(long, value_name = "DIR")]
    pub(crate) sandbox_write: Vec<PathBuf>,
    /// What it sees of your home; means a sandbox.
    #[arg(long, value_enum)]
    pub(crate) sandbox_home: Option<Home>,
    /// Keep it from the network; means a sandbox.
    #[arg(long)]
    pub(crate) sandbox_no_network: bool,
    /// What it is told with every mission; @FILE reads a file, - standard input.
    #[arg(long, value_name = "TEXT")]
    pub(crate) rules: Option<String>,
    /// Write that into its worktrees as well, as AGENTS.md where there is none.
    #[arg(long)]
    pub(crate) rule_files: bool,
    /// Hand over to a fresh attempt when its context is this full (10 to 99).
    #[arg(long, value_name = "PERCENT")]
    pub(crate) hand_over_at: Option<u8>,
}

/// Who answers what an agent asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Permissions {
    /// You are asked about everything that no rule answers.
    Ask,
    /// Reading, and changes inside of the worktree, are allowed; you are asked about the rest.
    #[value(alias = "auto_in_worktree")]
    AutoInWorktree,
    /// What a rule allows is allowed, everything else is denied.
    #[value(alias = "allow_list")]
    AllowList,
    /// Reading is allowed, everything else is denied.
    #[value(alias = "read_only")]
    ReadOnly,
    /// It asks nothing.
    Unattended,
}

impl From<Permissions> for PermissionPolicy {
    fn from(word: Permissions) -> Self {
        match word {
            Permissions::Ask => Self::Ask,
            Permissions::AutoInWorktree => Self::AutoInWorktree,
            Permissions::AllowList => Self::AllowList,
            Permissions::ReadOnly => Self::ReadOnly,
            Permissions::Unattended => Self::Unattended,
        }
    }
}

/// What a sandboxed agent sees of the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Home {
    /// All of it, to read and to write.
    Full,
    /// All of it, to read only.
    #[value(alias = "read_only")]
    ReadOnly,
    /// Nothing of it.
    Hidden,
}

impl From<Home> for process::HomeAccess {
    fn from(word: Home) -> Self {
        match word {
            Home::Full => Self::Full,
            Home::ReadOnly => Self::ReadOnly,
            Home::Hidden => Self::Hidden,
        }
    }
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE"),
    }
}

/// Reads a size such as `1048576`, `512M`, `2G` or `2 GiB`; the units are powers of 1024.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    const WRONG: &str = "write a size such as 512M or 2G";
    let text = text.trim();
    let digits = text.trim_end_matches(|ch: char| !ch.is_ascii_digit());
    let count: u64 = digits.parse().map_err(|_| WRONG)?;
    let unit = text[digits.len()..].trim().to_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(WRONG),
    };
    count.checked_mul(1_u64 << shift).filter(|bytes| *bytes > 0).ok_or(WRONG)
}
