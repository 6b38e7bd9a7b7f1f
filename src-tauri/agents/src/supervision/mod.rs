//! What this machine has for keeping an agent's processes together, and what a sandbox here does and
//! does not protect.
//!
//! Every way is tried, not looked up: a control group is made and killed, bubblewrap runs a program.
//! What is in force for one run is written by its shim, and read with [`in_force`].
//!
//! What follows when an agent ends badly is decided by the orchestrator, where its back-off is: the
//! pause doubles up to five minutes, a fifth more or less, and it is given up after as many tries as
//! the mission allows, after two where its supervisor vanished. That bound holds whatever the time
//! between the tries, so there is no second policy here.

mod words;

use std::path::{Path, PathBuf};

use model::process::Supervision;
use serde::{Deserialize, Serialize};
use shim::confine::cgroup::{self, HeldLimits};
use shim::confine::walls::pointed;
use shim::confine::{Absent, Arrangement, landlock, namespace};
use tokio::sync::OnceCell;
use utoipa::ToSchema;

pub use words::{statement, supervision_words};

/// Why something is not there, as a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{0}")]
pub struct Reason(String);

impl Reason {
    /// This reason.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Absent> for Reason {
    fn from(absent: Absent) -> Self {
        Self(absent.to_string())
    }
}

/// What this machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The surest way of keeping processes together that works.
    pub in_force: Supervision,
    /// Every way, the surest first, and why it does not work.
    pub available: Vec<(Supervision, Result<(), Reason>)>,
    /// Which limits the kernel holds with the way in force; the shim watches the others.
    pub held: HeldLimits,
    /// The version of landlock.
    pub landlock: Result<u8, Reason>,
    /// The version of bubblewrap.
    pub bubblewrap: Result<String, Reason>,
}

impl Probe {
    /// Whether a program can be walled in at all.
    #[must_use]
    pub fn can_sandbox(&self) -> bool {
        self.bubblewrap.is_ok() || self.landlock.as_ref().is_ok_and(|l| *l >= landlock::FILES_LEVEL)
    }
}

/// Tries everything, which takes a tenth of a second; blocks for so long.
#[must_use]
pub fn probe() -> Probe {
    let group = cgroup::probe().map_err(Reason::from);
    let bubblewrap = namespace::probe().map_err(Reason::from);
    let session = match shim::proc::stat(std::process::id()) {
        Some(_) => Ok(()),
        None => Err(Reason("the process table cannot be read".to_owned())),
    };
    let available = vec![
        (Supervision::Cgroup, group.as_ref().map(drop).map_err(Clone::clone)),
        (Supervision::Namespace, bubblewrap.as_ref().map(drop).map_err(Clone::clone)),
        (Supervision::Session, session),
        (Supervision::Group, Ok(())),
    ];
    let works = |(_, found): &&(Supervision, Result<(), Reason>)| found.is_ok();
    let in_force = available.iter().find(works).map_or(Supervision::Group, |(way, _)| *way);
    Probe {
        in_force,
        available,
        held: group.unwrap_or_default(),
        landlock: landlock::level().map_err(Reason::from),
        bubblewrap,
    }
}

/// What [`probe`] found the first time it was asked for in this process: what a machine has does not
/// change while it runs, short of somebody installing it.
pub async fn probed() -> &'static Probe {
    static FOUND: OnceCell<Probe> = OnceCell::const_new();
    FOUND
        .get_or_init(|| async {
            match tokio::task::spawn_blocking(probe).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(%error, "what keeps processes together could not be tried");
                    untried()
                }
            }
        })
        .await
}

/// What is assumed where nothing could be tried.
fn untried() -> Probe {
    let reason = || Reason("it could not be tried".to_owned());
    Probe {
        in_force: Supervision::Session,
        available: vec![
            (Supervision::Cgroup, Err(reason())),
            (Supervision::Namespace, Err(reason())),
            (Supervision::Session, Ok(())),
            (Supervision::Group, Ok(())),
        ],
        held: HeldLimits::default(),
        landlock: Err(reason()),
        bubblewrap: Err(reason()),
    }
}

/// How the processes of the run in `run` are kept together.
///
/// # Errors
/// When what its shim wrote cannot be read.
pub fn in_force(run: &Path) -> std::io::Result<Supervision> {
    Arrangement::read(run).map(|arrangement| arrangement.supervision)
}

/// The directories outside of a worktree that git writes when something is committed in it, for
/// [`model::process::Sandbox::writable`]. Empty for what is no worktree, or holds its repository
/// itself. Their hooks and settings stay guarded where bubblewrap is used.
#[must_use]
pub fn git_directories(worktree: &Path) -> Vec<PathBuf> {
    let Some(own) = pointed(&worktree.join(".git"), "gitdir: ") else {
        return Vec::new();
    };
    let own = worktree.join(own);
    let Some(common) = pointed(&own.join("commondir"), "") else {
        return vec![own];
    };
    let common = own.join(common);
    vec![common.canonicalize().unwrap_or(common)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_way_that_works_is_in_force_and_the_others_say_why_they_are_not() {
        let probe = probe();
        let order =
            [Supervision::Cgroup, Supervision::Namespace, Supervision::Session, Supervision::Group];
        assert_eq!(probe.available.iter().map(|(way, _)| *way).collect::<Vec<_>>(), order);
        let first = probe.available.iter().find(|(_, found)| found.is_ok()).unwrap();
        assert_eq!(first.0, probe.in_force);
        for (_, found) in &probe.available {
            if let Err(reason) = found {
                assert!(!reason.to_string().is_empty());
            }
        }
        assert!(probe.available[2].1.is_ok(), "processes can be seen");
    }

    #[test]
    fn a_worktree_names_the_repository_that_is_written_with_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("repo/.git/worktrees/a")).unwrap();
        std::fs::create_dir_all(root.join("a")).unwrap();
        let own = root.join("repo/.git/worktrees/a");
        std::fs::write(root.join("a/.git"), format!("gitdir: {}\n", own.display())).unwrap();
        std::fs::write(own.join("commondir"), "../..\n").unwrap();
        assert_eq!(git_directories(&root.join("a")), [root.join("repo/.git")]);
        assert_eq!(git_directories(&root.join("repo")), [] as [PathBuf; 0]);
        assert_eq!(git_directories(&root), [] as [PathBuf; 0]);
    }
}
