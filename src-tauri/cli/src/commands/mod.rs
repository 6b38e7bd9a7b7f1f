//! The commands, one file per noun.

mod agent;
mod backup;
mod check;
mod ci;
mod config;
mod conversation;
mod devlog;
mod efficiency;
mod hook;
mod house;
mod inbox;
mod log;
mod login;
mod logs;
mod mcp;
mod message;
mod mission;
mod preset;
mod report;
mod rules;
mod scan;
mod secret;
mod signal;
mod swarm;
mod token;
mod topic;
mod usage;
mod work;

use std::process::ExitCode;

use clap::CommandFactory as _;
use model::event::Actor;

use crate::args::{Ci, Cli, Command};
use crate::failure::Failure;
use crate::out::Out;
use crate::remote::Place;
use crate::serve;

/// Carries out a command; without one, opens the window.
pub(crate) async fn run(
    command: Option<Command>,
    place: Place,
    out: &mut Out,
) -> Result<ExitCode, Failure> {
    let Some(command) = command else {
        house::open_window(&place, out).await?;
        return Ok(ExitCode::SUCCESS);
    };
    match command {
        Command::Serve(args) => serve::serve(args, place.data_dir, out).await?,
        Command::Login(args) => login::run(args, &place, out).await?,
        Command::Token(command) => token::run(command, &place, out).await?,
        Command::Status => house::status(&place, out).await?,
        Command::Doctor => return house::doctor(&place, out).await,
        Command::Agent(command) => agent::run(command, &place, out).await?,
        Command::Preset(command) => return preset::run(command, &place, out).await,
        Command::Message(command) => return message::run(command, &place, out).await,
        Command::Inbox(args) => inbox::run(args, &place, out).await?,
        Command::Rule(command) => inbox::rule(command, &place, out).await?,
        Command::Usage(args) => usage::run(&args, &place, out).await?,
        Command::Mission(command) => return mission::run(command, &place, out).await,
        Command::Plan => swarm::plan(&place, out).await?,
        Command::Halt(args) => return swarm::halt(args, &place, out).await,
        Command::Resume => swarm::resume(&place, out).await?,
        Command::Radar => work::radar(&place, out).await?,
        Command::Worktree(command) => work::worktree(command, &place, out).await?,
        Command::Trash(command) => work::trash(command, &place, out).await?,
        Command::Checkpoint(command) => work::checkpoint(command, &place, out).await?,
        Command::Scan(args) => return scan::run(args, out).await,
        Command::Ci(Ci::Post(args)) => ci::post(args, &place, out).await?,
        Command::Policy(command) => rules::policy(command, &place, out).await?,
        Command::Template(command) => rules::template(command, &place, out).await?,
        Command::Config(command) => config::run(command, &place, out).await?,
        Command::Hook(command) => return hook::run(command, &place, out).await,
        Command::Secret(command) => secret::run(command, &place, out).await?,
        Command::Check(command) => return check::run(command, &place, out).await,
        Command::Backup(args) => backup::backup(args, &place, out).await?,
        Command::Restore(args) => backup::restore(args, &place, out).await?,
        Command::Log(args) => log::run(args, &place, out).await?,
        Command::Man { directory } => manual(directory.as_deref(), out)?,
        Command::Topic(command) => topic::run(command, &place, out).await?,
        Command::Recover(command) => return swarm::recover(&command, &place, out).await,
        Command::Diagnostics(args) => swarm::diagnostics(&args, &place, out).await?,
        Command::Logs(args) => logs::run(&args, &place, out).await?,
        Command::Devlog(command) => devlog::run(command, &place, out).await?,
        Command::Report(command) => report::run(command, &place, out).await?,
        Command::Signal(command) => signal::run(command, &place, out).await?,
        Command::Demo(command) => house::demo(&command, &place, out).await?,
        Command::Mcp(args) => mcp::run(args, &place).await?,
        Command::Verify => return house::verify(&place, out).await,
        Command::Openapi => house::openapi(out)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hivekeeper", &mut script);
            out.raw(&script)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page, or writes one for each command.
fn manual(directory: Option<&std::path::Path>, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "write the manual";
    let failed = |error: std::io::Error| Failure::new(OPERATION).because(&error);
    let Some(directory) = directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
        return out.raw(&page);
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
    let count = std::fs::read_dir(directory).map_err(failed)?.count();
    if out.is_json() {
        return out.value(&serde_json::json!({"directory": directory, "files": count}));
    }
    out.line(&format!("wrote {}", directory.display()))
}

/// Who did something, in a word.
fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Captain => "captain".to_owned(),
        Actor::Engine => "engine".to_owned(),
        Actor::Agent { id } => format!("agent {id}"),
        Actor::Token { name, .. } => format!("token {name}"),
    }
}

/// Writes a document to a file, or to standard output.
fn deliver(bytes: &[u8], output: Option<&std::path::Path>, out: &mut Out) -> Result<(), Failure> {
    match output {
        Some(path) if path.as_os_str() != "-" => {
            std::fs::write(path, bytes).map_err(|error| {
                Failure::new(format!("write {}", path.display()))
                    .because(&error)
                    .hint("choose another file with -o")
            })?;
            if out.is_json() {
                out.value(&serde_json::json!({"file": path, "bytes": bytes.len()}))
            } else {
                out.line(&format!("wrote {}", path.display()))
            }
        }
        _ => out.raw(bytes),
    }
}
