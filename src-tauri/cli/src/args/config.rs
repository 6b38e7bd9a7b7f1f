//! The words of the configuration, hooks, secrets, backups and the engine's own log.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{given, pair};

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show the settings, or one of them.
    #[command(alias = "show", after_help = "Example: hivekeeper config get trash_days")]
    Get {
        /// Which one; all of them unless given.
        #[arg(value_name = "KEY", value_parser = given)]
        key: Option<String>,
    },
    /// Change settings; what is not named stays as it is.
    #[command(after_help = "Example: hivekeeper config set running_max=8 policy=strict\n\
        'none' empties what can be empty; lists are written as JSON.")]
    Set {
        /// What to change.
        #[arg(value_name = "KEY=VALUE", value_parser = pair, required = true)]
        values: Vec<(String, String)>,
    },
    /// Show who changed the settings from what to what, the newest change first.
    #[command(after_help = "Example: hivekeeper config history --limit 10")]
    History {
        /// How many changes at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Make the settings again what they were right after a change.
    #[command(after_help = "Example: hivekeeper config rollback 41\n\
        The numbers are those of 'hivekeeper config history'; 0 is the time before the first change.")]
    Rollback {
        /// The number of the change.
        #[arg(value_name = "SEQ")]
        seq: u64,
    },
    /// Write settings, policies, templates, rules and hooks as one document, without secrets.
    #[command(after_help = "Example: hivekeeper config export -o config.json")]
    Export {
        /// The file; standard output unless given.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Take over a document that was exported: all of it, or nothing.
    #[command(after_help = "Example: hivekeeper config import @config.json --dry-run\n\
        What the document does not name stays as it is.")]
    Import {
        /// The document: @FILE, - for standard input, or the text itself.
        #[arg(value_name = "@FILE|-|JSON")]
        document: String,
        /// Say only what would change.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hook {
    /// List the hooks and how they do.
    #[command(after_help = "Example: hivekeeper hook list")]
    List,
    /// Have a command run when something happens.
    #[command(
        after_help = "Example: hivekeeper hook add tell-me --on mission_moved --on agent_added \
        -- notify-send Hivekeeper 'something happened'\n\
        The command is started as it stands, without a shell; it reads the event as JSON on its \
        standard input. 'hivekeeper hook events' lists what can be listened to."
    )]
    Add {
        /// Its name.
        #[arg(value_parser = given)]
        name: String,
        #[command(flatten)]
        limits: HookLimits,
        /// The kind of event it runs on; may be given several times.
        #[arg(long = "on", value_name = "KIND", required = true, value_delimiter = ',')]
        events: Vec<String>,
        /// Do not switch it on yet.
        #[arg(long)]
        off: bool,
        /// The program and its arguments.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Change a hook; what is not named stays as it is.
    #[command(after_help = "Example: hivekeeper hook edit tell-me --timeout 5 --on")]
    Edit {
        /// Its name or id.
        #[arg(value_parser = given)]
        hook: String,
        #[command(flatten)]
        limits: HookLimits,
        /// The kinds of events it runs on from now on.
        #[arg(long = "events", value_name = "KIND", value_delimiter = ',')]
        events: Option<Vec<String>>,
        /// Switch it on; its failures are forgotten.
        #[arg(long, conflicts_with = "off")]
        on: bool,
        /// Switch it off.
        #[arg(long)]
        off: bool,
        /// Another program and its arguments.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Remove a hook.
    #[command(after_help = "Example: hivekeeper hook remove tell-me")]
    Remove {
        /// Its name or id.
        #[arg(value_parser = given)]
        hook: String,
    },
    /// Run a hook now, and say how that ended.
    #[command(after_help = "Example: hivekeeper hook test tell-me\n\
        Exits with 1 when it failed.")]
    Test {
        /// Its name or id.
        #[arg(value_parser = given)]
        hook: String,
    },
    /// Show the last runs of a hook, the newest first.
    #[command(after_help = "Example: hivekeeper hook runs tell-me")]
    Runs {
        /// Its name or id.
        #[arg(value_parser = given)]
        hook: String,
    },
    /// List the kinds of events there are.
    #[command(after_help = "Example: hivekeeper hook events")]
    Events,
}

#[derive(Debug, Args)]
pub(crate) struct HookLimits {
    /// How long a run may take, in seconds: 1 to 60.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u32>,
    /// How much memory its processes may use together, such as 64M.
    #[arg(long, value_name = "SIZE", value_parser = super::agent::size)]
    pub(crate) memory: Option<u64>,
    /// How often it runs in a minute: 1 to 600.
    #[arg(long, value_name = "N")]
    pub(crate) per_minute: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// List the secrets by name; their values are told to nobody.
    #[command(after_help = "Example: hivekeeper secret list")]
    List,
    /// Keep a secret; the value before is gone.
    #[command(after_help = "Example: hivekeeper secret set deploy-key @deploy-key.txt\n\
        Or from a variable: printf %s \"$KEY\" | hivekeeper secret set deploy-key\n\
        An agent has it where its environment says so: hivekeeper agent edit ann --env \
        KEY=secret:deploy-key. The value is never taken from the command line, where others could \
        read it; one line end after it is left out.")]
    Set {
        /// Its name.
        #[arg(value_parser = given)]
        name: String,
        /// Where the value is: @FILE, or - for standard input.
        #[arg(value_name = "@FILE|-", default_value = "-", value_parser = place)]
        value: String,
    },
    /// Remove a secret; agents that name it do not start any more.
    #[command(after_help = "Example: hivekeeper secret remove deploy-key")]
    Remove {
        /// Its name.
        #[arg(value_parser = given)]
        name: String,
    },
}

/// A place to read from, so that nothing secret stands on the command line.
fn place(text: &str) -> Result<String, &'static str> {
    if text == "-" || text.strip_prefix('@').is_some_and(|file| !file.is_empty()) {
        Ok(text.to_owned())
    } else {
        Err("write @FILE, or - for standard input: what stands here can be read by others")
    }
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// List the backups instead of making one.
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Let access tokens and browsers in again that were revoked or signed out since it was made. They are
    /// ended otherwise.
    #[arg(long)]
    pub(crate) revive: bool,
    /// Do not ask whether to replace the ledger.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Log {
    #[command(subcommand)]
    pub(crate) command: Option<LogCommand>,
    /// Only lines at least as grave.
    #[arg(long, value_enum)]
    pub(crate) level: Option<Gravity>,
    /// Only lines that contain this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// How many lines at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show or change how much is logged.
    #[command(after_help = "Example: hivekeeper log level debug --for 600")]
    Level {
        /// Such as debug, or info,orchestrator=debug; shows what is in force unless given.
        #[arg(value_parser = given)]
        filter: Option<String>,
        /// For how long, in seconds; until the engine ends unless given.
        #[arg(long = "for", value_name = "SECONDS", requires = "filter")]
        seconds: Option<u32>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gravity {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Gravity {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
