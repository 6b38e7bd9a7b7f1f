//! A test client: an agent that does what its arguments say, one after the other.
//!
//! ```text
//! say TEXT            print a line            complain TEXT     the same on standard error
//! lines N MS          print N lines, one every MS milliseconds
//! flood BYTES         print lines of 100 bytes as fast as possible
//! long BYTES          print one line of that length
//! partial TEXT        print without a line end
//! garbage             print bytes that are not UTF-8
//! sleep MS            be silent               forever           be silent until it is ended
//! until FILE          be silent until the file exists
//! stdin               read standard input to its end and print how many bytes that were
//! show                print the variables that begin with HIVEKEEPER_
//! write FILE TEXT     write a file            commit MESSAGE    commit everything in this repository
//! ignore-term         ignore SIGTERM from now on
//! child MS            start a child that is silent for that long, and go on
//! daemon MS           the same, twice removed and in a session of its own
//! session             lead a session of its own from now on
//! pid                 print "pid N"
//! abort               die by SIGABRT          exit CODE         end with this code
//! ```

use std::io::{Error, Read, Result, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Says to a copy of this program that SIGTERM is ignored already.
const IGNORING: &str = "FAKE_AGENT_IGNORES_TERM";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match follow(&args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "fake agent: {error}");
            ExitCode::from(99)
        }
    }
}

fn follow(args: &[String]) -> Result<u8> {
    let mut rest = args;
    while let [action, tail @ ..] = rest {
        let mut words = Words(tail);
        match action.as_str() {
            "say" => print(words.text()?.as_bytes(), b"\n")?,
            "complain" => writeln!(std::io::stderr(), "{}", words.text()?)?,
            "partial" => print(words.text()?.as_bytes(), b"")?,
            "garbage" => print(b"before \xff\xfe\xc3 after", b"\n")?,
            "lines" => lines(words.number()?, words.number()?)?,
            "flood" => flood(words.number()?)?,
            "long" => long(words.number()?)?,
            "sleep" => pause(words.number()?),
            "forever" => loop {
                pause(60_000);
            },
            "until" => until(words.text()?),
            "stdin" => count_input()?,
            "show" => show()?,
            "write" => std::fs::write(words.text()?, words.text()?)?,
            "commit" => commit(words.text()?)?,
            "ignore-term" => ignore_term(words.0)?,
            "child" => start(&["sleep", words.text()?])?,
            "daemon" => start(&["detach", words.text()?])?,
            "detach" => {
                session()?;
                start(&["sleep", words.text()?])?;
            }
            "session" => session()?,
            "pid" => print(format!("pid {}", std::process::id()).as_bytes(), b"\n")?,
            "abort" => std::process::abort(),
            "exit" => return Ok(u8::try_from(words.number()?).unwrap_or(255)),
            other => return Err(Error::other(format!("no such action: {other}"))),
        }
        rest = words.0;
    }
    Ok(0)
}

struct Words<'a>(&'a [String]);

impl<'a> Words<'a> {
    fn text(&mut self) -> Result<&'a str> {
        let (first, rest) =
            self.0.split_first().ok_or_else(|| Error::other("a word is missing"))?;
        self.0 = rest;
        Ok(first)
    }

    fn number(&mut self) -> Result<u64> {
        self.text()?.parse().map_err(Error::other)
    }
}

fn print(text: &[u8], end: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text)?;
    out.write_all(end)?;
    out.flush()
}

fn session() -> Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn lines(count: u64, ms: u64) -> Result<()> {
    for n in 1..=count {
        print(format!("line {n}").as_bytes(), b"\n")?;
        pause(ms);
    }
    Ok(())
}

fn flood(bytes: u64) -> Result<()> {
    let line = [[b'.'; 99].as_slice(), b"\n"].concat();
    let block = line.repeat(1000);
    let mut out = std::io::stdout().lock();
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(block.len()).min(block.len());
        out.write_all(&block[..part])?;
        left -= part as u64;
    }
    out.flush()
}

fn long(bytes: u64) -> Result<()> {
    let mut out = std::io::stdout().lock();
    std::io::copy(&mut std::io::repeat(b'x').take(bytes), &mut out)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn until(file: &str) {
    while !std::path::Path::new(file).exists() {
        pause(10);
    }
}

fn count_input() -> Result<()> {
    let bytes = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    print(format!("stdin: {bytes} bytes").as_bytes(), b"\n")
}

fn show() -> Result<()> {
    for (name, value) in std::env::vars().filter(|(name, _)| name.starts_with("HIVEKEEPER_")) {
        print(format!("{name}={value}").as_bytes(), b"\n")?;
    }
    Ok(())
}

fn commit(message: &str) -> Result<()> {
    let identity = ["-c", "user.name=Fake", "-c", "user.email=fake@localhost"];
    for args in [vec!["add", "--all"], vec!["commit", "-q", "-m", message]] {
        let status = Command::new("git").args(identity).args(args).status()?;
        if !status.success() {
            return Err(Error::other(format!("git ended with {status}")));
        }
    }
    Ok(())
}

/// Becomes the same program with SIGTERM ignored, which lasts across the change of program.
fn ignore_term(rest: &[String]) -> Result<()> {
    if std::env::var_os(IGNORING).is_some() {
        return Ok(());
    }
    Err(Command::new("sh")
        .args(["-c", "trap '' TERM; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe()?)
        .args(rest)
        .env(IGNORING, "1")
        .exec())
}

fn start(args: &[&str]) -> Result<()> {
    Command::new(std::env::current_exe()?).args(args).stdin(Stdio::null()).spawn().map(drop)
}
