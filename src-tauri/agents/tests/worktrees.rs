//! Worktrees on real repositories.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use agents::worktree::{Git, GitError};

use crate::repo::{Repo, git, write};

#[tokio::test]
async fn a_repository_is_described_with_what_is_not_committed() {
    let repo = Repo::new();
    repo.write("a.txt", "changed");
    repo.write("new/b.txt", "new");
    repo.write("new/ä c.txt", "new");
    repo.write("ignored/d.txt", "not counted");
    let found = Git::new().inspect(&repo.path().join("new")).await.unwrap();
    assert_eq!(found.root, repo.path());
    assert_eq!(found.head_commit, repo.git(&["rev-parse", "HEAD"]));
    assert_eq!(found.branch.as_deref(), Some("main"));
    assert_eq!(found.uncommitted_files, 3);
    repo.git(&["checkout", "-q", "--detach"]);
    let found = Git::new().inspect(&repo.path()).await.unwrap();
    assert_eq!(found.branch, None);
}

#[tokio::test]
async fn what_is_no_usable_repository_is_refused_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let check = async |path: &Path, expect: &str| {
        let tree = place.path().join("tree");
        for error in [
            Git::new().inspect(path).await.map(drop).unwrap_err(),
            Git::new().create(path, "b", &tree).await.map(drop).unwrap_err(),
        ] {
            assert!(error.to_string().contains(expect), "{error}");
        }
        assert!(!tree.exists(), "nothing was made");
    };
    check(&place.path().join("gone"), "does not exist").await;
    check(place.path(), "is not in a git repository").await;
    check(&Repo::empty().path(), "has no commit yet").await;
    git(place.path(), &["init", "-q", "--bare", "bare.git"]);
    check(&place.path().join("bare.git"), "is a bare repository").await;
}

#[tokio::test]
async fn a_worktree_starts_at_the_head_on_its_own_branch_and_leaves_the_checkout_alone() {
    let repo = Repo::new();
    repo.write("a.txt", "not committed");
    let place = repo.worktree().await;
    assert_eq!(place.branch.as_deref(), Some("hive/m1/1"));
    assert_eq!(place.base_commit, Some(repo.git(&["rev-parse", "HEAD"])));
    assert_eq!(place.uncommitted_files, 1);
    assert_eq!(place.directory, repo.tree().display().to_string());
    let text = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(repo.tree().join("a.txt")), "one\ntwo\n");
    assert_eq!(text(repo.path().join("a.txt")), "not committed");
    assert_eq!(repo.git(&["branch", "--show-current"]), "main");
}

#[tokio::test]
async fn making_a_worktree_again_finishes_what_a_crash_left() {
    let repo = Repo::new();
    let first = repo.worktree().await;
    assert_eq!(repo.worktree().await, first, "complete already");
    write(&repo.tree(), "work.txt", "an agent's");
    repo.write("later.txt", "x");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "the checkout moves on"]);
    assert_eq!(repo.worktree().await, first, "work is kept, the base stays");
    assert!(repo.tree().join("work.txt").exists());

    // The branch and its registration are there, the directory is not.
    std::fs::remove_dir_all(repo.tree()).unwrap();
    assert_eq!(repo.worktree().await, first);

    // Git was killed in the middle of its checkout.
    let git_dir = PathBuf::from(git(&repo.tree(), &["rev-parse", "--absolute-git-dir"]));
    std::fs::write(git_dir.join("locked"), "initializing").unwrap();
    std::fs::remove_file(repo.tree().join("a.txt")).unwrap();
    assert_eq!(repo.worktree().await, first);
    assert!(repo.tree().join("a.txt").exists());
}

#[tokio::test]
async fn a_directory_that_is_something_else_is_left_as_it_is() {
    let repo = Repo::new();
    write(&repo.tree(), "precious.txt", "x");
    let error = Git::new().create(&repo.path(), "hive/m1/1", &repo.tree()).await.unwrap_err();
    assert!(matches!(error, GitError::Taken(_)), "{error}");
    assert!(repo.tree().join("precious.txt").exists());
}

#[tokio::test]
async fn a_branch_that_holds_other_work_is_left_to_whose_it_is() {
    let repo = Repo::new();
    repo.git(&["checkout", "-q", "-b", "hive/m1/1"]);
    repo.write("theirs.txt", "x");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "theirs"]);
    repo.git(&["checkout", "-q", "main"]);
    let error = Git::new().create(&repo.path(), "hive/m1/1", &repo.tree()).await.unwrap_err();
    assert!(matches!(error, GitError::BranchTaken(_)), "{error}");
    assert!(!repo.tree().exists());
}

#[tokio::test]
async fn a_name_git_would_take_for_something_else_is_no_branch() {
    let repo = Repo::new();
    for name in ["", "-f", "--help", "a..b", "a b", "@{-1}", "HEAD", "x.lock", "a~1"] {
        let error = Git::new().create(&repo.path(), name, &repo.tree()).await.unwrap_err();
        assert!(matches!(error, GitError::BadBranch(_)), "{name}: {error}");
    }
}

#[tokio::test]
async fn what_an_agent_left_is_committed_and_its_work_summed_up() {
    let repo = Repo::new();
    let base = repo.worktree().await.base_commit.unwrap();
    let tree = repo.tree();
    write(&tree, "b.txt", "1\n2\n3\n");
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "-q", "-m", "add b"]);
    write(&tree, "a.txt", "one\n");
    write(&tree, "deep/c.txt", "x\n");
    write(&tree, "ignored/d.txt", "x\n");
    let git_dir = PathBuf::from(git(&tree, &["rev-parse", "--absolute-git-dir"]));
    std::fs::write(git_dir.join("index.lock"), "left by a killed git").unwrap();
    let work = Git::new().secure(&tree, "hive/m1/1", &base, "left by a1").await.unwrap();
    assert_eq!(work.rescued_files, 2);
    let subjects: Vec<&str> = work.commits.iter().map(|c| c.subject.as_str()).collect();
    assert_eq!(subjects, ["add b", "left by a1"]);
    assert_eq!(work.head_commit, work.commits[1].hash);
    assert_eq!(work.head_commit, repo.git(&["rev-parse", "hive/m1/1"]));
    let diff = (work.diff.files, work.diff.insertions, work.diff.deletions);
    assert_eq!(diff, (3, 4, 1));
    let again = Git::new().secure(&tree, "hive/m1/1", &base, "again").await.unwrap();
    assert_eq!((again.rescued_files, again.commits), (0, work.commits));
}

#[tokio::test]
async fn an_attempt_that_did_nothing_is_summed_up_as_nothing() {
    let repo = Repo::new();
    let base = repo.worktree().await.base_commit.unwrap();
    let work = Git::new().secure(&repo.tree(), "hive/m1/1", &base, "x").await.unwrap();
    assert_eq!((work.rescued_files, work.commits.len(), work.diff.files), (0, 0, 0));
    assert_eq!(work.head_commit, base);
}

#[tokio::test]
async fn nothing_of_the_repositorys_own_is_run() {
    let repo = Repo::new();
    let trace = repo.root.path().join("trace");
    let hook = format!("#!/bin/sh\necho $0 >> {}\nexit 1\n", trace.display());
    let plain = ["post-checkout", "pre-commit", "commit-msg", "reference-transaction"];
    for name in plain {
        let path = repo.path().join(".git/hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &hook).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let monitor = repo.path().join(".git/hooks/pre-commit").display().to_string();
    repo.git(&["config", "core.fsmonitor", &monitor]);
    let base = repo.worktree().await.base_commit.unwrap();
    write(&repo.tree(), "b.txt", "x");
    let work = Git::new().secure(&repo.tree(), "hive/m1/1", &base, "x").await.unwrap();
    assert_eq!(work.rescued_files, 1);
    assert!(!trace.exists(), "{}", std::fs::read_to_string(&trace).unwrap());
}

#[tokio::test]
async fn a_worktree_with_uncommitted_work_is_not_removed_and_a_clean_one_keeps_its_branch() {
    let repo = Repo::new();
    let base = repo.worktree().await.base_commit.unwrap();
    let tree = repo.tree();
    write(&tree, "b.txt", "x");
    let error = Git::new().remove(&repo.path(), &tree).await.unwrap_err();
    assert!(matches!(error, GitError::Dirty { files: 1, .. }), "{error}");
    assert!(tree.join("b.txt").exists());
    let work = Git::new().secure(&tree, "hive/m1/1", &base, "x").await.unwrap();
    Git::new().remove(&repo.path(), &tree).await.unwrap();
    assert!(!tree.exists());
    assert_eq!(repo.git(&["rev-parse", "hive/m1/1"]), work.head_commit);
    Git::new().remove(&repo.path(), &tree).await.unwrap();
}

#[tokio::test]
async fn a_git_that_takes_too_long_is_ended() {
    let repo = Repo::new();
    let hasty = Git::with_timeout(std::time::Duration::ZERO);
    let error = hasty.inspect(&repo.path()).await.unwrap_err();
    assert!(matches!(error, GitError::TimedOut { .. }), "{error}");
}
