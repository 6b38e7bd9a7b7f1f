//! Work and its places from end to end inside one process: real ledger, real processes, real git.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod checkpoints;
mod clean;
#[path = "../hive/mod.rs"]
mod hive;
mod radar;
mod review;
mod scan;
mod trash;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use engine::view::{MissionDetail, NewMission};
use hive::{Hive, agent, git, mission};
use model::mission::MissionState;
use model::transition::MissionInput;

/// Files by their path below a directory: their bytes, and whether they may be executed.
type Picture = BTreeMap<PathBuf, (Vec<u8>, bool)>;

/// Every file below a directory but git's own.
fn picture(root: &Path) -> Picture {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            let metadata = path.symlink_metadata().unwrap();
            if name.file_name().is_some_and(|it| it == ".git") {
                continue;
            }
            if metadata.is_dir() {
                directories.push(path);
            } else {
                let runs = metadata.permissions().mode() & 0o100 != 0;
                files.insert(name, (std::fs::read(&path).unwrap(), runs));
            }
        }
    }
    files
}

/// Commits everything in a checkout.
fn commit_all(directory: &Path, message: &str) {
    git(directory, &["add", "-A"]);
    git(directory, &["-c", "user.name=T", "-c", "user.email=t@x", "commit", "-q", "-m", message]);
}

/// The commit a branch ends with.
fn tip(directory: &Path, branch: &str) -> String {
    git(directory, &["rev-parse", branch]).trim().to_owned()
}

impl Hive {
    /// A mission for an agent of its own that does this in a worktree of the repository.
    async fn mission_on(&self, repository: &Path, name: &str, script: &str) -> String {
        self.add(agent(name, &format!("sh -c '{script}'"))).await;
        self.mission(NewMission {
            agent: Some(name.into()),
            repository: Some(repository.display().to_string()),
            ..mission(&format!("The work of {name}"), "please do it")
        })
        .await
    }

    /// The same, once its work is in review.
    async fn reviewed(&self, repository: &Path, name: &str, script: &str) -> MissionDetail {
        let id = self.mission_on(repository, name, script).await;
        self.until(&id, |state| state == MissionState::InReview).await
    }

    /// The same, once its work is neither accepted nor under review any more.
    async fn cancelled(&self, repository: &Path, name: &str, script: &str) -> MissionDetail {
        let detail = self.reviewed(repository, name, script).await;
        let id = short(&detail);
        self.ask(&id, MissionInput::Cancel).await.unwrap();
        self.until_over(&id).await
    }
}

/// The readable id of a mission.
fn short(detail: &MissionDetail) -> String {
    detail.view.mission.short_id.to_string()
}

/// The worktree of a mission's latest attempt.
fn worktree(detail: &MissionDetail) -> PathBuf {
    PathBuf::from(&detail.attempts[0].attempt.workplace.as_ref().unwrap().directory)
}

/// The commit that a mission's latest attempt left.
fn head(detail: &MissionDetail) -> String {
    detail.attempts[0].attempt.work.as_ref().unwrap().head_commit.clone()
}
