//! Use cases about missions.

mod ask;
mod check;
mod create;
mod edit;
mod import;
mod list;
mod suggest;
mod why;
mod words;

use std::collections::HashMap;

use agents::worktree::Git;
use model::agent::Agent;
use model::id::AgentId;
use model::refusal::{Code, Refusal};

pub use list::MissionQuery;
pub(crate) use words::{legible, text_line};

use crate::Engine;
use crate::view::RepositoryView;

pub(crate) const REPOSITORY_HINT: &str =
    "name the directory of a git checkout that has at least one commit, or leave it empty";

impl Engine {
    /// Looks at a directory the captain names as repository.
    ///
    /// # Errors
    /// When it is not a git repository with at least one commit.
    pub async fn inspect_repository(&self, path: &str) -> Result<RepositoryView, Refusal> {
        let path = absolute(path)?;
        let found = Git::new()
            .inspect(&path)
            .await
            .map_err(|err| invalid(format!("failed to {err}")).hint(REPOSITORY_HINT))?;
        Ok(RepositoryView {
            root: found.root.display().to_string(),
            head_commit: found.head_commit,
            branch: found.branch,
            uncommitted_files: found.uncommitted_files,
        })
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidInput, message)
}

pub(crate) fn names(agents: &[Agent]) -> HashMap<AgentId, String> {
    agents.iter().map(|agent| (agent.id, agent.name.clone())).collect()
}

/// An absolute path, so that it means the same whoever asks from wherever.
pub(crate) fn absolute(path: &str) -> Result<std::path::PathBuf, Refusal> {
    let trimmed = path.trim();
    let full = match (trimmed.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => std::path::PathBuf::from(trimmed),
    };
    if full.is_absolute() && !trimmed.contains('\0') {
        return Ok(full);
    }
    Err(invalid(format!("'{trimmed}' is not an absolute path"))
        .hint("write the whole path, beginning with / or ~/"))
}
