//! The command line, and the engine without a display.
//!
//! Invariant: it knows no rule of the product. `serve` runs an engine; every other command asks a
//! running one over its API, as any script could.

mod args;
mod commands;
mod failure;
mod out;
mod remote;
mod selector;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::out::Out;

/// Threads that answer requests; an engine mostly waits for its agents.
const SERVE_THREADS: usize = 2;
/// Threads for work that blocks.
const BLOCKING_THREADS: usize = 8;
/// The stack of a thread, in bytes: half of what is usual, as nothing here recurses deeply.
const STACK_BYTES: usize = 1024 * 1024;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Out::stdout(cli.json);
    let result = run(cli, &mut out).and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            out::complain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli, out: &mut Out) -> Result<ExitCode, Failure> {
    let data_dir = match cli.data_dir {
        Some(path) => path,
        None => default_data_dir()?,
    };
    let data_dir = std::path::absolute(&data_dir)
        .map_err(|error| Failure::new(format!("use {}", data_dir.display())).because(&error))?;
    let runtime = runtime(matches!(cli.command, Some(Command::Serve(_))))?;
    runtime.block_on(commands::run(cli.command, data_dir, out))
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
