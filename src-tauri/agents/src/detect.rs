//! Finds the agents that are installed on this machine, and says why a program cannot be started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use shim::program;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::runtime::presets::{Kind, Preset, Presets};

/// How long a program may take to tell its version.
const VERSION_WITHIN: Duration = Duration::from_secs(5);
/// The most that is read of what it says, in bytes.
const VERSION_BYTES_MAX: u64 = 8 * 1024;
/// The longest version that is shown, in bytes.
const VERSION_SHOWN_BYTES_MAX: usize = 100;
/// How many programs are asked for their version at a time.
const ASKED_AT_ONCE: usize = 3;

/// An agent known by name, and where it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The preset's name.
    pub preset: String,
    /// What people call it.
    pub title: String,
    /// How it is driven.
    pub kind: Kind,
    /// The program it comes as.
    pub program: String,
    /// Where that program is; nothing when it is not installed.
    pub path: Option<PathBuf>,
    /// The version it told, where it was asked.
    pub version: Option<String>,
    /// Why it cannot be started, or what else is wrong with it, and what to do about it.
    pub problem: Option<String>,
    /// The command line that is the same for every mission, with `{brief}` where the brief goes.
    pub command: String,
    /// What one should know about it.
    pub note: String,
}

/// Every known agent, with where it was found in `PATH`. Starts nothing. A preset without a program
/// of its own is left out.
#[must_use]
pub fn installed(presets: &Presets) -> Vec<Detected> {
    installed_in(presets, &search_path())
}

/// Like [`installed`], and asks each program that is there for its version: a few at a time, each
/// with 5 s to answer and 8 KiB to say it in.
pub async fn examined(presets: &Presets) -> Vec<Detected> {
    examined_in(presets, &search_path()).await
}

/// Why an agent of this preset could not be started, with how it is installed; nothing when it could.
#[must_use]
pub fn missing_preset(preset: &Preset, directory: Option<&Path>) -> Option<String> {
    let program = preset.program.as_deref()?;
    missing(program, directory).map(|why| with_hint(&why, preset))
}

/// Why `program` could not be started from `directory`, in words a person can act on; nothing when
/// it could.
#[must_use]
pub fn missing(program: &str, directory: Option<&Path>) -> Option<String> {
    let checked = directory.map_or(Ok(()), program::check_directory);
    checked
        .and_then(|()| {
            program::find(program, directory.unwrap_or_else(|| Path::new("/")), &search_path())
        })
        .err()
        .map(|why| why.to_string())
}

fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn with_hint(why: &str, preset: &Preset) -> String {
    let needs = if preset.needs.is_empty() {
        String::new()
    } else {
        format!(" It needs {}.", preset.needs.join(" and "))
    };
    if preset.install.is_empty() {
        format!("{why}.{needs}")
    } else {
        format!("{why}. To install it: {}.{needs}", preset.install)
    }
}

fn installed_in(presets: &Presets, path: &OsStr) -> Vec<Detected> {
    presets.iter().filter_map(|preset| look_for(preset, path)).collect()
}

fn look_for(preset: &Preset, path: &OsStr) -> Option<Detected> {
    let program = preset.program.clone()?;
    let found = program::find(&program, Path::new("/"), path);
    let (path, problem) = match found {
        Ok(path) => (Some(path), None),
        Err(why) => (None, Some(with_hint(&why.to_string(), preset))),
    };
    Some(Detected {
        preset: preset.name.clone(),
        title: preset.title.clone(),
        kind: preset.kind,
        path,
        version: None,
        problem,
        command: command_line(preset, &program),
        program,
        note: preset.note.clone(),
    })
}

/// The line as a shell would take it, with the mode that asks as far as it can.
fn command_line(preset: &Preset, program: &str) -> String {
    let mode = &preset.modes.ask;
    let env = preset.env.iter().chain(&mode.env);
    let mut words: Vec<String> = env.map(|(name, value)| format!("{name}={value}")).collect();
    if !words.is_empty() {
        words.insert(0, "env".to_owned());
    }
    words.push(program.to_owned());
    words.extend(preset.args.iter().chain(&mode.args).cloned());
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |ch: char| ch.is_ascii_alphanumeric() || "-_./=:,@{}+%".contains(ch);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

async fn examined_in(presets: &Presets, path: &OsStr) -> Vec<Detected> {
    let mut found = installed_in(presets, path);
    let mut waiting: BTreeMap<(PathBuf, Vec<String>), ()> = BTreeMap::new();
    let health = |detected: &Detected| presets.find(&detected.preset).map(|it| it.health.clone());
    let key = |detected: &Detected| {
        let args = health(detected).filter(|args| !args.is_empty())?;
        Some((detected.path.clone()?, args))
    };
    for detected in &found {
        if let Some(key) = key(detected) {
            waiting.insert(key, ());
        }
    }
    let mut answers = BTreeMap::new();
    let mut asked = JoinSet::new();
    let mut waiting = waiting.into_keys();
    loop {
        while asked.len() < ASKED_AT_ONCE
            && let Some((program, args)) = waiting.next()
        {
            let path = path.to_owned();
            asked.spawn(async move {
                let answer = version(&program, &args, &path).await;
                ((program, args), answer)
            });
        }
        match asked.join_next().await {
            Some(Ok((key, answer))) => {
                answers.insert(key, answer);
            }
            Some(Err(err)) => tracing::warn!(error = %err, "a program could not be asked"),
            None => break,
        }
    }
    for detected in &mut found {
        let Some(answer) = key(detected).and_then(|key| answers.get(&key)) else { continue };
        match answer {
            Ok(version) => detected.version = Some(version.clone()),
            Err(why) => {
                let preset = presets.find(&detected.preset);
                detected.problem = preset.map(|it| with_hint(&why.to_string(), it));
            }
        }
    }
    found
}

/// Why a program did not tell its version.
#[derive(Debug, thiserror::Error)]
enum NoVersion {
    #[error("'{program}' could not be run to ask for its version: {source}")]
    NotRun { program: String, source: std::io::Error },
    #[error("'{program}' did not tell its version within {} s", VERSION_WITHIN.as_secs())]
    TooSlow { program: String },
    #[error("'{program}' could not tell its version: it ended with {how}{said}")]
    Failed { program: String, how: String, said: String },
}

async fn version(program: &Path, args: &[String], path: &OsStr) -> Result<String, NoVersion> {
    let name = program.display().to_string();
    let failed = |source| NoVersion::NotRun { program: name.clone(), source };
    let mut child = Command::new(program)
        .args(args)
        .current_dir("/")
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let group = child.id();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let asked = async {
        let (said, complained) = tokio::join!(beginning(stdout), beginning(stderr));
        child.wait().await.map(|status| (status, said, complained))
    };
    let answer = tokio::time::timeout(VERSION_WITHIN, asked).await;
    let Ok(answer) = answer else {
        end_group(group);
        return Err(NoVersion::TooSlow { program: name });
    };
    let (status, said, complained) = answer.map_err(failed)?;
    let first = |text: &str| {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        model::conversation::cut(line, VERSION_SHOWN_BYTES_MAX)
    };
    if !status.success() {
        let line = first(if complained.trim().is_empty() { &said } else { &complained });
        let said = if line.is_empty() { line } else { format!(": {line}") };
        return Err(NoVersion::Failed { program: name, how: status.to_string(), said });
    }
    Ok(first(if said.trim().is_empty() { &complained } else { &said }))
}

/// Ends a program that did not answer, with everything it started.
fn end_group(group: Option<u32>) {
    let group = group.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    if let Some(group) = group {
        // Where it ended in this moment there is nothing to do.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// The beginning of what is said; the rest is read and thrown away, so that nobody waits for room.
async fn beginning(from: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else { return String::new() };
    let mut text = Vec::new();
    let read = (&mut from).take(VERSION_BYTES_MAX).read_to_end(&mut text).await;
    if read.is_ok() {
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(place: &Path, name: &str, body: &str) -> PathBuf {
        let tool = place.join(name);
        std::fs::write(&tool, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
        tool
    }

    #[test]
    fn an_installed_agent_is_found_where_it_is_and_the_others_are_listed_as_absent() {
        let place = tempfile::tempdir().unwrap();
        let tool = script(place.path(), "goose", "");
        let found = installed_in(&Presets::built_in(), place.path().as_os_str());
        let paths: Vec<_> = found
            .iter()
            .filter_map(|agent| Some((agent.preset.as_str(), agent.path.clone()?)))
            .collect();
        assert_eq!(paths, [("goose", tool.clone()), ("goose-run", tool)]);
        let claude = found.iter().find(|agent| agent.preset == "claude").unwrap();
        let said = claude.problem.clone().unwrap();
        assert!(said.contains("'claude' was not found") && said.contains("npm install"), "{said}");
        assert!(said.contains("node>=18"), "{said}");
    }

    #[tokio::test]
    async fn a_version_is_told_or_why_it_is_not() {
        let place = tempfile::tempdir().unwrap();
        script(place.path(), "goose", "echo; echo ' 1.37.0 '");
        script(place.path(), "kimi", "echo 'no such module' >&2; exit 3");
        script(place.path(), "aider", "exec yes");
        let path = std::env::join_paths([place.path(), Path::new("/usr/bin"), Path::new("/bin")]);
        let started = std::time::Instant::now();
        let found = examined_in(&Presets::built_in(), &path.unwrap()).await;
        let of = |name: &str| found.iter().find(|agent| agent.preset == name).unwrap().clone();
        assert_eq!(of("goose").version.as_deref(), Some("1.37.0"));
        assert_eq!(of("goose-run").version.as_deref(), Some("1.37.0"));
        let said = of("kimi").problem.unwrap();
        assert!(said.contains("no such module") && said.contains("npm install"), "{said}");
        let said = of("aider").problem.unwrap();
        assert!(said.contains("within 5 s"), "{said}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_command_line_is_one_a_shell_takes() {
        let presets = Presets::built_in();
        let line = |name: &str| {
            let preset = presets.find(name).unwrap();
            command_line(preset, preset.program.as_deref().unwrap())
        };
        assert_eq!(
            line("goose-run"),
            "env GOOSE_MODE=auto goose run --output-format stream-json -t {brief}"
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert!(line("opencode").contains(r#"'OPENCODE_PERMISSION={"edit":"#));
    }

    #[test]
    fn a_program_or_directory_that_is_not_there_is_named() {
        assert_eq!(missing("sh", Some(Path::new("/"))), None);
        assert!(missing("no-such-tool", None).unwrap().contains("no-such-tool"));
        let said = missing("sh", Some(Path::new("/no/such/place"))).unwrap();
        assert!(said.contains("/no/such/place"), "{said}");
    }
}
