//! What a worktree takes and what of it is nowhere else, on real repositories.

use agents::tidying::{Keep, Space, removable};
use agents::worktree::{Git, GitError};

use crate::repo::{Repo, git, write};

async fn surveyed(repo: &Repo, target: Option<&str>) -> Space {
    let base = repo.git(&["rev-parse", "main~0"]);
    surveyed_since(repo, &base, target).await
}

async fn surveyed_since(repo: &Repo, base: &str, target: Option<&str>) -> Space {
    Git::new().survey(&repo.tree(), &repo.path(), "hive/m1/1", base, target).await.unwrap()
}

#[tokio::test]
async fn clean_up_counts_what_it_frees_and_skips_everything_dirty_or_unmerged() {
    let repo = Repo::new();
    repo.worktree().await;
    let tree = repo.tree();
    let base = repo.git(&["rev-parse", "main"]);
    let space = surveyed(&repo, None).await;
    assert_eq!((space.dirty_files, space.unmerged_commits, space.files), (0, 0, 2));
    assert_eq!(space.head_commit.as_deref(), Some(base.as_str()));
    assert_eq!(removable(&space, false), Ok(()));
    assert_eq!(removable(&space, true), Err(vec![Keep::LiveAttempt]));

    write(&tree, "ignored/cache", &"x".repeat(200_000));
    write(&tree, "new one.txt", "x");
    write(&tree, "a.txt", "changed");
    let space = surveyed(&repo, None).await;
    assert!((200_000..500_000).contains(&space.bytes), "{space:?}");
    assert!((200_000..300_000).contains(&space.ignored_bytes), "{space:?}");
    assert!(space.complete && space.modified_at.is_some());
    assert_eq!(removable(&space, false), Err(vec![Keep::Uncommitted { files: 2 }]));

    git(&tree, &["add", "."]);
    git(&tree, &["commit", "-q", "-m", "one"]);
    write(&tree, "a.txt", "changed again");
    git(&tree, &["commit", "-q", "-a", "-m", "two"]);
    let space = surveyed_since(&repo, &base, Some("main")).await;
    assert_eq!(removable(&space, false), Err(vec![Keep::Unmerged { commits: 2 }]));

    // On another branch they are safe.
    repo.git(&["branch", "copy", "hive/m1/1"]);
    assert_eq!(surveyed_since(&repo, &base, None).await.unmerged_commits, 0);
    repo.git(&["branch", "-D", "copy"]);
    // As one commit on the branch they were for they are, too; as long as it is as it was.
    repo.git(&["merge", "-q", "--squash", "hive/m1/1"]);
    repo.git(&["commit", "-q", "-m", "squashed"]);
    assert_eq!(surveyed_since(&repo, &base, None).await.unmerged_commits, 2);
    assert_eq!(surveyed_since(&repo, &base, Some("main")).await.unmerged_commits, 0);
    repo.write("a.txt", "something else");
    repo.git(&["commit", "-q", "-a", "-m", "later"]);
    assert_eq!(surveyed_since(&repo, &base, Some("main")).await.unmerged_commits, 2);
}

#[tokio::test]
async fn commits_beside_the_branch_and_repositories_inside_keep_a_worktree() {
    let repo = Repo::new();
    repo.worktree().await;
    let tree = repo.tree();
    git(&tree, &["checkout", "-q", "--detach"]);
    write(&tree, "b.txt", "on no branch at all");
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "-q", "-m", "detached"]);
    let space = surveyed(&repo, None).await;
    assert_eq!(removable(&space, false), Err(vec![Keep::Unmerged { commits: 1 }]));
    git(&tree, &["checkout", "-q", "hive/m1/1"]);
    write(&tree, "ignored/inner/file", "theirs");
    git(&tree.join("ignored/inner"), &["init", "-q"]);
    let space = surveyed(&repo, None).await;
    assert_eq!(removable(&space, false), Err(vec![Keep::Nested { repositories: 1 }]));
}

#[tokio::test]
async fn a_worktree_that_is_gone_is_said_to_be() {
    let repo = Repo::new();
    let result = Git::new().survey(&repo.tree(), &repo.path(), "b", "main", None).await;
    assert!(matches!(result, Err(GitError::Missing(_))));
}
