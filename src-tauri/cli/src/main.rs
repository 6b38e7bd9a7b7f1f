//! The command line, and the engine without a display.
//!
//! Invariant: it knows no rule of the product. `serve` runs an engine; every other command asks a
//! running one over its API, as any script could.

mod args;
mod commands;
mod failure;
mod input;
mod out;
mod remote;
mod selector;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::out::Out;
use crate::remote::Place;

/// Threads that answer requests; an engine mostly waits for its agents.
const SERVE_THREADS: usize = 2;
/// Threads for work that blocks.
const BLOCKING_THREADS: usize = 8;
/// How long the end waits for work that blocks.
const LEFT_AFTER: Duration = Duration::from_secs(5);
/// The stack of a thread, in bytes: half of what is usual, as nothing here recurses deeply.
const STACK_BYTES: usize = if cfg!(debug_assertions) { 8 * 1024 * 1024 } else { 1024 * 1024 };

fn main() -> ExitCode {
    engine::heap::share();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let json = cli.json;
    let mut out = Out::stdout(json);
    let result = run(cli, &mut out).and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            out::complain(&failure, json);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Says what cannot be understood, or prints the help that was asked for.
fn misused(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|word| word == "--json");
    if json && error.use_stderr() {
        out::complain(&Failure::usage(error.to_string().trim()), true);
    } else {
        // If even that cannot be printed, there is nobody to tell.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn run(cli: Cli, out: &mut Out) -> Result<ExitCode, Failure> {
    let data_dir = match cli.data_dir {
        Some(path) => path,
        None => default_data_dir()?,
    };
    let data_dir = std::path::absolute(&data_dir)
        .map_err(|error| Failure::new(format!("use {}", data_dir.display())).because(&error))?;
    let runtime = runtime(matches!(cli.command, Some(Command::Serve(_))))?;
    let place = Place { data_dir, key: cli.idempotency_key };
    let done = runtime.block_on(commands::run(cli.command, place, out));
    // What hangs in the system by then is left to it.
    runtime.shutdown_timeout(LEFT_AFTER);
    done
}

fn default_data_dir() -> Result<PathBuf, Failure> {
    engine::default_data_dir().ok_or_else(|| {
        Failure::new("find a place for the data directory")
            .hint("name one with --data-dir or HIVEKEEPER_DATA_DIR")
    })
}

fn runtime(serve: bool) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = if serve {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder
        .worker_threads(SERVE_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| Failure::new("start threads").because(&error))
}
