//! Runs git as a program: safely, with a deadline, and with bounded output.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::worktree::GitError;

/// The most that is read of git's answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most that is kept of git's complaints, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 16 * 1024;
/// Put before every command: nothing of the repository's own runs, and nothing asks or stays behind.
const SAFE: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "advice.graftFileDeprecated=false",
    "log.showSignature=false",
    "merge.verifySignatures=false",
    "merge.renormalize=false",
    "submodule.recurse=false",
];
/// Where this program was started must not matter, nor may what it was started with: other places
/// for a repository's parts, settings, programs, and meanings of paths.
const NOT_INHERITED: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_ATTR_SOURCE",
    "GIT_SHALLOW_FILE",
    "GIT_REFLOG_ACTION",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];
/// Nothing is asked of a terminal, a hash means the object it is the hash of and no replacement of
/// it, and nothing is fetched: not even the objects a partial clone left where it came from.
const SETTLED: &[(&str, &str)] = &[
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_EDITOR", "true"),
    ("LC_ALL", "C"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_GRAFT_FILE", "/dev/null"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
];
/// The most that is kept of one line where only some lines are kept, in bytes.
const LINE_BYTES_MAX: usize = 1024;

/// Says of a line's beginning whether it is kept.
pub(crate) type Keep = fn(&[u8]) -> bool;

/// What git answered.
pub(crate) struct Answer {
    /// The exit code; nothing when it was ended by a signal.
    pub(crate) code: Option<i32>,
    /// What it printed, as far as it is read.
    pub(crate) out: Vec<u8>,
    /// Whether it printed more than is read.
    pub(crate) cut: bool,
    /// What it complained about.
    pub(crate) said: String,
}

impl Answer {
    /// Its answer, where that is one line.
    pub(crate) fn line(&self) -> String {
        String::from_utf8_lossy(&self.out).trim().to_owned()
    }

    /// Entries of a list that separates them by NUL.
    pub(crate) fn entries(&self) -> u64 {
        self.out.iter().filter(|byte| **byte == 0).count() as u64
    }

    /// The entries themselves, an unfinished one excepted.
    pub(crate) fn list(&self) -> impl Iterator<Item = &[u8]> {
        let end = self.out.iter().rposition(|byte| *byte == 0).unwrap_or(0);
        let whole = self.out.get(..end).filter(|whole| !whole.is_empty());
        whole.into_iter().flat_map(|whole| whole.split(|byte| *byte == 0))
    }
}

/// Runs git and returns what it answered, whatever its exit code; ends it after `time`.
pub(crate) async fn ask(
    git: Command,
    what: &'static str,
    time: Duration,
) -> Result<Answer, GitError> {
    ask_for(git, what, time, None).await
}

/// As [`ask`], and of what git prints only the lines that `keep` wants, each only so far.
pub(crate) async fn ask_for(
    mut git: Command,
    what: &'static str,
    time: Duration,
    keep: Option<Keep>,
) -> Result<Answer, GitError> {
    hush(&mut git, what, time).await?;
    run(git, what, time, keep).await
}

/// Gives a prepared command settings whose names are the repository's choice, besides those it has.
pub(crate) fn set(command: &mut Command, settings: &[(String, String)]) {
    const COUNT: &str = "GIT_CONFIG_COUNT";
    let mut variables = command.as_std().get_envs();
    let count = variables.find(|(name, _)| *name == COUNT).and_then(|(_, value)| value?.to_str());
    let before: usize = count.and_then(|count| count.parse().ok()).unwrap_or(0);
    for (n, (key, value)) in (before..).zip(settings) {
        command.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value);
    }
    command.env(COUNT, (before + settings.len()).to_string());
}

/// Switches off hooks that the configuration names: `core.hooksPath` is not about them, they can be
/// switched off by their names only, and git has them since version 2.54.
async fn hush(git: &mut Command, what: &'static str, time: Duration) -> Result<(), GitError> {
    static NAMED: OnceCell<bool> = OnceCell::const_new();
    let named = async {
        let mut version = Command::new("git");
        version.arg("version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let answer = run(version, what, time, None).await?;
        Ok::<bool, GitError>(has_named_hooks(&answer.line()))
    };
    if !*NAMED.get_or_try_init(|| named).await? {
        return Ok(());
    }
    let mut list = Command::new("git");
    list.args(["config", "--name-only", "-z", "--get-regexp", r"^hook\..*\."])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = git.as_std().get_current_dir() {
        list.current_dir(directory);
    }
    for (name, value) in git.as_std().get_envs() {
        match value {
            Some(value) => list.env(name, value),
            None => list.env_remove(name),
        };
    }
    let answer = run(list, what, time, None).await?;
    if answer.cut {
        return Err(GitError::Unreadable { what });
    }
    set(git, &hooks_off(&answer));
    Ok(())
}

/// Whether git of this version has hooks that the configuration names; one that cannot be read has.
fn has_named_hooks(version: &str) -> bool {
    let numbers = version.strip_prefix("git version ").unwrap_or_default();
    let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= (2, 54),
        _ => true,
    }
}

/// The settings that switch off the hooks of which a list of keys tells.
fn hooks_off(keys: &Answer) -> Vec<(String, String)> {
    let keys = keys.list().filter_map(|key| std::str::from_utf8(key).ok());
    let mut off: Vec<String> = keys
        .filter_map(|key| key.rsplit_once('.'))
        .map(|(hook, _)| format!("{hook}.enabled"))
        .collect();
    off.sort_unstable();
    off.dedup();
    off.into_iter().map(|key| (key, "false".to_owned())).collect()
}

/// Runs a command.
async fn run(
    mut git: Command,
    what: &'static str,
    time: Duration,
    keep: Option<Keep>,
) -> Result<Answer, GitError> {
    let mut child = git.spawn().map_err(|source| {
        let directory = git.as_std().get_current_dir();
        if source.kind() == ErrorKind::NotFound && directory.is_none_or(Path::is_dir) {
            GitError::NoGit(source)
        } else {
            GitError::Io { what, source }
        }
    })?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let group = child.id();
    let work = async {
        let (out, err) = tokio::join!(read(out, keep), bounded(err, COMPLAINT_BYTES_MAX));
        Ok((child.wait().await?, out?, err?))
    };
    match tokio::time::timeout(time, work).await {
        Ok(Ok((status, (out, cut), (err, _)))) => Ok(Answer {
            code: status.code(),
            out,
            cut,
            said: complaint(&String::from_utf8_lossy(&err)),
        }),
        Ok(Err(source)) => Err(GitError::Io { what, source }),
        Err(_) => {
            end_group(group);
            Err(GitError::TimedOut { what, timeout_s: time.as_secs() })
        }
    }
}

/// Git in `directory`, with nothing of the repository's own running; `paths` stand behind `--`.
pub(crate) fn command(directory: &Path, args: &[&str], paths: &[&Path]) -> Command {
    let mut git = Command::new("git");
    for setting in SAFE {
        git.args(["-c", setting]);
    }
    git.args(args);
    if !paths.is_empty() {
        git.arg("--").args(paths.iter().map(OsStr::new));
    }
    for variable in NOT_INHERITED {
        git.env_remove(variable);
    }
    git.current_dir(directory)
        .envs(SETTLED.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    git
}

async fn read<R: AsyncRead + Unpin>(
    reader: Option<R>,
    keep: Option<Keep>,
) -> std::io::Result<(Vec<u8>, bool)> {
    match (reader, keep) {
        (Some(reader), Some(keep)) => kept_lines(BufReader::new(reader), keep).await,
        (reader, _) => bounded(reader, ANSWER_BYTES_MAX).await,
    }
}

/// Reads at most `bytes_max` and lets the rest pass by; says whether there was a rest.
async fn bounded<R: AsyncRead + Unpin>(
    reader: Option<R>,
    bytes_max: u64,
) -> std::io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let mut rest = 0;
    if let Some(mut reader) = reader {
        (&mut reader).take(bytes_max).read_to_end(&mut bytes).await?;
        rest = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
    }
    Ok((bytes, rest > 0))
}

/// Reads the beginnings of the lines that are to be kept; says whether there were too many.
async fn kept_lines<R: AsyncBufRead + Unpin>(
    mut reader: R,
    keep: Keep,
) -> std::io::Result<(Vec<u8>, bool)> {
    let (mut kept, mut line, mut cut) = (Vec::new(), Vec::new(), false);
    loop {
        let piece = reader.fill_buf().await?;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let part = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        let room = LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(part.get(..room).unwrap_or(part));
        let (used, over) = (end.map_or(piece.len(), |end| end + 1), piece.is_empty());
        reader.consume(used);
        if (end.is_some() || over) && keep(&line) {
            cut |= (kept.len() + line.len()) as u64 > ANSWER_BYTES_MAX;
            if !cut {
                kept.extend_from_slice(&line);
                kept.push(b'\n');
            }
        }
        if over {
            return Ok((kept, cut));
        }
        if end.is_some() {
            line.clear();
        }
    }
}

/// What git complained about, without its advice and its progress: what went wrong stands behind
/// them, and only the beginning is shown.
fn complaint(text: &str) -> String {
    let aside = |line: &&str| line.starts_with("hint:") || line.starts_with("Preparing worktree");
    let lines: Vec<&str> = text.trim().lines().filter(|line| !aside(line)).collect();
    lines.join("\n").trim().to_owned()
}

/// Ends git and what it started. Its child handle is still held, so the number is its own.
fn end_group(group: Option<u32>) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let group = group.and_then(|group| Pid::from_raw(i32::try_from(group).ok()?));
    if let Some(group) = group {
        // What has ended meanwhile need not be ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_what_went_wrong_without_the_advice_before_it() {
        let text = "hint: Support for grafts is deprecated\nPreparing worktree (new branch 'a')\n\
                    error: unable to write file a.txt\nfatal: No space left on device\n";
        let said = "error: unable to write file a.txt\nfatal: No space left on device";
        assert_eq!(complaint(text), said);
        assert_eq!(complaint("hint: only this\n"), "");
    }

    #[tokio::test]
    async fn of_many_lines_only_the_wanted_are_kept_and_a_long_one_only_so_far() {
        let long = "x".repeat(LINE_BYTES_MAX * 40);
        let text = format!("@a\n-no\n@{long}\n\n@end");
        let reader = BufReader::with_capacity(7, text.as_bytes());
        let (kept, cut) = kept_lines(reader, |line| line.starts_with(b"@")).await.unwrap();
        let expect = format!("@a\n@{}\n@end\n", &long[1..LINE_BYTES_MAX]);
        assert_eq!((String::from_utf8(kept).unwrap(), cut), (expect, false));
    }

    #[test]
    fn hooks_that_the_configuration_names_are_switched_off_by_their_names() {
        for (version, expect) in [
            ("git version 2.39.5", false),
            ("git version 2.53.0.windows.1", false),
            ("git version 2.54.0", true),
            ("git version 2.55.GIT", true),
            ("git version 3.0.1", true),
            ("something else", true),
        ] {
            assert_eq!(has_named_hooks(version), expect, "{version}");
        }
        let keys = b"hook.a=b c.event\0hook.a=b c.command\0hook.x.y.event\0".to_vec();
        let keys = Answer { code: Some(0), out: keys, cut: false, said: String::new() };
        let mut command = Command::new("git");
        set(&mut command, &[("merge.x.driver".to_owned(), "y".to_owned())]);
        set(&mut command, &hooks_off(&keys));
        let mut variables: Vec<_> = command
            .as_std()
            .get_envs()
            .map(|(name, value)| format!("{}={}", name.display(), value.unwrap().display()))
            .collect();
        variables.sort();
        let expect = [
            "GIT_CONFIG_COUNT=3",
            "GIT_CONFIG_KEY_0=merge.x.driver",
            "GIT_CONFIG_KEY_1=hook.a=b c.enabled",
            "GIT_CONFIG_KEY_2=hook.x.y.enabled",
            "GIT_CONFIG_VALUE_0=y",
            "GIT_CONFIG_VALUE_1=false",
            "GIT_CONFIG_VALUE_2=false",
        ];
        assert_eq!(variables, expect);
    }

    #[tokio::test]
    async fn what_is_more_than_is_read_is_said() {
        let (bytes, cut) = bounded(Some("12345".as_bytes()), 5).await.unwrap();
        assert_eq!((bytes.as_slice(), cut), ("12345".as_bytes(), false));
        let (bytes, cut) = bounded(Some("123456".as_bytes()), 5).await.unwrap();
        assert_eq!((bytes.as_slice(), cut), ("12345".as_bytes(), true));
    }
}
