//! Finds the agents that are installed on this machine, and says why a program cannot be started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shim::program;

/// The agents known by name, as data.
const PRESETS: &str = include_str!("presets.toml");

#[derive(Deserialize)]
struct Presets {
    preset: Vec<Preset>,
}

#[derive(Deserialize)]
struct Preset {
    name: String,
    title: String,
    program: String,
    command: String,
    note: String,
}

/// An agent known by name, and where it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The preset's name.
    pub preset: String,
    /// What people call it.
    pub title: String,
    /// The program it comes as.
    pub program: String,
    /// Where that program is; nothing when it is not installed.
    pub path: Option<PathBuf>,
    /// The command line suggested for missions, with `{brief}` where the brief goes.
    pub command: String,
    /// What one should know about that command line.
    pub note: String,
}

/// Every known agent, with where it was found in `PATH`.
#[must_use]
pub fn installed() -> Vec<Detected> {
    installed_in(&search_path())
}

fn installed_in(path: &std::ffi::OsStr) -> Vec<Detected> {
    presets()
        .into_iter()
        .map(|preset| Detected {
            path: program::find(&preset.program, Path::new("/"), path).ok(),
            preset: preset.name,
            title: preset.title,
            program: preset.program,
            command: preset.command,
            note: preset.note,
        })
        .collect()
}

fn presets() -> Vec<Preset> {
    // The text is part of this program, and a test reads it.
    toml::from_str::<Presets>(PRESETS).map_or_else(|_| Vec::new(), |presets| presets.preset)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_preset_is_readable_unique_and_starts_its_own_program() {
        let all = presets();
        let names: std::collections::BTreeSet<&str> =
            all.iter().map(|preset| preset.name.as_str()).collect();
        let expect =
            ["aider", "claude", "codex", "copilot", "gemini", "goose", "kimi", "opencode", "qwen"];
        assert_eq!(names.into_iter().collect::<Vec<_>>(), expect);
        assert_eq!(all.len(), expect.len());
        for preset in all {
            assert!(
                preset.command.split(' ').any(|word| word == preset.program),
                "{}",
                preset.command
            );
            assert!(!preset.note.is_empty());
        }
    }

    #[test]
    fn an_installed_agent_is_found_where_it_is_and_the_others_are_listed_as_absent() {
        let place = tempfile::tempdir().unwrap();
        let tool = place.path().join("goose");
        std::fs::write(&tool, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
        let found = installed_in(place.path().as_os_str());
        let paths: Vec<_> = found
            .iter()
            .filter_map(|agent| Some((agent.preset.as_str(), agent.path.clone()?)))
            .collect();
        assert_eq!(paths, [("goose", tool)]);
    }

    #[test]
    fn a_program_or_directory_that_is_not_there_is_named() {
        assert_eq!(missing("sh", Some(Path::new("/"))), None);
        assert!(missing("no-such-tool", None).unwrap().contains("no-such-tool"));
        let said = missing("sh", Some(Path::new("/no/such/place"))).unwrap();
        assert!(said.contains("/no/such/place"), "{said}");
    }
}
