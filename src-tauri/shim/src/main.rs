//! `hivekeeper-shim RUN_DIR`: starts what `RUN_DIR/spec.json` asks for and records how it ended.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(run), None) = (args.next(), args.next()) else {
        return complain("usage: hivekeeper-shim RUN_DIR");
    };
    match shim::run::run(&PathBuf::from(run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("hivekeeper-shim failed to {error}")),
    }
}

/// Says on standard error what went wrong; where nobody listens, the exit code has to do.
fn complain(text: &str) -> ExitCode {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(2)
}
