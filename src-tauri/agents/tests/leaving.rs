//! What an attempt leaves ends up on its own branch, wherever its agent left the worktree.

use std::path::Path;

use agents::worktree::{Git, GitError};
use model::attempt::Work;

use crate::repo::{Repo, git, write};

const BRANCH: &str = "hive/m1/1";

async fn try_secure(repo: &Repo, base: &str) -> Result<Work, GitError> {
    Git::new().secure(&repo.tree(), BRANCH, base, "left by a1").await
}

/// Secures twice, and expects the second time to find everything done.
async fn secure(repo: &Repo, base: &str) -> Work {
    let work = try_secure(repo, base).await.unwrap();
    let again = try_secure(repo, base).await.unwrap();
    assert_eq!((&again.commits, &again.head_commit), (&work.commits, &work.head_commit));
    assert_eq!(again.rescued_files, 0);
    assert_eq!(git(&repo.tree(), &["status", "--porcelain"]), "");
    work
}

async fn start() -> (Repo, String) {
    let repo = Repo::new();
    let base = repo.worktree().await.base_commit.unwrap();
    (repo, base)
}

fn commit(dir: &Path, name: &str) -> String {
    write(dir, name, name);
    git(dir, &["add", name]);
    git(dir, &["commit", "-q", "-m", name]);
    git(dir, &["rev-parse", "HEAD"])
}

fn subjects(work: &Work) -> Vec<&str> {
    work.commits.iter().map(|commit| commit.subject.as_str()).collect()
}

fn files(repo: &Repo, name: &str) -> Vec<String> {
    let list = repo.git(&["ls-tree", "-r", "--name-only", name]);
    list.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn commits_of_a_detached_head_end_up_on_the_branch() {
    let (repo, base) = start().await;
    git(&repo.tree(), &["checkout", "-q", "--detach"]);
    let made = commit(&repo.tree(), "made");
    let work = secure(&repo, &base).await;
    assert_eq!((subjects(&work), &work.head_commit), (vec!["made"], &made));
    assert_eq!(repo.git(&["rev-parse", BRANCH]), made);

    git(&repo.tree(), &["checkout", "-q", "--detach"]);
    write(&repo.tree(), "left", "left");
    let work = secure(&repo, &base).await;
    assert_eq!(subjects(&work), ["made", "left by a1"]);
    assert_eq!(repo.git(&["rev-parse", BRANCH]), work.head_commit);
}

#[tokio::test]
async fn a_branch_that_is_not_the_attempts_is_never_moved() {
    let (repo, base) = start().await;
    repo.git(&["branch", "dev"]);
    git(&repo.tree(), &["checkout", "-q", "dev"]);
    let theirs = commit(&repo.tree(), "committed");
    write(&repo.tree(), "left", "left");
    let work = secure(&repo, &base).await;
    assert_eq!(repo.git(&["rev-parse", "dev"]), theirs);
    assert_eq!(repo.git(&["rev-parse", "main"]), base);
    assert_eq!(subjects(&work), ["committed", "left by a1"]);
    assert_eq!(repo.git(&["rev-parse", BRANCH]), work.head_commit);
    assert_eq!(work.rescued_files, 1);
}

#[tokio::test]
async fn work_on_the_branch_and_beside_it_is_both_kept() {
    let (repo, base) = start().await;
    let on_branch = commit(&repo.tree(), "first");
    git(&repo.tree(), &["checkout", "-q", "-b", "other", &base]);
    let on_other = commit(&repo.tree(), "second");
    write(&repo.tree(), "left", "left");
    let work = secure(&repo, &base).await;
    assert_eq!(repo.git(&["rev-parse", BRANCH]), on_branch);
    assert_eq!(repo.git(&["rev-parse", "other"]), on_other);
    assert_eq!(repo.git(&["rev-parse", "hive/m1/1-head"]), work.head_commit);
    assert_eq!(subjects(&work), ["second", "left by a1"]);
    let message = repo.git(&["log", "-1", "--format=%b", "hive/m1/1-head"]);
    assert_eq!(message, "The branch hive/m1/1 has other work, so this is on hive/m1/1-head.");
}

#[tokio::test]
async fn looking_at_another_branch_leaves_the_work_where_it_is() {
    let (repo, base) = start().await;
    let theirs = commit(&repo.path(), "theirs");
    repo.git(&["branch", "dev"]);
    let made = commit(&repo.tree(), "made");
    for look in ["dev", "HEAD~1"] {
        git(&repo.tree(), &["checkout", "-q", look]);
        let work = secure(&repo, &base).await;
        assert_eq!((subjects(&work), &work.head_commit), (vec!["made"], &made), "{look}");
        assert!(repo.tree().join("made").exists(), "the gates see the work");
        assert_eq!(repo.git(&["rev-parse", BRANCH]), made);
        assert_eq!(repo.git(&["rev-parse", "dev"]), theirs);
    }
}

#[tokio::test]
async fn a_branch_the_agent_deleted_is_made_again_with_its_work() {
    let (repo, base) = start().await;
    let made = commit(&repo.tree(), "made");
    git(&repo.tree(), &["checkout", "-q", "--detach"]);
    git(&repo.tree(), &["branch", "-q", "-D", BRANCH]);
    write(&repo.tree(), "left", "left");
    let work = secure(&repo, &base).await;
    assert_eq!(subjects(&work), ["made", "left by a1"]);
    assert_eq!(repo.git(&["rev-parse", "hive/m1/1~1"]), made);

    // Deleted under the worktree's feet: the head has no commit.
    git(&repo.tree(), &["update-ref", "-d", "refs/heads/hive/m1/1"]);
    write(&repo.tree(), "more", "more");
    let work = secure(&repo, &base).await;
    assert_eq!(subjects(&work), ["made", "left by a1", "left by a1"]);
    assert_eq!(repo.git(&["rev-parse", BRANCH]), work.head_commit);
}

#[tokio::test]
async fn a_branch_without_a_commit_is_work_on_the_last_one() {
    let (repo, base) = start().await;
    commit(&repo.tree(), "made");
    git(&repo.tree(), &["checkout", "-q", "--orphan", "fresh"]);
    write(&repo.tree(), "left", "left");
    let work = secure(&repo, &base).await;
    assert_eq!(subjects(&work), ["made", "left by a1"]);
    assert_eq!(repo.git(&["rev-parse", BRANCH]), work.head_commit);
    assert_eq!(repo.git(&["branch", "--list", "fresh"]), "");
}

#[tokio::test]
async fn a_repository_without_a_commit_does_not_keep_the_rest_from_being_committed() {
    let (repo, base) = start().await;
    for nested in ["nested", "deep/er"] {
        write(&repo.tree(), &format!("{nested}/file"), "x");
        git(&repo.tree().join(nested), &["init", "-q"]);
    }
    write(&repo.tree(), "a.txt", "changed");
    write(&repo.tree(), "zeta", "x");
    let work = try_secure(&repo, &base).await.unwrap();
    assert_eq!(work.rescued_files, 2);
    assert_eq!(files(&repo, BRANCH), [".gitignore", "a.txt", "zeta"]);
    assert!(repo.tree().join("nested/file").exists());
    assert!(repo.tree().join("deep/er/file").exists());
    assert_eq!(try_secure(&repo, &base).await.unwrap().head_commit, work.head_commit);
}

#[tokio::test]
async fn a_worktree_that_is_cut_off_says_what_is_missing_and_touches_nothing_else() {
    let (repo, base) = start().await;
    write(&repo.tree(), "left", "left");
    let refused = async |missing: &Path| {
        let said = try_secure(&repo, &base).await.unwrap_err().to_string();
        assert!(said.contains(&format!("'{}' is missing", missing.display())), "{said}");
        let copy = format!("copy what you need from '{}', then retry", repo.tree().display());
        assert!(said.ends_with(&copy), "{said}");
    };
    let (store, away) = (repo.path().join(".git"), repo.root.path().join("away"));
    std::fs::rename(&store, &away).unwrap();
    refused(&store).await;
    std::fs::rename(&away, &store).unwrap();

    // A repository further up is another's: nothing is committed to it.
    git(repo.root.path(), &["init", "-q"]);
    let above = commit(repo.root.path(), "above");
    let link = repo.tree().join(".git");
    let text = std::fs::read(&link).unwrap();
    std::fs::remove_file(&link).unwrap();
    refused(&link).await;
    assert_eq!(git(repo.root.path(), &["rev-parse", "HEAD"]), above);

    git(&repo.tree(), &["init", "-q"]);
    let error = try_secure(&repo, &base).await.unwrap_err();
    assert!(matches!(error, GitError::Replaced(_)), "{error}");
    std::fs::remove_dir_all(&link).unwrap();
    std::fs::write(&link, text).unwrap();
    assert_eq!(secure(&repo, &base).await.rescued_files, 1);
}
