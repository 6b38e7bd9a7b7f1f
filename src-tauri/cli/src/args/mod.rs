//! What can be typed: a dumb description that the commands make sense of.

mod agent;
mod check;
mod config;
mod fields;
mod mcp;
mod mission;
mod rules;
mod swarm;
mod talk;
mod token;
mod told;
mod work;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use agent::*;
pub(crate) use check::*;
pub(crate) use config::*;
pub(crate) use fields::*;
pub(crate) use mcp::*;
pub(crate) use mission::*;
pub(crate) use rules::*;
pub(crate) use swarm::*;
pub(crate) use talk::*;
pub(crate) use token::*;
pub(crate) use told::*;
pub(crate) use work::*;

/// A control center for swarms of AI agents.
#[derive(Debug, Parser)]
#[command(name = "hivekeeper", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 no engine runs.\n\
    Without a command the window is opened.")]
pub(crate) struct Cli {
    /// The workspace (default: the platform's data directory).
    #[arg(long, global = true, value_name = "DIR", env = "HIVEKEEPER_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The key of a change; the same change with the same key is made once, however often it is asked.
    #[arg(long, global = true, value_name = "KEY", value_parser = key)]
    pub(crate) idempotency_key: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the engine and its interface without a window.
    #[command(after_help = "Example: hivekeeper serve --listen 127.0.0.1:0\n\
        For other machines: hivekeeper serve --listen 0.0.0.0:7171 --tls-cert cert.pem \
        --tls-key key.pem --name build.example")]
    Serve(Serve),
    /// Print a link that signs a browser in, or see and end who is.
    #[command(after_help = "Example: hivekeeper login")]
    Login(Login),
    /// Make, list and revoke access tokens, and pair browsers.
    #[command(subcommand)]
    Token(Token),
    /// Show the swarm at a glance.
    #[command(after_help = "Example: hivekeeper status")]
    Status,
    /// Check what the engine needs.
    #[command(after_help = "Example: hivekeeper doctor")]
    Doctor,
    /// Work with agents.
    #[command(subcommand)]
    Agent(Agent),
    /// See which agents are known by name, and try them.
    #[command(subcommand)]
    Preset(Preset),
    /// Work with missions.
    #[command(subcommand)]
    Mission(Mission),
    /// Print what passed between an attempt of a mission and its agent, or what it printed (the
    /// latest attempt's, unless told otherwise).
    #[command(after_help = "Example: hivekeeper logs M-7K2P -f")]
    Logs(Logs),
    /// Say what an attempt of a mission has used (the latest one, unless told otherwise).
    #[command(after_help = "Example: hivekeeper usage M-7K2P")]
    Usage(Usage),
    /// Say something to agents, and see how far it is.
    #[command(subcommand)]
    Message(Message),
    /// See and answer what waits for you.
    #[command(after_help = "Example: hivekeeper inbox")]
    Inbox(Inbox),
    /// Keep rules that answer what agents ask for.
    #[command(subcommand)]
    Rule(Rule),
    /// Say what would be started now, and touch nothing.
    #[command(after_help = "Example: hivekeeper plan")]
    Plan,
    /// Stop all agents at once, whatever they do, and start nothing more.
    #[command(after_help = "Example: hivekeeper halt --note 'they delete the wrong files'\n\
        Exits with 1 when a process could not be ended; 'hivekeeper resume' lets work go on.")]
    Halt(Halt),
    /// Let work go on after a halt.
    #[command(after_help = "Example: hivekeeper resume")]
    Resume,
    /// Show which attempts touch the same files, and in which order to merge them.
    #[command(after_help = "Example: hivekeeper radar")]
    Radar,
    /// See and clean up the worktrees of attempts.
    #[command(subcommand)]
    Worktree(Worktree),
    /// Get back what was deleted, or delete it for good.
    #[command(subcommand)]
    Trash(Trash),
    /// Keep and put back the work of a mission as it is at a moment.
    #[command(subcommand)]
    Checkpoint(Checkpoint),
    /// Look for duplicates and files that are too long; needs no engine and edits nothing.
    #[command(after_help = "Example: hivekeeper scan . --max-lines 500\n\
        Exit codes: 0 nothing found, 1 something found, 2 usage, 130 cancelled with Ctrl-C.")]
    Scan(Scan),
    /// Hand in what a build server found.
    #[command(subcommand)]
    Ci(Ci),
    /// Say how much proof missions need.
    #[command(subcommand)]
    Policy(Policy),
    /// Keep missions to make missions from.
    #[command(subcommand)]
    Template(Template),
    /// See and change what holds for the whole workspace, go back, and take it elsewhere.
    #[command(subcommand, visible_alias = "settings")]
    Config(Config),
    /// Have commands run when something happens.
    #[command(subcommand)]
    Hook(Hook),
    /// See how everything is, and have things of your own looked at.
    #[command(subcommand)]
    Check(Check),
    /// Keep what agents need and nobody else may see.
    #[command(subcommand)]
    Secret(Secret),
    /// Copy the ledger while work goes on, and verify the copy.
    #[command(after_help = "Example: hivekeeper backup\n\
        'hivekeeper restore FILE' puts one back while no engine runs.")]
    Backup(Backup),
    /// Put a backup in the place of the ledger; no engine and no agent may run.
    #[command(after_help = "Example: hivekeeper restore backups/ledger-20260131T093000Z.db\n\
        It is verified first, and what was there before is kept aside.")]
    Restore(Restore),
    /// Read the log of the engine itself, and say how much is logged.
    #[command(after_help = "Example: hivekeeper log --level warn --limit 20")]
    Log(Log),
    /// Let the agents vote on a question.
    #[command(subcommand)]
    Topic(Topic),
    /// Put the swarm right after something went wrong; says what really changed.
    #[command(subcommand)]
    Recover(Recover),
    /// Write what is needed to understand what is wrong, without secrets, to a file.
    #[command(after_help = "Example: hivekeeper diagnostics -o diagnostics.json")]
    Diagnostics(Diagnostics),
    /// Read devlogs.
    #[command(subcommand)]
    Devlog(Devlog),
    /// Write a report.
    #[command(subcommand)]
    Report(Report),
    /// Read what was measured.
    #[command(subcommand)]
    Signal(Signal),
    /// Try the demo swarm: real processes that do small real work.
    #[command(subcommand)]
    Demo(Demo),
    /// Let an agent's program use its tools over standard input and output (the Model Context Protocol).
    #[command(after_help = "Example: hivekeeper mcp\n\
        Its token is in the variable HIVEKEEPER_TOKEN. It is that of an attempt at work: an agent \
        that runs elsewhere gets it with its lease, and one that is started here finds it in the \
        file that HIVEKEEPER_TOKEN_FILE names.")]
    Mcp(Mcp),
    /// Check the ledger: its chain of hashes, its head, and every row against the events.
    #[command(after_help = "Example: hivekeeper verify --json")]
    Verify,
    /// Print the description of the API (OpenAPI 3.1).
    #[command(hide = true)]
    Openapi,
    /// Print completions for a shell.
    #[command(
        after_help = "Example: hivekeeper completions bash > ~/.local/share/bash-completion/completions/hivekeeper"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands.
    #[command(after_help = "Example: hivekeeper man --to ~/.local/share/man/man1")]
    Man {
        /// Where to write a page for each command.
        #[arg(long = "to", value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

/// An id or a name; something has to be there.
fn given(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("an id or name is needed") } else { Ok(text.to_owned()) }
}

fn key(text: &str) -> Result<String, &'static str> {
    let fits = (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("write 1 to 200 letters, digits or signs") }
}

/// A name and what goes under it.
fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write KEY=VALUE"),
    }
}

/// An address to listen on, of which `localhost` is the one name that is understood.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    named
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| "write an address and a port, such as 127.0.0.1:0")
}

#[cfg(test)]
mod tests;
