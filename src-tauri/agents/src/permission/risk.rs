//! How dangerous a request looks. A guide for the captain's eye, never a wall.

use std::path::Path;

use model::inbox::{PermissionAsk, Risk, RiskLevel};

use super::options::program_name;
use super::parts::{self, Part};
use super::places::{Ground, Place, is_secret};
use super::shell::{Command, Word};

/// The most reasons that are given.
const REASONS_MAX: usize = 8;
const ROOT: &[&str] = &["sudo", "doas", "su", "pkexec"];
const DOWNLOADS: &[&str] = &["curl", "wget", "fetch", "aria2c"];
/// Programs that run programs; numbers of their versions may stand behind their names.
const INTERPRETERS: &[&str] = &[
    "sh",
    "bash",
    "zsh",
    "dash",
    "ash",
    "ksh",
    "fish",
    "python",
    "pypy",
    "node",
    "deno",
    "bun",
    "perl",
    "ruby",
    "php",
    "lua",
    "osascript",
    "pwsh",
];
/// What an interpreter is only asked about itself.
const ABOUT: &[&str] = &["--version", "-V", "-v", "--help", "-h"];
const REACHES: &[&str] =
    &["ssh", "scp", "sftp", "rsync", "nc", "ncat", "telnet", "ftp", "socat", "ping", "dig"];
const SYSTEM: &[&str] = &[
    "mkfs",
    "dd",
    "shutdown",
    "reboot",
    "halt",
    "systemctl",
    "service",
    "crontab",
    "mount",
    "umount",
    "iptables",
    "useradd",
    "userdel",
    "passwd",
    "visudo",
    "insmod",
    "modprobe",
    "shred",
    "wipefs",
];
const KILLS: &[&str] = &["kill", "killall", "pkill"];
const WRITES: &[&str] = &[
    "cp", "mv", "tee", "touch", "mkdir", "ln", "install", "truncate", "chmod", "chown", "rmdir",
    "unlink", "patch", "tar", "unzip",
];
/// A program, a first word of it, and what it does.
type Deed = (&'static [&'static str], &'static [&'static str], &'static str);
const PUBLISHES: &[Deed] = &[
    (&["npm", "pnpm", "yarn", "cargo", "poetry", "uv"], &["publish"], "It publishes a package"),
    (&["twine"], &["upload"], "It publishes a package"),
    (&["gem"], &["push"], "It publishes a package"),
    (&["docker", "podman"], &["push"], "It publishes an image"),
    (
        &["gh", "glab"],
        &["pr", "release", "repo", "issue", "mr", "api"],
        "It acts on the hosted repository",
    ),
    (
        &["kubectl", "helm"],
        &["apply", "delete", "install", "upgrade", "uninstall"],
        "It changes a cluster",
    ),
    (&["terraform", "tofu", "pulumi"], &["apply", "destroy", "up"], "It changes infrastructure"),
];
const INSTALLS: &[Deed] = &[
    (
        &["npm", "pnpm", "yarn", "bun"],
        &["install", "i", "add", "ci", "update", "dlx", "exec"],
        "It installs packages",
    ),
    (
        &["pip", "pip3", "pipx", "uv", "poetry", "conda"],
        &["install", "add", "sync", "pip", "tool"],
        "It installs packages",
    ),
    (
        &["cargo", "go", "gem", "brew", "apt", "apt-get", "dnf", "yum", "pacman", "apk", "snap"],
        &["install", "add", "get", "-S", "update", "upgrade"],
        "It installs packages",
    ),
    (&["npx", "uvx", "bunx"], &[], "It runs a package from the network"),
    (&["docker", "podman"], &["run", "build", "pull", "compose", "exec"], "It runs containers"),
];

/// How dangerous a request looks for an agent that works in `worktree`.
#[must_use]
pub fn risk(ask: &PermissionAsk, worktree: &Path) -> Risk {
    let parts = parts::of(ask, worktree);
    let mut found = Found::default();
    let mut downloads = false;
    let mut ground = Ground { worktree, directory: ask.directory.as_deref(), moved: false };
    for part in &parts {
        match part {
            Part::Run(command) => {
                of_command(command, ground, downloads, &mut found);
                downloads |= any_name(command, DOWNLOADS);
                ground.moved |= parts::moves(command);
            }
            Part::Within(command) => of_command(command, ground, downloads, &mut found),
            Part::Elsewhere { place } => of_place(place, &mut found),
            Part::Opaque => found.medium("Its command cannot be read for sure"),
            Part::Write { path, place } => of_write(path, place, &mut found),
            Part::Read { path: Some(path), place } => of_read(path, place, &mut found),
            Part::Read { path: None, .. } | Part::Own => {}
            Part::Fetch(Some(host)) => found.medium(&format!("It reaches {host}")),
            Part::Fetch(None) => found.medium("It reaches the network"),
            Part::Tool => found.medium("What this tool does is not known"),
        }
    }
    found.reasons.truncate(REASONS_MAX);
    Risk { level: found.level, reasons: found.reasons }
}

struct Found {
    level: RiskLevel,
    reasons: Vec<String>,
}

impl Default for Found {
    fn default() -> Self {
        Self { level: RiskLevel::Low, reasons: Vec::new() }
    }
}

impl Found {
    fn high(&mut self, why: &str) {
        if !self.reasons.iter().any(|known| known == why) {
            // What weighs most stands first.
            let at = if self.level == RiskLevel::High { self.reasons.len() } else { 0 };
            self.reasons.insert(at, why.to_owned());
        }
        self.level = RiskLevel::High;
    }

    fn medium(&mut self, why: &str) {
        if !self.reasons.iter().any(|known| known == why) {
            self.reasons.push(why.to_owned());
        }
        self.level = self.level.max(RiskLevel::Medium);
    }
}

fn of_place(place: &Place, found: &mut Found) {
    match place {
        Place::Inside(_) => {}
        Place::Outside(there) => {
            found.medium(&format!("It works outside of its worktree: {}", there.display()));
        }
        Place::Git => found.high("It works among git's own files"),
        Place::Unknown => found.medium("Nobody knows where it works"),
    }
}

fn of_write(path: &str, place: &Place, found: &mut Found) {
    match place {
        Place::Inside(_) => {}
        Place::Git => found.high("It changes git's own files"),
        Place::Outside(there) => {
            found.high(&format!("It writes outside of its worktree: {}", there.display()));
        }
        Place::Unknown => found.medium("Nobody knows which file it writes"),
    }
    if is_secret(path) {
        found.high(&format!("It changes a file with credentials: {path}"));
    }
}

fn of_read(path: &str, place: &Place, found: &mut Found) {
    if is_secret(path) {
        found.high(&format!("It reads a file with credentials: {path}"));
    }
    if let Place::Outside(there) = place {
        found.medium(&format!("It reads outside of its worktree: {}", there.display()));
    }
}

fn name(word: &Word) -> &str {
    word.text.rsplit('/').next().unwrap_or_default()
}

fn any_name(command: &Command, names: &[&str]) -> bool {
    command.words.first().is_some_and(|word| names.contains(&name(word)))
}

fn of_command(command: &Command, ground: Ground<'_>, downloads: bool, found: &mut Found) {
    let Some(first) = command.words.first() else { return };
    let program = name(first);
    let args: Vec<&str> = command.words[1..].iter().map(|word| word.text.as_str()).collect();
    if first.expands {
        found.medium("Which program it starts is not known");
    }
    if ROOT.contains(&program) {
        found.high("It runs as another user");
    }
    of_unread(command, downloads, found);
    if SYSTEM.iter().any(|it| *it == program || program.starts_with("mkfs.")) {
        found.high("It changes the system");
    }
    if KILLS.contains(&program) {
        found.high("It ends processes");
    }
    if command.words.iter().any(|word| is_secret(&word.text)) {
        found.high("It names a file with credentials");
    }
    if DOWNLOADS.contains(&program) || REACHES.contains(&program) {
        found.medium("It reaches the network");
    }
    for (programs, words, why) in PUBLISHES {
        if programs.contains(&program) && args.first().is_some_and(|word| words.contains(word)) {
            found.high(why);
        }
    }
    for (programs, words, why) in INSTALLS {
        let meant = words.is_empty() || args.iter().any(|word| words.contains(word));
        if programs.contains(&program) && meant {
            found.medium(why);
        }
    }
    match program {
        "git" => of_git(&args, found),
        "rm" => of_removal(command, ground, found),
        "find" if args.contains(&"-delete") => found.medium("It removes what it finds"),
        "eval" => found.medium("Its command cannot be read for sure"),
        "sed" if args.iter().any(|arg| arg.starts_with("-i")) => {
            of_targets(command, ground, found);
        }
        program if WRITES.contains(&program) => of_targets(command, ground, found),
        _ => {}
    }
    of_started(command, ground, downloads, found);
}

/// What runs a program that nobody has read: an interpreter, or a file.
fn of_unread(command: &Command, downloads: bool, found: &mut Found) {
    let Some(first) = command.words.first() else { return };
    let program = name(first);
    if !INTERPRETERS
        .contains(&program.trim_end_matches(|ch: char| ch.is_ascii_digit() || ch == '.'))
    {
        if program_name(&first.text).is_none() {
            found.medium(&format!("It runs a program that nobody here knows: {}", first.text));
        }
        return;
    }
    let args = &command.words[1..];
    let from_elsewhere = command.piped || args.is_empty() || args.iter().any(|arg| arg.replaced);
    if downloads && from_elsewhere {
        found.high("It runs what it downloads");
    } else if command.piped {
        found.high("It runs what another program prints");
    }
    let about = !args.is_empty() && args.iter().all(|arg| ABOUT.contains(&arg.text.as_str()));
    if !about {
        found.medium(&format!("It runs a program that nobody here has read, with {program}"));
    }
}

/// The program behind one that starts others.
fn of_started(command: &Command, ground: Ground<'_>, downloads: bool, found: &mut Found) {
    let starters =
        ["sudo", "doas", "env", "nice", "nohup", "timeout", "xargs", "time", "command", "exec"];
    if !any_name(command, &starters) {
        return;
    }
    let behind = command.words[1..].iter().position(|word| {
        let option = word.text.starts_with('-') || word.text.contains('=');
        !option && !word.text.starts_with(|ch: char| ch.is_ascii_digit())
    });
    if let Some(at) = behind {
        let inner = Command { words: command.words[at + 1..].to_vec(), ..Command::default() };
        of_command(&inner, ground, downloads, found);
    }
}

fn of_git(args: &[&str], found: &mut Found) {
    let mut words = args.iter().copied();
    let mut verb = "";
    while let Some(word) = words.next() {
        match word {
            "-C" | "-c" | "--git-dir" | "--work-tree" => {
                words.next();
            }
            option if option.starts_with('-') => {}
            word => {
                verb = word;
                break;
            }
        }
    }
    let rest: Vec<&str> = words.collect();
    let has = |options: &[&str]| rest.iter().any(|word| options.contains(word));
    let forced = || {
        rest.iter().any(|word| {
            word.starts_with("--force")
                || (word.starts_with('-') && !word.starts_with("--") && word.contains('f'))
        })
    };
    match verb {
        "push" if forced() => found.high("It replaces published commits"),
        "push" => found.high("It publishes commits"),
        "reset" if has(&["--hard", "--merge", "--keep"]) => {
            found.high("It throws away what was not committed");
        }
        "clean" if forced() => found.high("It removes files that git does not know"),
        "checkout" | "restore" | "switch" if forced() || has(&[".", "--", "--discard-changes"]) => {
            found.high("It throws away what was not committed");
        }
        "branch" | "tag" if has(&["-D", "-d", "--delete"]) => {
            found.high("It removes a branch or a tag")
        }
        "stash" if has(&["drop", "clear"]) => found.high("It throws away what was put aside"),
        "filter-branch" | "filter-repo" | "update-ref" | "reflog" | "gc" | "worktree"
        | "config" | "remote" => {
            found.high("It changes the repository itself");
        }
        "fetch" | "pull" | "clone" | "ls-remote" | "submodule" => {
            found.medium("It reaches the network");
        }
        _ => {}
    }
}

fn targets(command: &Command) -> impl Iterator<Item = &Word> {
    command.words[1..].iter().filter(|word| !word.text.starts_with('-'))
}

fn of_removal(command: &Command, ground: Ground<'_>, found: &mut Found) {
    let all = command.words[1..].iter().any(|word| {
        let option = word.text.starts_with('-') && !word.text.starts_with("--");
        word.text == "--recursive" || (option && word.text.contains(['r', 'R']))
    });
    for word in targets(command) {
        let place = ground.resolve(&word.text);
        let variable = word.expands && word.text.contains('$');
        match place {
            Place::Git => found.high("It removes git's own files"),
            Place::Outside(there) => {
                found.high(&format!("It removes outside of its worktree: {}", there.display()));
            }
            Place::Inside(path) if all && path.as_os_str().is_empty() => {
                found.high("It removes its whole worktree");
            }
            Place::Inside(_) if all && variable => {
                found.high("It removes a directory that only a variable names");
            }
            Place::Inside(_) if all && word.text.starts_with('*') => {
                found.high("It removes its whole worktree");
            }
            Place::Unknown => found.high("Nobody knows what it removes"),
            Place::Inside(path) if all => {
                found.medium(&format!("It removes {} and everything in it", path.display()))
            }
            Place::Inside(_) => {}
        }
    }
}

fn of_targets(command: &Command, ground: Ground<'_>, found: &mut Found) {
    for word in targets(command) {
        match ground.resolve(&word.text) {
            Place::Outside(there) => {
                let path = there.display();
                found.high(&format!("It may write outside of its worktree: {path}"));
            }
            Place::Git => found.high("It changes git's own files"),
            Place::Inside(_) | Place::Unknown => {}
        }
    }
}
