//! The words of `hivekeeper agent`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::given;

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// List the agents.
    #[command(after_help = "Example: hivekeeper agent list")]
    List,
    /// Create an agent.
    #[command(after_help = "Example: hivekeeper agent add ann --command 'sh -c \"cat > out.txt\"'")]
    Add(AddAgent),
    /// Show an agent.
    #[command(after_help = "Example: hivekeeper agent show ann")]
    Show {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
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
    /// Remove an agent; what it did stays.
    #[command(after_help = "Example: hivekeeper agent remove ann")]
    Remove {
        /// Its name or id.
        #[arg(value_parser = given)]
        agent: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddAgent {
    /// Its name, unique whatever the case.
    pub(crate) name: String,
    /// The kind of runtime.
    #[arg(long, default_value = "command")]
    pub(crate) runtime: String,
    /// Its command line, quoted as in a shell; {brief} and {brief_file} are filled in.
    #[arg(long, value_name = "LINE", required_unless_present = "preset")]
    pub(crate) command: Option<String>,
    /// A known agent program instead of a command line.
    #[arg(long, conflicts_with = "command")]
    pub(crate) preset: Option<String>,
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
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE"),
    }
}
