//! Process namespaces, made by bubblewrap: a tree that ends, to the last process, with its first.
//!
//! bubblewrap's own two processes hold the namespace together: the one outside is the shim's child
//! and passes the program's exit code on, the one inside is the namespace's first. Neither is told to
//! end while the program still has its grace; ending the inner one ends all of them at once, and so
//! does the death of the shim.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use model::process::ProcessRef;
use rustix::process::Signal;

use super::walls::Walls;
use super::{Absent, ask, full_path, is_program};
use crate::proc;

/// The program.
pub const BUBBLEWRAP: &str = "bwrap";
/// How long a trial may take.
const PROBE_TIME: Duration = Duration::from_secs(5);
/// Sockets behind which programs of the system do what they are asked, sandbox or not.
const SOCKETS: [&str; 4] = [
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
];
/// Where the sockets of a person's own programs are.
const USER_SOCKETS: &str = "/run/user";

/// The command, up to what it is to run, for a namespace without any other wall.
#[must_use]
pub fn bare(directory: &Path) -> Vec<String> {
    let mut line = Line::new();
    line.of(&["--dev-bind", "/", "/"]);
    line.of(&["--proc", "/proc"]);
    line.finish(directory)
}

/// The command, up to what it is to run, for a namespace with `walls` around it.
#[must_use]
pub fn walled(walls: &Walls) -> Vec<String> {
    let mut line = Line::new();
    line.of(&["--unshare-ipc", "--cap-drop", "ALL"]);
    line.of(&["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
    line.bind("--bind", &walls.tmp, Path::new("/tmp"));
    if Path::new(USER_SOCKETS).is_dir() {
        line.of(&["--tmpfs", USER_SOCKETS]);
    }
    for socket in SOCKETS.iter().filter(|socket| Path::new(socket).exists()) {
        line.of(&["--ro-bind", "/dev/null", socket]);
    }
    // What comes later lies over what comes earlier: the home, what is hidden, what is shown of it,
    // what of that may be written, and what of that may not.
    if let Some(home) = &walls.home {
        line.bind(if walls.home_is_open { "--bind" } else { "--ro-bind" }, home, home);
    }
    for path in &walls.hidden {
        line.of(&["--tmpfs", &path.to_string_lossy()]);
    }
    for path in &walls.shown {
        line.bind("--ro-bind", path, path);
    }
    for path in &walls.writable {
        line.bind("--bind", path, path);
    }
    for (path, open) in &walls.guarded {
        line.bind(if *open { "--bind" } else { "--ro-bind" }, path, path);
    }
    if let Some(empty) = &walls.empty {
        line.of(&["--remount-ro", &empty.to_string_lossy()]);
    }
    if !walls.network {
        line.of(&["--unshare-net"]);
    }
    line.finish(&walls.directory)
}

struct Line(Vec<String>);

impl Line {
    fn new() -> Self {
        // By its full path: the program's PATH may lead to places that agents write.
        let mut line = Self(vec![full_path(BUBBLEWRAP)]);
        line.of(&["--unshare-pid", "--die-with-parent"]);
        line
    }

    fn of(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn bind(&mut self, how: &str, from: &Path, to: &Path) {
        self.of(&[how, &from.to_string_lossy(), &to.to_string_lossy()]);
    }

    fn finish(mut self, directory: &Path) -> Vec<String> {
        self.of(&["--chdir", &directory.to_string_lossy(), "--"]);
        self.0
    }
}

/// Tries it.
///
/// # Errors
/// Why it does not work here.
pub fn works() -> Result<(), Absent> {
    if !is_program(BUBBLEWRAP) {
        return Err(Absent::NoProgram(BUBBLEWRAP));
    }
    match trial(&bare(Path::new("/"))) {
        None => Ok(()),
        Some(said) => Err(Absent::Refused(said)),
    }
}

/// Tries it, and says its version.
///
/// # Errors
/// Why it does not work here.
pub fn probe() -> Result<String, Absent> {
    works()?;
    let version = ask(Command::new(BUBBLEWRAP).arg("--version"), PROBE_TIME)?;
    let text = String::from_utf8_lossy(&version.stdout);
    Ok(text.trim().trim_start_matches("bubblewrap ").to_owned())
}

/// What bubblewrap complains about when it is to run a program that does nothing; nothing where it
/// does so.
#[must_use]
pub fn trial(line: &[String]) -> Option<String> {
    let (first, rest) = line.split_first()?;
    match ask(Command::new(first).args(rest).arg("true"), PROBE_TIME) {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Some(if said.is_empty() { output.status.to_string() } else { said })
        }
        Err(absent) => Some(absent.to_string()),
    }
}

/// bubblewrap's own two processes, the outer one first.
#[must_use]
pub fn own(outer: ProcessRef) -> Vec<ProcessRef> {
    let mut own = vec![outer];
    own.extend(children(outer));
    own
}

fn children(outer: ProcessRef) -> Vec<ProcessRef> {
    let table = proc::table().unwrap_or_default();
    let children = table.iter().filter(|stat| stat.parent == outer.pid);
    children.map(proc::Stat::process).collect()
}

/// Ends the namespace with all that is in it.
pub fn kill(outer: ProcessRef) {
    if !proc::is_alive(outer) {
        return;
    }
    for inner in children(outer) {
        let _ = proc::signal(inner, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bubblewrap_cannot_do_is_said_in_its_own_words() {
        if let Err(absent) = probe() {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "SKIPPED, no bubblewrap here: {absent}");
            return;
        }
        assert_eq!(trial(&bare(Path::new("/"))), None);
        let said = trial(&bare(Path::new("/no/such/place"))).unwrap();
        assert!(said.contains("/no/such/place"), "{said}");
    }
}
