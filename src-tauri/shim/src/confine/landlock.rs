//! Landlock: the kernel's own walls, for machines without bubblewrap, and for sockets and signals
//! where there is one.
//!
//! Its rules only ever allow: what is not listed is refused. So what is hidden is left out by listing
//! everything beside it, and what lies inside of a writable directory cannot be guarded. Only rights
//! up to version 5 are used for files, which is what could be tried.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Absent;
use super::walls::Walls;
use crate::program::NotStarted;

/// The oldest version that keeps files from being emptied.
pub const FILES_LEVEL: u8 = 3;
/// The oldest version that knows connections.
pub const NETWORK_LEVEL: u8 = 4;
/// The oldest version that keeps programs from sockets without a file (Linux 6.12).
pub const SCOPE_LEVEL: u8 = 6;
/// Devices that every program may write to.
const DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];

/// What is to be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Which files; nothing leaves them as they are.
    pub files: Option<Files>,
    /// Whether TCP may be used.
    pub network: bool,
}

/// Which files are allowed, each with what is inside of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// To read and to execute.
    pub read: Vec<PathBuf>,
    /// To write as well.
    pub write: Vec<PathBuf>,
}

impl Rules {
    /// The rules that stand in for `walls`.
    ///
    /// # Errors
    /// When the kernel is too old for what they ask.
    pub fn instead_of(walls: &Walls) -> Result<Self, NotStarted> {
        let level = level().map_err(|absent| {
            NotStarted::Sandbox(format!(
                "bubblewrap cannot be used here, and neither can landlock ({absent}); install \
                 bubblewrap"
            ))
        })?;
        let needed = if walls.network { FILES_LEVEL } else { NETWORK_LEVEL };
        if level < needed {
            return Err(NotStarted::Sandbox(format!(
                "bubblewrap cannot be used here, and this kernel's landlock is of version {level} \
                 where {needed} is needed; install bubblewrap"
            )));
        }
        let mut read = Vec::new();
        beside(Path::new("/"), &walls.hidden, &mut read);
        read.extend(walls.shown.iter().cloned());
        let mut write = walls.writable.clone();
        write.extend(walls.home.clone().filter(|_| walls.home_is_open));
        write.extend(DEVICES.iter().map(PathBuf::from));
        Ok(Self { files: Some(Files { read, write }), network: walls.network })
    }

    /// The rules that go with bubblewrap's walls: no socket without a path, no signal, across them.
    #[must_use]
    pub const fn beside_bubblewrap() -> Self {
        Self { files: None, network: true }
    }
}

/// Lists what there is below `directory` without what is hidden.
fn beside(directory: &Path, hidden: &[PathBuf], found: &mut Vec<PathBuf>) {
    if hidden.iter().any(|path| path == directory) {
        return;
    }
    if !hidden.iter().any(|path| path.starts_with(directory)) {
        found.push(directory.to_owned());
        return;
    }
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        beside(&entry.path(), hidden, found);
    }
}

/// The version of landlock that the kernel has, as far as its rights tell.
///
/// # Errors
/// When it has none, or it is switched off.
#[cfg(target_os = "linux")]
pub fn level() -> Result<u8, Absent> {
    use ::landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Scope};
    use ::landlock::{Ruleset, RulesetAttr};
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let files = |abi| strict().handle_access(AccessFs::from_all(abi)).and_then(Ruleset::create);
    if files(ABI::V9).is_ok() {
        return Ok(9);
    }
    if strict().scope(Scope::from_all(ABI::V6)).and_then(Ruleset::create).is_ok() {
        return Ok(6);
    }
    if files(ABI::V5).is_ok() {
        return Ok(5);
    }
    let network = strict().handle_access(AccessNet::from_all(ABI::V4));
    if network.and_then(Ruleset::create).is_ok() {
        return Ok(4);
    }
    [(ABI::V3, 3), (ABI::V2, 2), (ABI::V1, 1)]
        .into_iter()
        .find(|(abi, _)| files(*abi).is_ok())
        .map(|(_, level)| level)
        .ok_or(Absent::NoLandlock)
}

/// The version of landlock that the kernel has.
///
/// # Errors
/// Always: it is a part of Linux.
#[cfg(not(target_os = "linux"))]
pub fn level() -> Result<u8, Absent> {
    Err(Absent::NoLandlock)
}

/// Keeps this process, and whatever it becomes, to `rules`. They cannot be taken back.
///
/// # Errors
/// When the kernel refuses, or does not hold the rules for files or connections.
#[cfg(target_os = "linux")]
pub fn apply(rules: &Rules) -> Result<(), NotStarted> {
    restrict(rules).map_err(|error| NotStarted::Sandbox(error.to_string()))
}

#[cfg(target_os = "linux")]
fn restrict(rules: &Rules) -> Result<(), ::landlock::RulesetError> {
    use ::landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Scope};
    use ::landlock::{Ruleset, RulesetAttr, RulesetCreatedAttr, path_beneath_rules};
    let mut ruleset = Ruleset::default();
    if rules.files.is_some() {
        ruleset = ruleset
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V3))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?;
    }
    if !rules.network {
        ruleset = ruleset
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessNet::from_all(ABI::V4))?;
    }
    let mut ruleset = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    if let Some(files) = &rules.files {
        ruleset = ruleset
            .add_rules(path_beneath_rules(&files.read, AccessFs::from_read(ABI::V5)))?
            .add_rules(path_beneath_rules(&files.write, AccessFs::from_all(ABI::V5)))?;
    }
    ruleset.restrict_self().map(drop)
}

/// Keeps this process to `rules`.
///
/// # Errors
/// Always: it is a part of Linux.
#[cfg(not(target_os = "linux"))]
pub fn apply(_: &Rules) -> Result<(), NotStarted> {
    Err(NotStarted::Sandbox(Absent::NoLandlock.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_left_out_and_all_beside_it_is_listed() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for name in ["a/home/x", "a/other", "b", "c/data"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        let mut found = Vec::new();
        beside(place.path(), &[at("a/home"), at("c/data")], &mut found);
        found.sort();
        assert_eq!(found, [at("a/other"), at("b")]);
        let mut all = Vec::new();
        beside(place.path(), &[], &mut all);
        assert_eq!(all, [place.path()]);
    }
}
