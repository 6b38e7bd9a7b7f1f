//! Small uses of git beside attempts: which version it is, and making a repository from nothing.

use std::path::Path;

use crate::secure::FALLBACK_COMMITTER;
use crate::worktree::{Git, GitError};

impl Git {
    /// The version of git, as it says it.
    ///
    /// # Errors
    /// When git is not installed.
    pub async fn version(&self) -> Result<String, GitError> {
        let here = std::env::temp_dir();
        Ok(self.tell(&here, "ask git for its version", &["version"], &[]).await?.line())
    }

    /// Makes a repository at `directory`, which must not exist yet, with these files in its first
    /// commit.
    ///
    /// # Errors
    /// When the directory or its files cannot be made, or git refuses.
    pub async fn scratch(&self, directory: &Path, files: &[(&str, &str)]) -> Result<(), GitError> {
        let what = "make a repository";
        let failed = |source| GitError::Io { what, source };
        tokio::fs::create_dir_all(directory).await.map_err(failed)?;
        for (name, text) in files {
            tokio::fs::write(directory.join(name), text).await.map_err(failed)?;
        }
        self.tell(directory, what, &["init", "--quiet", "--initial-branch=main"], &[]).await?;
        self.tell(directory, what, &["add", "--all"], &[]).await?;
        let commit = ["commit", "--quiet", "--no-verify", "--message=Begin"];
        let args = [FALLBACK_COMMITTER, &commit].concat();
        self.tell(directory, what, &args, &[]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scratch_repository_is_one_an_attempt_can_start_from() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("scratch");
        Git::new().scratch(&directory, &[("a.md", "a\n")]).await.unwrap();
        let found = Git::new().inspect(&directory).await.unwrap();
        assert_eq!(found.branch.as_deref(), Some("main"));
        assert_eq!(found.uncommitted_files, 0);
        assert!(Git::new().version().await.unwrap().starts_with("git version"));
    }
}
