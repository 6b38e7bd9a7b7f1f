//! Worktrees that start elsewhere, and directories linked into them.

use agents::links::{Ground, Laid, NotLinked};
use agents::worktree::{Git, GitError};

use crate::repo::{Repo, git, write};

const BRANCH: &str = "hive/m1/1";

async fn lay(repo: &Repo, start: Option<&str>, links: &[&str]) -> Result<Laid, GitError> {
    let links: Vec<String> = links.iter().map(|link| (*link).to_owned()).collect();
    let (path, dir) = (repo.path(), repo.tree());
    let ground = Ground { repo: &path, branch: BRANCH, dir: &dir, start, links: &links };
    Git::new().lay(ground).await
}

fn left_out(laid: &Laid) -> Vec<(&str, NotLinked)> {
    laid.left_out.iter().map(|out| (out.path.as_str(), out.reason)).collect()
}

#[tokio::test]
async fn an_attempt_can_start_where_an_earlier_one_came_to() {
    let repo = Repo::new();
    let base = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["checkout", "-q", "-b", "earlier"]);
    repo.write("b.txt", "by the earlier one");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "earlier"]);
    let start = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.write("later.txt", "x");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "the checkout moves on"]);

    let laid = lay(&repo, Some(&start), &[]).await.unwrap();
    assert_eq!(laid.workplace.base_commit.as_deref(), Some(base.as_str()));
    assert_eq!(git(&repo.tree(), &["rev-parse", "HEAD"]), start);
    assert!(repo.tree().join("b.txt").exists() && !repo.tree().join("later.txt").exists());
    assert_eq!(lay(&repo, Some(&start), &[]).await.unwrap(), laid, "again");
    std::fs::remove_dir_all(repo.tree()).unwrap();
    assert_eq!(lay(&repo, Some(&start), &[]).await.unwrap(), laid, "after a crash");
    let work = Git::new().secure(&repo.tree(), BRANCH, &base, "x").await.unwrap();
    assert_eq!(work.commits.len(), 1, "the earlier work is part of this one's");
}

#[tokio::test]
async fn a_start_that_is_no_commit_of_the_repository_is_refused_and_nothing_is_made() {
    let repo = Repo::new();
    let blob = repo.git(&["rev-parse", "HEAD:a.txt"]);
    for start in ["main", "HEAD", "", "--force", &blob, &"f".repeat(40)] {
        let error = lay(&repo, Some(start), &[]).await.unwrap_err();
        assert!(matches!(error, GitError::NoCommit { .. }), "{start}: {error}");
    }
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let other = repo.git(&["commit-tree", "-m", "x", &tree]);
    let error = lay(&repo, Some(&other), &[]).await.unwrap_err();
    assert!(matches!(error, GitError::Unrelated(..)), "{error}");
    assert!(!repo.tree().exists());
    assert_eq!(repo.git(&["branch", "--list", "hive/*"]), "");
}

#[tokio::test]
async fn ignored_directories_are_linked_and_never_become_part_of_the_work() {
    let repo = Repo::new();
    repo.write(".gitignore", "ignored/\nnode_modules/\n/plain\n");
    repo.write("deep/x.txt", "x");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "ignore"]);
    for made in
        ["node_modules/a/index.js", "deep/node_modules/b.js", "plain/c", "new/node_modules/d"]
    {
        repo.write(made, "theirs");
    }
    repo.write("odd [name]*/ignored/e", "theirs");
    repo.write("real/node_modules/f", "theirs");
    let links = ["node_modules", "./deep/node_modules/", "plain"];
    let laid = lay(&repo, None, &links).await.unwrap();
    assert_eq!((laid.linked.len(), laid.left_out.as_slice()), (3, [].as_slice()));
    let tree = repo.tree();
    for (name, file) in
        [("node_modules", "a/index.js"), ("deep/node_modules", "b.js"), ("plain", "c")]
    {
        assert!(tree.join(name).is_symlink());
        assert_eq!(std::fs::read_to_string(tree.join(name).join(file)).unwrap(), "theirs");
    }
    assert_eq!(git(&tree, &["status", "--porcelain"]), "", "git by hand does not see them either");
    assert_eq!(lay(&repo, None, &links).await.unwrap(), laid, "again");
    let exclude = std::fs::read_to_string(repo.path().join(".git/info/exclude")).unwrap();
    assert_eq!(exclude.matches("\n/node_modules\n").count(), 1, "{exclude}");
    assert!(!exclude.contains("/plain"), "what is ignored anyway needs no line");

    // Even where the agent takes them back in.
    let base = laid.workplace.base_commit.clone().unwrap();
    write(&tree, ".gitignore", "!node_modules\n!plain\n");
    std::fs::write(repo.path().join(".git/info/exclude"), "").unwrap();
    let seen = Git::new().seen(&tree).await.unwrap();
    let work = Git::new().secure(&tree, BRANCH, &base, "left").await.unwrap();
    assert_eq!((seen.dirty_files, work.rescued_files), (1, 1));
    let files = git(&tree, &["ls-tree", "-r", "--name-only", "HEAD"]);
    assert!(!files.contains("node_modules") && !files.contains("plain"), "{files}");
}

#[tokio::test]
async fn a_removed_worktree_takes_its_links_and_not_what_they_lead_to() {
    let repo = Repo::new();
    repo.write("ignored/precious", "x");
    let laid = lay(&repo, None, &["ignored"]).await.unwrap();
    assert_eq!(laid.linked, ["ignored"]);
    Git::new().remove(&repo.path(), &repo.tree()).await.unwrap();
    assert!(!repo.tree().exists() && repo.path().join("ignored/precious").exists());
}

#[tokio::test]
async fn what_must_not_be_linked_is_left_out_with_the_reason() {
    let repo = Repo::new();
    repo.write("dir/tracked.txt", "x");
    repo.write(".gitignore", "ignored/\nout\nkept/\n");
    repo.write("kept/tracked", "x");
    repo.git(&["add", "."]);
    repo.git(&["add", "-f", "kept/tracked"]);
    repo.git(&["commit", "-q", "-m", "more"]);
    repo.write("elsewhere/ignored/x", "x");
    std::os::unix::fs::symlink("../..", repo.path().join("out")).unwrap();
    let links = [
        "..",
        "/etc",
        "ignored/../../x",
        "out",
        ".git",
        "gone",
        "dir",
        "kept",
        "elsewhere/ignored",
    ];
    let laid = lay(&repo, None, &links).await.unwrap();
    assert!(laid.linked.is_empty());
    use NotLinked::{Missing, NoParent, NotIgnored, Outside};
    let reasons =
        [Outside, Outside, Outside, Outside, Outside, Missing, NotIgnored, NotIgnored, NoParent];
    let expect: Vec<_> = links.into_iter().zip(reasons).collect();
    assert_eq!(left_out(&laid), expect);
    assert!(repo.tree().join("kept/tracked").exists());
    assert_eq!(git(&repo.tree(), &["status", "--porcelain"]), "");
    repo.write("ignored/x", "theirs");
    write(&repo.tree(), "ignored/x", "its own");
    let taken = lay(&repo, None, &["ignored"]).await.unwrap();
    assert_eq!(left_out(&taken), [("ignored", NotLinked::Taken)]);
    assert_eq!(std::fs::read_to_string(repo.tree().join("ignored/x")).unwrap(), "its own");
    let many: Vec<String> = (0..100).map(|n| format!("gone{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(left_out(&lay(&repo, None, &many).await.unwrap())[99].1, NotLinked::TooMany);
}

#[tokio::test]
async fn a_link_that_git_would_commit_is_not_made() {
    let repo = Repo::new();
    repo.write(".gitignore", "cache/\n!cache\ncache/\n");
    repo.git(&["commit", "-q", "-a", "-m", "ignore"]);
    repo.write("cache/x", "x");
    let laid = lay(&repo, None, &["cache"]).await.unwrap();
    assert_eq!(left_out(&laid), [("cache", NotLinked::Committed)]);
    assert!(!repo.tree().join("cache").is_symlink());
}
