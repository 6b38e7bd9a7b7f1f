//! `hivekeeper-shim RUN_DIR`: starts what `RUN_DIR/spec.json` asks for and records how it ended.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use shim::door;
use shim::program::NotStarted;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let text = |word: &'_ OsString| word.to_str().unwrap_or_default().to_owned();
    match args.as_slice() {
        [run] => match shim::run::run(Path::new(run)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("hivekeeper-shim failed to {error}")),
        },
        [mode, run, pipe, words @ ..] if mode == door::ENTER => {
            not_entered(&door::enter(Path::new(run), &text(pipe), words))
        }
        [mode, pipe, plan, words @ ..] if mode == door::INSIDE => {
            not_entered(&door::inside(&text(pipe), &text(plan), words))
        }
        _ => complain("usage: hivekeeper-shim RUN_DIR"),
    }
}

/// The shim has been told; this is for whoever opens the door by hand.
fn not_entered(why: &NotStarted) -> ExitCode {
    complain(&format!("hivekeeper-shim failed to start the program: {why}"));
    ExitCode::from(127)
}

/// Says on standard error what went wrong; where nobody listens, the exit code has to do.
fn complain(text: &str) -> ExitCode {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(2)
}
